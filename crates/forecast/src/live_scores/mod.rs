//! Live scores: how live forecasts came out once their periods had ended, beside the published forecast of the same period.
//! Each is scored once, on the sales known then; sums are kept in the Delta table `live_scores`.

mod compared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use chrono::{DateTime, Utc};
use sellcast_domain::{GenerationId, LiveLevel, LiveMetrics, LivePrediction, LiveScore, Period, PredictionDocument, ShopDay, TimeFrame};
use sellcast_features::Target;

use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use compared::{Sums, Truth, compare};

const TABLE: &str = "live_scores";
/// Ends of the stretches of a period's first day that are told apart, in hours; what is later belongs to the last.
const ENDS: [i64; 9] = [6, 10, 12, 14, 16, 18, 20, 24, 366 * 24];
/// Days that the record looks back.
const DAYS: i64 = 56;
/// What the record shows, as the ratio of two sums.
const RATIOS: [(&str, &str, &str); 4] =
    [("wape", "error", "actual"), ("coverage_80", "held", "intervals"), ("said", "said", "calls"), ("came_true", "came", "calls")];
const LIVE: &str = "live";
const PUBLISHED: &str = "published";

/// A row: one live forecast at one level, or the published one beside it.
struct Row {
    as_of: i64,
    level: LiveLevel,
    hours: (i64, i64),
    side: &'static str,
    sums: Sums,
}

impl Forecaster<'_> {
    /// Which frames of which published generations have live scores already.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn live_scored(&self) -> Result<BTreeSet<(TimeFrame, String)>, ForecastError> {
        let session = self.warehouse.newest().session().await?;
        let mut scored = BTreeSet::new();
        if session.table_exist(TABLE)? {
            let sql =
                format!("select distinct cast(frame as varchar) as frame, cast(generation_id as varchar) as generation_id from {TABLE}");
            for batch in session.sql(&sql).await?.collect().await? {
                let (frames, generations) = (text(&batch, "frame")?, text(&batch, "generation_id")?);
                for row in 0..batch.num_rows() {
                    let frame = frames.as_string::<i32>().value(row).parse().map_err(|error| damaged(&error))?;
                    scored.insert((frame, generations.as_string::<i32>().value(row).to_owned()));
                }
            }
        }
        Ok(scored)
    }

    /// Scores the live forecasts that went on from a published document whose period ended before `as_of`, each with its instant.
    /// `began` is the instant at which the period did.
    ///
    /// # Errors
    /// When the truth cannot be read or the scores cannot be written.
    pub async fn score_live(
        &self,
        published: &PredictionDocument,
        live: &[(DateTime<Utc>, LivePrediction)],
        began: DateTime<Utc>,
        as_of: ShopDay,
    ) -> Result<(), ForecastError> {
        let (frame, generation) = (published.time_frame, published.generation_id);
        let target = Target::load(&self.panel, Period::starting(frame, published.period_start), Some(as_of)).await?;
        let rows = tokio::task::block_in_place(|| {
            let (truth, published) = (Truth::of(&target), LivePrediction::of(published, |_| None));
            let mut rows = Vec::with_capacity(live.len() * 4);
            for (instant, live) in live {
                let hours = hours((*instant - began).num_hours());
                for (level, compared) in compare(live, &published, &truth) {
                    for (side, sums) in [(LIVE, compared.live), (PUBLISHED, compared.published)] {
                        rows.push(Row { as_of: instant.timestamp(), level, hours, side, sums });
                    }
                }
            }
            rows
        });
        let slice = format!("frame = '{frame}' and generation_id = '{generation}'");
        self.warehouse.replace_where(TABLE, &slice, vec![to_batch(frame, published.period_start, generation, &rows)?], &[]).await?;
        Ok(())
    }

    /// How live forecasts of the last eight weeks came out, by frame.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn live_record(&self, as_of: ShopDay) -> Result<BTreeMap<TimeFrame, Vec<LiveScore>>, ForecastError> {
        let session = self.warehouse.newest().session().await?;
        let mut record: BTreeMap<TimeFrame, Vec<LiveScore>> = BTreeMap::new();
        if !session.table_exist(TABLE)? {
            return Ok(record);
        }
        let ratio = |side: &str, name: &str, over: &str, under: &str| {
            let sum = |column: &str| format!("sum({column}) filter (where side = '{side}')");
            format!("{} / nullif({}, 0) as {side}_{name}", sum(over), sum(under))
        };
        let metrics: Vec<String> =
            [LIVE, PUBLISHED].iter().flat_map(|side| RATIOS.map(|(name, over, under)| ratio(side, name, over, under))).collect();
        let sql = format!(
            "select cast(frame as varchar) as frame, cast(level as varchar) as level, from_hour, to_hour, \
             count(*) filter (where side = '{LIVE}') as forecasts, {} from {TABLE} \
             where period_start between date '{}' and date '{}' group by 1, 2, 3, 4 order by 1, 2, 3",
            metrics.join(", "),
            as_of - DAYS,
            as_of - 1
        );
        for batch in session.sql(&sql).await?.collect().await? {
            let (frames, levels) = (text(&batch, "frame")?, text(&batch, "level")?);
            let number = |name: &str, row: usize| batch[name].as_primitive::<Int64Type>().value(row);
            for row in 0..batch.num_rows() {
                let frame = frames.as_string::<i32>().value(row).parse().map_err(|error| damaged(&error))?;
                let level = levels.as_string::<i32>().value(row);
                let level = [LiveLevel::Categories, LiveLevel::Products].into_iter().find(|known| name(*known) == level);
                record.entry(frame).or_default().push(LiveScore {
                    level: level.ok_or_else(|| damaged(&"an unknown level"))?,
                    from_hour: number("from_hour", row) as u32,
                    to_hour: number("to_hour", row) as u32,
                    forecasts: number("forecasts", row) as u64,
                    live: metrics_of(&batch, LIVE, row),
                    published: metrics_of(&batch, PUBLISHED, row),
                });
            }
        }
        Ok(record)
    }
}

/// The stretch of the period that an hour belongs to.
fn hours(hour: i64) -> (i64, i64) {
    let end = ENDS.iter().position(|end| hour < *end).unwrap_or(ENDS.len() - 1);
    (if end == 0 { 0 } else { ENDS[end - 1] }, ENDS[end])
}

const fn name(level: LiveLevel) -> &'static str {
    match level {
        LiveLevel::Categories => "categories",
        LiveLevel::Products => "products",
    }
}

fn metrics_of(batch: &RecordBatch, side: &str, row: usize) -> LiveMetrics {
    let ratio = |name: &str| {
        let column = batch[format!("{side}_{name}").as_str()].as_primitive::<Float64Type>();
        column.is_valid(row).then(|| column.value(row))
    };
    let [wape, coverage_80, said, came_true] = RATIOS.map(|(name, ..)| ratio(name));
    LiveMetrics { wape: wape.unwrap_or_default(), coverage_80, said: said.unwrap_or_default(), came_true: came_true.unwrap_or_default() }
}

fn to_batch(frame: TimeFrame, start: ShopDay, generation: GenerationId, rows: &[Row]) -> Result<RecordBatch, ForecastError> {
    let constant = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let numbers = |value: fn(&Row) -> i64| -> ArrayRef { Arc::new(rows.iter().map(|row| Some(value(row))).collect::<Int64Array>()) };
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("frame", constant(frame.name())),
        ("period_start", Arc::new(Date32Array::from(vec![start.epoch_days(); rows.len()]))),
        ("generation_id", constant(&generation.to_string())),
        ("as_of", numbers(|row| row.as_of)),
        ("level", Arc::new(rows.iter().map(|row| Some(name(row.level))).collect::<StringArray>())),
        ("from_hour", numbers(|row| row.hours.0)),
        ("to_hour", numbers(|row| row.hours.1)),
        ("side", Arc::new(rows.iter().map(|row| Some(row.side)).collect::<StringArray>())),
    ];
    for (at, sum) in Sums::NAMES.into_iter().enumerate() {
        columns.push((sum, Arc::new(rows.iter().map(|row| Some(row.sums.values()[at])).collect::<Float64Array>())));
    }
    let fields: Vec<_> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).map_err(arrow_failed)
}

fn text(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ForecastError> {
    arrow::compute::cast(&batch[name], &DataType::Utf8).map_err(arrow_failed)
}

fn arrow_failed(error: arrow::error::ArrowError) -> ForecastError {
    ForecastError::Engine(error.into())
}

fn damaged(error: &dyn std::fmt::Display) -> ForecastError {
    let reason = format!("a row cannot be read: {error}; delete the table's folder, later nights score anew");
    ForecastError::Engine(datafusion::error::DataFusionError::Execution(format!("`{TABLE}`: {reason}")))
}
