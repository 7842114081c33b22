//! The closed list of trained candidates, and the choice of them that a shop trains.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A trained candidate model. The baselines need no training and are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelKind {
    /// Boosted trees for the amount, pooled over all products. Always trained: others refer to it, and it gives the reasons.
    GbmAmount,
    /// Boosted trees for the units. Always trained: the documents tell quantities.
    GbmQuantity,
    /// Logistic regression for the top ten; it only ranks. Always trained: an input of the confidence.
    Logistic,
    /// Boosted classification of membership in the true top ten; it only ranks.
    GbmTopK,
    /// Boosted ranking of the products of a category (LambdaMART); it only ranks.
    LambdaMart,
    /// Boosted trees that know nothing of planned promotions: what would sell anyway.
    GbmNoPromotions,
    /// Boosted trees of the rows under a planned promotion, for such rows.
    GbmPromoted,
    /// Boosted trees of single categories, where they won on held-out origins.
    GbmTopCategories,
    /// A small neural net with embeddings of product and category.
    Neural,
    /// Exponential smoothing of categories and dense products.
    Ets,
    /// The Theta method for categories and dense products.
    Theta,
    /// Teunter, Syntetos and Babai's method for intermittent demand.
    Tsb,
}

/// In the order in which they are fitted and speak: those that others refer to come first.
const ALL: [(ModelKind, &str); 12] = [
    (ModelKind::GbmAmount, "gbm_amount"),
    (ModelKind::GbmQuantity, "gbm_quantity"),
    (ModelKind::Logistic, "logistic"),
    (ModelKind::GbmTopK, "gbm_top_k"),
    (ModelKind::LambdaMart, "lambdamart"),
    (ModelKind::GbmNoPromotions, "gbm_no_promotions"),
    (ModelKind::GbmPromoted, "gbm_promoted"),
    (ModelKind::GbmTopCategories, "gbm_top_categories"),
    (ModelKind::Neural, "neural"),
    (ModelKind::Ets, "ets"),
    (ModelKind::Theta, "theta"),
    (ModelKind::Tsb, "tsb"),
];

impl ModelKind {
    /// Every kind, in the order in which they are fitted.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(kind, _)| *kind)
    }

    /// `gbm_amount` and so on: as candidates are called in configuration, ledger and reports.
    pub fn name(self) -> &'static str {
        ALL[self as usize].1
    }

    /// Whether it works on the series of past periods instead of features.
    pub(crate) const fn reads_history(self) -> bool {
        matches!(self, Self::Ets | Self::Theta | Self::Tsb)
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no model has.
#[derive(Debug, thiserror::Error)]
#[error("there is no model `{name}`; the models are {}", known())]
pub struct UnknownModel {
    name: String,
}

fn known() -> String {
    ALL.map(|(_, name)| format!("`{name}`")).join(", ")
}

impl FromStr for ModelKind {
    type Err = UnknownModel;

    fn from_str(name: &str) -> Result<Self, UnknownModel> {
        ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind).ok_or_else(|| UnknownModel { name: name.to_owned() })
    }
}

/// The kinds that a shop trains. [`ModelKind::GbmAmount`], [`ModelKind::GbmQuantity`] and [`ModelKind::Logistic`] are
/// always among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ModelSet(u16);

impl ModelSet {
    /// Those without which no forecast is published.
    pub const CORE: Self = Self(0b111);
    /// What a shop trains unless told otherwise: the core, and what earned weight on origins of August to October of the
    /// demo data (docs/accuracy.md, "What each model is worth").
    pub const DEFAULT: Self = Self::CORE.with(ModelKind::GbmPromoted);

    /// With `kind` too.
    #[must_use]
    pub const fn with(self, kind: ModelKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Without `kind`.
    #[must_use]
    pub const fn without(self, kind: ModelKind) -> Self {
        Self(self.0 & !(1 << kind as u16))
    }

    /// Whether `kind` is in it.
    pub const fn contains(self, kind: ModelKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// The kinds, in the order in which they are fitted.
    pub fn iter(self) -> impl Iterator<Item = ModelKind> {
        ModelKind::all().filter(move |kind| self.contains(*kind))
    }
}

impl Default for ModelSet {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromIterator<ModelKind> for ModelSet {
    fn from_iter<I: IntoIterator<Item = ModelKind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::CORE, Self::with)
    }
}

impl TryFrom<Vec<String>> for ModelSet {
    type Error = UnknownModel;

    fn try_from(names: Vec<String>) -> Result<Self, UnknownModel> {
        names.iter().map(|name| name.parse::<ModelKind>()).collect()
    }
}

impl From<ModelSet> for Vec<String> {
    fn from(set: ModelSet) -> Self {
        set.iter().map(|kind| kind.name().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_kinds_agree() {
        for (at, kind) in ModelKind::all().enumerate() {
            assert_eq!(kind as usize, at);
            assert_eq!(kind.name().parse::<ModelKind>().expect("a name"), kind);
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = ModelSet::try_from(vec!["ets".to_owned(), "oracle".to_owned()]).expect_err("no such model").to_string();
        assert!(error.contains("`oracle`") && ModelKind::all().all(|kind| error.contains(&format!("`{kind}`"))), "{error}");
    }

    #[test]
    fn the_core_is_in_every_set() {
        let set = ModelSet::try_from(vec!["tsb".to_owned()]).expect("known");
        let names: Vec<_> = set.iter().map(ModelKind::name).collect();
        assert_eq!(names, ["gbm_amount", "gbm_quantity", "logistic", "tsb"]);
    }
}
