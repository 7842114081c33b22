#!/usr/bin/env bash
# Back-test of the week frame on the demo's whole year: the published forecast against the best of the single models.
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench accuracy}"
dir="${SELLCAST_BENCH_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sellcast/bench-accuracy}"
mkdir -p "$dir"
[ -f "$dir/demo/sellcast.toml" ] || "$sellcast" demo --prepare --dir "$dir/demo" >&2
"$sellcast" backtest --dir "$dir/demo" --frame "${1:-week}" --json >"$dir/backtest.json"

python3 - "$dir/backtest.json" <<'PY'
import json, sys

with open(sys.argv[1]) as file:
    result = json.load(file)
models = result["models"]
published = models.pop("published")
best = lambda metric, pick: pick((model[metric], name) for name, model in models.items() if model.get(metric) is not None)
peer, name = best("precision_at_5", max)
line = {"bench": "accuracy", "ours": published["precision_at_5"], "peer": peer, "unit": f"P@5, {result['frame']} frame; peer: {name}",
        "ratio": round(published["precision_at_5"] / peer, 3)}
for metric, pick in {"precision_at_10": max, "ndcg_at_10": max, "wape": min}.items():
    line[metric], line[f"{metric}_peer"] = published[metric], best(metric, pick)[0]
print(json.dumps({**line, "ece": published.get("ece"), "coverage_80": published.get("coverage_80")}))
PY
