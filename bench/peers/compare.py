"""Runs sellcast's back-test and the peers' one after the other on the same shop, and prints one table and one JSON line.

Usage: compare.py SELLCAST SHOP_FOLDER --frame week [--quick] [--peers lightgbm]     (by ./dev bench accuracy)
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import time
import warnings
from datetime import date, timedelta
from pathlib import Path

# mlforecast warns of unvalidated dates and of lags that reach before a series' first sale: both are meant.
warnings.filterwarnings("ignore", module="mlforecast|statsforecast|boosted")

from boosted import Boosted
from protocol import METRICS, Protocol
from shop import Shop
from statistical import Statistical

PEERS = ["lightgbm", "statsforecast"]
HEADER = ["model", "P@5", "P@10", "NDCG@10", "WAPE", "bias", "RMSE", "MAPE", "train s", "all s", "CPU s"]
# The newest origins whose periods the demo's year settles.
NEWEST = {"day": (date(2017, 12, 30), 1, 7), "week": (date(2017, 12, 18), 7, 2), "month": (date(2017, 11, 20), 7, 2)}


class Clock:
    """Wall and processor seconds since it was made, of this process and those it waited for."""

    def __init__(self):
        self._wall, self._cpu = time.monotonic(), self._processor()

    @staticmethod
    def _processor() -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(u.ru_utime + u.ru_stime for u in used)

    def seconds(self) -> dict[str, float]:
        return {"seconds": time.monotonic() - self._wall, "cpu_seconds": self._processor() - self._cpu}


def run_sellcast(program: str, folder: Path, frame: str, quick: bool) -> tuple[dict, dict]:
    """Its report, and what the run took."""
    command = [program, "backtest", "--dir", str(folder), "--frame", frame, "--json"]
    if quick:
        newest, step, count = NEWEST[frame]
        command += ["--origins", ",".join(str(newest - timedelta(step * back)) for back in range(count))]
    clock = Clock()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    taken = clock.seconds()
    if done.returncode:
        sys.exit(f"sellcast cannot be back-tested:\n{done.stderr[-2000:]}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr)
    taken["train_seconds"] = sum(map(float, re.findall(r"\btrained .*\bseconds=([0-9.]+)", plain)))
    return json.loads(done.stdout), taken


def run_peers(folder: Path, frame: str, report: dict, chosen: list[str]) -> dict[str, dict]:
    """Metrics and seconds of each peer. Reading the shop is counted with each of them, as it is with sellcast."""
    clock = Clock()
    shop = Shop(folder)
    protocol = Protocol(shop, frame, [date.fromisoformat(day) for day in report["origins"]])
    reading = clock.seconds()
    protocol.check(report["models"])
    say("the protocols agree on mean_8w and last_period")
    peers = {}
    variants = [("lightgbm", False), ("lightgbm with promotions", True)]
    for name, with_promotions in variants if "lightgbm" in chosen else []:
        clock, model, forecasts = Clock(), Boosted(shop, with_promotions), []
        for target in protocol.targets:
            forecasts.append(model.forecast(target))
            say(f"{name}: {target.origin}")
        taken = {**clock.seconds(), "train_seconds": model.train_seconds}
        peers[name] = {**protocol.score(forecasts), **plus(taken, reading)}
    if "statsforecast" not in chosen:
        return peers
    clock, model, forecasts = Clock(), Statistical(protocol), []
    for target in protocol.targets:
        forecasts.append(model.forecast(target))
        say(f"statsforecast: {target.origin}")
    taken = plus(clock.seconds(), reading)
    for name in forecasts[0]:
        # The three are run together; their time stands with the ensemble.
        peers[f"statsforecast {name}"] = {**protocol.score([by_model[name] for by_model in forecasts]), **(taken if name == "ensemble" else {})}
    return peers


def plus(taken: dict, reading: dict) -> dict:
    return {name: seconds + reading.get(name, 0) for name, seconds in taken.items()}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(rows: dict[str, dict]) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def number(row: dict, metric: str) -> str:
        value = row.get(metric)
        if value is None:
            return "–"
        if metric.endswith("seconds"):
            return f"{value:.0f}"
        return f"{value:.2f}" if metric == "rmse" else re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")

    columns = [*METRICS, "train_seconds", "seconds", "cpu_seconds"]
    lines = [line(HEADER), "|" + "---|" * len(HEADER)]
    lines += [line([name, *(number(row, metric) for metric in columns)]) for name, row in rows.items()]
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(prog="./dev bench accuracy")
    arguments.add_argument("sellcast")
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--frame", choices=["day", "week", "month"], default="week")
    arguments.add_argument("--quick", action="store_true", help="the newest few origins only")
    arguments.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, help="those to run; all by default")
    chosen = arguments.parse_args()
    report, taken = run_sellcast(chosen.sellcast, chosen.folder, chosen.frame, chosen.quick)
    peers = run_peers(chosen.folder, chosen.frame, report, chosen.peers)
    ours = {**report["models"]["published"], **taken}
    baselines = {f"baseline {name}": report["models"][name] for name in ("mean_8w", "last_period")}
    print(f"{chosen.frame} frame, origins {report['origins'][0]} to {report['origins'][-1]} ({len(report['origins'])})\n")
    print(table({"**sellcast, published**": ours, **peers, **baselines}) + "\n")
    name = max(peers, key=lambda peer: peers[peer]["precision_at_5"])
    peer = peers[name]
    line = {"bench": "accuracy", "ours": ours["precision_at_5"], "peer": peer["precision_at_5"], "unit": f"P@5, {chosen.frame} frame; peer: {name}",
            "ratio": round(ours["precision_at_5"] / peer["precision_at_5"], 3)}
    for metric in [*METRICS[1:5], "train_seconds", "seconds", "cpu_seconds"]:
        line[metric], line[f"{metric}_peer"] = ours[metric], peer.get(metric)
    line |= {"ece": ours.get("ece"), "coverage_80": ours.get("coverage_80"), "quick": chosen.quick}
    print(json.dumps({key: round(value, 4) if isinstance(value, float) else value for key, value in line.items()}))


if __name__ == "__main__":
    main()
