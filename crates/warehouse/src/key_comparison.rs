//! Which keys a run compares with the source's to find what was deleted there, and how they are read: the key columns of
//! the mapped query alone, of every row, also of those that the loader rejects.

use arrow::array::RecordBatch;
use chrono::{DateTime, Duration, Utc};
use tokio::sync::mpsc;

use crate::entity::{Column, Entity};
use crate::error::{Computing, IngestError};
use crate::journal::Past;
use crate::load::{Caution, Compared};
use crate::mapping::{EntityMapping, SourceMapping};
use crate::pseudonym::PseudonymKey;
use crate::sources::{Extract, Reader};
use crate::staging::{Secrets, Staged, Stager};

/// Staged batches that the reader may be ahead.
const BATCHES_AHEAD: usize = 4;

/// Which keys a run compares with the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// None: everything is read for the first time.
    First,
    /// Of what is read whole, and sale lines within the lag.
    Lag,
    All,
}

impl Comparison {
    pub(crate) fn due(mapping: &SourceMapping, past: &Past, now: DateTime<Utc>) -> Self {
        if past.is_empty() && past.unfinished.is_empty() {
            return Self::First;
        }
        let last = past.finished.iter().rev().find(|record| record.all_keys_compared).map(|record| record.started_at);
        let every = Duration::days(mapping.compare_keys_days.into());
        let is_due = mapping.compare_keys_days > 0 && last.is_none_or(|last| now - last >= every);
        if is_due || mapping.compare_keys_now { Self::All } else { Self::Lag }
    }

    /// For one entity; `position` is how far it has been read.
    pub(crate) fn of(self, entity: Entity, query: &EntityMapping, position: Option<DateTime<Utc>>, lag: Duration) -> Option<Compared> {
        match (self, entity, &query.cursor) {
            // Sales refer to categories for ever; a whole list of promotions replaces the last one.
            (Self::First, _, _) | (_, Entity::Categories, _) | (_, Entity::Promotions, None) => None,
            (Self::All, _, _) | (_, _, None) => Some(Compared::All),
            (Self::Lag, Entity::Transactions, Some(_)) => position.map(|position| Compared::Since(position - lag)),
            (Self::Lag, _, Some(_)) => None,
        }
    }

    pub(crate) fn caution(self, mapping: &SourceMapping) -> Caution {
        if self == Self::All && mapping.compare_keys_now { Caution::Waived } else { Caution::Usual }
    }
}

/// The keys that the source has, in batches of the entity's key columns.
pub(crate) async fn present_keys(
    entity: Entity,
    query: &EntityMapping,
    reader: &mut Reader,
    compared: Compared,
    key: &PseudonymKey,
) -> Result<Vec<RecordBatch>, IngestError> {
    let is_key = |column: &Column| entity.key().contains(&column.name);
    let columns: Vec<&'static Column> = entity.columns().iter().filter(|column| is_key(column)).collect();
    let positions: Vec<usize> = entity.columns().iter().enumerate().filter(|(_, column)| is_key(column)).map(|(at, _)| at).collect();
    let after = match compared {
        Compared::All => None,
        // A source may write times in ways that compare wrongly as text: the keys of a day more cost little.
        Compared::Since(since) => Some(("occurred_at", since - Duration::days(1))),
    };
    let stager = Stager::new(entity, columns, Secrets::Replace(key)).with_text_keys(&query.text_keys);
    let (sender, mut receiver) = mpsc::channel::<Staged>(BATCHES_AHEAD);
    let reading = reader.read(Extract { sql: &query.sql, after, key: entity.single_key() }, stager, sender);
    let collecting = async {
        let mut keys = Vec::new();
        while let Some(staged) = receiver.recv().await {
            keys.push(staged.batch.project(&positions));
        }
        keys
    };
    let (read, keys) = tokio::join!(reading, collecting);
    read.map_err(|source| IngestError::Source { entity: entity.name(), source })?;
    Ok(keys.into_iter().collect::<Result<_, _>>().computing("the keys of the source")?)
}
