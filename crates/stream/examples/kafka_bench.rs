//! Measures the stream over a real Kafka: how fast a worker follows Debezium's topics with its state saved, and how long a sale takes
//! from being sent to Kafka to the window of a follower while five thousand a second come. The last line is one JSON object.
//!
//! Usage: `kafka_bench BROKERS FOLDER [EVENTS] [SECONDS]`. Topics are made anew and must not be there.

#[path = "shared/events.rs"]
mod events;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use sellcast_domain::ProductId;
use sellcast_domain::window::{EventTime, WatermarkSettings, WindowKey, WindowSpan};
use sellcast_stream::{FollowedWindows, Follower, ProductColumns, SaleColumns, Worker, WorkerSettings};

use events::{PRODUCTS, placed, product, sold, sold_at};

const SALES: &str = "bench.public.transactions";
const CATALOGUE: &str = "bench.public.products";
const PARTITIONS: i32 = 4;
/// Sales a second while a window's delay is measured.
const RATE: u64 = 5_000;
/// Between two sales whose delay is measured, each of a product that nobody else buys.
const PROBE_EVERY: Duration = Duration::from_millis(20);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, folder] = [0, 1].map(|place| arguments.get(place).context("usage: kafka_bench BROKERS FOLDER [EVENTS] [SECONDS]"));
    let (brokers, folder) = (brokers?, PathBuf::from(folder?));
    let number = |place: usize, default: u64| arguments.get(place).map_or(Ok(default), |text| text.parse().context("a number is expected"));
    let (events, seconds) = (number(2, 2_000_000)?, number(3, 30)?);
    let settings = WorkerSettings {
        brokers: brokers.clone(),
        group: "bench".to_owned(),
        sales_topic: SALES.to_owned(),
        products_topic: CATALOGUE.to_owned(),
        keyed_topic: "bench.sales".to_owned(),
        keyed_partitions: PARTITIONS as u32,
        state_folder: folder.clone(),
        snapshots: None,
        sales: SaleColumns::default(),
        products: ProductColumns::default(),
        watermark: WatermarkSettings::default(),
    };
    let topics = Topics::make(brokers)?;
    for product in 0..PRODUCTS {
        topics.send(CATALOGUE, product, &placed(product))?;
    }
    for n in 0..events {
        topics.send(SALES, n, &sold(n))?;
    }
    topics.flush()?;

    let following = follow_all(&settings, events)?;
    eprintln!("{events} events in {following:.2?}: read, keyed by category, read again, in windows, saved");
    let mut delays = delays(&topics, &settings, &folder, events, seconds)?;
    delays.sort();
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1_000.0;
    eprintln!(
        "{} sales among {RATE} a second reach a window after {:.1} ms (p50), {:.1} ms (p99), {:.1} ms at most",
        delays.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let rounded = |value: f64| (value * 10.0).round() / 10.0;
    let line = serde_json::json!({
        "bench": "kafka", "unit": "events/s", "ours": (events as f64 / following.as_secs_f64()).round(), "target": 100_000, "peer": null,
        "delay_ms": {"p50": rounded(at(0.5)), "p99": rounded(at(0.99)), "most": rounded(at(1.0)), "target_p99": 250, "sales": delays.len(), "rate": RATE},
    });
    say(&line.to_string());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench is a program of the command line")]
fn say(line: &str) {
    println!("{line}");
}

/// Debezium's topics, to write to.
struct Topics(ThreadedProducer<rdkafka::producer::DefaultProducerContext>);

impl Topics {
    fn make(brokers: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let new = [SALES, CATALOGUE].map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
        for made in block_on(admin.create_topics(&new, &AdminOptions::new()))? {
            made.map_err(|(topic, code)| anyhow::anyhow!("cannot make `{topic}`: {code}"))?;
        }
        config.set("linger.ms", "5").set("acks", "all").set("compression.type", "none");
        Ok(Self(config.create()?))
    }

    /// Rows of one key stay in order.
    fn send(&self, topic: &str, key: u64, event: &[u8]) -> Result<()> {
        let key = key.to_string();
        let mut record = BaseRecord::to(topic).key(&key).payload(event);
        while let Err((error, refused)) = self.0.send(record) {
            ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), error);
            record = refused;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        Ok(self.0.flush(Duration::from_secs(120))?)
    }
}

/// How long a worker takes from joining until all events are in windows that are saved.
fn follow_all(settings: &WorkerSettings, events: u64) -> Result<Duration> {
    let started = Instant::now();
    let stop = AtomicBool::new(false);
    Worker::join(settings.clone())?.run(&stop, wall, |status| stop.store(status.rows.applied >= events, Ordering::Relaxed))?;
    Ok(started.elapsed())
}

/// How long sales take to a follower's window while others come.
fn delays(topics: &Topics, settings: &WorkerSettings, folder: &std::path::Path, events: u64, seconds: u64) -> Result<Vec<Duration>> {
    let stop = AtomicBool::new(false);
    let (ready, is_ready) = (AtomicBool::new(false), |ready: &AtomicBool| ready.load(Ordering::Relaxed));
    std::thread::scope(|scope| {
        let worker = Worker::join(settings.clone())?;
        let follower = Follower::open(settings, &folder.join("follower.redb"))?;
        let windows = follower.windows();
        let working = scope.spawn(|| worker.run(&stop, wall, |_| {}));
        let following = scope.spawn(|| follower.run(&stop, |status| ready.store(status.as_of.is_some(), Ordering::Relaxed)));
        while !is_ready(&ready) && !working.is_finished() && !following.is_finished() {
            std::thread::sleep(PROBE_EVERY);
        }
        let crowd = scope.spawn(|| crowd(topics, events, seconds));
        let measured = probe(topics, &windows, events * 2, seconds);
        stop.store(true, Ordering::Relaxed);
        for thread in [working, following] {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        crowd.join().map_err(|_| anyhow::anyhow!("the crowd panicked"))??;
        measured
    })
}

/// Sells `RATE` a second.
fn crowd(topics: &Topics, first: u64, seconds: u64) -> Result<()> {
    let started = Instant::now();
    for n in 0..RATE * seconds {
        topics.send(SALES, first + n, &sold_at(first + n, product(n, PRODUCTS), now()))?;
        let due = Duration::from_secs_f64(n as f64 / RATE as f64);
        if n % 50 == 0 {
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
    }
    Ok(())
}

/// Sells products that nobody else buys, one after the other, and waits for each to be in its window.
fn probe(topics: &Topics, windows: &FollowedWindows, first: u64, seconds: u64) -> Result<Vec<Duration>> {
    let mut delays = Vec::new();
    let began = Instant::now();
    // The first second warms up.
    for n in 0_u64.. {
        if began.elapsed().as_secs() >= seconds.saturating_sub(1) {
            break;
        }
        let product = PRODUCTS + n;
        let key = WindowKey::Product(ProductId::from(product as i64));
        let sent = Instant::now();
        topics.send(SALES, first + n, &sold_at(first + n, product, now()))?;
        while windows.read(|book| book.board().window(key, WindowSpan::Hour).transactions) == 0 {
            ensure!(sent.elapsed() < Duration::from_secs(30), "a sale did not come to its window");
            std::thread::sleep(Duration::from_millis(1));
        }
        if began.elapsed().as_secs() >= 1 {
            delays.push(sent.elapsed());
        }
        std::thread::sleep(PROBE_EVERY);
    }
    ensure!(!delays.is_empty(), "nothing was measured: give it more seconds");
    Ok(delays)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

fn wall() -> EventTime {
    EventTime::try_from(now()).unwrap_or_default()
}
