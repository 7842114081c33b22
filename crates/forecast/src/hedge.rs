//! Weights of the candidate models, learnt from how each scored on every past period.
//!
//! Hedge with fixed share: weights fall exponentially with a model's loss, and a small share is spread over all of them
//! after each period, so that a model that becomes good can come back (Herbster & Warmuth, "Tracking the best expert",
//! 1998).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Learning rate for losses in units of WAPE: a model that is .1 better for eight periods gets about 5 times the weight
/// per .2 of cumulated difference.
const RATE: f64 = 8.0;
/// Share of the weight that is spread evenly after each period.
const FIXED_SHARE: f64 = 0.02;

/// The state of the weights; they are positive and sum to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hedge {
    weights: BTreeMap<String, f64>,
}

impl Hedge {
    /// Equal weights.
    pub fn even(models: impl IntoIterator<Item = String>) -> Self {
        let mut weights: BTreeMap<_, _> = models.into_iter().map(|model| (model, 1.0)).collect();
        let count = weights.len().max(1) as f64;
        weights.values_mut().for_each(|weight| *weight /= count);
        Self { weights }
    }

    /// Takes one period's loss of each model (WAPE and lost NDCG, see the scoring). A model without a loss keeps its weight.
    pub fn learn(&mut self, losses: &BTreeMap<String, f64>) {
        let best = losses.values().copied().fold(f64::INFINITY, f64::min);
        for (model, weight) in &mut self.weights {
            if let Some(loss) = losses.get(model).filter(|loss| loss.is_finite()) {
                *weight *= (-RATE * (loss - best).min(2.0)).exp();
            }
        }
        let sum: f64 = self.weights.values().sum();
        let count = self.weights.len().max(1) as f64;
        for weight in self.weights.values_mut() {
            *weight = (1.0 - FIXED_SHARE) * *weight / sum.max(f64::MIN_POSITIVE) + FIXED_SHARE / count;
        }
    }

    /// The weights, by model.
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(a: f64, b: f64) -> BTreeMap<String, f64> {
        [("a".to_owned(), a), ("b".to_owned(), b)].into()
    }

    #[test]
    fn the_better_model_wins_and_the_other_can_come_back() {
        let mut hedge = Hedge::even(["a".to_owned(), "b".to_owned()]);
        for _ in 0..8 {
            hedge.learn(&losses(0.8, 0.9));
        }
        assert!(hedge.weights()["a"] > 0.9);
        for _ in 0..12 {
            hedge.learn(&losses(0.9, 0.8));
        }
        assert!(hedge.weights()["b"] > 0.8, "{:?}", hedge.weights());
        assert!((hedge.weights().values().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
