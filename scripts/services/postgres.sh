#!/usr/bin/env bash
# PostgreSQL on 127.0.0.1, ready for logical decoding and with a certificate of its own. User postgres, password sellcast.
service=postgres
default_port=54321
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"

programs() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n1; }

install() {
  need openssl openssl
  [ -n "$(programs)" ] && [ -x "$(programs)/initdb" ] && return
  # Debian's package would make and start a cluster of its own.
  as_root mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/sellcast.conf >/dev/null
  packages postgresql
}

make() {
  rm -rf "$dir/data"
  owned_folder postgres "$dir/data"
  certificate postgres
  echo sellcast >"$dir/password"
  chmod 644 "$dir/password"
  as_user postgres "$(programs)/initdb" -D "$dir/data" -U postgres --auth=scram-sha-256 --pwfile="$dir/password" \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 || return 1
  # No fsync: what a killed process wrote the system keeps; only a power cut would lose it, and this is no place for dear data.
  cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
wal_level = logical
max_wal_senders = 8
max_replication_slots = 8
fsync = off
ssl = on
ssl_cert_file = '$dir/server.crt'
ssl_key_file = '$dir/server.key'
CONF
  touch "$dir/made"
}

start() {
  [ -f "$dir/made" ] || make || return 1
  touch "$dir/server.log"
  [ "$(id -u)" != 0 ] || chown postgres: "$dir/server.log"
  as_user postgres "$(programs)/pg_ctl" -D "$dir/data" -l "$dir/server.log" -o "-p $port" -w -t 60 start >/dev/null
}

stop() { as_user postgres "$(programs)/pg_ctl" -D "$dir/data" -m fast -w -t 60 stop >/dev/null; }
running() { [ -f "$dir/made" ] && as_user postgres "$(programs)/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; }
gone() { ! running && ! answers; }
address() { echo "postgres://postgres:sellcast@127.0.0.1:$port/postgres"; }

# Ends it as a crash would; what serves its clients sees that and ends too.
if [ "${1:-}" = kill ]; then
  kill -9 "$(head -n1 "$dir/data/postmaster.pid")"
  wait_until 20 gone
  exit
fi

serve "$@"
