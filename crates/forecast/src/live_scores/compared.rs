//! A live forecast beside the published one of the same period, and what came.

use std::collections::HashMap;
use std::hash::Hash;

use sellcast_domain::{CategoryId, Interval, LiveLevel, LivePrediction, Money, ProductId, TopK};
use sellcast_features::Target;

use crate::metrics::{holds, ranks};

/// Categories that are scored: those with the largest published amounts, as in the back-test.
const CATEGORIES: u32 = 100;

/// What was really sold, with the ranks that came of it.
pub(super) struct Truth {
    categories: HashMap<CategoryId, Came>,
    products: HashMap<ProductId, Came>,
}

#[derive(Clone, Copy)]
struct Came {
    amount: f64,
    rank: u32,
}

impl Truth {
    pub(super) fn of(target: &Target) -> Self {
        let mut sums: HashMap<CategoryId, f64> = HashMap::new();
        let mut rows: Vec<_> = target.rows.iter().map(|(product, row)| (*product, row)).collect();
        // Ties are ranked by id.
        rows.sort_unstable_by_key(|(product, _)| *product);
        for (_, row) in &rows {
            *sums.entry(row.category).or_default() += row.amount;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_unstable_by_key(|(category, _)| *category);
        let lists: Vec<CategoryId> = rows.iter().map(|(_, row)| row.category).collect();
        Self {
            categories: ranked(&vec![(); sums.len()], sums.into_iter()),
            products: ranked(&lists, rows.into_iter().map(|(product, row)| (product, row.amount))),
        }
    }
}

fn ranked<L: Ord + Copy, K: Hash + Eq>(lists: &[L], sold: impl Iterator<Item = (K, f64)>) -> HashMap<K, Came> {
    let (keys, amounts): (Vec<K>, Vec<f64>) = sold.unzip();
    let singles: Vec<f32> = amounts.iter().map(|amount| *amount as f32).collect();
    let ranks = ranks(lists, &singles);
    keys.into_iter().zip(amounts.into_iter().zip(ranks)).map(|(key, (amount, rank))| (key, Came { amount, rank })).collect()
}

/// Sums over the items of one forecast, from which its metrics follow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    /// What came, in units of the currency.
    pub(super) actual: f64,
    /// sum |forecast - actual|.
    pub(super) error: f64,
    /// Items with an interval.
    pub(super) intervals: f64,
    /// How many of those held what came.
    pub(super) held: f64,
    /// Their widths.
    pub(super) width: f64,
    /// Items whose confidence is scored.
    pub(super) calls: f64,
    /// Their confidence.
    pub(super) said: f64,
    /// How many were in their list.
    pub(super) came: f64,
    /// Squared differences of the two.
    pub(super) squared: f64,
}

struct Said {
    amount: Money,
    interval: Option<Interval>,
    confidence: f64,
    rank: u32,
}

impl Sums {
    /// Names of the columns, in the order of [`Sums::values`].
    pub(super) const NAMES: [&str; 9] = ["actual", "error", "intervals", "held", "width", "calls", "said", "came", "squared"];

    pub(super) fn values(&self) -> [f64; 9] {
        [self.actual, self.error, self.intervals, self.held, self.width, self.calls, self.said, self.came, self.squared]
    }

    fn add(&mut self, said: &Said, came: Option<&Came>) {
        let actual = came.map_or(0.0, |came| came.amount);
        self.actual += actual;
        self.error += (said.amount.to_f64() - actual).abs();
        if let Some(Interval { low, high }) = said.interval {
            self.intervals += 1.0;
            self.held += f64::from(u8::from(holds((low.to_f64() as f32, high.to_f64() as f32), actual)));
            self.width += (high - low).to_f64();
        }
        let is_in = f64::from(u8::from(came.is_some_and(|came| came.rank <= TopK::holding(said.rank).get())));
        self.calls += 1.0;
        self.said += said.confidence;
        self.came += is_in;
        self.squared += (said.confidence - is_in).powi(2);
    }
}

/// Both forecasts of the same items.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Compared {
    pub(super) live: Sums,
    pub(super) published: Sums,
}

/// Scores both on the same items: the largest published categories, and the products of their published first lists.
pub(super) fn compare(live: &LivePrediction, published: &LivePrediction, truth: &Truth) -> [(LiveLevel, Compared); 2] {
    let moved: HashMap<CategoryId, _> = live.categories.iter().map(|category| (category.category_id, category)).collect();
    let (mut categories, mut products) = (Compared::default(), Compared::default());
    for said in published.categories.iter().filter(|category| category.rank <= CATEGORIES) {
        let Some(now) = moved.get(&said.category_id) else { continue };
        let came = truth.categories.get(&said.category_id);
        for (sums, one) in [(&mut categories.live, *now), (&mut categories.published, said)] {
            let said = Said { amount: one.amount, interval: Some(one.interval), confidence: one.confidence_score, rank: one.rank };
            sums.add(&said, came);
        }
        let moved: HashMap<ProductId, _> = now.products.iter().map(|product| (product.product_id, product)).collect();
        for said in &said.products {
            let Some(now) = moved.get(&said.product_id) else { continue };
            let came = truth.products.get(&said.product_id);
            for (sums, one) in [(&mut products.live, *now), (&mut products.published, said)] {
                let said = Said { amount: one.amount, interval: one.interval, confidence: one.confidence_score, rank: one.rank };
                sums.add(&said, came);
            }
        }
    }
    [(LiveLevel::Categories, categories), (LiveLevel::Products, products)]
}

#[cfg(test)]
mod tests {
    use sellcast_domain::{LiveCategory, LiveProduct, TimeFrame};
    use sellcast_features::TargetRow;

    use super::*;

    fn category(id: i64, dollars: i64, rank: u32, confidence_score: f64) -> LiveCategory {
        let amount = Money::from_cents(dollars * 100);
        let interval = Interval { low: Money::from_cents(dollars * 80), high: Money::from_cents(dollars * 120) };
        let product = LiveProduct {
            product_id: ProductId::from(id * 10),
            amount,
            quantity: 1.0,
            interval: Some(interval),
            confidence_score: 1.0,
            rank: 1,
        };
        LiveCategory { category_id: id.into(), amount, quantity: 1.0, interval, confidence_score, rank, products: vec![product] }
    }

    fn prediction(categories: Vec<LiveCategory>) -> LivePrediction {
        let interval = Interval { low: Money::ZERO, high: Money::ZERO };
        LivePrediction {
            time_frame: TimeFrame::Day,
            period_start: "2017-12-04".parse().expect("a day"),
            total_amount: Money::ZERO,
            total_interval: interval,
            categories,
        }
    }

    #[test]
    fn both_are_scored_on_the_same_items_and_what_sold_unforeseen_is_ranked() {
        let published = prediction(vec![category(1, 100, 1, 0.9), category(2, 50, 2, 0.8)]);
        let live = prediction(vec![category(2, 70, 1, 0.95), category(1, 60, 2, 0.7)]);
        let sold = |category: i64, amount: f64| TargetRow { category: category.into(), amount, quantity: 1.0 };
        let target = Target { rows: HashMap::from([(10.into(), sold(1, 50.0)), (20.into(), sold(2, 75.0)), (21.into(), sold(2, 5.0))]) };
        let [(_, categories), (_, products)] = compare(&live, &published, &Truth::of(&target));
        // 60 and 70 for 50 and 80; 100 and 50 for the same.
        assert_eq!((categories.live.error, categories.published.error, categories.live.actual), (20.0, 80.0, 130.0));
        // 50 lies between 48 and 72, and 80 between 56 and 84; not so between 80 and 120, and 40 and 60.
        assert_eq!((categories.live.held, categories.published.held, categories.live.intervals), (2.0, 0.0, 2.0));
        assert_eq!((categories.live.came, categories.live.calls), (2.0, 2.0));
        assert!((categories.live.squared - (0.05_f64.powi(2) + 0.3_f64.powi(2))).abs() < 1e-12);
        assert_eq!((products.live.error, products.published.error, products.live.actual), (15.0, 75.0, 125.0));
    }

    #[test]
    fn what_was_called_and_did_not_sell_is_no_hit() {
        let published = prediction(vec![category(1, 100, 1, 0.9)]);
        let nothing = Target { rows: HashMap::new() };
        let [(_, categories), _] = compare(&published, &published, &Truth::of(&nothing));
        assert_eq!((categories.live.came, categories.live.held, categories.live.error), (0.0, 0.0, 100.0));
    }
}
