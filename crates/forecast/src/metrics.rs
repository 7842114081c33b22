//! Accuracy by the back-test protocol: lists of items with a forecast and a truth, and what to say about them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use sellcast_domain::{CategoryId, Metrics, ReliabilityBin, TopK};
use sellcast_features::Target;

use crate::ledger::ForecastPeriod;

/// Of so many lists, NDCG counts half as much as WAPE for the weights: in a shop with one category of 4,000 products the order of ten
/// of them, counted in full, left 40 % of the weight with averages and a regression that were far behind in all else.
const FEW_LISTS: f64 = 10.0;

/// The forecasts of one period beside the truth, item by item, ordered by list and id. Products that sold without a
/// forecast are in it too.
#[derive(Clone, Debug)]
pub struct Scored {
    /// Row in the forecast; `None` for items that sold unforeseen.
    pub(crate) rows: Vec<Option<usize>>,
    pub(crate) ids: Vec<i64>,
    pub(crate) actual: Vec<f64>,
    pub(crate) sold: Vec<bool>,
    /// From 1 by true amount within the list; only for items that sold.
    pub(crate) actual_rank: Vec<u32>,
    pub(crate) lists: Vec<(CategoryId, Range<usize>)>,
}

impl Scored {
    /// Products within their categories; only the given categories, or all.
    pub fn products(forecast: &ForecastPeriod, target: &Target, categories: Option<&HashSet<CategoryId>>) -> Self {
        let wanted = |category: &CategoryId| categories.is_none_or(|c| c.contains(category));
        let mut items: Vec<(CategoryId, i64, Option<usize>, f64, bool)> = Vec::with_capacity(forecast.len());
        let mut seen = HashSet::with_capacity(forecast.len());
        for (row, (product, category)) in forecast.products.iter().zip(&forecast.categories).enumerate() {
            if wanted(category) {
                let truth = target.rows.get(product);
                seen.insert(*product);
                items.push((*category, product.get(), Some(row), truth.map_or(0.0, |t| t.amount), truth.is_some()));
            }
        }
        for (product, truth) in &target.rows {
            if wanted(&truth.category) && !seen.contains(product) {
                items.push((truth.category, product.get(), None, truth.amount, true));
            }
        }
        Self::of(items)
    }

    /// Categories as one list: `forecast` by category beside the truth summed by category.
    pub fn categories(forecast: &[CategoryId], target: &Target) -> Self {
        let mut truth: HashMap<CategoryId, f64> = HashMap::new();
        for row in target.rows.values() {
            *truth.entry(row.category).or_default() += row.amount;
        }
        let all = CategoryId::from(0);
        let mut items: Vec<_> = forecast
            .iter()
            .enumerate()
            .map(|(row, category)| {
                (all, category.get(), Some(row), truth.get(category).copied().unwrap_or(0.0), truth.contains_key(category))
            })
            .collect();
        let known: HashSet<_> = forecast.iter().copied().collect();
        items.extend(truth.iter().filter(|(c, _)| !known.contains(c)).map(|(c, amount)| (all, c.get(), None, *amount, true)));
        Self::of(items)
    }

    /// Only the lists that `keep` keeps.
    pub(crate) fn only(&self, keep: impl Fn(CategoryId) -> bool) -> Self {
        let mut part = Self { rows: vec![], ids: vec![], actual: vec![], sold: vec![], actual_rank: vec![], lists: vec![] };
        for (category, range) in self.lists.iter().filter(|(category, _)| keep(*category)) {
            let first = part.ids.len();
            part.rows.extend_from_slice(&self.rows[range.clone()]);
            part.ids.extend_from_slice(&self.ids[range.clone()]);
            part.actual.extend_from_slice(&self.actual[range.clone()]);
            part.sold.extend_from_slice(&self.sold[range.clone()]);
            part.actual_rank.extend_from_slice(&self.actual_rank[range.clone()]);
            part.lists.push((*category, first..part.ids.len()));
        }
        part
    }

    fn of(mut items: Vec<(CategoryId, i64, Option<usize>, f64, bool)>) -> Self {
        items.sort_unstable_by_key(|item| (item.0, item.1));
        let mut lists: Vec<(CategoryId, Range<usize>)> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match lists.last_mut() {
                Some((list, range)) if *list == item.0 => range.end = at + 1,
                _ => lists.push((item.0, at..at + 1)),
            }
        }
        let actual: Vec<f64> = items.iter().map(|item| item.3).collect();
        let sold: Vec<bool> = items.iter().map(|item| item.4).collect();
        let mut actual_rank = vec![u32::MAX; items.len()];
        for (_, range) in &lists {
            let mut order: Vec<usize> = range.clone().filter(|at| sold[*at]).collect();
            // Items of a list are in order of their ids, so a stable sort breaks ties by id.
            order.sort_by(|a, b| actual[*b].total_cmp(&actual[*a]));
            for (rank, at) in order.into_iter().enumerate() {
                actual_rank[at] = rank as u32 + 1;
            }
        }
        Self { rows: items.iter().map(|i| i.2).collect(), ids: items.iter().map(|i| i.1).collect(), actual, sold, actual_rank, lists }
    }
}

/// What one model said of each forecast row.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) amount: &'a [f32],
    /// Of the published combination: interval, confidence and rank.
    pub(crate) published: Option<&'a ForecastPeriod>,
}

/// Sums over periods, from which the metrics follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    precision: BTreeMap<usize, (f64, u64)>,
    ndcg: (f64, u64),
    absolute: f64,
    squared: f64,
    forecast: f64,
    actual: f64,
    percentage: (f64, u64),
    items: u64,
    covered: (u64, u64),
    /// The same for the 95 % interval.
    held: (u64, u64),
    /// (confidence, came true).
    pub(crate) calls: Vec<(f32, bool)>,
}

impl Tally {
    /// Adds one period.
    pub(crate) fn add(&mut self, scored: &Scored, said: Said<'_>) {
        let value = |at: usize| scored.rows[at].map_or(0.0, |row| f64::from(said.amount[row]));
        for (_, range) in &scored.lists {
            let sold = range.clone().filter(|at| scored.sold[*at]).count();
            let mut order: Vec<usize> = range.clone().collect();
            let best = |a: &usize, b: &usize| value(*b).total_cmp(&value(*a)).then(a.cmp(b));
            if order.len() > 10 {
                order.select_nth_unstable_by(9, best);
                order.truncate(10);
            }
            order.sort_unstable_by(best);
            for k in [5, 10] {
                if sold >= k {
                    let hits = order.iter().take(k).filter(|at| scored.actual_rank[**at] <= k as u32).count();
                    let entry = self.precision.entry(k).or_default();
                    entry.0 += hits as f64 / k as f64;
                    entry.1 += 1;
                }
            }
            let mut ideal: Vec<(u32, f64)> = range
                .clone()
                .filter(|at| scored.actual_rank[*at] <= 10)
                .map(|at| (scored.actual_rank[at], scored.actual[at].max(0.0)))
                .collect();
            ideal.sort_unstable_by_key(|(rank, _)| *rank);
            let discount = |at: usize| 1.0 / ((at + 2) as f64).log2();
            let ideal: f64 = ideal.iter().enumerate().map(|(at, (_, gain))| gain * discount(at)).sum();
            if ideal > 0.0 {
                let gained: f64 = order.iter().enumerate().map(|(at, item)| scored.actual[*item].max(0.0) * discount(at)).sum();
                self.ndcg.0 += gained / ideal;
                self.ndcg.1 += 1;
            }
        }
        for at in 0..scored.ids.len() {
            let (forecast, actual) = (value(at), scored.actual[at]);
            self.absolute += (forecast - actual).abs();
            self.squared += (forecast - actual).powi(2);
            self.forecast += forecast;
            self.actual += actual;
            self.items += 1;
            if scored.sold[at] && actual > 0.0 {
                self.percentage.0 += (forecast - actual).abs() / actual;
                self.percentage.1 += 1;
            }
        }
        if let Some(published) = said.published {
            for at in 0..scored.ids.len() {
                let Some(row) = scored.rows[at].filter(|row| published.rank[*row] <= 100) else { continue };
                self.covered.0 += u64::from(holds((published.low[row], published.high[row]), scored.actual[at]));
                self.covered.1 += 1;
                if let Some(wide) = published.wide.get(row) {
                    self.held.0 += u64::from(holds(*wide, scored.actual[at]));
                    self.held.1 += 1;
                }
                let k = TopK::holding(published.rank[row]).get();
                self.calls.push((published.confidence[row], scored.actual_rank[at] <= k));
            }
        }
    }

    /// Adds what another tally of the same kind of forecast holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (k, (sum, count)) in &other.precision {
            let entry = self.precision.entry(*k).or_default();
            *entry = (entry.0 + sum, entry.1 + count);
        }
        let add = |a: &mut (f64, u64), b: (f64, u64)| *a = (a.0 + b.0, a.1 + b.1);
        add(&mut self.ndcg, other.ndcg);
        add(&mut self.percentage, other.percentage);
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.forecast += other.forecast;
        self.actual += other.actual;
        self.items += other.items;
        self.covered = (self.covered.0 + other.covered.0, self.covered.1 + other.covered.1);
        self.held = (self.held.0 + other.held.0, self.held.1 + other.held.1);
        self.calls.extend_from_slice(&other.calls);
    }

    /// Whether anything was sold at all.
    pub(crate) fn has_sales(&self) -> bool {
        self.actual > 0.0
    }

    /// WAPE plus lost NDCG: what the weights are learnt from. The first ten of a single list are mostly chance, so NDCG counts the
    /// less the fewer lists there were ([`FEW_LISTS`]).
    pub(crate) fn loss(&self) -> f64 {
        let lists = self.ndcg.1 as f64;
        self.weighed_loss(lists / (lists + FEW_LISTS))
    }

    /// WAPE plus lost NDCG, whatever the number of lists: for means over such losses.
    pub(crate) fn whole_loss(&self) -> f64 {
        self.weighed_loss(1.0)
    }

    fn weighed_loss(&self, ndcg: f64) -> f64 {
        self.absolute / self.actual.max(1e-9) + ndcg * (1.0 - self.ndcg.0 / self.ndcg.1.max(1) as f64)
    }

    /// The metrics over all periods added.
    pub(crate) fn metrics(&self) -> Metrics {
        let mean = |(sum, count): (f64, u64)| if count == 0 { 0.0 } else { sum / count as f64 };
        let of_amount = |value: f64| (self.actual > 0.0).then_some(value);
        let called = !self.calls.is_empty();
        Metrics {
            precision_at_5: mean(self.precision.get(&5).copied().unwrap_or_default()),
            precision_at_10: mean(self.precision.get(&10).copied().unwrap_or_default()),
            ndcg_at_10: mean(self.ndcg),
            wape: of_amount(self.absolute / self.actual),
            mape: of_amount(mean(self.percentage)),
            rmse: of_amount((self.squared / self.items.max(1) as f64).sqrt()),
            bias: of_amount((self.forecast - self.actual) / self.actual),
            coverage_80: (self.covered.1 > 0).then(|| self.covered.0 as f64 / self.covered.1 as f64),
            coverage_95: (self.held.1 > 0).then(|| self.held.0 as f64 / self.held.1 as f64),
            ece: called.then(|| calibration_error(&self.calls)),
            brier: called.then(|| brier(&self.calls)),
        }
    }
}

/// Whether an interval holds what came, to half a cent.
pub(crate) fn holds((low, high): (f32, f32), actual: f64) -> bool {
    f64::from(low) - 0.005 <= actual && actual <= f64::from(high) + 0.005
}

/// Expected calibration error over 15 equal-mass bins.
pub(crate) fn calibration_error(calls: &[(f32, bool)]) -> f64 {
    let bins = reliability(calls, 15);
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    bins.iter().map(|bin| (bin.said - bin.came_true).abs() * bin.count as f64).sum::<f64>() / total as f64
}

/// Mean squared difference of confidence and outcome (Brier, 1950).
pub(crate) fn brier(calls: &[(f32, bool)]) -> f64 {
    calls.iter().map(|(p, hit)| (f64::from(*p) - f64::from(u8::from(*hit))).powi(2)).sum::<f64>() / calls.len() as f64
}

/// Equal-mass bins of calls by confidence, lowest first.
pub(crate) fn reliability(calls: &[(f32, bool)], bins: usize) -> Vec<ReliabilityBin> {
    let mut sorted = calls.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    (0..bins)
        .filter_map(|bin| {
            let slice = &sorted[bin * sorted.len() / bins..(bin + 1) * sorted.len() / bins];
            let count = slice.len() as f64;
            (!slice.is_empty()).then(|| ReliabilityBin {
                said: slice.iter().map(|(p, _)| f64::from(*p)).sum::<f64>() / count,
                came_true: slice.iter().filter(|(_, hit)| *hit).count() as f64 / count,
                count: slice.len() as u64,
            })
        })
        .collect()
}

/// The `count` categories with the highest amounts.
pub fn top_categories(amounts: &BTreeMap<CategoryId, f64>, count: usize) -> HashSet<CategoryId> {
    let mut order: Vec<_> = amounts.iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
    order.into_iter().take(count).map(|(category, _)| *category).collect()
}

/// Ranks within lists, from 1, by amount; ties by the order of the rows (which is by id).
pub(crate) fn ranks<L: Ord + Copy>(lists: &[L], amounts: &[f32]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    order.sort_by(|a, b| lists[*a].cmp(&lists[*b]).then(amounts[*b].total_cmp(&amounts[*a])).then(a.cmp(b)));
    let mut ranks = vec![0; amounts.len()];
    let mut last: Option<(L, u32)> = None;
    for at in order {
        let rank = match last {
            Some((list, rank)) if list == lists[at] => rank + 1,
            _ => 1,
        };
        ranks[at] = rank;
        last = Some((lists[at], rank));
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_single_list_counts_for_little_and_of_many_for_nearly_as_much_as_the_amounts() {
        // Two products a list in the wrong order, their amounts right otherwise.
        let loss = |lists: i64| {
            let items = (1..=lists).flat_map(|list| [(list.into(), 2 * list, 10.0), (list.into(), 2 * list + 1, 12.0)]);
            let scored = Scored::of(items.zip(0..).map(|((list, id, actual), row)| (list, id, Some(row), actual, true)).collect());
            let amount: Vec<f32> = (0..2 * lists).map(|row| if row % 2 == 0 { 12.0 } else { 10.0 }).collect();
            let mut tally = Tally::default();
            tally.add(&scored, Said { amount: &amount, published: None });
            (tally.loss(), tally.whole_loss())
        };
        let wape = 4.0 / 22.0;
        let (one, whole) = loss(1);
        let lost = whole - wape;
        assert!(lost > 0.01, "the order is wrong: {lost}");
        assert!((one - wape - lost / 11.0).abs() < 1e-9, "{one}");
        let (many, same) = loss(90);
        assert!((many - wape - 0.9 * lost).abs() < 1e-9 && (same - whole).abs() < 1e-9, "{many} {same}");
    }
}
