//! The forecaster: the panel, the calendar and the feature store of one warehouse, and the making of forecasts for all
//! frames at one as_of.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use sellcast_domain::{Origin, ShopDay, Stage, TimeFrame};
use sellcast_features::{Calendar, Definitions, FeatureSet, OfflineStore, Panel, check_for_leaks};
use sellcast_warehouse::Warehouse;

use crate::candidates::Candidates;
use crate::cold_start::ColdStart;
use crate::error::ForecastError;
use crate::experiment::Trial;
use crate::fallback;
use crate::hedge::Hedge;
use crate::kept::KeptSets;
use crate::learn::Learned;
use crate::ledger::{ForecastPeriod, Ledger};
use crate::models::kind::{ModelKind, ModelSet};
use crate::models::promotions::Planned;
use crate::plan::FramePlan;
use crate::rows::Rows;
use crate::series::Series;
use crate::train::FrameModels;

/// Training settings; the same settings, data and seed give the same models.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Boosting rounds.
    pub rounds: usize,
    /// Seed of row and column sampling.
    pub seed: u64,
    /// The candidates that are trained.
    pub models: ModelSet,
    /// Candidates of which a bandit chooses one for each training; what is always trained is none of them.
    pub dear: ModelSet,
}

impl Settings {
    /// The models that the bandit chooses from.
    pub(crate) fn dear(&self) -> impl Iterator<Item = ModelKind> {
        let always = self.models;
        self.dear.iter().filter(move |kind| !ModelSet::CORE.contains(*kind) && !always.contains(*kind))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds: 75, seed: 7, models: ModelSet::DEFAULT, dear: ModelSet::CORE }
    }
}

/// Makes forecasts from one warehouse.
pub struct Forecaster<'a> {
    pub(crate) warehouse: &'a Warehouse,
    pub(crate) definitions: Definitions,
    pub(crate) panel: Panel,
    pub(crate) calendar: Calendar,
    pub(crate) settings: Settings,
    pub(crate) trial: Option<Trial>,
    /// Features that no model may see.
    hidden: Option<Planned>,
    kept: KeptSets,
}

/// One frame's forecast with everything that its document needs.
#[derive(Clone, Debug)]
pub(crate) struct FrameForecast {
    pub(crate) forecast: ForecastPeriod,
    pub(crate) learned: Learned,
    /// Widening of intervals, 1 for a frame that was trained on itself.
    pub(crate) factor: f32,
    pub(crate) fallback: Option<String>,
    /// The frame whose models made it.
    pub(crate) based_on: TimeFrame,
}

/// How many feature sets are computed side by side: more hold more memory and gain little.
pub(crate) fn sets_at_once() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

/// A forecast with the truth of its period.
pub(crate) type ScoredPeriod = (ForecastPeriod, sellcast_features::Target);

/// How many scored periods are learnt from, and the least days between them.
pub(crate) const fn memory(frame: TimeFrame) -> (usize, i64) {
    match frame {
        TimeFrame::Day => (7, 1),
        TimeFrame::Week => (8, 7),
        TimeFrame::Month => (6, 7),
        _ => (5, 7),
    }
}

impl<'a> Forecaster<'a> {
    /// Reads the warehouse's newest state.
    ///
    /// # Errors
    /// When the warehouse cannot be read or holds nothing to forecast.
    pub async fn open(warehouse: &'a Warehouse, settings: Settings) -> Result<Self, ForecastError> {
        let panel = Panel::load(warehouse).await?;
        let calendar = Calendar::load(warehouse).await?;
        Ok(Self {
            warehouse,
            definitions: Definitions::current(),
            panel,
            calendar,
            settings,
            trial: None,
            hidden: None,
            kept: KeptSets::default(),
        })
    }

    /// Runs an experiment beside each publication.
    #[must_use]
    pub fn with_trial(mut self, trial: Option<Trial>) -> Self {
        self.trial = trial;
        self
    }

    /// With other candidates than the settings said.
    #[must_use]
    pub fn training(mut self, models: ModelSet) -> Self {
        self.settings.models = models;
        self
    }

    /// As if no promotion were ever announced: what a shop without a plan of its promotions can expect.
    #[must_use]
    pub fn without_planned_promotions(mut self) -> Self {
        // Every frame's features of planned promotions are the same.
        self.hidden = Some(Planned::new(&self.definitions, TimeFrame::Week));
        self
    }

    /// The sales it works on.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Version of the feature definitions.
    pub fn definitions_version(&self) -> &str {
        self.definitions.version()
    }

    /// Fails if any feature at `as_of` depends on later rows.
    ///
    /// # Errors
    /// Names the feature.
    pub async fn check_for_leaks(&self, as_of: ShopDay) -> Result<(), ForecastError> {
        Ok(check_for_leaks(&self.panel, &self.definitions, as_of).await?)
    }

    /// The features at `day`, computed where they are not stored yet.
    pub(crate) async fn set(&self, day: ShopDay, now: DateTime<Utc>) -> Result<Arc<FeatureSet>, ForecastError> {
        Ok(self.sets(&[day], now).await?.swap_remove(0))
    }

    /// The features at a few days, at most [`sets_at_once`], in their order.
    pub(crate) async fn sets(&self, days: &[ShopDay], now: DateTime<Utc>) -> Result<Vec<Arc<FeatureSet>>, ForecastError> {
        let kept: Vec<_> = days.iter().map(|day| self.kept.get(*day)).collect();
        let missing: Vec<ShopDay> = days.iter().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(day, _)| *day).collect();
        let read = if missing.is_empty() {
            Vec::new()
        } else {
            OfflineStore::new(self.warehouse, &self.definitions).sets(&self.panel, &missing, now).await?
        };
        let mut read = read.into_iter().map(|mut set| {
            if let Some(hidden) = &self.hidden {
                hidden.hide(&set.names, &mut set.values);
            }
            let set = Arc::new(set);
            self.kept.put(&set);
            set
        });
        Ok(kept.into_iter().filter_map(|kept| kept.or_else(|| read.next())).collect())
    }

    /// The features at `days[at]`, of days that are asked for one after the other: the first of each few is computed beside the next.
    pub(crate) async fn set_among(&self, days: &[ShopDay], at: usize, now: DateTime<Utc>) -> Result<Arc<FeatureSet>, ForecastError> {
        // The others are kept or at least stored by now.
        let few = if at.is_multiple_of(sets_at_once()) { sets_at_once().min(days.len() - at) } else { 1 };
        Ok(self.sets(&days[at..at + few], now).await?.swap_remove(0))
    }

    /// Forecasts of averages at past origins with their truth, to learn from where the ledger has none of a frame yet.
    async fn scored_averages(&self, frame: TimeFrame, as_of: ShopDay, now: DateTime<Utc>) -> Result<Vec<ScoredPeriod>, ForecastError> {
        if self.panel.history_days(as_of) < 2 * frame.typical_days() {
            return Ok(Vec::new());
        }
        let origins = FramePlan::baseline_calibration(frame, self.panel.first_day(), as_of);
        self.with_truth(self.hindcast(frame, &origins, None, now).await?, as_of).await
    }

    /// The newest ended forecasts of the ledger with their truth, oldest first.
    pub(crate) async fn scored(&self, frame: TimeFrame, as_of: ShopDay) -> Result<Vec<ScoredPeriod>, ForecastError> {
        let ledger = Ledger::new(self.warehouse);
        let (most, apart) = memory(frame);
        let mut chosen: Vec<ForecastPeriod> = Vec::new();
        for (day, generation) in ledger.ended(frame, as_of).await? {
            let far_enough = chosen.last().is_none_or(|last| last.period.start().days_since(day) >= apart);
            if far_enough && chosen.len() < most {
                chosen.extend(ledger.read(frame, day, &generation).await?);
            }
        }
        chosen.reverse();
        self.with_truth(chosen, as_of).await
    }

    /// Forecasts all frames. A frame without models of its own uses baselines, or openly falls back on the next shorter
    /// one when the history is too short even for those.
    pub(crate) async fn forecast(
        &self,
        set: &FeatureSet,
        cold: &ColdStart,
        models: &BTreeMap<TimeFrame, FrameModels>,
        ended: &BTreeMap<TimeFrame, Vec<ScoredPeriod>>,
        now: DateTime<Utc>,
    ) -> Result<Vec<FrameForecast>, ForecastError> {
        let as_of = set.as_of;
        if set.is_empty() {
            return Err(ForecastError::TooLittleHistory { frame: TimeFrame::Day, days: self.panel.history_days(as_of) });
        }
        let history_days = self.panel.history_days(as_of);
        let mut drafts = Vec::new();
        for (place, frame) in TimeFrame::ALL.into_iter().enumerate() {
            let is_planned = FramePlan::new(frame, self.panel.first_day(), as_of).is_some();
            if !is_planned && place > 0 {
                continue;
            }
            let averages = match ended.get(&frame) {
                Some(ended) if !ended.is_empty() => Vec::new(),
                _ => self.scored_averages(frame, as_of, now).await?,
            };
            let rows = tokio::task::block_in_place(|| cold.extend(Rows::new(set, frame, &self.calendar, self.panel.first_day())));
            let history = self.history(&rows, models.get(&frame)).await?;
            drafts.push(Draft { frame, is_planned, averages, rows, history });
        }
        // Each frame's is a matter of seconds on one core, and none needs another's.
        let made: Result<Vec<FrameForecast>, ForecastError> =
            tokio::task::block_in_place(|| drafts.into_par_iter().map(|draft| draft.forecast(models, ended, history_days)).collect());
        let mut made: BTreeMap<TimeFrame, FrameForecast> = made?.into_iter().map(|frame| (frame.based_on, frame)).collect();
        let mut frames: Vec<FrameForecast> = Vec::new();
        for frame in TimeFrame::ALL {
            let forecast = match (made.remove(&frame), frames.last()) {
                (Some(forecast), _) => forecast,
                (None, Some(shorter)) => {
                    let seasonal = self.seasonal(shorter.forecast.period, frame).await?;
                    fallback::extend(shorter, frame, history_days, seasonal)
                }
                (None, None) => continue,
            };
            frames.push(forecast);
        }
        tokio::task::block_in_place(|| crate::coherence::nest(&mut frames));
        Ok(frames)
    }

    /// How much more a category sold in the period of `frame` a year ago than the shorter period then led to expect; 1
    /// where the history does not reach back a year.
    async fn seasonal(&self, shorter: sellcast_domain::Period, frame: TimeFrame) -> Result<f64, ForecastError> {
        let year_ago = shorter.start() - 364;
        let longer = sellcast_domain::Period::starting(frame, year_ago);
        if year_ago < self.panel.first_day() || longer.last_day() >= shorter.start() {
            return Ok(1.0);
        }
        let sum = async |period| -> Result<f64, ForecastError> {
            let target = sellcast_features::Target::load(&self.panel, period, Some(shorter.start())).await?;
            Ok(target.rows.values().map(|row| row.amount).sum::<f64>() / period.days() as f64)
        };
        let (long, short) = (sum(longer).await?, sum(sellcast_domain::Period::starting(shorter.frame(), year_ago)).await?);
        Ok(if short > 0.0 { (long / short).clamp(0.5, 2.0) } else { 1.0 })
    }
}

/// A frame's forecast before anything is computed: what was read for it.
struct Draft {
    frame: TimeFrame,
    /// Whether the history is long enough for models.
    is_planned: bool,
    /// What to learn from where the ledger has nothing.
    averages: Vec<ScoredPeriod>,
    rows: Rows,
    history: Option<Series>,
}

impl Draft {
    fn forecast(
        self,
        models: &BTreeMap<TimeFrame, FrameModels>,
        ended: &BTreeMap<TimeFrame, Vec<ScoredPeriod>>,
        history_days: i64,
    ) -> Result<FrameForecast, ForecastError> {
        let Self { frame, is_planned, averages, rows, history } = self;
        let scored = ended.get(&frame).filter(|ended| !ended.is_empty()).unwrap_or(&averages);
        let learned = (!scored.is_empty()).then(|| Learned::from_scored(scored));
        drop(averages);
        let models = models.get(&frame);
        let candidates = Candidates::of_all(&rows, models, history.as_ref())?;
        let learned = learned.unwrap_or_else(|| Learned::ignorant(Hedge::even(candidates.amounts.keys().cloned())));
        let stage = if models.is_some() { Stage::Models } else { Stage::Baselines };
        let forecast = learned.forecast(&rows, candidates, Origin::Published, stage);
        let fallback = (!is_planned)
            .then(|| format!("{history_days} days of sales are too few to train models for a {frame}: averages of the past days are used"));
        Ok(FrameForecast { forecast, learned, factor: 1.0, fallback, based_on: frame })
    }
}
