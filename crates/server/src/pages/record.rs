//! The track record: what was said and what came, per frame.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{FrameRecord, Money, Origin, Period, PeriodScore, ScoredCategory, TopK};

use super::drawn;
use super::home::{Trust, trust};
use super::live_scores::{self, LiveRow};
use super::shell::{Section, Shell};
use super::view::View;
use crate::charts::{self, Svg};
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::{change, day_named, day_short, frame_label, frame_word, heading, measured_percent};

/// Periods of the table.
const PERIODS: usize = 26;

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    shell: Shell,
    frame: &'static str,
    frame_label: &'static str,
    first_scored: String,
    scored: Option<Scored>,
    trust: Option<Trust>,
    models: String,
}

struct Scored {
    facts: Vec<Fact>,
    periods: Vec<PeriodRow>,
    newest: String,
    categories: Vec<CategoryRow>,
    misses: Vec<MissRow>,
    live: Vec<LiveRow>,
    afterwards: bool,
}

struct Fact {
    label: &'static str,
    meaning: &'static str,
    value: String,
    small: String,
}

struct PeriodRow {
    period: String,
    said: String,
    came: String,
    /// What had come when it was first scored, if that was another amount.
    first: Option<String>,
    off: String,
    found: String,
    yardstick: String,
    better: bool,
    error: String,
    origin: &'static str,
}

struct CategoryRow {
    name: String,
    href: String,
    said: String,
    came: String,
    off: String,
    rank_said: u32,
    rank_came: u32,
    sure: Option<Svg>,
    came_true: bool,
    verdict: String,
}

struct MissRow {
    name: String,
    href: String,
    said: String,
    came: String,
    /// The strongest reasons that the forecast had.
    why: String,
}

/// `/record`
pub(super) async fn page(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date"]);
    let (frame, date) = (parameters.frame(), parameters.date());
    parameters.finish()?;
    let view = View::load(&state, frame, date).await?;
    let record = state.forecasts().record(&view.edition).await?;
    let found = record.frames.get(&frame).filter(|record| !record.periods.is_empty());
    let page = RecordPage {
        shell: Shell::around(&state, &view, "Track record", Section::Record, "/record"),
        frame: frame_word(frame),
        frame_label: frame_label(frame),
        first_scored: day_named(view.frame.document.period().last_day() + 1),
        scored: found.map(|record| scored(&view, record)),
        trust: trust(&record, &view),
        models: view.link("/models").to_string(),
    };
    drawn(&page)
}

fn scored(view: &View, record: &FrameRecord) -> Scored {
    let newest = record.periods.first();
    let period = newest.map(|score| heading(Period::starting(view.time_frame(), score.period_start)));
    let miss = |miss: &sellcast_domain::Miss| MissRow {
        name: miss.product_name.clone(),
        href: view.product_link(miss.product_id),
        said: view.show(miss.forecast_amount),
        came: view.show(miss.actual_amount),
        why: miss.drivers.iter().take(2).map(|driver| driver.reason.as_str()).collect::<Vec<_>>().join(", "),
    };
    Scored {
        facts: facts(record),
        periods: record.periods.iter().take(PERIODS).map(|score| period_row(view, score)).collect(),
        newest: period.unwrap_or_default(),
        categories: newest.map(|score| score.categories.iter().map(|category| category_row(view, category)).collect()).unwrap_or_default(),
        misses: record.worst_misses.iter().map(miss).collect(),
        live: live_scores::rows(&record.live),
        afterwards: record.periods.iter().any(|score| score.origin == Origin::Backtest),
    }
}

fn facts(record: &FrameRecord) -> Vec<Fact> {
    let count = record.periods.len().max(1) as f64;
    let mean = |value: &dyn Fn(&PeriodScore) -> f64| record.periods.iter().map(value).sum::<f64>() / count;
    let overall = record.models.get("published");
    let found = overall.map_or_else(|| mean(&|score| score.published.precision_at_10), |overall| overall.precision_at_10);
    let mut facts = vec![Fact {
        label: "Top 10 found",
        meaning: "how many of the ten products that sold best in a category were on our list of ten",
        value: measured_percent(found),
        small: format!("last period’s list: {}", measured_percent(mean(&|score| score.last_period.precision_at_10))),
    }];
    let yardstick: Vec<f64> = record.periods.iter().filter_map(|score| score.last_period.wape).collect();
    if let Some(wape) = overall.and_then(|overall| overall.wape) {
        let small = match yardstick.len() {
            0 => String::new(),
            count => format!("last period’s list: {}", measured_percent(yardstick.iter().sum::<f64>() / count as f64)),
        };
        facts.push(Fact {
            label: "Error (WAPE)",
            meaning: "all that was forecast too high or too low, per unit of what was sold",
            value: measured_percent(wape),
            small,
        });
    }
    if let Some(coverage) = overall.and_then(|overall| overall.coverage_80) {
        let value = format!("{:.1} %", coverage * 100.0);
        facts.push(Fact {
            label: "80 % ranges held",
            meaning: "how many amounts came out within their range",
            value,
            small: "should be 80 %".to_owned(),
        });
    }
    if let Some(bias) = overall.and_then(|overall| overall.bias) {
        let value = format!("{}{:.1} %", if bias < 0.0 { "−" } else { "+" }, (bias * 100.0).abs());
        facts.push(Fact {
            label: "All said together",
            meaning: "the sum of all forecasts against the sum of sales",
            value,
            small: "against sales".to_owned(),
        });
    }
    facts
}

fn period_row(view: &View, score: &PeriodScore) -> PeriodRow {
    let near = view.edition.generation.as_of;
    PeriodRow {
        period: if score.period_start == score.period_end {
            day_short(score.period_start, near)
        } else {
            format!("{}\u{a0}– {}", day_short(score.period_start, near), day_short(score.period_end, near))
        },
        said: view.show(score.forecast_amount),
        came: view.show(score.actual_amount),
        first: score.first.as_ref().map(|first| view.show(first.actual_amount)).filter(|first| *first != view.show(score.actual_amount)),
        off: off(score.forecast_amount, score.actual_amount),
        found: measured_percent(score.published.precision_at_10),
        yardstick: measured_percent(score.last_period.precision_at_10),
        better: score.published.precision_at_10 >= score.last_period.precision_at_10,
        error: score.published.wape.map(measured_percent).unwrap_or_else(|| "–".to_owned()),
        origin: match score.origin {
            Origin::Published => "published",
            Origin::Backtest => "afterwards",
        },
    }
}

fn category_row(view: &View, category: &ScoredCategory) -> CategoryRow {
    let list = TopK::holding(category.forecast_rank).get();
    CategoryRow {
        name: category.category_name.clone(),
        href: view.category_link(category.category_id),
        said: view.show(category.forecast_amount),
        came: view.show(category.actual_amount),
        off: off(category.forecast_amount, category.actual_amount),
        rank_said: category.forecast_rank,
        rank_came: category.actual_rank,
        // A forecast made afterwards has no confidence of its own.
        sure: (category.confidence_score > 0.0).then(|| charts::sure(category.confidence_score, list, "categories")),
        came_true: category.came_true,
        verdict: if category.came_true { format!("in the top {list}") } else { format!("rank {}", category.actual_rank) },
    }
}

/// How far the truth lies from what was said.
fn off(said: Money, came: Money) -> String {
    change(came.to_f64(), said.to_f64()).unwrap_or_else(|| "–".to_owned())
}
