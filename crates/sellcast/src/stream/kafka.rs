//! The stream over Kafka: this process joins the group of workers, and tells the server what it keeps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use chrono::Utc;
use sellcast_domain::window::{EventTime, Sums, WindowBoard, WindowKey, WindowValue};
use sellcast_domain::{CategoryId, GenerationId, SalesProfile};
use sellcast_features::SellingHours;
use sellcast_server::{LiveSales, Standing};
use sellcast_stream::{Worker, WorkerReader, WorkerSettings, WorkerStatus};
use tokio::runtime::Handle;

use super::progress::Progress;
use super::selling_hours;
use crate::engine::Engine;

/// Between two attempts to join.
const PATIENCE: Duration = Duration::from_secs(3);

/// A worker of the group within the server's process.
pub(super) struct Joined {
    engine: Arc<Engine>,
    settings: WorkerSettings,
    /// Absent until it has joined.
    reader: RwLock<Option<WorkerReader>>,
    hours: RwLock<SellingHours>,
    known: Mutex<Option<GenerationId>>,
    progress: Progress,
}

impl Joined {
    pub(super) fn new(engine: &Arc<Engine>, settings: WorkerSettings) -> Self {
        Self {
            engine: engine.clone(),
            settings,
            reader: RwLock::new(None),
            hours: RwLock::new(SellingHours::default()),
            known: Mutex::new(None),
            progress: Progress::new(Duration::from_secs(engine.config.stream.still_after_seconds.into())),
        }
    }

    /// Works until `stop`; failures are told and tried again.
    pub(super) fn run(&self, stop: &AtomicBool) {
        let runtime = Handle::current();
        while !stop.load(Ordering::Relaxed) {
            let worked = Worker::join(self.settings.clone()).and_then(|worker| {
                *self.reader.write().unwrap_or_else(PoisonError::into_inner) = Some(worker.reader());
                worker.run(stop, wall, |status| self.note(status, &runtime))
            });
            *self.reader.write().unwrap_or_else(PoisonError::into_inner) = None;
            self.known.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Err(error) = worked {
                tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "the shop's changes cannot be followed; trying again");
                std::thread::sleep(PATIENCE);
            }
        }
    }

    fn note(&self, status: &WorkerStatus, runtime: &Handle) {
        let changes = status.changes;
        self.progress.set(changes.snapshot + changes.written + changes.deleted + changes.products + status.rows.applied);
        if status.is_level {
            self.progress.caught_up(Utc::now());
        }
        // Each publication may have brought other categories and other habits.
        let newest = self.engine.store.current().map(|generation| generation.generation_id);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == newest {
            return;
        }
        let hours = runtime.block_on(selling_hours(&self.engine));
        if let Some(reader) = self.reader.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            reader.regroup(hours.groups.clone());
        }
        *self.hours.write().unwrap_or_else(PoisonError::into_inner) = hours;
        *known = newest;
    }
}

impl LiveSales for Joined {
    fn standing(&self) -> Standing {
        self.progress.standing()
    }

    fn windows(&self, key: WindowKey) -> Option<[WindowValue; 4]> {
        self.reader.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.read(|books| {
            let boards: Vec<&WindowBoard> = books.iter().map(|book| book.board()).collect();
            WindowBoard::windows_of_all(&boards, key)
        })
    }

    fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>> {
        self.reader.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.read(|books| {
            let mut sold = vec![Sums::NONE; keys.len()];
            for book in books {
                for (sum, share) in sold.iter_mut().zip(book.sold_since(keys, since)?) {
                    *sum += share;
                }
            }
            Some(sold)
        })?
    }

    fn profile(&self, category: CategoryId) -> Arc<SalesProfile> {
        self.hours.read().unwrap_or_else(PoisonError::into_inner).of(category)
    }
}

/// Now, as windows count it.
pub(super) fn wall() -> EventTime {
    EventTime::try_from(Utc::now().timestamp()).unwrap_or_default()
}
