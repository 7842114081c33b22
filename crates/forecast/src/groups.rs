//! The published forecast's scores by group: by how long a product has been on sale, by large category, and by the list
//! that its confidence speaks of. A good mean can hide a group that is served badly.

use std::collections::BTreeMap;

use sellcast_domain::{CategoryId, ConfidenceFactors, TopK};
use serde::Serialize;

use crate::factor_report::{FactorTally, FactorThird};
use crate::ledger::ForecastPeriod;
use crate::metrics::{Scored, brier, calibration_error, holds};

/// Age bands in days since the first sale within a year, each with its last day.
const BANDS: [(&str, f32); 3] = [("0", 0.0), ("1-7", 7.0), ("8-28", 28.0)];
/// Everything older.
const OLDEST: &str = "29+";
/// Categories told apart, the largest ones.
const LARGEST: usize = 10;

/// Scores by group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Groups {
    /// By age of the product at `as_of`, youngest first.
    pub ages: Vec<AgeGroup>,
    /// The ten largest categories, largest first.
    pub categories: Vec<CategoryGroup>,
    /// The confidences shown, by length of the list that holds the predicted rank, shortest first: how far rank six to ten
    /// is known to be in the top ten.
    pub lists: Vec<ListCalls>,
    /// The chances of every product of the first hundred to be in the list of each length, shortest first.
    pub chances: Vec<ListCalls>,
    /// By thirds of each factor beside the confidence.
    pub factors: Vec<FactorThird>,
}

/// Products of about the same age.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgeGroup {
    /// Days since the first sale: `0` (never sold before, or not for a year), `1-7`, `8-28` or `29+`.
    pub days: &'static str,
    /// Products times periods.
    pub items: u64,
    /// sum |forecast - actual| / sum actual; `None` where nothing was sold.
    pub wape: Option<f64>,
    /// (sum forecast - sum actual) / sum actual.
    pub bias: Option<f64>,
    /// Share of actuals inside the 80 % interval, over ranks to 100.
    pub coverage_80: Option<f64>,
}

/// A category's products.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CategoryGroup {
    /// The category.
    pub category_id: CategoryId,
    /// Products times periods.
    pub items: u64,
    /// sum |forecast - actual| / sum actual; `None` where nothing was sold.
    pub wape: Option<f64>,
    /// (sum forecast - sum actual) / sum actual.
    pub bias: Option<f64>,
    /// Share of actuals inside the 80 % interval, over ranks to 100.
    pub coverage_80: Option<f64>,
}

/// The confidences that speak of one list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListCalls {
    /// Length of the list: the smallest that holds the predicted rank.
    pub k: u32,
    /// Number of confidences.
    pub calls: u64,
    /// Share that came true.
    pub base_rate: f64,
    /// Brier score.
    pub brier: f64,
    /// Brier score of saying the base rate each time.
    pub brier_base: f64,
    /// 1 - `brier` / `brier_base`: what the confidence knows beyond the base rate. `None` where all calls came out alike.
    pub skill: Option<f64>,
    /// Expected calibration error over 15 equal-mass bins.
    pub ece: f64,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    items: u64,
    absolute: f64,
    forecast: f64,
    actual: f64,
    covered: (u64, u64),
}

impl Sums {
    fn wape(&self) -> Option<f64> {
        (self.actual > 0.0).then(|| self.absolute / self.actual)
    }

    fn bias(&self) -> Option<f64> {
        (self.actual > 0.0).then(|| (self.forecast - self.actual) / self.actual)
    }

    fn coverage(&self) -> Option<f64> {
        (self.covered.1 > 0).then(|| self.covered.0 as f64 / self.covered.1 as f64)
    }
}

/// Sums over periods, from which the groups' scores follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupTally {
    ages: BTreeMap<usize, Sums>,
    categories: BTreeMap<CategoryId, Sums>,
    lists: BTreeMap<u32, Vec<(f32, bool)>>,
    chances: BTreeMap<u32, Vec<(f32, bool)>>,
    factors: FactorTally,
}

impl GroupTally {
    /// Adds one period; `ages` are the days since the first sale of each row, `factors` those beside its confidence.
    pub(crate) fn add(&mut self, scored: &Scored, forecast: &ForecastPeriod, ages: &[f32], factors: &[ConfidenceFactors]) {
        self.factors.add(scored, forecast, factors);
        for (category, range) in &scored.lists {
            for at in range.clone() {
                let (row, actual) = (scored.rows[at], scored.actual[at]);
                let said = row.map_or(0.0, |row| f64::from(forecast.amount[row]));
                let called = row.filter(|row| forecast.rank[*row] <= 100);
                let inside = called.map(|row| holds((forecast.low[row], forecast.high[row]), actual));
                let sums = [self.ages.entry(band(row.map(|row| ages[row]))).or_default(), self.categories.entry(*category).or_default()];
                for sums in sums {
                    sums.items += 1;
                    sums.absolute += (said - actual).abs();
                    sums.forecast += said;
                    sums.actual += actual;
                    sums.covered.0 += u64::from(inside == Some(true));
                    sums.covered.1 += u64::from(inside.is_some());
                }
                if let Some(row) = called {
                    let k = TopK::holding(forecast.rank[row]).get();
                    self.lists.entry(k).or_default().push((forecast.confidence[row], scored.actual_rank[at] <= k));
                    for (k, chance) in TopK::ALL.into_iter().zip(forecast.chances.get(row).into_iter().flatten()) {
                        self.chances.entry(k.get()).or_default().push((*chance, scored.actual_rank[at] <= k.get()));
                    }
                }
            }
        }
    }

    /// The scores; `sales` by category say which are the largest.
    pub(crate) fn groups(&self, sales: &BTreeMap<CategoryId, f64>) -> Groups {
        let name = |band: usize| BANDS.get(band).map_or(OLDEST, |(name, _)| *name);
        let mut order: Vec<_> = sales.iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(a.1).then(a.0.cmp(b.0)));
        let largest = order.into_iter().filter_map(|(category, _)| Some((*category, self.categories.get(category)?)));
        Groups {
            ages: self
                .ages
                .iter()
                .map(|(band, sums)| AgeGroup {
                    days: name(*band),
                    items: sums.items,
                    wape: sums.wape(),
                    bias: sums.bias(),
                    coverage_80: sums.coverage(),
                })
                .collect(),
            categories: largest
                .take(LARGEST)
                .map(|(category_id, sums)| CategoryGroup {
                    category_id,
                    items: sums.items,
                    wape: sums.wape(),
                    bias: sums.bias(),
                    coverage_80: sums.coverage(),
                })
                .collect(),
            lists: self.lists.iter().map(|(k, calls)| list(*k, calls)).collect(),
            chances: self.chances.iter().map(|(k, calls)| list(*k, calls)).collect(),
            factors: self.factors.thirds(),
        }
    }
}

/// Index of the band. What sold unforeseen has no row: it never sold before, or not for a year.
fn band(age: Option<f32>) -> usize {
    let age = age.filter(|age| age.is_finite()).unwrap_or(0.0);
    BANDS.iter().position(|(_, last)| age <= *last).unwrap_or(BANDS.len())
}

fn list(k: u32, calls: &[(f32, bool)]) -> ListCalls {
    let base_rate = calls.iter().filter(|(_, hit)| *hit).count() as f64 / calls.len() as f64;
    let (brier, brier_base) = (brier(calls), base_rate * (1.0 - base_rate));
    let skill = (brier_base > 0.0).then(|| 1.0 - brier / brier_base);
    ListCalls { k, calls: calls.len() as u64, base_rate, brier, brier_base, skill, ece: calibration_error(calls) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_fall_into_their_bands() {
        let cases = [(None, "0"), (Some(f32::NAN), "0"), (Some(0.0), "0"), (Some(1.0), "1-7"), (Some(7.0), "1-7"), (Some(8.0), "8-28")];
        for (age, expected) in cases.into_iter().chain([(Some(28.0), "8-28"), (Some(29.0), OLDEST), (Some(364.0), OLDEST)]) {
            assert_eq!(BANDS.get(band(age)).map_or(OLDEST, |(name, _)| *name), expected, "{age:?}");
        }
    }

    #[test]
    fn skill_is_what_a_confidence_knows_beyond_the_base_rate() {
        // Six of ten come true: saying .6 each time knows nothing, saying which ones knows all, and .9 for all is worse.
        let calls = |said: &dyn Fn(bool) -> f32| (0..10).map(|at| (said(at < 6), at < 6)).collect::<Vec<_>>();
        let base = list(5, &calls(&|_| 0.6));
        assert!((base.base_rate - 0.6).abs() < 1e-9 && (base.brier_base - 0.24).abs() < 1e-9);
        assert!(base.skill.expect("both came").abs() < 1e-6);
        let perfect = list(5, &calls(&|hit| f32::from(u8::from(hit))));
        assert!((perfect.skill.expect("both came") - 1.0).abs() < 1e-9 && perfect.ece < 1e-9);
        let boastful = list(5, &calls(&|_| 0.9));
        // (.6 x .01 + .4 x .81) / .24 = 1.375.
        assert!((boastful.skill.expect("both came") + 0.375).abs() < 1e-5, "{boastful:?}");
        assert_eq!(list(5, &[(0.5, true)]).skill, None);
    }
}
