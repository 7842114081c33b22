//! How live forecasts came out, for the track-record page: a row for each stretch of the day, the live forecast beside the
//! published one.

use sellcast_domain::{LiveLevel, LiveMetrics, LiveScore};

/// A stretch of the period's first day.
pub(super) struct LiveRow {
    pub(super) hours: String,
    pub(super) forecasts: u64,
    pub(super) categories: LiveCells,
    pub(super) products: LiveCells,
    /// Mean confidence of products, and how many were in their list.
    pub(super) said: String,
    pub(super) came_true: String,
}

/// The cells of one level.
pub(super) struct LiveCells {
    pub(super) live: String,
    pub(super) published: String,
    pub(super) better: bool,
    pub(super) held: String,
}

/// Rows in order of their hours; none before live forecasts were scored.
pub(super) fn rows(scores: &[LiveScore]) -> Vec<LiveRow> {
    let of = |level: LiveLevel| scores.iter().filter(move |score| score.level == level);
    of(LiveLevel::Categories)
        .filter_map(|categories| {
            let products = of(LiveLevel::Products).find(|products| products.from_hour == categories.from_hour)?;
            Some(LiveRow {
                hours: hours(categories),
                forecasts: categories.forecasts,
                categories: cells(categories),
                products: cells(products),
                said: tenths(products.live.said),
                came_true: tenths(products.live.came_true),
            })
        })
        .collect()
}

fn hours(score: &LiveScore) -> String {
    match (score.from_hour, score.to_hour) {
        (from @ 24.., _) => format!("after {from} hours"),
        (from, to) => format!("{from}:00\u{a0}– {to}:00"),
    }
}

fn cells(score: &LiveScore) -> LiveCells {
    let LiveMetrics { wape, coverage_80, .. } = score.live;
    LiveCells {
        live: tenths(wape),
        published: tenths(score.published.wape),
        better: wape <= score.published.wape,
        held: coverage_80.map_or_else(|| "–".to_owned(), tenths),
    }
}

/// A measured share in per cent: from one hour to the next it changes by little.
fn tenths(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
