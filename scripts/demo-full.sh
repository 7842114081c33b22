#!/usr/bin/env bash
# The demo on real servers: PostgreSQL, Debezium, Kafka, Redis, Cassandra and an object store, with every role of sellcast in a
# process of its own. It begins anew each time, for the object store keeps everything in memory. Servers and roles end
# with this script, however it ends. With --until the shop is filled up to that day only, and the replay begins there.
# Usage: ./dev demo --full [--dir DIR] [--port PORT] [--until DAY] [--speed 30s] [--no-replay]
set -euo pipefail

program=demo
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/need.sh"
sellcast="${SELLCAST:?run me by ./dev demo --full}"

dir=./sellcast-demo-full
port=8080
until=()
replay=()
while [ $# -gt 0 ]; do
  case "$1" in
    --dir) dir="${2:?--dir wants a folder}" && shift 2 ;;
    --port) port="${2:?--port wants a number}" && shift 2 ;;
    --until) until=(--until "${2:?--until wants a day, as in 2017-11-01}") && shift 2 ;;
    --speed) replay+=(--speed "${2:?--speed wants a length of time, as in 30s}") && shift 2 ;;
    --no-replay) replay+=(--no-replay) && shift ;;
    -h | --help) sed -n 's/^# Usage: /usage: /p' "${BASH_SOURCE[0]}" && exit ;;
    *) fail "\`$1\` is not known; usage: ./dev demo --full [--dir DIR] [--port PORT] [--until DAY] [--speed 30s] [--no-replay]" ;;
  esac
done

services=(postgres kafka redis cassandra s3)
declare -A starting=()
taken=()
names=()
pids=()
ended=''

# answers PORT: somebody listens there.
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: sets `free` to a port that nobody has; below those that the system gives to clients.
free_port() {
  for _ in $(seq 50); do
    free=$((20000 + RANDOM % 10000))
    if ! answers "$free" && [[ " ${taken[*]-} " != *" $free "* ]]; then break; fi
  done
  taken+=("$free")
}

# wait_until SECONDS COMMAND...: until COMMAND succeeds, with a limit.
wait_until() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.5
  done
}

# An empty folder, or one that this script made before and that nobody uses: `full-demo` in it is locked meanwhile.
take_folder() {
  mkdir -p "$dir"
  dir="$(cd "$dir" && pwd)"
  [ -z "$(ls -A "$dir")" ] || [ -f "$dir/full-demo" ] || fail "$dir is not empty and no full demo made it: give --dir another folder"
  exec 9>"$dir/full-demo"
  flock -n 9 || fail "another demo runs in $dir: end it, or give --dir another folder"
  # Of a script that was killed, whose servers are ended by their guards.
  wait_until 60 servers_are_gone || fail "servers of an earlier demo still run in $dir/services: end them"
  rm -rf "$dir/services" "$dir/till" "$dir/work" "$dir/serve" "$dir/stream-1" "$dir/stream-2" "$dir/stream-state" "$dir/logs"
  # A folder of this run's own: the guards of the one before may still be removing theirs.
  servers="$dir/services/$$"
  mkdir -p "$servers" "$dir/logs"
  # Servers that do not run as root pass through.
  chmod o+x "$dir" "$dir/services" "$servers"
}

servers_are_gone() {
  local folder
  for folder in "$dir"/services/*/*; do
    if [ -d "$folder" ] && SERVICE_DIR="$folder" "$here/services/$(basename "$folder").sh" status >/dev/null 2>&1; then return 1; fi
  done
}

# start_services: all at once, each on a port of its own; an address goes to `logs/NAME.address`.
start_services() {
  local name
  for name in "${services[@]}"; do "$here/services/$name.sh" install; done
  if [ "$(id -u)" = 0 ] && ! runuser -u postgres -- test -x "$servers"; then
    fail "the user postgres cannot reach $dir: give --dir a folder whose parents it may pass through, such as /var/tmp/sellcast-demo-full"
  fi
  say "starting ${services[*]}"
  for name in "${services[@]}"; do
    free_port
    SERVICE_NODES=1 SERVICE_OWNER=$$ SERVICE_DIR="$servers/$name" SERVICE_PORT="$free" \
      "$here/services/$name.sh" up >"$dir/logs/$name.address" 9>&- &
    starting[$name]=$!
  done
  for name in "${services[@]}"; do wait "${starting[$name]}" || fail "$name does not start"; done
}

address() { tail -n 1 "$dir/logs/$1.address"; }

# Two databases and a bucket; Cassandra's keyspace the program makes itself.
make_places() {
  local name postgres s3
  postgres="$(address postgres)" s3="$(address s3)"
  for name in shop sellcast; do psql "$postgres" -qc "create database $name" || fail "cannot make the database $name"; done
  curl -sf -m 30 -X PUT "$s3/sellcast" >/dev/null || fail "cannot make a bucket at $s3"
  read -r brokers connect <<<"$(address kafka)"
  # The text of the configuration is the program's: only it knows the mapping.
  "$sellcast" demo --write-full-config "$dir/full.toml" --shop "${postgres%/*}/shop" --metadata "${postgres%/*}/sellcast" \
    --brokers "$brokers" --predictions "$(address cassandra)" --features "$(address redis)" \
    --warehouse "s3://key:secret@sellcast/demo?region=us-east-1&endpoint=$s3" --state-folder "$dir/stream-state" ||
    fail "cannot write $dir/full.toml"
  mkdir -p "$dir/till" "$dir/stream-state"
  for name in work serve stream-1 stream-2; do
    mkdir -p "$dir/$name"
    cp "$dir/full.toml" "$dir/$name/sellcast.toml"
  done
}

# Debezium's connector. Windows reach back eight days, so its snapshot need not have all lines of the year.
register_connector() {
  local postgres_port configuration
  postgres_port="$(address postgres | sed 's|.*:\([0-9]*\)/.*|\1|')"
  configuration='{
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
    "database.hostname": "127.0.0.1", "database.port": "'"$postgres_port"'", "database.user": "postgres", "database.password": "sellcast",
    "database.dbname": "shop", "topic.prefix": "shop", "table.include.list": "public.order_lines,public.products",
    "publication.name": "sellcast", "publication.autocreate.mode": "filtered", "slot.name": "sellcast",
    "decimal.handling.mode": "string", "skipped.operations": "none", "poll.interval.ms": "100", "snapshot.mode": "initial",
    "snapshot.select.statement.overrides": "public.order_lines",
    "snapshot.select.statement.overrides.public.order_lines":
      "select * from public.order_lines where sold_at >= (select max(sold_at) - interval '"'9 days'"' from public.order_lines)",
    "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
    "topic.creation.default.retention.ms": "-1" }'
  curl -sf -m 60 -X PUT "$connect/connectors/shop/config" -H 'content-type: application/json' -d "$configuration" >"$dir/logs/connector.json" ||
    fail "Kafka Connect does not take the connector: see $servers/kafka/logs/connect.log"
  wait_until 180 topics_are_there || fail "Debezium makes no topics within three minutes: see $connect/connectors/shop/status"
}

# Its topics come with the first rows that it sends.
topics_are_there() {
  local status
  status="$(curl -s -m 10 "$connect/connectors/shop/status" || true)"
  if [[ "$status" == *'"FAILED"'* ]]; then fail "Debezium's connector has failed: $status"; fi
  status="$(curl -s -m 10 "$connect/connectors/shop/topics" || true)"
  [[ "$status" == *'"shop.public.order_lines"'* && "$status" == *'"shop.public.products"'* ]]
}

# role NAME COMMAND...: starts a process of its own; it ends with this script.
role() {
  local name="$1"
  shift
  # A session of its own: Ctrl-C reaches this script alone, which ends the roles in order.
  setsid setpriv --pdeathsig TERM "$sellcast" "$@" </dev/null >>"$dir/logs/$name.log" 2>&1 9>&- &
  names+=("$name")
  pids+=($!)
  printf '  %-9s pid %-7s %s\n' "$name" "$!" "$dir/logs/$name.log" >&2
}

# name_of PID
name_of() {
  local at
  for at in "${!pids[@]}"; do
    if [ "${pids[$at]}" = "$1" ]; then echo "${names[$at]}"; fi
  done
}

# Waits until the pages are served, or until a role has ended.
wait_for_pages() {
  local limit=$((SECONDS + 120))
  until answers "$port"; do
    [ "$SECONDS" -lt "$limit" ] || fail "no pages at port $port within two minutes: see $dir/logs/serve.log"
    all_alive || return 0
    sleep 0.5
  done
  say "pages at http://127.0.0.1:$port (the first forecasts come a minute or two later); Ctrl-C ends it all"
}

all_alive() {
  local pid
  for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null || return 1; done
}

# Until a role dies. The till may end in order when all is sold; the others must not.
watch_roles() {
  local pid status name
  while true; do
    for pid in "${pids[@]}"; do
      if kill -0 "$pid" 2>/dev/null; then continue; fi
      status=0
      wait "$pid" || status=$?
      name="$(name_of "$pid")"
      forget "$pid"
      if [ "$name" != till ] || [ "$status" != 0 ]; then died "$name" "$status"; fi
      say "the till has ended in order; the pages stay"
    done
    sleep 0.5
  done
}

# died NAME STATUS: tells why, and ends all.
died() {
  local log="$dir/logs/$1.log"
  say "$1 has ended with status $2; the last lines of $log:"
  tail -n 15 "$log" >&2
  exit 1
}

forget() {
  local at
  for at in "${!pids[@]}"; do
    if [ "${pids[$at]}" = "$1" ]; then unset "pids[$at]" "names[$at]"; fi
  done
}

# The roles first, the till before the others, then the servers.
stop_all() {
  local pid name limit
  [ -z "$ended" ] || return 0
  ended=yes
  trap '' INT TERM
  say "stopping"
  # A server that is half started does not know yet how to stop.
  for name in "${!starting[@]}"; do wait "${starting[$name]}" 2>/dev/null || true; done
  for pid in ${pids[@]+"${pids[@]}"}; do kill "$pid" 2>/dev/null || true; done
  limit=$((SECONDS + 30))
  for pid in ${pids[@]+"${pids[@]}"}; do
    while kill -0 "$pid" 2>/dev/null; do
      if [ "$SECONDS" -ge "$limit" ]; then
        say "$(name_of "$pid") does not end and is killed"
        kill -9 "$pid" 2>/dev/null || true
        break
      fi
      sleep 0.2
    done
  done
  for name in "${services[@]}"; do
    SERVICE_DIR="$servers/$name" "$here/services/$name.sh" down >/dev/null 2>&1 || say "$name does not stop: see $servers/$name"
  done
  say "every process and server is stopped; the logs are in $dir/logs"
}

# What is done once and must end well: it can be interrupted like the roles.
once() {
  role "$@"
  local pid="${pids[-1]}" status=0
  wait "$pid" || status=$?
  forget "$pid"
  [ "$status" = 0 ] || died "$1" "$status"
}

need curl curl
need setpriv util-linux
need runuser util-linux
if answers "$port"; then fail "port $port of 127.0.0.1 is taken: give --port another one"; fi
take_folder
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
start_services
need psql postgresql-client
make_places
say "filling the shop and copying it into PostgreSQL"
once prepare demo --dir "$dir/till" --full "$dir/full.toml" --prepare ${until[@]+"${until[@]}"}
say "Debezium reads the shop"
register_connector
say "starting the roles"
role till demo --dir "$dir/till" --full "$dir/full.toml" ${until[@]+"${until[@]}"} ${replay[@]+"${replay[@]}"}
role work work --dir "$dir/work"
role stream-1 stream --dir "$dir/stream-1"
role stream-2 stream --dir "$dir/stream-2"
role serve serve --dir "$dir/serve" --port "$port"
wait_for_pages
watch_roles
