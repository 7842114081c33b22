#!/usr/bin/env bash
# The stream over a Kafka of its own: events a second through a worker with its state saved, and the delay from Kafka to a window;
# then Apache Flink with the same windows over the same topic (bench/peers/flink), on the same cores. The last line is one JSON object.
# Usage: ./dev bench kafka [EVENTS [SECONDS [FLINK_EVENTS]]]. FLINK_EVENTS are the first of EVENTS; 0 leaves Flink out.
# CORES are the cores of either side (0,1), FLINK_STATE is Flink's state backend (hashmap or rocksdb).
set -euo pipefail

bench="${KAFKA_BENCH:?run me by ./dev bench kafka}"
scripts="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
service="$scripts/services/kafka.sh"
peer="$scripts/../bench/peers/flink"
cores="${CORES:-0,1}"
events="${1:-2000000}" seconds="${2:-30}"
flink_events="${3:-$((events < 1000000 ? events : 1000000))}"
[ "$flink_events" -le "$events" ] || { echo "FLINK_EVENTS must not be more than EVENTS" >&2; exit 2; }
folder="$(mktemp -d "${TMPDIR:-/tmp}/sellcast-bench-kafka-XXXXXX")"
export SERVICE_DIR="$folder/service" SERVICE_PORT="${SERVICE_PORT:-59392}"
trap '"$service" down; rm -rf "$folder"' EXIT

# Flink's jars, in the cache folder of the services, one folder for each content of pom.xml.
if [ "$(id -u)" = 0 ]; then base=/var/lib; else base="${XDG_CACHE_HOME:-$HOME/.cache}"; fi
library="${SELLCAST_SERVICES:-$base/sellcast/services}/flink-$(sha256sum "$peer/pom.xml" | cut -c1-12)"
fetch_flink() {
  mkdir -p "$library"
  (
    # Two that fetch at once: the second waits and finds it done.
    flock 9
    [ -e "$library/complete" ] && exit 0
    echo "fetching Apache Flink from Maven Central" >&2
    mvn -B -q -f "$peer/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$library/jars" >"$library/fetch.log" 2>&1 ||
      { echo "cannot fetch Flink: see $library/fetch.log" >&2; exit 1; }
    touch "$library/complete"
  ) 9>"$library/lock"
}

# The memory is more than the state needs; the packages are opened as Flink's own configuration does.
run_flink() {
  local opens=() package
  for package in java.lang java.net java.nio java.time java.util java.util.concurrent; do
    opens+=("--add-opens=java.base/$package=ALL-UNNAMED")
  done
  taskset -c "$cores" java -Xmx8g -XX:+UseParallelGC "${opens[@]}" "-Dlog4j2.configurationFile=$peer/log4j2.properties" \
    -cp "$folder/classes:$peer:$library/jars/*" Windows "$brokers" bench.public.transactions "$folder/checkpoints" "$flink_events" \
    "${FLINK_STATE:-hashmap}"
}

if [ "$flink_events" -gt 0 ]; then
  fetch_flink
  javac -d "$folder/classes" -cp "$library/jars/*" "$peer/Windows.java"
fi
read -r brokers _ <<<"$("$service" up | tail -n1)"
taskset -c "$cores" "$bench" "$brokers" "$folder/state" "$events" "$seconds" | tee "$folder/ours.json" >&2
echo '{}' >"$folder/peer.json"
if [ "$flink_events" -gt 0 ]; then
  run_flink | tail -n1 >"$folder/peer.json"
fi
python3 - "$folder/ours.json" "$folder/peer.json" <<'PYTHON'
import json, sys

ours, peer = (json.loads(open(name).read().splitlines()[-1]) for name in sys.argv[1:])
if peer:
    ours["peer_name"], ours["peer"] = peer.pop("peer_name"), peer.pop("peer")
    ours["ratio"] = round(ours["ours"] / ours["peer"], 2)
    ours["ratio_without_start"] = round(ours["ours"] / peer["without_start"], 2)
    ours["target_ratio"] = 10
    ours["peer_run"] = peer
print(json.dumps(ours))
PYTHON
