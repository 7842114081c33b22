//! Experiments: several arms forecast the same frame, each user sees one of them, and when a period has ended every arm
//! is scored on the truth. What each arm said is kept in the Delta table `ledger_arms`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, Float32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Field, Float32Type, Int64Type, Schema};
use datafusion::prelude::SessionContext;
use sellcast_domain::{
    ArmScore, CategoryId, Continuation, Duel, Experiment, ExperimentPeriod, ExperimentRecord, GenerationId, Period, PredictionDocument,
    ShopDay, Verdict,
};
use sellcast_features::Target;
use sellcast_warehouse::Warehouse;

use crate::duel::{Losses, category_losses, compare};
use crate::error::ForecastError;
use crate::forecaster::{Forecaster, FrameForecast};
use crate::ledger::ForecastPeriod;
use crate::metrics::{Said, Scored, Tally, ranks, top_categories};
use crate::rows::Rows;
use crate::train::FrameModels;

const TABLE: &str = "ledger_arms";
/// The arm that is the published combination.
pub const PUBLISHED: &str = "published";
/// Ended periods that a record looks back on.
const PERIODS: usize = 26;
/// Categories scored, those that sold most, as in the back-test.
const CATEGORIES: usize = 100;

/// An experiment to run beside a publication.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Frame, arms and shares.
    pub experiment: Experiment,
    /// The models of arms that are versions of the registry, by the arm's name.
    pub models: BTreeMap<String, FrameModels>,
}

/// The documents of one arm.
#[derive(Clone, Debug)]
pub struct ArmPublication {
    /// Its name.
    pub arm: String,
    /// What its users get.
    pub prediction: PredictionDocument,
    /// Further products of long categories.
    pub continuations: Vec<Continuation>,
}

/// What one arm says.
#[derive(Clone, Debug)]
pub(crate) struct ArmForecast {
    pub(crate) arm: String,
    pub(crate) frame: FrameForecast,
}

impl Trial {
    /// What each arm says of the experiment's frame; arms that nothing stands behind are left out with a warning.
    pub(crate) async fn forecasts(
        &self,
        forecaster: &Forecaster<'_>,
        frame: &FrameForecast,
        rows: &Rows,
    ) -> Result<Vec<ArmForecast>, ForecastError> {
        let mut arms = Vec::new();
        for arm in &self.experiment.arms {
            let amounts = if arm.name == PUBLISHED {
                frame.forecast.amount.clone()
            } else if let Some(models) = self.models.get(&arm.name) {
                let candidates = forecaster.candidates(rows, Some(models)).await?;
                frame.learned.hedge.combine(&candidates.amounts, &rows.categories)
            } else if let Some(amounts) = frame.forecast.candidates.get(&arm.name) {
                amounts.clone()
            } else {
                let known: Vec<&str> = frame.forecast.candidates.keys().map(String::as_str).collect();
                tracing::warn!(arm = %arm.name, "no such arm: name `published`, a model version or one of {}", known.join(", "));
                continue;
            };
            let frame = tokio::task::block_in_place(|| with_amounts(frame, amounts));
            arms.push(ArmForecast { arm: arm.name.clone(), frame });
        }
        Ok(arms)
    }
}

/// The same forecast with other amounts: ranked, with confidence and intervals of its own.
fn with_amounts(frame: &FrameForecast, mut amounts: Vec<f32>) -> FrameForecast {
    let mut frame = frame.clone();
    amounts.iter_mut().for_each(|amount| *amount = amount.max(0.0));
    let forecast = &mut frame.forecast;
    if amounts != forecast.amount {
        // Units follow the amounts at the price that the published forecast implies.
        for ((quantity, new), old) in forecast.quantity.iter_mut().zip(&amounts).zip(&forecast.amount) {
            *quantity *= if *old > 0.0 { new / old } else { 1.0 };
        }
        forecast.rank = ranks(&forecast.categories, &amounts);
        forecast.amount = amounts;
        frame.learned.complete(forecast, frame.factor);
    }
    frame
}

/// Reads and writes what arms said.
pub(crate) struct ArmLedger<'a> {
    warehouse: &'a Warehouse,
}

impl<'a> ArmLedger<'a> {
    pub(crate) fn new(warehouse: &'a Warehouse) -> Self {
        Self { warehouse }
    }

    /// Keeps one generation's arms; written again, the same rows replace themselves.
    pub(crate) async fn write(&self, generation: GenerationId, arms: &[ArmForecast]) -> Result<(), ForecastError> {
        let Some(first) = arms.first() else { return Ok(()) };
        let period = first.frame.forecast.period;
        let slice = format!("frame = '{}' and as_of = date '{}' and generation_id = '{generation}'", period.frame(), period.start());
        let batches = arms.iter().map(|arm| to_batch(generation, arm)).collect::<Result<Vec<_>, _>>()?;
        self.warehouse.replace_where(TABLE, &slice, batches, &["frame", "as_of"]).await?;
        Ok(())
    }

    /// The newest generation with these arms for each ended period, newest first; periods do not overlap, because a sale
    /// that counts twice would make a result look surer than it is.
    async fn ended(session: &SessionContext, experiment: &Experiment, as_of: ShopDay) -> Result<Vec<(ShopDay, String)>, ForecastError> {
        if !session.table_exist(TABLE)? {
            return Ok(Vec::new());
        }
        let names: Vec<String> = experiment.arms.iter().map(|arm| format!("'{}'", arm.name.replace('\'', "''"))).collect();
        let sql = format!(
            "select as_of, max(generation_id) as generation_id from (
               select as_of, cast(generation_id as varchar) as generation_id, count(distinct arm) as arms from {TABLE}
               where frame = '{}' and cast(arm as varchar) in ({}) group by 1, 2) where arms = {} group by as_of order by as_of desc",
            experiment.frame,
            names.join(", "),
            names.len()
        );
        let mut days: Vec<(ShopDay, String)> = Vec::new();
        for batch in session.sql(&sql).await?.collect().await? {
            let origins = batch["as_of"].as_primitive::<Date32Type>();
            let generations = arrow::compute::cast(&batch["generation_id"], &DataType::Utf8).map_err(arrow_failed)?;
            for row in 0..batch.num_rows() {
                let day = ShopDay::from_epoch_days(origins.value(row));
                let period = Period::starting(experiment.frame, day);
                let apart = days.last().is_none_or(|(later, _)| period.last_day() < *later);
                if period.last_day() < as_of && apart && days.len() < PERIODS {
                    days.push((day, generations.as_string::<i32>().value(row).to_owned()));
                }
            }
        }
        Ok(days)
    }

    /// Amounts of one arm as rows of a forecast.
    async fn read(session: &SessionContext, period: Period, generation: &str, arm: &str) -> Result<ForecastPeriod, ForecastError> {
        let sql = format!(
            "select product_id, category_id, amount from {TABLE} where frame = '{}' and as_of = date '{}' and generation_id = '{generation}'
             and arm = '{}' order by product_id, category_id",
            period.frame(),
            period.start(),
            arm.replace('\'', "''")
        );
        let mut forecast = ForecastPeriod {
            period,
            origin: sellcast_domain::Origin::Published,
            stage: sellcast_domain::Stage::Models,
            products: vec![],
            categories: vec![],
            candidates: BTreeMap::new(),
            launches: crate::cold_start::Launches::default(),
            membership: vec![],
            activity: vec![],
            age: vec![],
            units: vec![],
            rank_interval: vec![],
            amount: vec![],
            quantity: vec![],
            low: vec![],
            high: vec![],
            wide: vec![],
            chances: vec![],
            confidence: vec![],
            rank: vec![],
            category_confidence: vec![],
        };
        for batch in session.sql(&sql).await?.collect().await? {
            let id = |name: &str| batch[name].as_primitive::<Int64Type>().values().iter().copied().collect::<Vec<i64>>();
            forecast.products.extend(id("product_id").into_iter().map(sellcast_domain::ProductId::from));
            forecast.categories.extend(id("category_id").into_iter().map(CategoryId::from));
            forecast.amount.extend_from_slice(batch["amount"].as_primitive::<Float32Type>().values());
        }
        Ok(forecast)
    }
}

impl Forecaster<'_> {
    /// What an experiment has shown on the periods that have ended.
    pub(crate) async fn experiment_record(&self, experiment: &Experiment, as_of: ShopDay) -> Result<ExperimentRecord, ForecastError> {
        // One for all: opening it registers every table.
        let session = self.warehouse.session().await?;
        let mut all: BTreeMap<String, Losses> = BTreeMap::new();
        let mut periods = Vec::new();
        for (day, generation) in ArmLedger::ended(&session, experiment, as_of).await? {
            let period = Period::starting(experiment.frame, day);
            let target = Target::load(&self.panel, period, Some(as_of)).await?;
            let mut losses: BTreeMap<String, Losses> = BTreeMap::new();
            let mut arms = BTreeMap::new();
            for arm in &experiment.arms {
                let forecast = ArmLedger::read(&session, period, &generation, &arm.name).await?;
                let (score, lost) = tokio::task::block_in_place(|| score(&forecast, &target));
                arms.insert(arm.name.clone(), score);
                all.entry(arm.name.clone()).or_default().extend(lost.clone());
                losses.insert(arm.name.clone(), lost);
            }
            if let Some(verdict) = verdict(&losses) {
                periods.push(ExperimentPeriod { period_start: day, period_end: period.last_day(), arms, verdict });
            }
        }
        Ok(ExperimentRecord { experiment: experiment.clone(), periods, verdict: verdict(&all) })
    }
}

fn score(forecast: &ForecastPeriod, target: &Target) -> (ArmScore, Losses) {
    let losses = category_losses(forecast, &forecast.amount, target);
    let mut sales: BTreeMap<CategoryId, f64> = BTreeMap::new();
    for row in target.rows.values() {
        *sales.entry(row.category).or_default() += row.amount;
    }
    let joined = Scored::products(forecast, target, Some(&top_categories(&sales, CATEGORIES)));
    let mut tally = Tally::default();
    tally.add(&joined, Said { amount: &forecast.amount, published: None });
    let metrics = tally.metrics();
    let loss = losses.values().sum::<f64>() / losses.len().max(1) as f64;
    (ArmScore { wape: metrics.wape.unwrap_or_default(), precision_at_10: metrics.precision_at_10, loss }, losses)
}

/// The arm with the least mean loss against the next one. The test is two-sided: which arm is nearer was seen first.
fn verdict(losses: &BTreeMap<String, Losses>) -> Option<Verdict> {
    let mean = |losses: &Losses| losses.values().sum::<f64>() / losses.len() as f64;
    let mut order: Vec<(&String, &Losses)> = losses.iter().filter(|(_, losses)| !losses.is_empty()).collect();
    order.sort_by(|a, b| mean(a.1).total_cmp(&mean(b.1)).then(a.0.cmp(b.0)));
    let [(nearest, first), (next, second), ..] = &order[..] else { return None };
    let duel = compare(first, second);
    let duel = Duel { p_value: (2.0 * duel.p_value).min(1.0), ..duel };
    Some(Verdict { nearest: (*nearest).clone(), next: (*next).clone(), duel })
}

fn arrow_failed(error: arrow::error::ArrowError) -> ForecastError {
    ForecastError::Engine(error.into())
}

fn to_batch(generation: GenerationId, arm: &ArmForecast) -> Result<RecordBatch, ForecastError> {
    let forecast = &arm.frame.forecast;
    let rows = forecast.len();
    let constant = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("frame", constant(forecast.period.frame().name())),
        ("as_of", Arc::new(Date32Array::from(vec![forecast.period.start().epoch_days(); rows]))),
        ("generation_id", constant(&generation.to_string())),
        ("arm", constant(&arm.arm)),
        ("product_id", Arc::new(forecast.products.iter().map(|id| id.get()).collect::<Int64Array>())),
        ("category_id", Arc::new(forecast.categories.iter().map(|id| id.get()).collect::<Int64Array>())),
        ("amount", Arc::new(Float32Array::from(forecast.amount.clone()))),
    ];
    let fields: Vec<_> = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).map_err(arrow_failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(level: f64) -> Losses {
        (0..60_i64).map(|at| ((ShopDay::from_epoch_days(17_000), at.into()), level + (at % 7) as f64 / 10.0)).collect()
    }

    #[test]
    fn the_nearest_arm_is_told_with_how_sure_that_is() {
        let verdict = verdict(&[("a".to_owned(), losses(1.0)), ("b".to_owned(), losses(0.9)), ("c".to_owned(), losses(1.2))].into())
            .expect("a verdict");
        assert_eq!((verdict.nearest.as_str(), verdict.next.as_str()), ("b", "a"));
        assert!(verdict.is_sure(), "{verdict:?}");
    }

    #[test]
    fn equal_arms_are_never_sure_and_one_arm_is_no_experiment() {
        let equal = verdict(&[("a".to_owned(), losses(1.0)), ("b".to_owned(), losses(1.0))].into()).expect("a verdict");
        assert!(!equal.is_sure(), "{equal:?}");
        assert_eq!(verdict(&[("a".to_owned(), losses(1.0))].into()), None);
    }
}
