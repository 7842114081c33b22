//! How the machine learns, as published beside each generation: the weights of its models over time, which version is
//! champion and why, and what an experiment has shown. The pages show it.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ShopDay, TimeFrame};

/// The weights of one frame's models and how they came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learning {
    /// One step per scored period, oldest first.
    pub steps: Vec<LearningStep>,
    /// Weights now, by group of categories; those of the whole frame are the last step's.
    pub groups: Vec<GroupWeights>,
    /// Each change of the heaviest model, oldest first.
    pub changes: Vec<WeightChange>,
    /// The single model with the least loss over all steps.
    pub best_single: String,
    /// Loss of the combination less the loss of that model, summed over all steps; negative if the combination did better.
    pub regret: f64,
}

/// What one scored period taught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningStep {
    /// First day of the period.
    pub period_start: ShopDay,
    /// Loss of each model in it (WAPE and lost NDCG).
    pub losses: BTreeMap<String, f64>,
    /// WAPE of each model in it.
    pub wapes: BTreeMap<String, f64>,
    /// Weights after it.
    pub weights: BTreeMap<String, f64>,
    /// Regret up to and including it.
    pub regret: f64,
}

/// Weights of one group of categories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupWeights {
    /// `large categories`.
    pub name: String,
    /// How many categories it holds.
    pub categories: usize,
    /// Weights, shrunk towards the frame's.
    pub weights: BTreeMap<String, f64>,
}

/// The heaviest model changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightChange {
    /// First day of the period that made it change.
    pub period_start: ShopDay,
    /// The heaviest model before.
    pub from: String,
    /// The heaviest model since.
    pub to: String,
    /// Why, in plain words.
    pub reason: String,
}

/// What happened to a version of a frame's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelEventKind {
    /// It became champion: forecasts use it.
    Promoted,
    /// It was trained and waits as challenger.
    Challenged,
    /// It was compared with the champion and did not win.
    Kept,
    /// Its training failed.
    Failed,
    /// Its files are damaged or from another version of the program.
    Refused,
    /// It became champion again by hand, in place of a later one.
    RolledBack,
    /// A retraining was asked for.
    Asked,
}

impl ModelEventKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [Self::Promoted, Self::Challenged, Self::Kept, Self::Failed, Self::Refused, Self::RolledBack, Self::Asked];

    /// Its name (`rolled_back`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Challenged => "challenged",
            Self::Kept => "kept",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::RolledBack => "rolled_back",
            Self::Asked => "asked",
        }
    }
}

/// No event has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no model event")]
pub struct InvalidModelEvent(String);

impl FromStr for ModelEventKind {
    type Err = InvalidModelEvent;

    fn from_str(text: &str) -> Result<Self, InvalidModelEvent> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| InvalidModelEvent(text.to_owned()))
    }
}

/// A paired comparison of two forecasts over the same category-periods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Duel {
    /// Mean loss of the challenger (or the first arm).
    pub challenger_loss: f64,
    /// Mean loss of the champion (or the second arm).
    pub champion_loss: f64,
    /// Category-periods compared.
    pub pairs: u64,
    /// Share of decided pairs that the challenger won.
    pub won: f64,
    /// One-sided probability of so clear a result if the challenger were no better (Wilcoxon signed-rank test).
    pub p_value: f64,
    /// First days of the periods.
    pub periods: Vec<ShopDay>,
}

/// An entry of the models' history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelEvent {
    /// When, by the shop's clock.
    pub at: DateTime<Utc>,
    /// The frame.
    pub frame: TimeFrame,
    /// The version; of a failed training the one that it would have become.
    pub version: String,
    /// What happened.
    pub event: ModelEventKind,
    /// Why, in plain words.
    pub reason: String,
    /// The comparison that decided, if one did.
    pub duel: Option<Duel>,
}

/// Which versions forecast and wait, and the history behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelsRecord {
    /// The champion of each frame.
    pub champions: BTreeMap<TimeFrame, String>,
    /// The waiting challenger of each frame.
    pub challengers: BTreeMap<TimeFrame, String>,
    /// Newest first.
    pub events: Vec<ModelEvent>,
    /// The dear models of each frame that has some.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dear: BTreeMap<TimeFrame, DearRecord>,
}

/// Models too dear to forecast every period in the shadow: one is chosen for each training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DearRecord {
    /// The one that forecasts until the next training.
    pub chosen: String,
    /// All of them, by name.
    pub models: Vec<DearModel>,
}

/// What is known of a dear model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DearModel {
    /// Its name.
    pub model: String,
    /// Ended periods that it forecast.
    pub periods: u64,
    /// Mean loss in them (WAPE and lost NDCG) less that of `gbm_amount` in the same ones; `None` before the first.
    pub loss: Option<f64>,
}

/// A running comparison of forecasts by user key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// The frame that it is about.
    pub frame: TimeFrame,
    /// The arms; the first is what users without a key get.
    pub arms: Vec<Arm>,
}

impl Experiment {
    /// The arm of a user: the same key always falls to the same arm, and arms get users by their shares. Users without
    /// a key get the first.
    pub fn arm_of(&self, user_key: Option<&str>) -> Option<&Arm> {
        let Some(key) = user_key else { return self.arms.first() };
        let total: f64 = self.arms.iter().map(|arm| arm.share).sum();
        let mut left = lot(key) * total;
        let fallen = self.arms.iter().find(|arm| {
            left -= arm.share;
            left < 0.0
        });
        fallen.or(self.arms.last())
    }
}

/// A number from 0 to 1 that depends on the key alone: FNV-1a, then the finaliser of SplitMix64, because FNV alone
/// spreads short keys badly over its high bits.
fn lot(key: &str) -> f64 {
    let mut mixed = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as f64 / (u64::MAX as f64 + 1.0)
}

/// One arm of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// `published`, a model version or the name of a candidate.
    pub name: String,
    /// Its share of the users.
    pub share: f64,
}

/// What an experiment has shown so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentRecord {
    /// The experiment.
    pub experiment: Experiment,
    /// Ended periods, newest first.
    pub periods: Vec<ExperimentPeriod>,
    /// The nearest arm against the next one over all ended periods.
    pub verdict: Option<Verdict>,
}

/// One ended period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentPeriod {
    /// First day.
    pub period_start: ShopDay,
    /// Last day.
    pub period_end: ShopDay,
    /// WAPE and P@10 of each arm.
    pub arms: BTreeMap<String, ArmScore>,
    /// The arm nearest to the truth against the next one.
    pub verdict: Verdict,
}

/// How near an arm came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmScore {
    /// Weighted absolute percentage error.
    pub wape: f64,
    /// Share of the true ten best that were forecast.
    pub precision_at_10: f64,
    /// Mean loss over categories (WAPE and lost NDCG).
    pub loss: f64,
}

/// Which arm was nearer, and how sure that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The nearest arm.
    pub nearest: String,
    /// The next one.
    pub next: String,
    /// The paired comparison of the two.
    pub duel: Duel,
}

impl Verdict {
    /// Whether chance alone would seldom (less than once in twenty) give so clear a result.
    pub fn is_sure(&self) -> bool {
        self.duel.p_value < 0.05
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(shares: &[(&str, f64)]) -> Experiment {
        let arms = shares.iter().map(|(name, share)| Arm { name: (*name).to_owned(), share: *share }).collect();
        Experiment { frame: TimeFrame::Week, arms }
    }

    #[test]
    fn users_fall_to_arms_by_their_shares_and_stay_there() {
        let experiment = experiment(&[("published", 0.7), ("mean_8w", 0.3)]);
        let arm = |key: &str| experiment.arm_of(Some(key)).expect("an arm").name.clone();
        let published = (0..10_000).filter(|user| arm(&format!("user-{user}")) == "published").count();
        assert!((6_800..7_200).contains(&published), "{published}");
        assert_eq!(arm("anna"), arm("anna"));
        assert_eq!(experiment.arm_of(None).expect("an arm").name, "published");
    }

    #[test]
    fn event_names_are_read_back() {
        for kind in ModelEventKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("nonsense".parse::<ModelEventKind>().is_err());
    }
}
