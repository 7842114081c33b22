#!/usr/bin/env bash
# Redis on 127.0.0.1, in memory only: after a restart it is empty. `up tls` makes it speak TLS, and nothing else.
service=redis
default_port=63791
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"

install() {
  command -v redis-server >/dev/null && return
  # Debian's package starts a server of its own where systemd is; this one has another port.
  packages redis-server
}

start() {
  local -a listen=(--port "$port")
  if encrypted; then
    listen=(--port 0 --tls-port "$port" --tls-cert-file "$dir/server.crt" --tls-key-file "$dir/server.key" --tls-ca-cert-file "$dir/server.crt" --tls-auth-clients no)
  fi
  redis-server --bind 127.0.0.1 "${listen[@]}" --dir "$dir" --pidfile "$dir/pid" --logfile "$dir/server.log" --daemonize yes \
    --save '' --appendonly no >/dev/null
  wait_until 20 answers
}

stop() {
  kill "$(cat "$dir/pid")"
  wait_until 20 gone
}

gone() { ! running; }
running() { [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }
encrypted() { [ -f "$dir/server.crt" ]; }
address() {
  if encrypted; then echo "rediss://127.0.0.1:$port/0?ca=$dir/server.crt"; else echo "redis://127.0.0.1:$port/0"; fi
}

if [ "${1:-}" = up ] && [ "${2:-}" = tls ]; then
  need openssl openssl
  mkdir -p "$dir"
  certificate root
fi

# Ends it as a crash would.
if [ "${1:-}" = kill ]; then
  kill -9 "$(cat "$dir/pid")"
  wait_until 20 gone
  exit
fi

serve "$@"
