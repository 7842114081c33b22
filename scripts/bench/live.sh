#!/usr/bin/env bash
# How near live forecasts of the running day come to what was sold, beside the published ones: the demo's December, watched by the API and
# scored against the shop's own tables when each day is over, and then by the scores that the program kept itself. Usage: live.sh [DAYS];
# SELLCAST_BENCH_DEMO names a demo's folder to go on with.
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench live}"
days="${1:-31}"
port="${SELLCAST_BENCH_PORT:-18080}"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
dir="$(mktemp -d)"
demo="${SELLCAST_BENCH_DEMO:-$dir/demo}"
env_dir="${XDG_CACHE_HOME:-$HOME/.cache}/sellcast/live-env"
scores="$here/../../bench/live"
if ! cmp -s "$scores/requirements.txt" "$env_dir/requirements.txt"; then
  rm -rf "$env_dir"
  python3 -m venv "$env_dir" || { echo "bench live: python3 cannot make environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
  "$env_dir/bin/pip" install --quiet --disable-pip-version-check -r "$scores/requirements.txt"
  cp "$scores/requirements.txt" "$env_dir/requirements.txt"
fi

"$sellcast" demo --speed 30s --dir "$demo" --port "$port" >"$dir/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT

python3 "$here/live.py" "http://127.0.0.1:$port" "$demo/shop.db" "$days" "$server" || { tail -n 20 "$dir/log" >&2; exit 1; }
echo
[ ! -d "/proc/$server" ] || awk '/VmHWM/ { printf "peak memory of the process: %.1f GB\n", $2 / 1048576 }' "/proc/$server/status"
grep -E "trained models have replaced|first forecasts|serving" "$dir/log" || true
grep -E "closed|nightly run done" "$dir/log" | tail -n "$days" || true
echo
"$env_dir/bin/python" "$scores/scores.py" "$demo/warehouse"
