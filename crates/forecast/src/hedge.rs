//! Weights of the candidate models, learnt from how each scored on every past period: one set for the frame and one for
//! each group of categories, shrunk towards the frame's.
//!
//! AdaHedge (de Rooij, van Erven, Grünwald & Koolen, "Follow the leader if you can, hedge if you must", 2014): weights
//! fall exponentially with a model's cumulated loss, at a rate that follows from how much hedging has cost so far, so that
//! no rate has to be chosen. After each period a small share is spread over all models, so that one that becomes good can
//! come back (Herbster & Warmuth, "Tracking the best expert", 1998).

use std::collections::BTreeMap;

use sellcast_domain::{CategoryId, GroupWeights, Learning, LearningStep, ShopDay, WeightChange};
use serde::{Deserialize, Serialize};

/// Share of the weight that is spread evenly after each period.
const FIXED_SHARE: f64 = 0.02;
/// After so many periods a group's own record counts as much as the frame's.
const PRIOR_PERIODS: f64 = 8.0;
/// Groups of categories, each with about the same share of the sales: few, so that each has enough to learn from.
const GROUPS: [&str; 3] = ["largest categories", "middle categories", "small categories"];

/// Something that distributes weight over models and learns from their losses.
pub trait Learner {
    /// The weights, by model; not negative, they sum to one.
    fn weights(&self) -> &BTreeMap<String, f64>;

    /// Takes one period's losses. A model without one is judged as the weighted mean of the others.
    fn learn(&mut self, losses: &BTreeMap<String, f64>);
}

/// AdaHedge with fixed share over a closed set of models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdaHedge {
    weights: BTreeMap<String, f64>,
    history: Vec<BTreeMap<String, f64>>,
    /// Cumulated mixability gap: what hedging has cost.
    gap: f64,
}

impl AdaHedge {
    /// Equal weights.
    pub fn even(models: impl IntoIterator<Item = String>) -> Self {
        let mut weights: BTreeMap<_, _> = models.into_iter().map(|model| (model, 1.0)).collect();
        let count = weights.len().max(1) as f64;
        weights.values_mut().for_each(|weight| *weight /= count);
        Self { weights, history: Vec::new(), gap: 0.0 }
    }

    /// The learning rate now; infinite until hedging has cost anything.
    pub fn rate(&self) -> f64 {
        (self.weights.len().max(1) as f64).ln() / self.gap
    }

    /// Weights after the whole history at today's rate.
    fn replay(&self) -> BTreeMap<String, f64> {
        let (rate, count) = (self.rate(), self.weights.len().max(1) as f64);
        let mut weights: BTreeMap<String, f64> = self.weights.keys().map(|model| (model.clone(), 1.0 / count)).collect();
        if !rate.is_finite() {
            return weights;
        }
        for losses in &self.history {
            let least = losses.values().copied().fold(f64::INFINITY, f64::min);
            for (model, weight) in &mut weights {
                *weight *= (-rate * (losses[model] - least)).exp();
            }
            let sum: f64 = weights.values().sum();
            for weight in weights.values_mut() {
                *weight = (1.0 - FIXED_SHARE) * *weight / sum.max(f64::MIN_POSITIVE) + FIXED_SHARE / count;
            }
        }
        weights
    }
}

impl Learner for AdaHedge {
    fn weights(&self) -> &BTreeMap<String, f64> {
        &self.weights
    }

    fn learn(&mut self, losses: &BTreeMap<String, f64>) {
        let known: Vec<(f64, f64)> = self
            .weights
            .iter()
            .filter_map(|(model, weight)| Some((*weight, *losses.get(model).filter(|loss| loss.is_finite())?)))
            .collect();
        let weight: f64 = known.iter().map(|(weight, _)| weight).sum();
        if weight <= 0.0 {
            return;
        }
        let hedged = known.iter().map(|(weight, loss)| weight * loss).sum::<f64>() / weight;
        let least = known.iter().map(|(_, loss)| *loss).fold(f64::INFINITY, f64::min);
        let rate = self.rate();
        let mixed = if rate.is_finite() {
            least - (known.iter().map(|(w, loss)| w / weight * (-rate * (loss - least)).exp()).sum::<f64>()).ln() / rate
        } else {
            least
        };
        self.gap += (hedged - mixed).max(0.0);
        let judged = |model: &String| losses.get(model).copied().filter(|loss| loss.is_finite()).unwrap_or(hedged);
        self.history.push(self.weights.keys().map(|model| (model.clone(), judged(model))).collect());
        self.weights = self.replay();
    }
}

/// One model's loss in one period.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Loss {
    /// WAPE and lost NDCG, see [`Tally::loss`](crate::metrics::Tally::loss).
    pub(crate) loss: f64,
    pub(crate) wape: f64,
}

/// What one period says about the models.
#[derive(Clone, Debug)]
pub(crate) struct PeriodLosses {
    pub(crate) period_start: ShopDay,
    /// `week`, for the words of a change.
    pub(crate) frame: &'static str,
    pub(crate) models: BTreeMap<String, Loss>,
    /// The same within each group, in the order of the groups.
    pub(crate) groups: Vec<BTreeMap<String, Loss>>,
    /// Loss of the combination by the weights before this period.
    pub(crate) combined: f64,
}

/// The weights of one frame's models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hedge {
    frame: AdaHedge,
    groups: Vec<AdaHedge>,
    /// Weights of each group, shrunk towards the frame's.
    shrunk: Vec<BTreeMap<String, f64>>,
    group_of: BTreeMap<CategoryId, usize>,
    steps: Vec<LearningStep>,
    changes: Vec<WeightChange>,
    /// Summed losses of each model and of the combination.
    totals: BTreeMap<String, f64>,
    combined: f64,
}

impl Hedge {
    /// Equal weights for all categories.
    pub fn even(models: impl IntoIterator<Item = String>) -> Self {
        Self::grouped(models, &BTreeMap::new())
    }

    /// Equal weights at first, with groups of categories by their sales: the largest ones that make up a third of the
    /// sales, the next third, and the rest.
    pub fn grouped(models: impl IntoIterator<Item = String>, sales: &BTreeMap<CategoryId, f64>) -> Self {
        let frame = AdaHedge::even(models);
        let mut order: Vec<(CategoryId, f64)> = sales.iter().map(|(category, amount)| (*category, amount.max(0.0))).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = order.iter().map(|(_, amount)| amount).sum();
        let mut before = 0.0;
        let mut group_of = BTreeMap::new();
        for (category, amount) in order {
            // By the middle of its stretch, so that a single dominant category is a group of its own.
            let share = if total > 0.0 { (before + amount / 2.0) / total } else { 1.0 };
            group_of.insert(category, ((share * GROUPS.len() as f64) as usize).min(GROUPS.len() - 1));
            before += amount;
        }
        let groups = vec![frame.clone(); GROUPS.len()];
        let shrunk = vec![frame.weights.clone(); GROUPS.len()];
        let totals = BTreeMap::new();
        Self { frame, groups, shrunk, group_of, steps: Vec::new(), changes: Vec::new(), totals, combined: 0.0 }
    }

    /// Number of groups.
    pub(crate) const fn group_count() -> usize {
        GROUPS.len()
    }

    /// The group of a category; one that is not known yet is small.
    pub(crate) fn group_of(&self, category: CategoryId) -> usize {
        self.group_of.get(&category).copied().unwrap_or(GROUPS.len() - 1)
    }

    /// The frame's weights, by model.
    pub fn weights(&self) -> &BTreeMap<String, f64> {
        &self.frame.weights
    }

    /// The weights for products of a category.
    pub fn weights_for(&self, category: CategoryId) -> &BTreeMap<String, f64> {
        &self.shrunk[self.group_of(category)]
    }

    /// The weighted mean of the models' amounts, each row by its category's weights. Models without a weight count nothing.
    pub(crate) fn combine(&self, amounts: &BTreeMap<String, Vec<f32>>, categories: &[CategoryId]) -> Vec<f32> {
        let models: Vec<(&Vec<f32>, Vec<f64>)> = amounts
            .iter()
            .map(|(model, values)| (values, self.shrunk.iter().map(|weights| weights.get(model).copied().unwrap_or(0.0)).collect()))
            .collect();
        let totals: Vec<f64> = (0..GROUPS.len()).map(|group| models.iter().map(|(_, weights)| weights[group]).sum()).collect();
        let row = |(row, category): (usize, &CategoryId)| {
            let group = self.group_of(*category);
            let sum: f64 = models.iter().map(|(values, weights)| weights[group] * f64::from(values[row])).sum();
            if totals[group] > 0.0 { (sum / totals[group]) as f32 } else { 0.0 }
        };
        categories.iter().enumerate().map(row).collect()
    }

    /// Takes one period's losses, and notes when another model becomes the heaviest, and why.
    pub(crate) fn learn(&mut self, period: &PeriodLosses) {
        let plain = |losses: &BTreeMap<String, Loss>| {
            losses
                .iter()
                .filter(|(_, loss)| loss.loss.is_finite())
                .map(|(model, loss)| (model.clone(), loss.loss))
                .collect::<BTreeMap<_, _>>()
        };
        let before = (!self.steps.is_empty()).then(|| heaviest(&self.frame.weights)).flatten();
        self.frame.learn(&plain(&period.models));
        for (group, losses) in self.groups.iter_mut().zip(&period.groups) {
            group.learn(&plain(losses));
        }
        for (shrunk, group) in self.shrunk.iter_mut().zip(&self.groups) {
            let own = group.history.len() as f64 / (group.history.len() as f64 + PRIOR_PERIODS);
            let mix = |(model, weight): (&String, &f64)| (model.clone(), own * group.weights[model] + (1.0 - own) * weight);
            *shrunk = self.frame.weights.iter().map(mix).collect();
        }
        let after = heaviest(&self.frame.weights);
        if let (Some(from), Some(to)) = (before, after)
            && from != to
        {
            let reason = reason(&from, &to, period);
            self.changes.push(WeightChange { period_start: period.period_start, from, to, reason });
        }
        for (model, loss) in period.models.iter().filter(|(_, loss)| loss.loss.is_finite()) {
            *self.totals.entry(model.clone()).or_default() += loss.loss;
        }
        self.combined += period.combined;
        self.steps.push(LearningStep {
            period_start: period.period_start,
            losses: plain(&period.models),
            wapes: period.models.iter().filter(|(_, loss)| loss.wape.is_finite()).map(|(model, loss)| (model.clone(), loss.wape)).collect(),
            weights: self.frame.weights.clone(),
            regret: self.regret().1,
        });
    }

    /// The best single model and what the combination lost against it.
    fn regret(&self) -> (String, f64) {
        let best = self.totals.iter().min_by(|a, b| a.1.total_cmp(b.1));
        best.map_or_else(|| (String::new(), 0.0), |(model, total)| (model.clone(), self.combined - total))
    }

    /// What was learnt, for the pages.
    pub fn learning(&self) -> Learning {
        let (best_single, regret) = self.regret();
        let groups = GROUPS.iter().zip(&self.shrunk).enumerate().map(|(at, (name, weights))| GroupWeights {
            name: (*name).to_owned(),
            categories: self.group_of.values().filter(|group| **group == at).count(),
            weights: weights.clone(),
        });
        let groups = groups.filter(|group| group.categories > 0).collect();
        Learning { steps: self.steps.clone(), groups, changes: self.changes.clone(), best_single, regret }
    }
}

/// The heaviest model.
fn heaviest(weights: &BTreeMap<String, f64>) -> Option<String> {
    weights.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0))).map(|(model, _)| model.clone())
}

fn reason(from: &str, to: &str, period: &PeriodLosses) -> String {
    let wape = |model: &str| period.models.get(model).map_or_else(|| "unknown".to_owned(), |loss| format!("{:.3}", loss.wape));
    let (a, b) = (wape(to), wape(from));
    let loss = |model: &str| period.models.get(model).map_or(f64::NAN, |loss| loss.loss);
    let when = match period.frame {
        "day" => format!("on {}", period.period_start),
        frame => format!("in the {frame} of {}", period.period_start),
    };
    if loss(to) < loss(from) {
        format!("{to} overtook {from}: WAPE {a} against {b} {when}")
    } else {
        // The rate fell or rose: what was learnt before weighs differently now.
        format!("{to} overtook {from} over all periods, although its WAPE was {a} against {b} {when}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(list: &[(&str, f64)]) -> BTreeMap<String, f64> {
        list.iter().map(|(model, loss)| ((*model).to_owned(), *loss)).collect()
    }

    fn two() -> AdaHedge {
        AdaHedge::even(["a".to_owned(), "b".to_owned()])
    }

    fn period(day: i32, a: f64, b: f64, group: [(f64, f64); 3]) -> PeriodLosses {
        let of = |a: f64, b: f64| -> BTreeMap<String, Loss> {
            [("a".to_owned(), Loss { loss: a, wape: a }), ("b".to_owned(), Loss { loss: b, wape: b })].into()
        };
        PeriodLosses {
            period_start: ShopDay::from_epoch_days(17_000 + day),
            frame: "week",
            models: of(a, b),
            groups: group.iter().map(|(a, b)| of(*a, *b)).collect(),
            combined: (a + b) / 2.0,
        }
    }

    #[test]
    fn the_better_model_wins_and_the_other_can_come_back() {
        let mut hedge = two();
        for _ in 0..8 {
            hedge.learn(&losses(&[("a", 0.8), ("b", 0.9)]));
        }
        assert!(hedge.weights()["a"] > 0.9, "{:?}", hedge.weights());
        for _ in 0..12 {
            hedge.learn(&losses(&[("a", 0.9), ("b", 0.8)]));
        }
        assert!(hedge.weights()["b"] > 0.6, "{:?}", hedge.weights());
        assert!((hedge.weights().values().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_rate_follows_the_scale_of_the_losses() {
        let learn = |scale: f64| {
            let mut hedge = two();
            for (a, b) in [(0.8, 0.9), (0.85, 0.82), (0.7, 0.75)] {
                hedge.learn(&losses(&[("a", a * scale), ("b", b * scale)]));
            }
            hedge
        };
        let (small, large) = (learn(1.0), learn(1000.0));
        assert!((small.weights()["a"] - large.weights()["a"]).abs() < 1e-9, "{small:?} {large:?}");
        assert!((small.rate() / large.rate() - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn regret_stays_within_the_bound_for_adversarial_losses() {
        // Theorem 8 of the paper, for losses of range 1: regret <= sqrt(T ln K) + 4/3 ln K + 2; the fixed share costs a
        // little more.
        let mut hedge = two();
        let (mut hedged, mut totals) = (0.0, [0.0, 0.0]);
        for step in 0..400 {
            let (a, b) = if (step * 7919) % 13 < 6 { (0.0, 1.0) } else { (1.0, 0.0) };
            hedged += hedge.weights()["a"] * a + hedge.weights()["b"] * b;
            totals[0] += a;
            totals[1] += b;
            hedge.learn(&losses(&[("a", a), ("b", b)]));
        }
        let bound = (400.0 * 2.0_f64.ln()).sqrt() + 4.0 / 3.0 * 2.0_f64.ln() + 2.0;
        assert!(hedged - totals[0].min(totals[1]) < bound + FIXED_SHARE * 400.0, "{hedged} {totals:?}");
    }

    #[test]
    fn a_model_without_a_loss_keeps_its_place() {
        let mut hedge = AdaHedge::even(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        hedge.learn(&losses(&[("a", 0.8), ("b", 0.9)]));
        let weights = hedge.weights().clone();
        assert!(weights["a"] > weights["c"] && weights["c"] > weights["b"], "{weights:?}");
        hedge.learn(&BTreeMap::new());
        assert_eq!(hedge.weights(), &weights);
    }

    #[test]
    fn groups_learn_for_themselves_and_are_shrunk_towards_the_frame() {
        let sales: BTreeMap<CategoryId, f64> =
            [(1.into(), 100.0), (2.into(), 60.0), (3.into(), 40.0), (4.into(), 50.0), (5.into(), 50.0)].into();
        let mut hedge = Hedge::grouped(["a".to_owned(), "b".to_owned()], &sales);
        assert_eq!(hedge.group_of(1.into()), 0);
        assert_eq!(hedge.group_of(3.into()), 2);
        assert_eq!(hedge.group_of(99.into()), 2, "an unknown category is small");
        for day in 0..8 {
            hedge.learn(&period(7 * day, 0.8, 0.9, [(0.8, 0.9), (0.8, 0.9), (0.9, 0.8)]));
        }
        let (large, small) = (hedge.weights_for(1.into())["a"], hedge.weights_for(3.into())["a"]);
        assert!(large > 0.9 && small < large - 0.3 && small > 0.3, "{large} {small}");
        let combined = hedge.combine(&[("a".to_owned(), vec![10.0, 10.0]), ("b".to_owned(), vec![0.0, 0.0])].into(), &[1.into(), 3.into()]);
        assert!(
            (f64::from(combined[0]) - 10.0 * large).abs() < 1e-4 && (f64::from(combined[1]) - 10.0 * small).abs() < 1e-4,
            "{combined:?}"
        );
    }

    #[test]
    fn a_new_leader_is_noted_with_its_reason_and_regret_is_kept() {
        let mut hedge = Hedge::even(["a".to_owned(), "b".to_owned()]);
        hedge.learn(&period(0, 0.80, 0.90, [(0.8, 0.9); 3]));
        hedge.learn(&period(7, 0.95, 0.70, [(0.95, 0.7); 3]));
        let learning = hedge.learning();
        assert_eq!(learning.changes.len(), 1);
        let change = &learning.changes[0];
        assert_eq!((change.from.as_str(), change.to.as_str()), ("a", "b"));
        assert_eq!(change.reason, format!("b overtook a: WAPE 0.700 against 0.950 in the week of {}", change.period_start));
        assert_eq!(learning.best_single, "b");
        assert!((learning.regret - (0.85 + 0.825 - 1.6)).abs() < 1e-9);
        assert_eq!(learning.steps.len(), 2);
    }
}
