//! The stream without services: the table of changes in the shop's SQLite database, followed by this process.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use sellcast_domain::window::{
    BatchTile, Comparison, EventTime, StandingCounts, Sums, WatermarkSettings, WindowKey, WindowSpan, WindowValue,
};
use sellcast_domain::{CategoryId, GenerationId, SalesProfile};
use sellcast_features::SellingHours;
use sellcast_server::{LiveSales, Reconciliation, Standing};
use sellcast_stream::{Outbox, OutboxQueries, Pipeline};
use tokio::runtime::Handle;

use super::progress::Progress;
use super::reconcile::Reconciles;
use super::{Warnings, note_head, selling_hours, shop_time};
use crate::config::OutboxSection;
use crate::engine::Engine;

/// Changes that are followed between two looks at the clock.
const BATCH: u32 = 5_000;
/// Between two saves.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// Between two attempts after a failure, and while the shop's clock is not known.
const PATIENCE: Duration = Duration::from_secs(1);

/// Follows the outbox of a shop.
pub(super) struct Embedded {
    engine: Arc<Engine>,
    database: PathBuf,
    queries: OutboxQueries,
    /// Absent until it is opened, and while it reads what stands in the tables.
    pipeline: RwLock<Option<Pipeline>>,
    hours: RwLock<SellingHours>,
    progress: Progress,
    warnings: Warnings,
}

impl Embedded {
    pub(super) fn new(engine: &Arc<Engine>, section: &OutboxSection) -> anyhow::Result<Self> {
        let of_source = || engine.config.source.as_ref().and_then(|source| source.url.clone());
        let url = section.url.clone().or_else(of_source).unwrap_or_default();
        let Some(path) = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path)) else {
            bail!(
                "`stream.outbox` follows a SQLite database: name it as `stream.outbox.url = \"sqlite:shop.db\"`; other databases need `stream.kafka`"
            );
        };
        Ok(Self {
            engine: engine.clone(),
            database: engine.folder.dir().join(path.split_once('?').map_or(path, |(path, _)| path)),
            queries: section.queries(),
            pipeline: RwLock::new(None),
            hours: RwLock::new(SellingHours::default()),
            progress: Progress::new(Duration::from_secs(engine.config.stream.still_after_seconds.into())),
            warnings: Warnings::default(),
        })
    }

    /// Follows until `stop`; failures are told and tried again.
    pub(super) fn run(&self, stop: &AtomicBool) {
        let (runtime, mut is_told) = (Handle::current(), false);
        while !stop.load(Ordering::Relaxed) {
            if shop_time(&self.engine).is_none() {
                std::thread::sleep(PATIENCE / 4);
                continue;
            }
            let began = Instant::now();
            if let Err(error) = self.follow(stop, &runtime) {
                // Told once of a fault that lasts.
                if !is_told || began.elapsed() > 10 * PATIENCE {
                    tracing::warn!(error = format!("{error:#}"), "the shop's changes cannot be followed; trying again");
                    is_told = true;
                }
                std::thread::sleep(PATIENCE);
            }
        }
        if let Some(pipeline) = self.pipeline.write().unwrap_or_else(PoisonError::into_inner).as_mut()
            && let Err(error) = pipeline.save()
        {
            tracing::warn!(%error, "the stream's last second is not saved and will be read again");
        }
    }

    fn follow(&self, stop: &AtomicBool, runtime: &Handle) -> anyhow::Result<()> {
        let outbox = runtime.block_on(Outbox::open(&self.database, self.queries.clone()))?;
        let (mut saved_at, mut is_changed, mut known) = (Instant::now(), true, None);
        let pause = Duration::from_millis(self.engine.config.stream.poll_milliseconds.into());
        self.open(&outbox, runtime)?;
        while !stop.load(Ordering::Relaxed) {
            self.regroup(&mut known, runtime);
            let Some(now) = shop_time(&self.engine) else { return Ok(()) };
            let position = self.read(Outbox::position).context("the stream is closed")?;
            let changes = runtime.block_on(outbox.changes(position, BATCH))?;
            let count = changes.len();
            self.write(|pipeline| {
                changes.follow(pipeline);
                pipeline.tick(event_time(now), count == 0);
            });
            let head = note_head(&self.engine, self.read(|pipeline| pipeline.book().board().head()));
            if count < BATCH as usize {
                // The clock that past data tells has gone on with the sales just read; what came since `now` is not read.
                self.progress.caught_up(head.map_or(now, |head| head.min(self.engine.shop_time()).max(now)));
            }
            self.progress.add(count as u64);
            if count > 0 {
                self.read(|pipeline| self.warnings.tell(Outbox::counts(pipeline).poison, pipeline.newest_poison().unwrap_or_default()));
            }
            is_changed |= count > 0;
            if count < BATCH as usize {
                std::thread::sleep(pause);
            }
            if is_changed && saved_at.elapsed() >= SAVE_EVERY {
                self.write(Pipeline::save).transpose()?;
                (saved_at, is_changed) = (Instant::now(), false);
            }
        }
        Ok(())
    }

    /// Opens the state, and the first time reads everything that stands in the tables.
    fn open(&self, outbox: &Outbox, runtime: &Handle) -> anyhow::Result<()> {
        if self.read(|_| ()).is_some() {
            return Ok(());
        }
        let settings = WatermarkSettings { lateness_seconds: self.engine.config.stream.lateness_seconds, ..WatermarkSettings::default() };
        let mut pipeline = Pipeline::open(&self.engine.folder.stream().join("outbox.redb"), settings)?;
        if Outbox::position(&pipeline) == 0 {
            let rows = runtime.block_on(outbox.snapshot(&mut pipeline))?;
            pipeline.save()?;
            tracing::info!(rows, "the shop's sales of the last days are read");
        }
        self.warnings.begin_at(Outbox::counts(&pipeline).poison);
        if !pipeline.state().dead_letters()?.is_empty() {
            let gone = runtime.block_on(outbox.try_again(&mut pipeline))?;
            tracing::info!(gone, left = pipeline.state().dead_letters()?.len(), "changes that were not understood are read again");
        }
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = Some(pipeline);
        Ok(())
    }

    /// Each publication may have brought other categories and other habits.
    fn regroup(&self, known: &mut Option<GenerationId>, runtime: &Handle) {
        let newest = self.engine.store.current().map(|generation| generation.generation_id);
        if *known == newest && known.is_some() {
            return;
        }
        let hours = runtime.block_on(selling_hours(&self.engine));
        self.write(|pipeline| pipeline.regroup(hours.groups.iter().copied()));
        *self.hours.write().unwrap_or_else(PoisonError::into_inner) = hours;
        *known = newest;
    }

    fn read<T>(&self, read: impl FnOnce(&Pipeline) -> T) -> Option<T> {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    fn write<T>(&self, write: impl FnOnce(&mut Pipeline) -> T) -> Option<T> {
        self.pipeline.write().unwrap_or_else(PoisonError::into_inner).as_mut().map(write)
    }
}

impl Reconciles for Embedded {
    fn begins_at(&self) -> Option<EventTime> {
        self.read(|pipeline| pipeline.book().board().begins_at())
    }

    fn is_level(&self) -> bool {
        self.progress.standing().as_of.is_some()
    }

    fn reconcile(&self, batch: &[BatchTile], between: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison> {
        let mut found = self.read(|pipeline| pipeline.compare(batch, between, read_at))??;
        if let Some(Err(error)) = self.write(|pipeline| pipeline.repair(&mut found, read_at)) {
            tracing::warn!(%error, "the repaired windows are not saved yet");
        }
        self.progress.add(found.repairs.len() as u64);
        Some(found)
    }
}

impl LiveSales for Embedded {
    fn standing(&self) -> Standing {
        self.progress.standing()
    }

    fn windows(&self, key: WindowKey) -> Option<[WindowValue; 4]> {
        self.read(|pipeline| WindowSpan::ALL.map(|span| pipeline.book().board().window(key, span)))
    }

    fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>> {
        self.read(|pipeline| pipeline.book().sold_since(keys, since))?
    }

    fn rows(&self) -> Option<StandingCounts> {
        self.read(|pipeline| pipeline.book().counts())
    }

    fn changes(&self) -> Vec<(&'static str, u64)> {
        self.read(|pipeline| Outbox::counts(pipeline).named().to_vec()).unwrap_or_default()
    }

    fn lag(&self) -> Option<u64> {
        None
    }

    fn reconciliation(&self) -> Option<Arc<Reconciliation>> {
        self.engine.reconciliation()
    }

    fn profile(&self, category: Option<CategoryId>) -> Arc<SalesProfile> {
        self.hours.read().unwrap_or_else(PoisonError::into_inner).of(category)
    }
}

fn event_time(at: chrono::DateTime<chrono::Utc>) -> EventTime {
    EventTime::try_from(at.timestamp()).unwrap_or_default()
}
