#!/usr/bin/env bash
# The stream over a Kafka of its own: events a second through a worker with its state saved, and the delay from Kafka to a window.
# Usage: ./dev bench kafka [EVENTS [SECONDS]].
set -euo pipefail

bench="${KAFKA_BENCH:?run me by ./dev bench kafka}"
folder="$(mktemp -d "${TMPDIR:-/tmp}/sellcast-bench-kafka-XXXXXX")"
service="$(dirname "${BASH_SOURCE[0]}")/../services/kafka.sh"
export SERVICE_DIR="$folder/service" SERVICE_PORT="${SERVICE_PORT:-59392}"
trap '"$service" down; rm -rf "$folder"' EXIT
read -r brokers _ <<<"$("$service" up | tail -n1)"
"$bench" "$brokers" "$folder/state" "$@"
