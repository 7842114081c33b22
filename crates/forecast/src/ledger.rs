//! The ledger: every forecast as it was made, with all candidates, in the Delta table `ledger`. Immutable; the truth is
//! joined when a period has ended and weights, calibration and the track record are computed from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Float32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Date32Type, Field, Float32Type, Int64Type, Schema, UInt32Type};
use datafusion::prelude::SessionContext;
use sellcast_domain::{CategoryId, GenerationId, Origin, Period, ProductId, ShopDay, Stage, TimeFrame};
use sellcast_warehouse::Warehouse;

use crate::cold_start::Launches;
use crate::error::ForecastError;

const TABLE: &str = "ledger";
/// Candidates have columns of their own, so that any Delta reader can compare them.
const CANDIDATE: &str = "candidate_";

/// Columns of what launch curves said of new products; older ledgers lack them.
const LAUNCH: [&str; 2] = ["launch_amount", "launch_age"];

/// One frame's forecast at one as_of: a row per product that sold within the year before, or is about to sell first.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastPeriod {
    /// What it is about.
    pub period: Period,
    /// Published, or made afterwards for the back-test.
    pub origin: Origin,
    /// With or without trained models.
    pub stage: Stage,
    /// One per row.
    pub products: Vec<ProductId>,
    /// Forecast-level category of each row.
    pub categories: Vec<CategoryId>,
    /// Amounts of every candidate model.
    pub candidates: BTreeMap<String, Vec<f32>>,
    /// What launch curves said of new products.
    pub launches: Launches,
    /// Log-odds of the membership model; NaN without one.
    pub membership: Vec<f32>,
    /// Sales of the last 91 days in transactions, as a measure of how much is known of a product.
    pub activity: Vec<f32>,
    /// Days since the first sale within a year; NaN where it is not known.
    pub age: Vec<f32>,
    /// The combination.
    pub amount: Vec<f32>,
    /// Units.
    pub quantity: Vec<f32>,
    /// Units that the models expected before the amounts were refined: what intervals go by.
    pub units: Vec<f32>,
    /// Lower end of the 80 % interval.
    pub low: Vec<f32>,
    /// Upper end.
    pub high: Vec<f32>,
    /// The 95 % interval; empty in ledgers that are older than it.
    pub wide: Vec<(f32, f32)>,
    /// Probabilities of being among the top 5, 10, 20, 50, 100; not kept in the table.
    pub chances: Vec<[f32; 5]>,
    /// Probability of being in its list.
    pub confidence: Vec<f32>,
    /// Rank in its category, from 1.
    pub rank: Vec<u32>,
    /// Best and worst rank in eight of ten cases; not kept in the table.
    pub rank_interval: Vec<(u32, u32)>,
    /// Probability that the row's category is in its list of categories; the same for all its products.
    pub category_confidence: Vec<f32>,
}

impl ForecastPeriod {
    /// Number of products.
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether it holds no product.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }
}

/// Reads and writes the ledger.
pub struct Ledger<'a> {
    warehouse: &'a Warehouse,
}

impl<'a> Ledger<'a> {
    /// The ledger of a warehouse.
    pub fn new(warehouse: &'a Warehouse) -> Self {
        Self { warehouse }
    }

    /// Adds forecasts of one generation. Written again after a crash, the slice is replaced by the same rows.
    ///
    /// # Errors
    /// When the warehouse cannot be written.
    pub async fn write(&self, generation: GenerationId, periods: &[ForecastPeriod]) -> Result<(), ForecastError> {
        for period in periods {
            let slice = format!(
                "frame = '{}' and as_of = date '{}' and generation_id = '{generation}'",
                period.period.frame(),
                period.period.start()
            );
            self.warehouse.replace_where(TABLE, &slice, vec![to_batch(generation, period)?], &["frame", "as_of"]).await?;
        }
        Ok(())
    }

    /// The days for which the ledger holds a forecast of `frame` whose period ended before `as_of`, newest first, each
    /// with the newest generation for it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn ended(&self, frame: TimeFrame, as_of: ShopDay) -> Result<Vec<(ShopDay, String)>, ForecastError> {
        let Some(session) = self.session().await? else { return Ok(Vec::new()) };
        let sql = format!(
            "select as_of, cast(max(generation_id) as varchar) as generation_id from {TABLE} where frame = '{frame}' group by as_of order by as_of desc"
        );
        let mut days = Vec::new();
        for batch in session.sql(&sql).await?.collect().await? {
            let origins = batch["as_of"].as_primitive::<Date32Type>();
            let generations = text(&batch, "generation_id")?;
            for row in 0..batch.num_rows() {
                let day = ShopDay::from_epoch_days(origins.value(row));
                if Period::starting(frame, day).last_day() < as_of {
                    days.push((day, generations.as_string::<i32>().value(row).to_owned()));
                }
            }
        }
        Ok(days)
    }

    /// One forecast, as it was made.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read(&self, frame: TimeFrame, as_of: ShopDay, generation: &str) -> Result<Option<ForecastPeriod>, ForecastError> {
        let Some(session) = self.session().await? else { return Ok(None) };
        let sql = format!(
            "select * from {TABLE} where frame = '{frame}' and as_of = date '{as_of}' and generation_id = '{generation}' order by product_id, category_id"
        );
        let data = session.sql(&sql).await?;
        let schema = Arc::new(data.schema().as_arrow().clone());
        let batch = arrow::compute::concat_batches(&schema, &data.collect().await?).map_err(datafusion::error::DataFusionError::from)?;
        if batch.num_rows() == 0 { Ok(None) } else { from_batch(&batch, Period::starting(frame, as_of)).map(Some) }
    }

    async fn session(&self) -> Result<Option<SessionContext>, ForecastError> {
        let session = self.warehouse.session().await?;
        Ok(session.table_exist(TABLE)?.then_some(session))
    }
}

fn arrow_failed(error: arrow::error::ArrowError) -> ForecastError {
    ForecastError::Engine(error.into())
}

fn to_batch(generation: GenerationId, period: &ForecastPeriod) -> Result<RecordBatch, ForecastError> {
    let rows = period.len();
    let constant = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let floats = |values: &[f32]| -> ArrayRef { Arc::new(Float32Array::from(values.to_vec())) };
    let origin = match period.origin {
        Origin::Published => "published",
        Origin::Backtest => "backtest",
    };
    let stage = match period.stage {
        Stage::Baselines => "baselines",
        Stage::Models => "models",
    };
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("frame".into(), constant(period.period.frame().name())),
        ("as_of".into(), Arc::new(Date32Array::from(vec![period.period.start().epoch_days(); rows]))),
        ("generation_id".into(), constant(&generation.to_string())),
        ("origin".into(), constant(origin)),
        ("stage".into(), constant(stage)),
        ("product_id".into(), Arc::new(period.products.iter().map(|id| id.get()).collect::<Int64Array>())),
        ("category_id".into(), Arc::new(period.categories.iter().map(|id| id.get()).collect::<Int64Array>())),
        ("amount".into(), floats(&period.amount)),
        ("quantity".into(), floats(&period.quantity)),
        ("units".into(), floats(&period.units)),
        ("low".into(), floats(&period.low)),
        ("high".into(), floats(&period.high)),
        ("confidence".into(), floats(&period.confidence)),
        ("rank".into(), Arc::new(UInt32Array::from(period.rank.clone()))),
        ("category_confidence".into(), floats(&period.category_confidence)),
        ("membership".into(), floats(&period.membership)),
        ("activity".into(), floats(&period.activity)),
    ];
    let wide = |end: fn(&(f32, f32)) -> f32| -> ArrayRef {
        Arc::new((0..rows).map(|row| period.wide.get(row).map(end)).collect::<Float32Array>())
    };
    columns.extend([("low_95".into(), wide(|wide| wide.0)), ("high_95".into(), wide(|wide| wide.1))]);
    let age = (0..rows).map(|row| period.age.get(row).copied().filter(|age| age.is_finite()));
    columns.push(("age".into(), Arc::new(age.collect::<Float32Array>())));
    // A column for each model that took part. The table gains columns as models come, and those of models that are gone
    // stay null from then on.
    for (model, values) in &period.candidates {
        columns.push((format!("{CANDIDATE}{model}"), floats(values)));
    }
    for (name, values) in LAUNCH.into_iter().zip([&period.launches.amount, &period.launches.age]) {
        if !values.is_empty() {
            columns.push((
                name.to_owned(),
                Arc::new(values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect::<Float32Array>()),
            ));
        }
    }
    let is_optional = |name: &str| name.starts_with(CANDIDATE) || name.ends_with("_95") || name == "age" || LAUNCH.contains(&name);
    let fields: Vec<_> = columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), is_optional(name))).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).map_err(arrow_failed)
}

fn text(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ForecastError> {
    let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
    arrow::compute::cast(column, &DataType::Utf8).map_err(arrow_failed)
}

fn missing(column: &str) -> ForecastError {
    ForecastError::Model { model: TABLE.into(), reason: format!("the table has no column `{column}`") }
}

fn from_batch(batch: &RecordBatch, period: Period) -> Result<ForecastPeriod, ForecastError> {
    let floats = |name: &str| -> Result<Vec<f32>, ForecastError> {
        let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Float32Type>()).ok_or_else(|| missing(name))?;
        Ok(column.values().to_vec())
    };
    let ids = |name: &str| -> Result<Vec<i64>, ForecastError> {
        let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<Int64Type>()).ok_or_else(|| missing(name))?;
        Ok(column.values().to_vec())
    };
    let ranks = batch.column_by_name("rank").ok_or_else(|| missing("rank"))?;
    let ranks = arrow::compute::cast(ranks, &DataType::UInt32).map_err(arrow_failed)?;
    let mut candidates = BTreeMap::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if let Some(model) = field.name().strip_prefix(CANDIDATE)
            && column.null_count() == 0
        {
            candidates.insert(model.to_owned(), floats(field.name())?);
        }
    }
    let launch = |name: &str| -> Vec<f32> {
        let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float32Type>());
        column.map(|column| column.iter().map(|value| value.unwrap_or(f32::NAN)).collect()).unwrap_or_default()
    };
    let is = |name: &str, value: &str| -> Result<bool, ForecastError> { Ok(text(batch, name)?.as_string::<i32>().value(0) == value) };
    Ok(ForecastPeriod {
        period,
        origin: if is("origin", "published")? { Origin::Published } else { Origin::Backtest },
        stage: if is("stage", "models")? { Stage::Models } else { Stage::Baselines },
        products: ids("product_id")?.into_iter().map(Into::into).collect(),
        categories: ids("category_id")?.into_iter().map(Into::into).collect(),
        candidates,
        launches: Launches { amount: launch(LAUNCH[0]), age: launch(LAUNCH[1]) },
        membership: floats("membership")?,
        activity: floats("activity")?,
        age: match batch.column_by_name("age").and_then(|column| column.as_primitive_opt::<Float32Type>()) {
            Some(ages) => ages.iter().map(|age| age.unwrap_or(f32::NAN)).collect(),
            None => vec![f32::NAN; batch.num_rows()],
        },
        amount: floats("amount")?,
        quantity: floats("quantity")?,
        // Older ledgers know the published units alone.
        units: floats("units").or_else(|_| floats("quantity"))?,
        low: floats("low")?,
        high: floats("high")?,
        wide: match (floats("low_95"), floats("high_95")) {
            (Ok(low), Ok(high)) if batch["low_95"].null_count() == 0 => low.into_iter().zip(high).collect(),
            _ => Vec::new(),
        },
        chances: Vec::new(),
        confidence: floats("confidence")?,
        rank_interval: Vec::new(),
        rank: ranks.as_primitive::<UInt32Type>().values().to_vec(),
        category_confidence: floats("category_confidence")?,
    })
}
