//! Gradient boosting with the Tweedie loss: amounts with many exact zeros and a long tail (Jørgensen, "Exponential
//! dispersion models", 1987). Boosting starts from a steady mean of the product's own past, so the trees learn by what
//! factor the coming period departs from it.

use std::sync::Arc;

use hessboost::config::{GrowPolicy, SamplingMethod};
use hessboost::data::ViewCuts;
use hessboost::prelude::{
    BoostedModel, DMatrix, HessboostError, ImportanceType, Iterations, ModelFormat, Objective, TrainingParams, TreeMethod, train,
};

use crate::error::ForecastError;
use crate::rows::{Rows, TrainingRows};

/// Variance power of the Tweedie loss, between counts (1) and sizes (2).
pub(crate) const POWER: f64 = 1.2;

/// A tree sees about so many rows, where there are more than twice as many.
const ROWS_A_TREE: f64 = 50_000.0;

/// Fitting settings. The tree settings below are usual values for sparse sales; the step and the shares of rows and columns that a
/// tree sees are what the origins before the test allowed (docs/accuracy.md). The rows are drawn by the size of their gradients
/// (minimal variance sampling; Ibragimov & Gusev, 2019), because most of them are products that sell nothing, as expected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoostSettings {
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    pub(crate) leaves: usize,
    /// Rows (weighted by the loss' curvature) that a leaf needs at least.
    pub(crate) leaf_weight: f64,
}

impl BoostSettings {
    /// For models of all products.
    pub(crate) const fn pooled(rounds: usize, seed: u64) -> Self {
        Self { rounds, seed, leaves: 48, leaf_weight: 40.0 }
    }

    /// For models of a part of the rows: smaller trees, because there is less to hold them.
    pub(crate) const fn of_part(self) -> Self {
        Self { leaves: 16, leaf_weight: 20.0, ..self }
    }
}

/// The names and values of features, row by row, as models read them.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) names: &'a [String],
    pub(crate) values: &'a [f32],
}

impl<'a> From<&'a Rows> for Table<'a> {
    fn from(rows: &'a Rows) -> Self {
        Self { names: &rows.names, values: &rows.values }
    }
}

impl<'a> From<&'a TrainingRows> for Table<'a> {
    fn from(rows: &'a TrainingRows) -> Self {
        Self { names: &rows.names, values: &rows.values }
    }
}

/// Features and weights of the training rows. Models of several labels share it, and with it the sorting of every
/// feature into bins.
pub(crate) struct TrainingMatrix {
    pub(crate) names: Vec<String>,
    pub(crate) matrix: DMatrix,
}

impl TrainingMatrix {
    pub(crate) fn new(names: &[String], values: Arc<Vec<f32>>, weights: &[f32]) -> Result<Self, ForecastError> {
        let matrix = DMatrix::from_dense_shared(values, weights.len(), names.len(), f32::NAN)
            .and_then(|matrix| matrix.with_weights(weights))
            .map_err(|source| ForecastError::Boosting { step: "train", model: "all".into(), source })?;
        Ok(Self { names: names.to_vec(), matrix })
    }

    /// Of all the rows given.
    pub(crate) fn of(rows: &TrainingRows) -> Result<Self, ForecastError> {
        Self::new(&rows.names, Arc::clone(&rows.values), &rows.weights)
    }

    /// Some of the rows, in the bins of all.
    pub(crate) fn part(&self, rows: &[usize]) -> Result<Self, ForecastError> {
        let matrix = self.matrix.select_rows_with_cuts(rows, ViewCuts::Source);
        let matrix = matrix.map_err(|source| ForecastError::Boosting { step: "train", model: "a part".into(), source })?;
        Ok(Self { names: self.names.clone(), matrix })
    }
}

/// A fitted boosted model: `exp` of the trees' sum, times the start.
#[derive(Clone, Debug)]
pub(crate) struct Boosted {
    name: String,
    names: Vec<String>,
    model: BoostedModel,
}

impl Boosted {
    /// Fits `labels` (not negative), one per row of `matrix`.
    pub(crate) fn fit(
        name: &str,
        matrix: &TrainingMatrix,
        labels: &[f32],
        starts: &[f32],
        settings: BoostSettings,
    ) -> Result<Self, ForecastError> {
        let failed = |source| ForecastError::Boosting { step: "train", model: name.to_owned(), source };
        let margins: Vec<f32> = starts.iter().map(|start| start.max(1e-3).ln()).collect();
        let names = &matrix.names;
        let matrix = matrix.matrix.clone().with_labels(labels).and_then(|matrix| matrix.with_base_margin(&margins)).map_err(failed)?;
        let tweedie = hessboost::objective::Tweedie::new(POWER).map_err(failed)?;
        let mut params = TrainingParams::builder()
            .objective(Objective::Tweedie(tweedie))
            .tree_method(TreeMethod::Hist)
            .grow_policy(GrowPolicy::LossGuide)
            .unlimited_depth()
            .max_leaves(settings.leaves)
            .max_bin(128)
            .eta(0.11)
            .min_child_weight(settings.leaf_weight)
            .lambda(5.0)
            .sampling_method(SamplingMethod::GradientBased)
            .subsample((ROWS_A_TREE / labels.len().max(1) as f64).min(0.5))
            .colsample_bytree(0.4)
            .seed(settings.seed);
        if labels.iter().all(|label| *label <= 0.0) {
            // The logarithm of their mean is no number. The margins stand in its place anyway.
            params = params.base_score(1.0);
        }
        let params = params.build().map_err(failed)?;
        let model = train(&params, &matrix, settings.rounds).map_err(failed)?;
        Ok(Self { name: name.to_owned(), names: names.clone(), model })
    }

    /// Expected amount or quantity of each row.
    pub(crate) fn predict<'a>(&self, table: impl Into<Table<'a>>, starts: &[f64]) -> Result<Vec<f64>, ForecastError> {
        if starts.is_empty() {
            return Ok(Vec::new());
        }
        let predictions =
            self.model.predict(&self.matrix(table.into(), starts)?, Iterations::Best).map_err(|source| self.failed(source))?;
        Ok(predictions.as_slice().iter().map(|value| f64::from(*value).max(0.0)).collect())
    }

    /// Contribution of each feature to the logarithm of the forecast, for the chosen rows (TreeSHAP; Lundberg et al.,
    /// 2020). As many values per row as features, and one more for the bias.
    pub(crate) fn contributions(&self, rows: &Rows, chosen: &[usize]) -> Result<Vec<Vec<f32>>, ForecastError> {
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(chosen.len() * self.names.len());
        chosen.iter().for_each(|row| values.extend_from_slice(rows.row(*row)));
        let matrix = DMatrix::from_dense(&values, chosen.len(), self.names.len())
            .and_then(|matrix| matrix.with_base_margin(&vec![0.0; chosen.len()]))
            .map_err(|source| self.failed(source))?;
        let contributions = self.model.predict_contribs(&matrix, Iterations::Best).map_err(|source| self.failed(source))?;
        Ok((0..chosen.len()).map(|row| contributions.get(row, 0).unwrap_or_default().to_vec()).collect())
    }

    /// The model as bytes, readable by later releases.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ForecastError> {
        self.model.encode(ModelFormat::Binary).map_err(|source| self.failed(source))
    }

    /// Reads what [`Boosted::encode`] wrote for the same features.
    pub(crate) fn decode(name: &str, names: Vec<String>, bytes: &[u8]) -> Result<Self, ForecastError> {
        let model = decode(name, &names, bytes)?;
        Ok(Self { name: name.to_owned(), names, model })
    }

    /// Total gain of each feature, largest first.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        importance(&self.model, &self.names)
    }

    fn matrix(&self, table: Table<'_>, starts: &[f64]) -> Result<DMatrix, ForecastError> {
        if table.names != self.names {
            return Err(other_features(&self.name));
        }
        let margins: Vec<f32> = starts.iter().map(|start| start.max(1e-3).ln() as f32).collect();
        DMatrix::from_dense(table.values, starts.len(), self.names.len())
            .and_then(|matrix| matrix.with_base_margin(&margins))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: HessboostError) -> ForecastError {
        ForecastError::Boosting { step: "apply", model: self.name.clone(), source }
    }
}

/// Total gain of each feature of a boosted model, largest first.
pub(crate) fn importance(model: &BoostedModel, names: &[String]) -> Vec<(String, f64)> {
    let gains = model.feature_importance(ImportanceType::TotalGain);
    let mut named: Vec<_> = gains.into_iter().filter_map(|(at, gain)| Some((names.get(at)?.clone(), gain))).collect();
    named.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    named
}

/// Reads a boosted model of the given features.
pub(crate) fn decode(name: &str, names: &[String], bytes: &[u8]) -> Result<BoostedModel, ForecastError> {
    let model = BoostedModel::decode(bytes, ModelFormat::Binary).map_err(|source| ForecastError::Boosting {
        step: "read",
        model: name.to_owned(),
        source,
    })?;
    if model.n_features() != names.len() {
        let reason = format!("it has {} features, this program computes {}", model.n_features(), names.len());
        return Err(ForecastError::Model { model: name.to_owned(), reason });
    }
    Ok(model)
}

/// What a model says that is asked about rows of other features.
pub(crate) fn other_features(name: &str) -> ForecastError {
    ForecastError::Model { model: name.to_owned(), reason: "it was trained on other features".into() }
}
