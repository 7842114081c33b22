//! What the last comparison of the stream's windows with the warehouse found, and which forecasts it touched.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use sellcast_domain::window::{Comparison, DifferingTile, EventTime, Repair, RepairCause, Sums};
use sellcast_domain::{CategoryId, PredictionDocument};
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
    /// Hours of categories that have sales in the warehouse; they were compared by the checksums of their rows.
    tiles_compared: usize,
    /// Hours of categories that were not the same in the stream.
    tiles_differing: usize,
    /// Rows and products that were repaired, by cause.
    repaired: BTreeMap<&'static str, usize>,
    /// Rows and products that the stream changed while the warehouse was read; they are compared the next time.
    left_alone: usize,
    /// True when so much differed that nothing was repaired: the stream and the warehouse hardly have a sale in common.
    is_strange: bool,
    /// The first hundred of the hours that were not the same.
    tiles: Vec<UnequalTile>,
    /// The first hundred products whose windows changed.
    products: Vec<i64>,
    /// The first hundred categories, at the forecast level, whose windows changed.
    categories: Vec<i64>,
    /// The forecasts of running periods that this touched, and how each is made anew.
    forecasts: Vec<TouchedForecast>,
    /// The categories of tiles in which something was repaired, with the end of the tile.
    #[serde(skip)]
    touched: BTreeSet<(CategoryId, i64)>,
}

/// A category's hour that was not the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnequalTile {
    /// The category that its products are in; `null` of products that are in none.
    category_id: Option<i64>,
    /// The beginning of the hour.
    start: String,
    /// Why: rows by cause (`late`, `missed`, `retracted`, `changed`, `moved`). A row that is in two hours or categories counts in both.
    causes: BTreeMap<&'static str, usize>,
    /// Rows that the stream changed while the warehouse was read.
    left_alone: usize,
    /// What the stream had.
    stream: Sold,
    /// What the warehouse has.
    warehouse: Sold,
}

/// A running period's forecast.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TouchedForecast {
    /// `day`, `week` and so on.
    time_frame: &'static str,
    /// The generation it was published with.
    generation_id: String,
    /// First day of its period.
    period_start: String,
    /// How it is made anew.
    recomputed: Recomputed,
    /// All of its categories that were touched this way.
    categories: Vec<i64>,
}

/// How a forecast is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Recomputed {
    /// What was repaired lies within the period: live forecasts are made from the repaired windows.
    Live,
    /// What was repaired is history, which live forecasts do not look at: the publication that follows the ingest is made from it.
    Publication,
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

impl From<&DifferingTile> for UnequalTile {
    fn from(tile: &DifferingTile) -> Self {
        Self {
            category_id: tile.place.category.map(CategoryId::get),
            start: instant(i64::from(tile.place.hour) * 3600),
            causes: tile.causes.iter().map(|(cause, rows)| (cause.name(), *rows)).collect(),
            left_alone: tile.left_alone,
            stream: tile.stream.into(),
            warehouse: tile.warehouse.into(),
        }
    }
}

impl Reconciliation {
    /// The report of a comparison of the time from `from` to `until`, without the forecasts.
    pub fn new(comparison: &Comparison, from: EventTime, until: EventTime, now: DateTime<Utc>) -> Self {
        let repairs: &[Repair] = if comparison.is_strange { &[] } else { &comparison.repairs };
        let of_cause = |cause: RepairCause| repairs.iter().filter(|repair| repair.cause() == cause).count();
        let products: BTreeSet<i64> = repairs.iter().map(|repair| repair.product().get()).collect();
        let repaired_tiles = comparison.differing.iter().filter(|tile| !repairs.is_empty() && !tile.causes.is_empty());
        let touched: BTreeSet<(CategoryId, i64)> =
            repaired_tiles.filter_map(|tile| Some((tile.group?, i64::from(tile.place.hour + 1) * 3600))).collect();
        let categories: BTreeSet<i64> = touched.iter().map(|(category, _)| category.get()).collect();
        Self {
            compared_at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
            from: instant(from.seconds().into()),
            until: instant(until.seconds().into()),
            tiles_compared: comparison.tiles,
            tiles_differing: comparison.differing.len(),
            repaired: RepairCause::ALL.map(|cause| (cause.name(), of_cause(cause))).into_iter().collect(),
            left_alone: comparison.left_alone,
            is_strange: comparison.is_strange,
            tiles: comparison.differing.iter().take(LISTED).map(UnequalTile::from).collect(),
            products: products.into_iter().take(LISTED).collect(),
            categories: categories.into_iter().take(LISTED).collect(),
            forecasts: Vec::new(),
            touched,
        }
    }

    /// True when windows changed.
    pub fn is_touching(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Adds what was touched of the forecast of a running period that begins at `begins`; live ones are made when windows reach back
    /// to there, which is from `windows_from` on.
    pub fn add_forecast(&mut self, document: &PredictionDocument, begins: DateTime<Utc>, windows_from: EventTime) {
        let forecast: BTreeSet<CategoryId> = document.categories.iter().map(|category| category.category_id).collect();
        let touched = self.touched_of(&forecast, begins.timestamp(), windows_from);
        self.forecasts.extend(touched.into_iter().map(|(recomputed, categories)| TouchedForecast {
            time_frame: document.time_frame.name(),
            generation_id: document.generation_id.to_string(),
            period_start: document.period_start.to_string(),
            recomputed,
            categories: categories.into_iter().collect(),
        }));
    }

    /// The touched among the categories of a forecast whose period begins at `begins`, by how it is made anew.
    fn touched_of(&self, forecast: &BTreeSet<CategoryId>, begins: i64, windows_from: EventTime) -> BTreeMap<Recomputed, BTreeSet<i64>> {
        let may_be_live = begins >= i64::from(windows_from.seconds());
        let mut touched: BTreeMap<Recomputed, BTreeSet<i64>> = BTreeMap::new();
        for (category, ends) in self.touched.iter().filter(|(category, _)| forecast.contains(category)) {
            let recomputed = if may_be_live && *ends > begins { Recomputed::Live } else { Recomputed::Publication };
            touched.entry(recomputed).or_default().insert(category.get());
        }
        touched
    }
}

fn instant(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use sellcast_domain::window::{CategoryHour, Held, Version};
    use sellcast_domain::{ProductId, SaleId};

    use super::*;

    fn at(hour: u32) -> EventTime {
        EventTime::default().later(hour * 3600)
    }

    /// A sale of category 1 was missed in each of these hours.
    fn missed(hours: &[u32]) -> Comparison {
        let tile = |hour: &u32| DifferingTile {
            place: CategoryHour { hour: *hour, category: Some(CategoryId::from(1)) },
            group: Some(CategoryId::from(10)),
            stream: Sums::NONE,
            warehouse: Sums::NONE,
            causes: BTreeMap::from([(RepairCause::Missed, 1)]),
            left_alone: 0,
        };
        let repair = Repair::Row {
            sale: SaleId::from(1),
            version: Version::NONE,
            row: Held::Deleted(at(0)),
            product: ProductId::from(1),
            cause: RepairCause::Missed,
        };
        Comparison { differing: hours.iter().map(tile).collect(), repairs: vec![repair], ..Comparison::default() }
    }

    #[track_caller]
    fn check(comparison: &Comparison, begins: u32, windows_from: u32, expected: &[Recomputed]) {
        let report = Reconciliation::new(comparison, at(0), at(9), DateTime::default());
        let touched = report.touched_of(&BTreeSet::from([10, 20].map(CategoryId::from)), at(begins).seconds().into(), at(windows_from));
        assert_eq!(touched, expected.iter().map(|recomputed| (*recomputed, BTreeSet::from([10]))).collect());
    }

    #[test]
    fn a_live_forecast_is_made_anew_by_what_lies_in_its_period_and_a_publication_by_what_was_before() {
        check(&missed(&[6]), 6, 0, &[Recomputed::Live]);
        check(&missed(&[5]), 6, 0, &[Recomputed::Publication]);
        check(&missed(&[5, 6]), 6, 0, &[Recomputed::Live, Recomputed::Publication]);
        // Windows do not reach back to its beginning, so it is told as published.
        check(&missed(&[6]), 3, 4, &[Recomputed::Publication]);
        check(&Comparison { is_strange: true, ..missed(&[6]) }, 6, 0, &[]);
    }
}
