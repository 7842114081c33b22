//! `/health/live`: the process answers. `/health/ready`: it has a forecast to show, and says which; otherwise
//! 503 with the reason.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::forecasts::not_ready;
use crate::problems::{ApiError, ProblemBody};
use crate::state::AppState;

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Live {
    status: &'static str,
}

/// What is served.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ready {
    status: &'static str,
    generation_id: String,
    as_of: String,
    /// Whether trained models stand behind it (`models`) or baselines only (`baselines`).
    stage: &'static str,
    /// Time frames with a forecast.
    frames: Vec<&'static str>,
    /// Why answers are older than they should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_reason: Option<String>,
}

/// Whether the process answers.
#[utoipa::path(get, path = "/health/live", tag = "health", responses((status = 200, description = "It answers", body = Live)))]
pub(super) async fn live() -> Json<Live> {
    Json(Live { status: "live" })
}

/// Whether there is a forecast to serve.
#[utoipa::path(
    get, path = "/health/ready", tag = "health",
    responses(
        (status = 200, description = "A forecast is served", body = Ready),
        (status = 503, description = "No forecast yet", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(state): State<AppState>) -> Result<Json<Ready>, ApiError> {
    let snapshot = state.forecasts().current().ok_or_else(not_ready)?;
    let edition = state.forecasts().edition(None, state.today()).await?;
    Ok(Json(Ready {
        status: "ready",
        generation_id: snapshot.generation.generation_id.to_string(),
        as_of: snapshot.generation.as_of.to_string(),
        stage: match snapshot.generation.stage {
            sellcast_domain::Stage::Baselines => "baselines",
            sellcast_domain::Stage::Models => "models",
        },
        frames: snapshot.frames.keys().map(|frame| frame.name()).collect(),
        stale_reason: edition.stale_reason(),
    }))
}
