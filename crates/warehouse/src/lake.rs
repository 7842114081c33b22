//! The Delta tables of one warehouse, in a folder or a bucket: opening at the newest version, creating, appending, replacing a slice,
//! merging. Every write is one Delta commit, so a reader (or a crash) sees all of it or nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use chrono::Duration;
use datafusion::datasource::MemTable;
use datafusion::prelude::{DataFrame, SessionContext};
use deltalake::delta_datafusion::{DeltaScanConfig, DeltaScanNext, DeltaSessionContext};
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::operations::optimize::OptimizeType;
use deltalake::operations::write::{SchemaMode, WriteBuilder};
use deltalake::parquet::basic::Compression;
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableError, ensure_table_uri};
use object_store::ObjectStore;
use tokio::sync::Mutex;

use crate::bucket::{Bucket, BucketAddress};
use crate::error::{Computing, OnTable, WarehouseError};

/// The tables under one folder, or under one prefix of a bucket.
pub(crate) struct Lake {
    root: Root,
    /// Last seen state of each table, brought up to date before each use.
    seen: Mutex<HashMap<String, DeltaTable>>,
    /// One write at a time within the process; between processes Delta's own optimistic commits decide.
    writing: Mutex<()>,
}

enum Root {
    Folder(PathBuf),
    Bucket(Bucket),
}

impl Lake {
    pub(crate) async fn connect(address: &BucketAddress) -> Result<Self, WarehouseError> {
        let root = Root::Bucket(Bucket::open(address).await?);
        Ok(Self { root, seen: Mutex::default(), writing: Mutex::default() })
    }

    pub(crate) async fn check_rights(&self) -> Result<(), WarehouseError> {
        match &self.root {
            // A folder that was made or entered, with tables in it, has shown as much.
            Root::Folder(_) => Ok(()),
            Root::Bucket(bucket) => bucket.check_rights().await,
        }
    }

    pub(crate) fn open(root: &Path) -> Result<Self, WarehouseError> {
        let fail = |source| WarehouseError::Folder { path: root.to_owned(), source };
        std::fs::create_dir_all(root).map_err(fail)?;
        let root = Root::Folder(root.canonicalize().map_err(fail)?);
        Ok(Self { root, seen: Mutex::default(), writing: Mutex::default() })
    }

    /// An empty query context with the planner and options that Delta tables need.
    pub(crate) fn context() -> Result<SessionContext, WarehouseError> {
        let options = [
            // Plain strings, so that readers need to know one string type only.
            ("datafusion.execution.parquet.schema_force_view_types", "false"),
            ("datafusion.sql_parser.map_string_types_to_utf8view", "false"),
            ("datafusion.sql_parser.enable_ident_normalization", "true"),
            ("datafusion.execution.parquet.pushdown_filters", "false"),
        ];
        let options: HashMap<String, String> = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ok(DeltaSessionContext::new_with_session_overrides(&options).on_table("open a session for", "*")?.into_inner())
    }

    /// Where the bucket keeps model files; `None` for a folder.
    pub(crate) fn models(&self) -> Option<(String, Arc<dyn ObjectStore>)> {
        match &self.root {
            Root::Folder(_) => None,
            Root::Bucket(bucket) => Some(bucket.models()),
        }
    }

    /// Names of the tables that exist.
    pub(crate) async fn names(&self) -> Result<Vec<String>, WarehouseError> {
        let root = match &self.root {
            Root::Folder(root) => root,
            Root::Bucket(bucket) => return bucket.names().await,
        };
        let fail = |source| WarehouseError::Folder { path: root.clone(), source };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(root).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.path().join("_delta_log").is_dir() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The table at its newest version, if it exists.
    pub(crate) async fn table(&self, name: &str) -> Result<Option<DeltaTable>, WarehouseError> {
        if let Root::Folder(root) = &self.root
            && !root.join(name).join("_delta_log").is_dir()
        {
            return Ok(None);
        }
        let mut seen = self.seen.lock().await;
        let mut table = match seen.remove(name) {
            Some(table) => table,
            None => self.unloaded(name).await?,
        };
        match table.update_state().await {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            error => error.on_table("open", name)?,
        }
        seen.insert(name.to_owned(), table.clone());
        Ok(Some(table))
    }

    /// Every table's version.
    pub(crate) async fn versions(&self) -> Result<BTreeMap<String, u64>, WarehouseError> {
        let mut versions = BTreeMap::new();
        for name in self.names().await? {
            if let Some(version) = self.table(&name).await?.and_then(|table| table.version()) {
                versions.insert(name, version);
            }
        }
        Ok(versions)
    }

    /// Registers the table in `context` under its own name.
    pub(crate) async fn register(&self, context: &SessionContext, name: &str) -> Result<bool, WarehouseError> {
        let Some(table) = self.table(name).await? else { return Ok(false) };
        Self::provide(context, name, &table)?;
        Ok(true)
    }

    /// Every table as it is now.
    pub(crate) async fn tables(&self) -> Result<BTreeMap<String, DeltaTable>, WarehouseError> {
        let mut tables = BTreeMap::new();
        for name in self.names().await? {
            if let Some(table) = self.table(&name).await? {
                tables.insert(name, table);
            }
        }
        Ok(tables)
    }

    /// The named tables as they were at these versions.
    pub(crate) async fn tables_at(&self, versions: &BTreeMap<String, u64>) -> Result<BTreeMap<String, DeltaTable>, WarehouseError> {
        let mut tables = BTreeMap::new();
        for (name, version) in versions {
            let mut table = self.unloaded(name).await?;
            table.load_version(*version).await.on_table("read the wanted version of", name)?;
            tables.insert(name.clone(), table);
        }
        Ok(tables)
    }

    /// A context with these tables.
    pub(crate) fn session_over(tables: &BTreeMap<String, DeltaTable>) -> Result<SessionContext, WarehouseError> {
        let context = Self::context()?;
        for (name, table) in tables {
            Self::provide(&context, name, table)?;
        }
        Ok(context)
    }

    fn provide(context: &SessionContext, name: &str, table: &DeltaTable) -> Result<(), WarehouseError> {
        let state = context.state();
        table.update_datafusion_session(&state).on_table("read", name)?;
        // Partition values as plain columns, not as dictionaries.
        let config = DeltaScanConfig::new_from_session(&state).with_wrap_partition_values(false);
        let snapshot = table.snapshot().on_table("read", name)?.snapshot().clone();
        let provider = DeltaScanNext::new(snapshot, config).computing(name)?;
        context.deregister_table(name).computing(name)?;
        context.register_table(name, Arc::new(provider)).computing(name).map(drop)
    }

    /// A context with every table in it.
    pub(crate) async fn session(&self) -> Result<SessionContext, WarehouseError> {
        let context = Self::context()?;
        for name in self.names().await? {
            self.register(&context, &name).await?;
        }
        Ok(context)
    }

    /// Makes the table if it does not exist.
    pub(crate) async fn ensure(&self, name: &str, schema: &SchemaRef, partition_by: &[&str]) -> Result<(), WarehouseError> {
        if self.table(name).await?.is_some() {
            return Ok(());
        }
        let _writing = self.writing.lock().await;
        let kernel: StructType = schema.as_ref().try_into_kernel().computing(name)?;
        let created =
            self.unloaded(name).await?.create().with_columns(kernel.fields().cloned()).with_partition_columns(partition_by.iter().copied());
        let table = created.with_save_mode(SaveMode::Ignore).with_table_name(name).await.on_table("create", name)?;
        self.keep(name, table).await;
        Ok(())
    }

    /// Adds rows.
    pub(crate) async fn append(&self, name: &str, rows: DataFrame, partition_by: &[&str]) -> Result<u64, WarehouseError> {
        let _writing = self.writing.lock().await;
        let write = self.write(name, rows, partition_by).await?.with_save_mode(SaveMode::Append);
        self.commit(name, "append to", write).await
    }

    /// Replaces every row, or those that `predicate` matches; each new row must match it too. Columns that the table does
    /// not have yet are added; those that the rows lack are null.
    pub(crate) async fn replace(
        &self,
        name: &str,
        predicate: Option<&str>,
        rows: DataFrame,
        partition_by: &[&str],
    ) -> Result<u64, WarehouseError> {
        let _writing = self.writing.lock().await;
        let mut write = self.write(name, rows, partition_by).await?.with_save_mode(SaveMode::Overwrite);
        if let (Some(predicate), Some(_)) = (predicate, self.table(name).await?) {
            write = write.with_replace_where(predicate).with_schema_mode(SchemaMode::Merge);
        }
        self.commit(name, "replace rows of", write).await
    }

    /// Deletes the rows that `predicate` matches.
    pub(crate) async fn delete(&self, name: &str, predicate: &str) -> Result<u64, WarehouseError> {
        let _writing = self.writing.lock().await;
        let Some(table) = self.table(name).await? else { return Ok(0) };
        let state = Arc::new(Self::context()?.state());
        let (table, _) = table.delete().with_predicate(predicate).with_session_state(state).await.on_table("delete from", name)?;
        Ok(self.keep(name, table).await)
    }

    /// Merges `rows` into the table: `on` joins the target `t` and the source `s`.
    pub(crate) async fn merge(&self, name: &str, rows: DataFrame, on: &str, clauses: MergeClauses<'_>) -> Result<u64, WarehouseError> {
        let _writing = self.writing.lock().await;
        let Some(table) = self.table(name).await? else {
            return Err(DeltaTableError::NotATable(name.to_owned())).on_table("merge into", name);
        };
        let state = Arc::new(rows.clone().into_parts().0);
        let mut merge = table.merge(rows, on).with_source_alias("s").with_target_alias("t").with_session_state(state);
        for MatchedUpdate { when, set } in clauses.update {
            merge = merge
                .when_matched_update(|mut update| {
                    if let Some(when) = when {
                        update = update.predicate(when);
                    }
                    set.iter().fold(update, |update, (column, value)| update.update(column.as_str(), value.as_str()))
                })
                .on_table("merge into", name)?;
        }
        if clauses.delete {
            merge = merge.when_matched_delete(|delete| delete).on_table("merge into", name)?;
        }
        if let Some((when, columns)) = clauses.insert {
            merge = merge
                .when_not_matched_insert(|mut insert| {
                    if let Some(when) = when {
                        insert = insert.predicate(when);
                    }
                    columns.iter().fold(insert, |insert, column| insert.set(*column, format!("s.{column}")))
                })
                .on_table("merge into", name)?;
        }
        let (table, metrics) = merge.await.on_table("merge into", name)?;
        tracing::debug!(
            table = name,
            files_skipped = metrics.num_target_files_skipped_during_scan,
            files_read = metrics.num_target_files_scanned,
            "merged"
        );
        Ok(self.keep(name, table).await)
    }

    /// Joins a table's small files; deletes those that only versions older than `keep` refer to. The numbers of files
    /// joined and deleted.
    pub(crate) async fn maintain(&self, name: &str, keep: Duration) -> Result<(u64, u64), WarehouseError> {
        let _writing = self.writing.lock().await;
        let Some(table) = self.table(name).await? else { return Ok((0, 0)) };
        let state = Arc::new(Self::context()?.state());
        let (table, compacted) =
            table.optimize().with_type(OptimizeType::Compact).with_session_state(state).await.on_table("compact", name)?;
        let vacuum = table.vacuum().with_retention_period(keep).with_enforce_retention_duration(false);
        let (table, vacuumed) = vacuum.await.on_table("clean up", name)?;
        self.keep(name, table).await;
        Ok((compacted.num_files_removed, vacuumed.files_deleted.len() as u64))
    }

    async fn unloaded(&self, name: &str) -> Result<DeltaTable, WarehouseError> {
        let step = "open";
        let folder = match &self.root {
            Root::Folder(root) => root.join(name),
            Root::Bucket(bucket) => return bucket.table(name).on_table(step, name),
        };
        std::fs::create_dir_all(&folder).map_err(|source| WarehouseError::Folder { path: folder.clone(), source })?;
        let url = ensure_table_uri(folder.to_string_lossy()).on_table(step, name)?;
        DeltaTable::try_from_url(url).await.on_table(step, name)
    }

    async fn write(&self, name: &str, rows: DataFrame, partition_by: &[&str]) -> Result<WriteBuilder, WarehouseError> {
        let table = match self.table(name).await? {
            Some(table) => table,
            None => self.unloaded(name).await?,
        };
        let snapshot = table.snapshot().ok().map(|state| state.snapshot().clone());
        let properties = properties(rows.schema().as_arrow());
        let (state, plan) = rows.into_parts();
        let write = WriteBuilder::new(table.log_store(), snapshot.clone()).with_input_plan(plan).with_session_state(Arc::new(state));
        let write = write.with_writer_properties(properties);
        Ok(if snapshot.is_none() { write.with_partition_columns(partition_by.iter().copied()).with_table_name(name) } else { write })
    }

    async fn commit(&self, name: &str, step: &'static str, write: WriteBuilder) -> Result<u64, WarehouseError> {
        let table = write.await.on_table(step, name)?;
        Ok(self.keep(name, table).await)
    }

    async fn keep(&self, name: &str, table: DeltaTable) -> u64 {
        let version = table.version().unwrap_or_default();
        self.seen.lock().await.insert(name.to_owned(), table);
        version
    }
}

/// As Delta writes by itself, but for dictionaries of real numbers: nearly every one is another, and looking each up takes longer than
/// all the rest of writing it.
fn properties(schema: &Schema) -> WriterProperties {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let reals = schema.fields().iter().filter(|field| field.data_type().is_floating());
    reals.fold(properties, |properties, field| properties.set_column_dictionary_enabled(field.name().as_str().into(), false)).build()
}

/// What a merge does with matching and with new rows.
#[derive(Default)]
pub(crate) struct MergeClauses<'a> {
    pub(crate) update: Vec<MatchedUpdate<'a>>,
    /// Condition and columns; each column takes the source's value.
    pub(crate) insert: Option<(Option<&'a str>, &'a [&'a str])>,
    /// Whether matching rows are deleted.
    pub(crate) delete: bool,
}

/// Columns to set in a matching row, if `when` holds.
pub(crate) struct MatchedUpdate<'a> {
    pub(crate) when: Option<&'a str>,
    pub(crate) set: Vec<(String, String)>,
}

impl<'a> MatchedUpdate<'a> {
    /// Every column takes the source's value.
    pub(crate) fn all(when: Option<&'a str>, columns: &[&str]) -> Self {
        Self { when, set: columns.iter().map(|column| ((*column).to_owned(), format!("s.{column}"))).collect() }
    }
}

/// A table in memory over `batches`, spread so that every core has work.
pub(crate) fn in_memory(context: &SessionContext, schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Arc<MemTable>, WarehouseError> {
    let mut partitions = vec![Vec::new(); context.copied_config().target_partitions().max(1)];
    let count = partitions.len();
    for (at, batch) in batches.into_iter().filter(|batch| batch.num_rows() > 0).enumerate() {
        partitions[at % count].push(batch);
    }
    Ok(Arc::new(MemTable::try_new(schema, partitions).computing("a table in memory")?))
}

/// Runs `sql` and keeps its rows in the context as the table `name`.
pub(crate) async fn materialise(context: &SessionContext, name: &str, sql: &str) -> Result<u64, WarehouseError> {
    let frame = context.sql(sql).await.computing(name)?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let partitions = frame.collect_partitioned().await.computing(name)?;
    let rows = partitions.iter().flatten().map(|batch| batch.num_rows() as u64).sum();
    let table = MemTable::try_new(schema, partitions).computing(name)?;
    context.deregister_table(name).computing(name)?;
    context.register_table(name, Arc::new(table)).computing(name)?;
    Ok(rows)
}
