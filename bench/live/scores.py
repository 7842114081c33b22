"""Prints what the table `live_scores` of a warehouse holds: live forecasts by what the shop's clock showed, beside the published ones.

Usage: scores.py WAREHOUSE
"""

import collections
import pathlib
import sys

import deltalake

SUMS = ["actual", "error", "calls", "said", "came", "squared"]


def main():
    path = pathlib.Path(sys.argv[1]) / "live_scores"
    if not path.is_dir():
        sys.exit("no live forecast has been scored yet")
    sums = collections.defaultdict(collections.Counter)
    for row in deltalake.DeltaTable(str(path)).to_pyarrow_table().to_pylist():
        key = (row["frame"], row["from_hour"], row["to_hour"], row["level"], row["side"])
        sums[key].update({name: row[name] for name in SUMS} | {"forecasts": 1})
    print("| frame | hours | level | forecasts | WAPE live | published | sure | came true | Brier live | published |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for frame, begin, end, level, side in sorted(sums):
        if side == "live":
            live, published = sums[frame, begin, end, level, side], sums[frame, begin, end, level, "published"]
            wape = [f"{one['error'] / one['actual']:.3f}" for one in (live, published)]
            brier = [f"{one['squared'] / one['calls']:.3f}" for one in (live, published)]
            sure, came = live["said"] / live["calls"], live["came"] / live["calls"]
            print(
                f"| {frame} | {begin} to {end} | {level} | {live['forecasts']} | {wape[0]} | {wape[1]} |"
                f" {sure:.3f} | {came:.3f} | {brier[0]} | {brier[1]} |"
            )


main()
