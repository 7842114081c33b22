//! The offline store: feature sets as a Delta table, one partition per definitions version and as_of, with the
//! lineage of each set beside it. A set is computed once; the same as_of asked again is read back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::prelude::SessionContext;
use sellcast_domain::{ProductId, ShopDay};
use sellcast_warehouse::Warehouse;

use crate::compute::FeatureSet;
use crate::definitions::Definitions;
use crate::error::{Context, FeatureError};
use crate::panel::Panel;

const TABLE: &str = "features";
const LINEAGE: &str = "feature_sets";
/// Columns that every row has.
const IDS: [&str; 2] = ["product_id", "category_id"];

/// Feature sets kept in the warehouse.
pub struct OfflineStore<'a> {
    warehouse: &'a Warehouse,
    definitions: &'a Definitions,
}

impl<'a> OfflineStore<'a> {
    /// The tables of the warehouse that it keeps.
    pub const TABLES: [&'static str; 2] = [TABLE, LINEAGE];

    /// The store of one version of the definitions.
    pub fn new(warehouse: &'a Warehouse, definitions: &'a Definitions) -> Self {
        Self { warehouse, definitions }
    }

    /// The feature sets at each of `days`, in their order. Missing ones are computed from `panel` side by side, so a few days at a
    /// time are asked for, and written in one Delta transaction. A stored set stays valid: it holds what was known before its day,
    /// and that does not change.
    ///
    /// # Errors
    /// When a set cannot be computed, read or written.
    pub async fn sets(&self, panel: &Panel, days: &[ShopDay], now: DateTime<Utc>) -> Result<Vec<FeatureSet>, FeatureError> {
        let started = std::time::Instant::now();
        let stored = self.stored(days).await?;
        let missing: Vec<ShopDay> = days.iter().zip(&stored).filter(|(_, found)| found.is_none()).map(|(day, _)| *day).collect();
        let batches = FeatureSet::side_by_side(missing.iter().map(|day| (panel.clone(), *day)).collect(), self.definitions).await?;
        let fresh: Vec<(ShopDay, RecordBatch)> = missing.into_iter().zip(batches).collect();
        let computed = started.elapsed();
        self.write(panel, &fresh, now).await?;
        tracing::debug!(asked = days.len(), fresh = fresh.len(), ?computed, written = ?started.elapsed(), "feature sets");
        let mut fresh = fresh.iter().map(|(day, batch)| FeatureSet::from_batch(batch, self.definitions, *day));
        stored.into_iter().filter_map(|found| found.map(Ok).or_else(|| fresh.next())).collect()
    }

    /// The set at `day` as it is stored, if it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kept(&self, day: ShopDay) -> Result<Option<FeatureSet>, FeatureError> {
        Ok(self.stored(&[day]).await?.swap_remove(0))
    }

    /// The rows of some products of the set at `day`, if it is stored.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn kept_of(&self, day: ShopDay, products: &[ProductId]) -> Result<Option<FeatureSet>, FeatureError> {
        let ids: Vec<String> = products.iter().map(ToString::to_string).collect();
        let only = if ids.is_empty() { "false".to_owned() } else { format!("product_id in ({})", ids.join(", ")) };
        let session = self.session().await?;
        if !session.table_exist(LINEAGE).while_computing("stored features")? {
            return Ok(None);
        }
        self.stored_rows(&session, day, &only).await
    }

    /// The products of the set at `day`, in order; none if it is not stored.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn products(&self, day: ShopDay) -> Result<Vec<ProductId>, FeatureError> {
        let session = self.session().await?;
        let what = || format!("products of {day}");
        if !session.table_exist(TABLE).while_computing(what())? {
            return Ok(Vec::new());
        }
        let filter = format!("definitions_version = '{}' and as_of = date '{day}'", self.definitions.version());
        let frame =
            session.sql(&format!("select product_id from {TABLE} where {filter} order by product_id")).await.while_computing(what())?;
        let mut products = Vec::new();
        for batch in frame.collect().await.while_computing(what())? {
            let ids = batch.column(0).as_primitive_opt::<Int64Type>().ok_or_else(|| FeatureError::Column("product_id".to_owned()))?;
            products.extend(ids.values().iter().copied().map(ProductId::from));
        }
        Ok(products)
    }

    /// The day of the newest stored set.
    ///
    /// # Errors
    /// When the lineage cannot be read.
    pub async fn newest(&self) -> Result<Option<ShopDay>, FeatureError> {
        let filter = format!("definitions_version = '{}'", self.definitions.version());
        let Some(batch) = self.lineage_of(&format!("max(as_of) as newest from {LINEAGE} where {filter}")).await? else { return Ok(None) };
        let days = batch.column_by_name("newest").and_then(|column| column.as_primitive_opt::<Date32Type>());
        let days = days.ok_or_else(|| FeatureError::Column("newest".to_owned()))?;
        Ok((!days.is_empty() && days.is_valid(0)).then(|| ShopDay::from_epoch_days(days.value(0))))
    }

    /// The versions of the warehouse's tables that the set at `day` was made from, if it is stored.
    ///
    /// # Errors
    /// When the lineage cannot be read.
    pub async fn made_from(&self, day: ShopDay) -> Result<Option<BTreeMap<String, u64>>, FeatureError> {
        let filter = format!("definitions_version = '{}' and as_of = date '{day}'", self.definitions.version());
        let Some(batch) = self.lineage_of(&format!("cast(warehouse_versions as string) as versions from {LINEAGE} where {filter}")).await?
        else {
            return Ok(None);
        };
        let unreadable = || FeatureError::Column("warehouse_versions".to_owned());
        let texts = cast(batch.column_by_name("versions").ok_or_else(unreadable)?, &DataType::Utf8).map_err(engine)?;
        let texts = texts.as_string_opt::<i32>().ok_or_else(unreadable)?;
        texts.iter().flatten().next().map(|text| serde_json::from_str(text).map_err(|_| unreadable())).transpose()
    }

    async fn lineage_of(&self, what: &str) -> Result<Option<RecordBatch>, FeatureError> {
        let session = self.session().await?;
        let context = "lineage of features";
        if !session.table_exist(LINEAGE).while_computing(context)? {
            return Ok(None);
        }
        let frame = session.sql(&format!("select {what}")).await.while_computing(context)?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.while_computing(context)?;
        concat_batches(&schema, &batches).map(Some).map_err(engine)
    }

    /// Stored sets never change, so that a warehouse pinned to one moment may read those that were stored after it, such as its own.
    /// A view of the past reads what was there.
    async fn session(&self) -> Result<SessionContext, FeatureError> {
        Ok(if self.warehouse.is_read_only() { self.warehouse.session().await? } else { self.warehouse.newest().session().await? })
    }

    async fn stored(&self, days: &[ShopDay]) -> Result<Vec<Option<FeatureSet>>, FeatureError> {
        let session = self.session().await?;
        if !session.table_exist(LINEAGE).while_computing("stored features")? {
            return Ok(vec![None; days.len()]);
        }
        let mut sets = Vec::with_capacity(days.len());
        for day in days {
            sets.push(self.stored_rows(&session, *day, "true").await?);
        }
        Ok(sets)
    }

    /// The rows of a stored set for which `only` holds, in the order of their products.
    async fn stored_rows(&self, session: &SessionContext, day: ShopDay, only: &str) -> Result<Option<FeatureSet>, FeatureError> {
        let what = || format!("stored features at {day}");
        let filter = format!("definitions_version = '{}' and as_of = date '{day}'", self.definitions.version());
        let rows = session.sql(&format!("select 1 from {LINEAGE} where {filter} limit 1")).await.while_computing(what())?;
        if rows.count().await.while_computing(what())? == 0 {
            return Ok(None);
        }
        let rows = format!("select * from {TABLE} where {filter} and {only} order by product_id");
        let frame = session.sql(&rows).await.while_computing(what())?;
        let schema = Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.while_computing(what())?;
        let batch = concat_batches(&schema, &batches).map_err(|error| FeatureError::Engine { what: what(), source: error.into() })?;
        FeatureSet::from_batch(&batch, self.definitions, day).map(Some)
    }

    async fn write(&self, panel: &Panel, sets: &[(ShopDay, RecordBatch)], now: DateTime<Utc>) -> Result<(), FeatureError> {
        // A view of the past is computed from, not written to.
        if sets.is_empty() || self.warehouse.is_read_only() {
            return Ok(());
        }
        let version = self.definitions.version();
        let days: Vec<String> = sets.iter().map(|(day, _)| format!("date '{day}'")).collect();
        let slice = format!("definitions_version = '{version}' and as_of in ({})", days.join(", "));
        // Rows first, lineage last: a set counts as stored only once its lineage is there.
        let batches = sets.iter().map(|(day, batch)| dated(batch, version, *day)).collect::<Result<Vec<_>, _>>()?;
        self.warehouse.replace_where(TABLE, &slice, batches, &["definitions_version", "as_of"]).await?;
        let lineage = lineage(panel, version, sets, now)?;
        self.warehouse.replace_where(LINEAGE, &slice, vec![lineage], &["definitions_version", "as_of"]).await?;
        Ok(())
    }
}

fn engine(error: arrow::error::ArrowError) -> FeatureError {
    FeatureError::Engine { what: "a batch of features".into(), source: error.into() }
}

/// A computed set with its version and day.
fn dated(set: &RecordBatch, version: &str, day: ShopDay) -> Result<RecordBatch, FeatureError> {
    let rows = set.num_rows();
    let mut fields = vec![Field::new("definitions_version", DataType::Utf8, false), Field::new("as_of", DataType::Date32, false)];
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(StringArray::from(vec![version; rows])), Arc::new(Date32Array::from(vec![day.epoch_days(); rows]))];
    for (field, column) in set.schema().fields().iter().zip(set.columns()) {
        fields.push(Field::new(field.name(), field.data_type().clone(), !IDS.contains(&field.name().as_str())));
        columns.push(column.clone());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(engine)
}

fn lineage(panel: &Panel, version: &str, sets: &[(ShopDay, RecordBatch)], now: DateTime<Utc>) -> Result<RecordBatch, FeatureError> {
    let versions = serde_json::to_string(&panel.source().warehouse_versions).unwrap_or_default();
    let schema = Schema::new(vec![
        Field::new("definitions_version", DataType::Utf8, false),
        Field::new("as_of", DataType::Date32, false),
        Field::new("products", DataType::Int64, false),
        Field::new("warehouse_versions", DataType::Utf8, false),
        Field::new("computed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![version; sets.len()])),
        Arc::new(sets.iter().map(|(day, _)| Some(day.epoch_days())).collect::<Date32Array>()),
        Arc::new(sets.iter().map(|(_, set)| Some(set.num_rows() as i64)).collect::<Int64Array>()),
        Arc::new(StringArray::from(vec![versions.as_str(); sets.len()])),
        Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros(); sets.len()]).with_timezone("UTC")),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).map_err(engine)
}
