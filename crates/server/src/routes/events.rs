//! `/events`: server-sent events. `generation` carries the id of a new generation once it is served; `live`
//! carries the running day as the bar shows it; `sales` says that live forecasts have moved. Only the newest state is sent, so a slow viewer costs nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{Stream, unfold};
use metrics::gauge;
use sellcast_domain::{Problem, ProblemKind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::live_view::LiveView;
use crate::metrics::VIEWERS;
use crate::problems::ApiError;
use crate::snapshot::Snapshot;
use crate::state::AppState;

/// The bar is redrawn at most this often.
const BETWEEN_LIVE: Duration = Duration::from_millis(250);
/// A comment is sent this often when nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams events until the viewer leaves or the server stops.
pub(super) async fn stream(State(state): State<AppState>) -> Result<Response, ApiError> {
    let Ok(permit) = state.viewers().clone().try_acquire_owned() else {
        return Err(Problem::new(
            ProblemKind::Overloaded,
            "too many pages follow at once; this one still shows the forecast, reload it later",
        )
        .into());
    };
    let events = Sse::new(events(Viewer::new(state, permit))).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = events.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One open stream and what it has sent.
struct Viewer {
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    live: watch::Receiver<Option<sellcast_domain::LiveStatus>>,
    rounds: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    next_live: Instant,
    state: AppState,
    _place: Place,
}

/// Its place among the viewers, given back when it leaves.
struct Place(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Drop for Place {
    fn drop(&mut self) {
        gauge!(VIEWERS).decrement(1.0);
    }
}

impl Viewer {
    fn new(state: AppState, permit: OwnedSemaphorePermit) -> Self {
        gauge!(VIEWERS).increment(1.0);
        let mut snapshots = state.forecasts().subscribe();
        let mut live = state.live().subscribe();
        // The present state is sent first, so that a page that was drawn a moment ago misses nothing.
        snapshots.mark_changed();
        live.mark_changed();
        let rounds = state.live_frames().subscribe();
        Self { snapshots, live, rounds, closing: state.closing(), next_live: Instant::now(), state, _place: Place(permit) }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if *self.closing.borrow() {
                return None;
            }
            tokio::select! {
                biased;
                _ = self.closing.changed() => return None,
                changed = self.snapshots.changed() => {
                    changed.ok()?;
                    let id = self.snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.generation.generation_id);
                    if let Some(id) = id {
                        return Some(Event::default().event("generation").data(id.to_string()));
                    }
                }
                changed = self.rounds.changed() => {
                    changed.ok()?;
                    let round = *self.rounds.borrow_and_update();
                    return Some(Event::default().event("sales").data(round.to_string()));
                }
                changed = changed_after(&mut self.live, self.next_live) => {
                    changed?;
                    self.next_live = Instant::now() + BETWEEN_LIVE;
                    let status = self.live.borrow_and_update().clone();
                    let view = LiveView::of(&self.state, status.as_ref());
                    if let Ok(json) = serde_json::to_string(&view) {
                        return Some(Event::default().event("live").data(json));
                    }
                }
            }
        }
    }
}

async fn changed_after<T>(receiver: &mut watch::Receiver<T>, earliest: Instant) -> Option<()> {
    sleep_until(earliest).await;
    receiver.changed().await.ok()
}

fn events(viewer: Viewer) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(viewer, |mut viewer| async move { viewer.next().await.map(|event| (Ok(event), viewer)) })
}
