//! Model input: the features of products at origins, with the calendar of the frame's target period appended, and the
//! labels once the truth is known.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sellcast_domain::{CategoryId, Period, ProductId, ShopDay, TimeFrame};
use sellcast_features::{CALENDAR_FEATURES, Calendar, FeatureSet, Target};

use crate::cold_start::{Launches, Unsold};

/// A product that has not sold for more days than this teaches little, and there are many of them.
const DORMANT_DAYS: f32 = 28.0;
/// The share of its rows that is taken where there are more than enough.
const DORMANT_SHARE: f64 = 0.25;

/// One frame's inputs at one as_of.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) period: Period,
    pub(crate) products: Vec<ProductId>,
    pub(crate) categories: Vec<CategoryId>,
    pub(crate) names: Vec<String>,
    /// Row-major.
    pub(crate) values: Vec<f32>,
    /// Days of sales before as_of.
    pub(crate) history_days: i64,
    /// What launch curves say of new products.
    pub(crate) launches: Launches,
    /// Units by launch curves of the last rows: products that never sold, without any features.
    pub(crate) unsold_units: Vec<f32>,
}

impl Rows {
    pub(crate) fn new(set: &FeatureSet, frame: TimeFrame, calendar: &Calendar, first_day: ShopDay) -> Self {
        Self::chosen(set, (0..set.len()).collect(), frame, calendar, first_day)
    }

    /// Some rows of a set, in the order given.
    pub(crate) fn chosen(set: &FeatureSet, chosen: Vec<usize>, frame: TimeFrame, calendar: &Calendar, first_day: ShopDay) -> Self {
        let period = Period::starting(frame, set.as_of);
        let calendar = calendar.features(period);
        let mut values = Vec::with_capacity(chosen.len() * (set.names.len() + calendar.len()));
        for row in &chosen {
            values.extend_from_slice(set.row(*row));
            values.extend_from_slice(&calendar);
        }
        Self {
            period,
            products: pick(&set.products, &chosen),
            categories: pick(&set.categories, &chosen),
            names: set.names.iter().cloned().chain(CALENDAR_FEATURES.map(str::to_owned)).collect(),
            values,
            history_days: set.as_of.days_since(first_day),
            launches: Launches::default(),
            unsold_units: Vec::new(),
        }
    }

    /// With what launch curves say of its rows, and rows of products that never sold.
    pub(crate) fn with_launches(mut self, launches: Launches, unsold: &[Unsold<'_>]) -> Self {
        self.launches = launches;
        for product in unsold {
            self.products.push(product.product());
            self.categories.push(product.category());
            self.values.extend(std::iter::repeat_n(f32::NAN, self.names.len()));
            self.launches.amount.push(product.amount);
            self.launches.age.push(0.0);
            self.unsold_units.push(product.units);
        }
        self
    }

    /// The rows that have features: those of products that sold within a year.
    pub(crate) fn sold(&self) -> Self {
        let sold = self.len() - self.unsold_units.len();
        Self {
            period: self.period,
            products: self.products[..sold].to_vec(),
            categories: self.categories[..sold].to_vec(),
            names: self.names.clone(),
            values: self.values[..sold * self.names.len()].to_vec(),
            history_days: self.history_days,
            launches: Launches::default(),
            unsold_units: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.products.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        let width = self.names.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// A feature by name; NaN everywhere if the set lacks it.
    pub(crate) fn column(&self, name: &str) -> Vec<f32> {
        column(&self.names, &self.values, name)
    }
}

/// A column of a row-major table by name; NaN everywhere if it has none of that name.
pub(crate) fn column(names: &[String], values: &[f32], name: &str) -> Vec<f32> {
    match names.iter().position(|n| n == name) {
        Some(at) => values.iter().skip(at).step_by(names.len()).copied().collect(),
        None => vec![f32::NAN; values.len() / names.len().max(1)],
    }
}

/// Rows of several origins with their truth.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrainingRows {
    pub(crate) names: Vec<String>,
    /// Row-major; shared with the matrices that models train on, because they are hundreds of megabytes.
    pub(crate) values: Arc<Vec<f32>>,
    pub(crate) amounts: Vec<f32>,
    pub(crate) quantities: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    /// Forecast of the plain baseline, the starting point of boosting.
    pub(crate) starts: Vec<f32>,
    pub(crate) products: Vec<ProductId>,
    pub(crate) categories: Vec<CategoryId>,
    pub(crate) origins: Vec<ShopDay>,
    /// Rank by true amount in the category, from 1; `u32::MAX` for what did not sell.
    pub(crate) ranks: Vec<u32>,
}

impl TrainingRows {
    pub(crate) fn len(&self) -> usize {
        self.amounts.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        let width = self.names.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// A feature by name; NaN everywhere if there is none of that name.
    pub(crate) fn column(&self, name: &str) -> Vec<f32> {
        column(&self.names, &self.values, name)
    }

    /// The steady expectation in units, by the mean price of the last quarter; two stands for an unknown price.
    pub(crate) fn unit_starts(&self) -> Vec<f32> {
        let price = self.column("price_91d");
        self.starts.iter().zip(price).map(|(start, price)| start / if price.is_finite() && price > 0.01 { price } else { 2.0 }).collect()
    }

    /// The rows at the given places, in their order.
    pub(crate) fn select(&self, chosen: &[usize]) -> Self {
        let mut values = Vec::with_capacity(chosen.len() * self.names.len());
        chosen.iter().for_each(|row| values.extend_from_slice(self.row(*row)));
        Self {
            names: self.names.clone(),
            values: Arc::new(values),
            amounts: pick(&self.amounts, chosen),
            quantities: pick(&self.quantities, chosen),
            weights: pick(&self.weights, chosen),
            starts: pick(&self.starts, chosen),
            products: pick(&self.products, chosen),
            categories: pick(&self.categories, chosen),
            origins: pick(&self.origins, chosen),
            ranks: pick(&self.ranks, chosen),
        }
    }

    /// Makes room for as many more values. They would be moved time and again while they grow.
    pub(crate) fn reserve(&mut self, values: usize) {
        Arc::make_mut(&mut self.values).reserve(values);
    }

    /// Adds rows of one origin with their truth. Each counts as much as its weight says.
    pub(crate) fn add(&mut self, rows: &Rows, weights: &[f32], target: &Target, starts: &[f64]) {
        self.names.clone_from(&rows.names);
        let ranks = true_ranks(target);
        let truth = |product: &ProductId| target.rows.get(product);
        Arc::make_mut(&mut self.values).extend_from_slice(&rows.values);
        // The loss is for amounts that are not negative; a period of returns alone counts as nothing sold.
        self.amounts.extend(rows.products.iter().map(|product| truth(product).map_or(0.0, |t| t.amount.max(0.0) as f32)));
        self.quantities.extend(rows.products.iter().map(|product| truth(product).map_or(0.0, |t| t.quantity.max(0.0) as f32)));
        self.weights.extend_from_slice(weights);
        self.starts.extend(starts.iter().map(|start| *start as f32));
        self.products.extend_from_slice(&rows.products);
        self.categories.extend_from_slice(&rows.categories);
        self.origins.extend(std::iter::repeat_n(rows.period.start(), rows.len()));
        self.ranks.extend(rows.products.iter().map(|product| ranks.get(product).copied().unwrap_or(u32::MAX)));
    }
}

/// The rows of a set that a training takes, and how much each of them counts: of all the given share. Unless that is all of them,
/// products without a sale for four weeks are sampled once more ([`DORMANT_SHARE`]). What is left is weighted up; the choice is a hash
/// of product and origin, so it is the same each time.
pub(crate) fn drawn(set: &FeatureSet, share: f64) -> (Vec<usize>, Vec<f32>) {
    let since = column(&set.names, &set.values, "days_since_last_sale");
    let drawn = set.products.iter().zip(since).enumerate().filter_map(|(row, (product, since))| {
        let keep = if share < 1.0 && since > DORMANT_DAYS { share * DORMANT_SHARE } else { share };
        (keep >= 1.0 || lot(*product, set.as_of) < keep).then(|| (row, (1.0 / keep.min(1.0)) as f32))
    });
    drawn.unzip()
}

pub(crate) fn pick<T: Copy>(values: &[T], chosen: &[usize]) -> Vec<T> {
    chosen.iter().map(|at| values[*at]).collect()
}

/// Rank of every product that sold within its category, ties by id.
fn true_ranks(target: &Target) -> HashMap<ProductId, u32> {
    let mut order: Vec<_> = target.rows.iter().map(|(product, row)| (row.category, row.amount, *product)).collect();
    order.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let mut last = None;
    let ranked = order.into_iter().map(|(category, _, product)| {
        let rank = match last {
            Some((of, rank)) if of == category => rank + 1,
            _ => 1,
        };
        last = Some((category, rank));
        (product, rank)
    });
    ranked.collect()
}

/// A number from 0 to 1 that depends on the product and the origin alone.
fn lot(product: ProductId, origin: ShopDay) -> f64 {
    let mut hasher = DefaultHasher::new();
    (product, origin.epoch_days()).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}
