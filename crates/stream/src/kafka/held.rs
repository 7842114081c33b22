//! The partitions that a worker has at the moment, each with its state file. Partitions come and go in the callbacks
//! of the consumer group: a partition that comes is opened and read from its saved position on, one that goes is saved and
//! closed first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use object_store::path::Path as ObjectPath;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use sellcast_domain::window::EventTime;
use tracing::{error, info, warn};

use super::out::Out;
use super::snapshots::{Copying, Snapshots, Source};
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
    /// The newest copy for other machines, and when it was begun.
    copied: (i64, Instant),
    path: PathBuf,
    state: StateFile,
    is_changed: bool,
}

impl Partition {
    fn open(topic: &str, number: i32, settings: &WorkerSettings, shares: u32) -> Result<Self, StateError> {
        let path = settings.state_folder.join(format!("{topic}-{number}.redb"));
        let (mut state, mut meta) = open_when_free(&path)?;
        if let Some(snapshots) = &settings.snapshots
            && is_behind(snapshots, &copies_of(settings, topic, number), &path, position_of(&meta))
        {
            // Closed first: it is another file now.
            drop(state);
            (state, meta) = open_when_free(&path)?;
        }
        let copied = (position_of(&meta), Instant::now());
        let mut shard = None;
        if topic == settings.keyed_topic {
            let mut made = Shard::new(Share { index: number.unsigned_abs(), count: shares }, settings.watermark);
            state.restore(&mut made, &meta)?;
            shard = Some(made);
        }
        let SourceMark { position, watermark, counts } = meta.sources.values().next().cloned().unwrap_or_default();
        let intake = Intake::resume(settings.watermark, watermark, counts);
        let told = EventTime::default();
        let heard_at = Instant::now();
        Ok(Self { intake, position, shard, dead: Vec::new(), heard_at, told, untried: true, copied, path, state, is_changed: false })
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

    fn is_copy_due(&self, every: Duration) -> bool {
        !self.is_changed && self.position > self.copied.0 && self.copied.1.elapsed() >= every
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

fn position_of(meta: &Meta) -> i64 {
    meta.sources.values().next().map_or(0, |mark| mark.position)
}

/// Where the copies of a partition's state lie.
fn copies_of(settings: &WorkerSettings, topic: &str, number: i32) -> ObjectPath {
    ObjectPath::from(format!("{}/{topic}-{number}", settings.group))
}

/// True when a worker of another machine was further, and its state is at `path` now.
fn is_behind(snapshots: &Snapshots, copies: &ObjectPath, path: &Path, position: i64) -> bool {
    match snapshots.fetch(copies, path, position) {
        Ok(fetched) => {
            if let Some(fetched) = fetched {
                info!(%copies, position, fetched, "the state of {copies} is taken over from another machine");
            }
            fetched.is_some()
        }
        Err(error) => {
            warn!(%error, position, "the copies of {copies} cannot be read; this worker goes on from what it has itself");
            false
        }
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
    copying: Option<Copying>,
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

    /// Begins a copy for other machines of the partition whose copy is the oldest, if it is due. To be called when all is saved.
    pub(super) fn copy_one(&mut self, settings: &WorkerSettings) {
        let Some(copying) = self.copying.as_mut() else { return };
        let due = self.partitions.iter_mut().filter(|(_, partition)| partition.is_copy_due(copying.every()));
        let Some(((topic, number), partition)) = due.min_by_key(|(_, partition)| partition.copied.1) else { return };
        if !copying.is_free() {
            return;
        }
        partition.copied = (partition.position, Instant::now());
        let source = Source { folder: copies_of(settings, topic, *number), path: &partition.path, position: partition.position };
        if let Err(error) = copying.begin(&source) {
            warn!(%error, "`{}` cannot be copied for other machines", partition.path.display());
        }
    }

    /// How far the partitions are followed.
    pub(super) fn positions(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for ((topic, number), partition) in &self.partitions {
            // Fails for offsets that no partition has.
            let _ = list.add_partition_offset(topic, *number, Offset::Offset(partition.position));
        }
        list
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
        let copying = settings.snapshots.clone().map(Copying::new);
        Self { holding: Mutex::new(Holding { partitions: BTreeMap::new(), out, copying, failed: None }), settings }
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
