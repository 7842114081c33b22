//! Launch curves: what similar products sold when they were as old, as a share of their category's sales then, scaled by how
//! often this one has been bought again so far; and the chance that a product which never sold will do so in the week.

use std::collections::BTreeMap;

use sellcast_domain::{CategoryId, ProductId};

use super::history::{Newcomer, Newcomers};

/// A product is young until this many days after its first sale.
pub(crate) const YOUNG_DAYS: i32 = 28;
/// Launches of a category count as much as those of the whole shop from this number on, and the most similar ones as much as
/// the category's.
const PRIOR: f64 = 10.0;
/// Launches without which no curve is drawn.
const LEAST: usize = 30;
/// Repeat purchases that a product counts for beyond its own, to be chosen from.
const STEADY: [f64; 7] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Launches that `STEADY` is chosen on.
const SAMPLE: usize = 2_000;
/// Weeks of first sales that the chance of one is learnt from.
const WEEKS: i32 = 8;
/// Last days of the bands of time for which the catalogue has known a product.
const KNOWN_BANDS: [i32; 3] = [7, 28, 91];
/// A product that more likely than not sells nothing is best expected at nothing.
pub(crate) const LIKELY: f64 = 0.5;

/// A launch of some age: what became of it in the period after.
struct Launch<'a> {
    newcomer: &'a Newcomer,
    /// What its category sold in that period, more than nothing.
    sold: f64,
    amount: f64,
    /// Repeats until then.
    repeats: f64,
}

/// What launches of one age have in common.
struct Stage<'a> {
    launches: BTreeMap<CategoryId, Vec<Launch<'a>>>,
    /// By category: mean share of the category's sales, and mean repeats until then.
    means: BTreeMap<CategoryId, (f64, f64)>,
    /// Mean amount and repeats in the whole shop.
    shop: (f64, f64),
    /// How many repeats the mean counts for beside a product's own.
    steady: f64,
}

/// The curves of one as_of for periods of some length.
pub(crate) struct Curves<'a> {
    newcomers: &'a Newcomers,
    days: i32,
    launches: BTreeMap<CategoryId, Vec<&'a Newcomer>>,
    stages: BTreeMap<i32, Option<Stage<'a>>>,
}

impl<'a> Curves<'a> {
    pub(crate) fn new(newcomers: &'a Newcomers, days: i32) -> Self {
        let mut launches: BTreeMap<CategoryId, Vec<&Newcomer>> = BTreeMap::new();
        for newcomer in newcomers.all.iter().filter(|newcomer| newcomer.first.is_some()) {
            launches.entry(newcomer.category).or_default().push(newcomer);
        }
        Self { newcomers, days, launches, stages: BTreeMap::new() }
    }

    /// Launches of a category that were at least `age` days old, a period ago.
    fn completed(&self, category: CategoryId, launches: &[&'a Newcomer], age: i32) -> Vec<Launch<'a>> {
        let sales = self.newcomers.sold(category);
        let lived = |newcomer: &&'a Newcomer| {
            let from = newcomer.first? + age;
            let sold = sales.amount(from, from + self.days);
            (from + self.days <= self.newcomers.as_of && sold > 0.0).then(|| {
                let amount = newcomer.amount(age, age + self.days).max(0.0);
                Launch { newcomer, sold, amount, repeats: newcomer.repeats(age) }
            })
        };
        launches.iter().filter_map(lived).collect()
    }

    fn stage(&self, age: i32) -> Option<Stage<'a>> {
        let completed = |(category, launches): (&CategoryId, &Vec<&'a Newcomer>)| (*category, self.completed(*category, launches, age));
        let launches: BTreeMap<CategoryId, Vec<Launch<'a>>> = self.launches.iter().map(completed).collect();
        let count: usize = launches.values().map(Vec::len).sum();
        if count < LEAST {
            return None;
        }
        let mut shop = (0.0, 0.0);
        let mut sums: BTreeMap<CategoryId, (f64, f64, f64)> = BTreeMap::new();
        for (category, launches) in launches.iter().filter(|(_, launches)| !launches.is_empty()) {
            let sum = sums.entry(*category).or_default();
            for Launch { sold, amount, repeats, .. } in launches {
                shop = (shop.0 + amount, shop.1 + repeats);
                *sum = (sum.0 + amount / sold, sum.1 + repeats, sum.2 + 1.0);
            }
        }
        let shop = (shop.0 / count as f64, shop.1 / count as f64);
        let means = sums.into_iter().map(|(category, (share, repeats, launches))| {
            let prior = self.share_of(category, shop.0);
            (category, ((share + PRIOR * prior) / (launches + PRIOR), (repeats + PRIOR * shop.1) / (launches + PRIOR)))
        });
        let mut stage = Stage { launches, means: means.collect(), shop, steady: 1.0 };
        // An even sample tells one number as well as all of them do.
        let mut cases = Vec::new();
        for (category, mean) in &stage.means {
            cases.extend(stage.launches[category].iter().map(|launch| (launch.amount, mean.0 * launch.sold, launch.repeats, mean.1)));
        }
        let step = cases.len().div_ceil(SAMPLE).max(1);
        let deviance = |steady: f64| -> f64 {
            let one = |(actual, usual, own, mean): &(f64, f64, f64, f64)| {
                super::weights::tweedie(*actual, usual * (own + steady) / (mean + steady))
            };
            cases.iter().step_by(step).map(one).sum()
        };
        let tried = STEADY.map(|steady| (deviance(steady), steady));
        stage.steady = tried.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1.0, |(_, steady)| steady);
        Some(stage)
    }

    /// What a category is expected to sell in the period: as in the last four weeks.
    fn expected(&self, category: CategoryId) -> f64 {
        let as_of = self.newcomers.as_of;
        self.newcomers.sold(category).amount(as_of - 28, as_of).max(0.0) * f64::from(self.days) / 28.0
    }

    fn share_of(&self, category: CategoryId, amount: f64) -> f64 {
        let expected = self.expected(category);
        if expected > 0.0 { (amount / expected).min(1.0) } else { 0.0 }
    }

    /// What a product is expected to sell in the period as launches like it did at its age (0: from the first sale on). `None`
    /// where the shop has seen too few.
    pub(crate) fn amount(&mut self, newcomer: &Newcomer) -> Option<f64> {
        let age = newcomer.first.map_or(0, |first| self.newcomers.as_of - first);
        let stage = self.stages.remove(&age).unwrap_or_else(|| self.stage(age));
        let amount = stage.as_ref().map(|stage| self.amount_by(stage, newcomer, age));
        self.stages.insert(age, stage);
        amount
    }

    fn amount_by(&self, stage: &Stage<'_>, newcomer: &Newcomer, age: i32) -> f64 {
        let words = &self.newcomers.words;
        let others = stage.launches.get(&newcomer.category).into_iter().flatten().filter(|other| other.newcomer.id != newcomer.id);
        let like: Vec<(f64, &Launch<'_>)> =
            others.map(|other| (words.likeness(&newcomer.description, &other.newcomer.description), other)).collect();
        let most = like.iter().map(|(likeness, _)| *likeness).fold(0.0, f64::max);
        let prior = || (self.share_of(newcomer.category, stage.shop.0), stage.shop.1);
        let mean = stage.means.get(&newcomer.category).copied().unwrap_or_else(prior);
        let mut sums = (PRIOR * mean.0, PRIOR * mean.1, PRIOR);
        for (likeness, other) in like.iter().filter(|(likeness, _)| *likeness > 0.0) {
            let weight = (likeness / most).powi(2);
            sums = (sums.0 + weight * (other.amount / other.sold), sums.1 + weight * other.repeats, sums.2 + weight);
        }
        let (share, repeats) = (sums.0 / sums.2, sums.1 / sums.2);
        let scale = (newcomer.repeats(age) + stage.steady) / (repeats + stage.steady);
        share * self.expected(newcomer.category) * scale
    }

    /// The launches that a product is most like, best first; those of at least four weeks ago, which have shown how they sell.
    pub(crate) fn like(&self, newcomer: &Newcomer, most: usize) -> Vec<&'a Newcomer> {
        let words = &self.newcomers.words;
        let others = self.launches.get(&newcomer.category).into_iter().flatten();
        let shown =
            others.filter(|other| other.id != newcomer.id && other.first.is_some_and(|first| first + YOUNG_DAYS <= self.newcomers.as_of));
        let mut like: Vec<(f64, &Newcomer)> =
            shown.map(|other| (words.likeness(&newcomer.description, &other.description), *other)).filter(|like| like.0 > 0.0).collect();
        like.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.id.cmp(&b.1.id)));
        like.into_iter().take(most).map(|(_, other)| other).collect()
    }

    /// Price of a unit of the launches that a product is most like; two stands for an unknown price, as it does elsewhere.
    pub(crate) fn price(&self, newcomer: &Newcomer) -> f32 {
        let prices = self.like(newcomer, PRIOR as usize).into_iter().map(|other| other.description.price).filter(|price| *price > 0.01);
        let (sum, count) = prices.fold((0.0, 0.0), |sum: (f32, f32), price| (sum.0 + price, sum.1 + 1.0));
        if count > 0.0 { sum / count } else { 2.0 }
    }
}

/// The chance of a first sale within the week of every product that never sold, by how long the catalogue has known it, whether
/// a promotion of it is announced, and its category: the share of such products that were first sold in each of the last weeks.
pub(crate) fn chances(newcomers: &Newcomers) -> BTreeMap<ProductId, f64> {
    let cell = |newcomer: &Newcomer, day: i32| {
        let known = KNOWN_BANDS.iter().filter(|last| day - newcomer.known_from > **last).count();
        (known, newcomers.is_promoted(newcomer.id, day, day + 7))
    };
    let waits = |newcomer: &Newcomer, day: i32| newcomer.known_from <= day && newcomer.first.is_none_or(|first| first >= day);
    let weeks = (1..=WEEKS).map(|week| newcomers.as_of - 7 * week).filter(|day| *day >= newcomers.sure_from);
    let mut cases = Vec::new();
    for day in weeks {
        for newcomer in newcomers.all.iter().filter(|newcomer| waits(newcomer, day)) {
            let sold = newcomer.first.is_some_and(|first| first < day + 7);
            cases.push((cell(newcomer, day), newcomer.category, f64::from(u8::from(sold))));
        }
    }
    if cases.len() < LEAST {
        return BTreeMap::new();
    }
    let shop = (cases.iter().map(|case| case.2).sum::<f64>() + 0.5) / (cases.len() as f64 + 1.0);
    let mut cells: BTreeMap<(usize, bool), (f64, f64)> = BTreeMap::new();
    for (cell, _, sold) in &cases {
        let sums = cells.entry(*cell).or_default();
        *sums = (sums.0 + sold, sums.1 + 1.0);
    }
    let rate = |cell: &(usize, bool)| {
        let (sold, waited) = cells.get(cell).copied().unwrap_or_default();
        (sold + PRIOR * shop) / (waited + PRIOR)
    };
    let mut categories: BTreeMap<CategoryId, (f64, f64)> = BTreeMap::new();
    for (cell, category, sold) in &cases {
        let sums = categories.entry(*category).or_default();
        *sums = (sums.0 + sold, sums.1 + rate(cell));
    }
    let factor = |category: &CategoryId| {
        let (sold, expected) = categories.get(category).copied().unwrap_or_default();
        (sold + PRIOR) / (expected + PRIOR)
    };
    let never = newcomers.all.iter().filter(|newcomer| newcomer.first.is_none());
    never.map(|newcomer| (newcomer.id, (rate(&cell(newcomer, newcomers.as_of)) * factor(&newcomer.category)).min(1.0))).collect()
}
