//! Confidence: the probability that an item is truly among the top K of its list, for each K of 5, 10, 20, 50, 100. What is
//! shown as the confidence of an item is that of the shortest list that holds its predicted rank.
//!
//! One logistic regression per K, fitted on the items that may be in the list at all. A logistic regression with an
//! intercept is calibrated in the mean of its inputs; an isotonic step (pool adjacent violators, Zadrozny & Elkan 2002)
//! straightens what is left.

use rayon::prelude::*;
use sellcast_domain::TopK;
use serde::{Deserialize, Serialize};

use crate::models::logistic::Logistic;

/// Number of inputs per item.
const WIDTH: usize = 11;
/// Items of a list that are fitted, by predicted rank: what is further down says nothing about the boundary.
const FITTED: u32 = 130;

/// Items in a block of an isotonic regression, and fewest blocks that make a curve.
const PER_BLOCK: usize = 100;
const LEAST_BLOCKS: usize = 10;

/// Days after which a product is known as well as it ever will be.
const KNOWN_BY: f64 = 91.0;

/// Chances of an item: of being in the list of each length of [`TopK::ALL`].
pub(crate) type Chances = [f32; 5];

/// Items of many lists, as far as confidence depends on them. Slices run in parallel.
#[derive(Clone, Copy)]
pub(crate) struct ListItems<'a, L> {
    pub(crate) lists: &'a [L],
    pub(crate) amounts: &'a [f32],
    pub(crate) ranks: &'a [u32],
    pub(crate) activity: &'a [f32],
    /// Days since the first sale, or NaN.
    pub(crate) age: &'a [f32],
    /// Log-odds of the membership model, or NaN.
    pub(crate) membership: &'a [f32],
    /// Log-odds of each list by simulation; `None` where nothing was drawn.
    pub(crate) simulated: Option<&'a [Vec<f32>; 5]>,
    /// Log-odds of having been in the list of each length when forecast into it, of late and in the same category; `None` where
    /// that is not known.
    pub(crate) lately: Option<&'a [Vec<f32>; 5]>,
    /// How far the candidates disagree: their mean absolute deviation from the combination, relative to it.
    pub(crate) disagreement: &'a [f32],
}

impl<L: std::hash::Hash + Eq + Copy> ListItems<'_, L> {
    /// Whether the list of length `k` is the shortest that holds the item's rank: the one whose chance is shown beside it.
    fn holds(&self, k: TopK, at: usize) -> bool {
        self.ranks[at] <= k.get() && TopK::holding(self.ranks[at]) == k
    }

    /// Row-major inputs for the list of length `k`.
    fn inputs(&self, k: TopK) -> Vec<f64> {
        // The amounts at ranks K and K + 1 of every list: the boundary that an item must clear or hold.
        let mut boundaries: std::collections::HashMap<L, (f64, f64, u32)> = std::collections::HashMap::new();
        for at in 0..self.amounts.len() {
            let (last_in, first_out, size) = boundaries.entry(self.lists[at]).or_default();
            *size += 1;
            if self.ranks[at] == k.get() {
                *last_in = f64::from(self.amounts[at]);
            } else if self.ranks[at] == k.get() + 1 {
                *first_out = f64::from(self.amounts[at]);
            }
        }
        let mut inputs = Vec::with_capacity(self.amounts.len() * WIDTH);
        for at in 0..self.amounts.len() {
            let (last_in, first_out, size) = boundaries.get(&self.lists[at]).copied().unwrap_or((0.0, 0.0, 1));
            let amount = f64::from(self.amounts[at]).max(0.0) + 0.05;
            let lead = (amount / (f64::midpoint(last_in, first_out) + 0.05)).ln().clamp(-4.0, 4.0);
            let known = f64::from(self.activity[at]).max(0.0).ln_1p();
            let lately = self.lately.map_or(f64::NAN, |lately| f64::from(lately[k.index()][at]));
            inputs.extend([
                lead,
                lead * known,
                known,
                (f64::from(size) / f64::from(k.get())).ln().max(0.0),
                f64::from(self.membership[at]),
                f64::from(self.disagreement[at]).min(3.0),
                f64::from(self.age[at]).min(KNOWN_BY).ln_1p(),
                self.simulated.map_or(f64::NAN, |simulated| f64::from(simulated[k.index()][at])),
                lately,
                lead * lately,
                if self.holds(k, at) { 1.0 } else { 0.0 },
            ]);
        }
        inputs
    }
}

/// Fitted confidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConfidenceModel {
    per_k: Vec<Option<Chance>>,
}

/// The chance of being in the list of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Chance {
    logistic: Logistic,
    /// Of the items whose shown chance it is. They were picked for their rank, so that all items together may be met while
    /// these are not.
    shown: Isotonic,
    others: Isotonic,
}

impl Chance {
    fn fit(inputs: &[f64], hits: &[bool]) -> Self {
        let logistic = Logistic::fit_sample(inputs, WIDTH, hits);
        let straightened = |shown: bool| {
            let rows = inputs.chunks_exact(WIDTH).zip(hits).filter(|(row, _)| is_shown(row) == shown);
            let (said, hits): (Vec<f64>, Vec<bool>) = rows.map(|(row, hit)| (logistic.probability(row), *hit)).unzip();
            Isotonic::fit(&said, &hits)
        };
        let (shown, others) = (straightened(true), straightened(false));
        Self { logistic, shown, others }
    }

    fn of(&self, row: &[f64]) -> f64 {
        let isotonic = if is_shown(row) { &self.shown } else { &self.others };
        isotonic.apply(self.logistic.probability(row))
    }
}

/// Whether the chance is the one shown beside the item.
fn is_shown(row: &[f64]) -> bool {
    row[WIDTH - 1] > 0.5
}

impl ConfidenceModel {
    /// Fits the items of past periods to the ranks that they came to have (`u32::MAX` for what did not sell).
    pub(crate) fn fit<L: std::hash::Hash + Eq + Copy + Sync>(periods: &[(ListItems<'_, L>, &[u32])]) -> Self {
        let fit = |k: TopK| {
            let (mut inputs, mut hits) = (Vec::new(), Vec::new());
            for (items, came) in periods {
                let all = items.inputs(k);
                for at in (0..items.ranks.len()).filter(|at| items.ranks[*at] <= FITTED) {
                    inputs.extend_from_slice(&all[at * WIDTH..(at + 1) * WIDTH]);
                    hits.push(came[at] <= k.get());
                }
            }
            (!hits.is_empty()).then(|| Chance::fit(&inputs, &hits))
        };
        Self { per_k: TopK::ALL.into_par_iter().map(fit).collect() }
    }

    /// The chances of every item; those of a longer list are never smaller. Without anything learnt, the share of a list of
    /// random order that the top K is.
    pub(crate) fn apply<L: std::hash::Hash + Eq + Copy>(&self, items: ListItems<'_, L>) -> Vec<Chances> {
        let mut chances = vec![[0.0; 5]; items.ranks.len()];
        for k in TopK::ALL {
            let inputs = items.inputs(k);
            let fitted = self.per_k.get(k.index()).and_then(Option::as_ref);
            for (row, chances) in inputs.chunks_exact(WIDTH).zip(&mut chances) {
                let chance = match fitted {
                    Some(fitted) => fitted.of(row),
                    None => (-row[3]).exp(),
                };
                let shorter = k.index().checked_sub(1).map_or(0.0, |shorter| chances[shorter]);
                chances[k.index()] = (chance.clamp(0.001, 0.999) as f32).max(shorter);
            }
        }
        chances
    }
}

/// The confidence of each item: its chance of being in the shortest list that holds its rank.
pub(crate) fn confidences(chances: &[Chances], ranks: &[u32]) -> Vec<f32> {
    chances.iter().zip(ranks).map(|(chances, rank)| chances[TopK::holding(*rank).index()]).collect()
}

/// A monotone step function from raw to calibrated probability, linear between the blocks' means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Isotonic {
    /// (raw, calibrated), both rising.
    points: Vec<(f64, f64)>,
}

impl Isotonic {
    /// Pools adjacent violators over about fifty starting blocks, so that no block rests on a handful of items. Blocks hold
    /// equal parts of the uncertainty: of the many items that have no chance, few are needed. Too few items for ten blocks
    /// are left as they are: a curve of a few steps would make likely and unlikely ones alike.
    fn fit(said: &[f64], hits: &[bool]) -> Self {
        if said.len() < LEAST_BLOCKS * PER_BLOCK {
            return Self::default();
        }
        let mut order: Vec<usize> = (0..said.len()).collect();
        order.sort_by(|a, b| said[*a].total_cmp(&said[*b]));
        let uncertainty = |at: usize| (said[at] * (1.0 - said[at])).max(0.002);
        let total: f64 = order.iter().map(|at| uncertainty(*at)).sum();
        let blocks = (said.len() / PER_BLOCK).min(50);
        let mut ends = Vec::with_capacity(blocks);
        let mut reached = 0.0;
        for (place, at) in order.iter().enumerate() {
            reached += uncertainty(*at);
            if reached >= total * (ends.len() + 1) as f64 / blocks as f64 || place + 1 == order.len() {
                ends.push(place + 1);
            }
        }
        // (sum of raw, hits, count) per block.
        let mut pooled: Vec<(f64, f64, f64)> = Vec::new();
        let mut begin = 0;
        for end in ends {
            let slice = &order[std::mem::replace(&mut begin, end)..end];
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

    /// Ranks one to thirty of many lists. Whatever is in the first five comes true nine times in ten, whatever is not once in ten,
    /// however near the boundary it is: no slope over the lead says that.
    #[test]
    fn what_is_shown_comes_true_as_often_as_said() {
        const LISTS: usize = 300;
        const SIZE: usize = 30;
        let lists: Vec<usize> = (0..LISTS * SIZE).map(|at| at / SIZE).collect();
        let ranks: Vec<u32> = (0..LISTS * SIZE).map(|at| (at % SIZE) as u32 + 1).collect();
        let amounts: Vec<f32> = ranks.iter().map(|rank| 100.0 - *rank as f32).collect();
        let (known, unknown) = (vec![50.0; ranks.len()], vec![f32::NAN; ranks.len()]);
        let comes = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) % 10 < if ranks[at] <= 5 { 9 } else { 1 };
        let came: Vec<u32> = (0..ranks.len()).map(|at| if comes(at) { 1 } else { u32::MAX }).collect();
        let items = ListItems {
            lists: &lists,
            amounts: &amounts,
            ranks: &ranks,
            activity: &known,
            age: &unknown,
            membership: &unknown,
            simulated: None,
            lately: None,
            disagreement: &unknown,
        };
        let chances = ConfidenceModel::fit(&[(items, came.as_slice())]).apply(items);
        let shown = confidences(&chances, &ranks);
        let mean = |rows: &dyn Fn(u32) -> bool| {
            let chosen: Vec<f32> = (0..ranks.len()).filter(|at| rows(ranks[*at])).map(|at| shown[at]).collect();
            chosen.iter().sum::<f32>() / chosen.len() as f32
        };
        assert!((mean(&|rank| rank <= 5) - 0.9).abs() < 0.03, "{}", mean(&|rank| rank <= 5));
        assert!((mean(&|rank| (6..=10).contains(&rank)) - 0.1).abs() < 0.03, "{}", mean(&|rank| (6..=10).contains(&rank)));
    }

    /// Four periods of three hundred categories, of which four always lead, and the fifth and sixth take turns.
    #[test]
    fn a_short_past_tells_steady_leaders_from_a_coin_tossed() {
        const SIZE: usize = 300;
        let lists = vec![(); SIZE];
        let ranks: Vec<u32> = (1..=SIZE as u32).collect();
        let amounts: Vec<f32> = ranks.iter().map(|rank| if *rank <= 4 { 900.0 } else { 300.0 / *rank as f32 }).collect();
        let (known, unknown) = (vec![90.0; SIZE], vec![f32::NAN; SIZE]);
        let items = ListItems {
            lists: &lists,
            amounts: &amounts,
            ranks: &ranks,
            activity: &known,
            age: &known,
            membership: &unknown,
            simulated: None,
            lately: None,
            disagreement: &unknown,
        };
        let swapped = |at: usize| match ranks[at] {
            5 => 6,
            6 => 5,
            rank => rank,
        };
        let came = [ranks.clone(), (0..SIZE).map(swapped).collect(), ranks.clone(), (0..SIZE).map(swapped).collect()];
        let periods: Vec<_> = came.iter().map(|came: &Vec<u32>| (items, came.as_slice())).collect();
        let shown = confidences(&ConfidenceModel::fit(&periods).apply(items), &ranks);
        assert!(shown[..4].iter().all(|sure| *sure > 0.85), "leaders: {:?}", &shown[..4]);
        assert!((0.3..0.7).contains(&shown[4]), "the fifth: {}", shown[4]);
    }

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
        fn isotonic_never_turns_the_order_round(raw in prop::collection::vec((0.0..1.0_f64, any::<bool>()), 1..3_000), a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let (said, hits): (Vec<_>, Vec<_>) = raw.into_iter().unzip();
            let fitted = Isotonic::fit(&said, &hits);
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(fitted.apply(low) <= fitted.apply(high) + 1e-12);
            prop_assert!((0.0..=1.0).contains(&fitted.apply(a)));
        }
    }
}
