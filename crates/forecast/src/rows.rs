//! Model input: the features of products at origins, with the calendar of the frame's target period appended, and the
//! labels once the truth is known.

use std::hash::{DefaultHasher, Hash, Hasher};

use sellcast_domain::{CategoryId, Period, ProductId, ShopDay, TimeFrame};
use sellcast_features::{CALENDAR_FEATURES, Calendar, FeatureSet, Target};

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
}

impl Rows {
    pub(crate) fn new(set: &FeatureSet, frame: TimeFrame, calendar: &Calendar, first_day: ShopDay) -> Self {
        let period = Period::starting(frame, set.as_of);
        let calendar = calendar.features(period);
        let mut values = Vec::with_capacity(set.len() * (set.names.len() + calendar.len()));
        for row in 0..set.len() {
            values.extend_from_slice(set.row(row));
            values.extend_from_slice(&calendar);
        }
        Self {
            period,
            products: set.products.clone(),
            categories: set.categories.clone(),
            names: set.names.iter().cloned().chain(CALENDAR_FEATURES.map(str::to_owned)).collect(),
            values,
            history_days: set.as_of.days_since(first_day),
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
        match self.names.iter().position(|n| n == name) {
            Some(at) => self.values.iter().skip(at).step_by(self.names.len()).copied().collect(),
            None => vec![f32::NAN; self.len()],
        }
    }
}

/// Rows of several origins with their truth.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrainingRows {
    pub(crate) names: Vec<String>,
    pub(crate) values: Vec<f32>,
    pub(crate) amounts: Vec<f32>,
    pub(crate) quantities: Vec<f32>,
    pub(crate) weights: Vec<f32>,
    /// Forecast of the plain baseline, the starting point of boosting.
    pub(crate) starts: Vec<f32>,
}

impl TrainingRows {
    pub(crate) fn len(&self) -> usize {
        self.amounts.len()
    }

    /// Adds an origin. Products without a sale for a quarter are sampled (one in `1 / dormant_share`, weighted up), and
    /// so is everything else down to `share`: the choice is a hash of product and origin, so it is the same each time.
    pub(crate) fn add(&mut self, rows: &Rows, target: &Target, share: f64, starts: &[f64]) {
        self.names.clone_from(&rows.names);
        let since = rows.column("days_since_last_sale");
        for (row, product) in rows.products.iter().enumerate() {
            let keep = share * if since[row] > 91.0 { 0.25 } else { 1.0 };
            if keep < 1.0 && lot(*product, rows.period.start()) >= keep {
                continue;
            }
            let truth = target.rows.get(product);
            self.values.extend_from_slice(rows.row(row));
            // The loss is for amounts that are not negative; a period of returns alone counts as nothing sold.
            self.amounts.push(truth.map_or(0.0, |t| t.amount.max(0.0) as f32));
            self.quantities.push(truth.map_or(0.0, |t| t.quantity.max(0.0) as f32));
            self.weights.push((1.0 / keep.min(1.0)) as f32);
            self.starts.push(starts[row] as f32);
        }
    }
}

/// A number from 0 to 1 that depends on the product and the origin alone.
fn lot(product: ProductId, origin: ShopDay) -> f64 {
    let mut hasher = DefaultHasher::new();
    (product, origin.epoch_days()).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}
