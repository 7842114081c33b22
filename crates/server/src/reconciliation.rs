//! What the last comparison of the stream's windows with the warehouse found.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use sellcast_domain::window::{Comparison, EventTime, RepairCause, Sums, WindowKey};
use serde::Serialize;
use utoipa::ToSchema;

/// Tiles, products and categories that are listed.
const LISTED: usize = 100;

/// A comparison of windows with the warehouse, after an ingest.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciliation {
    /// When it was made.
    compared_at: String,
    /// The beginning of the compared time.
    from: String,
    /// Its end.
    until: String,
    /// Hours of products and categories that have sales in the warehouse.
    tiles_compared: usize,
    /// Those that were not the same in the stream.
    tiles_differing: usize,
    /// Rows and products that were repaired, by cause.
    repaired: BTreeMap<&'static str, usize>,
    /// Rows and products that the stream changed while the warehouse was read; they are compared the next time.
    left_alone: usize,
    /// True when so much differed that nothing was repaired: the stream and the warehouse hardly have a sale in common.
    is_strange: bool,
    /// The first hundred of the hours that were not the same.
    tiles: Vec<DifferingTile>,
    /// The first hundred products whose windows and live forecasts changed.
    products: Vec<i64>,
    /// The first hundred categories whose windows and live forecasts changed.
    categories: Vec<i64>,
}

/// An hour that was not the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DifferingTile {
    /// `product` or `category`.
    kind: &'static str,
    /// Its id.
    id: i64,
    /// The beginning of the hour.
    start: String,
    /// What the stream had.
    stream: Sold,
    /// What the warehouse has.
    warehouse: Sold,
}

/// What was sold.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct Sold {
    /// Less returns.
    quantity: f64,
    /// Less returns.
    amount: f64,
    /// Lines of sales.
    transactions: i32,
}

impl From<Sums> for Sold {
    fn from(sums: Sums) -> Self {
        Self { quantity: sums.quantity.thousandths() as f64 / 1000.0, amount: sums.amount.to_f64(), transactions: sums.transactions }
    }
}

impl Reconciliation {
    /// The report of a comparison of the time from `from` to `until`.
    pub fn new(comparison: &Comparison, from: EventTime, until: EventTime, now: DateTime<Utc>) -> Self {
        let of_cause = |cause: RepairCause| comparison.repairs.iter().filter(|repair| repair.cause() == cause).count();
        let repaired = RepairCause::ALL.map(|cause| (cause.name(), if comparison.is_strange { 0 } else { of_cause(cause) }));
        let tile = |tile: &sellcast_domain::window::TileDifference| {
            let (kind, id) = match tile.key {
                WindowKey::Product(product) => ("product", product.get()),
                WindowKey::Category(category) => ("category", category.get()),
            };
            let start = instant(i64::from(tile.number) * 3600);
            DifferingTile { kind, id, start, stream: tile.left.into(), warehouse: tile.right.into() }
        };
        let touched = |is_wanted: &dyn Fn(WindowKey) -> Option<i64>| {
            let mut ids: Vec<i64> = comparison.differing.iter().filter_map(|tile| is_wanted(tile.key)).collect();
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(LISTED);
            ids
        };
        Self {
            compared_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            from: instant(from.seconds().into()),
            until: instant(until.seconds().into()),
            tiles_compared: comparison.tiles,
            tiles_differing: comparison.differing.len(),
            repaired: repaired.into_iter().collect(),
            left_alone: comparison.left_alone,
            is_strange: comparison.is_strange,
            tiles: comparison.differing.iter().take(LISTED).map(tile).collect(),
            products: touched(&|key| if let WindowKey::Product(product) = key { Some(product.get()) } else { None }),
            categories: touched(&|key| if let WindowKey::Category(category) = key { Some(category.get()) } else { None }),
        }
    }
}

fn instant(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}
