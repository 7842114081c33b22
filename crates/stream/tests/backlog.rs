//! Workers of the real chain with much before them: the group changes in the middle of a snapshot, and a worker is slower than what comes.
//! Afterwards every window equals a batch over the source, to the cent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use sellcast_domain::window::WatermarkSettings;
use sellcast_stream::{Follower, FollowerStatus};
use sellcast_testkit::{Program, until};
use tokio::time::sleep;

use crate::chain::{Chain, LIMIT, TOPICS, settings, topics_are_there};
use crate::faults::{ends, records};

const ROWS: u32 = 300_000;

/// Messages of the table of sales that Kafka has.
fn written(chain: &Chain) -> Result<i64> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", chain.brokers()).create()?;
    Ok(ends(&consumer, TOPICS[0])?.elements().iter().filter_map(|partition| partition.offset().to_raw()).sum())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_when_workers_join_and_die_while_a_snapshot_comes() -> Result<()> {
    let chain = Chain::start(ROWS).await?;
    // Debezium makes the topic of a table with its first row.
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", chain.brokers()).create()?;
    let topics = [0, 1].map(|topic| NewTopic::new(TOPICS[topic], 4, TopicReplication::Fixed(1)));
    admin.create_topics(&topics, &AdminOptions::new().operation_timeout(Some(LIMIT))).await?;
    until("the topics", LIMIT, || async { topics_are_there(chain.brokers()) }).await?;
    let (mut one, mut two) = (chain.worker("one")?, chain.worker("two")?);
    let has_some = |name: &'static str| chain.saved(&[name]).is_some_and(|saved| !saved.is_empty());
    until("the partitions to be shared", LIMIT, || async { has_some("one") && has_some("two") }).await?;
    chain.connect_slowly("first").await?;
    until("rows of the snapshot", LIMIT, || async { written(&chain).is_ok_and(|written| written > 1_000) }).await?;
    one.kill_9().await?;
    let mut three = chain.worker("three")?;
    until("a third worker", LIMIT, || async { has_some("three") }).await?;
    let shared_at = written(&chain)?;
    ensure!(shared_at < i64::from(ROWS), "the snapshot was over when its partitions were shared anew");
    chain.settle(&["two", "three"]).await?;
    for worker in [&mut two, &mut three] {
        ensure!(worker.terminate(LIMIT).await?.success(), "{}", worker.stderr());
    }
    chain.check_follower(WatermarkSettings::default()).await?;
    chain.check(WatermarkSettings::default()).await
}

/// What is put before the worker, and what it may take of the memory.
const BACKLOG_BYTES: usize = 600 << 20;
const MEMORY_BYTES: u64 = 300 << 20;

/// The most memory that a program has had.
fn peak(program: &Program) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id().context("it has ended")?))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// Writes the messages of a topic into it again and again; they change nothing. Tells how many were written.
fn repeat(brokers: &str, topic: &str) -> Result<u64> {
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "20").create()?;
    let (records, mut bytes, mut count) = (records(brokers, topic)?, 0, 0);
    for (partition, key, payload) in records.iter().cycle().filter(|(.., payload)| payload.is_some()) {
        if bytes >= BACKLOG_BYTES {
            break;
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(*partition);
        (record.key, record.payload) = (key.as_deref(), payload.as_deref());
        bytes += payload.as_ref().map_or(0, Vec::len);
        count += 1;
        while let Err((error, again)) = producer.send(record) {
            ensure!(error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), error);
            producer.poll(Duration::from_millis(20));
            record = again;
        }
    }
    producer.flush(LIMIT)?;
    Ok(count)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_worker_that_is_slower_than_what_comes_keeps_its_memory_and_its_lag_is_told() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let watermark = WatermarkSettings::default();
    chain.disturb().await?;
    chain.settle(&["one"]).await?;

    let (stop, most, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
    let following = {
        let (stop, most, newest) = (stop.clone(), most.clone(), newest.clone());
        let (settings, path) = (settings(chain.brokers(), chain.dir.path(), watermark), chain.dir.join("beside.redb"));
        tokio::task::spawn_blocking(move || {
            let tell = |status: FollowerStatus| {
                let Some(lag) = status.lag else { return };
                most.fetch_max(lag, Ordering::Relaxed);
                newest.store(lag, Ordering::Relaxed);
            };
            Follower::open(&settings, &path)?.run(&stop, tell)
        })
    };
    let brokers = chain.brokers().to_owned();
    let mut repeating = tokio::task::spawn_blocking(move || repeat(&brokers, TOPICS[0]));
    // It works a fifth of the time.
    let repeated = loop {
        one.signal("STOP").await?;
        sleep(Duration::from_millis(400)).await;
        one.signal("CONT").await?;
        tokio::select! {
            repeated = &mut repeating => break repeated??,
            () = sleep(Duration::from_millis(100)) => {}
        }
    };
    for _ in 0..20 {
        one.signal("STOP").await?;
        sleep(Duration::from_millis(400)).await;
        one.signal("CONT").await?;
        sleep(Duration::from_millis(100)).await;
    }
    until("the lag to be told", LIMIT, || async { most.load(Ordering::Relaxed) > repeated / 4 }).await?;
    chain.settle(&["one"]).await?;
    // What workers tell followers every second comes after it.
    until("the lag to be gone", LIMIT, || async { newest.load(Ordering::Relaxed) <= 16 }).await?;
    let peak = peak(&one)?;
    ensure!(peak < MEMORY_BYTES, "{peak} bytes with {BACKLOG_BYTES} before it");
    stop.store(true, Ordering::Relaxed);
    following.await??;

    ensure!(one.terminate(LIMIT).await?.success(), "{}", one.stderr());
    chain.check_follower(watermark).await?;
    chain.check(watermark).await
}
