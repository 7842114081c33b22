//! The home page: what will sell best in the period, over all categories.

use askama::Template;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use sellcast_domain::{CategoryPrediction, Money, ReliabilityBin, TrackRecord};

use super::drawn;
use super::links::{PageLink, page_links};
use super::shell::{Section, Shell};
use super::view::View;
use crate::charts::{self, Svg};
use crate::problems::ApiError;
use crate::query::Parameters;
use crate::state::AppState;
use crate::wording::{before, change, day_plain, frame_word, group, heading, measured_percent, span};

/// Categories of a page.
const ROWS: usize = 10;
/// Movers are looked for among the categories that matter.
const MOVERS_AMONG: usize = 100;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    shell: Shell,
    heading: String,
    lead: String,
    facts: Facts,
    rows: Vec<Row>,
    shown: String,
    pages: Vec<PageLink>,
    csv: String,
    movers: Vec<Mover>,
    before: &'static str,
    trust: Option<Trust>,
    record: String,
}

struct Facts {
    expected: String,
    spread: String,
    change: Option<String>,
    rises: bool,
    before: &'static str,
    found: Option<Found>,
}

/// How the last scored list came out.
struct Found {
    of: String,
    share: String,
    yardstick: String,
}

struct Row {
    rank: u32,
    moved: Svg,
    name: String,
    href: String,
    leads: Option<String>,
    amount: String,
    range: Svg,
    spark: Svg,
    sure: Svg,
}

struct Mover {
    moved: Svg,
    name: String,
    href: String,
    why: String,
}

/// The reliability diagram and what it says in a sentence.
pub(super) struct Trust {
    pub(super) diagram: Svg,
    pub(super) said: String,
    pub(super) came: String,
    pub(super) periods: String,
}

/// `/`
pub(super) async fn page(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Result<Response, ApiError> {
    let mut parameters = Parameters::read(&uri, &["frame", "date", "page"]);
    let (frame, date, page) = (parameters.frame(), parameters.date(), parameters.page());
    parameters.finish()?;
    let view = View::live(&state, frame, date).await?;
    let record = state.forecasts().record(&view.edition).await?;
    let document = &view.frame.document;
    let count = document.categories.len();
    let from = (ROWS * (page as usize - 1)).min(count);
    let shown = &document.categories[from..(from + ROWS).min(count)];
    let top = document.categories.first().map_or(1.0, |first| first.interval.high.to_f64()).max(1.0);
    let mut rows = Vec::with_capacity(ROWS);
    for category in shown {
        let history = state.forecasts().history(&view.edition, category.category_id).await?;
        rows.push(row(&view, category, top, view.category_spark(category.category_id, history.as_deref())));
    }
    let pages = count.div_ceil(ROWS).max(1) as u32;
    let title = heading(document.period());
    let home = HomePage {
        shell: Shell::around(&state, &view, &title, Section::Forecast, "/"),
        lead: format!("What will sell best {}, over all categories.", span(document.period())),
        heading: title,
        facts: facts(&view, &record),
        shown: if rows.is_empty() {
            format!("none of {}", group(count as u64))
        } else {
            format!("{}–{} of {}", from + 1, from + rows.len(), group(count as u64))
        },
        rows,
        pages: page_links(page, pages, |number| view.link("/").with("page", number)),
        csv: view.link("/categories.csv").to_string(),
        movers: movers(&view),
        before: before(frame),
        trust: trust(&record, &view),
        record: view.link("/record").to_string(),
    };
    drawn(&home)
}

fn facts(view: &View, record: &TrackRecord) -> Facts {
    let document = &view.frame.document;
    let half = (document.total_interval.high - document.total_interval.low).cents() / 2;
    let change = change(document.total_amount.to_f64(), document.previous_total.to_f64());
    let scored = record.frames.get(&view.time_frame()).and_then(|frame| frame.periods.first());
    Facts {
        expected: view.show(document.total_amount),
        spread: view.currency().show(Money::from_cents(half)),
        rises: document.total_amount >= document.previous_total,
        change,
        before: before(view.time_frame()),
        found: scored.map(|period| Found {
            of: format!("Top 10 found, {} of {}", frame_word(view.time_frame()), day_plain(period.period_start)),
            share: measured_percent(period.published.precision_at_10),
            yardstick: format!("{}’s list: {}", before(view.time_frame()), measured_percent(period.last_period.precision_at_10)),
        }),
    }
}

fn row(view: &View, category: &CategoryPrediction, top: f64, spark: Svg) -> Row {
    let (low, high) = (category.interval.low, category.interval.high);
    let range = format!("80 % between {} and {}", view.show(low), view.show(high));
    Row {
        rank: category.rank,
        moved: charts::moved(category.rank, category.previous_rank, before(view.time_frame())),
        name: category.category_name.clone(),
        href: view.category_link(category.category_id),
        leads: category.top_products.first().map(|product| product.product_name.clone()),
        amount: view.show(category.predicted_sales_amount),
        range: charts::whisker(low.to_f64(), category.predicted_sales_amount.to_f64(), high.to_f64(), top, &range),
        spark,
        sure: charts::sure(view.sure(category.confidence_score), category.top_k.get(), "categories"),
    }
}

/// Two that rise most, one that sinks most, one that is new: among the categories that matter.
fn movers(view: &View) -> Vec<Mover> {
    let categories = &view.frame.document.categories;
    let among = &categories[..categories.len().min(MOVERS_AMONG)];
    let gained =
        |category: &&CategoryPrediction| category.previous_rank.map_or(0, |previous| i64::from(previous) - i64::from(category.rank));
    let mut moved: Vec<&CategoryPrediction> = among.iter().filter(|category| category.previous_rank.is_some()).collect();
    // Equal moves are ordered by rank, so that a page drawn twice is the same.
    moved.sort_by_key(|category| (-gained(category), category.rank));
    let risers = moved.iter().take_while(|category| gained(category) > 0).take(2).copied();
    let sinker = moved.iter().rev().find(|category| gained(category) < 0).copied();
    let new = among.iter().find(|category| category.previous_rank.is_none());
    risers
        .chain(sinker)
        .chain(new)
        .map(|category| Mover {
            moved: charts::moved(category.rank, category.previous_rank, before(view.time_frame())),
            name: category.category_name.clone(),
            href: view.category_link(category.category_id),
            why: why(view, category),
        })
        .collect()
}

/// The strongest reason among a category's products, or the change in its amount.
fn why(view: &View, category: &CategoryPrediction) -> String {
    let rises = category.predicted_sales_amount >= category.previous_amount;
    let drivers = category.top_products.iter().flat_map(|product| product.drivers.iter().map(move |driver| (product, driver)));
    let strongest =
        drivers.filter(|(_, driver)| (driver.effect >= Money::ZERO) == rises).max_by_key(|(_, driver)| driver.effect.cents().abs());
    match strongest {
        Some((product, driver)) => format!("{}: {}", product.product_name, driver.reason),
        None => format!(
            "{} after {} {}",
            view.show(category.predicted_sales_amount),
            view.show(category.previous_amount),
            before(view.time_frame())
        ),
    }
}

/// The reliability of the frame's confidence, when enough was scored.
pub(super) fn trust(record: &TrackRecord, view: &View) -> Option<Trust> {
    let frame = record.frames.get(&view.time_frame())?;
    let near: &ReliabilityBin =
        frame.reliability.iter().filter(|bin| bin.count > 0).min_by(|a, b| (a.said - 0.7).abs().total_cmp(&(b.said - 0.7).abs()))?;
    let word = frame_word(view.time_frame());
    let count = frame.periods.len();
    Some(Trust {
        diagram: charts::reliability(&frame.reliability),
        said: measured_percent(near.said),
        came: measured_percent(near.came_true),
        periods: if count == 1 { format!("last {word}") } else { format!("last {count} {word}s") },
    })
}
