//! The journal of runs in `ingest_runs`. A run writes what it is about to touch before it touches it, and one
//! finished entry at its end; from what is there without an end, the next run knows what to make good.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Computing, WarehouseError};
use crate::lake::{Lake, in_memory};
use crate::layout::INGEST_RUNS;
use crate::record::{RunKind, RunRecord};

/// An entry, as JSON in the column `record`.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
enum Entry {
    /// Written before a run writes anything else.
    Started { number: u64, positions: BTreeMap<String, String> },
    /// Written before facts of these days are changed.
    Touching { days: BTreeSet<NaiveDate> },
    /// Written at the end.
    Finished { number: u64, record: Box<RunRecord>, sources: BTreeMap<String, SourceShape>, recovered: BTreeSet<String> },
}

/// How a source described an entity's query.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceShape {
    pub(crate) sql: String,
    /// Column to type, unknown columns included.
    pub(crate) columns: BTreeMap<String, String>,
}

/// What the journal says about the past.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Finished runs, oldest first.
    pub(crate) finished: Vec<RunRecord>,
    /// Source shapes at the last finished run.
    pub(crate) sources: BTreeMap<String, SourceShape>,
    /// Runs that began and never ended, and that no later run has made good.
    pub(crate) unfinished: BTreeSet<String>,
    /// The days they were about to touch.
    pub(crate) unfinished_days: BTreeSet<NaiveDate>,
    last_number: u64,
}

impl Past {
    pub(crate) async fn read(lake: &Lake) -> Result<Self, WarehouseError> {
        let context = Lake::context()?;
        if !lake.register(&context, INGEST_RUNS.name).await? {
            return Ok(Self::default());
        }
        let what = "the journal of runs";
        let rows = context.sql("select run_id, record from ingest_runs").await.computing(what)?.collect().await.computing(what)?;
        let mut past = Self::default();
        let (mut finished, mut touching) = (Vec::new(), Vec::new());
        let (mut ended, mut started) = (BTreeSet::new(), BTreeSet::new());
        for batch in &rows {
            let (runs, records) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
            for (run, record) in runs.iter().flatten().zip(records.iter().flatten()) {
                let entry = serde_json::from_str(record).map_err(|source| WarehouseError::Record { run: run.to_owned(), source })?;
                match entry {
                    Entry::Started { number, .. } => {
                        past.last_number = past.last_number.max(number);
                        started.insert(run.to_owned());
                    }
                    Entry::Touching { days } => touching.push((run.to_owned(), days)),
                    Entry::Finished { number, record, sources, recovered } => {
                        past.last_number = past.last_number.max(number);
                        ended.insert(run.to_owned());
                        ended.extend(recovered);
                        finished.push((number, record, sources));
                    }
                }
            }
        }
        finished.sort_by_key(|(number, _, _)| *number);
        past.sources = finished.last().map(|(_, _, sources)| sources.clone()).unwrap_or_default();
        past.finished = finished.into_iter().map(|(_, record, _)| *record).collect();
        past.unfinished = started.difference(&ended).cloned().collect();
        past.unfinished_days = touching.into_iter().filter(|(run, _)| past.unfinished.contains(run)).flat_map(|(_, days)| days).collect();
        Ok(past)
    }

    /// Nothing was ever loaded to the end. (A replay of an empty quarantine loads nothing.)
    pub(crate) fn is_empty(&self) -> bool {
        self.finished.iter().all(|record| record.kind == RunKind::Replay)
    }

    /// How far each entity was read.
    pub(crate) fn positions(&self) -> BTreeMap<String, String> {
        self.finished.last().map(|record| record.source_positions.clone()).unwrap_or_default()
    }
}

/// Writes one run's entries.
pub(crate) struct Journal<'a> {
    lake: &'a Lake,
    run: String,
    number: u64,
}

impl<'a> Journal<'a> {
    /// Notes that the run begins.
    pub(crate) async fn begin(lake: &'a Lake, run: String, past: &Past, now: DateTime<Utc>) -> Result<Self, WarehouseError> {
        let journal = Self { lake, run, number: past.last_number + 1 };
        journal.write("started", Entry::Started { number: journal.number, positions: past.positions() }, now).await?;
        Ok(journal)
    }

    /// Notes the days whose facts are about to change.
    pub(crate) async fn touching(&self, days: BTreeSet<NaiveDate>, now: DateTime<Utc>) -> Result<(), WarehouseError> {
        self.write("touching", Entry::Touching { days }, now).await
    }

    /// Notes that the run is done, and that it made good the unfinished ones before it.
    pub(crate) async fn finish(
        self,
        record: &RunRecord,
        sources: BTreeMap<String, SourceShape>,
        past: &Past,
    ) -> Result<(), WarehouseError> {
        let entry = Entry::Finished { number: self.number, record: Box::new(record.clone()), sources, recovered: past.unfinished.clone() };
        self.write("finished", entry, record.finished_at).await
    }

    async fn write(&self, status: &str, entry: Entry, at: DateTime<Utc>) -> Result<(), WarehouseError> {
        let json = serde_json::to_string(&entry).map_err(|source| WarehouseError::Record { run: self.run.clone(), source })?;
        let batch = RecordBatch::try_new(
            INGEST_RUNS.schema(),
            vec![
                Arc::new(StringArray::from(vec![self.run.as_str()])),
                Arc::new(StringArray::from(vec![status])),
                Arc::new(TimestampMicrosecondArray::from(vec![at.timestamp_micros()]).with_timezone("UTC")),
                Arc::new(StringArray::from(vec![json])),
            ],
        )
        .computing("an entry of the journal")?;
        let context = Lake::context()?;
        let rows = context.read_table(in_memory(&context, batch.schema(), vec![batch])?).computing("an entry of the journal")?;
        self.lake.append(INGEST_RUNS.name, rows, INGEST_RUNS.partition_by).await.map(drop)
    }
}
