//! The track record: how forecasts came out, as published beside each generation. The forecast crate makes it,
//! the pages show it, the back-test prints its metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CategoryId, Driver, ExperimentRecord, Learning, ModelsRecord, Money, ProductId, ShopDay, TimeFrame};

/// Accuracy over a set of category-periods (design: back-test protocol). Shares are 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Overlap of the two top-5 lists / 5, over category-periods with at least 5 products sold.
    pub precision_at_5: f64,
    /// The same for 10.
    pub precision_at_10: f64,
    /// Normalised discounted cumulative gain at 10, gain = true amount.
    pub ndcg_at_10: f64,
    /// sum |forecast - actual| / sum actual. `None` for models that only rank.
    pub wape: Option<f64>,
    /// Mean absolute percentage error over products that sold.
    pub mape: Option<f64>,
    /// Root mean squared error, in units of the currency.
    pub rmse: Option<f64>,
    /// (sum forecast - sum actual) / sum actual.
    pub bias: Option<f64>,
    /// Share of actuals inside the 80 % interval, when the model gives one.
    pub coverage_80: Option<f64>,
    /// Share of actuals inside the 95 % interval.
    #[serde(default)]
    pub coverage_95: Option<f64>,
    /// Expected calibration error of the confidence over 15 equal-mass bins.
    pub ece: Option<f64>,
    /// Brier score of the confidence.
    pub brier: Option<f64>,
}

/// Where a score comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A forecast that was published and whose period has ended.
    Published,
    /// A forecast made afterwards from what was known before its period (shown until enough were published).
    Backtest,
}

/// Everything the track-record page shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrackRecord {
    /// Per frame that has scores.
    pub frames: BTreeMap<TimeFrame, FrameRecord>,
    /// Which versions of models forecast, and why.
    #[serde(default)]
    pub models: ModelsRecord,
    /// What the running experiment has shown.
    #[serde(default)]
    pub experiment: Option<ExperimentRecord>,
}

/// One frame's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Scored periods, newest first.
    pub periods: Vec<PeriodScore>,
    /// Over all scored periods, by model; `published` is what was shown.
    pub models: BTreeMap<String, Metrics>,
    /// Calibration of the products' confidence.
    pub reliability: Vec<ReliabilityBin>,
    /// The largest errors of the newest scored period.
    pub worst_misses: Vec<Miss>,
    /// Weight of each model in the combination now.
    pub weights: BTreeMap<String, f64>,
    /// How the weights came about.
    #[serde(default)]
    pub learning: Learning,
    /// How live forecasts of ended periods came out, by what the shop's clock showed; in its order, categories before products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live: Vec<LiveScore>,
}

/// What a live score is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LiveLevel {
    /// The categories' amounts.
    Categories,
    /// The products' amounts.
    Products,
}

/// Live forecasts made at about the same hours of the period's first day, beside what was published for the same periods.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveScore {
    /// Of what.
    pub level: LiveLevel,
    /// Hours since the period began, from.
    pub from_hour: u32,
    /// To, exclusive.
    pub to_hour: u32,
    /// Live generations scored.
    pub forecasts: u64,
    /// What the live forecast came out as.
    pub live: LiveMetrics,
    /// The published one in the same periods.
    pub published: LiveMetrics,
}

/// How one of the two came out. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveMetrics {
    /// sum |forecast - actual| / sum actual.
    pub wape: f64,
    /// Share of amounts inside their 80 % interval; `None` where none has one.
    pub coverage_80: Option<f64>,
    /// Mean confidence of being in the list.
    pub said: f64,
    /// Share that was in it.
    pub came_true: f64,
}

/// How one forecast came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeriodScore {
    /// First day of the period.
    pub period_start: ShopDay,
    /// Its last day.
    pub period_end: ShopDay,
    /// Published then, or made afterwards.
    pub origin: Origin,
    /// What was shown.
    pub published: Metrics,
    /// The list of the previous period, as everyone's yardstick.
    pub last_period: Metrics,
    /// Expected and real sales over all categories.
    pub forecast_amount: Money,
    /// What came.
    pub actual_amount: Money,
    /// Of each of the largest categories, what was said and what came.
    pub categories: Vec<ScoredCategory>,
    /// The first score, when sales of the period that came in later have changed it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<FirstScore>,
}

/// How a forecast came out by the sales known the first time it was scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstScore {
    /// The metrics of what was shown.
    pub published: Metrics,
    /// What had come by then.
    pub actual_amount: Money,
}

/// A category's forecast and what came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredCategory {
    /// The category.
    pub category_id: CategoryId,
    /// Its name.
    pub category_name: String,
    /// Said.
    pub forecast_amount: Money,
    /// Came.
    pub actual_amount: Money,
    /// Rank said.
    pub forecast_rank: u32,
    /// Rank that came.
    pub actual_rank: u32,
    /// How sure of its list.
    pub confidence_score: f64,
    /// Whether it was in the list.
    pub came_true: bool,
}

/// Forecasts of about the same confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean confidence said.
    pub said: f64,
    /// Share that came true.
    pub came_true: f64,
    /// Number of forecasts.
    pub count: u64,
}

/// A product whose forecast was far off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Miss {
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub product_name: String,
    /// Its category.
    pub category_id: CategoryId,
    /// Said.
    pub forecast_amount: Money,
    /// Came.
    pub actual_amount: Money,
    /// Why it was forecast so, strongest reasons first; empty where the models gave none.
    #[serde(default)]
    pub drivers: Vec<Driver>,
}
