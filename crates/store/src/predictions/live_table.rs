//! The redb table of live generations and the transactions on it.

use std::ops::Range;

use chrono::{DateTime, Utc};
use redb::{Database, ReadTransaction, ReadableTable, TableDefinition};
use sellcast_domain::{GenerationId, LiveGeneration};
use uuid::Uuid;

use super::live::Slot;

/// (first second of the hour since 1970, published generation) -> (as_of in seconds since 1970, packed live generation).
pub(super) const LIVE: TableDefinition<'_, (i64, u128), (i64, &[u8])> = TableDefinition::new("live");

/// Keeps one and drops the old ones, in one transaction; false when one of the same minute is there.
pub(super) fn keep(database: &Database, live: &LiveGeneration, packed: &[u8]) -> Result<bool, redb::Error> {
    let slot = Slot::of(live.generation_id, live.as_of);
    let key = (slot.hour, slot.generation.uuid().as_u128());
    let writing = database.begin_write()?;
    {
        let mut table = writing.open_table(LIVE)?;
        let before = table.get(key)?.map(|entry| entry.value().0);
        if before.is_some_and(|before| before.div_euclid(60) == live.minute()) {
            drop(table);
            writing.abort()?;
            return Ok(false);
        }
        table.insert(key, (live.as_of.timestamp(), packed))?;
        let first_kept = slot.hour - LiveGeneration::KEPT_DAYS * 24 * 3600;
        table.retain_in((i64::MIN, 0)..(first_kept, 0), |_, _| false)?;
    }
    writing.commit()?;
    Ok(true)
}

/// Those of the hours that `range` touches.
pub(super) fn listed(reading: &ReadTransaction, range: &Range<DateTime<Utc>>) -> Result<Vec<(GenerationId, DateTime<Utc>)>, redb::Error> {
    let table = reading.open_table(LIVE)?;
    let hours = (LiveGeneration::hour_of(range.start), 0)..=(LiveGeneration::hour_of(range.end), u128::MAX);
    let mut found = Vec::new();
    for entry in table.range(hours)? {
        let (key, value) = entry?;
        let as_of = DateTime::from_timestamp(value.value().0, 0);
        found.extend(as_of.map(|as_of| (GenerationId::from(Uuid::from_u128(key.value().1)), as_of)));
    }
    Ok(found)
}

pub(super) fn read(reading: &ReadTransaction, slot: Slot) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = reading.open_table(LIVE)?;
    Ok(table.get((slot.hour, slot.generation.uuid().as_u128()))?.map(|entry| entry.value().1.to_vec()))
}
