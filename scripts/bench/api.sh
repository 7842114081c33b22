#!/usr/bin/env bash
# Speed of a cached answer of the REST API against a bare axum handler that returns the same bytes, and its latency at 500 requests a
# second. The demo's shop and its first forecasts are made once and kept in SELLCAST_BENCH_DIR.
set -euo pipefail

sellcast="${SELLCAST:?run me by ./dev bench api}"
dir="${SELLCAST_BENCH_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/sellcast/bench-api}"
port="${SELLCAST_BENCH_PORT:-18080}"
seconds="${SELLCAST_BENCH_SECONDS:-20}"
base="http://127.0.0.1:$port"
out="$(mktemp -d)"
mkdir -p "$dir"

server=
stop() { [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; }; }
trap 'stop; rm -rf "$out"' EXIT

# wait_for WHAT SECONDS COMMAND...: until COMMAND succeeds, as long as the server lives.
wait_for() {
  local what="$1" limit="$2"
  shift 2
  for _ in $(seq "$limit"); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$server" 2>/dev/null || { tail -n 20 "$out/server.log" >&2; echo "bench api: the server ended" >&2; exit 1; }
    sleep 1
  done
  tail -n 20 "$out/server.log" >&2
  echo "bench api: no $what after $limit s" >&2
  exit 1
}

# Training must be over, or it would be measured too.
if [ ! -f "$dir/trained" ]; then
  echo "making the demo's shop and its forecasts" >&2
  "$sellcast" demo --no-replay --dir "$dir/demo" --port "$port" >"$out/server.log" 2>&1 &
  server=$!
  wait_for "trained models" 1200 grep -q "trained models have replaced" "$out/server.log"
  stop
  touch "$dir/trained"
fi
"$sellcast" serve --dir "$dir/demo" --port "$port" >"$out/server.log" 2>&1 &
server=$!
wait_for "answer" 60 curl -sf "$base/health/ready"

url="$base/api/v1/predictions/categories?timeFrame=week&limit=20"
curl -sf "$url" >/dev/null
rate_of() { wrk -t1 -c16 -d"$1" "$2" | awk '/Requests\/sec/ { print $2 }'; }
echo "warming up" >&2
rate_of 3s "$url" >/dev/null
echo "the barest handler with the same bytes, $seconds s" >&2
curl -sf "$url" >"$out/answer.json"
"${BARE_HANDLER:?run me by ./dev bench api}" "$((port + 1))" "$out/answer.json" &
bare_server=$!
for _ in $(seq 50); do if curl -sf "http://127.0.0.1:$((port + 1))/" >/dev/null; then break; fi; sleep 0.1; done
rate_of 3s "http://127.0.0.1:$((port + 1))/" >/dev/null
bare="$(rate_of "${seconds}s" "http://127.0.0.1:$((port + 1))/")"
kill "$bare_server"
echo "a cached answer, $seconds s" >&2
cached="$(rate_of "${seconds}s" "$url")"
echo "500 requests a second, $seconds s" >&2
# 10 connections at 50 a second each.
hey -z "${seconds}s" -c 10 -q 50 -o csv "$url" >"$out/latency.csv"

python3 - "$out/latency.csv" "$bare" "$cached" "$seconds" <<'PY'
import csv, json, sys

path, bare, cached, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
with open(path, newline="") as file:
    rows = list(csv.DictReader(file))
times = sorted(float(row["response-time"]) * 1000 for row in rows)
at = lambda share: round(times[min(len(times) - 1, int(share * len(times)))], 3)
failed = sum(row["status-code"] != "200" for row in rows)
print(json.dumps({"bench": "api", "ours": cached, "peer": bare, "unit": "requests/s (cached answer; bare axum handler)", "ratio": round(cached / bare, 3),
                  "p50_ms_at_500": at(0.5), "p99_ms_at_500": at(0.99), "rate": round(len(times) / seconds, 1), "failed": failed}))
sys.exit(1 if failed else 0)
PY
