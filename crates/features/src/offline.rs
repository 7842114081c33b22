//! The offline store: feature sets as a Delta table, one partition per definitions version and as_of, with the
//! lineage of each set beside it. A set is computed once; the same as_of asked again is read back.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use chrono::{DateTime, Utc};
use sellcast_domain::ShopDay;
use sellcast_warehouse::Warehouse;

use crate::compute::FeatureSet;
use crate::definitions::Definitions;
use crate::error::{Context, FeatureError};
use crate::panel::Panel;

const TABLE: &str = "features";
const LINEAGE: &str = "feature_sets";

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

    /// The feature sets at each of `days`, in their order. Missing ones are computed from `panel` and written in one
    /// Delta transaction. A stored set stays valid: it holds what was known before its day, and that does not change.
    ///
    /// # Errors
    /// When a set cannot be computed, read or written.
    pub async fn sets(&self, panel: &Panel, days: &[ShopDay], now: DateTime<Utc>) -> Result<Vec<FeatureSet>, FeatureError> {
        let started = std::time::Instant::now();
        let stored = self.stored(days).await?;
        let (mut sets, mut fresh) = (Vec::with_capacity(days.len()), Vec::new());
        for (day, found) in days.iter().zip(stored) {
            let set = match found {
                Some(set) => set,
                None => {
                    let set = FeatureSet::compute(panel, self.definitions, *day).await?;
                    fresh.push(set.clone());
                    set
                }
            };
            sets.push(set);
        }
        let computed = started.elapsed();
        self.write(panel, &fresh, now).await?;
        tracing::debug!(asked = days.len(), fresh = fresh.len(), ?computed, written = ?started.elapsed(), "feature sets");
        Ok(sets)
    }

    /// The set at `day` as it is stored, if it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kept(&self, day: ShopDay) -> Result<Option<FeatureSet>, FeatureError> {
        Ok(self.stored(&[day]).await?.swap_remove(0))
    }

    async fn stored(&self, days: &[ShopDay]) -> Result<Vec<Option<FeatureSet>>, FeatureError> {
        let session = self.warehouse.session().await?;
        if !session.table_exist(LINEAGE).while_computing("stored features")? {
            return Ok(vec![None; days.len()]);
        }
        let mut sets = Vec::with_capacity(days.len());
        for day in days {
            let what = || format!("stored features at {day}");
            let filter = format!("definitions_version = '{}' and as_of = date '{day}'", self.definitions.version());
            let rows = session.sql(&format!("select 1 from {LINEAGE} where {filter} limit 1")).await.while_computing(what())?;
            if rows.count().await.while_computing(what())? == 0 {
                sets.push(None);
                continue;
            }
            let frame = session.sql(&format!("select * from {TABLE} where {filter} order by product_id")).await.while_computing(what())?;
            let schema = Arc::new(frame.schema().as_arrow().clone());
            let batches = frame.collect().await.while_computing(what())?;
            let batch = concat_batches(&schema, &batches).map_err(|error| FeatureError::Engine { what: what(), source: error.into() })?;
            sets.push(Some(FeatureSet::from_batch(&batch, self.definitions, *day)?));
        }
        Ok(sets)
    }

    async fn write(&self, panel: &Panel, sets: &[FeatureSet], now: DateTime<Utc>) -> Result<(), FeatureError> {
        // A view of the past is computed from, not written to.
        if sets.is_empty() || self.warehouse.is_read_only() {
            return Ok(());
        }
        let days: Vec<String> = sets.iter().map(|set| format!("date '{}'", set.as_of)).collect();
        let slice = format!("definitions_version = '{}' and as_of in ({})", self.definitions.version(), days.join(", "));
        // Rows first, lineage last: a set counts as stored only once its lineage is there.
        let batches = sets.iter().map(to_batch).collect::<Result<Vec<_>, _>>()?;
        self.warehouse.replace_where(TABLE, &slice, batches, &["definitions_version", "as_of"]).await?;
        self.warehouse.replace_where(LINEAGE, &slice, vec![lineage(panel, sets, now)?], &["definitions_version", "as_of"]).await?;
        Ok(())
    }
}

fn engine(error: arrow::error::ArrowError) -> FeatureError {
    FeatureError::Engine { what: "a batch of features".into(), source: error.into() }
}

fn to_batch(set: &FeatureSet) -> Result<RecordBatch, FeatureError> {
    let rows = set.len();
    let mut fields = vec![
        Field::new("definitions_version", DataType::Utf8, false),
        Field::new("as_of", DataType::Date32, false),
        Field::new("product_id", DataType::Int64, false),
        Field::new("category_id", DataType::Int64, false),
    ];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![set.version.as_str(); rows])),
        Arc::new(Date32Array::from(vec![set.as_of.epoch_days(); rows])),
        Arc::new(set.products.iter().map(|id| id.get()).collect::<Int64Array>()),
        Arc::new(set.categories.iter().map(|id| id.get()).collect::<Int64Array>()),
    ];
    for (at, name) in set.names.iter().enumerate() {
        fields.push(Field::new(name, DataType::Float32, true));
        let value = |row: usize| Some(set.row(row)[at]).filter(|value| !value.is_nan());
        columns.push(Arc::new((0..rows).map(value).collect::<Float32Array>()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(engine)
}

fn lineage(panel: &Panel, sets: &[FeatureSet], now: DateTime<Utc>) -> Result<RecordBatch, FeatureError> {
    let versions = serde_json::to_string(&panel.source().warehouse_versions).unwrap_or_default();
    let schema = Schema::new(vec![
        Field::new("definitions_version", DataType::Utf8, false),
        Field::new("as_of", DataType::Date32, false),
        Field::new("products", DataType::Int64, false),
        Field::new("warehouse_versions", DataType::Utf8, false),
        Field::new("computed_at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(sets.iter().map(|set| Some(set.version.as_str())).collect::<StringArray>()),
        Arc::new(sets.iter().map(|set| Some(set.as_of.epoch_days())).collect::<Date32Array>()),
        Arc::new(sets.iter().map(|set| Some(set.len() as i64)).collect::<Int64Array>()),
        Arc::new(StringArray::from(vec![versions.as_str(); sets.len()])),
        Arc::new(TimestampMicrosecondArray::from(vec![now.timestamp_micros(); sets.len()]).with_timezone("UTC")),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).map_err(engine)
}
