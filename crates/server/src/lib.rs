//! The server: REST, GraphQL, pages, events and the operators' paths over published forecasts. It reads
//! documents from the prediction store and the live board, and nothing else: no warehouse, no models.
//! Everything a request may cost is bounded here.

mod answers;
mod assets;
mod charts;
mod clock;
mod features;
mod forecasts;
mod graphql;
mod layers;
mod live_document;
mod live_frames;
mod live_keeping;
mod live_sales;
mod live_view;
mod metrics;
mod pages;
mod problems;
mod query;
mod ranked;
mod reconciliation;
mod routes;
mod settings;
mod snapshot;
mod state;
mod what_if;
mod windows;
mod wording;

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

pub use clock::Clock;
pub use features::{FeatureReads, FeatureRow, FeaturesRead, ReadingFeatures};
pub use live_sales::{LiveSales, Standing};
pub use metrics::install as install_metrics;
pub use reconciliation::Reconciliation;
pub use settings::ServerSettings;
pub use state::AppState;
pub use what_if::{Answering, WhatIf};

/// Every path of the product with its limits, ready to be served.
pub fn router(state: AppState) -> Router {
    routes::router(state)
}

/// Serves until `shutdown` completes, then lets running requests end; event streams are closed at once.
///
/// # Errors
/// What the listener gives.
pub async fn serve<F>(listener: TcpListener, state: AppState, shutdown: F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let upkeep = tokio::spawn(metrics::upkeep(state.metrics().clone(), Duration::from_secs(5)));
    let closing = state.clone();
    let stopped = async move {
        shutdown.await;
        closing.close();
    };
    // Answers are small and written at once: waiting to fill a packet only adds to their time.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let served = axum::serve(listener, router(state)).with_graceful_shutdown(stopped).await;
    upkeep.abort();
    served
}
