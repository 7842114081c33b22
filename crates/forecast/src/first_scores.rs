//! First scores: how each forecast came out by the sales known when it was first scored, in the Delta table `first_scores`.
//! Sales come in late and are corrected; the track record scores anew what changed and shows the first score beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema};
use chrono::{DateTime, Utc};
use sellcast_domain::{FirstScore, Money, PeriodScore, ShopDay, TimeFrame, TrackRecord};
use sellcast_warehouse::Warehouse;

use crate::error::ForecastError;

const TABLE: &str = "first_scores";
/// Differences of shares below it come from adding up in another order.
const SAME: f64 = 1e-9;

/// A forecast: its frame, its first day, and its sum, which tells apart what several generations said of one period.
type Key = (TimeFrame, ShopDay, i64);

/// The first scores kept so far, with the instant of each in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct FirstScores {
    kept: BTreeMap<Key, (i64, FirstScore)>,
}

fn key(frame: TimeFrame, score: &PeriodScore) -> Key {
    (frame, score.period_start, score.forecast_amount.cents())
}

impl FirstScores {
    /// All of them.
    pub(crate) async fn read(warehouse: &Warehouse) -> Result<Self, ForecastError> {
        let session = warehouse.session().await?;
        if !session.table_exist(TABLE)? {
            return Ok(Self::default());
        }
        let sql = format!(
            "select cast(frame as varchar) as frame, period_start, forecast_cents, scored_at, actual_cents, cast(metrics as varchar) as metrics from {TABLE}"
        );
        let mut kept = BTreeMap::new();
        for batch in session.sql(&sql).await?.collect().await? {
            let text = |name: &str| arrow::compute::cast(&batch[name], &DataType::Utf8).map_err(arrow_failed);
            let numbers = |name: &str| batch[name].as_primitive::<Int64Type>();
            let (frames, metrics) = (text("frame")?, text("metrics")?);
            let (said, came, at) = (numbers("forecast_cents"), numbers("actual_cents"), numbers("scored_at"));
            let starts = batch["period_start"].as_primitive::<Date32Type>();
            for row in 0..batch.num_rows() {
                let frame = frames.as_string::<i32>().value(row).parse().map_err(|error| damaged(&error))?;
                let published = serde_json::from_str(metrics.as_string::<i32>().value(row)).map_err(|error| damaged(&error))?;
                let first = FirstScore { published, actual_amount: Money::from_cents(came.value(row)) };
                kept.insert((frame, ShopDay::from_epoch_days(starts.value(row)), said.value(row)), (at.value(row), first));
            }
        }
        Ok(Self { kept })
    }

    /// Puts the first score beside each that has changed since. Only what was scored until `now` counts, so that a record
    /// made again is the same.
    pub(crate) fn compare(&self, record: &mut TrackRecord, now: DateTime<Utc>) {
        for (frame, record) in &mut record.frames {
            for score in &mut record.periods {
                let first = self.kept.get(&key(*frame, score)).filter(|(at, _)| *at <= now.timestamp_micros());
                score.first = first.map(|(_, first)| first).filter(|first| differs(first, score)).cloned();
            }
        }
    }

    /// Keeps the scores of the record that are the first of their forecasts.
    pub(crate) async fn keep(mut self, warehouse: &Warehouse, record: &TrackRecord, now: DateTime<Utc>) -> Result<(), ForecastError> {
        let before = self.kept.len();
        for (frame, record) in &record.frames {
            for score in &record.periods {
                let first = || FirstScore { published: score.published.clone(), actual_amount: score.actual_amount };
                self.kept.entry(key(*frame, score)).or_insert_with(|| (now.timestamp_micros(), first()));
            }
        }
        if self.kept.len() > before {
            // A few rows a day: the whole table in one file is read fastest.
            warehouse.replace_where(TABLE, "scored_at is not null", vec![self.batch()?], &[]).await?;
        }
        Ok(())
    }

    fn batch(&self) -> Result<RecordBatch, ForecastError> {
        let rows = || self.kept.iter();
        let numbers = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let metrics = rows().map(|(_, (_, first))| serde_json::to_string(&first.published).map_err(|error| damaged(&error)));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("frame", Arc::new(rows().map(|((frame, ..), _)| Some(frame.name())).collect::<StringArray>())),
            ("period_start", Arc::new(Date32Array::from(rows().map(|((_, day, _), _)| day.epoch_days()).collect::<Vec<_>>()))),
            ("forecast_cents", numbers(rows().map(|((.., cents), _)| *cents).collect())),
            ("scored_at", numbers(rows().map(|(_, (at, _))| *at).collect())),
            ("actual_cents", numbers(rows().map(|(_, (_, first))| first.actual_amount.cents()).collect())),
            ("metrics", Arc::new(StringArray::from(metrics.collect::<Result<Vec<_>, _>>()?))),
        ];
        let fields: Vec<_> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).map_err(arrow_failed)
    }
}

fn differs(first: &FirstScore, score: &PeriodScore) -> bool {
    let moved = |a: f64, b: f64| (a - b).abs() > SAME;
    first.actual_amount != score.actual_amount
        || moved(first.published.precision_at_10, score.published.precision_at_10)
        || moved(first.published.wape.unwrap_or(0.0), score.published.wape.unwrap_or(0.0))
}

fn arrow_failed(error: arrow::error::ArrowError) -> ForecastError {
    ForecastError::Engine(error.into())
}

fn damaged(error: &dyn std::fmt::Display) -> ForecastError {
    let reason = format!("a row cannot be read or written: {error}; delete the table's folder, the next publication makes it anew");
    ForecastError::Engine(datafusion::error::DataFusionError::Execution(format!("`{TABLE}`: {reason}")))
}
