//! Every path of the product and the layers around it. One file a noun.

mod categories;
mod events;
mod experiments;
mod features;
mod health;
mod openapi;
mod products;
mod reconciliation;
mod replay;
mod what_if;
mod windows;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics::gauge;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::metrics::{GENERATION_AGE, tell_stream};
use crate::state::AppState;
use crate::{answers, assets, graphql, layers, pages};
pub(crate) use categories::{period_end, period_start};

/// Smaller answers fit into one packet anyway.
const COMPRESS_ABOVE_BYTES: u16 = 1_000;

pub(crate) fn router(state: AppState) -> Router {
    let (api, document) = OpenApiRouter::with_openapi(openapi::described())
        .routes(routes!(categories::list))
        .routes(routes!(products::list))
        .routes(routes!(experiments::list))
        .routes(routes!(what_if::ask_for))
        .routes(routes!(features::of_products))
        .routes(routes!(windows::of_category))
        .routes(routes!(windows::of_product))
        .routes(routes!(reconciliation::last))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    let compressed = CompressionLayer::new()
        .compress_when(SizeAbove::new(COMPRESS_ABOVE_BYTES).and(NotForContentType::SSE).and(NotForContentType::IMAGES));
    let made = Router::new()
        .merge(api)
        .route("/openapi.json", get(openapi::serve(&document)))
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/metrics", get(scrape))
        .route("/events", get(events::stream))
        .route("/replay/pause", post(replay::pause))
        .route("/replay/resume", post(replay::resume))
        .route("/assets/{name}", get(assets::serve))
        .merge(pages::router())
        .fallback(layers::no_such_path)
        .method_not_allowed_fallback(layers::no_such_method)
        // From here on the last one added is the first to see a request.
        .layer(compressed)
        .layer(from_fn_with_state(state.clone(), layers::bounded))
        .layer(CatchPanicLayer::custom(layers::after_panic))
        .layer(from_fn_with_state(state.clone(), answers::keep))
        .layer(from_fn_with_state(state.clone(), layers::drawn))
        .layer(from_fn(layers::measured))
        .with_state(state.clone());
    // A router of its own is cheap to pass by, a stack of layers is not: ready answers see nothing of it.
    Router::new().fallback_service(made).layer(from_fn_with_state(state, answers::give))
}

/// `/metrics` in Prometheus' text format.
async fn scrape(State(state): State<AppState>) -> Response {
    if let Some(snapshot) = state.forecasts().current() {
        gauge!(GENERATION_AGE).set((state.now() - snapshot.generation.generated_at).as_seconds_f64());
    }
    if let Some(sales) = state.live_frames().sales() {
        tell_stream(sales.as_ref(), state.now());
    }
    let text = state.metrics().render();
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))], text).into_response()
}
