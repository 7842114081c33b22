//! After each ingest the stream's windows are compared with the warehouse, and what differs is repaired with its cause: by the process
//! that ingested, and by every other that follows the stream.

use std::sync::{Arc, Weak};
use std::time::{Duration as StdDuration, Instant};

use chrono::{DateTime, Duration, Utc};
use metrics::counter;
use sellcast_domain::window::{BatchTile, Comparison, EventTime};
use sellcast_domain::{Period, ShopDay};
use sellcast_server::Reconciliation;
use sellcast_warehouse::RunRecord;

use super::shop_time;
use crate::engine::Engine;

const TILES: &str = "sellcast_stream_reconciled_tiles_total";
const REPAIRED: &str = "sellcast_stream_repaired_total";

/// Windows that can be compared with the warehouse.
pub(crate) trait Reconciles: Send + Sync {
    /// Where the windows begin; `None` until they are made.
    fn begins_at(&self) -> Option<EventTime>;

    /// Whether everything that the source has was followed once.
    fn is_level(&self) -> bool;

    /// Compares all tiles of that time, or with their rows those that differed, and repairs, but for what changed since the shop began
    /// to be read, `read_at` by the machine's clock; `None` when that is not known.
    fn reconcile(&self, batch: &[BatchTile], between: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison>;
}

/// How long the first ingest of a process waits for the stream to catch up.
const PATIENCE: StdDuration = StdDuration::from_secs(15);
/// Between two looks.
const LOOK: StdDuration = StdDuration::from_millis(100);
/// Between two looks for an ingest of another process.
const LOOK_AROUND: StdDuration = StdDuration::from_secs(2);
/// How far the clocks of two machines may be apart.
const CLOCKS_APART: Duration = Duration::seconds(10);

impl Engine {
    /// Waits a little until the stream has read what came while nothing followed it, so that a comparison does not take that for missed.
    pub(crate) async fn until_level(&self) {
        let Some(stream) = self.windows().filter(|_| shop_time(self).is_some()) else { return };
        let began = Instant::now();
        while !stream.is_level() && began.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Compares the windows with what an ingest of this process has loaded. A fault is told: the night goes on without it, and the next
    /// one compares again.
    pub(crate) async fn reconcile(&self, run: &RunRecord) {
        let Some(read_at) = run.read_at else { return };
        if let Err(error) = self.compare_with(run, read_at).await {
            tracing::warn!(error = format!("{error:#}"), "the windows cannot be compared with the warehouse");
        }
    }

    /// Compares the windows with what another process has ingested, if its run is a new one.
    async fn reconcile_with_others(&self) -> anyhow::Result<()> {
        self.until_level().await;
        // An ingest of this process compares by itself.
        let _turn = self.nightly.lock().await;
        let newest = self.warehouse.last_runs(1).await?.pop();
        match newest.as_ref().and_then(|run| Some((run, run.read_at?))) {
            Some((run, read_at)) => self.compare_with(run, read_at - CLOCKS_APART).await,
            None => Ok(()),
        }
    }

    /// Compares the windows with what a run has loaded, unless that was done. Sales of the last lateness before it are left out: they
    /// may be on their way.
    async fn compare_with(&self, run: &RunRecord, read_at: DateTime<Utc>) -> anyhow::Result<()> {
        let Some((stream, from)) = self.windows().and_then(|stream| Some((stream.clone(), stream.begins_at()?))) else { return Ok(()) };
        if !self.begin_comparison(&run.run_id) {
            return Ok(());
        }
        let now = run.started_at;
        let settled = now - Duration::seconds(self.config.stream.lateness_seconds.into());
        let until = EventTime::try_from(settled.timestamp() / 3600 * 3600)?;
        if until <= from {
            return Ok(());
        }
        let Some(found) = self.compare(&stream, [from, until], read_at).await? else {
            tracing::info!("the windows are not compared with an ingest that began before they were followed; the next one is");
            return Ok(());
        };
        counter!(TILES).increment(found.tiles as u64);
        let mut report = Reconciliation::new(&found, from, until, now);
        if found.is_strange {
            tracing::warn!(
                tiles = found.tiles,
                differing = found.differing.len(),
                "the stream and the warehouse hardly have a sale in common, and nothing is repaired: do both read the same keys?"
            );
        } else {
            for repair in &found.repairs {
                counter!(REPAIRED, "cause" => repair.cause().name()).increment(1);
            }
            tracing::info!(
                tiles = found.tiles,
                differing = found.differing.len(),
                repaired = found.repairs.len(),
                left_alone = found.left_alone,
                "windows compared with the warehouse"
            );
        }
        let listed = self.list_forecasts(&mut report, from).await;
        self.keep_reconciliation(Arc::new(report));
        listed
    }

    /// Compares the digests of all tiles, then the rows of those that differ.
    async fn compare(
        &self,
        stream: &Arc<dyn Reconciles>,
        between: [EventTime; 2],
        read_at: DateTime<Utc>,
    ) -> anyhow::Result<Option<Comparison>> {
        let compare = async |batch: Vec<BatchTile>| {
            let stream = stream.clone();
            tokio::task::spawn_blocking(move || stream.reconcile(&batch, between, read_at)).await
        };
        let Some(digests) = compare(self.warehouse.tiles_since(between[0]).await?).await? else { return Ok(None) };
        let Some(differing) = &digests.wanted else { return Ok(Some(digests)) };
        let rows = compare(self.warehouse.rows_since(between[0], differing).await?).await?;
        Ok(rows.map(|rows| Comparison { tiles: digests.tiles, ..rows }))
    }

    /// Lists the published forecasts of running periods in which touched categories are. Live ones are made from the windows whenever
    /// the sales have moved on, and a nightly run publishes anew after the ingest, so that each of them is made again.
    async fn list_forecasts(&self, report: &mut Reconciliation, from: EventTime) -> anyhow::Result<()> {
        let Some(generation) = self.store.current().filter(|_| report.is_touching()) else { return Ok(()) };
        let zone = self.config.shop.time_zone;
        // By the clock that answers go by.
        let today = ShopDay::of(self.shop_time(), zone);
        let running = generation.predictions.keys().filter(|frame| Period::starting(**frame, generation.as_of).contains(today));
        for frame in running {
            if let Some(document) = self.store.prediction(generation.generation_id, *frame).await? {
                report.add_forecast(&document, document.period_start.starts_at(zone), from);
            }
        }
        Ok(())
    }
}

/// Compares the windows with what other processes ingest, while the engine lives: a publication follows each ingest. A fault is told,
/// and the next publication is looked at again.
pub(super) async fn watch(engine: Weak<Engine>) {
    let mut known = None;
    while let Some(engine) = engine.upgrade() {
        let newest = engine.store.current().map(|generation| generation.generation_id);
        if newest.is_some() && newest != known {
            known = newest;
            if let Err(error) = engine.reconcile_with_others().await {
                tracing::warn!(error = format!("{error:#}"), "the windows cannot be compared with the warehouse");
            }
        }
        drop(engine);
        tokio::time::sleep(LOOK_AROUND).await;
    }
}
