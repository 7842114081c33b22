//! Live generations in the cluster. Their documents lie under their own edition with those of publications, but for a time
//! only; the table `live` says which edition an hour has. The process that writes a minute first takes its turn, so that
//! servers side by side write one and not each their own.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sellcast_domain::{GenerationId, LiveGeneration};
use uuid::Uuid;

use super::publish::{applied, part_count, parts_of};
use super::{Cluster, bucket, rows, unavailable};
use crate::predictions::error::{Cause, StoreError};
use crate::predictions::live::{NAME, Slot};

const DAY: i64 = 24 * 3600;
/// Seconds after which the cluster drops a live generation by itself.
const KEPT: i32 = (LiveGeneration::KEPT_DAYS * DAY) as i32;
/// Seconds that a turn is remembered: servers are never apart by more.
const TURN: i32 = 600;

impl Cluster {
    /// Whether it was this process' turn. When the answer to that is lost, nobody writes the minute.
    pub(in super::super) async fn keep_live(&self, live: Arc<LiveGeneration>, packed: Vec<u8>) -> Result<bool, Cause> {
        let inner = &self.inner;
        let (slot, statements) = (Slot::of(live.generation_id, live.as_of), &inner.statements);
        let taken = inner.patiently(&statements.take_live_turn, (live.minute(), slot.generation.uuid(), TURN)).await?;
        if !applied(taken)? {
            return Ok(false);
        }
        let before = self.found(slot).await?.map(|(_, edition)| edition);
        let edition = *blake3::hash(&packed).as_bytes();
        for (part, content) in parts_of(&packed) {
            inner.write_part(&edition, NAME, part, part_count(&packed), content, KEPT).await?;
        }
        let key = (slot.hour.div_euclid(DAY) as i32, slot.hour, slot.generation.uuid());
        // Written as of its own instant: one that comes late never takes the place of a later one.
        let row = (key.0, key.1, key.2, live.as_of.timestamp(), edition.as_slice(), KEPT, live.as_of.timestamp_micros());
        inner.patiently(&statements.keep_live, row).await?;
        if let Some(before) = before.filter(|before| before != edition.as_slice())
            && let Err(error) = inner.patiently(&statements.remove_bucket, (before.as_slice(), bucket(NAME))).await
        {
            tracing::debug!(%error, "a live generation that was replaced expires by itself");
        }
        Ok(true)
    }

    pub(in super::super) async fn live_instants(
        &self,
        range: Range<DateTime<Utc>>,
    ) -> Result<Vec<(GenerationId, DateTime<Utc>)>, StoreError> {
        let mut found = Vec::new();
        for day in range.start.timestamp().div_euclid(DAY)..=range.end.timestamp().div_euclid(DAY) {
            found.extend(self.of_day(day as i32).await.map_err(|source| unavailable("the list of live forecasts", source))?);
        }
        Ok(found)
    }

    async fn of_day(&self, day: i32) -> Result<Vec<(GenerationId, DateTime<Utc>)>, Cause> {
        let result = rows(self.inner.patiently(&self.inner.statements.live_of_day, (day,)).await?)?;
        let mut found = Vec::new();
        for row in result.rows::<(Uuid, i64)>()? {
            let (generation, as_of) = row?;
            found.extend(DateTime::from_timestamp(as_of, 0).map(|as_of| (GenerationId::from(generation), as_of)));
        }
        Ok(found)
    }

    pub(in super::super) async fn live(&self, slot: Slot) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((_, edition)) = self.found(slot).await.map_err(|source| unavailable(NAME, source))? else { return Ok(None) };
        let edition = edition.as_slice().try_into().map_err(|_| unavailable(NAME, "an edition in `live` is no digest".into()))?;
        self.inner.parts(&edition, NAME, None).await.map(Some)
    }

    /// The instant and the edition of a slot.
    async fn found(&self, slot: Slot) -> Result<Option<(i64, Vec<u8>)>, Cause> {
        let key = (slot.hour.div_euclid(DAY) as i32, slot.hour, slot.generation.uuid());
        let result = rows(self.inner.patiently(&self.inner.statements.live_in_slot, key).await?)?;
        Ok(result.maybe_first_row::<(i64, Vec<u8>)>()?)
    }
}
