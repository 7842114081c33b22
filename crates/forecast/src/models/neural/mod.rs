//! A small neural net, global over all products: numeric features, an embedding of the product and one of its category,
//! two hidden layers, and a factor on the steady expectation as output, trained with the Tweedie loss. Written on plain
//! matrices in one thread, so that the same rows and seed give the same net bit for bit.

mod net;
mod optimizer;

use std::collections::BTreeMap;

use ndarray::Array2;
use sellcast_domain::{CategoryId, ProductId};

use crate::error::ForecastError;
use crate::models::boosted::{Table, other_features};
use crate::models::file::{Reader, Writer};
use crate::rows::{Rows, TrainingRows};
use net::Net;
use optimizer::Random;

/// Width of the embeddings: a product is known by some dozens of weeks, a category by thousands.
const PRODUCT_WIDTH: usize = 6;
const CATEGORY_WIDTH: usize = 8;
/// Steps of descent at least, whatever the number of rows; and passes over the rows at least and at most. More passes
/// learn the products of the past by heart.
const STEPS: usize = 1_000;
const PASSES: (usize, usize) = (2, 60);
/// Rows that are worked on at once when forecasting.
const CHUNK: usize = 4_096;
/// The forecast stays within this factor of the steady expectation (as a logarithm).
const MOST_LOG_FACTOR: f32 = 4.0;
/// Variance power of the Tweedie loss, as for the boosted trees.
const POWER: f32 = super::boosted::POWER as f32;

/// A fitted net.
#[derive(Clone, Debug)]
pub(crate) struct Neural {
    name: String,
    names: Vec<String>,
    mean: Vec<f32>,
    scale: Vec<f32>,
    products: BTreeMap<ProductId, usize>,
    categories: BTreeMap<CategoryId, usize>,
    net: Net,
}

impl Neural {
    /// Fits the rows' amounts.
    pub(crate) fn fit(name: &str, rows: &TrainingRows, seed: u64) -> Self {
        let (mean, scale) = moments(rows.into());
        let products = vocabulary(&rows.products);
        let categories = vocabulary(&rows.categories);
        let mut random = Random::new(seed);
        let net = Net::new(rows.names.len(), [(products.len() + 1, PRODUCT_WIDTH), (categories.len() + 1, CATEGORY_WIDTH)], &mut random);
        let mut neural = Self { name: name.to_owned(), names: rows.names.clone(), mean, scale, products, categories, net };
        neural.train(rows, &mut random);
        neural
    }

    fn train(&mut self, rows: &TrainingRows, random: &mut Random) {
        let inputs = self.standardise(&rows.values);
        let places: Vec<[usize; 2]> = rows.products.iter().zip(&rows.categories).map(|(p, c)| self.places(*p, *c)).collect();
        // Amounts are measured in their mean, so that the steps do not depend on the currency.
        let unit = (rows.amounts.iter().map(|v| f64::from(*v)).sum::<f64>() / rows.len().max(1) as f64).max(1e-6) as f32;
        let batch = (rows.len() / 40).clamp(32, 512);
        let passes = (STEPS * batch / rows.len().max(1)).clamp(PASSES.0, PASSES.1);
        let steps = passes * rows.len().div_ceil(batch);
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut training = self.net.training();
        let mut step = 0;
        for _ in 0..passes {
            random.shuffle(&mut order);
            for chosen in order.chunks(batch) {
                let forward = self.net.forward(&gather(&inputs, self.names.len(), chosen), &pick(&places, chosen));
                let gradient = chosen
                    .iter()
                    .zip(&forward.output)
                    .map(|(row, output)| {
                        let mu = (rows.starts[*row].max(1e-3) / unit) * output.clamp(-MOST_LOG_FACTOR, MOST_LOG_FACTOR).exp();
                        let truth = rows.amounts[*row] / unit;
                        // Derivative of the Tweedie deviance by the logarithm of the mean.
                        let slope = mu.powf(2.0 - POWER) - truth * mu.powf(1.0 - POWER);
                        rows.weights[*row] * slope.clamp(-20.0, 20.0) / chosen.len() as f32
                    })
                    .collect();
                self.net.learn(forward, gradient, &mut training, step as f32 / steps as f32);
                step += 1;
            }
        }
    }

    /// Expected amounts.
    pub(crate) fn predict(&self, rows: &Rows, starts: &[f64]) -> Result<Vec<f32>, ForecastError> {
        if rows.names != self.names {
            return Err(other_features(&self.name));
        }
        let width = self.names.len();
        let places: Vec<[usize; 2]> = rows.products.iter().zip(&rows.categories).map(|(p, c)| self.places(*p, *c)).collect();
        let mut amounts = Vec::with_capacity(rows.len());
        for (values, places) in rows.values.chunks(CHUNK * width).zip(places.chunks(CHUNK)) {
            let inputs = Array2::from_shape_fn((places.len(), width), |(row, column)| self.input(values[row * width + column], column));
            amounts.extend(self.net.forward(&inputs, places).output);
        }
        Ok(amounts
            .iter()
            .zip(starts)
            .map(|(output, start)| output.clamp(-MOST_LOG_FACTOR, MOST_LOG_FACTOR).exp() * *start as f32)
            .collect())
    }

    /// Embeddings of a row; place 0 is for what the training had not seen.
    fn places(&self, product: ProductId, category: CategoryId) -> [usize; 2] {
        [self.products.get(&product).map_or(0, |at| at + 1), self.categories.get(&category).map_or(0, |at| at + 1)]
    }

    fn standardise(&self, values: &[f32]) -> Vec<f32> {
        let width = self.names.len();
        values.iter().enumerate().map(|(at, value)| self.input(*value, at % width)).collect()
    }

    fn input(&self, value: f32, column: usize) -> f32 {
        if value.is_finite() { ((squash(value) - self.mean[column]) / self.scale[column]).clamp(-5.0, 5.0) } else { 0.0 }
    }

    /// Strength of each feature in the first layer, strongest first: its inputs all have the same spread.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        let mut strengths: Vec<_> = self.names.iter().cloned().zip(self.net.strengths()).collect();
        strengths.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        strengths
    }

    /// As bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.floats(self.mean.iter());
        writer.floats(self.scale.iter());
        writer.u32(self.products.len() as u32);
        self.products.keys().for_each(|id| writer.i64(id.get()));
        writer.u32(self.categories.len() as u32);
        self.categories.keys().for_each(|id| writer.i64(id.get()));
        self.net.write(&mut writer);
        writer.0
    }

    /// Reads what [`Neural::encode`] wrote for the same features.
    pub(crate) fn decode(name: &str, names: Vec<String>, bytes: &[u8]) -> Result<Self, ForecastError> {
        let mut reader = Reader::new(name, bytes);
        let (mean, scale) = (reader.floats()?, reader.floats()?);
        if mean.len() != names.len() || scale.len() != names.len() {
            let reason = format!("it has {} features, this program computes {}", mean.len(), names.len());
            return Err(ForecastError::Model { model: name.to_owned(), reason });
        }
        let mut ids = || -> Result<Vec<i64>, ForecastError> { (0..reader.u32()?).map(|_| reader.i64()).collect() };
        let (products, categories) = (vocabulary(&ids()?), vocabulary(&ids()?));
        let products: BTreeMap<ProductId, usize> = products.into_iter().map(|(id, at)| (id.into(), at)).collect();
        let categories: BTreeMap<CategoryId, usize> = categories.into_iter().map(|(id, at)| (id.into(), at)).collect();
        let net = Net::read(&mut reader, names.len(), [(products.len() + 1, PRODUCT_WIDTH), (categories.len() + 1, CATEGORY_WIDTH)])?;
        let net = net.ok_or_else(|| ForecastError::Model { model: name.to_owned(), reason: "its layers have other sizes".into() })?;
        Ok(Self { name: name.to_owned(), names, mean, scale, products, categories, net })
    }
}

/// Amounts and counts span orders of magnitude.
fn squash(value: f32) -> f32 {
    value.signum() * value.abs().ln_1p()
}

/// Mean and deviation of each squashed column, over what is finite.
fn moments(table: Table<'_>) -> (Vec<f32>, Vec<f32>) {
    let width = table.names.len();
    let mut sums = vec![(0.0_f64, 0.0_f64, 0.0_f64); width];
    for (at, value) in table.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let (sum, value) = (&mut sums[at % width], f64::from(squash(*value)));
        *sum = (sum.0 + 1.0, sum.1 + value, sum.2 + value * value);
    }
    sums.into_iter()
        .map(|(count, sum, squares)| {
            let mean = sum / count.max(1.0);
            let deviation = (squares / count.max(1.0) - mean * mean).max(0.0).sqrt();
            // A constant column says nothing; it must not be blown up.
            (mean as f32, if deviation > 1e-6 { deviation as f32 } else { 1.0 })
        })
        .unzip()
}

fn vocabulary<T: Ord + Copy>(ids: &[T]) -> BTreeMap<T, usize> {
    let known: std::collections::BTreeSet<T> = ids.iter().copied().collect();
    known.into_iter().enumerate().map(|(at, id)| (id, at)).collect()
}

fn gather(inputs: &[f32], width: usize, chosen: &[usize]) -> Array2<f32> {
    Array2::from_shape_fn((chosen.len(), width), |(row, column)| inputs[chosen[row] * width + column])
}

fn pick(places: &[[usize; 2]], chosen: &[usize]) -> Vec<[usize; 2]> {
    chosen.iter().map(|row| places[*row]).collect()
}
