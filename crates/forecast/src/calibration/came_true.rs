//! How often what was said came true: of the products of a category that were forecast into a list, the share that was in it.

use std::collections::{BTreeMap, HashMap};

use sellcast_domain::{CategoryId, TopK};
use serde::{Deserialize, Serialize};

/// Calls of the whole shop that a category's own are weighed against.
const PRIOR: f64 = 20.0;

/// A share for the list of each length of [`TopK::ALL`].
type Shares = [f64; 5];

/// A product's rank as it was forecast and as it came to be (`u32::MAX` for what did not sell), in its category.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) category: CategoryId,
    pub(crate) said: u32,
    pub(crate) came: u32,
}

/// The shares of a shop and of its categories.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CameTrue {
    shop: Shares,
    categories: HashMap<CategoryId, Shares>,
}

impl CameTrue {
    /// Learns from calls; what was forecast below all lists is none. The fewer a category has of a list, the more it leans on the
    /// shop's.
    pub(crate) fn learn<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let (mut shop, mut categories) = ([(0.0, 0.0); 5], BTreeMap::<CategoryId, [(f64, f64); 5]>::new());
        let longest = TopK::ALL[TopK::ALL.len() - 1].get();
        for call in calls.into_iter().filter(|call| call.said <= longest) {
            let list = TopK::holding(call.said);
            for counts in [&mut shop, categories.entry(call.category).or_default()] {
                let (hits, of) = &mut counts[list.index()];
                *hits += f64::from(u8::from(call.came <= list.get()));
                *of += 1.0;
            }
        }
        let shop = shop.map(|(hits, of)| hits / f64::max(of, 1.0));
        let own = |counts: [(f64, f64); 5]| std::array::from_fn(|k| (counts[k].0 + PRIOR * shop[k]) / (counts[k].1 + PRIOR));
        Self { shop, categories: categories.into_iter().map(|(category, counts)| (category, own(counts))).collect() }
    }

    /// What was known of each period from the others: what it brought itself is not known before it.
    pub(crate) fn without_each(periods: &[Vec<Call>]) -> Vec<Self> {
        let others = |at: usize| periods.iter().enumerate().filter(move |(other, _)| *other != at).flat_map(|(_, calls)| calls);
        (0..periods.len()).map(|at| Self::learn(others(at))).collect()
    }

    /// The log-odds of the shares of each row's category, list by list; NaN where nothing is known.
    pub(crate) fn log_odds(&self, categories: &[CategoryId]) -> [Vec<f32>; 5] {
        let of = |share: f64| if share > 0.0 { (share / (1.0 - share).max(0.001)).max(0.001).ln() as f32 } else { f32::NAN };
        let shop = self.shop.map(of);
        let known: HashMap<CategoryId, [f32; 5]> = self.categories.iter().map(|(category, shares)| (*category, shares.map(of))).collect();
        let rows: Vec<[f32; 5]> = categories.iter().map(|category| known.get(category).copied().unwrap_or(shop)).collect();
        std::array::from_fn(|k| rows.iter().map(|odds| odds[k]).collect())
    }

    /// The share of a product's category and of the list that holds its rank; 0 without anything learnt.
    pub(crate) fn share(&self, category: CategoryId, rank: u32) -> f64 {
        self.categories.get(&category).unwrap_or(&self.shop)[TopK::holding(rank).index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_with_many_calls_goes_by_its_own_and_an_unknown_one_by_the_shop() {
        let [steady, fickle, unknown] = [1, 2, 3].map(CategoryId::from);
        let calls = (0..400).flat_map(|at| {
            let rank = at % 5 + 1;
            let missed = if at % 10 < 5 { u32::MAX } else { 9 };
            [(steady, rank, rank), (fickle, rank, missed), (steady, 300, 1)].map(|(category, said, came)| Call { category, said, came })
        });
        let calls: Vec<_> = calls.collect();
        let learnt = CameTrue::learn(&calls);
        let [of_five, of_ten, ..] = learnt.log_odds(&[steady, fickle, unknown]);
        assert!(of_five[0] > 2.0 && of_five[1] < -2.0 && of_five[2].abs() < 1e-6, "{of_five:?}");
        assert!(of_ten.iter().all(|odds| odds.is_nan()), "nothing was said of ranks six to ten");
        assert!((learnt.share(unknown, 3) - 0.5).abs() < 1e-9);
        assert!(learnt.share(steady, 5) > 0.95 && learnt.share(fickle, 1) < 0.05);
        assert!(learnt.share(steady, 6).abs() < 1e-9, "nothing was said of ranks six to ten, and rank 300 is in no list");
        assert!(CameTrue::default().share(steady, 1).abs() < 1e-9);
    }
}
