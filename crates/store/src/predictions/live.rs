//! Live generations: what the live forecasts of running periods said, kept so that they can be scored when the periods have
//! ended. One a minute at most, the last one of each hour, for [`LiveGeneration::KEPT_DAYS`]. Never changed, only dropped.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use sellcast_domain::{GenerationId, LiveGeneration};

use super::{Backend, PredictionStore, StoreError, blocking, live_table, pack};

/// Its name in errors and under its edition.
pub(super) const NAME: &str = "live forecasts";

/// Where a live generation lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// First second of its hour since 1970.
    pub(super) hour: i64,
    /// The published generation that it goes on from.
    pub(super) generation: GenerationId,
}

impl Slot {
    pub(super) fn of(generation: GenerationId, as_of: DateTime<Utc>) -> Self {
        Self { hour: LiveGeneration::hour_of(as_of), generation }
    }
}

impl PredictionStore {
    /// Keeps a live generation in place of that of the same hour and published generation, and drops those that are too old.
    /// False when one of the same minute is there: then nothing is written, whichever process made it.
    ///
    /// # Errors
    /// [`StoreError::Live`] when it cannot be written; what was kept before stays.
    pub async fn keep_live(&self, live: impl Into<Arc<LiveGeneration>>) -> Result<bool, StoreError> {
        let live = live.into();
        let as_of = live.as_of;
        let packing = live.clone();
        let packed = blocking(move || pack::pack_one(NAME, &*packing)).await?;
        match &self.backend {
            Backend::File(file) => {
                let file = file.clone();
                let kept = blocking(move || file.write(|database| live_table::keep(database, &live, &packed))).await;
                kept.map_err(|source| StoreError::Live { as_of, source: source.into() })
            }
            Backend::Cluster(cluster) => cluster.keep_live(live, packed).boxed().await.map_err(|source| StoreError::Live { as_of, source }),
        }
    }

    /// The live generations as of instants in `range`, oldest first: the published generation that each goes on from, and its
    /// instant.
    pub async fn live_instants(&self, range: Range<DateTime<Utc>>) -> Result<Vec<(GenerationId, DateTime<Utc>)>, StoreError> {
        let mut found = match &self.backend {
            Backend::File(file) => {
                let range = range.clone();
                file.look_up(NAME, move |reading| live_table::listed(reading, &range)).await?
            }
            Backend::Cluster(cluster) => cluster.live_instants(range.clone()).boxed().await?,
        };
        found.retain(|(_, as_of)| range.contains(as_of));
        found.sort_unstable_by_key(|(generation, as_of)| (*as_of, *generation));
        Ok(found)
    }

    /// A live generation; `None` once a later one of its hour is kept, and when it is too old.
    pub async fn live(&self, generation: GenerationId, as_of: DateTime<Utc>) -> Result<Option<LiveGeneration>, StoreError> {
        let slot = Slot::of(generation, as_of);
        let packed = match &self.backend {
            Backend::File(file) => file.look_up(NAME, move |reading| live_table::read(reading, slot)).await?,
            Backend::Cluster(cluster) => cluster.live(slot).boxed().await?,
        };
        let Some(packed) = packed else { return Ok(None) };
        let live: LiveGeneration = blocking(move || pack::unpack(NAME, &packed)).await?;
        Ok(Some(live).filter(|live| live.as_of == as_of))
    }
}
