//! The published documents: one generation, its prediction document per frame, continuations for long categories
//! and sales history for charts. Field names are the JSON ones; the APIs rename them to camelCase.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    CategoryId, ConfidenceFactors, Currency, Experiment, GenerationId, Money, Period, PredictionId, ProductId, ShopDay, TimeFrame, TopK,
};

/// How far the models of a generation have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Baselines only: published within seconds of the first ingest.
    Baselines,
    /// Trained and combined models.
    Models,
}

/// A model that took part in a forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Name of the model (`gbm_amount`).
    pub model: String,
    /// Its version in the registry (`week/gbm_amount/2017-12-04`), or `-` for models without parameters.
    pub version: String,
    /// Its weight in the combination, 0 to 1.
    pub weight: f64,
}

/// One publication: all frames for one as_of. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generation {
    /// Its id.
    pub generation_id: GenerationId,
    /// First day of every period in it: made from what was known before this day began.
    pub as_of: ShopDay,
    /// When it was made, by the shop's clock.
    pub generated_at: DateTime<Utc>,
    /// Baselines or models.
    pub stage: Stage,
    /// Name of the shop, for headings.
    pub shop_name: String,
    /// Currency of all amounts.
    pub currency: Currency,
    /// IANA name of the shop's time zone.
    pub time_zone: String,
    /// Last shop day whose sales were in the warehouse.
    pub sales_until: ShopDay,
    /// The document of each frame.
    pub predictions: BTreeMap<TimeFrame, PredictionId>,
    /// Warehouse table versions it came from, the ledger's and the feature store's among them.
    pub warehouse_versions: BTreeMap<String, u64>,
    /// What else it takes to make it again, bit for bit.
    #[serde(default)]
    pub provenance: Provenance,
    /// The experiment that runs beside it; its arms have documents of their own.
    #[serde(default)]
    pub experiment: Option<Experiment>,
}

/// What a generation was made by, beside the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program; empty for generations older than this record.
    pub program_version: String,
    /// Version of the feature definitions.
    pub definitions_version: String,
    /// Seed of ids and of training.
    pub seed: u64,
    /// Boosting rounds.
    pub rounds: usize,
    /// The trained models of each frame.
    pub models: BTreeMap<TimeFrame, ModelSource>,
    /// The versions that dear models were taken over from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dear: BTreeMap<TimeFrame, ModelSource>,
}

/// One registered version of a frame's models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSource {
    /// Its version (`week/2017-12-04`).
    pub version: String,
    /// Digest of its files.
    pub digest: String,
}

/// A prediction interval of an amount, of 80 % unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end: of an 80 % interval, one in ten comes out below.
    pub low: Money,
    /// Upper end: one in ten comes out above.
    pub high: Money,
}

/// An 80 % prediction interval of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankInterval {
    /// Best rank, from 1.
    pub best: u32,
    /// Worst rank.
    pub worst: u32,
}

/// One reason for a forecast, in plain words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Driver {
    /// `on display in 40 stores`.
    pub reason: String,
    /// What it adds to the amount, against the usual period; may be negative.
    pub effect: Money,
}

/// The forecast of one frame: every category at the forecast level, ranked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionDocument {
    /// Its id.
    pub prediction_id: PredictionId,
    /// The generation it belongs to.
    pub generation_id: GenerationId,
    /// Its frame.
    pub time_frame: TimeFrame,
    /// First day of the period.
    pub period_start: ShopDay,
    /// Last day of the period, inclusive.
    pub period_end: ShopDay,
    /// When it was made.
    pub generation_timestamp: DateTime<Utc>,
    /// Version of the combination (`week/2017-12-04`).
    pub model_version: String,
    /// Models behind it with their weights, heaviest first.
    pub models: Vec<ModelVersion>,
    /// Why and how the method falls back, when history cannot train this frame; `None` when it could.
    pub fallback: Option<String>,
    /// All categories' amount.
    pub total_amount: Money,
    /// Its 80 % interval.
    pub total_interval: Interval,
    /// What sold in the previous period of the same length (the days just before as_of).
    pub previous_total: Money,
    /// By rank.
    pub categories: Vec<CategoryPrediction>,
}

impl PredictionDocument {
    /// The period it is about.
    pub fn period(&self) -> Period {
        Period::starting(self.time_frame, self.period_start)
    }
}

/// A category's forecast with its best products.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryPrediction {
    /// The category.
    pub category_id: CategoryId,
    /// Its name.
    pub category_name: String,
    /// Names of its ancestors, root first, without its own.
    pub path: Vec<String>,
    /// Expected sales.
    pub predicted_sales_amount: Money,
    /// Expected units.
    pub predicted_quantity: f64,
    /// 80 % interval of the amount.
    pub interval: Interval,
    /// Probability of being among the top `top_k` categories.
    pub confidence_score: f64,
    /// The list that the confidence is about.
    pub top_k: TopK,
    /// What stands behind the confidence.
    pub factors: ConfidenceFactors,
    /// Rank among the categories, from 1.
    pub rank: u32,
    /// 80 % interval of the rank.
    pub rank_interval: RankInterval,
    /// Rank by what sold in the previous period of the same length; `None` if nothing sold.
    pub previous_rank: Option<u32>,
    /// What sold in the previous period of the same length.
    pub previous_amount: Money,
    /// Number of products forecast in it, continuation included.
    pub total_products: u32,
    /// The first 100 products by rank.
    pub top_products: Vec<ProductPrediction>,
}

/// A product's forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductPrediction {
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub product_name: String,
    /// Its brand, when the shop gives one.
    pub brand: Option<String>,
    /// Its price now, when known.
    pub price: Option<Money>,
    /// Expected units.
    pub predicted_quantity: f64,
    /// Expected sales.
    pub predicted_amount: Money,
    /// 80 % interval of the amount.
    pub interval: Interval,
    /// 95 % interval of the amount; `None` in generations older than it.
    #[serde(default)]
    pub interval_95: Option<Interval>,
    /// Probability of being among the top `top_k` products of its category.
    pub confidence_score: f64,
    /// Probability of being among the top 5, 10, 20, 50 and 100; empty in generations older than it.
    #[serde(default)]
    pub chances: Vec<f64>,
    /// The list that the confidence is about.
    pub top_k: TopK,
    /// What stands behind the confidence.
    pub factors: ConfidenceFactors,
    /// Rank in its category, from 1.
    pub rank: u32,
    /// 80 % interval of the rank.
    pub rank_interval: RankInterval,
    /// Rank by what sold in the previous period of the same length; `None` if it did not sell.
    pub previous_rank: Option<u32>,
    /// What sold in the previous period of the same length.
    pub previous_amount: Money,
    /// Days since its first sale; `None` before it.
    pub days_on_sale: Option<u32>,
    /// Strongest reasons first; empty where the models give none.
    pub drivers: Vec<Driver>,
    /// By what the amount was limited, when the models said more than the product's own history allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// Of a new product, the launches that it is most like: they stand in for its own history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<String>,
}

/// The products of a category beyond the first 100, by rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    /// The category.
    pub category_id: CategoryId,
    /// From rank 101 on.
    pub products: Vec<ContinuedProduct>,
}

/// A product beyond the first 100: the mission's fields, and what a new one is like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContinuedProduct {
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub product_name: String,
    /// Expected units.
    pub predicted_quantity: f64,
    /// Expected sales.
    pub predicted_amount: Money,
    /// Probability of being among the top 100 of its category.
    pub confidence_score: f64,
    /// Rank in its category.
    pub rank: u32,
    /// Of a new product, the launches that it is most like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<String>,
}

/// Weekly sales of a category and of its best products, for charts. Part of a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryHistory {
    /// The category.
    pub category_id: CategoryId,
    /// First day of each seven-day stretch, oldest first; the last one ends on the day before as_of.
    pub week_starts: Vec<ShopDay>,
    /// The category's sales in each.
    pub amounts: Vec<Money>,
    /// Its products' sales, for every product in a frame's first 100.
    pub products: Vec<ProductHistory>,
}

/// Weekly sales of one product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductHistory {
    /// The product.
    pub product_id: ProductId,
    /// As long as the category's `week_starts`.
    pub amounts: Vec<Money>,
}
