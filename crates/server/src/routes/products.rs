//! `GET /api/v1/predictions/categories/{categoryId}/products`: the best-selling products of a category.
//! Pages beyond the first 100 products come from the continuation document without the caller noticing.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use sellcast_domain::{CategoryId, Interval, ProductPrediction, TopK};
use serde::Serialize;
use utoipa::ToSchema;

use super::categories::{Factors, ListParameters, Range, RankRange, Source, period_end, period_start};
use crate::answers::Answered;
use crate::forecasts::Edition;
use crate::problems::{ApiError, ProblemBody, field_error, invalid, unknown_category};
use crate::query::{ListQuery, Segment};
use crate::ranked::{Ranked, ranked};
use crate::snapshot::FrameDocument;
use crate::state::AppState;
use crate::wording::{round_quantity, round_share};

/// Products of a category by rank.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProductList<'a> {
    category_id: i64,
    category_name: &'a str,
    time_frame: &'static str,
    /// First instant, written as `T00:00:00Z` of the shop's first day.
    period_start: String,
    /// Last instant, written as `T23:59:59Z` of the shop's last day.
    period_end: String,
    total_products: u32,
    page: u32,
    limit: u32,
    products: Vec<ProductItem<'a>>,
    #[serde(flatten)]
    source: Source,
}

/// A product's forecast. The fields after `rank` are there for the first 100 products of a category as it was published.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProductItem<'a> {
    product_id: i64,
    product_name: &'a str,
    predicted_quantity: f64,
    predicted_amount: f64,
    /// Probability of being among the top `topK` products of its category.
    confidence_score: f64,
    top_k: u32,
    rank: u32,
    #[serde(flatten)]
    details: Option<ProductDetails<'a>>,
}

/// What is known of a category's first 100 products beyond the forecast itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ProductDetails<'a> {
    brand: Option<&'a str>,
    price: Option<f64>,
    /// 80 % interval of the amount.
    interval: Range,
    /// 95 % interval of the amount; null in forecasts older than it.
    interval_95: Option<Range>,
    /// Probabilities of being in the list of each length.
    chances: Vec<Chance>,
    factors: Factors,
    rank_interval: RankRange,
    /// Rank by sales in the previous period; null if it did not sell.
    previous_rank: Option<u32>,
    previous_amount: f64,
    /// Days since its first sale; null before it.
    days_on_sale: Option<u32>,
    /// Strongest reasons first.
    drivers: Vec<DriverItem<'a>>,
}

/// The probability of being among the first `topK`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Chance {
    top_k: u32,
    probability: f64,
}

/// A reason for a forecast.
#[derive(Serialize, ToSchema)]
struct DriverItem<'a> {
    reason: &'a str,
    /// What it adds to the amount against the usual period.
    effect: f64,
}

/// Lists the products of a category that will sell best.
#[utoipa::path(
    get, path = "/api/v1/predictions/categories/{categoryId}/products", tag = "predictions",
    params(("categoryId" = i64, Path, description = "The category"), ListParameters),
    responses(
        (status = 200, description = "Products by rank", body = ProductList),
        (status = 304, description = "Nothing changed since the ETag in If-None-Match"),
        (status = 400, description = "A parameter is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such category, or nothing published", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No forecast yet, or too busy", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Segment(category): Segment,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let query = ListQuery::read(&uri, &headers);
    let id = category.parse::<CategoryId>().map_err(|_| field_error("categoryId", "is not a category's id", "a whole number"));
    // A wrong id and wrong parameters are told together.
    let (query, id) = match (query, id) {
        (Ok(query), Ok(id)) => (query, id),
        (Ok(_), Err(error)) => return Err(invalid(vec![error]).into()),
        (Err(problem), Ok(_)) => return Err(problem.into()),
        (Err(mut problem), Err(error)) => {
            problem.errors.insert(0, error);
            return Err(invalid(problem.errors).into());
        }
    };
    let edition = state.forecasts().edition(query.date, state.today()).await?;
    let (frame, arm) = state.forecasts().document_for(&edition, query.frame, query.user_key.as_deref()).await?;
    let shown = state.shown(&edition, frame, arm.as_deref(), query.live).await?;
    let frame = &shown.frame;
    let category = frame.category(id).ok_or_else(|| unknown_category(id))?;
    let first = &category.top_products;
    let wanted = query.offset()..query.offset() + query.limit as usize;
    // In a live forecast products from beyond the first list may stand anywhere.
    let continued = if wanted.end > first.len() || frame.live_as_of.is_some() {
        state.forecasts().continuation_for(&edition, frame, id, arm.as_deref()).await?
    } else {
        None
    };
    let items = ranked(first, continued.as_ref().map_or(&[][..], |continued| &continued.products));
    let list = ProductList {
        category_id: id.get(),
        category_name: &category.category_name,
        time_frame: query.frame.name(),
        period_start: period_start(&frame.document),
        period_end: period_end(&frame.document),
        total_products: category.total_products,
        page: query.page,
        limit: query.limit,
        products: items.into_iter().skip(wanted.start).take(wanted.len()).map(|item| ProductItem::of(item, &edition, frame)).collect(),
        source: Source::of(&edition, &shown, arm.as_deref()),
    };
    let mut response = Json(list).into_response();
    response.extensions_mut().insert(Answered::by(&edition).in_arm(arm));
    Ok(response)
}

impl<'a> ProductItem<'a> {
    fn of(item: Ranked<'a>, edition: &Edition, frame: &FrameDocument) -> Self {
        let sure = |said| round_share(edition.confidence(said, frame));
        match item {
            Ranked::First(product) => Self {
                product_id: product.product_id.get(),
                product_name: &product.product_name,
                predicted_quantity: round_quantity(product.predicted_quantity),
                predicted_amount: product.predicted_amount.to_f64(),
                confidence_score: sure(product.confidence_score),
                top_k: product.top_k.get(),
                rank: product.rank,
                details: Some(ProductDetails::of(product, sure)),
            },
            Ranked::Continued(product) => Self {
                product_id: product.product_id.get(),
                product_name: &product.product_name,
                predicted_quantity: round_quantity(product.predicted_quantity),
                predicted_amount: product.predicted_amount.to_f64(),
                confidence_score: sure(product.confidence_score),
                top_k: TopK::holding(product.rank).get(),
                rank: product.rank,
                details: None,
            },
        }
    }
}

impl<'a> ProductDetails<'a> {
    fn of(product: &'a ProductPrediction, sure: impl Fn(f64) -> f64) -> Self {
        let range = |interval: Interval| Range { low: interval.low.to_f64(), high: interval.high.to_f64() };
        let chances = TopK::ALL.iter().zip(&product.chances);
        Self {
            brand: product.brand.as_deref(),
            price: product.price.map(sellcast_domain::Money::to_f64),
            interval: range(product.interval),
            interval_95: product.interval_95.map(range),
            chances: chances.map(|(k, chance)| Chance { top_k: k.get(), probability: sure(*chance) }).collect(),
            factors: Factors::of(&product.factors),
            rank_interval: RankRange { best: product.rank_interval.best, worst: product.rank_interval.worst },
            previous_rank: product.previous_rank,
            previous_amount: product.previous_amount.to_f64(),
            days_on_sale: product.days_on_sale,
            drivers: product.drivers.iter().map(|driver| DriverItem { reason: &driver.reason, effect: driver.effect.to_f64() }).collect(),
        }
    }
}
