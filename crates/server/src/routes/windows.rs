//! `GET /api/v1/windows/categories/{categoryId}` and `/api/v1/windows/products/{productId}`: what sold in the last hour, 6 hours,
//! 24 hours and 7 days, as it stands now.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use sellcast_domain::window::WindowKey;
use sellcast_domain::{CategoryId, ProductId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problems::{ApiError, ProblemBody, field_error, invalid};
use crate::query::Segment;
use crate::state::AppState;
use crate::windows::{SalesWindow, windows};

/// Sliding windows of a category or a product, the shortest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Windows {
    /// Of a category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category_id: Option<i64>,
    /// Of a product.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<i64>,
    /// Up to which instant sales are in the windows.
    as_of: String,
    /// Since when the stream stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_still_since: Option<String>,
    windows: Vec<SalesWindow>,
}

/// Sliding windows of a category at the forecast level, products below it included.
#[utoipa::path(
    get, path = "/api/v1/windows/categories/{categoryId}", tag = "windows",
    params(("categoryId" = i64, Path, description = "The category")),
    responses(
        (status = 200, description = "Its windows", body = Windows),
        (status = 400, description = "The id is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such category, or sales are not followed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The stream is not there yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_category(State(state): State<AppState>, Segment(id): Segment) -> Result<Response, ApiError> {
    let id: CategoryId = id.parse().map_err(|_| invalid(vec![field_error("categoryId", "is not a category's id", "a whole number")]))?;
    Ok(answer(&state, WindowKey::Category(id))?)
}

/// Sliding windows of a product.
#[utoipa::path(
    get, path = "/api/v1/windows/products/{productId}", tag = "windows",
    params(("productId" = i64, Path, description = "The product")),
    responses(
        (status = 200, description = "Its windows", body = Windows),
        (status = 400, description = "The id is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "No such product, or sales are not followed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "The stream is not there yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn of_product(State(state): State<AppState>, Segment(id): Segment) -> Result<Response, ApiError> {
    let id: ProductId = id.parse().map_err(|_| invalid(vec![field_error("productId", "is not a product's id", "a whole number")]))?;
    Ok(answer(&state, WindowKey::Product(id))?)
}

fn answer(state: &AppState, key: WindowKey) -> Result<Response, sellcast_domain::Problem> {
    let told = windows(state, key)?;
    let (category_id, product_id) = match key {
        WindowKey::Category(id) => (Some(id.get()), None),
        WindowKey::Product(id) => (None, Some(id.get())),
    };
    let body = Windows { category_id, product_id, as_of: told.as_of, stream_still_since: told.stream_still_since, windows: told.windows };
    let mut response = Json(body).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
