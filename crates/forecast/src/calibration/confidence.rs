//! Confidence: the probability that an item is truly among the top K of its list, K being the shortest of 5, 10, 20, 50,
//! 100 that holds its predicted rank.
//!
//! One logistic regression per K, fitted on exactly the items that are shown with that K. A logistic regression with an
//! intercept is calibrated in the mean of its inputs; an isotonic step (pool adjacent violators, Zadrozny & Elkan 2002)
//! straightens what is left.

use sellcast_domain::TopK;
use serde::{Deserialize, Serialize};

use crate::models::logistic::Logistic;

/// Number of inputs per item.
const WIDTH: usize = 7;

/// Items of many lists, as far as confidence depends on them. Slices run in parallel.
#[derive(Clone, Copy)]
pub(crate) struct ListItems<'a, L> {
    pub(crate) lists: &'a [L],
    pub(crate) amounts: &'a [f32],
    pub(crate) ranks: &'a [u32],
    pub(crate) activity: &'a [f32],
    /// Log-odds of the membership model, or NaN.
    pub(crate) membership: &'a [f32],
    /// Log-odds of the list by simulation, or NaN.
    pub(crate) simulated: &'a [f32],
    /// How far the candidates disagree: their mean absolute deviation from the combination, relative to it.
    pub(crate) disagreement: &'a [f32],
}

impl<L: std::hash::Hash + Eq + Copy> ListItems<'_, L> {
    /// Row-major inputs.
    fn inputs(&self) -> Vec<f64> {
        // The amounts at ranks K and K + 1 of every list: the boundary that an item must clear or hold.
        let mut boundaries: std::collections::HashMap<(L, usize), (f64, f64)> = std::collections::HashMap::new();
        let mut sizes: std::collections::HashMap<L, u32> = std::collections::HashMap::new();
        for at in 0..self.amounts.len() {
            *sizes.entry(self.lists[at]).or_default() += 1;
            for k in TopK::ALL {
                let boundary = || (self.lists[at], k.index());
                if self.ranks[at] == k.get() {
                    boundaries.entry(boundary()).or_default().0 = f64::from(self.amounts[at]);
                } else if self.ranks[at] == k.get() + 1 {
                    boundaries.entry(boundary()).or_default().1 = f64::from(self.amounts[at]);
                }
            }
        }
        let mut inputs = Vec::with_capacity(self.amounts.len() * WIDTH);
        for at in 0..self.amounts.len() {
            let k = TopK::holding(self.ranks[at]);
            let (last_in, first_out) = boundaries.get(&(self.lists[at], k.index())).copied().unwrap_or_default();
            let amount = f64::from(self.amounts[at]).max(0.0) + 0.05;
            let lead = (amount / ((last_in + first_out) / 2.0 + 0.05)).ln().clamp(-4.0, 4.0);
            let known = f64::from(self.activity[at]).max(0.0).ln_1p();
            let size = f64::from(sizes.get(&self.lists[at]).copied().unwrap_or(1));
            let membership = f64::from(self.membership[at]);
            inputs.extend([
                lead,
                lead * known,
                known,
                (size / f64::from(k.get())).ln().max(0.0),
                membership,
                f64::from(self.disagreement[at]).min(3.0),
                f64::from(self.simulated[at]),
            ]);
        }
        inputs
    }
}

/// Fitted confidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfidenceModel {
    per_k: Vec<Option<(Logistic, Isotonic)>>,
}

impl ConfidenceModel {
    /// Fits items with a predicted rank of at most 100 to whether they came true.
    pub(crate) fn fit<L: std::hash::Hash + Eq + Copy>(periods: &[(ListItems<'_, L>, &[bool])]) -> Self {
        let mut inputs: [Vec<f64>; 5] = Default::default();
        let mut hits: [Vec<bool>; 5] = Default::default();
        for (items, came_true) in periods {
            let all = items.inputs();
            for at in (0..items.ranks.len()).filter(|at| items.ranks[*at] <= 100) {
                let k = TopK::holding(items.ranks[at]).index();
                inputs[k].extend_from_slice(&all[at * WIDTH..(at + 1) * WIDTH]);
                hits[k].push(came_true[at]);
            }
        }
        let fit = |k: usize| {
            (!hits[k].is_empty()).then(|| {
                let logistic = Logistic::fit_sample(&inputs[k], WIDTH, &hits[k]);
                let said: Vec<f64> = inputs[k].chunks_exact(WIDTH).map(|row| logistic.probability(row)).collect();
                let isotonic = Isotonic::fit(&said, &hits[k]);
                (logistic, isotonic)
            })
        };
        Self { per_k: (0..5).map(fit).collect() }
    }

    /// The confidence of every item. Without anything learnt, the share of a list of random order that the top K is.
    pub(crate) fn apply<L: std::hash::Hash + Eq + Copy>(&self, items: ListItems<'_, L>) -> Vec<f32> {
        let inputs = items.inputs();
        let rows = inputs.chunks_exact(WIDTH).zip(items.ranks);
        rows.map(|(row, rank)| {
            let k = TopK::holding(*rank);
            match self.per_k.get(k.index()).and_then(Option::as_ref) {
                Some((logistic, isotonic)) => isotonic.apply(logistic.probability(row)).clamp(0.001, 0.999) as f32,
                None => (-row[3]).exp().clamp(0.001, 0.999) as f32,
            }
        })
        .collect()
    }
}

/// A monotone step function from raw to calibrated probability, linear between the blocks' means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Isotonic {
    /// (raw, calibrated), both rising.
    points: Vec<(f64, f64)>,
}

impl Isotonic {
    /// Pools adjacent violators over about fifty starting blocks, so that no block rests on a handful of items.
    fn fit(said: &[f64], hits: &[bool]) -> Self {
        let mut order: Vec<usize> = (0..said.len()).collect();
        order.sort_by(|a, b| said[*a].total_cmp(&said[*b]));
        let blocks = (said.len() / 100).clamp(1, 50);
        // (sum of raw, hits, count) per block.
        let mut pooled: Vec<(f64, f64, f64)> = Vec::new();
        for block in 0..blocks {
            let slice = &order[block * order.len() / blocks..(block + 1) * order.len() / blocks];
            let raw = slice.iter().map(|at| said[*at]).sum();
            let hit = slice.iter().filter(|at| hits[**at]).count() as f64;
            pooled.push((raw, hit, slice.len() as f64));
            while let [.., before, last] = &pooled[..] {
                if before.1 / before.2 <= last.1 / last.2 {
                    break;
                }
                let merged = (before.0 + last.0, before.1 + last.1, before.2 + last.2);
                pooled.truncate(pooled.len() - 2);
                pooled.push(merged);
            }
        }
        // Shrinking each block's share towards a half may turn small blocks round: never below the block before.
        let mut floor = 0.0_f64;
        let points = pooled.into_iter().map(|(raw, hit, count)| {
            floor = floor.max((hit + 0.5) / (count + 1.0));
            (raw / count, floor)
        });
        Self { points: points.collect() }
    }

    fn apply(&self, raw: f64) -> f64 {
        let above = self.points.partition_point(|(x, _)| *x < raw);
        match (above.checked_sub(1).and_then(|below| self.points.get(below)), self.points.get(above)) {
            (Some((x0, y0)), Some((x1, y1))) if x1 > x0 => y0 + (y1 - y0) * (raw - x0) / (x1 - x0),
            (Some((_, y)), _) | (None, Some((_, y))) => *y,
            (None, None) => raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn isotonic_mends_a_model_that_says_twice_too_much() {
        let said: Vec<f64> = (0..10_000).map(|i| f64::from(i) / 10_000.0).collect();
        let hits: Vec<bool> = (0..10_000_u64).map(|i| ((i * 2_654_435_761) % 20_000) < i).collect();
        let fitted = Isotonic::fit(&said, &hits);
        for (raw, truth) in [(0.2, 0.1), (0.5, 0.25), (0.9, 0.45)] {
            assert!((fitted.apply(raw) - truth).abs() < 0.05, "{raw} became {}", fitted.apply(raw));
        }
    }

    proptest! {
        #[test]
        fn isotonic_never_turns_the_order_round(raw in prop::collection::vec((0.0..1.0_f64, any::<bool>()), 1..400), a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let (said, hits): (Vec<_>, Vec<_>) = raw.into_iter().unzip();
            let fitted = Isotonic::fit(&said, &hits);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(fitted.apply(low) <= fitted.apply(high) + 1e-12);
            prop_assert!((0.0..=1.0).contains(&fitted.apply(a)));
        }
    }
}
