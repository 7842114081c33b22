//! `/openapi.json`: the API's description, collected from the handlers and rendered once.

use std::future::{Ready, ready};

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "sellcast",
        description = "Forecasts of the best-selling categories and products of a shop. Errors are application/problem+json (RFC 9457). \
                       Answers carry an ETag; a stale answer carries Age and Stale-Reason."
    ),
    tags((name = "predictions", description = "What will sell best"), (name = "windows", description = "What sells now"), (name = "features", description = "What is known of products"), (name = "health", description = "For operators"))
)]
struct Described;

/// The parts that no handler tells.
pub(super) fn described() -> utoipa::openapi::OpenApi {
    Described::openapi()
}

/// A handler that gives `document`.
pub(super) fn serve(document: &utoipa::openapi::OpenApi) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    move || ready(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json.clone()).into_response())
}
