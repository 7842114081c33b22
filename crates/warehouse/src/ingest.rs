//! One run, from the source's rows (or the quarantine's) to refreshed aggregates and a record. Each step is a Delta
//! commit that can be done again: killed anywhere, the next run ends with the same tables as if it had run once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Duration, NaiveDate, SecondsFormat, Utc};
use tokio::sync::mpsc;

use crate::check::Survey;
use crate::entity::{Column, Entity};
use crate::error::{IngestError, WarehouseError};
use crate::fail_point::fail_point;
use crate::journal::{Journal, Past, SourceShape};
use crate::key_comparison::{Comparison, present_keys};
use crate::lake::Lake;
use crate::load::{self, Origin, Run, Touched};
use crate::mapping::{EntityMapping, SourceMapping};
use crate::progress::Progress;
use crate::pseudonym::PseudonymKey;
use crate::quarantine::Waiting;
use crate::record::{RunKind, RunRecord, TouchedDays};
use crate::settings::WarehouseSettings;
use crate::sources::{Extract, Reader};
use crate::staging::{Secrets, Staged, Stager};

/// Staged batches that a reader may be ahead of the loader.
const BATCHES_AHEAD: usize = 4;

/// What both kinds of run need.
pub(crate) struct Site<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) settings: &'a WarehouseSettings,
    pub(crate) now: DateTime<Utc>,
    pub(crate) progress: &'a (dyn Progress + Sync),
    pub(crate) chunk_rows: usize,
}

impl Site<'_> {
    /// Loads what is new in the source.
    pub(crate) async fn ingest(&self, mapping: &SourceMapping, base_dir: &Path, key: &PseudonymKey) -> Result<RunRecord, IngestError> {
        let began = Began::now();
        self.progress.step("checking the source");
        let past = Past::read(self.lake).await?;
        let mut survey = Survey::take(mapping, base_dir, &past.sources).await;
        if !survey.faults.is_empty() {
            return Err(IngestError::Mapping(survey.faults));
        }
        let run_id = run_id(self.now);
        let journal = Journal::begin(self.lake, run_id.clone(), &past, self.now).await?;
        fail_point("after_start");
        let origin = if past.is_empty() { Origin::History } else { Origin::Source };
        let mut run = Run::new(self.lake, self.settings, &journal, &run_id, self.now, origin);
        let mut positions = past.positions();
        let lag = Duration::hours(mapping.lag_hours.into());
        let comparison = Comparison::due(mapping, &past, self.now);
        for (entity, query, url) in mapping.mapped() {
            self.progress.step(entity.name());
            let Some(reader) = url.and_then(|url| survey.readers.get_mut(url)) else { continue };
            let given = survey.shapes.get(&entity).map(|shape| &shape.columns);
            let columns: Vec<&'static Column> =
                entity.columns().iter().filter(|column| given.is_some_and(|given| given.contains_key(column.name))).collect();
            let after =
                query.cursor.as_deref().zip(positions.get(entity.name()).and_then(|position| position.parse::<DateTime<Utc>>().ok()));
            let after_lag = after.map(|(cursor, position)| (cursor, position - lag));
            let extract = Extract { sql: &query.sql, after: after_lag, key: entity.single_key() };
            let stager = Stager::new(entity, columns, Secrets::Replace(key)).with_text_keys(&query.text_keys);
            let highest = self.read_and_load(&mut run, entity, query, reader, extract, stager).await?;
            // A cursor from the future must not hide the rows between now and then.
            if let Some(highest) = highest.map(|highest| highest.min(self.now)).max(after.map(|(_, position)| position)) {
                positions.insert(entity.name().to_owned(), highest.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }
            let compared = comparison.of(entity, query, positions.get(entity.name()).and_then(|position| position.parse().ok()), lag);
            if let Some(compared) = compared {
                let keys = present_keys(entity, query, reader, compared, key).await?;
                load::remove(&mut run, entity, keys, compared, comparison.caution(mapping)).await?;
            }
            fail_point(entity.name());
        }
        let sources = survey.shapes.into_iter().map(|(entity, shape)| (entity.name().to_owned(), shape)).collect();
        let all_keys_compared = comparison != Comparison::Lag;
        let ending = Ending { kind: RunKind::Ingest, began, positions, sources, schema_changes: survey.changes, all_keys_compared };
        let (record, _) = self.end(run, &past, ending).await?;
        Ok(self.close(journal, record, &past).await?)
    }

    /// Tries the rows in quarantine again.
    pub(crate) async fn replay(&self) -> Result<RunRecord, IngestError> {
        let began = Began::now();
        self.progress.step("reading the quarantine");
        let past = Past::read(self.lake).await?;
        let run_id = run_id(self.now);
        let journal = Journal::begin(self.lake, run_id.clone(), &past, self.now).await?;
        let mut run = Run::new(self.lake, self.settings, &journal, &run_id, self.now, Origin::Quarantine);
        let mut waiting = Waiting::read(self.lake).await?;
        for (entity, staged) in std::mem::take(&mut waiting.staged) {
            self.progress.step(entity.name());
            load(&mut run, entity, staged, None).await?;
            run.store_rejects().await?;
        }
        let ending = Ending {
            kind: RunKind::Replay,
            began,
            positions: past.positions(),
            sources: past.sources.clone(),
            schema_changes: Vec::new(),
            all_keys_compared: false,
        };
        let (record, failed) = self.end(run, &past, ending).await?;
        waiting.resolve(self.lake, &run_id, &failed).await?;
        Ok(self.close(journal, record, &past).await?)
    }

    /// Streams an entity from its reader into the tables; the highest cursor seen.
    async fn read_and_load(
        &self,
        run: &mut Run<'_>,
        entity: Entity,
        query: &EntityMapping,
        reader: &mut Reader,
        extract: Extract<'_>,
        stager: Stager<'_>,
    ) -> Result<Option<DateTime<Utc>>, IngestError> {
        let (sender, mut receiver) = mpsc::channel::<Staged>(BATCHES_AHEAD);
        let cursor = query.cursor.as_deref();
        let reading =
            async { reader.read(extract, stager, sender).await.map_err(|source| IngestError::Source { entity: entity.name(), source }) };
        let loading = async {
            let (mut rows, mut held, mut done, mut highest) = (Vec::new(), 0, 0, None);
            while let Some(staged) = receiver.recv().await {
                done += staged.read;
                held += staged.batch.num_rows();
                rows.push(staged);
                self.progress.rows(done);
                // Only sale lines grow without bound; the other entities are compared as a whole.
                if held >= self.chunk_rows && entity == Entity::Transactions {
                    highest = highest.max(cursor.and_then(|cursor| load::highest_cursor(&rows, cursor)));
                    load(run, entity, std::mem::take(&mut rows), cursor).await?;
                    held = 0;
                }
            }
            Ok::<_, IngestError>((rows, highest))
        };
        let (read, loaded) = tokio::join!(reading, loading);
        let (rows, highest) = match (read, loaded) {
            // The loader's failure is the cause when the reader was given up.
            (_, Err(error)) | (Err(error), Ok(_)) => return Err(error),
            (Ok(()), Ok(outcome)) => outcome,
        };
        let highest = highest.max(cursor.and_then(|cursor| load::highest_cursor(&rows, cursor)));
        load(run, entity, rows, cursor).await?;
        run.store_rejects().await?;
        Ok(highest)
    }

    /// Refreshes what the run touched, and what unfinished runs before it were about to.
    async fn end(&self, mut run: Run<'_>, past: &Past, ending: Ending) -> Result<(Draft, BTreeSet<(Entity, i64)>), IngestError> {
        run.store_rejects().await?;
        self.progress.step("aggregates");
        run.touched.extend(&past.unfinished_days);
        let touched = if past.is_empty() { Touched::Everything } else { Touched::Days(run.touched.clone()) };
        load::refresh(self.lake, &touched).await?;
        fail_point("after_aggregates");
        self.progress.step("calendar");
        load::dates(&run).await?;
        let draft = Draft {
            record: RunRecord {
                run_id: run.id.to_owned(),
                kind: ending.kind,
                started_at: self.now,
                read_at: Some(ending.began.at),
                finished_at: self.now,
                seconds: 0.0,
                entities: run.counts.iter().map(|(entity, counts)| (entity.name().to_owned(), counts.clone())).collect(),
                source_positions: ending.positions,
                touched_days: span(&run.touched),
                delta_versions: BTreeMap::new(),
                schema_changes: ending.schema_changes,
                all_keys_compared: ending.all_keys_compared,
                notes: std::mem::take(&mut run.notes),
            },
            sources: ending.sources,
            began: ending.began,
        };
        Ok((draft, run.failed))
    }

    async fn close(&self, journal: Journal<'_>, draft: Draft, past: &Past) -> Result<RunRecord, WarehouseError> {
        let Draft { mut record, sources, began } = draft;
        record.delta_versions = self.lake.versions().await?;
        let elapsed = began.clock.elapsed();
        record.seconds = elapsed.as_secs_f64();
        record.finished_at = self.now + elapsed;
        journal.finish(&record, sources, past).await?;
        Ok(record)
    }
}

/// When a run began, by the machine.
struct Began {
    at: DateTime<Utc>,
    clock: Instant,
}

impl Began {
    fn now() -> Self {
        Self { at: Utc::now(), clock: Instant::now() }
    }
}

struct Ending {
    kind: RunKind,
    began: Began,
    positions: BTreeMap<String, String>,
    sources: BTreeMap<String, SourceShape>,
    schema_changes: Vec<String>,
    all_keys_compared: bool,
}

/// A record that lacks only its end.
struct Draft {
    record: RunRecord,
    sources: BTreeMap<String, SourceShape>,
    began: Began,
}

async fn load(run: &mut Run<'_>, entity: Entity, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    match entity {
        Entity::Categories => load::categories(run, rows, cursor).await,
        Entity::Products => load::products(run, rows, cursor).await,
        Entity::Customers => load::customers(run, rows, cursor).await,
        Entity::Transactions => load::facts(run, rows, cursor).await,
        Entity::Promotions => load::promotions(run, rows, cursor).await,
        Entity::Events => load::events(run, rows, cursor).await,
    }
}

fn run_id(now: DateTime<Utc>) -> String {
    let timestamp = uuid::Timestamp::from_unix(uuid::NoContext, now.timestamp().unsigned_abs(), now.timestamp_subsec_nanos());
    uuid::Uuid::new_v7(timestamp).to_string()
}

fn span(days: &BTreeSet<NaiveDate>) -> TouchedDays {
    TouchedDays { first: days.first().copied(), last: days.last().copied(), count: days.len() as u64 }
}
