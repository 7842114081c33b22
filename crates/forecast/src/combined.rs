//! What the combination says of a period: the expected amounts by the weights learnt, their sums reconciled, sharpened, and
//! ranked; and its sums by category.

use std::collections::BTreeMap;

use sellcast_domain::{CategoryId, ProductId};

use crate::calibration::{Field, ListItems, Simulated, Spread, Sums, Totals, common_quantile, mix, simulate, sums, sums_of};
use crate::candidates::disagreement;
use crate::cold_start::{LaunchWeights, Launches};
use crate::hedge::Hedge;
use crate::ledger::ForecastPeriod;
use crate::metrics::ranks;

/// What the combination says, as far as calibration needs it.
pub(crate) struct Combined {
    /// Expected amounts, with reconciled sums.
    pub(crate) expected: Vec<f32>,
    /// Published amounts.
    pub(crate) amount: Vec<f32>,
    pub(crate) rank: Vec<u32>,
    pub(crate) disagreement: Vec<f32>,
    /// What draws of all amounts say of the ranks; empty until they were drawn.
    pub(crate) simulated: Simulated,
}

impl Combined {
    /// By the weights, what launch curves say of new products, and what is known of sums; not sharpened yet.
    pub(crate) fn of(
        candidates: &BTreeMap<String, Vec<f32>>,
        categories: &[CategoryId],
        hedge: &Hedge,
        (launches, weights): (&Launches, &LaunchWeights),
        totals: &Totals,
    ) -> Self {
        let mut expected = plain(candidates, categories, hedge);
        weights.mix(&mut expected, launches);
        let factors = totals.factors(&candidate_sums(candidates, categories), &sums(categories, &expected));
        expected.iter_mut().zip(categories).for_each(|(value, category)| *value *= factors.get(category).copied().unwrap_or(1.0) as f32);
        Self::published(expected.clone(), expected, categories, candidates, hedge)
    }

    /// With the given expected and published amounts.
    pub(crate) fn published(
        expected: Vec<f32>,
        amount: Vec<f32>,
        categories: &[CategoryId],
        candidates: &BTreeMap<String, Vec<f32>>,
        hedge: &Hedge,
    ) -> Self {
        let disagreement = disagreement(candidates, hedge.weights(), &amount);
        Self { rank: ranks(categories, &amount), disagreement, expected, amount, simulated: Simulated::default() }
    }

    /// The amounts at each category's common quantile.
    pub(crate) fn sharp(&self, spread: &Spread, categories: &[CategoryId], units: &[f32]) -> Vec<f32> {
        common_quantile(spread, categories, &self.expected, units)
    }

    /// Mixes sharp amounts in.
    pub(crate) fn sharpened(mut self, sharp: &[f32], sharpness: f32, categories: &[CategoryId]) -> Self {
        self.amount = mix(&self.expected, sharp, sharpness);
        self.rank = ranks(categories, &self.amount);
        self
    }

    /// Draws the ranks.
    pub(crate) fn simulate(&mut self, spread: &Spread, products: &[ProductId], categories: &[CategoryId], units: &[f32]) {
        let field = Field { products, categories, expected: &self.expected, units, ranks: &self.rank };
        self.simulated = simulate(spread, field);
    }

    /// As far as confidence depends on it, with what came true lately.
    pub(crate) fn items<'a>(&'a self, forecast: &'a ForecastPeriod, lately: &'a [Vec<f32>; 5]) -> ListItems<'a, CategoryId> {
        ListItems {
            lists: &forecast.categories,
            amounts: &self.amount,
            ranks: &self.rank,
            activity: &forecast.activity,
            age: &forecast.age,
            membership: &forecast.membership,
            simulated: Some(&self.simulated.log_odds),
            lately: Some(lately),
            disagreement: &self.disagreement,
        }
    }
}

/// What the candidates expect by their weights alone.
pub(crate) fn plain(candidates: &BTreeMap<String, Vec<f32>>, categories: &[CategoryId], hedge: &Hedge) -> Vec<f32> {
    let mut expected = hedge.combine(candidates, categories);
    expected.iter_mut().for_each(|value| *value = value.max(0.0));
    expected
}

/// Each candidate's sums by category.
pub(crate) fn candidate_sums(candidates: &BTreeMap<String, Vec<f32>>, categories: &[CategoryId]) -> BTreeMap<String, Sums> {
    candidates.keys().cloned().zip(sums_of(categories, candidates.values().map(Vec::as_slice))).collect()
}

/// Products' forecasts summed by category, the categories forming one list.
pub(crate) struct CategorySums {
    pub(crate) categories: Vec<CategoryId>,
    pub(crate) amounts: Vec<f32>,
    pub(crate) ranks: Vec<u32>,
    activity: Vec<f32>,
    list: Vec<u8>,
    unknown: Vec<f32>,
}

impl CategorySums {
    pub(crate) fn of(forecast: &ForecastPeriod, amounts: &[f32]) -> Self {
        let mut sums: BTreeMap<CategoryId, (f64, f64)> = BTreeMap::new();
        for ((category, amount), activity) in forecast.categories.iter().zip(amounts).zip(&forecast.activity) {
            let sum = sums.entry(*category).or_default();
            sum.0 += f64::from(*amount);
            sum.1 += f64::from(*activity);
        }
        let amounts: Vec<f32> = sums.values().map(|sum| sum.0 as f32).collect();
        let list = vec![0; amounts.len()];
        Self {
            categories: sums.keys().copied().collect(),
            ranks: ranks(&list, &amounts),
            activity: sums.values().map(|sum| sum.1 as f32).collect(),
            unknown: vec![f32::NAN; amounts.len()],
            amounts,
            list,
        }
    }

    pub(crate) fn items(&self) -> ListItems<'_, u8> {
        ListItems {
            lists: &self.list,
            amounts: &self.amounts,
            ranks: &self.ranks,
            activity: &self.activity,
            age: &self.unknown,
            membership: &self.unknown,
            simulated: None,
            lately: None,
            disagreement: &self.unknown,
        }
    }
}
