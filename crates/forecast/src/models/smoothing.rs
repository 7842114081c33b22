//! Exponential smoothing (Hyndman et al., "Forecasting with Exponential Smoothing", 2008; the automatic choice of the form
//! is that of `augurs`) and the Theta method (Assimakopoulos & Nikolopoulos, 2000; as simple smoothing with half the
//! trend's slope as drift: Hyndman & Billah, "Unmasking the Theta method", 2003). Both forecast each category's total and
//! each dense product, which sold in nearly every step; the other products share what is left of their category.

use std::collections::BTreeMap;

use augurs::ets::AutoETS;
use augurs::{Fit, Predict};
use sellcast_domain::CategoryId;

use crate::rows::Rows;
use crate::series::Series;

/// Share of the last half year's steps with sales from which on a product counts as dense.
const DENSE: f64 = 0.9;
/// Shorter series are not smoothed: their mean is as good.
const LEAST_STEPS: usize = 13;
/// No forecast of a step beyond this multiple of the highest step so far.
const MOST_GROWTH: f64 = 2.0;

/// Which method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Smoothing {
    /// Additive errors; no, additive or damped trend by the corrected information criterion.
    Ets,
    /// Theta.
    Theta,
}

impl Smoothing {
    /// Expected amounts of the rows in their target period. `starts` are the steady expectations by which a category's
    /// total is shared among the products that are too sparse for a series of their own.
    pub(crate) fn predict(self, rows: &Rows, series: &Series, starts: &[f64]) -> Vec<f32> {
        let mut by_category: BTreeMap<CategoryId, Vec<usize>> = BTreeMap::new();
        rows.categories.iter().enumerate().for_each(|(row, category)| by_category.entry(*category).or_default().push(row));
        let totals = series.by_category(&rows.categories);
        let mut amounts = vec![0.0; rows.len()];
        for (category, members) in by_category {
            let ahead =
                |past: Vec<f64>| self.ahead(&series.plain(category, past.into_iter()), series.horizon) * series.target_factor(category);
            let total = ahead(totals[&category].clone());
            let said: Vec<f64> = members
                .iter()
                .map(|row| {
                    let past = series.row(*row);
                    if is_dense(past) { ahead(past.iter().map(|v| f64::from(*v)).collect()) } else { starts[*row] }
                })
                .collect();
            // One factor makes the products add up to their category.
            let factor = total / said.iter().sum::<f64>().max(1e-9);
            members.into_iter().zip(said).for_each(|(row, amount)| amounts[row] = (amount * factor) as f32);
        }
        amounts
    }

    /// Sum over the next `horizon` steps, the last of them in part; never negative.
    fn ahead(self, past: &[f64], horizon: f64) -> f64 {
        let highest = past.iter().copied().fold(0.0, f64::max);
        let steps = horizon.ceil().max(1.0) as usize;
        let mean = past.iter().rev().take(LEAST_STEPS).sum::<f64>() / past.len().clamp(1, LEAST_STEPS) as f64;
        let points = if past.len() < LEAST_STEPS || highest <= 0.0 {
            vec![mean; steps]
        } else {
            match self {
                Self::Ets => ets(past, steps).unwrap_or_else(|| vec![mean; steps]),
                Self::Theta => theta(past, steps),
            }
        };
        let last_share = horizon - (steps - 1) as f64;
        points
            .iter()
            .enumerate()
            .map(|(at, point)| point.clamp(0.0, MOST_GROWTH * highest) * if at + 1 == steps { last_share } else { 1.0 })
            .sum()
    }
}

/// Sold in nearly every step of the last half of the series.
fn is_dense(past: &[f32]) -> bool {
    let recent = &past[past.len() / 2..];
    recent.len() >= LEAST_STEPS && recent.iter().filter(|v| **v > 0.0).count() as f64 >= DENSE * recent.len() as f64
}

/// `None` where no form can be fitted.
fn ets(past: &[f64], steps: usize) -> Option<Vec<f64>> {
    let fitted = AutoETS::new(1, "AZN").ok()?.fit(past).ok()?;
    let points = fitted.predict(steps, None).ok()?.point;
    points.iter().all(|point| point.is_finite()).then_some(points)
}

/// Simple smoothing, its constant chosen by squared one-step errors, with half of the least-squares slope as drift.
fn theta(past: &[f64], steps: usize) -> Vec<f64> {
    let count = past.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = past.iter().sum::<f64>() / count;
    let (above, below) = past.iter().enumerate().fold((0.0, 0.0), |(above, below), (at, value)| {
        let from_middle = at as f64 - middle;
        (above + from_middle * (value - mean), below + from_middle * from_middle)
    });
    let drift = above / below.max(1e-9) / 2.0;
    let smooth = |alpha: f64| {
        let first = past.len().min(4);
        let mut level = past[..first].iter().sum::<f64>() / first as f64;
        let mut error = 0.0;
        for value in past {
            error += (value - level).powi(2);
            level += alpha * (value - level);
        }
        (error, level)
    };
    let (alpha, _) = (1..=49)
        .map(|at| f64::from(at) / 50.0)
        .map(|alpha| (alpha, smooth(alpha).0))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0.2, 0.0));
    let level = smooth(alpha).1;
    // The smoothed line lags behind the trend by what the second term makes good (Hyndman & Billah, 2003).
    let lag = (1.0 - (1.0 - alpha).powf(count)) / alpha;
    (0..steps).map(|step| level + drift * (step as f64 + lag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_follow_a_trend_and_stay_with_a_level() {
        let trend: Vec<f64> = (0..52).map(|week| 100.0 + 4.0 * f64::from(week) + f64::from(week * 37 % 11 - 5)).collect();
        let level: Vec<f64> = (0..52).map(|week| 100.0 + f64::from(week * 37 % 11 - 5)).collect();
        for method in [Smoothing::Ets, Smoothing::Theta] {
            let next = method.ahead(&trend, 1.0);
            assert!((next - 308.0).abs() < 12.0, "{method:?} {next}");
            let month = method.ahead(&trend, 4.5);
            assert!(month > 4.5 * 300.0 && month < 4.5 * 330.0, "{method:?} {month}");
            let flat = method.ahead(&level, 1.0);
            assert!((flat - 100.0).abs() < 6.0, "{method:?} {flat}");
        }
    }

    #[test]
    fn an_explosion_is_cut_and_nothing_is_negative() {
        let exploding: Vec<f64> = (0..30).map(|week| 1.6_f64.powi(week)).collect();
        let falling: Vec<f64> = (0..30).map(|week| 90.0 - 3.2 * f64::from(week)).collect();
        for method in [Smoothing::Ets, Smoothing::Theta] {
            assert!(method.ahead(&exploding, 1.0) <= MOST_GROWTH * exploding[29], "{method:?}");
            assert!(method.ahead(&falling, 10.0) >= 0.0, "{method:?}");
            assert_eq!(method.ahead(&[0.0; 30], 1.0), 0.0);
        }
    }
}
