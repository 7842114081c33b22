//! Training one frame: the models as of a day, and what they would have said at earlier origins, from which weights and
//! calibration are learnt.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use sellcast_domain::{Origin, Period, ShopDay, Stage, TimeFrame};
use sellcast_features::Target;
use serde::{Deserialize, Serialize};

use crate::dear::DearModels;
use crate::error::ForecastError;
use crate::forecaster::{Forecaster, sets_at_once};
use crate::hedge::Hedge;
use crate::learn::Learned;
use crate::ledger::ForecastPeriod;
use crate::models::baseline::start;
use crate::models::boosted::{BoostSettings, Boosted, TrainingMatrix};
use crate::models::file::{FORMAT, check_format};
use crate::models::kind::{ModelKind, ModelSet};
use crate::models::promotions::Planned;
use crate::models::{Fitted, Lesson};
use crate::plan::{Calibration, FramePlan};
use crate::rows::{Rows, TrainingRows, drawn};

/// Most rows that a model trains on; beyond it products are sampled.
const MOST_ROWS: usize = 200_000;

/// The trained models of one frame: the core and whatever else was enabled.
#[derive(Clone, Debug)]
pub struct FrameModels {
    /// Their frame.
    pub frame: TimeFrame,
    /// Trained on targets that ended before this day.
    pub trained_as_of: ShopDay,
    models: Vec<(ModelKind, Fitted)>,
    pub(crate) facts: Facts,
    /// The version that a dear model was taken over from.
    lender: Option<String>,
}

/// What the registry keeps of a training beside the models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) definitions_version: String,
    features: Vec<String>,
    pub(crate) origins: Vec<ShopDay>,
    rows: usize,
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    seconds: f64,
    /// Which models, and how long each took to fit, side by side.
    pub(crate) models: ModelSet,
    /// What was known of the dear models, one of which was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dear: Option<DearModels>,
    model_seconds: BTreeMap<String, f64>,
    planned: Planned,
    /// Importance of the features in each model that reads features, strongest first.
    pub(crate) importance: BTreeMap<String, Vec<(String, f64)>>,
}

impl Facts {
    /// The dear model among the models.
    fn chosen(&self) -> Option<ModelKind> {
        self.dear.as_ref().and_then(DearModels::chosen)
    }

    /// The models that each training has.
    pub(crate) fn always(&self) -> ModelSet {
        self.chosen().map_or(self.models, |chosen| self.models.without(chosen))
    }
}

/// A trained frame as files: what is needed to forecast again, bit for bit.
#[derive(Clone, Debug)]
pub struct ModelArtifact {
    /// `week/2017-12-04`.
    pub version: String,
    /// JSON: features, origins, parameters, importance.
    pub facts: serde_json::Value,
    /// File name and content: `frame.json`, and `NAME.bin` of each model.
    pub files: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    frame: TimeFrame,
    trained_as_of: ShopDay,
    facts: Facts,
}

/// What is read first of a description: the rest is understood only if the format is ours.
#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    format: u32,
}

impl FrameModels {
    /// Name of this version (`week/2017-12-04`).
    pub fn version(&self) -> String {
        format!("{}/{}", self.frame, self.trained_as_of)
    }

    /// Which models it holds, in the order in which they speak.
    pub fn kinds(&self) -> impl Iterator<Item = ModelKind> {
        self.models.iter().map(|(kind, _)| *kind)
    }

    /// Importance of the features in each model that reads features, strongest first.
    pub fn importance(&self) -> &BTreeMap<String, Vec<(String, f64)>> {
        &self.facts.importance
    }

    /// The same without the models that read the series of past sales: those that answer for features alone.
    #[must_use]
    pub fn without_history(&self) -> Self {
        let mut answering = self.clone();
        answering.models.retain(|(kind, _)| !kind.reads_history());
        answering
    }

    /// What was known of the dear models when it was trained; `None` if none was dear.
    pub fn dear(&self) -> Option<&DearModels> {
        self.facts.dear.as_ref()
    }

    /// The same without the dear model that was chosen for it.
    #[must_use]
    pub fn without_dear(&self) -> Self {
        let mut without = self.clone();
        let always = self.facts.always();
        without.models.retain(|(kind, _)| always.contains(*kind));
        without.lender = None;
        without
    }

    /// The same with the dear model of the version `lender` in place of its own: the newest choice forecasts, whichever version
    /// is champion.
    #[must_use]
    pub fn with_dear_of(&self, lender: &Self, version: &str) -> Self {
        let mut with = self.without_dear();
        let chosen = lender.facts.chosen().filter(|chosen| !with.facts.always().contains(*chosen));
        if let Some(lent) = chosen.and_then(|chosen| lender.models.iter().find(|(kind, _)| *kind == chosen)) {
            with.models.push(lent.clone());
            with.models.sort_by_key(|(kind, _)| *kind);
            with.lender = Some(version.to_owned());
        }
        with
    }

    /// The version that one of its models is of, if that is another.
    pub(crate) fn lender(&self, kind: ModelKind) -> Option<&str> {
        self.lender.as_deref().filter(|_| !self.facts.always().contains(kind))
    }

    /// The models, in the order in which they speak.
    pub(crate) fn list(&self) -> &[(ModelKind, Fitted)] {
        &self.models
    }

    /// Which features tell planned promotions.
    pub(crate) fn planned(&self) -> &Planned {
        &self.facts.planned
    }

    /// The boosted model of amounts, which gives the reasons.
    pub(crate) fn amount(&self) -> Result<&Boosted, ForecastError> {
        let amount = self.models.iter().find_map(|(_, model)| if let Fitted::Amount(boosted) = model { Some(boosted) } else { None });
        amount.ok_or_else(|| self.broken(&"it has no `gbm_amount`"))
    }

    /// As files.
    ///
    /// # Errors
    /// When a model cannot be encoded.
    pub fn artifact(&self) -> Result<ModelArtifact, ForecastError> {
        let description = Description { format: FORMAT, frame: self.frame, trained_as_of: self.trained_as_of, facts: self.facts.clone() };
        let json = serde_json::to_value(&description).map_err(|error| self.broken(&error))?;
        let text = serde_json::to_vec_pretty(&json).map_err(|error| self.broken(&error))?;
        let mut files = BTreeMap::from([("frame.json".to_owned(), text)]);
        for (kind, model) in &self.models {
            files.insert(file_name(*kind), model.encode(*kind)?);
        }
        Ok(ModelArtifact { version: self.version(), facts: json, files })
    }

    /// From files, checked against the features that this program computes.
    ///
    /// # Errors
    /// When a file is missing, damaged or from a newer version, or the models need other features.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>, definitions_version: &str) -> Result<Self, ForecastError> {
        let refuse = |reason: String| ForecastError::Model { model: "frame.json".into(), reason };
        let file = |name: &str| files.get(name).ok_or_else(|| refuse(format!("its file `{name}` is missing")));
        let description = file("frame.json")?;
        let damaged = |error: serde_json::Error| refuse(format!("it is damaged: {error}"));
        let Format { format } = serde_json::from_slice(description).map_err(damaged)?;
        check_format("frame.json", format)?;
        let Description { frame, trained_as_of, facts, .. } = serde_json::from_slice(description).map_err(damaged)?;
        if facts.definitions_version != definitions_version {
            return Err(refuse(format!(
                "it was trained on features {}, this program computes {definitions_version}",
                facts.definitions_version
            )));
        }
        let decode = |kind: ModelKind| Ok((kind, Fitted::decode(kind, &facts.features, file(&file_name(kind))?)?));
        let models = facts.models.iter().map(decode).collect::<Result<Vec<_>, ForecastError>>()?;
        Ok(Self { frame, trained_as_of, models, facts, lender: None })
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> ForecastError {
        ForecastError::Model { model: self.version(), reason: error.to_string() }
    }
}

fn file_name(kind: ModelKind) -> String {
    format!("{kind}.bin")
}

impl Forecaster<'_> {
    /// Trains `frame` for forecasts from `as_of` on, and makes the forecasts of earlier origins that weights and
    /// calibration are learnt from (with models that had not seen their truth). `None` when the history cannot train it.
    ///
    /// # Errors
    /// When features cannot be had or a model cannot be fitted.
    pub async fn train(
        &self,
        frame: TimeFrame,
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> Result<Option<(FrameModels, Vec<ForecastPeriod>)>, ForecastError> {
        self.train_after(None, frame, as_of, now).await
    }

    /// The same with one of the dear models, chosen after what `former` knows and what the ledger shows since.
    ///
    /// # Errors
    /// When features or the ledger cannot be had or a model cannot be fitted.
    pub async fn train_after(
        &self,
        former: Option<&DearModels>,
        frame: TimeFrame,
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> Result<Option<(FrameModels, Vec<ForecastPeriod>)>, ForecastError> {
        let Some(plan) = FramePlan::new(frame, self.panel.first_day(), as_of) else { return Ok(None) };
        let scored = if self.settings.dear().next().is_some() { self.scored(frame, as_of).await? } else { Vec::new() };
        let dear = tokio::task::block_in_place(|| DearModels::next(former, &self.settings, frame, &scored));
        drop(scored);
        let earlier = self.calibration_forecasts(&plan, now).await?;
        let models = self.fit_with(dear, frame, &plan.training, as_of, now).await?;
        Ok(Some((models, earlier)))
    }

    /// Models trained on `origins`, whose targets all ended before `as_of`.
    pub(crate) async fn fit(
        &self,
        frame: TimeFrame,
        origins: &[ShopDay],
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> Result<FrameModels, ForecastError> {
        self.fit_with(None, frame, origins, as_of, now).await
    }

    /// The same with the dear model that was chosen.
    pub(crate) async fn fit_with(
        &self,
        dear: Option<DearModels>,
        frame: TimeFrame,
        origins: &[ShopDay],
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> Result<FrameModels, ForecastError> {
        let started = std::time::Instant::now();
        let mut share = None;
        let mut training = TrainingRows::default();
        for some in origins.chunks(sets_at_once()) {
            for set in self.sets(some, now).await? {
                // Dormant products are sampled anyway; about half of the rows are theirs.
                let share = *share.get_or_insert_with(|| (MOST_ROWS as f64 / (set.len() as f64 * origins.len() as f64 * 0.6)).min(1.0));
                let (chosen, weights) = drawn(&set, share);
                let rows = Rows::chosen(&set, chosen, frame, &self.calendar, self.panel.first_day());
                let target = Target::load(&self.panel, rows.period, Some(as_of)).await?;
                if training.len() == 0 {
                    // Other days have about as many.
                    training.reserve(rows.values.len() * origins.len());
                }
                training.add(&rows, &weights, &target, &start(&rows));
            }
        }
        let chosen = dear.as_ref().and_then(DearModels::chosen);
        let enabled = chosen.map_or(self.settings.models, |chosen| self.settings.models.with(chosen));
        let history = match origins.first() {
            Some(newest) if enabled.iter().any(ModelKind::reads_history) => {
                let set = self.set(*newest, now).await?;
                let rows = Rows::new(&set, frame, &self.calendar, self.panel.first_day());
                Some((self.series(&rows).await?, rows.len()))
            }
            _ => None,
        };
        let planned = Planned::new(&self.definitions, frame);
        let fitted = tokio::task::block_in_place(|| -> Result<Vec<_>, ForecastError> {
            let lesson = Lesson {
                rows: &training,
                matrix: &TrainingMatrix::of(&training)?,
                planned: &planned,
                series: history.as_ref().map(|(series, rows)| (series, *rows)),
                settings: BoostSettings::pooled(self.settings.rounds, self.settings.seed),
            };
            let fit = |kind: ModelKind| {
                let started = std::time::Instant::now();
                let fitted = Fitted::fit(kind, &lesson)?;
                Ok((kind, fitted, started.elapsed().as_secs_f64()))
            };
            // Side by side: the steps of one model's training wait for each other more than the models do.
            enabled.iter().collect::<Vec<_>>().into_par_iter().map(fit).collect()
        })?;
        let model_seconds = fitted.iter().map(|(kind, _, seconds)| (kind.name().to_owned(), *seconds)).collect();
        let models: Vec<(ModelKind, Fitted)> = fitted.into_iter().map(|(kind, model, _)| (kind, model)).collect();
        let importance = models.iter().map(|(kind, model)| (kind.name().to_owned(), model.importance()));
        let facts = Facts {
            definitions_version: self.definitions.version().to_owned(),
            features: training.names.clone(),
            origins: origins.to_vec(),
            rows: training.len(),
            rounds: self.settings.rounds,
            seed: self.settings.seed,
            seconds: started.elapsed().as_secs_f64(),
            models: enabled,
            dear,
            model_seconds,
            planned,
            importance: importance.filter(|(_, features)| !features.is_empty()).collect(),
        };
        tracing::info!(%frame, %as_of, rows = facts.rows, seconds = facts.seconds, each = ?facts.model_seconds, "trained");
        Ok(FrameModels { frame, trained_as_of: as_of, models, facts, lender: None })
    }

    /// What would have been said at the plan's calibration origins, by models that had not seen their truth.
    pub(crate) async fn calibration_forecasts(&self, plan: &FramePlan, now: DateTime<Utc>) -> Result<Vec<ForecastPeriod>, ForecastError> {
        let mut forecasts = Vec::new();
        for Calibration { origins, training } in &plan.calibration {
            let models = self.fit(plan.frame, training, origins[0], now).await?;
            forecasts.extend(self.hindcast(plan.frame, origins, Some(&models), now).await?);
        }
        Ok(forecasts)
    }

    /// Forecasts at past origins, evenly combined until weights are learnt from them.
    pub(crate) async fn hindcast(
        &self,
        frame: TimeFrame,
        origins: &[ShopDay],
        models: Option<&FrameModels>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ForecastPeriod>, ForecastError> {
        let stage = if models.is_some() { Stage::Models } else { Stage::Baselines };
        let mut forecasts = Vec::with_capacity(origins.len());
        for at in 0..origins.len() {
            let set = self.set_among(origins, at, now).await?;
            // Averages alone are for the first page, which does not wait for launch curves.
            let rows = match models {
                Some(_) => self.rows(&set, frame).await?,
                None => Rows::new(&set, frame, &self.calendar, self.panel.first_day()),
            };
            let candidates = self.candidates(&rows, models).await?;
            let even = Learned::ignorant(Hedge::even(candidates.amounts.keys().cloned()));
            forecasts.push(even.forecast(&rows, candidates, Origin::Backtest, stage));
        }
        Ok(forecasts)
    }

    /// The forecasts with the truth of their periods, as known before `as_of`.
    pub(crate) async fn with_truth(
        &self,
        forecasts: Vec<ForecastPeriod>,
        as_of: ShopDay,
    ) -> Result<Vec<(ForecastPeriod, Target)>, ForecastError> {
        let mut scored = Vec::with_capacity(forecasts.len());
        for forecast in forecasts {
            let period: Period = forecast.period;
            if period.last_day() < as_of {
                scored.push((forecast, Target::load(&self.panel, period, Some(as_of)).await?));
            }
        }
        Ok(scored)
    }
}
