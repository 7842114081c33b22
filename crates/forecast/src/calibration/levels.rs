//! At which level of their quantiles intervals hold what they promise: for the whole shop, for each category, and for
//! products that are new or known. Groups with few forecasts lean on the shop.

use std::collections::BTreeMap;

use sellcast_domain::CategoryId;
use serde::{Deserialize, Serialize};

use crate::calibration::spread::{Past, Spread};

/// Levels that are tried: from .5 in steps of .02 to .98, and the one above. What hardly ever sells is covered by "nothing" alone more
/// often than promised; below one half the rest would pay for it, and nothing would be gained.
const LEVELS: usize = 26;
/// Forecasts of the whole shop that a group's own level is weighed against.
const PRIOR: f32 = 120.0;
/// How far the levels are moved for what they missed at most.
const MOST_MISSED: f32 = 0.08;

/// A number for each promised coverage.
pub(super) type Pair = [f32; 2];

/// Promised coverages.
pub(super) const PROMISED: Pair = [0.8, 0.95];

/// Pairs for the whole shop, for a category of its own, and for young and for known products.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ByGroup {
    shop: Pair,
    categories: BTreeMap<CategoryId, Pair>,
    ages: [Pair; 2],
}

impl ByGroup {
    pub(super) fn even(pair: Pair) -> Self {
        Self { shop: pair, categories: BTreeMap::new(), ages: [pair; 2] }
    }

    /// The category's, moved by what the age makes of it.
    pub(super) fn of(&self, category: CategoryId, age: f32, at: usize) -> f32 {
        self.categories.get(&category).unwrap_or(&self.shop)[at] + self.ages[band(age)][at] - self.shop[at]
    }
}

/// 0: on sale for at most four weeks, or not known for how long; 1: for longer.
fn band(age: f32) -> usize {
    usize::from(age > 28.0)
}

/// How many of some forecasts each tried level covers.
#[derive(Clone, Copy, Debug, Default)]
struct Covered {
    of: u32,
    levels: [u32; LEVELS],
}

impl Covered {
    fn add(&mut self, other: &Self) {
        self.of += other.of;
        self.levels.iter_mut().zip(&other.levels).for_each(|(sum, one)| *sum += one);
    }

    /// The level that covers `asked`, between the tried ones.
    fn level_for(&self, asked: f32) -> f32 {
        let tried = tried();
        let share = |step: usize| self.levels[step] as f32 / self.of.max(1) as f32;
        match (0..LEVELS).find(|step| share(*step) >= asked) {
            None => tried[LEVELS - 1],
            Some(0) => tried[0],
            Some(step) => {
                let (before, after) = (share(step - 1), share(step));
                tried[step - 1] + (tried[step] - tried[step - 1]) * (asked - before) / (after - before).max(1e-6)
            }
        }
    }
}

/// How many forecasts each tried level covers, by group.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    categories: BTreeMap<CategoryId, Covered>,
    ages: [Covered; 2],
}

impl Coverage {
    /// Counts a forecast, by whether it was inside at each of the tried levels.
    pub(super) fn count(&mut self, past: &Past, inside: [bool; LEVELS]) {
        for count in [self.categories.entry(past.category).or_default(), &mut self.ages[band(past.age)]] {
            count.of += 1;
            count.levels.iter_mut().zip(inside).for_each(|(sum, inside)| *sum += u32::from(inside));
        }
    }

    /// The levels at which `asked` of them are covered. The smaller a group, the more it leans on the shop.
    pub(super) fn levels(&self, asked: &ByGroup) -> ByGroup {
        let mut all = Covered::default();
        self.categories.values().for_each(|counts| all.add(counts));
        let shop = asked.shop.map(|asked| all.level_for(asked));
        let own = |counts: &Covered, asked: Pair| {
            let trust = if counts.of == 0 { 0.0 } else { trust(counts.of as f32) };
            [0, 1].map(|at| trust * counts.level_for(asked[at]) + (1.0 - trust) * shop[at])
        };
        let category = |(category, counts): (&CategoryId, &Covered)| {
            (*category, own(counts, asked.categories.get(category).copied().unwrap_or(asked.shop)))
        };
        ByGroup {
            shop,
            ages: [0, 1].map(|band| own(&self.ages[band], asked.ages[band])),
            categories: self.categories.iter().map(category).collect(),
        }
    }
}

/// How far a group's own record is trusted that many forecasts make up.
fn trust(forecasts: f32) -> f32 {
    forecasts / (forecasts + PRIOR)
}

/// Rising levels.
pub(super) fn tried() -> [f32; LEVELS] {
    std::array::from_fn(|step| (0.5 + 0.02 * step as f32).min(0.995))
}

/// What intervals held of periods that they were fitted to beyond what they held of the next one, by group.
#[derive(Clone, Debug, Default)]
pub(super) struct Misses {
    /// Of the next period: number, and the difference summed over it.
    shop: (f32, Pair),
    ages: [(f32, Pair); 2],
    categories: BTreeMap<CategoryId, (f32, Pair)>,
}

impl Misses {
    pub(super) fn add(&mut self, fitted: &Spread, seen: &[Vec<Past>], next: &[Past]) {
        let count = |pasts: &mut dyn Iterator<Item = &Past>| {
            let mut held: BTreeMap<(CategoryId, usize), (f32, Pair)> = BTreeMap::new();
            for past in pasts {
                let (of, sums) = held.entry((past.category, band(past.age))).or_default();
                *of += 1.0;
                sums.iter_mut().zip(fitted.held(past)).for_each(|(sum, held)| *sum += f32::from(u8::from(held)));
            }
            held
        };
        let (seen, next) = (count(&mut seen.iter().flatten()), count(&mut next.iter()));
        // Against what they hold of the periods they were fitted to, and not against the promise: where "nothing" alone
        // covers more than promised, no level can help it.
        for (group, (of, held)) in &next {
            let before = seen.get(group).map_or(PROMISED, |(of, held)| held.map(|held| held / of));
            let sums = [&mut self.shop, &mut self.ages[group.1], self.categories.entry(group.0).or_default()];
            for (all, missed) in sums {
                *all += of;
                missed.iter_mut().zip(before).zip(held).for_each(|((sum, before), held)| *sum += before * of - held);
            }
        }
    }

    /// The coverages to ask for.
    pub(super) fn asked(&self) -> ByGroup {
        let mean = |(of, sums): &(f32, Pair)| sums.map(|sum| sum / of.max(1.0));
        let shop = mean(&self.shop);
        let own = |missed: &(f32, Pair)| {
            let (trust, mean) = (trust(missed.0), mean(missed));
            [0, 1].map(|at| {
                let missed = trust * mean[at] + (1.0 - trust) * shop[at];
                (PROMISED[at] + missed.clamp(-MOST_MISSED, MOST_MISSED)).min(0.985)
            })
        };
        ByGroup {
            shop: own(&self.shop),
            ages: [own(&self.ages[0]), own(&self.ages[1])],
            categories: self.categories.iter().map(|(category, missed)| (*category, own(missed))).collect(),
        }
    }
}
