//! What a run did: the record that is kept with the warehouse and shown by `sellcast ingest --json`.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A finished run.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// UUIDv7.
    pub run_id: String,
    /// From the source, or out of quarantine.
    pub kind: RunKind,
    /// When it began, by the shop's clock.
    pub started_at: DateTime<Utc>,
    /// When it began to read, by the machine's clock; runs before this was recorded have none.
    #[serde(default)]
    pub read_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// By entity.
    pub entities: BTreeMap<String, EntityCounts>,
    /// How far each entity with a cursor was read: the highest cursor seen, as RFC 3339.
    pub source_positions: BTreeMap<String, String>,
    /// Shop days whose aggregates were refreshed.
    pub touched_days: TouchedDays,
    /// Delta version of every table after the run.
    pub delta_versions: BTreeMap<String, u64>,
    /// Changes in the source's columns since the last run, told in words.
    pub schema_changes: Vec<String>,
    /// Whether the keys of every entity were compared with the source's, or everything was read for the first time.
    #[serde(default)]
    pub all_keys_compared: bool,
    /// What else is worth knowing, told in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Where a run's rows came from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The source.
    Ingest,
    /// The quarantine.
    Replay,
}

/// How the rows of one entity fared. `read` is the sum of loaded, unchanged and quarantined ones.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityCounts {
    /// Rows read.
    pub read: u64,
    /// New or changed rows.
    pub loaded: u64,
    /// Rows that the warehouse already had, and identical copies within the run.
    pub unchanged: u64,
    /// Rows in quarantine, by the rule they broke.
    pub quarantined: BTreeMap<String, u64>,
    /// Rows that the warehouse had and the source no longer has.
    #[serde(default)]
    pub removed: u64,
}

/// A span of shop days.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TouchedDays {
    /// The earliest.
    pub first: Option<NaiveDate>,
    /// The latest.
    pub last: Option<NaiveDate>,
    /// How many.
    pub count: u64,
}

impl EntityCounts {
    /// Rows in quarantine, over all rules.
    pub fn quarantined_total(&self) -> u64 {
        self.quarantined.values().sum()
    }
}
