//! How much launch curves count beside the models, by how long a product has been on sale: learnt from earlier periods, and
//! nothing where they were not better.

use serde::{Deserialize, Serialize};

use crate::cold_start::Launches;

/// Days on sale up to which a product is young, and the last day of each band before.
const BANDS: [f32; 3] = [0.0, 7.0, 28.0];
/// What the report calls them.
pub(crate) const NAMES: [&str; 3] = ["0", "1-7", "8-28"];
/// Fewer products times periods than this teach nothing.
const LEAST: usize = 100;
/// Power of the Tweedie deviance, as the trees are trained with.
const POWER: f64 = 1.2;

/// Weights from 0 (the models alone) to 1 (the launch curve alone), by band.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LaunchWeights([f32; 3]);

impl Default for LaunchWeights {
    /// The models know nothing of a product that never sold; of all others they know enough until something else is shown.
    fn default() -> Self {
        Self([1.0, 0.0, 0.0])
    }
}

/// One product of one past period.
#[derive(Clone, Copy, Debug)]
struct Case {
    plain: f64,
    launch: f64,
    actual: f64,
}

impl LaunchWeights {
    /// Learns from past periods: the launches, what the models expected, and what came, row by row.
    pub(crate) fn learn<'a>(periods: impl Iterator<Item = (&'a Launches, &'a [f32], Vec<f32>)>) -> Self {
        let mut cases: [Vec<Vec<Case>>; 3] = Default::default();
        for (launches, plain, actual) in periods {
            cases.iter_mut().for_each(|band| band.push(Vec::new()));
            for (row, (launch, age)) in launches.amount.iter().zip(&launches.age).enumerate().filter(|(_, (launch, _))| launch.is_finite())
            {
                let case = Case { plain: plain[row].into(), launch: (*launch).into(), actual: f64::from(actual[row]).max(0.0) };
                if let Some(period) = band(*age).and_then(|band| cases[band].last_mut()) {
                    period.push(case);
                }
            }
        }
        let mut weights = Self::default();
        for (weight, periods) in weights.0.iter_mut().zip(&cases) {
            if periods.iter().map(Vec::len).sum::<usize>() >= LEAST {
                *weight = best(periods);
            }
        }
        weights
    }

    /// Mixes the launch curves into what the models expect.
    pub(crate) fn mix(&self, expected: &mut [f32], launches: &Launches) {
        for (expected, (launch, age)) in expected.iter_mut().zip(launches.amount.iter().zip(&launches.age)) {
            if launch.is_finite() {
                let weight = band(*age).map_or(0.0, |band| self.0[band]);
                *expected += weight * (launch - *expected);
            }
        }
    }

    /// The weights by name of the band.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, f32)> {
        NAMES.into_iter().zip(self.0)
    }
}

fn band(age: f32) -> Option<usize> {
    BANDS.iter().position(|last| age <= *last)
}

/// The weight with the least deviance, if most periods were better with it and neither the absolute error nor the bias pays
/// for it; otherwise 0.
fn best(periods: &[Vec<Case>]) -> f32 {
    let mixed = |case: &Case, weight: f64| case.plain + weight * (case.launch - case.plain);
    let deviance = |period: &[Case], weight: f64| period.iter().map(|case| tweedie(case.actual, mixed(case, weight))).sum::<f64>();
    let total = |weight: f64| periods.iter().map(|period| deviance(period, weight)).sum::<f64>();
    let errors = |weight: f64| {
        let all = || periods.iter().flatten();
        let absolute: f64 = all().map(|case| (mixed(case, weight) - case.actual).abs()).sum();
        let bias: f64 = all().map(|case| mixed(case, weight) - case.actual).sum();
        absolute + bias.abs()
    };
    let (mut chosen, mut least) = (0.0, total(0.0));
    for weight in (1..=10).map(|tenths| f64::from(tenths) / 10.0) {
        let deviance = total(weight);
        if deviance < least {
            (chosen, least) = (weight, deviance);
        }
    }
    let better = periods.iter().filter(|period| deviance(period, chosen) < deviance(period, 0.0)).count();
    if 2 * better > periods.len() && errors(chosen) <= errors(0.0) { chosen as f32 } else { 0.0 }
}

/// Deviance of one amount, that of nothing expected being that of next to nothing.
pub(crate) fn tweedie(actual: f64, expected: f64) -> f64 {
    let expected = expected.max(1e-3);
    expected.powf(2.0 - POWER) / (2.0 - POWER) - actual * expected.powf(1.0 - POWER) / (1.0 - POWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six periods of a hundred young products whose truth is `actual(product)`.
    fn learnt(age: f32, plain: &dyn Fn(usize) -> f32, launch: &dyn Fn(usize) -> f32, actual: &dyn Fn(usize) -> f32) -> f32 {
        let launches = Launches { amount: (0..100).map(launch).collect(), age: vec![age; 100] };
        let plain: Vec<f32> = (0..100).map(plain).collect();
        let periods = (0..6).map(|_| (&launches, plain.as_slice(), (0..100).map(actual).collect()));
        LaunchWeights::learn(periods).0[band(age).expect("a young one")]
    }

    #[test]
    fn a_curve_that_knows_better_gets_the_weight_and_one_that_knows_nothing_gets_none() {
        let truth = |product: usize| (product % 7) as f32;
        for age in [1.0, 7.0, 8.0, 28.0] {
            assert_eq!(learnt(age, &|_| 3.0, &truth, &truth), 1.0, "{age}");
            assert_eq!(learnt(age, &truth, &|_| 3.0, &truth), 0.0, "{age}");
        }
        // Off by as much to either side: half of each.
        let weight = learnt(5.0, &|product| truth(product) + 2.0, &|product| (truth(product) - 2.0).max(0.0), &truth);
        assert!((0.3..=0.7).contains(&weight), "{weight}");
    }

    #[test]
    fn a_curve_that_trades_bias_for_error_is_not_used() {
        // Nine of ten sell nothing: nothing is the best guess by absolute error alone, and the worst by the sum.
        assert_eq!(learnt(3.0, &|_| 1.0, &|_| 0.0, &|product| if product % 10 == 0 { 10.0 } else { 0.0 }), 0.0);
    }

    #[test]
    fn what_never_sold_is_expected_at_nothing_where_it_did_not_sell() {
        assert_eq!(learnt(0.0, &|_| 0.0, &|_| 5.0, &|_| 0.0), 0.0);
        assert_eq!(learnt(0.0, &|_| 0.0, &|_| 5.0, &|_| 5.0), 1.0);
    }

    #[test]
    fn rows_without_a_launch_stay_bit_for_bit() {
        let launches = Launches { amount: vec![f32::NAN, 4.0], age: vec![f32::NAN, 3.0] };
        let mut expected = [2.0, 2.0];
        LaunchWeights([1.0, 0.5, 0.0]).mix(&mut expected, &launches);
        assert_eq!(expected, [2.0, 3.0]);
        let mut expected = [2.0, 2.0];
        LaunchWeights::default().mix(&mut expected, &Launches::default());
        assert_eq!(expected, [2.0, 2.0]);
    }
}
