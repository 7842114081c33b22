#!/usr/bin/env bash
# The stream on one core: events a second from Debezium's JSON to updated windows, and what a state of a million products
# with ten million sales takes. Usage: ./dev bench stream [EVENTS [PRODUCTS [SALES]]]. It has no peer yet.
set -euo pipefail

bench="${STREAM_BENCH:?run me by ./dev bench stream}"
folder="$(mktemp -d "${TMPDIR:-/tmp}/sellcast-bench-stream-XXXXXX")"
trap 'rm -rf "$folder"' EXIT
taskset -c 0 "$bench" "$folder" "$@"
