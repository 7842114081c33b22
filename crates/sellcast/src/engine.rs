//! The engine: one shop's warehouse, models and published forecasts, and the steps of the batch path between them. It
//! wires the crates and holds no logic of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sellcast_domain::{Generation, GenerationId, ShopDay, TimeFrame};
use sellcast_forecast::{Forecaster, FrameModels, FramePlan, Ledger, Settings, Shop};
use sellcast_store::{GenerationDocuments, LiveBoard, PredictionStore, RegisteredModel, Registry};
use sellcast_warehouse::{Progress, PseudonymKey, RunRecord, Warehouse};
use tokio::sync::{Mutex, RwLock};

use crate::config::Config;
use crate::folder::Folder;

/// Everything that works on one data folder.
pub(crate) struct Engine {
    pub(crate) folder: Folder,
    pub(crate) config: Config,
    pub(crate) warehouse: Warehouse,
    pub(crate) store: PredictionStore,
    pub(crate) registry: Registry,
    pub(crate) board: LiveBoard,
    models: RwLock<BTreeMap<TimeFrame, FrameModels>>,
    /// One ingest or publication at a time; a training runs beside them.
    nightly: Mutex<()>,
    training: Mutex<()>,
}

impl Engine {
    /// Opens the folder's parts, making what is missing.
    pub(crate) async fn open(folder: Folder, config: Config) -> anyhow::Result<Arc<Self>> {
        let warehouse = Warehouse::open(&folder.warehouse(), config.warehouse_settings()).await?;
        let store = {
            let path = folder.predictions();
            tokio::task::spawn_blocking(move || PredictionStore::open(&path)).await??
        };
        let registry = Registry::open(&folder.metadata()).await?;
        let engine = Self {
            folder,
            config,
            warehouse,
            store,
            registry,
            board: LiveBoard::new(),
            models: RwLock::default(),
            nightly: Mutex::new(()),
            training: Mutex::new(()),
        };
        engine.load_champions().await?;
        Ok(Arc::new(engine))
    }

    fn settings(&self) -> Settings {
        Settings { rounds: self.config.forecast.rounds, seed: self.config.forecast.seed, models: self.config.forecast.models }
    }

    fn shop(&self) -> Shop {
        Shop {
            name: self.config.shop.name.clone(),
            currency: self.config.shop.currency.clone(),
            time_zone: self.config.shop.time_zone.name().to_owned(),
        }
    }

    /// Reads the shop's databases into the warehouse.
    pub(crate) async fn ingest(&self, now: DateTime<Utc>, progress: &(dyn Progress + Sync)) -> anyhow::Result<RunRecord> {
        let _turn = self.nightly.lock().await;
        let key = PseudonymKey::load_or_create(&self.folder.key())?;
        let mapping = self.config.mapping(self.folder.dir())?;
        Ok(self.warehouse.ingest(mapping, self.folder.dir(), &key, now, progress).await?)
    }

    /// Tries the quarantined rows again.
    pub(crate) async fn replay_quarantine(&self, now: DateTime<Utc>, progress: &(dyn Progress + Sync)) -> anyhow::Result<RunRecord> {
        let _turn = self.nightly.lock().await;
        let key = PseudonymKey::load_or_create(&self.folder.key())?;
        Ok(self.warehouse.replay_quarantine(&key, now, progress).await?)
    }

    /// Forecasts every frame with the models there are, and publishes.
    pub(crate) async fn publish(&self, as_of: ShopDay, now: DateTime<Utc>) -> anyhow::Result<Generation> {
        let _turn = self.nightly.lock().await;
        let started = Instant::now();
        let now = self.after_published(as_of, now).await?;
        let forecaster = Forecaster::open(&self.warehouse, self.settings()).await?;
        let models = self.models.read().await.clone();
        let publication = forecaster.publish(&self.shop(), as_of, now, &models).await?;
        let generation = publication.generation.clone();
        let documents = GenerationDocuments {
            generation: publication.generation,
            predictions: publication.predictions,
            continuations: publication.continuations,
            histories: publication.histories,
            record: publication.record,
        };
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.publish(&documents)).await?.context("the former forecast stays published")?;
        tracing::info!(generation = %generation.generation_id, %as_of, seconds = started.elapsed().as_secs_f64(), "published");
        Ok(generation)
    }

    /// A generation is never changed: where the clock stands still, a second one for the same day is a little later.
    async fn after_published(&self, as_of: ShopDay, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
        let store = self.store.clone();
        let current = tokio::task::spawn_blocking(move || store.current()).await??;
        let published = current.filter(|current| current.as_of == as_of && current.generated_at >= now);
        Ok(published.map_or(now, |published| published.generated_at + chrono::Duration::milliseconds(1)))
    }

    /// Trains every frame that the history can train, one after the other, and makes each the champion of its frame.
    pub(crate) async fn train(&self, as_of: ShopDay, now: DateTime<Utc>, tell: &(dyn Fn(&str) + Sync)) -> anyhow::Result<Vec<String>> {
        let _turn = self.training.lock().await;
        let forecaster = Forecaster::open(&self.warehouse, self.settings()).await?;
        forecaster.check_for_leaks(as_of - 35).await?;
        let mut trained = Vec::new();
        // The week is what most people look at: it comes first.
        for frame in [TimeFrame::Week, TimeFrame::Day, TimeFrame::Month, TimeFrame::Quarter, TimeFrame::HalfYear, TimeFrame::Year] {
            // A training that was cut off goes on with the frames it had not reached.
            if self.models.read().await.get(&frame).is_some_and(|models| models.trained_as_of >= as_of) {
                continue;
            }
            tell(&format!("training the {frame} models"));
            let Some((models, rehearsal)) = forecaster.train(frame, as_of, now).await? else {
                tell(&format!("the history is too short to train the {frame} frame: its forecasts fall back openly"));
                continue;
            };
            let metrics = forecaster.rehearse(&rehearsal, as_of).await?;
            self.keep(&models, now, &metrics.metrics).await?;
            let generation = GenerationId::from(rehearsal_id(frame, as_of));
            Ledger::new(&self.warehouse).write(generation, &metrics.forecasts).await?;
            trained.push(models.version());
            self.models.write().await.insert(frame, models);
        }
        Ok(trained)
    }

    /// Writes the model's files, then the registry entry: a version that is listed is complete.
    async fn keep(&self, models: &FrameModels, now: DateTime<Utc>, metrics: &serde_json::Value) -> anyhow::Result<()> {
        let artifact = models.artifact()?;
        let folder = self.folder.models().join(&artifact.version);
        let files = artifact.files.clone();
        tokio::task::spawn_blocking(move || write_files(&folder, &files)).await??;
        let mut facts = artifact.facts.clone();
        facts["training_data_versions"] = serde_json::to_value(self.warehouse.versions().await?)?;
        let entry = RegisteredModel {
            version: artifact.version,
            frame: models.frame,
            trained_at: now,
            facts,
            metrics: metrics.clone(),
            is_champion: true,
        };
        Ok(self.registry.promote(&entry).await?)
    }

    /// Loads the champion of each frame. One that is damaged or from other features is refused with a warning, and its
    /// frame goes on with baselines until the next training.
    async fn load_champions(&self) -> anyhow::Result<()> {
        let definitions = sellcast_features::Definitions::current();
        for model in self.registry.models().await?.into_iter().filter(|model| model.is_champion) {
            let folder = self.folder.models().join(&model.version);
            let loaded = read_files(&folder)
                .with_context(|| format!("cannot read `{}`", folder.display()))
                .and_then(|files| Ok(FrameModels::from_files(&files, definitions.version())?));
            match loaded {
                Ok(models) => drop(self.models.write().await.insert(model.frame, models)),
                Err(error) => {
                    tracing::warn!(version = %model.version, error = format!("{error:#}"), "a model is refused, its frame falls back on baselines")
                }
            }
        }
        Ok(())
    }

    /// The day after the last day with sales: what forecasts from past data are made for.
    pub(crate) async fn day_after_sales(&self) -> anyhow::Result<ShopDay> {
        let forecaster = Forecaster::open(&self.warehouse, self.settings()).await?;
        Ok(forecaster.panel().last_day() + 1)
    }

    /// A forecaster over the warehouse as it is now.
    pub(crate) async fn forecaster(&self) -> anyhow::Result<Forecaster<'_>> {
        Ok(Forecaster::open(&self.warehouse, self.settings()).await?)
    }

    /// Whether every frame that the history can train has models.
    pub(crate) async fn is_trained(&self, as_of: ShopDay) -> anyhow::Result<bool> {
        let first_day = self.forecaster().await?.panel().first_day();
        let models = self.models.read().await;
        Ok(TimeFrame::ALL.into_iter().all(|frame| models.contains_key(&frame) || FramePlan::new(frame, first_day, as_of).is_none()))
    }

    /// As_of of the newest publication.
    pub(crate) async fn published_as_of(&self) -> anyhow::Result<Option<ShopDay>> {
        let store = self.store.clone();
        Ok(tokio::task::spawn_blocking(move || store.current()).await??.map(|generation| generation.as_of))
    }
}

fn write_files(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    for (name, content) in files {
        let (part, path) = (folder.join(format!("{name}.part")), folder.join(name));
        std::fs::write(&part, content)
            .and_then(|()| std::fs::rename(&part, &path))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

fn read_files(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
    }
    Ok(files)
}

/// The same frame and day give the same id, so that a training that is run again replaces its rehearsal.
fn rehearsal_id(frame: TimeFrame, as_of: ShopDay) -> uuid::Uuid {
    let mut bytes = [0_u8; 16];
    bytes[..4].copy_from_slice(&as_of.epoch_days().to_be_bytes());
    bytes[4] = frame as u8;
    uuid::Builder::from_bytes(bytes).into_uuid()
}
