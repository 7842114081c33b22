//! `GET /api/v1/experiments`: which arm of the running experiment was nearer to the truth, and how sure that is.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use sellcast_domain::{ExperimentRecord, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answers::Answered;
use crate::problems::{ApiError, ProblemBody};
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::round_share;

/// The running experiments; at most one.
#[derive(Serialize, ToSchema)]
struct Experiments {
    experiments: Vec<ExperimentItem>,
}

/// An experiment and what it has shown.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ExperimentItem {
    time_frame: &'static str,
    arms: Vec<ArmItem>,
    /// Over all ended periods; null before the first has ended.
    verdict: Option<VerdictItem>,
    /// Newest first.
    periods: Vec<PeriodItem>,
}

/// An arm with its share of the users.
#[derive(Serialize, ToSchema)]
struct ArmItem {
    name: String,
    share: f64,
}

/// One ended period.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PeriodItem {
    period_start: String,
    period_end: String,
    arms: BTreeMap<String, ScoreItem>,
    verdict: VerdictItem,
}

/// How near an arm came.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ScoreItem {
    wape: f64,
    #[serde(rename = "precisionAt10")]
    precision_at_10: f64,
    /// Mean over categories of WAPE and lost NDCG.
    loss: f64,
}

/// The nearest arm against the next one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VerdictItem {
    nearest: String,
    next: String,
    /// Category-periods that were compared.
    pairs: u64,
    /// Share of them in which the nearest arm was nearer.
    won: f64,
    /// Two-sided probability of so clear a result by chance (Wilcoxon signed-rank test).
    p_value: f64,
    /// Whether that is less than one in twenty.
    sure: bool,
}

/// Tells what the running experiment has shown.
#[utoipa::path(
    get, path = "/api/v1/experiments", tag = "predictions",
    responses(
        (status = 200, description = "The running experiment, if there is one", body = Experiments),
        (status = 400, description = "A parameter is not valid", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "No forecast yet, or too busy", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    Parameters::read(&uri, &[]).finish()?;
    let edition = state.forecasts().edition(None, state.today()).await?;
    let record = state.forecasts().record(&edition).await?;
    let list = Experiments { experiments: record.experiment.iter().map(ExperimentItem::of).collect() };
    let mut response = Json(list).into_response();
    response.extensions_mut().insert(Answered::by(&edition));
    Ok(response)
}

impl ExperimentItem {
    fn of(record: &ExperimentRecord) -> Self {
        let total: f64 = record.experiment.arms.iter().map(|arm| arm.share).sum();
        let arm = |arm: &sellcast_domain::Arm| ArmItem { name: arm.name.clone(), share: round_share(arm.share / total) };
        let periods = record.periods.iter().map(|period| PeriodItem {
            period_start: format!("{}T00:00:00Z", period.period_start),
            period_end: format!("{}T23:59:59Z", period.period_end),
            arms: period
                .arms
                .iter()
                .map(|(name, score)| {
                    let score = ScoreItem {
                        wape: round_share(score.wape),
                        precision_at_10: round_share(score.precision_at_10),
                        loss: round_share(score.loss),
                    };
                    (name.clone(), score)
                })
                .collect(),
            verdict: VerdictItem::of(&period.verdict),
        });
        Self {
            time_frame: record.experiment.frame.name(),
            arms: record.experiment.arms.iter().map(arm).collect(),
            verdict: record.verdict.as_ref().map(VerdictItem::of),
            periods: periods.collect(),
        }
    }
}

impl VerdictItem {
    fn of(verdict: &Verdict) -> Self {
        Self {
            nearest: verdict.nearest.clone(),
            next: verdict.next.clone(),
            pairs: verdict.duel.pairs,
            won: round_share(verdict.duel.won),
            p_value: verdict.duel.p_value,
            sure: verdict.is_sure(),
        }
    }
}
