#!/usr/bin/env bash
# Back-test on the demo's whole year: the published forecast against LightGBM (mlforecast) and statsforecast, under one protocol.
# Usage: ./dev bench accuracy [--frame day|week|month] [--quick] [--peers lightgbm|statsforecast]. The prepared shop is kept in SELLCAST_BENCH_DIR.
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench accuracy}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
peers="$here/../../bench/peers"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sellcast"
dir="${SELLCAST_BENCH_DIR:-$cache/bench-accuracy}"
env_dir="$cache/peers-env"

# The environment is made anew when the pinned versions change.
if ! cmp -s "$peers/requirements.txt" "$env_dir/requirements.txt"; then
  echo "installing the peers" >&2
  rm -rf "$env_dir"
  python3 -m venv "$env_dir" || { echo "bench accuracy: python3 cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
  "$env_dir/bin/pip" install --quiet --disable-pip-version-check -r "$peers/requirements.txt"
  cp "$peers/requirements.txt" "$env_dir/requirements.txt"
fi

mkdir -p "$dir"
if [ ! -f "$dir/prepared" ]; then
  rm -rf "$dir/demo"
  (cd "$here/../.." && "$sellcast" demo --prepare --dir "$dir/demo") >&2
  touch "$dir/prepared"
fi
# A back-test keeps the feature sets that it computes; each run starts without, or the second would be measured faster.
run="$dir/run"
trap 'rm -rf "$run"' EXIT
rm -rf "$run"
cp -a --reflink=auto "$dir/demo" "$run"
"$env_dir/bin/python" "$peers/compare.py" "$sellcast" "$run" "$@"
