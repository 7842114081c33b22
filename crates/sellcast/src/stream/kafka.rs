//! The stream over Kafka: this process follows what the workers of the group write, tells the server the windows of the whole shop,
//! and is one of the workers unless `stream.kafka.worker` says that others do that.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sellcast_domain::window::{BatchTile, Comparison, EventTime, SaleBook, StandingCounts, Sums, WindowKey, WindowSpan, WindowValue};
use sellcast_domain::{CategoryId, GenerationId, SalesProfile};
use sellcast_features::SellingHours;
use sellcast_server::{LiveSales, Reconciliation, Standing};
use sellcast_stream::{ChangeCounts, FollowedWindows, Follower, FollowerStatus, Worker, WorkerError, WorkerSettings, WorkerStatus};
use tokio::runtime::Handle;

use super::progress::Progress;
use super::reconcile::Reconciles;
use super::{Warnings, instant, note_head, selling_hours, warn_of_poison};
use crate::config::KafkaSection;
use crate::engine::Engine;

/// Between two attempts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Follows Kafka.
pub(super) struct Kafka {
    engine: Arc<Engine>,
    settings: WorkerSettings,
    state: PathBuf,
    works: bool,
    /// Absent until it follows.
    windows: RwLock<Option<FollowedWindows>>,
    hours: RwLock<SellingHours>,
    known: Mutex<Option<GenerationId>>,
    status: Mutex<FollowerStatus>,
    /// What the events of the partitions were that the worker of this server has.
    changes: Mutex<ChangeCounts>,
    progress: Progress,
}

impl Kafka {
    pub(super) async fn new(engine: &Arc<Engine>, kafka: &KafkaSection) -> anyhow::Result<Self> {
        Ok(Self {
            engine: engine.clone(),
            settings: kafka.worker(engine.folder.dir(), &engine.config).await?,
            state: engine.folder.stream().join("follower.redb"),
            works: kafka.works(),
            windows: RwLock::new(None),
            hours: RwLock::new(SellingHours::default()),
            known: Mutex::new(None),
            status: Mutex::default(),
            changes: Mutex::default(),
            progress: Progress::new(Duration::from_secs(engine.config.stream.still_after_seconds.into())),
        })
    }

    /// Follows and works until `stop`; failures are told and tried again.
    pub(super) fn run(&self, stop: &AtomicBool) {
        let runtime = Handle::current();
        std::thread::scope(|scope| {
            if self.works {
                scope.spawn(|| {
                    let warnings = Warnings::default();
                    let tell = |status: &WorkerStatus| {
                        warn_of_poison(&warnings, status);
                        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = status.changes;
                    };
                    again_until(stop, "the worker of this server stops", || Worker::join(self.settings.clone())?.run(stop, wall, tell));
                });
            }
            again_until(stop, "the shop's changes cannot be followed", || {
                let follower = Follower::open(&self.settings, &self.state)?;
                self.keep(Some(follower.windows()));
                let followed = follower.run(stop, |status| self.note(status, &runtime));
                self.keep(None);
                followed
            });
        });
    }

    fn keep(&self, windows: Option<FollowedWindows>) {
        *self.windows.write().unwrap_or_else(PoisonError::into_inner) = windows;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn note(&self, status: FollowerStatus, runtime: &Handle) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        self.progress.set(status.read);
        note_head(&self.engine, self.read(|book| book.board().head()));
        if let Some(heard) = status.as_of.and_then(instant) {
            self.progress.reached(heard, heard.min(self.engine.shop_time()));
        }
        // Each publication may have brought other categories and other habits.
        let newest = self.engine.store.current().map(|generation| generation.generation_id);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == newest {
            return;
        }
        let hours = runtime.block_on(selling_hours(&self.engine));
        if let Some(windows) = self.windows.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            windows.regroup(hours.groups.iter().copied());
        }
        *self.hours.write().unwrap_or_else(PoisonError::into_inner) = hours;
        *known = newest;
    }

    fn kept(&self) -> Option<FollowedWindows> {
        self.windows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read<T>(&self, read: impl FnOnce(&SaleBook) -> T) -> Option<T> {
        Some(self.kept()?.read(read))
    }
}

impl Reconciles for Kafka {
    fn begins_at(&self) -> Option<EventTime> {
        self.read(|book| book.board().begins_at())
    }

    fn is_level(&self) -> bool {
        self.progress.standing().as_of.is_some()
    }

    fn reconcile(&self, batch: &[BatchTile], between: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison> {
        let windows = self.kept()?;
        let mut found = windows.compare(batch, between, read_at)?;
        windows.repair(&mut found, read_at);
        // Whoever shows live forecasts makes them anew.
        self.progress.add(found.repairs.len() as u64);
        Some(found)
    }
}

impl LiveSales for Kafka {
    fn standing(&self) -> Standing {
        self.progress.standing()
    }

    fn windows(&self, key: WindowKey) -> Option<[WindowValue; 4]> {
        self.read(|book| WindowSpan::ALL.map(|span| book.board().window(key, span)))
    }

    fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>> {
        self.read(|book| book.sold_since(keys, since))?
    }

    fn rows(&self) -> Option<StandingCounts> {
        self.read(SaleBook::counts)
    }

    fn changes(&self) -> Vec<(&'static str, u64)> {
        if self.works { self.changes.lock().unwrap_or_else(PoisonError::into_inner).named().to_vec() } else { Vec::new() }
    }

    fn lag(&self) -> Option<u64> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).lag
    }

    fn reconciliation(&self) -> Option<Arc<Reconciliation>> {
        self.engine.reconciliation()
    }

    fn profile(&self, category: Option<CategoryId>) -> Arc<SalesProfile> {
        self.hours.read().unwrap_or_else(PoisonError::into_inner).of(category)
    }
}

/// Tries something again until `stop`, and says why it failed.
pub(super) fn again_until(stop: &AtomicBool, what: &str, attempt: impl Fn() -> Result<(), WorkerError>) {
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = attempt() {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "{what}; trying again");
            std::thread::sleep(PATIENCE);
        }
    }
}

/// Now, as windows count it.
pub(super) fn wall() -> EventTime {
    EventTime::try_from(Utc::now().timestamp()).unwrap_or_default()
}
