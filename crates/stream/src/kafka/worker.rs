//! A worker: reads changes, adds categories, sends sales on by category, and keeps the windows of the partitions it has,
//! all in one thread. It saves every second; what it had not saved when it was killed is read again by whoever takes the
//! partition, and versions see to it that nothing counts twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use sellcast_domain::window::{Arrival, EventTime, StandingCounts};
use serde::Serialize;
use tracing::{debug, info};

use super::contact::{ANSWER, asker, is_near, is_passing, keyed_partitions, partitions_of};
use super::held::{Holder, Holding, Partition};
use super::out::Out;
use super::{WorkerError, WorkerSettings};
use crate::debezium::Decoder;
use crate::dimension::Dimension;
use crate::event::{Change, Poison};
use crate::intake::{ChangeCounts, Intake, address};
use crate::message::{Message, Target};
use crate::state::DeadLetter;

/// Between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Messages that are followed between two looks at the clock.
const BATCH: usize = 2_000;
/// How long the worker waits for a message before it looks at the clock.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a worker has and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WorkerStatus {
    /// The next offset to read of each partition, by `topic-partition`; what is before it is saved.
    pub positions: BTreeMap<String, i64>,
    /// What the events of the partitions were, summed.
    pub changes: ChangeCounts,
    /// What the rows of the windows came to, summed.
    pub rows: StandingCounts,
    /// The newest event that was not understood since this worker began: where it stands and why.
    pub newest_poison: Option<String>,
    /// Held rows.
    pub held: usize,
    /// True when it has followed all that Kafka has, but for what came in the last moment.
    pub is_level: bool,
}

/// A worker of a group.
pub struct Worker {
    consumer: BaseConsumer<Holder>,
    catalogue: BaseConsumer,
    ends: BaseConsumer,
    dimension: Dimension,
    settings: WorkerSettings,
    mapping: Mapping,
    newest_poison: Option<String>,
}

/// What the events of Debezium's topics mean.
struct Mapping {
    sales_topic: String,
    sales: Decoder,
    products: Decoder,
}

impl Mapping {
    fn decode(&self, topic: &str, payload: &[u8]) -> Result<Change, Poison> {
        if topic == self.sales_topic { &self.sales } else { &self.products }.decode(payload)
    }
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
            // Without this a worker that has caught up with what was fetched waits a second for more.
            .set("fetch.queue.backoff.ms", "5")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("max.poll.interval.ms", "600000")
            .create_with_context(Holder::new(settings.clone(), out))
            .map_err(WorkerError::kafka("make a consumer"))?;
        let mapping = Mapping {
            sales_topic: settings.sales_topic.clone(),
            sales: Decoder::sales(&settings.sales),
            products: Decoder::products(&settings.products),
        };
        let (ends, dimension) = (asker(&config)?, Dimension::default());
        let mut worker = Self { consumer, catalogue, ends, dimension, settings, mapping, newest_poison: None };
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
            self.try_dead_letters_again()?;
            if saved_at.elapsed() >= SAVE_EVERY {
                let mut holding = self.consumer.context().lock();
                holding.save()?;
                holding.copy_one(&self.settings);
                let (told, saved) = (status(&holding), holding.positions());
                drop(holding);
                self.tell_group(&saved);
                is_level = self.tell_level(&told.positions, if is_level { BATCH as i64 } else { 1 }, wall())?;
                tell(&WorkerStatus { is_level, newest_poison: self.newest_poison.clone(), ..told });
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

    /// Tells Kafka what is saved, for those who look how far the group is: no worker goes on from there. What is not told now, because
    /// the group changes or Kafka is away, is told with the next save.
    fn tell_group(&self, saved: &TopicPartitionList) {
        if let Err(error) = self.consumer.commit(saved, CommitMode::Async) {
            debug!(%error, "Kafka is not told how far this worker is");
        }
    }

    /// Tells whoever follows the keyed topic which partitions of the sales were followed up to now, but for `slack` messages: what ends
    /// a transaction counts as one and is never followed. True when all partitions were.
    fn tell_level(&self, positions: &BTreeMap<String, i64>, slack: i64, at: EventTime) -> Result<bool, WorkerError> {
        let mut near: Vec<&String> = positions.keys().collect();
        near.retain(|partition| {
            let named = partition.rsplit_once('-').and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
            named.is_some_and(|(topic, number)| is_near(&self.ends, topic, number, positions[*partition], slack))
        });
        let is_level = !positions.is_empty() && near.len() == positions.len();
        let sales = format!("{}-", self.settings.sales_topic);
        let level = |source: &String| (Target::Category(None), Message::Level { source: source.clone(), at });
        let mut out = near.into_iter().filter(|partition| partition.starts_with(&sales)).map(level).collect();
        self.consumer.context().lock().out.send(&mut out)?;
        Ok(is_level)
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
            let (payload, judge) = (message.payload().unwrap_or_default(), Intake::judge);
            let followed = follow(&self.mapping, &key.0, payload, partition, &mut self.dimension, &mut out, judge);
            if let Err(poison) = followed {
                let source = format!("{}-{}", key.0, key.1);
                let (position, payload) = (message.offset(), payload.to_vec());
                self.newest_poison = Some(format!("{source} at {position}: {poison}"));
                partition.dead.push(DeadLetter { source, position, reason: poison.to_string(), payload });
            }
            partition.followed_until(message.offset() + 1);
            if !out.is_empty() {
                holding.out.send(&mut out)?;
            }
        }
        Ok(())
    }

    /// Tries the dead letters of partitions that came since the last time: what is understood now is followed and removed.
    fn try_dead_letters_again(&mut self) -> Result<(), WorkerError> {
        let mut holding = self.consumer.context().lock();
        let (mut out, mut understood) = (Vec::new(), Vec::new());
        for (key, partition) in &mut holding.partitions {
            let letters = partition.untried()?;
            let count = letters.len();
            let mut numbers = Vec::new();
            for (number, letter) in letters {
                let again = |intake: &mut Intake, decoded: Result<Change, Poison>| decoded.and_then(|change| intake.judge_again(change));
                let followed = follow(&self.mapping, &key.0, &letter.payload, partition, &mut self.dimension, &mut out, again);
                numbers.extend(followed.is_ok().then_some(number));
            }
            if count > 0 {
                let (topic, number, mended) = (&key.0, key.1, numbers.len());
                info!(topic, partition = number, "{mended} of {count} dead letters of {topic}-{number} are understood now");
            }
            if !numbers.is_empty() {
                partition.changed();
                understood.push((key.clone(), numbers));
            }
        }
        if understood.is_empty() {
            return Ok(());
        }
        // Removed when what follows from them is safe: a crash before that follows them twice, which changes nothing.
        holding.out.send(&mut out)?;
        holding.save()?;
        for (key, numbers) in understood {
            if let Some(partition) = holding.partitions.get_mut(&key) {
                partition.bury(&numbers)?;
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
                    place(&message, &self.mapping.products, &mut self.dimension);
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
            place(&message, &self.mapping.products, &mut self.dimension);
        }
    }
}

fn place(message: &BorrowedMessage<'_>, products: &Decoder, dimension: &mut Dimension) {
    // Dead letters are noted by the worker that has the topic's partition in the group.
    if let Ok(change) = products.decode(message.payload().unwrap_or_default()) {
        address(change, Arrival::InTime, dimension, &mut Vec::new());
    }
}

fn follow(
    mapping: &Mapping,
    topic: &str,
    payload: &[u8],
    partition: &mut Partition,
    dimension: &mut Dimension,
    out: &mut Vec<(Target, Message)>,
    judge: impl FnOnce(&mut Intake, Result<Change, Poison>) -> Result<(Change, Arrival), Poison>,
) -> Result<(), Poison> {
    if let Some(shard) = &mut partition.shard {
        let message = serde_json::from_slice(payload).map_err(|_| Poison::Format("it is no message of this version".to_owned()))?;
        shard.receive(message, out);
        return Ok(());
    }
    let (change, arrival) = judge(&mut partition.intake, mapping.decode(topic, payload))?;
    address(change, arrival, dimension, out);
    Ok(())
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
