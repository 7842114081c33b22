//! `POST /replay/pause` and `/replay/resume`: the viewer of the demo stops the replayed days and lets them go
//! on. A real shop has no replay; there both are 404.

use axum::extract::State;
use axum::http::header::{ACCEPT, LOCATION, REFERER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{Problem, ProblemKind};

use crate::problems::ApiError;
use crate::state::AppState;

pub(super) async fn pause(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let done = allowed(&state, &headers)?;
    state.live().pause();
    Ok(done)
}

pub(super) async fn resume(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, ApiError> {
    let done = allowed(&state, &headers)?;
    state.live().resume();
    Ok(done)
}

/// The answer to give when the wish may be fulfilled.
fn allowed(state: &AppState, headers: &HeaderMap) -> Result<Response, ApiError> {
    // Browsers say where a request comes from: other sites cannot press our buttons.
    let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let replayed = state.live().status().is_some_and(|status| status.replay.is_some());
    if foreign || !replayed {
        return Err(Problem::new(ProblemKind::NotFound, "nothing is replayed here; only `sellcast demo` replays past days").into());
    }
    Ok(done(headers))
}

/// A form without a script goes back to the page it came from.
fn done(headers: &HeaderMap) -> Response {
    let form = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if !form {
        return StatusCode::NO_CONTENT.into_response();
    }
    let back = headers.get(REFERER).and_then(|from| from.to_str().ok()).and_then(|from| from.parse::<Uri>().ok());
    let back = back.as_ref().and_then(Uri::path_and_query).map_or("/", |path| path.as_str());
    // A path that begins with two slashes would be another host.
    let back = if back.starts_with("//") { "/" } else { back };
    (StatusCode::SEE_OTHER, [(LOCATION, HeaderValue::from_str(back).unwrap_or(HeaderValue::from_static("/")))]).into_response()
}
