//! Logistic regression for membership of the top ten of a category: a plain, fast second opinion that only ranks.

use linfa::prelude::*;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::models::boosted::Table;
use crate::rows::{Rows, TrainingRows, column};

/// Rank in the category over the last quarter up to which a product counts as near the list.
const NEAR: f32 = 40.0;

/// Fewest hits, and fewest misses, that slopes are learnt from. The slopes are drawn towards zero, so a few suffice: the five best
/// categories of four past periods are twenty.
const LEAST: usize = 10;

/// Rows that slopes are learnt from at most: an even sample of those there are.
const MOST: usize = 20_000;

/// A fitted logistic regression over standardised inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logistic {
    mean: Vec<f64>,
    scale: Vec<f64>,
    weights: Vec<f64>,
    intercept: f64,
}

impl Logistic {
    /// Fits row-major `inputs` of `width` columns to `hits`. Inputs that are not finite count as the column's mean.
    /// With fewer than [`LEAST`] rows of either outcome there is nothing to learn a slope from: the base rate remains.
    pub(crate) fn fit(inputs: &[f64], width: usize, hits: &[bool]) -> Self {
        let rows = hits.len();
        let positive = hits.iter().filter(|hit| **hit).count();
        let rate = (positive as f64 + 0.5) / (rows as f64 + 1.0);
        let base =
            Self { mean: vec![0.0; width], scale: vec![1.0; width], weights: vec![0.0; width], intercept: (rate / (1.0 - rate)).ln() };
        if positive.min(rows - positive) < LEAST {
            return base;
        }
        let mut scaled = Self { ..base.clone() };
        for column in 0..width {
            let values = || inputs.iter().skip(column).step_by(width).copied().filter(|v| v.is_finite());
            let count = values().count().max(1) as f64;
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
            scaled.mean[column] = mean;
            scaled.scale[column] = variance.sqrt().max(1e-9);
        }
        let standardised: Vec<f64> = inputs.chunks_exact(width).flat_map(|row| scaled.standardise(row)).collect();
        let Ok(matrix) = Array2::from_shape_vec((rows, width), standardised) else { return base };
        let dataset = Dataset::new(matrix, Array1::from_vec(hits.to_vec()));
        match LogisticRegression::default().alpha(1.0).max_iterations(60).fit(&dataset) {
            Ok(fitted) => {
                // The library orders its two classes by itself; a positive score means its `pos` class.
                let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
                let weights = fitted.params().iter().map(|w| sign * w).collect();
                Self { weights, intercept: sign * fitted.intercept(), ..scaled }
            }
            Err(error) => {
                tracing::warn!(%error, "logistic regression did not converge, the base rate is used");
                base
            }
        }
    }

    /// Fits an even sample of the rows: sixteen slopes need no more than some ten thousand of them.
    pub(crate) fn fit_sample(inputs: &[f64], width: usize, hits: &[bool]) -> Self {
        let step = hits.len().div_ceil(MOST).max(1);
        let sampled: Vec<f64> = inputs.chunks_exact(width).step_by(step).flatten().copied().collect();
        Self::fit(&sampled, width, &hits.iter().copied().step_by(step).collect::<Vec<_>>())
    }

    /// Fits membership of the true top ten on the rows near the list: only they teach anything about making it.
    pub(crate) fn fit_membership(rows: &TrainingRows) -> Self {
        let rank = rows.column("rank_13w");
        let near: Vec<usize> = (0..rows.len()).filter(|row| rank[*row] <= NEAR).collect();
        let sample: Vec<usize> = near.iter().step_by(near.len().div_ceil(MOST).max(1)).copied().collect();
        let values: Vec<f32> = sample.iter().flat_map(|row| rows.row(*row)).copied().collect();
        let (inputs, width) = membership_inputs(Table { names: &rows.names, values: &values });
        let hits: Vec<bool> = sample.iter().map(|row| rows.ranks[*row] <= 10).collect();
        Self::fit(&inputs, width, &hits)
    }

    /// The log-odds of all rows.
    pub(crate) fn scores(&self, rows: &Rows) -> Vec<f32> {
        let (inputs, width) = membership_inputs(rows);
        inputs.chunks_exact(width).map(|row| self.score(row) as f32).collect()
    }

    /// Strength of each input, which all have the same spread, strongest first.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        let mut strengths: Vec<_> = MEMBERSHIP.iter().map(|name| (*name).to_owned()).zip(self.weights.iter().map(|w| w.abs())).collect();
        strengths.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        strengths
    }

    /// The log-odds of one row.
    pub(crate) fn score(&self, row: &[f64]) -> f64 {
        self.intercept + self.standardise(row).zip(&self.weights).map(|(value, weight)| value * weight).sum::<f64>()
    }

    /// The probability of one row.
    pub(crate) fn probability(&self, row: &[f64]) -> f64 {
        1.0 / (1.0 + (-self.score(row)).exp())
    }

    fn standardise<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).zip(&self.scale).map(
            |((value, mean), scale)| {
                if value.is_finite() { ((value - mean) / scale).clamp(-8.0, 8.0) } else { 0.0 }
            },
        )
    }
}

/// Features that the membership model reads, most of them as logarithms.
const MEMBERSHIP: [&str; 16] = [
    "mean_4w",
    "mean_8w",
    "mean_26w",
    "week_1",
    "best_week_8w",
    "transactions_91d",
    "selling_days_28d",
    "rank_13w",
    "rank_1w",
    "display_next_week",
    "mailer_next_week",
    "display_last_week",
    "mailer_last_week",
    "category_products",
    "share_13w",
    "deviation_8w",
];

/// Row-major inputs of the membership model and their width.
pub(crate) fn membership_inputs<'a>(table: impl Into<Table<'a>>) -> (Vec<f64>, usize) {
    let table = table.into();
    let columns: Vec<Vec<f32>> = MEMBERSHIP.iter().map(|name| column(table.names, table.values, name)).collect();
    let rows = columns[0].len();
    let mut inputs = Vec::with_capacity(rows * MEMBERSHIP.len());
    for row in 0..rows {
        inputs.extend(columns.iter().map(|column| f64::from(column[row]).max(0.0).ln_1p()));
    }
    (inputs, MEMBERSHIP.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_the_direction_of_a_slope_and_its_level() {
        let inputs: Vec<f64> = (0..1000).map(|i| f64::from(i) / 100.0).collect();
        let hits: Vec<bool> = (0..1000).map(|i| (i * 7919) % 1000 < i).collect();
        let fitted = Logistic::fit(&inputs, 1, &hits);
        assert!(fitted.probability(&[9.0]) > 0.8);
        assert!(fitted.probability(&[1.0]) < 0.2);
        let mean = inputs.iter().map(|x| fitted.probability(&[*x])).sum::<f64>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn too_few_hits_leave_the_base_rate() {
        let fitted = Logistic::fit(&[0.0, 1.0, 2.0, 3.0], 1, &[true, false, false, false]);
        assert_eq!(fitted.probability(&[0.0]), fitted.probability(&[100.0]));
        assert!((fitted.probability(&[0.0]) - 0.3).abs() < 1e-9);
    }
}
