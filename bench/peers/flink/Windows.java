import java.time.Duration;
import java.util.*;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.*;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.*;
import org.apache.flink.metrics.reporter.*;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.*;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The windows of sellcast's stream as a job of Apache Flink, in a cluster inside this program: measures how fast it follows the first
 * events of a topic with its state saved every second. The last line is one JSON object.
 *
 * <p>Usage: {@code Windows BROKERS TOPIC FOLDER EVENTS [hashmap|rocksdb]}. Events are the sales with an id below EVENTS; they stand first
 * in every partition, and others that follow them are not read.
 */
public final class Windows {
    private static final int PARALLELISM = 2;
    private static final Duration LIMIT = Duration.ofMinutes(30);
    /** Sliding windows: name, slide, size. */
    private static final String[][] SPANS = {
        {"hour", "'1' MINUTE", "'1' HOUR"}, {"quarter", "'1' HOUR", "'6' HOUR"}, {"day", "'1' HOUR", "'1' DAY"}, {"week", "'1' HOUR", "'7' DAY"},
    };

    public static void main(String[] arguments) throws Exception {
        if (arguments.length < 4) {
            throw new IllegalArgumentException("usage: Windows BROKERS TOPIC FOLDER EVENTS [hashmap|rocksdb]");
        }
        String brokers = arguments[0], topic = arguments[1], folder = arguments[2];
        String backend = arguments.length > 4 ? arguments[4] : "hashmap";
        SortedMap<Integer, Long> ends = ends(brokers, topic, Long.parseLong(arguments[3]));
        long events = ends.values().stream().mapToLong(Long::longValue).sum();

        StreamTableEnvironment tables = StreamTableEnvironment.create(StreamExecutionEnvironment.getExecutionEnvironment(settings(folder, backend)));
        tables.executeSql(source(brokers, topic, ends));
        StatementSet all = tables.createStatementSet();
        for (String key : new String[] {"product", "category"}) {
            for (String[] span : SPANS) {
                String sink = key + "_" + span[0];
                tables.executeSql("CREATE TABLE " + sink + " (id BIGINT, ends TIMESTAMP(3), quantity BIGINT, amount DECIMAL(38, 2), sales BIGINT)"
                    + " WITH ('connector' = 'blackhole')");
                all.addInsertSql("INSERT INTO " + sink + " SELECT " + key + ", window_end, SUM(quantity), SUM(amount), COUNT(*) FROM TABLE(HOP("
                    + "TABLE sales, DESCRIPTOR(sold_at), INTERVAL " + span[1] + ", INTERVAL " + span[2] + ")) GROUP BY window_start, window_end, " + key);
            }
        }
        if (System.getenv("FLINK_EXPLAIN") != null) {
            System.err.println(all.explain());
        }

        long submitted = System.nanoTime();
        TableResult job = all.execute();
        long first = 0, tell = System.nanoTime();
        while (Eyes.read() < events) {
            if (first == 0 && Eyes.read() > 0) {
                first = System.nanoTime();
            }
            if (job.getJobClient().get().getJobStatus().get().isGloballyTerminalState() || System.nanoTime() - submitted > LIMIT.toNanos()) {
                throw new IllegalStateException("the job ended or took too long at " + Eyes.read() + " of " + events + " events");
            }
            if (System.nanoTime() > tell) {
                System.err.printf("Flink has read %d of %d events after %.0f s, state saved %d times%n", Eyes.read(), events, (System.nanoTime() - submitted) / 1e9, Eyes.checkpoints());
                tell = System.nanoTime() + 10_000_000_000L;
            }
            Thread.sleep(20);
        }
        long last = System.nanoTime();
        long saved = Eyes.checkpoints();
        double total = (last - submitted) / 1e9, running = (last - first) / 1e9;
        System.out.printf(Locale.ROOT,
            "{\"peer_name\": \"Apache Flink %s\", \"peer\": %.0f, \"without_start\": %.0f, \"events\": %d, \"seconds\": %.1f, \"checkpoints\": %d, \"state\": \"%s\"}%n",
            EnvironmentInformation.getVersion(), events / total, events / running, events, total, saved, backend);
        System.out.flush();
        // What is left of the job fires the windows of the week to come, which no stream would do yet.
        Runtime.getRuntime().halt(0);
    }

    private static Configuration settings(String folder, String backend) {
        return Configuration.fromMap(Map.ofEntries(
            Map.entry("parallelism.default", "" + PARALLELISM),
            Map.entry("pipeline.object-reuse", "true"),
            Map.entry("state.backend.type", backend),
            Map.entry("state.backend.incremental", "true"),
            Map.entry("execution.checkpointing.interval", "1s"),
            Map.entry("execution.checkpointing.storage", "filesystem"),
            Map.entry("execution.checkpointing.dir", "file://" + folder),
            Map.entry("taskmanager.memory.network.min", "256m"),
            Map.entry("taskmanager.memory.network.max", "256m"),
            Map.entry("taskmanager.memory.managed.size", "1g"),
            Map.entry("table.local-time-zone", "UTC"),
            Map.entry("table.optimizer.agg-phase-strategy", "TWO_PHASE"),
            Map.entry("metrics.reporters", "eyes"),
            Map.entry("metrics.reporter.eyes.factory.class", Eyes.class.getName())));
    }

    private static String source(String brokers, String topic, SortedMap<Integer, Long> ends) {
        StringJoiner offsets = new StringJoiner(";");
        ends.forEach((partition, end) -> offsets.add("partition:" + partition + ",offset:" + end));
        return "CREATE TABLE sales (`after` ROW<product_id BIGINT, category_id BIGINT, quantity BIGINT, total_price DECIMAL(12, 2), occurred_at TIMESTAMP_LTZ(3)>,"
            + " product AS `after`.product_id, category AS `after`.category_id, quantity AS `after`.quantity, amount AS `after`.total_price,"
            + " sold_at AS `after`.occurred_at, WATERMARK FOR sold_at AS sold_at - INTERVAL '10' MINUTE) WITH ('connector' = 'kafka',"
            + " 'topic' = '" + topic + "', 'properties.bootstrap.servers' = '" + brokers + "', 'scan.startup.mode' = 'earliest-offset',"
            + " 'scan.bounded.mode' = 'specific-offsets', 'scan.bounded.specific-offsets' = '" + offsets + "',"
            + " 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601')";
    }

    /** Where the sales with an id below {@code events} end in each partition: ids rise in it. */
    private static SortedMap<Integer, Long> ends(String brokers, String topic, long events) {
        Map<String, Object> properties = Map.of("bootstrap.servers", brokers, "max.poll.records", 1, "fetch.max.bytes", 4096, "max.partition.fetch.bytes", 4096);
        SortedMap<Integer, Long> ends = new TreeMap<>();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.partitionsFor(topic).forEach(partition -> {
                TopicPartition place = new TopicPartition(topic, partition.partition());
                long low = 0, high = consumer.endOffsets(List.of(place)).get(place);
                while (low < high) {
                    long middle = (low + high) / 2;
                    if (id(consumer, place, middle) < events) {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                ends.put(partition.partition(), low);
            });
        }
        return ends;
    }

    private static long id(KafkaConsumer<String, String> consumer, TopicPartition place, long offset) {
        consumer.assign(List.of(place));
        consumer.seek(place, offset);
        for (int attempt = 0; attempt < 30; attempt++) {
            for (ConsumerRecord<String, String> event : consumer.poll(Duration.ofSeconds(1))) {
                Matcher id = Pattern.compile("\"after\":\\{\"id\":(\\d+)").matcher(event.value());
                if (!id.find()) {
                    throw new IllegalStateException("no sale at " + place + ", offset " + offset);
                }
                return Long.parseLong(id.group(1));
            }
        }
        throw new IllegalStateException("no answer from " + place);
    }

    /** Flink's own metrics, seen from within: what the source has read and how often the state was saved. */
    public static final class Eyes implements MetricReporterFactory, MetricReporter {
        private static final Set<Counter> SOURCES = ConcurrentHashMap.newKeySet();
        private static volatile Gauge<?> saved;

        static long read() {
            return SOURCES.stream().mapToLong(Counter::getCount).sum();
        }

        static long checkpoints() {
            return saved == null ? 0 : ((Number) saved.getValue()).longValue();
        }

        @Override
        public MetricReporter createMetricReporter(Properties properties) {
            return this;
        }

        @Override
        public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group) {
            String operator = group.getAllVariables().getOrDefault("<operator_name>", "");
            if (name.equals("numRecordsIn") && operator.startsWith("Source")) {
                SOURCES.add((Counter) metric);
            } else if (name.equals("numberOfCompletedCheckpoints")) {
                saved = (Gauge<?>) metric;
            }
        }

        @Override
        public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {}

        @Override
        public void open(MetricConfig config) {}

        @Override
        public void close() {}
    }
}
