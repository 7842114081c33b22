#!/usr/bin/env bash
# Reads of online features, one product and a hundred: from memory, from a Redis of its own, and the same bytes by Redis'
# client alone. Usage: ./dev bench features [PRODUCTS].
set -euo pipefail

bench="${FEATURES_BENCH:?run me by ./dev bench features}"
folder="$(mktemp -d "${TMPDIR:-/tmp}/sellcast-bench-features-XXXXXX")"
service="$(dirname "${BASH_SOURCE[0]}")/../services/redis.sh"
export SERVICE_DIR="$folder" SERVICE_PORT="${SERVICE_PORT:-63799}"
trap '"$service" down; rm -rf "$folder"' EXIT
address="$("$service" up | tail -n1)"
"$bench" "$address" "$@"
