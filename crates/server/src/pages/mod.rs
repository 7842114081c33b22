//! The seller's pages, drawn on the server. Each answers one question in its first line; its whole state is
//! its address. One file a page.

mod category;
mod csv;
mod error;
mod experiments;
mod filters;
mod future_weeks;
mod home;
mod links;
mod live_scores;
mod models;
mod product;
mod record;
mod search;
mod shell;
mod view;
mod what_if_form;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use axum::routing::get;
use sellcast_domain::{Problem, ProblemKind};

pub(crate) use error::error_page;

use crate::problems::ApiError;
use crate::state::AppState;

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/", get(home::page))
        .route("/categories.csv", get(csv::categories))
        .route("/products.csv", get(csv::products))
        .route("/categories/{id}", get(category::page))
        .route("/products/{id}", get(product::page))
        .route("/record", get(record::page))
        .route("/models", get(models::page))
        .route("/experiments", get(experiments::page))
        .route("/search", get(search::page))
}

/// Renders a page.
fn drawn(page: &impl Template) -> Result<Response, ApiError> {
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be drawn");
        Problem::new(ProblemKind::Internal, "this page cannot be drawn; the log of the server says why")
    })?;
    Ok(html_response(html))
}

fn html_response(html: String) -> Response {
    let mut response = Response::new(Body::from(html));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // A page is asked for anew each time; the events tell when it changed.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
