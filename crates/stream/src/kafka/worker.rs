//! A worker: reads changes, adds categories, sends sales on by category, and keeps the windows of the partitions it has,
//! all in one thread. It saves every second; what it had not saved when it was killed is read again by whoever takes the
//! partition, and versions see to it that nothing counts twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use sellcast_domain::window::{EventTime, StandingCounts};
use serde::Serialize;
use tracing::{info, warn};

use super::held::{Holder, Holding, Partition};
use super::out::Out;
use super::reader::WorkerReader;
use super::{WorkerError, WorkerSettings};
use crate::debezium::Decoder;
use crate::dimension::Dimension;
use crate::event::Poison;
use crate::intake::{ChangeCounts, address};
use crate::message::{Message, Target};
use crate::state::DeadLetter;

/// Between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Messages that are followed between two looks at the clock.
const BATCH: usize = 2_000;
/// How long the worker waits for a message before it looks at the clock.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// How long Kafka may take to say how far a topic is before it counts as away.
const CONTACT: Duration = Duration::from_secs(2);

/// What a worker has and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// The next offset to read of each partition, by `topic-partition`; what is before it is saved.
    pub positions: BTreeMap<String, i64>,
    /// What the events of the partitions were, summed.
    pub changes: ChangeCounts,
    /// What the rows of the windows came to, summed.
    pub rows: StandingCounts,
    /// Held rows.
    pub held: usize,
    /// True when it has followed all that Kafka has, but for what came in the last moment.
    pub is_level: bool,
}

/// A worker of a group.
pub struct Worker {
    consumer: BaseConsumer<Holder>,
    catalogue: BaseConsumer,
    dimension: Dimension,
    settings: WorkerSettings,
    sales: Decoder,
    products: Decoder,
}

impl Worker {
    /// Connects, reads the categories of all products, and joins the group.
    ///
    /// # Errors
    /// When Kafka cannot be reached or a topic is missing.
    pub fn join(settings: WorkerSettings) -> Result<Self, WorkerError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.brokers).set("group.id", &settings.group);
        config.set("topic.metadata.refresh.interval.ms", "10000");
        let catalogue: BaseConsumer =
            config.clone().set("enable.auto.commit", "false").create().map_err(WorkerError::kafka("make a consumer"))?;
        let partitions = keyed_partitions(&config, &catalogue, &settings)?;
        let out = Out::new(&config, &settings.keyed_topic, partitions)?;
        let consumer: BaseConsumer<Holder> = config
            .clone()
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("max.poll.interval.ms", "600000")
            .create_with_context(Holder::new(settings.clone(), out))
            .map_err(WorkerError::kafka("make a consumer"))?;
        let (sales, products) = (Decoder::sales(&settings.sales), Decoder::products(&settings.products));
        let mut worker = Self { consumer, catalogue, dimension: Dimension::default(), settings, sales, products };
        worker.read_catalogue()?;
        let topics = [&worker.settings.sales_topic, &worker.settings.products_topic, &worker.settings.keyed_topic];
        worker.consumer.subscribe(&topics.map(String::as_str)).map_err(WorkerError::kafka("join the group"))?;
        Ok(worker)
    }

    /// Works until `stop` is set, telling its status after each save, then saves and leaves the group.
    ///
    /// # Errors
    /// When Kafka or the state fails; everything saved until then holds.
    pub fn run(mut self, stop: &AtomicBool, wall: impl Fn() -> EventTime, tell: impl Fn(&WorkerStatus)) -> Result<(), WorkerError> {
        let (mut saved_at, mut is_level) = (Instant::now(), false);
        while !stop.load(Ordering::Relaxed) {
            self.follow_catalogue();
            self.follow_batch()?;
            self.tick(wall())?;
            if saved_at.elapsed() >= SAVE_EVERY {
                let mut holding = self.consumer.context().lock();
                holding.save()?;
                let told = status(&holding);
                drop(holding);
                is_level = self.is_level(&told.positions, if is_level { BATCH as i64 } else { 1 });
                tell(&WorkerStatus { is_level, ..told });
                saved_at = Instant::now();
            }
        }
        self.consumer.context().lock().save()?;
        // Leaving gives the partitions back by the callback, which needs to be polled for.
        self.consumer.unsubscribe();
        let left_at = Instant::now();
        while !self.consumer.context().lock().partitions.is_empty() && left_at.elapsed() < ANSWER {
            self.consumer.poll(PATIENCE);
        }
        self.consumer.context().lock().check()
    }

    /// What the worker's windows are read by while it works.
    pub fn reader(&self) -> WorkerReader {
        WorkerReader::new(Arc::clone(self.consumer.context()))
    }

    /// True when Kafka answers and no held partition has more than `lag` messages that were not followed. What ends a transaction
    /// counts as a message and is never followed.
    fn is_level(&self, positions: &BTreeMap<String, i64>, lag: i64) -> bool {
        let is_near = |(partition, position): (&String, &i64)| {
            let Some((topic, number)) = partition.rsplit_once('-').and_then(|(topic, number)| Some((topic, number.parse().ok()?))) else {
                return false;
            };
            self.catalogue.fetch_watermarks(topic, number, CONTACT).is_ok_and(|(_, end)| end - position <= lag)
        };
        !positions.is_empty() && positions.iter().all(is_near)
    }

    fn follow_batch(&mut self) -> Result<(), WorkerError> {
        let mut wait = PATIENCE;
        let mut out = Vec::new();
        for _ in 0..BATCH {
            let message = self.consumer.poll(wait);
            // Callbacks run inside of `poll` and need what is held, so it is not held over it.
            let mut holding = self.consumer.context().lock();
            holding.check()?;
            let message = match message {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) if is_passing(&error) => break,
                Some(Err(error)) => return Err(WorkerError::kafka("read from Kafka")(error)),
            };
            wait = Duration::ZERO;
            let key = (message.topic().to_owned(), message.partition());
            let Some(partition) = holding.partitions.get_mut(&key).filter(|partition| message.offset() >= partition.position) else {
                continue;
            };
            let followed = follow(&message, partition, &mut self.dimension, [&self.sales, &self.products], &self.settings, &mut out);
            if let Err(poison) = followed {
                let source = format!("{}-{}", key.0, key.1);
                let payload = message.payload().unwrap_or_default().to_vec();
                partition.dead.push(DeadLetter { source, position: message.offset(), reason: poison.to_string(), payload });
            }
            partition.followed_until(message.offset() + 1);
            if !out.is_empty() {
                holding.out.send(&mut out)?;
            }
        }
        Ok(())
    }

    /// Tells the shards how far time has come.
    fn tick(&self, wall: EventTime) -> Result<(), WorkerError> {
        let mut holding = self.consumer.context().lock();
        let mut out = Vec::new();
        for ((topic, number), partition) in &mut holding.partitions {
            if *topic != self.settings.sales_topic {
                continue;
            }
            let is_idle = partition.heard_at.elapsed().as_secs() >= self.settings.watermark.idle_seconds.into();
            partition.intake.tick(wall, is_idle);
            let head = partition.intake.watermark().head();
            // A minute is the smallest tile.
            if head.minute() > partition.told.minute() {
                partition.told = head;
                out.push((Target::All, Message::Clock { source: format!("{topic}-{number}"), head }));
            }
        }
        holding.out.send(&mut out)
    }

    /// Reads the categories of all products there are now.
    fn read_catalogue(&mut self) -> Result<(), WorkerError> {
        let topic = self.settings.products_topic.clone();
        let failed = || WorkerError::kafka(format!("read `{topic}`"));
        let mut list = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for number in partitions_of(&self.catalogue, &topic)?.ok_or_else(|| WorkerError::NoTopic(topic.clone()))? {
            let (begin, end) = self.catalogue.fetch_watermarks(&topic, number, ANSWER).map_err(failed())?;
            list.add_partition_offset(&topic, number, Offset::Offset(begin)).map_err(failed())?;
            if end > begin {
                ends.insert(number, end);
            }
        }
        self.catalogue.assign(&list).map_err(failed())?;
        let mut heard_at = Instant::now();
        while !ends.is_empty() {
            match self.catalogue.poll(PATIENCE) {
                Some(Ok(message)) => {
                    place(&message, &self.products, &mut self.dimension);
                    heard_at = Instant::now();
                    if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                        ends.remove(&message.partition());
                    }
                }
                Some(Err(error)) if !is_passing(&error) => return Err(failed()(error)),
                // A compacted topic may end with offsets that hold nothing.
                _ if heard_at.elapsed() > Duration::from_secs(5) => break,
                _ => {}
            }
        }
        info!(products = self.dimension.len(), "categories of {} products read", self.dimension.len());
        Ok(())
    }

    fn follow_catalogue(&mut self) {
        while let Some(Ok(message)) = self.catalogue.poll(Duration::ZERO) {
            place(&message, &self.products, &mut self.dimension);
        }
    }
}

fn place(message: &BorrowedMessage<'_>, products: &Decoder, dimension: &mut Dimension) {
    // Dead letters are noted by the worker that has the topic's partition in the group.
    if let Ok(change) = products.decode(message.payload().unwrap_or_default()) {
        address(change, sellcast_domain::window::Arrival::InTime, dimension, &mut Vec::new());
    }
}

fn follow(
    message: &BorrowedMessage<'_>,
    partition: &mut Partition,
    dimension: &mut Dimension,
    [sales, products]: [&Decoder; 2],
    settings: &WorkerSettings,
    out: &mut Vec<(Target, Message)>,
) -> Result<(), Poison> {
    let payload = message.payload().unwrap_or_default();
    if let Some(shard) = &mut partition.shard {
        let message = serde_json::from_slice(payload).map_err(|_| Poison::Format("it is no message of this version".to_owned()))?;
        shard.receive(message, out);
        return Ok(());
    }
    let decoder = if message.topic() == settings.sales_topic { sales } else { products };
    let (change, arrival) = partition.intake.judge(decoder.decode(payload))?;
    address(change, arrival, dimension, out);
    Ok(())
}

/// Errors that pass while the client goes on trying: brokers away, connections lost.
fn is_passing(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
    warn!(%error, "Kafka does not answer as it should");
    match error {
        KafkaError::MessageConsumption(code) => matches!(
            code,
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::NetworkException
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
        ),
        _ => false,
    }
}

/// The partitions of the keyed topic, which is made if it is missing.
fn keyed_partitions(config: &ClientConfig, consumer: &BaseConsumer, settings: &WorkerSettings) -> Result<u32, WorkerError> {
    let topic = &settings.keyed_topic;
    if let Some(partitions) = partitions_of(consumer, topic)? {
        return Ok(partitions.len() as u32);
    }
    let failed = || WorkerError::kafka(format!("make the topic `{topic}`"));
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed())?;
    let new = NewTopic::new(topic, settings.keyed_partitions as i32, TopicReplication::Fixed(-1));
    // Another worker may be faster; what counts is that it is there.
    let made = block_on(admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(ANSWER)))).map_err(failed())?;
    info!(topic, made = ?made, "topic {topic} made");
    let started = Instant::now();
    loop {
        match partitions_of(consumer, topic)? {
            Some(partitions) => return Ok(partitions.len() as u32),
            None if started.elapsed() > ANSWER => return Err(WorkerError::NoTopic(topic.clone())),
            None => std::thread::sleep(PATIENCE),
        }
    }
}

/// The numbers of a topic's partitions, or `None` when there is no such topic.
fn partitions_of(consumer: &BaseConsumer, topic: &str) -> Result<Option<Vec<i32>>, WorkerError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(WorkerError::kafka(format!("look up the topic `{topic}`")))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let numbers: Vec<i32> = found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
    Ok((!numbers.is_empty()).then_some(numbers))
}

fn status(holding: &Holding) -> WorkerStatus {
    let mut status = WorkerStatus::default();
    for ((topic, number), partition) in &holding.partitions {
        status.positions.insert(format!("{topic}-{number}"), partition.position);
        status.changes += partition.intake.counts();
        if let Some(shard) = &partition.shard {
            status.rows += shard.book().counts();
            status.held += shard.book().len();
        }
    }
    status
}
