# To be sourced by the script of a service, which sets `service` and `default_port`, defines `install`, `start`, `stop`,
# `running` and `address`, and ends with `serve "$@"`. This gives it the actions install, up, down and status.
#
# SERVICE_DIR    the server's folder (default: one per service under SELLCAST_SERVICES, which is ~/.cache/sellcast/services,
#                or /var/lib/sellcast/services for root, whose home other accounts cannot enter)
# SERVICE_PORT   its port on 127.0.0.1
# SERVICE_OWNER  a process id: server and folder are removed when that process ends, however it ends (for tests)

set -euo pipefail
program="services"
script="$(readlink -f "${BASH_SOURCE[1]}")"
. "$(dirname "$script")/../need.sh"

if [ "$(id -u)" = 0 ]; then base=/var/lib; else base="${XDG_CACHE_HOME:-$HOME/.cache}"; fi
dir="${SERVICE_DIR:-${SELLCAST_SERVICES:-$base/sellcast/services}/$service}"
port="${SERVICE_PORT:-$(cat "$dir/port" 2>/dev/null || echo "$default_port")}"

# as_user USER COMMAND...: for servers that refuse to run as root.
as_user() {
  local user="$1"
  shift
  if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# owned_folder USER FOLDER: makes a folder inside `dir` that USER owns and can reach.
owned_folder() {
  mkdir -p "$2"
  [ "$(id -u)" = 0 ] || return 0
  chmod o+x "$dir"
  chown "$1:" "$2"
  as_user "$1" test -x "$2" || fail "the user $1 cannot reach $2: set SELLCAST_SERVICES to a folder whose parents it may pass through"
}

# wait_until SECONDS COMMAND...: until COMMAND succeeds, with a limit.
wait_until() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.1
  done
}

# For a service of several processes: some run, and `start` starts the others.
partly() { false; }
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# A key and a certificate for 127.0.0.1, signed by itself: enough to encrypt, and to be named as the root.
certificate() {
  [ -f "$dir/server.crt" ] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=localhost \
    -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$dir/server.key" -out "$dir/server.crt" 2>/dev/null
  chmod 600 "$dir/server.key"
  [ "$(id -u)" != 0 ] || chown "$1:" "$dir/server.key" "$dir/server.crt"
}

# Ends the server with its owner.
guard() {
  setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 0.5; done; "$2" down; rm -rf "$3"' guard "$SERVICE_OWNER" "$script" "$dir" \
    </dev/null >/dev/null 2>&1 &
}

up() {
  install
  if running; then address && return; fi
  partly || ! answers || fail "port $port of 127.0.0.1 is taken: end what listens there, or set SERVICE_PORT"
  mkdir -p "$dir"
  echo "$port" >"$dir/port"
  start || fail "$service does not start: see the log in $dir"
  [ -z "${SERVICE_OWNER:-}" ] || guard
  address
}

down() {
  if running; then stop; fi
}

status() {
  if running; then echo "$service is up: $(address)"; else echo "$service is down" && return 3; fi
}

serve() {
  # A server must not hold what its starter has open: locks, pipes, listening sockets.
  local fd
  for fd in /proc/self/fd/*; do
    fd="${fd##*/}"
    if [ "$fd" -gt 2 ] && [ "$fd" != 255 ]; then eval "exec $fd>&-"; fi
  done
  export SERVICE_DIR="$dir" SERVICE_PORT="$port"
  case "${1:-}" in
    install | up | down | status) "$1" ;;
    *) fail "usage: $(basename "$script") install|up|down|status" ;;
  esac
}
