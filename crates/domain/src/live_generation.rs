//! What live forecasts said at one instant, as it is kept: the numbers in which they differ from the published document. Names,
//! reasons and everything else are the published document's.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    CategoryId, CategoryPrediction, Continuation, GenerationId, Interval, Money, PredictionDocument, ProductId, ShopDay, TimeFrame,
};

/// Ranks that a document lists first; the rest continues elsewhere.
const FIRST_LIST: u32 = 100;

/// The live forecasts of a published generation's running periods at one instant. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveGeneration {
    /// The published generation that they go on from.
    pub generation_id: GenerationId,
    /// Up to which instant sales are in them; whole seconds.
    pub as_of: DateTime<Utc>,
    /// One per frame.
    pub predictions: Vec<LivePrediction>,
}

impl LiveGeneration {
    /// The frames that are kept: their periods end while live generations still are. Of a longer one only the first day is ever
    /// live, since the next night publishes a period of its own.
    pub const FRAMES: [TimeFrame; 2] = [TimeFrame::Day, TimeFrame::Week];
    /// Days that live generations are kept: a week's period ends, and a night may fail.
    pub const KEPT_DAYS: i64 = 9;

    /// The minute of `as_of` since 1970: at most one is kept of each.
    pub fn minute(&self) -> i64 {
        self.as_of.timestamp().div_euclid(60)
    }

    /// The first second of the hour of an instant since 1970: of each hour the last live generation is kept.
    pub fn hour_of(as_of: DateTime<Utc>) -> i64 {
        as_of.timestamp().div_euclid(3600) * 3600
    }
}

/// One frame's live forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LivePrediction {
    /// Its frame.
    pub time_frame: TimeFrame,
    /// First day of the period.
    pub period_start: ShopDay,
    /// All categories' amount.
    pub total_amount: Money,
    /// Its 80 % interval.
    pub total_interval: Interval,
    /// By rank.
    pub categories: Vec<LiveCategory>,
}

/// A category's live forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveCategory {
    /// The category.
    pub category_id: CategoryId,
    /// Sold so far and the expected rest.
    pub amount: Money,
    /// The same in units.
    pub quantity: f64,
    /// 80 % interval of the amount.
    pub interval: Interval,
    /// Probability of being in its list of categories.
    pub confidence_score: f64,
    /// Rank among the categories, from 1.
    pub rank: u32,
    /// The products of the published first list, then others whose rank has come to be among the first 100.
    pub products: Vec<LiveProduct>,
}

/// A product's live forecast.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveProduct {
    /// The product.
    pub product_id: ProductId,
    /// Sold so far and the expected rest.
    pub amount: Money,
    /// The same in units.
    pub quantity: f64,
    /// 80 % interval of the amount; `None` of those beyond the published first list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// Probability of being in its list of products.
    pub confidence_score: f64,
    /// Rank in its category, from 1.
    pub rank: u32,
}

impl LivePrediction {
    /// What a live document says; `rest` are the products beyond the published first list of a category.
    pub fn of<'a>(document: &PredictionDocument, rest: impl Fn(CategoryId) -> Option<&'a Continuation>) -> Self {
        Self {
            time_frame: document.time_frame,
            period_start: document.period_start,
            total_amount: document.total_amount,
            total_interval: document.total_interval,
            categories: document.categories.iter().map(|category| LiveCategory::of(category, rest(category.category_id))).collect(),
        }
    }
}

impl LiveCategory {
    fn of(category: &CategoryPrediction, rest: Option<&Continuation>) -> Self {
        let first = category.top_products.iter().map(|product| LiveProduct {
            product_id: product.product_id,
            amount: product.predicted_amount,
            quantity: rounded(product.predicted_quantity, 1e3),
            interval: Some(product.interval),
            confidence_score: rounded(product.confidence_score, 1e4),
            rank: product.rank,
        });
        let risen = rest.iter().flat_map(|rest| &rest.products).filter(|product| product.rank <= FIRST_LIST);
        let risen = risen.map(|product| LiveProduct {
            product_id: product.product_id,
            amount: product.predicted_amount,
            quantity: rounded(product.predicted_quantity, 1e3),
            interval: None,
            confidence_score: rounded(product.confidence_score, 1e4),
            rank: product.rank,
        });
        Self {
            category_id: category.category_id,
            amount: category.predicted_sales_amount,
            quantity: rounded(category.predicted_quantity, 1e3),
            interval: category.interval,
            confidence_score: rounded(category.confidence_score, 1e4),
            rank: category.rank,
            products: first.chain(risen).collect(),
        }
    }
}

/// More digits say nothing, and most of a live generation is digits.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
