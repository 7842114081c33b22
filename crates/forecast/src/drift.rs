//! Signs that the models no longer fit: their error has grown, or the features have moved away from what they were
//! trained on. Either asks for a retraining.

use chrono::{DateTime, Utc};
use sellcast_domain::{ShopDay, TimeFrame};
use serde::Serialize;

use crate::duel::{Losses, category_losses};
use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::paired::below_zero;
use crate::train::FrameModels;

/// Periods that are compared with those before them.
const LATEST: usize = 2;
/// Chance of a false alarm about the error.
const ALARM: f64 = 0.01;
/// A population stability index beyond this is commonly called a shift (Siddiqi, "Credit Risk Scorecards", 2006).
const SHIFT: f64 = 0.25;
/// Features that are watched, those that the amount model gained most from.
const WATCHED: usize = 10;
/// Training periods that they are compared with. What is planned for a period differs from one to the next by its nature; only what is
/// unlike all of these has moved.
const COMPARED: usize = 8;

/// Features that grow by a day a day, which is no news.
const CLOCKS: [&str; 1] = ["days_since_first_sale"];

/// Why a retraining is asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Drift {
    /// The published forecasts' error has grown.
    Error {
        /// Mean loss of the latest periods.
        latest: f64,
        /// Mean loss of those before.
        earlier: f64,
        /// One-sided probability of so clear a growth by chance.
        p_value: f64,
    },
    /// A main feature is distributed otherwise than in any of the latest periods of training.
    Feature {
        /// Its name.
        name: String,
        /// Population stability index against the most alike of those periods.
        index: f64,
    },
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error { latest, earlier, p_value } => {
                write!(
                    f,
                    "the error has grown: loss {latest:.3} in the last {LATEST} periods against {earlier:.3} before (p = {p_value:.4})"
                )
            }
            Self::Feature { name, index } => {
                write!(f, "the feature {name} is unlike any period of training: stability index {index:.2}, more than {SHIFT}")
            }
        }
    }
}

impl Forecaster<'_> {
    /// The first sign of drift of a frame's models, if there is one.
    ///
    /// # Errors
    /// When the ledger or the features cannot be read.
    pub async fn drift(&self, models: &FrameModels, as_of: ShopDay, now: DateTime<Utc>) -> Result<Option<Drift>, ForecastError> {
        if let Some(drift) = self.error_drift(models.frame, as_of).await? {
            return Ok(Some(drift));
        }
        let mut origins = models.facts.origins.clone();
        origins.sort_unstable_by(|a, b| b.cmp(a));
        let present = self.set(as_of, now).await?;
        let important = models.facts.importance.get("gbm_amount").into_iter().flatten();
        let watched = important.filter(|(name, _)| !CLOCKS.contains(&name.as_str())).take(WATCHED);
        // The calendar's are no columns: they move by their nature.
        let mut moved: Vec<Moved<'_>> =
            watched.filter_map(|(name, _)| Some(Moved { name, now: present.column(name)?, least: None })).collect();
        for origin in origins.into_iter().take(COMPARED) {
            if moved.is_empty() {
                break;
            }
            let trained = self.set(origin, now).await?;
            moved.retain_mut(|moved| moved.is_unlike(trained.column(moved.name).as_deref()));
        }
        Ok(furthest(moved))
    }

    async fn error_drift(&self, frame: TimeFrame, as_of: ShopDay) -> Result<Option<Drift>, ForecastError> {
        let scored = self.scored(frame, as_of).await?;
        let losses = tokio::task::block_in_place(|| -> Vec<Losses> {
            scored.iter().map(|(forecast, target)| category_losses(forecast, &forecast.amount, target)).collect()
        });
        Ok(growth(&losses))
    }
}

/// A watched feature that is unlike every period of training it was compared with.
struct Moved<'a> {
    name: &'a str,
    now: Vec<f32>,
    /// Stability index against the most alike of those periods; `None` before the first.
    least: Option<f64>,
}

impl Moved<'_> {
    /// Compares with one more period; false when it is like that one, or that one lacks it.
    fn is_unlike(&mut self, trained: Option<&[f32]>) -> bool {
        let index = trained.map_or(0.0, |trained| stability_index(trained, &self.now));
        let least = self.least.map_or(index, |least| least.min(index));
        self.least = Some(least);
        least > SHIFT
    }
}

fn furthest(moved: Vec<Moved<'_>>) -> Option<Drift> {
    let compared = moved.into_iter().filter_map(|moved| Some((moved.name, moved.least?)));
    let most = compared.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Drift::Feature { name: most.0.to_owned(), index: most.1 })
}

/// Whether losses of the latest periods exceed those of the earlier ones, paired by category.
fn growth(losses: &[Losses]) -> Option<Drift> {
    let (earlier, latest) = losses.split_at(losses.len().checked_sub(LATEST)?);
    let mean = |periods: &[Losses]| {
        let mut sums: std::collections::BTreeMap<sellcast_domain::CategoryId, (f64, f64)> = std::collections::BTreeMap::new();
        for ((_, category), loss) in periods.iter().flatten().filter(|(_, loss)| loss.is_finite()) {
            let sum = sums.entry(*category).or_default();
            *sum = (sum.0 + loss, sum.1 + 1.0);
        }
        sums.into_iter().map(|(category, (sum, count))| (category, sum / count)).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (before, now) = (mean(earlier), mean(latest));
    let pairs: Vec<(f64, f64)> = now.iter().filter_map(|(category, now)| Some((*now, *before.get(category)?))).collect();
    let p_value = below_zero(&pairs.iter().map(|(now, before)| before - now).collect::<Vec<_>>());
    let count = pairs.len().max(1) as f64;
    (p_value < ALARM).then(|| Drift::Error {
        latest: pairs.iter().map(|pair| pair.0).sum::<f64>() / count,
        earlier: pairs.iter().map(|pair| pair.1).sum::<f64>() / count,
        p_value,
    })
}

/// Population stability index over ten bins of equal mass of the first sample; missing values are a bin of their own.
fn stability_index(trained: &[f32], now: &[f32]) -> f64 {
    let mut sorted: Vec<f32> = trained.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f32::total_cmp);
    if sorted.is_empty() || now.is_empty() {
        return 0.0;
    }
    let mut edges: Vec<f32> = (1..10).map(|bin| sorted[bin * sorted.len() / 10]).collect();
    // Many features are zero for most products: equal edges are one.
    edges.dedup();
    let shares = |values: &[f32]| {
        let mut counts = vec![0.5_f64; edges.len() + 2];
        for value in values {
            let bin = if value.is_finite() { edges.partition_point(|edge| edge < value) } else { edges.len() + 1 };
            counts[bin] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        counts.into_iter().map(move |count| count / total).collect::<Vec<_>>()
    };
    shares(trained).into_iter().zip(shares(now)).map(|(a, b)| (b - a) * (b / a).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalish(shift: f32, count: usize) -> Vec<f32> {
        (0..count).map(|i| shift + ((i * 7919) % 1000) as f32 / 1000.0 + ((i * 104_729) % 1000) as f32 / 1000.0).collect()
    }

    #[test]
    fn a_moved_feature_is_noticed_and_a_steady_one_is_not() {
        assert!(stability_index(&normalish(0.0, 5000), &normalish(0.0, 4000)) < 0.01);
        assert!(stability_index(&normalish(0.0, 5000), &normalish(0.5, 4000)) > SHIFT);
        let sparse = |share: usize| -> Vec<f32> { (0..1000).map(|i| if i % share == 0 { 1.0 + i as f32 } else { 0.0 }).collect() };
        assert!(stability_index(&sparse(10), &sparse(10)) < 1e-9);
        assert_eq!(stability_index(&[], &[1.0]), 0.0);
    }

    #[test]
    fn what_is_like_one_period_of_training_has_not_moved() {
        let mut features = ["comes_and_goes", "gone_further", "gone"].map(|name| Moved { name, now: normalish(0.5, 4000), least: None });
        features[1].now = normalish(0.8, 4000);
        // The third period is like the present of the first feature alone.
        let mut moved = features.into_iter().collect::<Vec<_>>();
        for period in [0.0, -0.2, 0.5, 0.0] {
            moved.retain_mut(|moved| {
                let trained = if moved.name == "comes_and_goes" { normalish(period, 5000) } else { normalish(0.0, 5000) };
                moved.is_unlike(Some(&trained))
            });
        }
        assert_eq!(moved.iter().map(|moved| moved.name).collect::<Vec<_>>(), ["gone_further", "gone"]);
        assert!(matches!(furthest(moved), Some(Drift::Feature { name, index }) if name == "gone_further" && index > SHIFT));
        assert!(!Moved { name: "new", now: normalish(0.5, 9), least: None }.is_unlike(None), "no period knows it");
        assert_eq!(furthest(vec![Moved { name: "untried", now: Vec::new(), least: None }]), None);
    }

    #[test]
    fn grown_errors_ask_for_a_retraining_and_noise_does_not() {
        let period = |day: i32, level: f64| -> Losses {
            (0..60)
                .map(|c: i64| ((ShopDay::from_epoch_days(day), c.into()), level + ((c * 31 + i64::from(day) * 17) % 13) as f64 / 50.0))
                .collect()
        };
        let steady: Vec<Losses> = (0..8).map(|week| period(17_000 + 7 * week, 0.8)).collect();
        assert_eq!(growth(&steady), None);
        let grown: Vec<Losses> = (0..8).map(|week| period(17_000 + 7 * week, if week < 6 { 0.8 } else { 1.0 })).collect();
        assert!(matches!(growth(&grown), Some(Drift::Error { latest, earlier, .. }) if latest > earlier + 0.1), "{:?}", growth(&grown));
        assert_eq!(growth(&steady[..1]), None);
    }
}
