//! The warehouse as the rest of the system sees it: open it, fill it, query it, and keep tables of one's own in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Duration, Utc};
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::DeltaTable;
use object_store::ObjectStore;

use crate::bucket::BucketAddress;
use crate::check::{MappingFault, Survey};
use crate::error::{Computing, IngestError, WarehouseError};
use crate::ingest::Site;
use crate::journal::Past;
use crate::lake::{Lake, in_memory};
use crate::layout::TABLES;
use crate::load::Frame;
use crate::mapping::SourceMapping;
use crate::progress::Progress;
use crate::pseudonym::PseudonymKey;
use crate::record::RunRecord;
use crate::settings::WarehouseSettings;
use crate::trial::{self, TrialRead};

/// Time travel reaches back at least this far.
const LEAST_KEPT_DAYS: u32 = 30;

/// Sale lines that are held in memory at once.
const CHUNK_ROWS: usize = 1 << 20;

/// Delta tables in a folder or a bucket: one shop's facts, dimensions and aggregates.
pub struct Warehouse {
    lake: Arc<Lake>,
    settings: WarehouseSettings,
    chunk_rows: usize,
    view: Option<View>,
}

/// Tables that are read at fixed versions.
struct View {
    tables: BTreeMap<String, DeltaTable>,
    writable: bool,
}

impl Warehouse {
    /// Opens the warehouse in `dir`; makes the folder and empty tables where they are missing.
    ///
    /// # Errors
    /// When the folder cannot be written or a table in it cannot be opened.
    pub async fn open(dir: &Path, settings: WarehouseSettings) -> Result<Self, WarehouseError> {
        Self::over(Lake::open(dir)?, settings).await
    }

    /// Opens the warehouse in a bucket; makes empty tables where they are missing.
    ///
    /// # Errors
    /// When the bucket cannot be reached or a table in it cannot be opened.
    pub async fn connect(address: &BucketAddress, settings: WarehouseSettings) -> Result<Self, WarehouseError> {
        Self::over(Lake::connect(address).await?, settings).await
    }

    /// Writes, reads and deletes an object of the bucket, to show that the rights suffice.
    ///
    /// # Errors
    /// When one of the three is refused.
    pub async fn check_rights(&self) -> Result<(), WarehouseError> {
        self.lake.check_rights().await
    }

    async fn over(lake: Lake, settings: WarehouseSettings) -> Result<Self, WarehouseError> {
        let lake = Arc::new(lake);
        for table in TABLES {
            lake.ensure(table.name, &table.schema(), table.partition_by).await?;
        }
        for frame in Frame::ALL {
            lake.ensure(frame.table(), &frame.schema(), frame.partition_by()).await?;
        }
        Ok(Self { lake, settings, chunk_rows: CHUNK_ROWS, view: None })
    }

    /// The same warehouse, read at the versions of this moment whatever is written meanwhile, so that everything made
    /// from it can name what it was made from. Writing goes on as before.
    ///
    /// # Errors
    /// When a table cannot be opened.
    pub async fn pinned(&self) -> Result<Self, WarehouseError> {
        Ok(self.viewed(self.settings.clone(), View { tables: self.lake.tables().await?, writable: true }))
    }

    /// The warehouse as it was at the given versions (time travel), under the settings of then. Nothing can be written.
    ///
    /// # Errors
    /// When a version is no longer kept.
    pub async fn at(&self, versions: &BTreeMap<String, u64>, settings: WarehouseSettings) -> Result<Self, WarehouseError> {
        Ok(self.viewed(settings, View { tables: self.lake.tables_at(versions).await?, writable: false }))
    }

    /// The same warehouse read at its newest versions, whatever this one is read at.
    #[must_use]
    pub fn newest(&self) -> Self {
        Self { lake: self.lake.clone(), settings: self.settings.clone(), chunk_rows: self.chunk_rows, view: None }
    }

    fn viewed(&self, settings: WarehouseSettings, view: View) -> Self {
        Self { lake: self.lake.clone(), settings, chunk_rows: self.chunk_rows, view: Some(view) }
    }

    /// Whether it is a view of the past.
    pub fn is_read_only(&self) -> bool {
        self.view.as_ref().is_some_and(|view| !view.writable)
    }

    /// Holds at most about so many sale lines in memory at once while loading (a million takes some 800 MB at its peak).
    #[must_use]
    pub fn holding_at_once(mut self, sale_lines: usize) -> Self {
        self.chunk_rows = sale_lines;
        self
    }

    /// The shop's settings.
    pub fn settings(&self) -> &WarehouseSettings {
        &self.settings
    }

    /// Loads what is new in the source: dimensions, sales, promotions, then the aggregates that they touch. Relative
    /// addresses in the mapping count from `base_dir`. A run that was broken off is made good.
    ///
    /// # Errors
    /// [`IngestError::Mapping`] before anything is written, when mapping and source do not fit; others when reading or
    /// writing fails half-way.
    pub async fn ingest(
        &self,
        mapping: &SourceMapping,
        base_dir: &Path,
        key: &PseudonymKey,
        now: DateTime<Utc>,
        progress: &(dyn Progress + Sync),
    ) -> Result<RunRecord, IngestError> {
        let site = Site { lake: &self.lake, settings: &self.settings, now, progress, chunk_rows: self.chunk_rows };
        Box::pin(site.ingest(mapping, base_dir, key)).await
    }

    /// Tries the rows in quarantine again; those that break no rule any more are loaded.
    ///
    /// # Errors
    /// When the warehouse cannot be read or written.
    pub async fn replay_quarantine(
        &self,
        _key: &PseudonymKey,
        now: DateTime<Utc>,
        progress: &(dyn Progress + Sync),
    ) -> Result<RunRecord, IngestError> {
        let site = Site { lake: &self.lake, settings: &self.settings, now, progress, chunk_rows: self.chunk_rows };
        Box::pin(site.replay()).await
    }

    /// Every fault of the mapping, and every change of the source that it does not expect. Writes nothing.
    pub async fn check(&self, mapping: &SourceMapping, base_dir: &Path) -> Vec<MappingFault> {
        let past = Past::read(&self.lake).await;
        let sources = past.as_ref().map(|past| past.sources.clone()).unwrap_or_default();
        let mut faults = Survey::take(mapping, base_dir, &sources).await.faults;
        if let Err(error) = past {
            faults.push(MappingFault { entity: "warehouse".into(), message: error.to_string() });
        }
        faults
    }

    /// Reads every mapped row and writes nothing.
    ///
    /// # Errors
    /// When mapping and source do not fit, or reading fails.
    pub async fn read_through(
        &self,
        mapping: &SourceMapping,
        base_dir: &Path,
        key: &PseudonymKey,
        progress: &(dyn Progress + Sync),
    ) -> Result<Vec<TrialRead>, IngestError> {
        Box::pin(trial::read(mapping, base_dir, key, progress)).await
    }

    /// A query context with every table registered under its name, at its newest version.
    ///
    /// # Errors
    /// When a table cannot be opened.
    pub async fn session(&self) -> Result<SessionContext, WarehouseError> {
        match &self.view {
            Some(view) => Lake::session_over(&view.tables),
            None => self.lake.session().await,
        }
    }

    /// A query context with the named tables as they were at these versions (time travel): what a forecast was made
    /// from, as recorded with it.
    ///
    /// # Errors
    /// When a version is no longer kept.
    pub async fn session_at(&self, versions: &BTreeMap<String, u64>) -> Result<SessionContext, WarehouseError> {
        Lake::session_over(&self.lake.tables_at(versions).await?)
    }

    /// Joins the small files that nightly runs leave behind and deletes those that only versions older than `keep_days`
    /// refer to; never fewer than 30 days. To be run as a job of its own, at most once a day.
    ///
    /// # Errors
    /// When a table cannot be read or written.
    pub async fn maintain(&self, keep_days: u32) -> Result<Maintenance, WarehouseError> {
        let keep = Duration::days(keep_days.max(LEAST_KEPT_DAYS).into());
        let mut done = Maintenance::default();
        for table in self.lake.names().await? {
            let (joined, deleted) = self.lake.maintain(&table, keep).await?;
            done.files_joined += joined;
            done.files_deleted += deleted;
        }
        Ok(done)
    }

    /// Where the bucket of the tables keeps model files, beside the tables, and what that place is called; `None` for a warehouse in
    /// a folder.
    pub fn models(&self) -> Option<(String, Arc<dyn ObjectStore>)> {
        self.lake.models()
    }

    /// The Delta version of every table.
    ///
    /// # Errors
    /// When a table cannot be opened.
    pub async fn versions(&self) -> Result<BTreeMap<String, u64>, WarehouseError> {
        match &self.view {
            Some(view) => Ok(view.tables.iter().filter_map(|(name, table)| Some((name.clone(), table.version()?))).collect()),
            None => self.lake.versions().await,
        }
    }

    /// The version of every table that has been written by now, also of a view.
    ///
    /// # Errors
    /// When a table cannot be opened.
    pub async fn newest_versions(&self) -> Result<BTreeMap<String, u64>, WarehouseError> {
        self.lake.versions().await
    }

    /// The records of the last `n` finished runs, newest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn last_runs(&self, n: usize) -> Result<Vec<RunRecord>, WarehouseError> {
        Ok(Past::read(&self.lake).await?.finished.into_iter().rev().take(n).collect())
    }

    /// Adds rows to a table, which is made if need be. Returns the table's new version.
    ///
    /// # Errors
    /// When the rows do not fit the table or it cannot be written.
    pub async fn append(&self, table: &str, batches: Vec<RecordBatch>, partition_by: &[&str]) -> Result<u64, WarehouseError> {
        self.writable(table)?;
        match frame(table, batches)? {
            Some(rows) => self.lake.append(table, rows, partition_by).await,
            None => self.version(table).await,
        }
    }

    /// Replaces the rows that `predicate_sql` matches by `batches`, each of whose rows must match it too. The table is
    /// made if need be. Doing it twice changes nothing. Returns the table's new version.
    ///
    /// # Errors
    /// When the rows do not fit the table or the predicate, or it cannot be written.
    pub async fn replace_where(
        &self,
        table: &str,
        predicate_sql: &str,
        batches: Vec<RecordBatch>,
        partition_by: &[&str],
    ) -> Result<u64, WarehouseError> {
        self.writable(table)?;
        match frame(table, batches)? {
            Some(rows) => self.lake.replace(table, Some(predicate_sql), rows, partition_by).await,
            None => self.lake.delete(table, predicate_sql).await,
        }
    }

    fn writable(&self, table: &str) -> Result<(), WarehouseError> {
        if self.is_read_only() { Err(WarehouseError::Past(table.to_owned())) } else { Ok(()) }
    }

    async fn version(&self, table: &str) -> Result<u64, WarehouseError> {
        Ok(self.lake.table(table).await?.and_then(|table| table.version()).unwrap_or_default())
    }
}

/// What maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Maintenance {
    /// Small files that were joined into larger ones.
    pub files_joined: u64,
    /// Files deleted because no kept version refers to them.
    pub files_deleted: u64,
}

/// The rows as a frame; `None` if there are none.
fn frame(table: &str, batches: Vec<RecordBatch>) -> Result<Option<DataFrame>, WarehouseError> {
    let Some(schema) = batches.iter().find(|batch| batch.num_rows() > 0).map(RecordBatch::schema) else { return Ok(None) };
    let context = Lake::context()?;
    let rows = in_memory(&context, schema, batches)?;
    context.read_table(rows).computing(table).map(Some)
}
