//! The partitions that a worker has at the moment, each with its state file. Partitions come and go in the callbacks
//! of the consumer group: a partition that comes is opened and read from its saved position on, one that goes is saved and
//! closed first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use sellcast_domain::window::EventTime;
use tracing::{error, info};

use super::out::Out;
use super::{WorkerError, WorkerSettings};
use crate::intake::Intake;
use crate::message::Share;
use crate::shard::Shard;
use crate::state::{DeadLetter, Meta, Save, SourceMark, StateError, StateFile};

/// How long the worker before may take to save and close a partition.
const HANDOVER: Duration = Duration::from_secs(60);

/// A partition of the topics.
pub(super) struct Partition {
    pub(super) intake: Intake,
    /// The next offset to read.
    pub(super) position: i64,
    /// Windows, if it is one of the keyed topic.
    pub(super) shard: Option<Shard>,
    pub(super) dead: Vec<DeadLetter>,
    /// The last time a message came.
    pub(super) heard_at: Instant,
    /// The latest time that was told to the shards.
    pub(super) told: EventTime,
    /// Dead letters of earlier workers that this one has not tried: the mapping may be another now.
    untried: bool,
    state: StateFile,
    is_changed: bool,
}

impl Partition {
    fn open(topic: &str, number: i32, settings: &WorkerSettings, shares: u32) -> Result<Self, StateError> {
        let (mut state, meta) = open_when_free(&settings.state_folder.join(format!("{topic}-{number}.redb")))?;
        let mut shard = None;
        if topic == settings.keyed_topic {
            let mut made = Shard::new(Share { index: number.unsigned_abs(), count: shares }, settings.watermark);
            state.restore(&mut made, &meta)?;
            shard = Some(made);
        }
        let SourceMark { position, watermark, counts } = meta.sources.values().next().cloned().unwrap_or_default();
        let intake = Intake::resume(settings.watermark, watermark, counts);
        let told = EventTime::default();
        Ok(Self { intake, position, shard, dead: Vec::new(), heard_at: Instant::now(), told, untried: true, state, is_changed: false })
    }

    /// Notes that everything before `position` was followed.
    pub(super) fn followed_until(&mut self, position: i64) {
        self.position = position;
        self.heard_at = Instant::now();
        self.is_changed = true;
    }

    /// The dead letters of earlier workers with their numbers, the first time it is asked.
    pub(super) fn untried(&mut self) -> Result<Vec<(u64, DeadLetter)>, StateError> {
        if std::mem::take(&mut self.untried) { self.state.dead_letters() } else { Ok(Vec::new()) }
    }

    /// Removes dead letters that were understood after all.
    pub(super) fn bury(&mut self, numbers: &[u64]) -> Result<(), StateError> {
        self.state.bury(numbers)
    }

    /// Notes that there is something to save.
    pub(super) fn changed(&mut self) {
        self.is_changed = true;
    }

    fn save(&mut self, source: &str) -> Result<(), StateError> {
        if !self.is_changed {
            return Ok(());
        }
        let mark = SourceMark { position: self.position, watermark: self.intake.watermark(), counts: self.intake.counts() };
        let mut meta = Meta { sources: BTreeMap::from([(source.to_owned(), mark)]), ..Meta::default() };
        if let Some(shard) = &self.shard {
            meta.head = shard.book().board().head();
            meta.counts = shard.book().counts();
        }
        self.state.save(Save { meta: &meta, shard: self.shard.as_mut(), dead: &self.dead })?;
        self.dead.clear();
        self.is_changed = false;
        Ok(())
    }
}

/// The worker before may still be saving it.
fn open_when_free(path: &Path) -> Result<(StateFile, Meta), StateError> {
    let started = Instant::now();
    loop {
        match StateFile::open(path) {
            Err(StateError::InUse(_)) if started.elapsed() < HANDOVER => sleep(Duration::from_millis(50)),
            opened => return opened,
        }
    }
}

/// What a worker holds.
pub(super) struct Holding {
    /// By topic and number.
    pub(super) partitions: BTreeMap<(String, i32), Partition>,
    pub(super) out: Out,
    /// Why a callback failed; the worker then stops.
    failed: Option<WorkerError>,
}

impl Holding {
    /// Saves every partition that changed, once all that follows from the changes has reached Kafka.
    pub(super) fn save(&mut self) -> Result<(), WorkerError> {
        let mut messages = Vec::new();
        for shard in self.partitions.values_mut().filter_map(|partition| partition.shard.as_mut()) {
            shard.settle(&mut messages);
        }
        self.out.send(&mut messages)?;
        self.out.flush()?;
        for ((topic, number), partition) in &mut self.partitions {
            partition.save(&format!("{topic}-{number}"))?;
        }
        Ok(())
    }

    /// Whether a callback failed.
    pub(super) fn check(&mut self) -> Result<(), WorkerError> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

/// The context of the consumer: what it holds, and the callbacks that change that.
pub(super) struct Holder {
    holding: Mutex<Holding>,
    settings: WorkerSettings,
}

impl Holder {
    pub(super) fn new(settings: WorkerSettings, out: Out) -> Self {
        Self { holding: Mutex::new(Holding { partitions: BTreeMap::new(), out, failed: None }), settings }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), WorkerError> {
        let mut holding = self.lock();
        let shares = holding.out.partitions();
        for (topic, number) in named(list) {
            let partition = Partition::open(&topic, number, &self.settings, shares)?;
            let held = partition.shard.as_ref().map_or(0, |shard| shard.book().len());
            info!(topic, partition = number, position = partition.position, held, "partition {topic}-{number} taken");
            let offset = if partition.position == 0 { Offset::Beginning } else { Offset::Offset(partition.position) };
            list.set_partition_offset(&topic, number, offset).map_err(WorkerError::kafka(format!("start reading `{topic}`")))?;
            holding.partitions.insert((topic, number), partition);
        }
        consumer.incremental_assign(list).map_err(WorkerError::kafka("take partitions"))
    }

    fn give(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), WorkerError> {
        let mut holding = self.lock();
        let saved = holding.save();
        for (topic, number) in named(list) {
            info!(topic, partition = number, "partition {topic}-{number} given back");
            holding.partitions.remove(&(topic, number));
        }
        consumer.incremental_unassign(list).map_err(WorkerError::kafka("give partitions back"))?;
        saved
    }
}

fn named(list: &TopicPartitionList) -> Vec<(String, i32)> {
    list.elements().iter().map(|element| (element.topic().to_owned(), element.partition())).collect()
}

impl ClientContext for Holder {}

impl ConsumerContext for Holder {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.take(consumer, list),
            _ => self.give(consumer, list),
        };
        if let Err(failure) = done {
            error!(error = %failure, "the partitions of the group cannot change hands");
            self.lock().failed.get_or_insert(failure);
        }
    }
}
