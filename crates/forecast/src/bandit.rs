//! A bandit for models that are too dear to forecast every period in the shadow: only the chosen one forecasts, so only it
//! gets a loss. It chooses by Thompson sampling with Gaussian rewards (Thompson 1933; Agrawal & Goyal 2013): each model's
//! mean loss is drawn from what is known of it, and the least draw is chosen, so that what is little known is tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hedge::Learner;

/// What is known of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    count: f64,
    mean: f64,
    /// Sum of squared deviations from the mean (Welford 1962).
    squares: f64,
}

/// Thompson sampling over a closed set of models; the same seed and losses give the same choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bandit {
    known: BTreeMap<String, Known>,
    weights: BTreeMap<String, f64>,
    seed: u64,
    round: u64,
}

impl Bandit {
    /// Nothing known of any model.
    pub fn new(models: impl IntoIterator<Item = String>, seed: u64) -> Self {
        let known: BTreeMap<String, Known> = models.into_iter().map(|model| (model, Known::default())).collect();
        let mut bandit = Self { weights: known.keys().map(|model| (model.clone(), 0.0)).collect(), known, seed, round: 0 };
        bandit.choose();
        bandit
    }

    /// The model that forecasts the coming period; `None` without models.
    pub fn chosen(&self) -> Option<&str> {
        self.weights.iter().find(|(_, weight)| **weight > 0.0).map(|(model, _)| model.as_str())
    }

    /// The same bandit over another set of models: what is known of those in both is kept, and if the set differs the choice is
    /// made anew.
    #[must_use]
    pub fn among(mut self, models: impl IntoIterator<Item = String>) -> Self {
        let known: BTreeMap<String, Known> =
            models.into_iter().map(|model| (model.clone(), self.known.get(&model).copied().unwrap_or_default())).collect();
        if !known.keys().eq(self.known.keys()) {
            self.weights = known.keys().map(|model| (model.clone(), 0.0)).collect();
            self.known = known;
            self.choose();
        }
        self
    }

    /// Each model with how often it was tried and its mean loss.
    pub fn known(&self) -> impl Iterator<Item = (&str, u64, Option<f64>)> {
        self.known.iter().map(|(model, known)| (model.as_str(), known.count as u64, (known.count > 0.0).then_some(known.mean)))
    }

    /// How often each model was tried.
    pub fn tried(&self) -> BTreeMap<&str, u64> {
        self.known.iter().map(|(model, known)| (model.as_str(), known.count as u64)).collect()
    }

    /// Draws a mean loss for every model and gives all weight to the least. A model that was never tried comes first.
    fn choose(&mut self) {
        let (count, squares) =
            self.known.values().fold((0.0, 0.0), |sum: (f64, f64), known| (sum.0 + (known.count - 1.0).max(0.0), sum.1 + known.squares));
        // One variance for all, because most are known from a few periods only.
        let variance = if count > 0.0 { squares / count } else { 1.0 };
        let mut random = Random(self.seed ^ self.round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut least: Option<(f64, &String)> = None;
        for (model, known) in &self.known {
            let normal = random.normal();
            let draw = if known.count > 0.0 { known.mean + normal * (variance / known.count).sqrt() } else { f64::NEG_INFINITY };
            if least.is_none_or(|(best, _)| draw < best) {
                least = Some((draw, model));
            }
        }
        let chosen = least.map(|(_, model)| model.clone());
        for (model, weight) in &mut self.weights {
            *weight = f64::from(u8::from(chosen.as_ref() == Some(model)));
        }
        self.round += 1;
    }
}

impl Learner for Bandit {
    /// All weight lies on the chosen model.
    fn weights(&self) -> &BTreeMap<String, f64> {
        &self.weights
    }

    /// Takes the losses that there are, usually the chosen model's alone, and chooses anew.
    fn learn(&mut self, losses: &BTreeMap<String, f64>) {
        for (model, loss) in losses.iter().filter(|(_, loss)| loss.is_finite()) {
            if let Some(known) = self.known.get_mut(model) {
                known.count += 1.0;
                let deviation = loss - known.mean;
                known.mean += deviation / known.count;
                known.squares += deviation * (loss - known.mean);
            }
        }
        self.choose();
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014) with the normal distribution by Box & Muller (1958).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().max(f64::MIN_POSITIVE).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [(&str, f64); 4] = [("a", 0.90), ("b", 0.80), ("c", 0.85), ("d", 0.95)];

    /// Plays `rounds` with noisy losses and gives the bandit and what it chose.
    fn play(seed: u64, rounds: usize) -> (Bandit, Vec<String>) {
        let mut bandit = Bandit::new(MODELS.iter().map(|(model, _)| (*model).to_owned()), seed);
        let mut noise = Random(99);
        let mut chosen = Vec::new();
        for _ in 0..rounds {
            let model = bandit.chosen().expect("a model").to_owned();
            let mean = MODELS.iter().find(|(name, _)| *name == model).expect("known").1;
            bandit.learn(&[(model.clone(), mean + 0.1 * noise.normal())].into());
            chosen.push(model);
        }
        (bandit, chosen)
    }

    #[test]
    fn it_finds_the_best_model_and_stays_with_it() {
        for seed in 0..10 {
            let (bandit, chosen) = play(seed, 400);
            let late = chosen[200..].iter().filter(|model| *model == "b").count();
            assert!(late > 140, "seed {seed}: {late} of 200, {:?}", bandit.tried());
        }
    }

    #[test]
    fn every_model_is_tried_before_any_twice() {
        let (_, chosen) = play(3, 4);
        let different: std::collections::BTreeSet<_> = chosen.iter().collect();
        assert_eq!(different.len(), 4, "{chosen:?}");
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        assert_eq!(play(7, 100), play(7, 100));
        assert_ne!(play(7, 100).1, play(8, 100).1);
    }

    #[test]
    fn all_weight_lies_on_the_chosen_one_and_unknown_models_teach_nothing() {
        let (mut bandit, _) = play(7, 20);
        assert!((bandit.weights().values().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(bandit.weights()[bandit.chosen().expect("a model")] > 0.99);
        let tried = bandit.tried().values().sum::<u64>();
        bandit.learn(&[("nobody".to_owned(), 0.1), ("a".to_owned(), f64::NAN)].into());
        assert_eq!(bandit.tried().values().sum::<u64>(), tried);
        assert_eq!(Bandit::new(Vec::new(), 1).chosen(), None);
    }
}
