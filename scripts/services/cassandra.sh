#!/usr/bin/env bash
# Apache Cassandra on 127.0.0.1 to 127.0.0.3, from the jars of Maven Central. `up [NODES]` starts three nodes, or so many
# (SERVICE_NODES does the same); `kill N` ends node N by kill -9 and `revive N` starts it again.
# SERVICE_HEAP is the heap of a node (default 384m; a node takes some 300 MB more).
service=cassandra
default_port=9042
. "$(dirname "${BASH_SOURCE[0]}")/lib/service.sh"

version=5.0.9
library="${SELLCAST_SERVICES:-$base/sellcast/services}/cassandra-$version"
nodes="${SERVICE_NODES:-$(cat "$dir/nodes" 2>/dev/null || echo 3)}"

install() {
  need java openjdk-17-jre-headless
  [ -e "$library/complete" ] && return
  need mvn maven
  mkdir -p "$library"
  (
    # Two that install at once: the second waits and finds it done.
    flock 9
    [ -e "$library/complete" ] && exit 0
    say "fetching Cassandra $version from Maven Central"
    cat >"$library/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
  <groupId>sellcast</groupId><artifactId>cassandra</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>$version</version>
  </dependency></dependencies>
</project>
POM
    mvn -B -q -f "$library/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$library/jars" >"$library/mvn.log" 2>&1 ||
      fail "cannot fetch Cassandra: see $library/mvn.log"
    touch "$library/complete"
  ) 9>"$library/lock"
}

# Ports between the nodes lie below those that the system gives to clients.
port_between_nodes() {
  local try
  if [ ! -f "$dir/storage-port" ]; then
    for _ in $(seq 50); do
      try=$((20000 + RANDOM % 10000))
      (exec 3<>"/dev/tcp/127.0.0.1/$try") 2>/dev/null || break
    done
    echo "$try" >"$dir/storage-port"
  fi
  cat "$dir/storage-port"
}

# configure N: what node N is started with. Every node is a seed and the tokens are dealt out, so that all can start at once.
configure() {
  local node="$dir/node$1" seeds='' tokens='' i
  mkdir -p "$node/conf" "$node/data"
  for ((i = 1; i <= nodes; i++)); do seeds="$seeds${seeds:+,}127.0.0.$i"; done
  # The ring has 2^64 places; the sum wraps around on purpose.
  for i in 0 1 2 3; do tokens="$tokens${tokens:+,}$((-9223372036854775807 + (i * nodes + $1 - 1) * (4611686018427387904 / nodes)))"; done
  cat >"$node/conf/cassandra.yaml" <<YAML
cluster_name: sellcast
num_tokens: 4
initial_token: "$tokens"
auto_bootstrap: false
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: GossipingPropertyFileSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "$seeds"
listen_address: 127.0.0.$1
rpc_address: 127.0.0.$1
storage_port: $(port_between_nodes)
native_transport_port: $port
start_native_transport: true
data_file_directories: ["$node/data/sstables"]
commitlog_directory: $node/data/commitlog
saved_caches_directory: $node/data/saved_caches
hints_directory: $node/data/hints
cdc_raw_directory: $node/data/cdc_raw
# A write is acknowledged when it is in the file: periodic lost acknowledged rows of a killed node.
commitlog_sync: batch
commitlog_segment_size: 16MiB
commitlog_total_space: 128MiB
disk_failure_policy: die
commit_failure_policy: die
disk_access_mode: mmap_index_only
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
memtable_allocation_type: heap_buffers
file_cache_size: 32MiB
networking_cache_size: 32MiB
key_cache_size: 8MiB
counter_cache_size: 0MiB
concurrent_reads: 8
concurrent_writes: 16
concurrent_compactors: 1
hinted_handoff_enabled: true
hints_flush_period: 1000ms
read_request_timeout: 5000ms
write_request_timeout: 2000ms
cas_contention_timeout: 1800ms
request_timeout: 10000ms
auto_snapshot: false
YAML
  printf 'dc=dc1\nrack=rack%s\n' "$1" >"$node/conf/cassandra-rackdc.properties"
  cat >"$node/conf/logback.xml" <<XML
<configuration scan="false">
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>$node/system.log</file><append>false</append>
    <encoder><pattern>%-5level %d{HH:mm:ss.SSS} %logger{0} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="file"/></root>
</configuration>
XML
  cat >"$node/conf/java.args" <<ARGS
-Xms${SERVICE_HEAP:-384m}
-Xmx${SERVICE_HEAP:-384m}
-Xss512k
-XX:MaxDirectMemorySize=256m
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:+ExitOnOutOfMemoryError
-XX:-UsePerfData
-javaagent:$(ls "$library"/jars/jamm-*.jar)
-Djava.net.preferIPv4Stack=true
-Djdk.attach.allowAttachSelf=true
-Dio.netty.tryReflectionSetAccessible=true
-Djna.tmpdir=$node/data
-Djava.io.tmpdir=$node/data
-Dlogback.configurationFile=file:$node/conf/logback.xml
-Dcassandra.config=file:$node/conf/cassandra.yaml
-Dcassandra.logdir=$node
-Dcassandra.storagedir=$node/data
-Dcassandra-foreground=yes
-Dcassandra.consistent.rangemovement=false
-Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.ring_delay_ms=3000
--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED
--add-exports=java.base/java.lang.ref=ALL-UNNAMED
--add-exports=java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED
--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED
--add-exports=java.rmi/sun.rmi.server=ALL-UNNAMED
--add-exports=java.sql/java.sql=ALL-UNNAMED
--add-exports=jdk.unsupported/sun.misc=ALL-UNNAMED
--add-exports=jdk.attach/sun.tools.attach=ALL-UNNAMED
--add-opens=java.base/java.lang=ALL-UNNAMED
--add-opens=java.base/java.lang.module=ALL-UNNAMED
--add-opens=java.base/java.lang.reflect=ALL-UNNAMED
--add-opens=java.base/java.util=ALL-UNNAMED
--add-opens=java.base/java.io=ALL-UNNAMED
--add-opens=java.base/java.nio=ALL-UNNAMED
--add-opens=java.base/sun.nio.ch=ALL-UNNAMED
--add-opens=java.base/jdk.internal.loader=ALL-UNNAMED
--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED
--add-opens=java.base/jdk.internal.reflect=ALL-UNNAMED
--add-opens=java.base/jdk.internal.math=ALL-UNNAMED
--add-opens=java.base/jdk.internal.module=ALL-UNNAMED
--add-opens=java.base/jdk.internal.util.jar=ALL-UNNAMED
--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED
ARGS
}

# process N: the process of node N, as long as it is ours.
process() {
  local pid
  pid="$(cat "$dir/node$1/pid" 2>/dev/null)" && { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "@$dir/node$1/conf/java.args" && echo "$pid"
}

begin() {
  configure "$1"
  : >"$dir/node$1/system.log"
  setsid nohup java "@$dir/node$1/conf/java.args" -cp "$dir/node$1/conf:$library/jars/*" \
    org.apache.cassandra.service.CassandraDaemon >"$dir/node$1/console.log" 2>&1 </dev/null &
  echo $! >"$dir/node$1/pid"
  # Until it is java that runs there, it would be taken for dead.
  wait_until 10 process "$1" || true
}

# ready N: it takes requests and sees every other node that runs.
ready() {
  local others=0 i
  (exec 3<>"/dev/tcp/127.0.0.$1/$port") 2>/dev/null || return 1
  for ((i = 1; i <= nodes; i++)); do
    if [ "$i" != "$1" ] && process "$i" >/dev/null; then others=$((others + 1)); fi
  done
  [ "$(grep -o 'InetAddress[^ ]* [^ ]* is now UP' "$dir/node$1/system.log" | sort -u | wc -l)" -ge "$others" ]
}

# await N: until it is ready; at once when it has died.
await() {
  local limit=$((SECONDS + 120))
  until ready "$1"; do
    process "$1" >/dev/null || { tail -n 20 "$dir/node$1/system.log" "$dir/node$1/console.log" >&2; return 1; }
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.2
  done
}

start() {
  local i
  echo "$nodes" >"$dir/nodes"
  for ((i = 1; i <= nodes; i++)); do process "$i" >/dev/null || begin "$i"; done
  for ((i = 1; i <= nodes; i++)); do await "$i" || return 1; done
}

stop() {
  local i pid
  for ((i = 1; i <= nodes; i++)); do if pid="$(process "$i")"; then kill "$pid"; fi; done
  for ((i = 1; i <= nodes; i++)); do
    wait_until 20 gone "$i" || { pid="$(process "$i")" && kill -9 "$pid"; }
  done
}

gone() { ! process "$1"; }

running() {
  local i
  for ((i = 1; i <= nodes; i++)); do if process "$i" >/dev/null; then return 0; fi; done
  return 1
}

address() {
  local i hosts=''
  for ((i = 1; i <= nodes; i++)); do hosts="$hosts${hosts:+,}127.0.0.$i"; done
  echo "cassandra://$hosts:$port/sellcast?replication=$nodes"
}

case "${1:-}" in
  up) nodes="${2:-$nodes}" ;;
  kill | revive)
    [[ "${2:-}" =~ ^[0-9]+$ ]] && [ "$2" -ge 1 ] && [ "$2" -le "$nodes" ] || fail "usage: cassandra.sh $1 N, the number of a node up to $nodes"
    if [ "$1" = kill ]; then
      pid="$(process "$2")" || fail "node $2 does not run"
      kill -9 "$pid"
    else
      process "$2" >/dev/null || begin "$2"
      await "$2" || fail "node $2 does not start: see $dir/node$2"
    fi
    exit
    ;;
esac
serve "$@"
