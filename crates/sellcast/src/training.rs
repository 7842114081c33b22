//! Training as an operation: a newly trained version is a challenger; it becomes champion when it beats the champion on
//! periods that neither was trained on. What fails leaves the champion where it is. Every step is kept with its reason.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use sellcast_domain::{Duel, GenerationId, ModelEvent, ModelEventKind, ShopDay, TimeFrame};
use sellcast_forecast::{DearModels, Forecaster, FrameModels, FramePlan, Ledger};
use sellcast_store::RegisteredModel;
use sellcast_warehouse::fail_point;

use crate::engine::Engine;
use crate::model_files::{self, Loaded};

/// Chance of a challenger that is no better taking over.
const LEVEL: f64 = 0.05;

/// What a training did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Training {
    /// Versions that were trained.
    pub(crate) trained: Vec<String>,
    /// Frames whose training failed, with the reason. Their champions stay.
    pub(crate) failed: Vec<(TimeFrame, String)>,
}

impl Engine {
    /// Judges the waiting challengers, then trains every frame that the history can train, one after the other.
    pub(crate) async fn train(&self, as_of: ShopDay, now: DateTime<Utc>, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Training> {
        let _turn = self.training.lock().await;
        let forecaster = Forecaster::open(&self.warehouse, self.settings()).await?;
        forecaster.check_for_leaks(as_of - 35).await?;
        let mut training = Training::default();
        // The week is what most people look at: it comes first.
        for frame in [TimeFrame::Week, TimeFrame::Day, TimeFrame::Month, TimeFrame::Quarter, TimeFrame::HalfYear, TimeFrame::Year] {
            match self.train_frame(&forecaster, frame, as_of, now, tell).await {
                Ok(version) => training.trained.extend(version),
                Err(error) => {
                    let reason = format!("{error:#}");
                    tracing::warn!(%frame, %as_of, error = reason, "a training failed, the champion stays");
                    let version = self.free_version(frame, as_of).await?;
                    self.registry.note(&event(now, frame, &version, ModelEventKind::Failed, reason.clone(), None)).await?;
                    training.failed.push((frame, reason));
                }
            }
        }
        Ok(training)
    }

    async fn train_frame(
        &self,
        forecaster: &Forecaster<'_>,
        frame: TimeFrame,
        as_of: ShopDay,
        now: DateTime<Utc>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<Option<String>> {
        // A training that was cut off goes on with the frames it had not reached, and with the version it had just finished.
        let loaded = match self.left_undecided(frame, as_of).await? {
            Some(loaded) => loaded,
            None if self.is_trained_as_of(frame, as_of).await? => return Ok(None),
            None => {
                self.judge_waiting(forecaster, frame, as_of, now, tell).await?;
                tell(&format!("training the {frame} models"));
                match self.make(forecaster, frame, as_of, now).await? {
                    Some(loaded) => loaded,
                    None => {
                        tell(&format!("the history is too short to train the {frame} frame: its forecasts fall back openly"));
                        return Ok(None);
                    }
                }
            }
        };
        fail_point("trained");
        let version = loaded.version.clone();
        if loaded.models.dear().is_some() {
            self.lenders.write().await.insert(frame, loaded.clone());
        }
        let champion = self.models.read().await.get(&frame).cloned();
        let Some(champion) = champion else {
            let reason = "it is the first of its frame: there was no champion to beat".to_owned();
            self.crown(loaded, now, reason, None).await?;
            return Ok(Some(version));
        };
        self.challenge(forecaster, &champion, loaded, as_of, now, tell).await?;
        Ok(Some(version))
    }

    /// Trains a frame and keeps the version with what it forecast of the past; none if the history is too short.
    async fn make(
        &self,
        forecaster: &Forecaster<'_>,
        frame: TimeFrame,
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Option<Loaded>> {
        let former = self.newest(frame).await?.and_then(|newest| DearModels::of_version(&newest.facts));
        let Some((models, rehearsal)) = forecaster.train_after(former.as_ref(), frame, as_of, now).await? else { return Ok(None) };
        let rehearsed = forecaster.rehearse(&rehearsal, as_of).await?;
        let generation = GenerationId::from(rehearsal_id(frame, as_of));
        Ledger::new(&self.warehouse).write(generation, &rehearsed.forecasts).await?;
        let version = self.free_version(frame, as_of).await?;
        self.keep(&version, models, now, &rehearsed.metrics).await.map(Some)
    }

    /// The version as of `as_of` that an earlier training made and was killed before it said what becomes of it.
    async fn left_undecided(&self, frame: TimeFrame, as_of: ShopDay) -> anyhow::Result<Option<Loaded>> {
        let left = self.registry.undecided(frame).await?.filter(|left| day_of(&left.version) == Some(as_of));
        let Some(left) = left else { return Ok(None) };
        match self.load(&left).await {
            Ok(loaded) => Ok(Some(loaded)),
            // Refused is decided: the frame is trained again under another name.
            Err(error) => self.refuse(&left, left.trained_at, &error).await.map(|()| None),
        }
    }

    /// A newly trained version against the champion: on past origins held out of a trial training by the same recipe, if
    /// that can tell anything; otherwise it waits for periods to end.
    async fn challenge(
        &self,
        forecaster: &Forecaster<'_>,
        champion: &Loaded,
        challenger: Loaded,
        as_of: ShopDay,
        now: DateTime<Utc>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<()> {
        let frame = champion.models.frame;
        let mut held_out = forecaster.held_out(frame, champion.models.trained_as_of, as_of);
        if champion.models.same_recipe(&challenger.models) {
            // By the same recipe only newer sales can make a difference: the older half of what the champion has not seen
            // goes into the trial's training, the newer half is held out.
            held_out.drain(..held_out.len() / 2);
            held_out.retain(|day| *day > champion.models.trained_as_of);
        }
        let trial = match held_out.first() {
            Some(first) => {
                tell(&format!("comparing the new {frame} models with the champion on periods held out of both"));
                forecaster.trial(frame, *first, now).await?
            }
            None => None,
        };
        let duel = match &trial {
            Some(trial) => forecaster.duel(trial, &champion.models, &held_out, as_of, now).await?,
            None => None,
        };
        match duel {
            Some(duel) if duel.p_value < LEVEL => {
                let reason = format!("it beat {} on periods held out of its training: {}", champion.version, words(&duel));
                self.crown(challenger, now, reason, Some(duel)).await
            }
            duel => {
                let reason = match &duel {
                    Some(duel) => {
                        format!("it waits: on periods held out of its training it did not beat {}: {}", champion.version, words(duel))
                    }
                    None => format!("it waits until periods have ended that neither it nor {} was trained on", champion.version),
                };
                let waits = event(now, frame, &challenger.version, ModelEventKind::Challenged, reason, duel);
                Ok(self.registry.challenge(&waits).await?)
            }
        }
    }

    /// The waiting challenger of a frame against the champion, on ended periods that neither was trained on.
    async fn judge_waiting(
        &self,
        forecaster: &Forecaster<'_>,
        frame: TimeFrame,
        as_of: ShopDay,
        now: DateTime<Utc>,
        tell: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<()> {
        let models = self.registry.models().await?;
        let Some(waiting) = models.iter().find(|model| model.frame == frame && model.is_challenger) else { return Ok(()) };
        let Some(champion) = self.models.read().await.get(&frame).cloned() else { return Ok(()) };
        let challenger = match self.load(waiting).await {
            Ok(challenger) => challenger,
            Err(error) => return self.refuse(waiting, now, &error).await,
        };
        let since = challenger.models.trained_as_of.max(champion.models.trained_as_of);
        let days = forecaster.unseen(frame, since, as_of).await?;
        let Some(duel) = forecaster.duel(&challenger.models, &champion.models, &days, as_of, now).await? else { return Ok(()) };
        tell(&format!("{} against the champion {}: {}", waiting.version, champion.version, words(&duel)));
        if duel.p_value < LEVEL {
            let reason = format!("it beat {} on periods that neither had seen: {}", champion.version, words(&duel));
            return self.crown(challenger, now, reason, Some(duel)).await;
        }
        let reason = format!("it did not beat {} on periods that neither had seen: {}", champion.version, words(&duel));
        Ok(self.registry.note(&event(now, frame, &waiting.version, ModelEventKind::Kept, reason, Some(duel))).await?)
    }

    /// Makes a version the champion, in the registry first.
    async fn crown(&self, loaded: Loaded, now: DateTime<Utc>, reason: String, duel: Option<Duel>) -> anyhow::Result<()> {
        let frame = loaded.models.frame;
        tracing::info!(version = %loaded.version, reason, "new champion of the {frame} frame");
        self.registry.promote(&event(now, frame, &loaded.version, ModelEventKind::Promoted, reason, duel)).await?;
        self.models.write().await.insert(frame, loaded);
        Ok(())
    }

    /// Makes a registered version the champion by hand.
    pub(crate) async fn promote(&self, version: &str, now: DateTime<Utc>) -> anyhow::Result<()> {
        let models = self.registry.models().await?;
        let model = models
            .iter()
            .find(|model| model.version == version)
            .with_context(|| format!("there is no version `{version}`; `sellcast models` lists those that there are"))?;
        match self.load(model).await {
            Ok(loaded) => self.crown(loaded, now, "promoted by hand".into(), None).await,
            Err(error) => {
                self.refuse(model, now, &error).await?;
                Err(error.context(format!("the version `{version}` is refused, the champion stays")))
            }
        }
    }

    /// Goes back to the champion before the present one; gives its version and the one that it replaces.
    pub(crate) async fn roll_back(&self, frame: TimeFrame, now: DateTime<Utc>) -> anyhow::Result<(String, String)> {
        let line = self.registry.champions(frame).await?;
        let [present, former @ ..] = &line[..] else { bail!("the {frame} frame has no champion yet: train one with `sellcast train`") };
        let models = self.registry.models().await?;
        for version in former {
            let Some(model) = models.iter().find(|model| model.version == *version) else { continue };
            match self.load(model).await {
                Ok(loaded) => {
                    let reason = format!("rolled back by hand from {present}");
                    self.registry.promote(&event(now, frame, version, ModelEventKind::RolledBack, reason, None)).await?;
                    self.models.write().await.insert(frame, loaded);
                    return Ok((version.clone(), present.clone()));
                }
                Err(error) => self.refuse(model, now, &error).await?,
            }
        }
        bail!("the {frame} frame has no champion before `{present}` that could be used")
    }

    /// Says why a retraining is asked for, if any frame's error or features have drifted since its training.
    pub(crate) async fn drift(&self, as_of: ShopDay, now: DateTime<Utc>) -> anyhow::Result<Option<String>> {
        let forecaster = self.forecaster().await?;
        let models = self.models.read().await.clone();
        for (frame, loaded) in models {
            // Half a retraining interval must lie between two, or a shift would ask again every night.
            let rest = i64::from(self.config.forecast.retrain_days.div_ceil(2));
            let newest = self.newest_trained(frame).await?.unwrap_or(loaded.models.trained_as_of);
            if as_of.days_since(newest) < rest {
                continue;
            }
            if let Some(drift) = forecaster.drift(&loaded.models, as_of, now).await? {
                let reason = format!("{drift}");
                self.registry.note(&event(now, frame, &loaded.version, ModelEventKind::Asked, reason.clone(), None)).await?;
                tracing::warn!(%frame, version = %loaded.version, reason, "a retraining is asked for");
                return Ok(Some(format!("{frame}: {reason}")));
            }
        }
        Ok(None)
    }

    /// Writes the model's files, then the registry entry: a version that is listed is complete.
    async fn keep(&self, version: &str, models: FrameModels, now: DateTime<Utc>, metrics: &serde_json::Value) -> anyhow::Result<Loaded> {
        let artifact = models.artifact()?;
        let digest = model_files::digest(&artifact.files);
        self.model_files.write(version, artifact.files).await?;
        let mut facts = artifact.facts;
        facts["training_data_versions"] = serde_json::to_value(self.warehouse.versions().await?)?;
        facts["digest"] = digest.clone().into();
        let entry = RegisteredModel {
            version: version.to_owned(),
            frame: models.frame,
            trained_at: now,
            facts,
            metrics: metrics.clone(),
            is_champion: false,
            is_challenger: false,
        };
        self.registry.add(&entry).await?;
        Ok(Loaded { models, version: version.to_owned(), digest })
    }

    /// Reads a version's files.
    pub(crate) async fn load(&self, model: &RegisteredModel) -> anyhow::Result<Loaded> {
        self.model_files.read(&model.version, model.facts.get("digest").and_then(|digest| digest.as_str())).await
    }

    async fn refuse(&self, model: &RegisteredModel, now: DateTime<Utc>, error: &anyhow::Error) -> anyhow::Result<()> {
        let reason = format!("{error:#}");
        tracing::warn!(version = %model.version, error = reason, "a model is refused");
        Ok(self.registry.note(&event(now, model.frame, &model.version, ModelEventKind::Refused, reason, None)).await?)
    }

    /// Takes over what other machines have decided about models since these were loaded.
    pub(crate) async fn follow_registry(&self) -> anyhow::Result<()> {
        if self.registry.is_shared() {
            self.load_champions().await?;
            self.load_lenders().await?;
        }
        Ok(())
    }

    /// Loads the champion of each frame. One that is damaged or from another program is refused with a warning, and the
    /// champion before it serves again; without any, the frame goes on with baselines until the next training.
    ///
    /// In a registry that several machines share, versions whose files were never here belong to another one that keeps its own.
    pub(crate) async fn load_champions(&self) -> anyhow::Result<()> {
        let (mut models, mut elsewhere) = (Vec::new(), Vec::new());
        for model in self.registry.models().await? {
            let is_here = !self.registry.is_shared() || self.model_files.has(&model.version).await?;
            if is_here { &mut models } else { &mut elsewhere }.push(model);
        }
        for champion in elsewhere.iter().filter(|model| model.is_champion) {
            tracing::warn!(version = %champion.version, "the files of a champion are on another machine: this one should only serve");
        }
        for champion in models.iter().filter(|model| model.is_champion) {
            if self.models.read().await.get(&champion.frame).is_some_and(|loaded| loaded.version == champion.version) {
                continue;
            }
            let error = match self.load(champion).await {
                Ok(loaded) => {
                    self.models.write().await.insert(champion.frame, loaded);
                    continue;
                }
                Err(error) => error,
            };
            // The registry's history has no clock of its own: the refusal belongs to the version's own time.
            let at = champion.trained_at;
            self.refuse(champion, at, &error).await?;
            for version in self.registry.champions(champion.frame).await? {
                let Some(former) = models.iter().find(|model| model.version == version) else { continue };
                match self.load(former).await {
                    Ok(loaded) => {
                        let reason = format!("{} was refused, this one serves again", champion.version);
                        self.registry.promote(&event(at, champion.frame, &version, ModelEventKind::RolledBack, reason, None)).await?;
                        self.models.write().await.insert(champion.frame, loaded);
                        break;
                    }
                    Err(error) => self.refuse(former, at, &error).await?,
                }
            }
        }
        Ok(())
    }

    /// Loads the newest version of each frame if models are dear: its choice forecasts beside the champion. One that cannot be used
    /// is left out with a warning; the next training chooses again.
    pub(crate) async fn load_lenders(&self) -> anyhow::Result<()> {
        for frame in TimeFrame::ALL {
            let Some(newest) = self.newest(frame).await? else { continue };
            let chosen = DearModels::of_version(&newest.facts).and_then(|dear| dear.chosen());
            if chosen.is_none_or(|chosen| !self.config.forecast.dear_models.set().contains(chosen)) {
                continue;
            }
            if self.lenders.read().await.get(&frame).is_some_and(|loaded| loaded.version == newest.version) {
                continue;
            }
            match self.load(&newest).await {
                Ok(loaded) => drop(self.lenders.write().await.insert(frame, loaded)),
                Err(error) => tracing::warn!(version = %newest.version, error = format!("{error:#}"), "a dear model is left out"),
            }
        }
        Ok(())
    }

    /// The newest version of a frame.
    async fn newest(&self, frame: TimeFrame) -> anyhow::Result<Option<RegisteredModel>> {
        let models = self.registry.models().await?.into_iter().filter(|model| model.frame == frame);
        Ok(models.max_by_key(|model| (day_of(&model.version), model.trained_at, model.version.clone())))
    }

    /// Whether every frame that the history can train has models.
    pub(crate) async fn is_trained(&self, as_of: ShopDay) -> anyhow::Result<bool> {
        let first_day = self.forecaster().await?.panel().first_day();
        let models = self.models.read().await;
        Ok(TimeFrame::ALL.into_iter().all(|frame| models.contains_key(&frame) || FramePlan::new(frame, first_day, as_of).is_none()))
    }

    /// Whether the frame has a champion, and a version as of `as_of` or later.
    async fn is_trained_as_of(&self, frame: TimeFrame, as_of: ShopDay) -> anyhow::Result<bool> {
        if !self.models.read().await.contains_key(&frame) {
            return Ok(false);
        }
        Ok(self.newest_trained(frame).await?.is_some_and(|newest| newest >= as_of))
    }

    /// As_of of the newest version of a frame.
    async fn newest_trained(&self, frame: TimeFrame) -> anyhow::Result<Option<ShopDay>> {
        Ok(self.newest(frame).await?.and_then(|newest| day_of(&newest.version)))
    }

    /// A name that no version has yet: a version is never replaced, because predictions refer to it.
    async fn free_version(&self, frame: TimeFrame, as_of: ShopDay) -> anyhow::Result<String> {
        let taken: Vec<String> = self.registry.models().await?.into_iter().map(|model| model.version).collect();
        let plain = format!("{frame}/{as_of}");
        let free = (2_u32..).map(|number| format!("{plain}.{number}")).find(|version| !taken.contains(version));
        Ok(if taken.contains(&plain) { free.unwrap_or(plain) } else { plain })
    }
}

/// The day in `week/2017-12-04` or `week/2017-12-04.2`.
fn day_of(version: &str) -> Option<ShopDay> {
    version.split('/').nth(1)?.get(..10)?.parse().ok()
}

fn event(at: DateTime<Utc>, frame: TimeFrame, version: &str, event: ModelEventKind, reason: String, duel: Option<Duel>) -> ModelEvent {
    ModelEvent { at, frame, version: version.to_owned(), event, reason, duel }
}

fn words(duel: &Duel) -> String {
    format!(
        "loss {:.3} against {:.3} over {} category-periods, {:.0} % of them won (p = {:.3})",
        duel.challenger_loss,
        duel.champion_loss,
        duel.pairs,
        100.0 * duel.won,
        duel.p_value
    )
}

/// The same frame and day give the same id, so that a training that is run again replaces its rehearsal.
fn rehearsal_id(frame: TimeFrame, as_of: ShopDay) -> uuid::Uuid {
    let mut bytes = [0_u8; 16];
    bytes[..4].copy_from_slice(&as_of.epoch_days().to_be_bytes());
    bytes[4] = frame as u8;
    uuid::Builder::from_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_its_day() {
        let day = "2017-12-04".parse().ok();
        assert_eq!(day_of("week/2017-12-04"), day);
        assert_eq!(day_of("half_year/2017-12-04.12"), day);
        assert_eq!(day_of("week/today"), None);
    }
}
