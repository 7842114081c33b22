//! All candidate models' forecasts for one frame and as_of, before they are combined.

use std::collections::BTreeMap;

use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::models::baseline::{baselines, start};
use crate::models::kind::ModelKind;
use crate::models::{Said, Scene, deal};
use crate::rows::Rows;
use crate::series::Series;
use crate::train::FrameModels;

/// One amount per row and model; quantity, membership and activity beside them.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    pub(crate) amounts: BTreeMap<String, Vec<f32>>,
    pub(crate) quantity: Vec<f32>,
    pub(crate) membership: Vec<f32>,
    pub(crate) activity: Vec<f32>,
}

impl Forecaster<'_> {
    /// What every candidate says of the rows of one as_of.
    pub(crate) async fn candidates(&self, rows: &Rows, models: Option<&FrameModels>) -> Result<Candidates, ForecastError> {
        let history = self.history(rows, models).await?;
        tokio::task::block_in_place(|| Candidates::of_all(rows, models, history.as_ref()))
    }

    /// The sales of the rows that sold, if one of the models reads them.
    pub(crate) async fn history(&self, rows: &Rows, models: Option<&FrameModels>) -> Result<Option<Series>, ForecastError> {
        match models {
            Some(models) if models.kinds().any(ModelKind::reads_history) => Ok(Some(self.series(&rows.sold()).await?)),
            _ => Ok(None),
        }
    }
}

impl Candidates {
    /// What every candidate says of all rows, also of products that never sold.
    pub(crate) fn of_all(rows: &Rows, models: Option<&FrameModels>, history: Option<&Series>) -> Result<Self, ForecastError> {
        let sold = (!rows.unsold_units.is_empty()).then(|| rows.sold());
        Ok(Self::of(sold.as_ref().unwrap_or(rows), models, history)?.with_unsold(&rows.unsold_units))
    }

    /// Baselines, and the trained models if there are any; without `series` those that read the history are left out.
    pub(crate) fn of(rows: &Rows, models: Option<&FrameModels>, series: Option<&Series>) -> Result<Self, ForecastError> {
        let mut amounts: BTreeMap<String, Vec<f32>> =
            baselines(rows).into_iter().map(|(name, values)| (name.to_owned(), values.iter().map(|v| *v as f32).collect())).collect();
        let prices = prices(rows);
        // Units by the half-and-half mean over the product's mean price, until a model knows better.
        let mut quantity: Vec<f32> =
            amounts["half_4w_half_26w"].iter().zip(&prices).map(|(amount, price)| amount / price.max(0.01)).collect();
        let mut membership = vec![f32::NAN; rows.len()];
        let starts = start(rows);
        let mut reference = Vec::new();
        let fitted = models.map(|models| (models.list(), models.planned()));
        for ((kind, model), planned) in fitted.iter().flat_map(|(list, planned)| list.iter().map(move |one| (one, *planned))) {
            if kind.reads_history() && series.is_none() {
                continue;
            }
            let scene = Scene { rows, starts: &starts, prices: &prices, series, reference: &reference };
            let said = model.say(*kind, &scene, planned)?;
            let values = match said {
                Said::Amounts(values) => values,
                Said::Units(units) => {
                    let values = units.iter().zip(&prices).map(|(units, price)| units * price).collect();
                    quantity = units;
                    values
                }
                Said::Membership(values) => {
                    let dealt = deal(&rows.categories, &values, &reference);
                    membership = values;
                    dealt
                }
            };
            if *kind == ModelKind::GbmAmount {
                reference.clone_from(&values);
            }
            amounts.insert(kind.name().to_owned(), values);
        }
        Ok(Self { amounts, quantity, membership, activity: rows.column("transactions_91d").iter().map(|v| v.max(0.0)).collect() })
    }

    /// With rows of products that never sold, of which no candidate knows anything.
    fn with_unsold(mut self, units: &[f32]) -> Self {
        let rows = self.activity.len() + units.len();
        self.amounts.values_mut().for_each(|amounts| amounts.resize(rows, 0.0));
        self.quantity.extend_from_slice(units);
        self.membership.resize(rows, f32::NAN);
        self.activity.resize(rows, 0.0);
        self
    }
}

/// Mean absolute deviation of the candidates from the combination, relative to it.
pub(crate) fn disagreement(amounts: &BTreeMap<String, Vec<f32>>, weights: &BTreeMap<String, f64>, combined: &[f32]) -> Vec<f32> {
    let mut spread = vec![0.0_f32; combined.len()];
    let mut total = 0.0_f32;
    for (model, values) in amounts {
        // Every candidate has a say here, the trusted ones more.
        let weight = 0.1 + weights.get(model).copied().unwrap_or(0.0) as f32;
        total += weight;
        spread.iter_mut().zip(values).zip(combined).for_each(|((sum, value), mean)| *sum += weight * (value - mean).abs() / (mean + 0.05));
    }
    spread.into_iter().map(|sum| if total > 0.0 { sum / total } else { 0.0 }).collect()
}

/// Mean price per unit of each row: of the last quarter, of the last year without sales in it, else one.
fn prices(rows: &Rows) -> Vec<f32> {
    let quarter = rows.column("price_91d");
    let by_sale = rows.column("amount_per_sale");
    (0..rows.len()).map(|row| [quarter[row], by_sale[row]].into_iter().find(|p| p.is_finite() && *p > 0.0).unwrap_or(2.0)).collect()
}
