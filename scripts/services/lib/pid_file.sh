# To be sourced after `service.sh` by the script of a server that writes its process id into `data/pid` when it is ready.

stop() {
  local pid
  pid="$(cat "$dir/data/pid")"
  kill "$pid"
  wait_until 60 gone "$pid" || kill -9 "$pid"
  rm -f "$dir/data/pid"
}

gone() { ! kill -0 "$1"; }
running() { [ -s "$dir/data/pid" ] && kill -0 "$(cat "$dir/data/pid")" 2>/dev/null; }
