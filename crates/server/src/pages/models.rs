//! How the models learn: their weights over time with regret and each change of the heaviest, and which versions were
//! champion or challenger, and why. For whoever runs the shop's forecasts.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{DearModel, DearRecord, Learning, ModelEvent, ModelEventKind};

use super::drawn;
use super::shell::{Section, Shell};
use super::view::View;
use crate::charts::{self, Svg};
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::{day_short, frame_word, measured_percent};

/// Models that the chart names; the others are one stretch.
const NAMED: usize = 6;
/// Events of the table.
const EVENTS: usize = 40;

#[derive(Template)]
#[template(path = "models.html")]
struct ModelsPage {
    shell: Shell,
    frame: &'static str,
    champion: Option<String>,
    challenger: Option<String>,
    learnt: Option<Learnt>,
    dear: Vec<DearRow>,
    events: Vec<EventRow>,
    experiments: Option<String>,
}

struct Learnt {
    chart: Svg,
    legend: Vec<LegendRow>,
    regret: String,
    better: bool,
    best_single: String,
    periods: usize,
    groups: Vec<GroupRow>,
    changes: Vec<ChangeRow>,
}

struct LegendRow {
    swatch: Svg,
    name: String,
    weight: String,
    wape: String,
}

struct GroupRow {
    name: String,
    categories: usize,
    weights: String,
}

/// A model of which only one at a time forecasts.
struct DearRow {
    name: String,
    periods: u64,
    loss: String,
    chosen: bool,
}

struct ChangeRow {
    day: String,
    reason: String,
}

struct EventRow {
    day: String,
    version: String,
    event: &'static str,
    good: bool,
    reason: String,
}

/// `/models`
pub(super) async fn page(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    parameters.finish()?;
    let view = View::load(&state, frame, date).await?;
    let record = state.forecasts().record(&view.edition).await?;
    let learning = record.frames.get(&frame).map(|record| &record.learning).filter(|learning| !learning.steps.is_empty());
    let page = ModelsPage {
        shell: Shell::around(&state, &view, "Models", Section::Record, "/models"),
        frame: frame_word(frame),
        champion: record.models.champions.get(&frame).cloned(),
        challenger: record.models.challengers.get(&frame).cloned(),
        learnt: learning.map(|learning| learnt(&view, learning)),
        dear: record.models.dear.get(&frame).map(dear).unwrap_or_default(),
        events: record
            .models
            .events
            .iter()
            .filter(|event| event.frame == frame)
            .take(EVENTS)
            .map(|event| event_row(&view, event))
            .collect(),
        experiments: record.experiment.is_some().then(|| view.link("/experiments").to_string()),
    };
    drawn(&page)
}

fn learnt(view: &View, learning: &Learning) -> Learnt {
    let near = view.edition.generation.as_of;
    let newest = learning.steps.last();
    let now: BTreeMap<String, f64> = newest.map(|step| step.weights.clone()).unwrap_or_default();
    // By their mean weight over the whole chart, so that a model which has just lost its lead is still named.
    let mean = |model: &String| learning.steps.iter().filter_map(|step| step.weights.get(model)).sum::<f64>() / learning.steps.len() as f64;
    let mut order: Vec<(String, f64)> = now.keys().map(|model| (model.clone(), mean(model))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let named: Vec<String> = order.iter().take(NAMED).map(|(model, _)| model.clone()).collect();
    let has_others = order.len() > named.len();
    let mut names = named.clone();
    names.extend(has_others.then(|| "all others".to_owned()));
    let columns: Vec<(String, Vec<f64>)> = learning
        .steps
        .iter()
        .map(|step| {
            let mut shares: Vec<f64> = named.iter().map(|model| step.weights.get(model).copied().unwrap_or_default()).collect();
            if has_others {
                shares.push((1.0 - shares.iter().sum::<f64>()).max(0.0));
            }
            (day_short(step.period_start, near), shares)
        })
        .collect();
    let share = |name: &String, at: usize| match now.get(name) {
        Some(weight) => *weight,
        None => columns.last().and_then(|(_, shares)| shares.get(at)).copied().unwrap_or_default(),
    };
    let legend = names.iter().enumerate().map(|(at, name)| LegendRow {
        swatch: charts::swatch(at),
        name: name.clone(),
        weight: measured_percent(share(name, at)),
        wape: newest.and_then(|step| step.wapes.get(name)).map_or_else(|| "–".to_owned(), |wape| measured_percent(*wape)),
    });
    let groups = learning.groups.iter().map(|group| {
        let mut weights: Vec<(&String, &f64)> = group.weights.iter().collect();
        weights.sort_by(|a, b| b.1.total_cmp(a.1));
        let told: Vec<String> =
            weights.into_iter().take(3).map(|(model, weight)| format!("{model} {}", measured_percent(*weight))).collect();
        GroupRow { name: group.name.clone(), categories: group.categories, weights: told.join(", ") }
    });
    Learnt {
        chart: charts::weights(&names, &columns),
        legend: legend.collect(),
        regret: signed(learning.regret),
        better: learning.regret <= 0.0,
        best_single: learning.best_single.clone(),
        periods: learning.steps.len(),
        groups: groups.collect(),
        changes: learning
            .changes
            .iter()
            .rev()
            .map(|change| ChangeRow { day: day_short(change.period_start, near), reason: change.reason.clone() })
            .collect(),
    }
}

fn dear(record: &DearRecord) -> Vec<DearRow> {
    let row = |model: &DearModel| DearRow {
        name: model.model.clone(),
        periods: model.periods,
        loss: model.loss.map_or_else(|| "–".to_owned(), signed),
        chosen: model.model == record.chosen,
    };
    record.models.iter().map(row).collect()
}

fn signed(loss: f64) -> String {
    format!("{}{:.3}", if loss < 0.0 { "−" } else { "+" }, loss.abs())
}

fn event_row(view: &View, event: &ModelEvent) -> EventRow {
    let (word, good) = match event.event {
        ModelEventKind::Promoted => ("became champion", true),
        ModelEventKind::Challenged => ("waits as challenger", true),
        ModelEventKind::Kept => ("did not win", true),
        ModelEventKind::Failed => ("training failed", false),
        ModelEventKind::Refused => ("refused", false),
        ModelEventKind::RolledBack => ("champion again", true),
        ModelEventKind::Asked => ("retraining asked for", false),
    };
    let zone = view.edition.generation.time_zone.parse().unwrap_or(chrono_tz::UTC);
    EventRow {
        day: day_short(sellcast_domain::ShopDay::of(event.at, zone), view.edition.generation.as_of),
        version: event.version.clone(),
        event: word,
        good,
        reason: event.reason.clone(),
    }
}
