//! A follower: reads all partitions of the keyed topic, in no group, and keeps the windows of the whole shop beside whoever asks for
//! them. Any number of servers follow, however many workers share the work before them.
//!
//! What it has is saved every second with its positions, in a file of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use sellcast_domain::CategoryId;
use sellcast_domain::window::{BatchTile, Comparison, EventTime, SaleBook};
use tracing::info;

use super::contact::{asker, end_of, is_passing, keyed_partitions, lag_of, partitions_of};
use super::{WorkerError, WorkerSettings};
use crate::message::{Message, Share};
use crate::pipeline::BUNCH;
use crate::shard::Shard;
use crate::state::{Meta, Save, SourceMark, StateFile};

/// Between two saves, and between two questions how far the topic is.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Between two questions how far the workers are, which take longer.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Messages that are followed at a time.
const BATCH: usize = 2_000;
/// How long it waits for a message before it looks at the clock.
const PATIENCE: Duration = Duration::from_millis(50);

/// How far a follower is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerStatus {
    /// All that Kafka had of the sales at this instant is in the windows; none before it has caught up for the first time.
    pub as_of: Option<EventTime>,
    /// Messages followed since it began, but for those that only tell the time.
    pub read: u64,
    /// Messages of Debezium's topics that the workers had not followed and saved, and of the keyed topic that this follower had not, when
    /// Kafka was last asked; none while it does not answer.
    pub lag: Option<u64>,
}

/// The windows that a follower keeps, to be read from any thread while it follows.
#[derive(Clone, Debug)]
pub struct FollowedWindows(Arc<RwLock<Shard>>);

impl FollowedWindows {
    /// Reads the windows; the follower waits meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&SaleBook) -> T) -> T {
        read(self.0.read().unwrap_or_else(PoisonError::into_inner).book())
    }

    /// Says which categories are summed into others, see [`SaleBook::regroup`].
    pub fn regroup(&self, groups: impl IntoIterator<Item = (CategoryId, CategoryId)>) {
        self.write(|shard| shard.book_mut().regroup(groups));
    }

    /// Compares with the warehouse, see [`Shard::compare`]; the follower waits meanwhile.
    pub fn compare(&self, batch: &[BatchTile], between: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).compare(batch, between, read_at)
    }

    /// Makes what a comparison found, see [`Shard::repair`]. It is saved within a second.
    pub fn repair(&self, comparison: &mut Comparison, read_at: DateTime<Utc>) {
        self.write(|shard| shard.repair(comparison, read_at));
    }

    fn write<T>(&self, write: impl FnOnce(&mut Shard) -> T) -> T {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Follows the keyed topic.
pub struct Follower {
    consumer: BaseConsumer,
    ends: BaseConsumer,
    /// Of the workers' group, to ask how far they are.
    workers: BaseConsumer,
    /// The partitions of Debezium's topics.
    sources: Vec<(String, i32)>,
    topic: String,
    state: StateFile,
    windows: FollowedWindows,
    /// The next offset of each partition.
    positions: BTreeMap<i32, i64>,
    /// Up to when each partition of the table of sales was followed by its worker; none until that worker says so.
    levels: BTreeMap<String, Option<EventTime>>,
    status: FollowerStatus,
    is_changed: bool,
}

impl Follower {
    /// Opens the state at `path`, or begins it, and goes on reading where it stopped. The keyed topic is made if it is missing.
    ///
    /// # Errors
    /// When Kafka cannot be reached, one of Debezium's topics is missing, or the state is in use or cannot be read.
    pub fn open(settings: &WorkerSettings, path: &Path) -> Result<Self, WorkerError> {
        let topic = settings.keyed_topic.clone();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.brokers).set("group.id", format!("{}-follower", settings.group));
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        config.set("fetch.wait.max.ms", "50").set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create().map_err(WorkerError::kafka("make a consumer"))?;
        let mut sources = Vec::new();
        for topic in [&settings.sales_topic, &settings.products_topic] {
            let numbers = partitions_of(&consumer, topic)?.ok_or_else(|| WorkerError::NoTopic(topic.clone()))?;
            sources.extend(numbers.into_iter().map(|number| (topic.clone(), number)));
        }
        let partitions = keyed_partitions(&config, &consumer, settings)?;

        let (mut state, meta) = StateFile::open(path)?;
        let mut shard = Shard::new(Share::WHOLE, settings.watermark);
        state.restore(&mut shard, &meta)?;
        let mut positions = BTreeMap::new();
        let mut list = TopicPartitionList::new();
        let failed = || WorkerError::kafka(format!("read `{topic}`"));
        for number in 0..partitions as i32 {
            let saved = meta.sources.get(&format!("{topic}-{number}")).map_or(0, |mark| mark.position);
            let offset = if saved == 0 { Offset::Beginning } else { Offset::Offset(saved) };
            list.add_partition_offset(&topic, number, offset).map_err(failed())?;
            positions.insert(number, saved);
        }
        consumer.assign(&list).map_err(failed())?;
        info!(topic, held = shard.book().len(), "the windows of all {partitions} partitions of {topic} are followed");
        let of_sales = sources.iter().filter(|(topic, _)| *topic == settings.sales_topic);
        let levels = of_sales.map(|(topic, number)| (format!("{topic}-{number}"), None)).collect();
        let (windows, status) = (FollowedWindows(Arc::new(RwLock::new(shard))), FollowerStatus::default());
        let (ends, workers) = (asker(&config)?, asker(config.clone().set("group.id", &settings.group))?);
        Ok(Self { consumer, ends, workers, sources, topic, state, windows, positions, levels, status, is_changed: false })
    }

    /// What it keeps.
    pub fn windows(&self) -> FollowedWindows {
        self.windows.clone()
    }

    /// Follows until `stop` is set, telling its status every second, then saves.
    ///
    /// # Errors
    /// When Kafka or the state fails; everything saved until then holds.
    pub fn run(mut self, stop: &AtomicBool, tell: impl Fn(FollowerStatus)) -> Result<(), WorkerError> {
        let (mut saved_at, mut asked_at, mut of_workers) = (Instant::now(), None, None);
        let mut aim: Option<(EventTime, BTreeMap<i32, i64>)> = None;
        while !stop.load(Ordering::Relaxed) {
            self.follow_batch()?;
            if let Some((at, _)) = aim.take_if(|(_, ends)| ends.iter().all(|(number, end)| self.positions[number] >= *end)) {
                self.status.as_of = self.status.as_of.max(Some(at));
                tell(self.status);
            }
            if saved_at.elapsed() >= SAVE_EVERY {
                self.save()?;
                let ends = self.ends();
                if asked_at.is_none_or(|at: Instant| at.elapsed() >= ASK_EVERY) {
                    (asked_at, of_workers) = (Some(Instant::now()), lag_of(&self.workers, &self.sources));
                }
                let own = ends.as_ref().map(|ends| ends.iter().map(|(number, end)| (end - self.positions[number]).max(0) as u64).sum());
                self.status.lag = own.zip(of_workers).map(|(own, of_workers): (u64, u64)| own + of_workers);
                if aim.is_none() {
                    aim = self.level().zip(ends);
                }
                tell(self.status);
                saved_at = Instant::now();
            }
        }
        self.save()
    }

    fn follow_batch(&mut self) -> Result<(), WorkerError> {
        let (mut messages, mut wait) = (Vec::new(), PATIENCE);
        for _ in 0..BATCH {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    // What cannot be read is a dead letter of the worker that has the partition.
                    messages.extend(message.payload().and_then(|payload| serde_json::from_slice::<Message>(payload).ok()));
                    self.positions.insert(message.partition(), message.offset() + 1);
                    self.is_changed = true;
                }
                Some(Err(error)) if is_passing(&error) => break,
                Some(Err(error)) => return Err(WorkerError::kafka(format!("read `{}`", self.topic))(error)),
            }
            wait = Duration::ZERO;
        }
        if messages.is_empty() {
            return Ok(());
        }
        let (levels, status) = (&mut self.levels, &mut self.status);
        self.windows.write(|shard| {
            // It has all categories, so nothing is to be handed on.
            let (mut out, mut bunch) = (Vec::new(), Vec::with_capacity(BUNCH));
            let mut messages = messages.into_iter();
            loop {
                bunch.extend(messages.by_ref().take(BUNCH));
                if bunch.is_empty() {
                    break;
                }
                shard.book().look_ahead(bunch.iter().filter_map(|message| match message {
                    Message::Sale(sale) => Some((sale.sale, sale.product)),
                    _ => None,
                }));
                for message in bunch.drain(..) {
                    if let Message::Level { source, at } = message {
                        if let Some(level) = levels.get_mut(&source) {
                            *level = (*level).max(Some(at));
                        }
                        continue;
                    }
                    status.read += u64::from(!matches!(message, Message::Clock { .. }));
                    shard.receive(message, &mut out);
                }
            }
        });
        Ok(())
    }

    /// The instant up to which all sales are among the messages that the topic has now, if the windows do not have them yet.
    fn level(&self) -> Option<EventTime> {
        self.levels.values().copied().min().flatten().filter(|at| Some(*at) > self.status.as_of)
    }

    /// The ends of all partitions; `None` while Kafka does not answer.
    fn ends(&self) -> Option<BTreeMap<i32, i64>> {
        self.positions.keys().map(|number| Some((*number, end_of(&self.ends, &self.topic, *number)?))).collect()
    }

    fn save(&mut self) -> Result<(), WorkerError> {
        if !self.is_changed {
            return Ok(());
        }
        let mark = |(number, position): (&i32, &i64)| {
            (format!("{}-{number}", self.topic), SourceMark { position: *position, ..SourceMark::default() })
        };
        let mut meta = Meta { sources: self.positions.iter().map(mark).collect(), ..Meta::default() };
        let state = &mut self.state;
        self.windows.write(|shard| {
            (meta.head, meta.counts) = (shard.book().board().head(), shard.book().counts());
            state.save(Save { meta: &meta, shard: Some(shard), dead: &[] })
        })?;
        self.is_changed = false;
        Ok(())
    }
}
