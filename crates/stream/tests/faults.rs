//! Servers of the real chain are killed or away in mid-stream, a worker is paused, its disk is full, its clock is wrong, and changes come
//! in another order. Each time every window of a follower equals a batch over the source afterwards, to the cent, and at the end those of
//! the workers do.

use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use sellcast_domain::window::{EventTime, WatermarkSettings};
use sellcast_stream::{ProductColumns, SaleColumns, Worker, WorkerError, WorkerSettings};
use sellcast_testkit::{Program, until};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::chain::{Chain, LIMIT, TOPICS, followed, worker_program};

/// Longer than Kafka lets a worker be silent.
const PAUSE: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);
/// Seconds.
const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_servers_are_killed_or_away() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();

    // The broker is killed and away for a minute, while the shop goes on selling.
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "kafka"])?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    sleep(MINUTE).await;
    chain.kafka.restart()?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // Connect is killed.
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "connect"])?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.kafka.restart()?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // The database is killed.
    chain.sell(300, "interval '1 second'").await?;
    chain.postgres.service().expect(&["kill"])?;
    chain.postgres.service().restart()?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // A worker is paused for so long that the other takes its place, and then goes on: it must not undo what the other did.
    let mut two = chain.worker("two")?;
    until("the partitions to be shared", LIMIT, || async { chain.saved(&["two"]).is_some_and(|saved| !saved.is_empty()) }).await?;
    chain.sell(300, "interval '1 second'").await?;
    one.signal("STOP").await?;
    chain.sell(300, "interval '1 second'").await?;
    sleep(PAUSE).await;
    one.signal("CONT").await?;
    chain.disturb().await?;
    chain.settle(&["one", "two"]).await?;
    chain.check_follower(settings).await?;

    // A third worker joins while a second connector takes its snapshot, and everything is killed at once in the middle of it.
    chain.connect("second").await?;
    let mut three = chain.worker("three")?;
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "connect"])?;
    chain.kafka.expect(&["kill", "kafka"])?;
    one.kill_9().await?;
    two.kill_9().await?;
    chain.postgres.service().expect(&["kill"])?;
    chain.postgres.service().restart()?;
    chain.kafka.restart()?;
    chain.sell(300, "interval '1 second'").await?;
    chain.has_all("three").await?;
    chain.settle(&["three"]).await?;
    ensure!(three.terminate(LIMIT).await?.success(), "{}", three.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await
}

/// A worker that cannot write a file beyond `kibibytes`: writing further fails as on a full disk.
fn cramped(chain: &Chain, name: &str, kibibytes: u64) -> Result<Program> {
    let program = worker_program()?;
    let script = format!("trap '' XFSZ; ulimit -f {kibibytes}; exec \"$0\" \"$@\"");
    let (program, status) = (program.to_str().context("no text")?, chain.status_file(name));
    let arguments = ["-c", &script, program, chain.brokers(), "shop", "state", status.to_str().context("no text")?];
    Program::start("bash", name, chain.dir.path(), arguments)
}

fn ensure_it_told_of_a_full_disk(worker: &Program, status: ExitStatus) -> Result<()> {
    let said = worker.stderr();
    let is_told = ["no room on the disk", "`state/", "free some space"].iter().all(|words| said.contains(words));
    ensure!(!status.success() && is_told && !said.contains("panicked"), "{status}: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_the_disk_of_a_worker_was_full() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();
    chain.settle(&["one"]).await?;
    ensure!(one.terminate(LIMIT).await?.success(), "{}", one.stderr());
    let mut kibibytes = 0;
    for file in std::fs::read_dir(chain.dir.join("state"))? {
        kibibytes = kibibytes.max(file?.metadata()?.len() / 1024);
    }

    let mut full = cramped(&chain, "full", kibibytes)?;
    let mut ended = None;
    for _ in 0..30 {
        chain.sell(20_000, "interval '1 second'").await?;
        ended = full.wait(Duration::from_secs(5)).await.ok();
        if ended.is_some() {
            break;
        }
    }
    ensure_it_told_of_a_full_disk(&full, ended.context("the disk never was full")?)?;

    // It is started again while there is no room yet, and goes on where there is.
    chain.disturb().await?;
    let mut again = cramped(&chain, "again", kibibytes)?;
    let status = again.wait(LIMIT).await?;
    ensure_it_told_of_a_full_disk(&again, status)?;
    let mut roomy = chain.worker("roomy")?;
    chain.has_all("roomy").await?;
    chain.settle(&["roomy"]).await?;
    ensure!(roomy.terminate(LIMIT).await?.success(), "{}", roomy.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// A worker in this process whose clock is wrong and whose partitions are idle soon.
struct WrongClock {
    seconds_ahead: Arc<AtomicI64>,
    /// Events that were not understood, sales from the future among them.
    poison: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<Result<(), WorkerError>>>,
}

impl WrongClock {
    fn start(chain: &Chain, name: &str, watermark: WatermarkSettings, seconds_ahead: i64) -> Self {
        let settings = WorkerSettings {
            brokers: chain.brokers().to_owned(),
            group: "sellcast".to_owned(),
            sales_topic: TOPICS[0].to_owned(),
            products_topic: TOPICS[1].to_owned(),
            keyed_topic: TOPICS[2].to_owned(),
            keyed_partitions: 4,
            state_folder: chain.dir.join("state"),
            snapshots: None,
            sales: SaleColumns::default(),
            products: ProductColumns::default(),
            watermark,
        };
        let (seconds_ahead, poison, stop) = (Arc::new(AtomicI64::new(seconds_ahead)), Arc::new(AtomicU64::new(0)), Arc::default());
        let (ahead, told, halt, file) = (seconds_ahead.clone(), poison.clone(), Arc::clone(&stop), chain.status_file(name));
        let clock = move || EventTime::try_from(now() + ahead.load(Ordering::Relaxed)).unwrap_or_default();
        let work = tokio::task::spawn_blocking(move || {
            Worker::join(settings)?.run(&halt, clock, |status| {
                told.store(status.changes.poison, Ordering::Relaxed);
                let unfinished = file.with_extension("unfinished");
                let bytes = serde_json::to_vec(status).expect("JSON");
                std::fs::write(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, &file)).expect("a status");
            })
        });
        Self { seconds_ahead, poison, stop, work: Some(work) }
    }

    fn jump(&self, seconds_ahead: i64) {
        self.seconds_ahead.store(seconds_ahead, Ordering::Relaxed);
    }

    async fn end(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.work.take().context("it ended already")?.await??)
    }
}

impl Drop for WrongClock {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_clocks_jump_and_while_partitions_are_silent() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings { idle_seconds: 2, ..WatermarkSettings::default() };
    chain.settle(&["one"]).await?;
    ensure!(one.terminate(LIMIT).await?.success(), "{}", one.stderr());

    // Changes of one sale: three of the four partitions have none.
    let odd = WrongClock::start(&chain, "odd", settings, 0);
    chain.has_all("odd").await?;
    for _ in 0..20 {
        chain.sql("update transactions set quantity = quantity + 1, total_price = 7.77 where id = 1").await?;
    }
    chain.settle(&["odd"]).await?;
    chain.check_follower(settings).await?;

    // A day ahead and the partitions idle, so that the windows move on, and then two days back.
    odd.jump(DAY);
    chain.sell(200, "interval '1 second'").await?;
    chain.settle(&["odd"]).await?;
    sleep(Duration::from_secs(5)).await;
    chain.sell(200, "interval '1 second'").await?;
    chain.settle(&["odd"]).await?;
    chain.check_follower(settings).await?;
    let head = followed(chain.brokers(), chain.dir.path(), settings).await?.book().board().head();
    ensure!(i64::from(head.seconds()) > now() + DAY / 2, "the windows end at {head:?}");
    odd.jump(-DAY);
    chain.sell(200, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.settle(&["odd"]).await?;
    chain.check_follower(settings).await?;
    ensure!(odd.poison.load(Ordering::Relaxed) == 0, "a clock that is put back makes nothing a sale from the future");
    odd.end().await?;
    chain.check(settings).await?;

    // To a clock that is slow from the start, sales are from the future: they wait until a worker has the right one.
    let slow = WrongClock::start(&chain, "slow", settings, -DAY);
    chain.has_all("slow").await?;
    chain.sell(200, "interval '1 second'").await?;
    chain.settle(&["slow"]).await?;
    ensure!(slow.poison.load(Ordering::Relaxed) >= 200, "{:?} dead letters", slow.poison);
    slow.end().await?;
    let mut right = chain.worker("right")?;
    chain.has_all("right").await?;
    chain.settle(&["right"]).await?;
    ensure!(right.terminate(LIMIT).await?.success(), "{}", right.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await
}

/// Where a topic's partitions end.
pub(crate) fn ends(consumer: &BaseConsumer, topic: &str) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..4 {
        let (_, end) = consumer.fetch_watermarks(topic, partition, LIMIT)?;
        list.add_partition_offset(topic, partition, Offset::Offset(end))?;
    }
    Ok(list)
}

pub(crate) type Record = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

/// All messages of a topic as they lie in its partitions, each with its partition.
pub(crate) fn records(brokers: &str, topic: &str) -> Result<Vec<Record>> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..4 {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut records, mut finished) = (Vec::new(), 0);
    while finished < 4 {
        match consumer.poll(LIMIT).context("Kafka is silent")? {
            Ok(message) => records.push((message.partition(), message.key().map(<[u8]>::to_vec), message.payload().map(<[u8]>::to_vec))),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => finished += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(records)
}

fn is_of_snapshot(payload: Option<&[u8]>) -> bool {
    let event: Option<Value> = payload.and_then(|bytes| serde_json::from_slice(bytes).ok());
    event.is_some_and(|event| event["op"] == "r")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_when_changes_come_the_last_first() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();
    chain.sell(500, "interval '1 second'").await?;
    chain
        .sql(
            "update transactions set total_price = 1.11, quantity = 2 where id > 2000 and id % 3 = 1;
             update transactions set product_id = 1 + product_id % 60 where id > 2000 and id % 5 = 2;
             delete from transactions where id > 2000 and id % 7 = 3;
             update products set category_id = (category_id + 1) % 7 where id % 5 = 0;
             update products set category_id = (category_id + 2) % 7 where id % 4 = 0;
             delete from products where id = 60;",
        )
        .await?;
    chain.settle(&["one"]).await?;
    ensure!(one.terminate(LIMIT).await?.success(), "{}", one.stderr());

    // What Debezium wrote after its snapshots is taken out of the topics and put into them again, the last first; all that workers and
    // the follower had is gone.
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", chain.brokers());
    let consumer: BaseConsumer = config.create()?;
    let (admin, producer): (AdminClient<DefaultClientContext>, BaseProducer) = (config.create()?, config.create()?);
    let mut turned = 0;
    for topic in TOPICS {
        let records = if topic == TOPICS[2] { Vec::new() } else { records(chain.brokers(), topic)? };
        admin.delete_records(&ends(&consumer, topic)?, &AdminOptions::new()).await?;
        let (mut snapshot, mut changes): (Vec<Record>, Vec<Record>) =
            records.into_iter().partition(|record| is_of_snapshot(record.2.as_deref()));
        turned += changes.len();
        changes.reverse();
        snapshot.append(&mut changes);
        for (partition, key, payload) in &snapshot {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(*partition);
            record.key = key.as_deref();
            record.payload = payload.as_deref();
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(LIMIT)?;
    }
    ensure!(turned > 800, "{turned} changes");
    std::fs::remove_dir_all(chain.dir.join("state"))?;

    let mut two = chain.worker("two")?;
    chain.has_all("two").await?;
    chain.settle(&["two"]).await?;
    ensure!(two.terminate(LIMIT).await?.success(), "{}", two.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await
}
