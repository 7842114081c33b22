#!/usr/bin/env bash
# MariaDB on 127.0.0.1, with a binary log by row and a certificate of its own. User and password sellcast.
service=mariadb
default_port=33061
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"
. "$(dirname "${BASH_SOURCE[0]}")/lib/pid_file.sh"

install() {
  need openssl openssl
  # The core package has the server's programs and starts nothing.
  PATH="$PATH:/usr/sbin" need mariadbd mariadb-server-core
  # What makes the database needs this program of the clients' package.
  need my_print_defaults mariadb-client-core
}

make() {
  local user
  user="$(account)"
  rm -rf "$dir/data"
  owned_folder "$user" "$dir/data"
  certificate "$user"
  # Only an account with a password may come in; the nameless one would win over it from this machine.
  cat >"$dir/init.sql" <<'SQL'
delete from mysql.global_priv where user in ('', 'root');
flush privileges;
create user if not exists sellcast@'%' identified by 'sellcast';
grant all on *.* to sellcast@'%' with grant option;
SQL
  chmod 644 "$dir/init.sql"
  mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db \
    ${as_root_user[@]+"${as_root_user[@]}"} >"$dir/install.log" 2>&1 || return 1
  touch "$dir/made"
}

# The Debian package of the whole server makes an account of its own.
account() {
  if [ "$(id -u)" != 0 ]; then id -un; elif id mysql >/dev/null 2>&1; then echo mysql; else echo nobody; fi
}

start() {
  as_root_user=()
  [ "$(id -u)" != 0 ] || as_root_user=(--user="$(account)")
  [ -f "$dir/made" ] || make || return 1
  setsid /usr/sbin/mariadbd --no-defaults --datadir="$dir/data" --port="$port" --bind-address=127.0.0.1 --socket="$dir/data/socket" \
    --pid-file="$dir/data/pid" --init-file="$dir/init.sql" --log-error="$dir/data/server.log" --server-id=1 --log-bin=binlog \
    --binlog-format=ROW --binlog-row-image=FULL --character-set-server=utf8mb4 --innodb-flush-log-at-trx-commit=2 \
    --innodb-buffer-pool-size=64M --performance-schema=OFF --ssl-cert="$dir/server.crt" --ssl-key="$dir/server.key" \
    ${as_root_user[@]+"${as_root_user[@]}"} </dev/null >/dev/null 2>&1 &
  # The pid file is written when the server is ready and has run the init file.
  wait_until 60 test -s "$dir/data/pid" && wait_until 10 answers
}

address() { echo "mysql://sellcast:sellcast@127.0.0.1:$port"; }

serve "$@"
