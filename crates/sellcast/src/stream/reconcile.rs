//! After each ingest the stream's windows are compared with the warehouse, and what differs is repaired with its cause.

use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant};

use chrono::{DateTime, Duration, Utc};
use metrics::counter;
use sellcast_domain::window::{BatchSale, Comparison, EventTime};
use sellcast_server::Reconciliation;

use super::shop_time;
use crate::engine::Engine;

const TILES: &str = "sellcast_stream_reconciled_tiles_total";
const REPAIRED: &str = "sellcast_stream_repaired_total";

/// Windows that can be compared with the warehouse.
pub(crate) trait Reconciles: Send + Sync {
    /// Notes that the warehouse begins to be read.
    fn mark(&self);

    /// Where the windows begin; `None` until they are made.
    fn begins_at(&self) -> Option<EventTime>;

    /// Whether everything that the source has was followed once.
    fn is_level(&self) -> bool;

    /// Compares and repairs; `None` when the windows were not there when the warehouse began to be read.
    fn reconcile(&self, batch: &[BatchSale], from: EventTime, until: EventTime) -> Option<Comparison>;
}

/// How long the first ingest of a process waits for the stream to catch up.
const PATIENCE: StdDuration = StdDuration::from_secs(15);
/// Between two looks.
const LOOK: StdDuration = StdDuration::from_millis(100);

impl Engine {
    /// Waits a little until the stream has read what came while nothing followed it, so that an ingest does not take that for missed.
    pub(crate) async fn until_level(&self) {
        let Some(stream) = self.windows().filter(|_| shop_time(self).is_some()) else { return };
        let began = Instant::now();
        while !stream.is_level() && began.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Compares the windows with what an ingest at `now` has loaded. Sales of the last lateness before it are left out: they may be on
    /// their way.
    pub(crate) async fn reconcile(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        let Some((stream, from)) = self.windows().and_then(|stream| Some((stream.clone(), stream.begins_at()?))) else { return Ok(()) };
        let settled = now - Duration::seconds(self.config.stream.lateness_seconds.into());
        let until = EventTime::try_from(settled.timestamp() / 3600 * 3600)?;
        if until <= from {
            return Ok(());
        }
        let batch = self.warehouse.sales_since(from).await?;
        let compare = move || stream.reconcile(&batch, from, until);
        let Some(found) = tokio::task::spawn_blocking(compare).await? else { return Ok(()) };
        counter!(TILES).increment(found.tiles as u64);
        let report = Arc::new(Reconciliation::new(&found, from, until, now));
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
        self.keep_reconciliation(report);
        Ok(())
    }
}
