//! From expected amounts to the published ones: the categories' sums are reconciled with what is learnt about sums, and
//! the amounts are sharpened towards the quantile that all products of a category share.
//!
//! The expectation of a product that sells seldom is a small amount that never comes. Of all forecasts with a given sum the
//! one with the least absolute error gives every product the same quantile of its distribution (the sum's multiplier is the
//! quantile's level); how far to go is learnt, as long as the order of the list does not suffer.

use std::collections::BTreeMap;

use sellcast_domain::CategoryId;
use serde::{Deserialize, Serialize};

use crate::calibration::order::keep_order;
use crate::calibration::spread::Spread;
use crate::hedge::{AdaHedge, Learner};

/// Bounds of the factor by which a category's sum is moved.
const FACTOR: (f64, f64) = (0.5, 2.0);
/// Periods of no growth that are believed in before any was seen.
const PRIOR_PERIODS: f64 = 2.0;
/// Newest periods that growth is learnt from.
const NEWEST: usize = 4;

/// Amounts by category.
pub(crate) type Sums = BTreeMap<CategoryId, f64>;

/// What is learnt about the sums of categories: which candidate's to trust, and how much sales grow past all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Totals {
    weights: BTreeMap<String, f64>,
    growth: f64,
}

impl Default for Totals {
    fn default() -> Self {
        Self { weights: BTreeMap::new(), growth: 1.0 }
    }
}

impl Totals {
    /// Learns from past periods, oldest first: each candidate's sums, and the true ones.
    pub(crate) fn learn(periods: &[(BTreeMap<String, Sums>, Sums)]) -> Self {
        let Some((newest, _)) = periods.last() else { return Self::default() };
        let mut hedge = AdaHedge::even(newest.keys().cloned());
        for (said, truth) in periods {
            hedge.learn(&said.iter().map(|(model, sums)| (model.clone(), error(sums, truth))).collect());
        }
        let mut totals = Self { weights: hedge.weights().clone(), growth: 1.0 };
        let newest = &periods[periods.len().saturating_sub(NEWEST)..];
        let ratios = newest.iter().filter_map(|(said, truth)| {
            let (said, truth) = (totals.combine(said).values().sum::<f64>(), truth.values().sum::<f64>());
            (said > 0.0 && truth > 0.0).then(|| (truth / said).ln().clamp(-0.3, 0.3))
        });
        let growth = ratios.sum::<f64>() / (newest.len() as f64 + PRIOR_PERIODS);
        totals.growth = growth.exp();
        totals
    }

    fn combine(&self, said: &BTreeMap<String, Sums>) -> Sums {
        let mut combined = Sums::new();
        let known: f64 = said.keys().filter_map(|model| self.weights.get(model)).sum();
        for (model, sums) in said {
            let weight = self.weights.get(model).copied().unwrap_or(0.0) / known.max(f64::MIN_POSITIVE);
            sums.iter().for_each(|(category, sum)| *combined.entry(*category).or_default() += weight * sum);
        }
        combined
    }

    /// The factor by which each category's expected amounts are moved.
    pub(crate) fn factors(&self, said: &BTreeMap<String, Sums>, expected: &Sums) -> Sums {
        if said.keys().all(|model| self.weights.get(model).is_none_or(|weight| *weight <= 0.0)) {
            return expected.keys().map(|category| (*category, 1.0)).collect();
        }
        let combined = self.combine(said);
        let factor = |category: &CategoryId, expected: f64| {
            let total = combined.get(category).copied().unwrap_or(0.0) * self.growth;
            if expected > 0.0 && total > 0.0 { (total / expected).clamp(FACTOR.0, FACTOR.1) } else { 1.0 }
        };
        expected.iter().map(|(category, sum)| (*category, factor(category, *sum))).collect()
    }
}

fn error(said: &Sums, truth: &Sums) -> f64 {
    let off: f64 = truth.iter().map(|(category, actual)| (said.get(category).copied().unwrap_or(0.0) - actual).abs()).sum();
    off / truth.values().sum::<f64>().max(1e-9)
}

/// Sums of amounts by category.
pub(crate) fn sums(categories: &[CategoryId], amounts: &[f32]) -> Sums {
    sums_of(categories, [amounts]).pop().unwrap_or_default()
}

/// Sums of several amounts of the same rows by category, in their order.
pub(crate) fn sums_of<'a>(categories: &[CategoryId], amounts: impl IntoIterator<Item = &'a [f32]>) -> Vec<Sums> {
    // Each row's category is looked up once, not once for each of the amounts.
    let mut known = categories.to_vec();
    known.sort_unstable();
    known.dedup();
    let places: Vec<usize> = categories.iter().map(|category| known.partition_point(|other| other < category)).collect();
    let sums = |amounts: &[f32]| {
        let mut sums = vec![0.0; known.len()];
        places.iter().zip(amounts).for_each(|(place, amount)| sums[*place] += f64::from(*amount));
        known.iter().copied().zip(sums).collect()
    };
    amounts.into_iter().map(sums).collect()
}

/// Rows of each category.
pub(crate) fn rows_of(categories: &[CategoryId]) -> BTreeMap<CategoryId, Vec<usize>> {
    let mut rows: BTreeMap<CategoryId, Vec<usize>> = BTreeMap::new();
    categories.iter().enumerate().for_each(|(row, category)| rows.entry(*category).or_default().push(row));
    rows
}

/// Amounts at each category's common quantile, with the same sums as `expected` and the same order at the head of the list.
pub(crate) fn common_quantile(spread: &Spread, categories: &[CategoryId], expected: &[f32], units: &[f32]) -> Vec<f32> {
    let mut amounts = expected.to_vec();
    if spread.is_empty() {
        return amounts;
    }
    for rows in rows_of(categories).values() {
        let wanted: f64 = rows.iter().map(|row| f64::from(expected[*row])).sum();
        let around: Vec<_> = rows.iter().map(|row| spread.around(units[*row], expected[*row])).collect();
        let sum = |share: f32| -> f64 { around.iter().map(|around| f64::from(around.quantile(share))).sum() };
        let (mut low, mut high) = (0.02_f32, 0.98_f32);
        if wanted <= 0.0 || sum(high) < wanted {
            continue;
        }
        for _ in 0..18 {
            let middle = f32::midpoint(low, high);
            if sum(middle) < wanted { low = middle } else { high = middle }
        }
        let total = sum(high);
        for (row, around) in rows.iter().zip(&around) {
            amounts[*row] = (f64::from(around.quantile(high)) * wanted / total.max(1e-9)) as f32;
        }
        keep_order(rows, expected, &mut amounts);
    }
    amounts
}

/// The mixture of expected and common-quantile amounts.
pub(crate) fn mix(expected: &[f32], sharp: &[f32], sharpness: f32) -> Vec<f32> {
    expected.iter().zip(sharp).map(|(expected, sharp)| expected + sharpness * (sharp - expected)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::spread::Past;

    fn sum(amount: f64) -> Sums {
        [(CategoryId::from(1), amount), (CategoryId::from(2), 2.0 * amount)].into()
    }

    #[test]
    fn the_better_sums_are_trusted_and_growth_is_caught_up_with_half_heartedly() {
        let said = |good: f64, bad: f64| BTreeMap::from([("good".to_owned(), sum(good)), ("bad".to_owned(), sum(bad))]);
        let periods: Vec<_> = (0..8).map(|_| (said(100.0, 150.0), sum(110.0))).collect();
        let totals = Totals::learn(&periods);
        assert!(totals.weights["good"] > totals.weights["bad"]);
        let factors = totals.factors(&said(100.0, 150.0), &sum(90.0));
        let reached = 90.0 * factors[&CategoryId::from(1)];
        assert!((100.0..125.0).contains(&reached), "{reached}");
        assert_eq!(Totals::default().factors(&said(1.0, 1.0), &sum(90.0))[&CategoryId::from(2)], 1.0);
    }

    #[test]
    fn the_common_quantile_keeps_sums_and_lowers_the_error() {
        // One product sells 10 with certainty, five sell 12 one time in six.
        let past: Vec<Past> = (0..3_000)
            .map(|i| {
                if i % 6 == 0 {
                    Past { category: CategoryId::from(1), age: 300.0, units: 9.0, expected: 10.0, actual: 10.0 }
                } else {
                    Past {
                        category: CategoryId::from(1),
                        age: 300.0,
                        units: 0.2,
                        expected: 2.0,
                        actual: if (i / 6 + i) % 6 == 0 { 12.0 } else { 0.0 },
                    }
                }
            })
            .collect();
        let spread = Spread::fit(&[past.clone(), past], |at| at);
        let categories = vec![CategoryId::from(1); 6];
        let expected = [10.0, 2.0, 2.0, 2.0, 2.0, 2.0];
        let sharp = common_quantile(&spread, &categories, &expected, &[9.0, 0.2, 0.2, 0.2, 0.2, 0.2]);
        assert!((sharp.iter().sum::<f32>() - 20.0).abs() < 0.01, "{sharp:?}");
        assert_eq!(mix(&expected, &sharp, 0.0), expected);
    }
}
