//! The track record: every ended forecast of the ledger beside what came.

use std::collections::{BTreeMap, HashMap};

use sellcast_domain::{CategoryId, FrameRecord, Miss, Money, PeriodScore, ProductId, ScoredCategory, TimeFrame, TopK, TrackRecord};
use sellcast_features::Target;

use crate::combined::CategorySums;
use crate::forecaster::{FrameForecast, ScoredPeriod};
use crate::ledger::ForecastPeriod;
use crate::metrics::{Said, Scored, Tally, reliability, top_categories};

/// Categories that the record is about, as in the back-test.
const CATEGORIES: usize = 100;
/// Categories listed per period.
const LISTED: usize = 12;
/// Misses listed.
const MISSES: usize = 10;

/// Names for the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) categories: HashMap<CategoryId, String>,
    pub(crate) products: HashMap<ProductId, String>,
}

/// The record of all frames that have ended forecasts.
pub(crate) fn record(ended: &BTreeMap<TimeFrame, Vec<ScoredPeriod>>, frames: &[FrameForecast], names: &Names) -> TrackRecord {
    let mut record = TrackRecord::default();
    for (frame, scored) in ended.iter().filter(|(_, scored)| !scored.is_empty()) {
        let made = frames.iter().find(|made| made.forecast.period.frame() == *frame);
        let weights = made.map(|made| made.learned.hedge.weights().clone()).unwrap_or_default();
        record.frames.insert(*frame, frame_record(scored, weights, names));
        if let (Some(made), Some(frame)) = (made, record.frames.get_mut(frame)) {
            frame.learning = made.learned.hedge.learning();
        }
    }
    record
}

fn frame_record(scored: &[ScoredPeriod], weights: BTreeMap<String, f64>, names: &Names) -> FrameRecord {
    let mut totals: BTreeMap<String, Tally> = BTreeMap::new();
    let mut periods = Vec::new();
    let mut worst_misses = Vec::new();
    for (forecast, target) in scored {
        let mut by_category = BTreeMap::new();
        for row in 0..forecast.len() {
            *by_category.entry(forecast.categories[row]).or_default() += f64::from(forecast.amount[row]);
        }
        let joined = Scored::products(forecast, target, Some(&top_categories(&by_category, CATEGORIES)));
        let published = Said { amount: &forecast.amount, published: Some(forecast) };
        let tally = |said: Said<'_>| {
            let mut tally = Tally::default();
            tally.add(&joined, said);
            tally
        };
        totals.entry("published".into()).or_default().add(&joined, published);
        for (name, amount) in &forecast.candidates {
            totals.entry(name.clone()).or_default().add(&joined, Said { amount, published: None });
        }
        let shown = tally(published);
        let last = forecast.candidates.get("last_period").map(|amount| tally(Said { amount, published: None }));
        periods.push(PeriodScore {
            period_start: forecast.period.start(),
            period_end: forecast.period.last_day(),
            origin: forecast.origin,
            published: shown.metrics(),
            last_period: last.map(|tally| tally.metrics()).unwrap_or_default(),
            forecast_amount: money(forecast.amount.iter().map(|amount| f64::from(*amount)).sum()),
            actual_amount: money(target.rows.values().map(|row| row.amount).sum()),
            categories: categories(forecast, target, names),
            first: None,
        });
        worst_misses = misses(forecast, &joined, names);
    }
    periods.reverse();
    let reliability = totals.get("published").map(|tally| reliability(&tally.calls, 10)).unwrap_or_default();
    FrameRecord {
        periods,
        models: totals.iter().map(|(name, tally)| (name.clone(), tally.metrics())).collect(),
        reliability,
        worst_misses,
        weights,
        learning: sellcast_domain::Learning::default(),
        live: Vec::new(),
    }
}

fn categories(forecast: &ForecastPeriod, target: &Target, names: &Names) -> Vec<ScoredCategory> {
    let sums = CategorySums::of(forecast, &forecast.amount);
    let confidence: HashMap<CategoryId, f32> =
        forecast.categories.iter().copied().zip(forecast.category_confidence.iter().copied()).collect();
    let joined = Scored::categories(&sums.categories, target);
    let mut listed: Vec<_> = (0..joined.ids.len())
        .filter_map(|at| {
            let row = joined.rows[at].filter(|row| sums.ranks[*row] as usize <= LISTED)?;
            let rank = sums.ranks[row];
            Some(ScoredCategory {
                category_id: sums.categories[row],
                category_name: names.categories.get(&sums.categories[row]).cloned().unwrap_or_default(),
                forecast_amount: money(f64::from(sums.amounts[row])),
                actual_amount: money(joined.actual[at]),
                forecast_rank: rank,
                actual_rank: joined.actual_rank[at].min(joined.ids.len() as u32),
                confidence_score: confidence.get(&sums.categories[row]).map_or(0.0, |value| f64::from(*value)),
                came_true: joined.actual_rank[at] <= TopK::holding(rank).get(),
            })
        })
        .collect();
    listed.sort_by_key(|category| category.forecast_rank);
    listed
}

fn misses(forecast: &ForecastPeriod, joined: &Scored, names: &Names) -> Vec<Miss> {
    let said = |at: usize| joined.rows[at].map_or(0.0, |row| f64::from(forecast.amount[row]));
    let mut order: Vec<usize> = (0..joined.ids.len()).collect();
    order.sort_by(|a, b| (said(*b) - joined.actual[*b]).abs().total_cmp(&(said(*a) - joined.actual[*a]).abs()));
    let category =
        |at: usize| joined.lists.iter().find(|(_, range)| range.contains(&at)).map_or(CategoryId::from(0), |(category, _)| *category);
    order
        .into_iter()
        .take(MISSES)
        .map(|at| {
            let product_id = ProductId::from(joined.ids[at]);
            let product_name = names.products.get(&product_id).cloned().unwrap_or_else(|| format!("Product {product_id}"));
            Miss {
                product_id,
                product_name,
                category_id: category(at),
                forecast_amount: money(said(at)),
                actual_amount: money(joined.actual[at]),
                drivers: Vec::new(),
            }
        })
        .collect()
}

fn money(units: f64) -> Money {
    Money::try_from(units).unwrap_or(Money::ZERO)
}
