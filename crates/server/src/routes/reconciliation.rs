//! `GET /api/v1/stream/reconciliation`: what the last comparison of the windows with the warehouse found.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{Problem, ProblemKind};

use crate::problems::{ApiError, ProblemBody};
use crate::query::Parameters;
use crate::reconciliation::Reconciliation;
use crate::state::AppState;

/// What was compared after the last ingest, what differed and why, and what was repaired.
#[utoipa::path(
    get, path = "/api/v1/stream/reconciliation", tag = "windows",
    responses(
        (status = 200, description = "The last comparison", body = Reconciliation),
        (status = 404, description = "No sales are followed here, or nothing was compared yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn last(State(state): State<AppState>, uri: Uri) -> Result<Response, ApiError> {
    Parameters::read(&uri, &[]).finish()?;
    let Some(found) = state.live_frames().sales().and_then(|sales| sales.reconciliation()) else {
        let detail = "nothing was compared yet: a process that follows the sales does so after each ingest that begins after it";
        return Err(Problem::new(ProblemKind::NotFound, detail).into());
    };
    let mut response = Json(found.as_ref()).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
