//! Rolling-origin back-test by the protocol of the design: at every origin weights, calibration and models come from
//! before it; the published combination stands beside each candidate.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sellcast_domain::{ConfidenceFactors, Metrics, Origin, Period, ShopDay, Stage, TimeFrame};
use sellcast_features::Target;
use serde::Serialize;

use crate::combined::CategorySums;
use crate::dear::DearModels;
use crate::error::ForecastError;
use crate::factors::Factors;
use crate::forecaster::{Forecaster, memory};
use crate::groups::{GroupTally, Groups};
use crate::importance::{FeatureImportance, Importances};
use crate::learn::Learned;
use crate::ledger::ForecastPeriod;
use crate::metrics::{Said, Scored, Tally, top_categories};
use crate::plan::FramePlan;
use crate::train::FrameModels;

/// A back-test to run.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// The frame.
    pub frame: TimeFrame,
    /// Origins, oldest first.
    pub origins: Vec<ShopDay>,
    /// Number of categories, those with the highest sales before the first origin.
    pub categories: usize,
}

/// Its result, as printed.
#[derive(Clone, Debug, Serialize)]
pub struct BacktestReport {
    /// The frame.
    pub frame: TimeFrame,
    /// The origins.
    pub origins: Vec<ShopDay>,
    /// Products within categories, by model; `published` is the combination.
    pub models: BTreeMap<String, Metrics>,
    /// The ranking of the categories themselves, by model.
    pub categories: BTreeMap<String, Metrics>,
    /// The published forecast by age of the product, by category and by length of the list.
    pub groups: Groups,
    /// Mean weight of each candidate in the combination.
    pub weights: BTreeMap<String, f64>,
    /// Mean weight of launch curves beside the models, by days since the first sale.
    pub launch_weights: BTreeMap<String, f64>,
    /// Importance of every feature in each trained model, and how steady it is over the trainings; strongest first.
    pub importance: BTreeMap<String, Vec<FeatureImportance>>,
    /// Training and forecasting time.
    pub seconds: f64,
}

/// A forecast of the back-test.
struct Made {
    forecast: ForecastPeriod,
    /// Days since the first sale, by row.
    ages: Vec<f32>,
    /// What stands beside the confidence, by row.
    factors: Vec<ConfidenceFactors>,
}

impl Backtest {
    /// The usual origins: Mondays (days for the day frame), the newest such that its period ended a week before the
    /// last sale (a day for the day frame), because later sales of it may still be on their way.
    pub fn usual(frame: TimeFrame, first_day: ShopDay, last_day: ShopDay) -> Result<Self, ForecastError> {
        let settled = frame.typical_days().min(7);
        let (count, step) = if frame == TimeFrame::Day { (28, 1) } else { (8, 7) };
        let mut newest = if frame == TimeFrame::Day { last_day } else { last_day.week_start() };
        while Period::starting(frame, newest).last_day() + settled > last_day {
            newest = newest - step;
        }
        let mut origins: Vec<_> =
            (0..count).map(|i| newest - i * step).filter(|origin| FramePlan::new(frame, first_day, *origin).is_some()).collect();
        origins.reverse();
        if origins.is_empty() {
            let reason = format!(
                "the sales from {first_day} to {last_day} hold no origin with two earlier periods to train on and one later to be scored on"
            );
            return Err(ForecastError::Backtest { frame, reason });
        }
        Ok(Self { frame, origins, categories: 100 })
    }
}

impl Forecaster<'_> {
    /// Runs a back-test. Fails on any feature that sees the future.
    ///
    /// # Errors
    /// When an origin's history cannot train the frame, or anything below fails.
    pub async fn backtest(
        &self,
        backtest: &Backtest,
        now: DateTime<Utc>,
        progress: &(dyn Fn(&str) + Sync),
    ) -> Result<BacktestReport, ForecastError> {
        let started = std::time::Instant::now();
        let frame = backtest.frame;
        let first = *backtest.origins.first().ok_or_else(|| ForecastError::Backtest { frame, reason: "no origin is given".into() })?;
        progress(&format!("checking that no feature at {first} sees the future"));
        self.check_for_leaks(first).await?;
        let plan = self.plan(frame, first)?;
        progress("warming up: models for the origins that weights and calibration are learnt from");
        let mut earlier = self.calibration_forecasts(&plan, now).await?;
        let mut made: Vec<Made> = Vec::new();
        let mut weights: BTreeMap<String, f64> = BTreeMap::new();
        let mut launch_weights: BTreeMap<String, f64> = BTreeMap::new();
        let mut models: Option<FrameModels> = None;
        let mut importance = Importances::default();
        for (at, origin) in backtest.origins.iter().enumerate() {
            progress(&format!("origin {origin}"));
            let scored = self.newest_scored(frame, &earlier, *origin).await?;
            let former = models.as_ref().and_then(FrameModels::dear);
            let (learned, dear) =
                tokio::task::block_in_place(|| (Learned::from_scored(&scored), DearModels::next(former, &self.settings, frame, &scored)));
            drop(scored);
            // As in production, models are trained once a week.
            if models.as_ref().is_none_or(|models| origin.days_since(models.trained_as_of) >= 7) {
                let trained = self.fit_with(dear, frame, &self.plan(frame, *origin)?.training, *origin, now).await?;
                importance.add(trained.importance());
                models = Some(trained);
            }
            let set = self.set_among(&backtest.origins, at, now).await?;
            let rows = self.rows(&set, frame).await?;
            let candidates = self.candidates(&rows, models.as_ref()).await?;
            let forecast = tokio::task::block_in_place(|| learned.forecast(&rows, candidates, Origin::Backtest, Stage::Models));
            for (model, weight) in learned.hedge.weights() {
                *weights.entry(model.clone()).or_default() += weight / backtest.origins.len() as f64;
            }
            for (band, weight) in learned.launches.named() {
                *launch_weights.entry(band.to_owned()).or_default() += f64::from(weight) / backtest.origins.len() as f64;
            }
            let factors = {
                let factors = Factors::of(&learned, &forecast, &rows);
                (0..forecast.len()).map(|row| factors.of_product(row)).collect()
            };
            earlier.push(forecast.clone());
            made.push(Made { forecast, ages: rows.column("days_since_first_sale"), factors });
        }
        progress("scoring");
        let (models, categories, groups) = self.report(backtest, &made).await?;
        let seconds = started.elapsed().as_secs_f64();
        let importance = importance.stability();
        Ok(BacktestReport {
            frame,
            origins: backtest.origins.clone(),
            models,
            categories,
            groups,
            weights,
            launch_weights,
            importance,
            seconds,
        })
    }

    fn plan(&self, frame: TimeFrame, as_of: ShopDay) -> Result<FramePlan, ForecastError> {
        FramePlan::new(frame, self.panel.first_day(), as_of).ok_or_else(|| ForecastError::Backtest {
            frame,
            reason: format!("the {} days of sales before {as_of} cannot train it", self.panel.history_days(as_of)),
        })
    }

    /// Of the forecasts made so far, those that production would learn from at `origin`.
    async fn newest_scored(
        &self,
        frame: TimeFrame,
        made: &[ForecastPeriod],
        origin: ShopDay,
    ) -> Result<Vec<(ForecastPeriod, Target)>, ForecastError> {
        let (most, _) = memory(frame);
        let ended: Vec<_> = made.iter().filter(|forecast| forecast.period.last_day() < origin).collect();
        let newest = ended[ended.len().saturating_sub(most)..].iter().map(|forecast| (*forecast).clone()).collect();
        self.with_truth(newest, origin).await
    }

    /// Scores forecasts.
    async fn report(
        &self,
        backtest: &Backtest,
        made: &[Made],
    ) -> Result<(BTreeMap<String, Metrics>, BTreeMap<String, Metrics>, Groups), ForecastError> {
        let first = backtest.origins[0];
        let before = Period::starting(TimeFrame::Year, first - 365);
        let sales = Target::load(&self.panel, before, Some(first)).await?;
        let mut by_category = BTreeMap::new();
        for row in sales.rows.values() {
            *by_category.entry(row.category).or_default() += row.amount;
        }
        let chosen = top_categories(&by_category, backtest.categories);
        let names: BTreeSet<String> = made.iter().flat_map(|made| made.forecast.candidates.keys().cloned()).collect();
        let mut products: BTreeMap<String, Tally> = BTreeMap::new();
        let mut categories: BTreeMap<String, Tally> = BTreeMap::new();
        let mut groups = GroupTally::default();
        for Made { forecast, ages, factors } in made {
            let target = Target::load(&self.panel, forecast.period, None).await?;
            let joined = Scored::products(forecast, &target, Some(&chosen));
            groups.add(&joined, forecast, ages, factors);
            let mut add = |name: &str, said: Said<'_>| products.entry(name.to_owned()).or_default().add(&joined, said);
            add("published", Said { amount: &forecast.amount, published: Some(forecast) });
            for name in &names {
                if let Some(values) = forecast.candidates.get(name) {
                    add(name, Said { amount: values, published: None });
                }
            }
            for (name, values) in
                forecast.candidates.iter().map(|(name, values)| (name.as_str(), values)).chain([("published", &forecast.amount)])
            {
                let sums = CategorySums::of(forecast, values);
                let joined = Scored::categories(&sums.categories, &target);
                categories.entry(name.to_owned()).or_default().add(&joined, Said { amount: &sums.amounts, published: None });
            }
        }
        let metrics = |tallies: BTreeMap<String, Tally>| tallies.into_iter().map(|(name, tally)| (name, tally.metrics())).collect();
        Ok((metrics(products), metrics(categories), groups.groups(&by_category)))
    }
}
