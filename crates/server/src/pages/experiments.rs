//! What the running experiment has shown: which arm was nearer to the truth in each ended period, and how sure that is.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{ExperimentRecord, Verdict};

use super::drawn;
use super::shell::{Section, Shell};
use super::view::View;
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::{day_short, frame_word, measured_percent};

#[derive(Template)]
#[template(path = "experiments.html")]
struct ExperimentsPage {
    shell: Shell,
    shown: Option<Shown>,
}

struct Shown {
    frame: &'static str,
    arms: Vec<ArmRow>,
    verdict: String,
    periods: Vec<PeriodRow>,
}

struct ArmRow {
    name: String,
    share: String,
}

struct PeriodRow {
    period: String,
    scores: Vec<String>,
    nearest: String,
    sure: bool,
    how_sure: String,
}

/// `/experiments`
pub(super) async fn page(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    parameters.finish()?;
    let view = View::load(&state, frame, date).await?;
    let record = state.forecasts().record(&view.edition).await?;
    let page = ExperimentsPage {
        shell: Shell::around(&state, &view, "Experiment", Section::Record, "/experiments"),
        shown: record.experiment.as_ref().map(|record| shown(&view, record)),
    };
    drawn(&page)
}

fn shown(view: &View, record: &ExperimentRecord) -> Shown {
    let near = view.edition.generation.as_of;
    let total: f64 = record.experiment.arms.iter().map(|arm| arm.share).sum();
    let arms = record.experiment.arms.iter().map(|arm| ArmRow { name: arm.name.clone(), share: measured_percent(arm.share / total) });
    let periods = record.periods.iter().map(|period| PeriodRow {
        period: if period.period_start == period.period_end {
            day_short(period.period_start, near)
        } else {
            format!("{}\u{a0}– {}", day_short(period.period_start, near), day_short(period.period_end, near))
        },
        scores: record
            .experiment
            .arms
            .iter()
            .map(|arm| period.arms.get(&arm.name).map_or_else(|| "–".to_owned(), |score| measured_percent(score.wape)))
            .collect(),
        nearest: period.verdict.nearest.clone(),
        sure: period.verdict.is_sure(),
        how_sure: how_sure(&period.verdict),
    });
    let verdict = match &record.verdict {
        Some(verdict) if verdict.is_sure() => format!(
            "{} is nearer to the truth than {}: {} over {} category-periods.",
            verdict.nearest,
            verdict.next,
            how_sure(verdict),
            verdict.duel.pairs
        ),
        Some(verdict) => format!(
            "Nothing is decided: {} was nearer than {} so far, but chance alone would often do that ({}, {} category-periods).",
            verdict.nearest,
            verdict.next,
            how_sure(verdict),
            verdict.duel.pairs
        ),
        None => "No period has ended since the experiment began.".to_owned(),
    };
    Shown { frame: frame_word(record.experiment.frame), arms: arms.collect(), verdict, periods: periods.collect() }
}

fn how_sure(verdict: &Verdict) -> String {
    let p = verdict.duel.p_value;
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}
