//! Training one frame: the models as of a day, and what they would have said at earlier origins, from which weights and
//! calibration are learnt.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sellcast_domain::{Origin, Period, ShopDay, Stage, TimeFrame};
use sellcast_features::Target;
use serde::{Deserialize, Serialize};

use crate::candidates::Candidates;
use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::hedge::Hedge;
use crate::learn::Learned;
use crate::ledger::ForecastPeriod;
use crate::models::baseline::start;
use crate::models::boosted::{BoostSettings, Boosted, TrainingMatrix};
use crate::models::logistic::{Logistic, membership_inputs};
use crate::plan::FramePlan;
use crate::rows::{Rows, TrainingRows};

/// Most rows that a model trains on; beyond it products are sampled.
const MOST_ROWS: usize = 250_000;

/// The trained models of one frame.
#[derive(Clone, Debug)]
pub struct FrameModels {
    /// Their frame.
    pub frame: TimeFrame,
    /// Trained on targets that ended before this day.
    pub trained_as_of: ShopDay,
    pub(crate) amount: Boosted,
    pub(crate) quantity: Boosted,
    pub(crate) membership: Logistic,
    pub(crate) facts: Facts,
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
    pub(crate) importance: Vec<(String, f64)>,
}

/// A trained frame as files: what is needed to forecast again, bit for bit.
#[derive(Clone, Debug)]
pub struct ModelArtifact {
    /// `week/2017-12-04`.
    pub version: String,
    /// JSON: features, origins, parameters, importance.
    pub facts: serde_json::Value,
    /// File name and content.
    pub files: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Description {
    frame: TimeFrame,
    trained_as_of: ShopDay,
    membership: Logistic,
    facts: Facts,
}

impl FrameModels {
    /// Name of this version (`week/2017-12-04`).
    pub fn version(&self) -> String {
        format!("{}/{}", self.frame, self.trained_as_of)
    }

    /// As files.
    ///
    /// # Errors
    /// When a model cannot be encoded.
    pub fn artifact(&self) -> Result<ModelArtifact, ForecastError> {
        let description = Description {
            frame: self.frame,
            trained_as_of: self.trained_as_of,
            membership: self.membership.clone(),
            facts: self.facts.clone(),
        };
        let json = serde_json::to_value(&description).map_err(|error| self.broken(&error))?;
        let text = serde_json::to_vec_pretty(&json).map_err(|error| self.broken(&error))?;
        let files = BTreeMap::from([
            ("frame.json".to_owned(), text),
            ("gbm_amount.bin".to_owned(), self.amount.encode()?),
            ("gbm_quantity.bin".to_owned(), self.quantity.encode()?),
        ]);
        Ok(ModelArtifact { version: self.version(), facts: json, files })
    }

    /// From files, checked against the features that this program computes.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the model needs other features.
    pub fn from_files(files: &BTreeMap<String, Vec<u8>>, definitions_version: &str) -> Result<Self, ForecastError> {
        let refuse = |reason: String| ForecastError::Model { model: "frame.json".into(), reason };
        let file = |name: &str| files.get(name).ok_or_else(|| refuse(format!("its file `{name}` is missing")));
        let description: Description = serde_json::from_slice(file("frame.json")?).map_err(|error| refuse(error.to_string()))?;
        let Description { frame, trained_as_of, membership, facts } = description;
        if facts.definitions_version != definitions_version {
            return Err(refuse(format!(
                "it was trained on features {}, this program computes {definitions_version}",
                facts.definitions_version
            )));
        }
        let amount = Boosted::decode("gbm_amount", facts.features.clone(), file("gbm_amount.bin")?)?;
        let quantity = Boosted::decode("gbm_quantity", facts.features.clone(), file("gbm_quantity.bin")?)?;
        Ok(Self { frame, trained_as_of, amount, quantity, membership, facts })
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> ForecastError {
        ForecastError::Model { model: self.version(), reason: error.to_string() }
    }
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
        let Some(plan) = FramePlan::new(frame, self.panel.first_day(), as_of) else { return Ok(None) };
        let earlier = self.calibration_forecasts(&plan, now).await?;
        let models = self.fit(frame, &plan.training, as_of, now).await?;
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
        let started = std::time::Instant::now();
        let mut share = None;
        let mut training = TrainingRows::default();
        let (mut member_inputs, mut member_width, mut member_hits) = (Vec::new(), 1, Vec::new());
        for origin in origins {
            // One set at a time: a few dozen of them would fill the memory.
            let set = self.sets(&[*origin], now).await?.swap_remove(0);
            let rows = Rows::new(&set, frame, &self.calendar, self.panel.first_day());
            // Dormant products are sampled anyway; about half of the rows are theirs.
            let share = *share.get_or_insert_with(|| (MOST_ROWS as f64 / (set.len() as f64 * origins.len() as f64 * 0.6)).min(1.0));
            let target = Target::load(&self.panel, rows.period, Some(as_of)).await?;
            training.add(&rows, &target, share, &start(&rows));
            let (inputs, width) = membership_inputs(&rows);
            let hits = top_ten(&target);
            let rank = rows.column("rank_13w");
            // Only products near the list teach anything about making it.
            for row in (0..rows.len()).filter(|row| rank[*row] <= 40.0) {
                member_inputs.extend_from_slice(&inputs[row * width..(row + 1) * width]);
                member_hits.push(hits.contains(&rows.products[row]));
            }
            member_width = width;
        }
        let settings = BoostSettings { rounds: self.settings.rounds, seed: self.settings.seed };
        let fitted = tokio::task::block_in_place(|| -> Result<_, ForecastError> {
            let t = &mut training;
            let price = t.names.iter().position(|name| name == "price_91d");
            let by_unit: Vec<f32> = (0..t.len())
                .map(|row| {
                    let price = price.map_or(f32::NAN, |at| t.values[row * t.names.len() + at]);
                    t.starts[row] / if price.is_finite() && price > 0.01 { price } else { 2.0 }
                })
                .collect();
            let matrix = TrainingMatrix::new(&t.names, std::mem::take(&mut t.values), &t.weights)?;
            let amount = Boosted::fit("gbm_amount", &matrix, &t.amounts, &t.starts, settings)?;
            let quantity = Boosted::fit("gbm_quantity", &matrix, &t.quantities, &by_unit, settings)?;
            Ok((amount, quantity, Logistic::fit_sample(&member_inputs, member_width, &member_hits)))
        });
        let (amount, quantity, membership) = fitted?;
        let facts = Facts {
            definitions_version: self.definitions.version().to_owned(),
            features: training.names.clone(),
            origins: origins.to_vec(),
            rows: training.len(),
            rounds: settings.rounds,
            seed: settings.seed,
            seconds: started.elapsed().as_secs_f64(),
            importance: amount.importance(),
        };
        tracing::info!(%frame, %as_of, rows = facts.rows, seconds = facts.seconds, "trained");
        Ok(FrameModels { frame, trained_as_of: as_of, amount, quantity, membership, facts })
    }

    /// What would have been said at the plan's calibration origins, by models that had not seen their truth.
    pub(crate) async fn calibration_forecasts(&self, plan: &FramePlan, now: DateTime<Utc>) -> Result<Vec<ForecastPeriod>, ForecastError> {
        let models = match plan.calibration.first() {
            Some(first) if !plan.warm_up.is_empty() => Some(self.fit(plan.frame, &plan.warm_up, *first, now).await?),
            _ => None,
        };
        self.hindcast(plan.frame, &plan.calibration, models.as_ref(), now).await
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
        for origin in origins {
            let set = self.sets(&[*origin], now).await?.swap_remove(0);
            let rows = Rows::new(&set, frame, &self.calendar, self.panel.first_day());
            let candidates = Candidates::of(&rows, models)?;
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

/// The products of each category's true top ten.
fn top_ten(target: &Target) -> std::collections::HashSet<sellcast_domain::ProductId> {
    let mut order: Vec<_> = target.rows.iter().map(|(product, row)| (row.category, row.amount, *product)).collect();
    order.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let mut top = std::collections::HashSet::new();
    let (mut category, mut rank) = (None, 0);
    for (of, _, product) in order {
        rank = if category == Some(of) { rank + 1 } else { 1 };
        category = Some(of);
        if rank <= 10 {
            top.insert(product);
        }
    }
    top
}
