#!/usr/bin/env bash
# Apache Kafka (one broker, KRaft) with Kafka Connect and Debezium's connectors for PostgreSQL, MariaDB and MySQL, on 127.0.0.1, from the
# jars of Maven Central. Prints the broker's address and the URL of Connect. Connectors are made by Connect's REST interface.
service=kafka
default_port=59092
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"

# 4.4.0 has no Connect in Maven Central, and Debezium 3.7.1 does not resolve.
kafka_version=4.3.1
debezium_version=3.7.0.Final
# The newest of these connectors that resolve.
mariadb_version=3.4.0.Final
mysql_version=3.6.1.Final
log4j_version=2.25.4
library="${SELLCAST_SERVICES:-$base/sellcast/services}/kafka-$kafka_version-debezium-$debezium_version-$mariadb_version-$mysql_version"

install() {
  need java openjdk-17-jre-headless
  need curl curl
  [ -e "$library/complete" ] && return
  need mvn maven
  mkdir -p "$library"
  (
    # Two that install at once: the second waits and finds it done.
    flock 9
    [ -e "$library/complete" ] && exit 0
    say "fetching Kafka $kafka_version and Debezium $debezium_version from Maven Central"
    fetch kafka "$library/jars" '' "org.apache.kafka:kafka_2.13:$kafka_version" "org.apache.kafka:kafka-tools:$kafka_version" \
      "org.apache.kafka:connect-runtime:$kafka_version" "org.apache.kafka:connect-json:$kafka_version" \
      "org.apache.logging.log4j:log4j-slf4j-impl:$log4j_version"
    # What Connect has itself must not come a second time with the plugin.
    local without=-DexcludeArtifactIds=kafka-clients,connect-api,slf4j-api,lz4-java,snappy-java,zstd-jni
    fetch postgres "$library/plugins/debezium-postgres" "$without" "io.debezium:debezium-connector-postgres:$debezium_version"
    fetch mariadb "$library/plugins/debezium-mariadb" "$without" "io.debezium:debezium-connector-mariadb:$mariadb_version"
    fetch mysql "$library/plugins/debezium-mysql" "$without" "io.debezium:debezium-connector-mysql:$mysql_version"
    touch "$library/complete"
  ) 9>"$library/lock"
}

# fetch NAME FOLDER OPTION ARTIFACT...: the jars of artifacts (group:name:version) and of all that they need.
fetch() {
  local name="$1" folder="$2" option="$3" group artifact version
  shift 3
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>sellcast</groupId>'
    echo "<artifactId>$name</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
    for artifact in "$@"; do
      IFS=: read -r group artifact version <<<"$artifact"
      echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$library/$name.xml"
  mvn -B -q -f "$library/$name.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$folder" ${option:+"$option"} >"$library/$name.log" 2>&1 ||
    fail "cannot fetch $name: see $library/$name.log"
}

# inner_port NAME: a port of this server's own, kept over restarts; below those that the system gives to clients.
inner_port() {
  local try
  if [ ! -s "$dir/$1-port" ]; then
    for _ in $(seq 50); do
      try=$((20000 + RANDOM % 10000))
      (exec 3<>"/dev/tcp/127.0.0.1/$try") 2>/dev/null || break
    done
    echo "$try" >"$dir/$1-port"
  fi
  cat "$dir/$1-port"
}

configure() {
  local controller connect
  controller="$(inner_port controller)"
  connect="$(inner_port connect)"
  mkdir -p "$dir/conf" "$dir/logs"
  cat >"$dir/conf/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
default.replication.factor=1
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A broker that was killed may register again only when its old session has run out.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
CONF
  cat >"$dir/conf/connect.properties" <<CONF
bootstrap.servers=127.0.0.1:$port
group.id=connect
listeners=http://127.0.0.1:$connect
plugin.path=$library/plugins
plugin.discovery=service_load
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
offset.flush.interval.ms=1000
session.timeout.ms=6000
heartbeat.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
topic.creation.enable=true
producer.linger.ms=5
producer.batch.size=131072
producer.compression.type=lz4
CONF
  cat >"$dir/conf/log4j2.properties" <<'CONF'
appender.c.type=Console
appender.c.name=c
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.c.ref=c
CONF
}

# launch NAME HEAP CLASS ARGUMENT...: a Java program in the background, its process id in NAME.pid, its output in logs/NAME.log.
launch() {
  local name="$1" heap="$2"
  shift 2
  setsid java "-Xmx$heap" -XX:+UseSerialGC -Djava.awt.headless=true "-Dlog4j2.configurationFile=$dir/conf/log4j2.properties" \
    -cp "$library/jars/*" "$@" </dev/null >>"$dir/logs/$name.log" 2>&1 &
  echo $! >"$dir/$name.pid"
}

start() {
  configure
  if [ ! -f "$dir/data/meta.properties" ]; then
    java -Xmx128m -XX:+UseSerialGC "-Dlog4j2.configurationFile=$dir/conf/log4j2.properties" -cp "$library/jars/*" kafka.tools.StorageTool \
      format --standalone -t "$(head -c16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d =)" -c "$dir/conf/server.properties" \
      >"$dir/logs/format.log" 2>&1 || return 1
  fi
  alive kafka || launch kafka 512m kafka.Kafka "$dir/conf/server.properties"
  wait_until 60 answers || return 1
  alive connect || launch connect 512m org.apache.kafka.connect.cli.ConnectDistributed "$dir/conf/connect.properties"
  # Connect answers once it has read its topics from Kafka.
  wait_until 120 curl -sf -m 5 "$(connect_url)/connectors"
}

stop() {
  end connect
  end kafka
}

# end NAME: asks it to end, and kills it when it does not.
end() {
  local pid
  pid="$(cat "$dir/$1.pid" 2>/dev/null)" || return 0
  kill "$pid" 2>/dev/null || true
  wait_until 30 gone "$pid" || kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/$1.pid"
}

gone() { ! kill -0 "$1"; }
alive() { [ -s "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }
# One of the two alone is not enough, and `up` starts the other.
running() { alive kafka && alive connect; }
partly() { alive kafka || alive connect; }
connect_url() { echo "http://127.0.0.1:$(cat "$dir/connect-port")"; }
address() { echo "127.0.0.1:$port $(connect_url)"; }

# kill kafka|connect: ends one of the two as a crash would.
if [ "${1:-}" = kill ]; then
  pid="$(cat "$dir/${2:-}.pid" 2>/dev/null)" || fail "usage: kafka.sh kill kafka|connect, of which one runs"
  kill -9 "$pid"
  wait_until 20 gone "$pid"
  exit
fi

serve "$@"
