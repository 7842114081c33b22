//! The models behind one interface: [`Fitted`] is fitted from a [`Lesson`], says its amounts or its order of the products
//! of a [`Scene`], and is one file in the registry. Everything is deterministic for the same rows and seed.

pub(crate) mod baseline;
pub(crate) mod boosted;
pub(crate) mod file;
pub(crate) mod kind;
pub(crate) mod logistic;
mod neural;
pub(crate) mod promotions;
mod ranker;
mod smoothing;
#[cfg(test)]
mod tests;
mod top_categories;
mod tsb;

use crate::error::ForecastError;
use crate::rows::{Rows, TrainingRows, pick};
use crate::series::Series;
use boosted::{BoostSettings, Boosted, TrainingMatrix};
use kind::ModelKind;
use logistic::Logistic;
use neural::Neural;
use promotions::Planned;
use ranker::Ranker;
pub(crate) use ranker::deal;
use smoothing::Smoothing;
use top_categories::TopCategories;
use tsb::Tsb;

/// What a model learns from: rows of origins whose periods have ended.
pub(crate) struct Lesson<'a> {
    pub(crate) rows: &'a TrainingRows,
    /// The same rows, sorted into bins once for all models that read all of them.
    pub(crate) matrix: &'a TrainingMatrix,
    pub(crate) planned: &'a Planned,
    /// The series as of the newest origin, and their number; for kinds that read the history.
    pub(crate) series: Option<(&'a Series, usize)>,
    pub(crate) settings: BoostSettings,
}

/// What a model forecasts from: the rows of one as_of.
pub(crate) struct Scene<'a> {
    pub(crate) rows: &'a Rows,
    /// Steady expectation of each row.
    pub(crate) starts: &'a [f64],
    /// Price per unit of each row.
    pub(crate) prices: &'a [f32],
    /// For kinds that read the history.
    pub(crate) series: Option<&'a Series>,
    /// The amounts of `gbm_amount`, which other models refer to; empty until it has spoken.
    pub(crate) reference: &'a [f32],
}

/// What a model says of the rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// Amounts.
    Amounts(Vec<f32>),
    /// Units.
    Units(Vec<f32>),
    /// Log-odds of the top ten: an input of the confidence, and an order in which the reference's amounts are dealt out.
    Membership(Vec<f32>),
}

/// A fitted model.
#[derive(Clone, Debug)]
pub(crate) enum Fitted {
    Amount(Boosted),
    Quantity(Boosted),
    Membership(Logistic),
    NoPromotions(Boosted),
    /// `None` when no row was ever under promotion.
    Promoted(Option<Boosted>),
    /// `None` when the order could not be learnt: the reference's order stays.
    Ranker(Option<Ranker>),
    TopCategories(TopCategories),
    Neural(Box<Neural>),
    Smoothing(Smoothing),
    Tsb(Tsb),
}

impl Fitted {
    /// Fits a model of the given kind.
    pub(crate) fn fit(kind: ModelKind, lesson: &Lesson<'_>) -> Result<Self, ForecastError> {
        let (rows, settings, name) = (lesson.rows, lesson.settings, kind.name());
        Ok(match kind {
            ModelKind::GbmAmount => Self::Amount(Boosted::fit(name, lesson.matrix, &rows.amounts, &rows.starts, settings)?),
            ModelKind::GbmQuantity => Self::Quantity(Boosted::fit(name, lesson.matrix, &rows.quantities, &rows.unit_starts(), settings)?),
            ModelKind::Logistic => Self::Membership(Logistic::fit_membership(rows)),
            ModelKind::GbmTopK => Self::Ranker(Ranker::fit(name, ranker::Lesson::TopTen, rows, settings)?),
            ModelKind::LambdaMart => Self::Ranker(Ranker::fit(name, ranker::Lesson::Order, rows, settings)?),
            ModelKind::GbmNoPromotions => {
                let blind = TrainingMatrix::new(&rows.names, lesson.planned.hidden(rows).into(), &rows.weights)?;
                Self::NoPromotions(Boosted::fit(name, &blind, &rows.amounts, &rows.starts, settings)?)
            }
            ModelKind::GbmPromoted => {
                let promoted = lesson.planned.promoted(rows);
                let (amounts, starts) = (pick(&rows.amounts, &promoted), pick(&rows.starts, &promoted));
                let fit = || Boosted::fit(name, &lesson.matrix.part(&promoted)?, &amounts, &starts, settings.of_part());
                Self::Promoted((promoted.len() >= promotions::LEAST_ROWS).then(fit).transpose()?)
            }
            ModelKind::GbmTopCategories => Self::TopCategories(TopCategories::fit(name, rows, settings)?),
            ModelKind::Neural => Self::Neural(Box::new(Neural::fit(name, rows, settings.seed))),
            ModelKind::Ets => Self::Smoothing(Smoothing::Ets),
            ModelKind::Theta => Self::Smoothing(Smoothing::Theta),
            ModelKind::Tsb => {
                let (series, rows) = lesson.series.ok_or_else(|| no_series(kind))?;
                Self::Tsb(Tsb::fit(series, rows))
            }
        })
    }

    /// What the model says of the scene. Models that only rank deal out the amounts of the reference.
    pub(crate) fn say(&self, kind: ModelKind, scene: &Scene<'_>, planned: &Planned) -> Result<Said, ForecastError> {
        let (rows, starts) = (scene.rows, scene.starts);
        let floats = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let series = || scene.series.ok_or_else(|| no_series(kind));
        Ok(Said::Amounts(match self {
            Self::Amount(model) | Self::NoPromotions(model) => floats(model.predict(rows, starts)?),
            Self::Quantity(model) => {
                let per_unit: Vec<f64> = starts.iter().zip(scene.prices).map(|(start, price)| start / f64::from(price.max(0.01))).collect();
                return Ok(Said::Units(floats(model.predict(rows, &per_unit)?)));
            }
            Self::Membership(model) => return Ok(Said::Membership(model.scores(rows))),
            Self::Promoted(Some(model)) => {
                let mut amounts = scene.reference.to_vec();
                let said = model.predict(rows, starts)?;
                planned.promoted(rows).into_iter().for_each(|row| amounts[row] = said[row] as f32);
                amounts
            }
            Self::Ranker(Some(model)) => deal(&rows.categories, &model.score(rows, starts)?, scene.reference),
            Self::Promoted(None) | Self::Ranker(None) => scene.reference.to_vec(),
            Self::TopCategories(model) => model.predict(rows, starts, scene.reference)?,
            Self::Neural(model) => model.predict(rows, starts)?,
            Self::Smoothing(method) => method.predict(rows, series()?, starts),
            Self::Tsb(model) => model.predict(rows, series()?),
        }))
    }

    /// The model as the content of its file.
    pub(crate) fn encode(&self, kind: ModelKind) -> Result<Vec<u8>, ForecastError> {
        let json = |model: &Logistic| {
            serde_json::to_vec(model).map_err(|error| ForecastError::Model { model: kind.name().into(), reason: error.to_string() })
        };
        let payload = match self {
            Self::Amount(model) | Self::Quantity(model) | Self::NoPromotions(model) => model.encode()?,
            Self::Membership(model) => json(model)?,
            // A model that could not be fitted is an empty payload.
            Self::Promoted(model) => model.as_ref().map(Boosted::encode).transpose()?.unwrap_or_default(),
            Self::Ranker(model) => model.as_ref().map(Ranker::encode).transpose()?.unwrap_or_default(),
            Self::TopCategories(model) => model.encode()?,
            Self::Neural(model) => model.encode(),
            // Fitted anew to the series of each as_of: there is nothing to keep.
            Self::Smoothing(_) => Vec::new(),
            Self::Tsb(model) => model.encode()?,
        };
        Ok(file::seal(&payload))
    }

    /// Reads what [`Fitted::encode`] wrote, for rows with the given features.
    pub(crate) fn decode(kind: ModelKind, names: &[String], content: &[u8]) -> Result<Self, ForecastError> {
        let name = kind.name();
        let bytes = file::open(name, content)?;
        let boosted = || Boosted::decode(name, names.to_vec(), bytes);
        let unreadable = |error: serde_json::Error| ForecastError::Model { model: name.to_owned(), reason: error.to_string() };
        Ok(match kind {
            ModelKind::GbmAmount => Self::Amount(boosted()?),
            ModelKind::GbmQuantity => Self::Quantity(boosted()?),
            ModelKind::Logistic => Self::Membership(serde_json::from_slice(bytes).map_err(unreadable)?),
            ModelKind::GbmNoPromotions => Self::NoPromotions(boosted()?),
            ModelKind::GbmPromoted => Self::Promoted((!bytes.is_empty()).then(boosted).transpose()?),
            ModelKind::GbmTopK | ModelKind::LambdaMart => {
                Self::Ranker((!bytes.is_empty()).then(|| Ranker::decode(name, names.to_vec(), bytes)).transpose()?)
            }
            ModelKind::GbmTopCategories => Self::TopCategories(TopCategories::decode(name, names, bytes)?),
            ModelKind::Neural => Self::Neural(Box::new(Neural::decode(name, names.to_vec(), bytes)?)),
            ModelKind::Ets => Self::Smoothing(Smoothing::Ets),
            ModelKind::Theta => Self::Smoothing(Smoothing::Theta),
            ModelKind::Tsb => Self::Tsb(Tsb::decode(name, bytes)?),
        })
    }

    /// What each feature contributes, strongest first; empty for models that read no features.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        match self {
            Self::Amount(model) | Self::Quantity(model) | Self::NoPromotions(model) => model.importance(),
            Self::Membership(model) => model.importance(),
            Self::Promoted(model) => model.as_ref().map(Boosted::importance).unwrap_or_default(),
            Self::Ranker(model) => model.as_ref().map(Ranker::importance).unwrap_or_default(),
            Self::TopCategories(model) => model.importance(),
            Self::Neural(model) => model.importance(),
            Self::Smoothing(_) | Self::Tsb(_) => Vec::new(),
        }
    }
}

fn no_series(kind: ModelKind) -> ForecastError {
    ForecastError::Model { model: kind.name().into(), reason: "it was given no series of past sales".into() }
}
