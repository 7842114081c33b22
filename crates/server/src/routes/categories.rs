//! `GET /api/v1/predictions/categories`: the best-selling categories of a period.

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use sellcast_domain::{CategoryPrediction, PredictionDocument};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::answers::Answered;
use crate::forecasts::Edition;
use crate::live_frames::{Basis, Shown};
use crate::problems::{ApiError, ProblemBody};
use crate::query::ListQuery;
use crate::snapshot::FrameDocument;
use crate::state::AppState;
use crate::wording::{round_quantity, round_share};

/// Parameters of lists.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the API's document; they are read by `ListQuery`")]
pub(super) struct ListParameters {
    /// Length of the forecast period.
    #[param(rename = "timeFrame", inline)]
    time_frame: FrameName,
    /// First day of the period. The current shop day unless given.
    #[param(format = Date)]
    date: Option<String>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 100, default = 5)]
    limit: Option<u32>,
    /// Which page, from 1. Beyond the last page the list is empty.
    #[param(minimum = 1, maximum = 1_000_000, default = 1)]
    page: Option<u32>,
    /// Whether a running period is told as it stands now: sold so far and the expected rest. False for the published forecast.
    #[param(default = true)]
    live: Option<bool>,
    /// Who asks: decides the arm of a running experiment. The header `X-User-Key` does the same.
    #[param(rename = "userKey", max_length = 200)]
    user_key: Option<String>,
}

/// The names of time frames.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the names in the API's document")]
pub(super) enum FrameName {
    Day,
    Week,
    Month,
    Quarter,
    HalfYear,
    Year,
}

/// What an answer is based on.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes the names in the API's document")]
pub(super) enum BasisName {
    Live,
    Batch,
}

/// What a list says about the forecast that it was taken from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Source {
    /// The generation.
    generation_id: String,
    /// Made from what was known before this day.
    as_of: String,
    /// When it was made.
    generated_at: String,
    /// Last day whose sales were known.
    sales_until: String,
    /// ISO 4217 code of all amounts.
    currency: String,
    /// Version of the models' combination.
    model_version: String,
    /// Why and how the method falls back when history cannot train this frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<String>,
    /// Why the answer is older than it should be. Confidence is lowered then.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_reason: Option<String>,
    /// `live` for sold so far and the expected rest, `batch` for the forecast as it was published.
    #[schema(value_type = BasisName, inline)]
    basis: &'static str,
    /// Up to which instant sales are in a live forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    live_as_of: Option<String>,
    /// Why the published forecast stands where a live one was asked for: the stream of sales stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_still_since: Option<String>,
    /// The arm that this user falls to, where an experiment runs on this time frame; also in the header `X-Arm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<String>,
}

impl Source {
    pub(super) fn of(edition: &Edition, shown: &Shown, arm: Option<&str>) -> Self {
        let (generation, document) = (&edition.generation, &shown.frame.document);
        let instant = |instant: &chrono::DateTime<chrono::Utc>| instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Self {
            generation_id: generation.generation_id.to_string(),
            as_of: generation.as_of.to_string(),
            generated_at: generation.generated_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            sales_until: generation.sales_until.to_string(),
            currency: generation.currency.to_string(),
            model_version: document.model_version.clone(),
            fallback: document.fallback.clone(),
            stale_reason: edition.stale_reason(),
            basis: shown.basis.name(),
            live_as_of: match &shown.basis {
                Basis::Live(as_of) => Some(instant(as_of)),
                _ => None,
            },
            stream_still_since: match &shown.basis {
                Basis::Still(since) => since.as_ref().map(instant),
                _ => None,
            },
            arm: arm.map(str::to_owned),
        }
    }
}

/// An 80 % interval of an amount.
#[derive(Serialize, ToSchema)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
}

/// An 80 % interval of a rank.
#[derive(Serialize, ToSchema)]
pub(super) struct RankRange {
    pub(super) best: u32,
    pub(super) worst: u32,
}

/// The three factors behind a confidence score, each 0 to 1.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Factors {
    pub(super) historical_accuracy: f64,
    pub(super) data_completeness: f64,
    pub(super) ensemble_agreement: f64,
}

impl Factors {
    pub(super) fn of(factors: &sellcast_domain::ConfidenceFactors) -> Self {
        Self {
            historical_accuracy: round_share(factors.historical_accuracy),
            data_completeness: round_share(factors.data_completeness),
            ensemble_agreement: round_share(factors.ensemble_agreement),
        }
    }
}

/// Categories by rank.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CategoryList<'a> {
    time_frame: &'static str,
    /// First instant, written as `T00:00:00Z` of the shop's first day.
    period_start: String,
    /// Last instant, written as `T23:59:59Z` of the shop's last day.
    period_end: String,
    total_categories: usize,
    page: u32,
    limit: u32,
    categories: Vec<CategoryItem<'a>>,
    #[serde(flatten)]
    source: Source,
}

/// A category's forecast.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CategoryItem<'a> {
    category_id: i64,
    category_name: &'a str,
    /// Names of its ancestors, root first.
    path: &'a [String],
    predicted_sales_amount: f64,
    predicted_quantity: f64,
    /// 80 % interval of the amount.
    interval: Range,
    /// Probability of being among the top `topK` categories.
    confidence_score: f64,
    top_k: u32,
    factors: Factors,
    rank: u32,
    rank_interval: RankRange,
    /// Rank by sales in the previous period; null if nothing sold.
    previous_rank: Option<u32>,
    previous_amount: f64,
    total_products: u32,
}

/// Lists the categories that will sell best.
#[utoipa::path(
    get, path = "/api/v1/predictions/categories", tag = "predictions", params(ListParameters),
    responses(
        (status = 200, description = "Categories by rank", body = CategoryList),
        (status = 304, description = "Nothing changed since the ETag in If-None-Match"),
        (status = 400, description = "A parameter is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "Nothing was published for the date", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No forecast yet, or too busy", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(state): State<AppState>, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Result<Response, ApiError> {
    let query = ListQuery::read(&uri, &headers)?;
    let edition = state.forecasts().edition(query.date, state.today()).await?;
    let (frame, arm) = state.forecasts().document_for(&edition, query.frame, query.user_key.as_deref()).await?;
    let shown = state.shown(&edition, frame, arm.as_deref(), query.live).await?;
    let frame = &shown.frame;
    let document = &frame.document;
    let list = CategoryList {
        time_frame: query.frame.name(),
        period_start: period_start(document),
        period_end: period_end(document),
        total_categories: document.categories.len(),
        page: query.page,
        limit: query.limit,
        categories: document
            .categories
            .iter()
            .skip(query.offset())
            .take(query.limit as usize)
            .map(|category| CategoryItem::of(category, &edition, frame))
            .collect(),
        source: Source::of(&edition, &shown, arm.as_deref()),
    };
    let mut response = Json(list).into_response();
    response.extensions_mut().insert(Answered::by(&edition).in_arm(arm));
    Ok(response)
}

impl<'a> CategoryItem<'a> {
    fn of(category: &'a CategoryPrediction, edition: &Edition, frame: &FrameDocument) -> Self {
        Self {
            category_id: category.category_id.get(),
            category_name: &category.category_name,
            path: &category.path,
            predicted_sales_amount: category.predicted_sales_amount.to_f64(),
            predicted_quantity: round_quantity(category.predicted_quantity),
            interval: Range { low: category.interval.low.to_f64(), high: category.interval.high.to_f64() },
            confidence_score: round_share(edition.confidence(category.confidence_score, frame)),
            top_k: category.top_k.get(),
            factors: Factors::of(&category.factors),
            rank: category.rank,
            rank_interval: RankRange { best: category.rank_interval.best, worst: category.rank_interval.worst },
            previous_rank: category.previous_rank,
            previous_amount: category.previous_amount.to_f64(),
            total_products: category.total_products,
        }
    }
}

/// First instant of the period as the APIs write it.
pub(crate) fn period_start(document: &PredictionDocument) -> String {
    format!("{}T00:00:00Z", document.period_start)
}

/// Last instant of the period as the APIs write it.
pub(crate) fn period_end(document: &PredictionDocument) -> String {
    format!("{}T23:59:59Z", document.period_end)
}
