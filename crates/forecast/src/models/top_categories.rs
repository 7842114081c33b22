//! Boosted models of single categories, for those with the highest sales: each is used only if, trained on the older
//! origins, it had a lower loss on the newest ones than the model pooled over all products.

use std::collections::{BTreeMap, BTreeSet};

use sellcast_domain::{CategoryId, ShopDay};

use crate::error::ForecastError;
use crate::models::boosted::{BoostSettings, Boosted, POWER, Table, TrainingMatrix};
use crate::models::file::{Reader, Writer};
use crate::rows::{Rows, TrainingRows};

/// Categories that are tried.
const TRIED: usize = 30;
/// A category with fewer training rows is not tried: its trees would learn products by heart.
const LEAST_ROWS: usize = 1_000;

/// The categories that won, each with its model.
#[derive(Clone, Debug)]
pub(crate) struct TopCategories {
    models: BTreeMap<CategoryId, Boosted>,
}

impl TopCategories {
    /// Tries the largest categories. With fewer than four origins nothing can be held out, and none is used.
    pub(crate) fn fit(name: &str, rows: &TrainingRows, settings: BoostSettings) -> Result<Self, ForecastError> {
        let mut models = BTreeMap::new();
        let Some(first_held_out) = first_held_out(rows) else { return Ok(Self { models }) };
        let is_old = |row: &usize| rows.origins[*row] < first_held_out;
        let (old, held_out): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(is_old);
        let older = rows.select(&old);
        let pooled = Boosted::fit(name, &TrainingMatrix::of(&older)?, &older.amounts, &older.starts, settings)?;
        for category in largest(rows) {
            let of = |places: &[usize]| {
                let chosen: Vec<usize> = places.iter().copied().filter(|row| rows.categories[*row] == category).collect();
                rows.select(&chosen)
            };
            let (older, held_out) = (of(&old), of(&held_out));
            if older.len() < LEAST_ROWS || held_out.len() == 0 {
                continue;
            }
            let alone = fit(name, &older, settings)?;
            let (alone, pooled) = (error(&alone, &held_out)?, error(&pooled, &held_out)?);
            tracing::debug!(category = category.get(), alone, pooled, "a model of one category was tried");
            if alone < pooled {
                models.insert(category, fit(name, &of(&(0..rows.len()).collect::<Vec<_>>()), settings)?);
            }
        }
        Ok(Self { models })
    }

    /// The amounts, in the categories that won; `pooled` elsewhere.
    pub(crate) fn predict(&self, rows: &Rows, starts: &[f64], pooled: &[f32]) -> Result<Vec<f32>, ForecastError> {
        let mut amounts = pooled.to_vec();
        for (category, model) in &self.models {
            let chosen: Vec<usize> = (0..rows.len()).filter(|row| rows.categories[*row] == *category).collect();
            let values: Vec<f32> = chosen.iter().flat_map(|row| rows.row(*row)).copied().collect();
            let starts: Vec<f64> = chosen.iter().map(|row| starts[*row]).collect();
            let said = model.predict(Table { names: &rows.names, values: &values }, &starts)?;
            chosen.into_iter().zip(said).for_each(|(row, amount)| amounts[row] = amount as f32);
        }
        Ok(amounts)
    }

    /// As bytes: the number of models, then each category and its model.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ForecastError> {
        let mut writer = Writer::default();
        writer.u32(self.models.len() as u32);
        for (category, model) in &self.models {
            writer.i64(category.get());
            writer.part(&model.encode()?);
        }
        Ok(writer.0)
    }

    /// Reads what [`TopCategories::encode`] wrote.
    pub(crate) fn decode(name: &str, names: &[String], bytes: &[u8]) -> Result<Self, ForecastError> {
        let mut reader = Reader::new(name, bytes);
        let mut models = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let category = CategoryId::from(reader.i64()?);
            models.insert(category, Boosted::decode(name, names.to_vec(), reader.part()?)?);
        }
        Ok(Self { models })
    }

    /// Total gain of each feature over the categories, largest first.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for (feature, gain) in self.models.values().flat_map(Boosted::importance) {
            *sums.entry(feature).or_default() += gain;
        }
        let mut sorted: Vec<_> = sums.into_iter().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        sorted
    }

    /// The categories that won.
    #[cfg(test)]
    pub(crate) fn categories(&self) -> Vec<CategoryId> {
        self.models.keys().copied().collect()
    }
}

fn fit(name: &str, rows: &TrainingRows, settings: BoostSettings) -> Result<Boosted, ForecastError> {
    Boosted::fit(name, &TrainingMatrix::of(rows)?, &rows.amounts, &rows.starts, settings.of_part())
}

/// Weighted Tweedie deviance, up to what the truth alone adds. The absolute error would prefer forecasts that are too low,
/// because most rows sell less than their mean.
fn error(model: &Boosted, rows: &TrainingRows) -> Result<f64, ForecastError> {
    let starts: Vec<f64> = rows.starts.iter().map(|start| f64::from(*start)).collect();
    let deviance = |(mu, truth): (f64, f64)| {
        let mu = mu.max(1e-6);
        mu.powf(2.0 - POWER) / (2.0 - POWER) - truth * mu.powf(1.0 - POWER) / (1.0 - POWER)
    };
    let said = model.predict(rows, &starts)?.into_iter().zip(rows.amounts.iter().map(|truth| f64::from(*truth)));
    Ok(said.map(deviance).zip(&rows.weights).map(|(deviance, weight)| deviance * f64::from(*weight)).sum())
}

/// The newest quarter of the origins is held out.
fn first_held_out(rows: &TrainingRows) -> Option<ShopDay> {
    let origins: Vec<ShopDay> = rows.origins.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    (origins.len() >= 4).then(|| origins[origins.len() - origins.len() / 4])
}

fn largest(rows: &TrainingRows) -> Vec<CategoryId> {
    let mut sums: BTreeMap<CategoryId, f64> = BTreeMap::new();
    for row in 0..rows.len() {
        *sums.entry(rows.categories[row]).or_default() += f64::from(rows.amounts[row] * rows.weights[row]);
    }
    let mut order: Vec<_> = sums.into_iter().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    order.into_iter().take(TRIED).map(|(category, _)| category).collect()
}
