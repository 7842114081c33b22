#!/usr/bin/env bash
# An object store with the S3 protocol on 127.0.0.1 (moto, from the Python package index), in memory: buckets and objects are
# gone when it ends. Conditional puts are atomic, which Delta's commits rest on. It takes any key and secret.
service=s3
default_port=9000
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"

version=5.2.5
library="${SELLCAST_SERVICES:-$base/sellcast/services}/moto-$version"

install() {
  [ -e "$library/complete" ] && return
  need python3 python3 python3-venv
  mkdir -p "$library"
  (
    # Two that install at once: the second waits and finds it done.
    flock 9
    [ -e "$library/complete" ] && exit 0
    say "fetching moto $version from the Python package index"
    python3 -m venv "$library/env" && "$library/env/bin/pip" install --quiet "moto[server]==$version" >"$library/pip.log" 2>&1 ||
      fail "cannot fetch moto: see $library/pip.log"
    touch "$library/complete"
  ) 9>"$library/lock"
}

# The process, as long as it is ours.
process() {
  local pid
  pid="$(cat "$dir/pid" 2>/dev/null)" && { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "moto_server -H 127.0.0.1 -p $port" && echo "$pid"
}

start() {
  setsid nohup "$library/env/bin/python" "$library/env/bin/moto_server" -H 127.0.0.1 -p "$port" >"$dir/server.log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  wait_until 60 answers
}

stop() {
  local pid
  pid="$(process)" || return 0
  kill "$pid"
  wait_until 20 gone || kill -9 "$pid"
}

gone() { ! process; }
running() { process >/dev/null; }
address() { echo "http://127.0.0.1:$port"; }

serve "$@"
