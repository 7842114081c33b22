//! The engine: one shop's warehouse, models and published forecasts, and the steps of the batch path between them. It
//! wires the crates and holds no logic of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sellcast_domain::{Generation, Origin, ShopDay, TimeFrame, TrackRecord};
use sellcast_features::OnlineStore;
use sellcast_forecast::{Forecaster, FrameModels, Settings, Shop, Trial};
use sellcast_server::Reconciliation;
use sellcast_store::{ArmDocuments, GenerationDocuments, LiveBoard, PredictionStore, Registry};
use sellcast_warehouse::{Progress, PseudonymKey, RunRecord, Warehouse};
use tokio::sync::{Mutex, RwLock};

use crate::config::{ClockKind, Config};
use crate::folder::Folder;
use crate::model_files::{Loaded, ModelFiles};
use crate::stream::Reconciles;

/// Events of the models' history that a generation shows.
const EVENTS: u32 = 100;

/// Name of the pseudonyms' key in a shared registry.
const PSEUDONYM_KEY: &str = "pseudonym_key";

/// How the windows compared with the warehouse.
#[derive(Default)]
struct Comparisons {
    /// The run of the last comparison.
    run: Option<String>,
    report: Option<Arc<Reconciliation>>,
}

/// Everything that works on one data folder.
pub(crate) struct Engine {
    pub(crate) folder: Folder,
    pub(crate) config: Config,
    pub(crate) warehouse: Warehouse,
    pub(crate) store: PredictionStore,
    pub(crate) registry: Registry,
    pub(crate) model_files: ModelFiles,
    /// The features of the newest forecast, by product.
    pub(crate) features: OnlineStore,
    pub(crate) board: LiveBoard,
    /// The champions.
    pub(crate) models: RwLock<BTreeMap<TimeFrame, Loaded>>,
    /// The newest versions, whose dear models forecast beside the champions.
    pub(crate) lenders: RwLock<BTreeMap<TimeFrame, Loaded>>,
    /// The windows of the stream that this process follows; they know the engine, so it must not keep them alive.
    windows: OnceLock<Weak<dyn Reconciles>>,
    comparisons: StdMutex<Comparisons>,
    /// The latest sale that was followed on Kafka; a clock that the data are goes by it.
    sold_until: StdMutex<Option<DateTime<Utc>>>,
    /// One ingest or publication at a time; a training runs beside them.
    pub(crate) nightly: Mutex<()>,
    pub(crate) training: Mutex<()>,
}

impl Engine {
    /// Opens the folder's parts, making what is missing.
    pub(crate) async fn open(folder: Folder, config: Config) -> anyhow::Result<Arc<Self>> {
        let warehouse = config.store.warehouse(&folder.warehouse(), config.warehouse_settings()).await?;
        let store = config.store.predictions(&folder).await?;
        let registry = config.store.registry(&folder).await?;
        let model_files = match warehouse.models() {
            Some(bucket) => ModelFiles::in_bucket(bucket),
            None => ModelFiles::in_folder(&folder.models())?,
        };
        let features = config.store.features()?;
        let engine = Self {
            folder,
            config,
            warehouse,
            store,
            registry,
            model_files,
            features,
            board: LiveBoard::new(),
            models: RwLock::default(),
            lenders: RwLock::default(),
            windows: OnceLock::new(),
            comparisons: StdMutex::default(),
            sold_until: StdMutex::default(),
            nightly: Mutex::new(()),
            training: Mutex::new(()),
        };
        engine.load_champions().await?;
        engine.load_lenders().await?;
        Ok(Arc::new(engine))
    }

    pub(crate) fn settings(&self) -> Settings {
        let forecast = &self.config.forecast;
        Settings { rounds: forecast.rounds, seed: forecast.seed, models: forecast.models, dear: forecast.dear_models.set() }
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
        let key = self.pseudonym_key().await?;
        let mapping = self.config.mapping(self.folder.dir())?;
        let record = self.warehouse.ingest(mapping, self.folder.dir(), &key, now, progress).await?;
        self.reconcile(&record).await;
        Ok(record)
    }

    /// Says whose windows are compared with the warehouse after each ingest.
    pub(crate) fn follow_windows(&self, windows: Arc<dyn Reconciles>) {
        // A process follows one stream.
        let _ = self.windows.set(Arc::downgrade(&windows));
    }

    pub(crate) fn windows(&self) -> Option<Arc<dyn Reconciles>> {
        self.windows.get()?.upgrade()
    }

    pub(crate) fn keep_reconciliation(&self, report: Arc<Reconciliation>) {
        self.comparisons.lock().unwrap_or_else(PoisonError::into_inner).report = Some(report);
    }

    /// Notes that the windows are compared with what a run loaded; false if they were already.
    pub(crate) fn begin_comparison(&self, run_id: &str) -> bool {
        let mut comparisons = self.comparisons.lock().unwrap_or_else(PoisonError::into_inner);
        comparisons.run.replace(run_id.to_owned()).as_deref() != Some(run_id)
    }

    /// What the last comparison of the windows with the warehouse found.
    pub(crate) fn reconciliation(&self) -> Option<Arc<Reconciliation>> {
        self.comparisons.lock().unwrap_or_else(PoisonError::into_inner).report.clone()
    }

    /// The key of the customers' pseudonyms: in the data folder, or in the shared registry, where the first machine put it.
    async fn pseudonym_key(&self) -> anyhow::Result<PseudonymKey> {
        let path = self.folder.key();
        if !self.registry.is_shared() {
            return Ok(PseudonymKey::load_or_create(&path)?);
        }
        let own = PseudonymKey::load(&path)?;
        let offered = own.as_ref().map_or_else(PseudonymKey::random, |own| Ok(own.clone())).context("the system has no randomness")?;
        let agreed = self.registry.agreed_secret(PSEUDONYM_KEY, &offered.to_hex()).await?;
        let key = PseudonymKey::from_hex(&agreed).with_context(|| format!("the secret `{PSEUDONYM_KEY}` in `store.metadata` is no key"))?;
        anyhow::ensure!(
            own.is_none() || agreed == offered.to_hex(),
            "`{}` is not the key that the shop's other machines use (`store.metadata` has it): customers would be other ones; \
             remove the file to use theirs",
            path.display()
        );
        Ok(key)
    }

    /// Tries the quarantined rows again.
    pub(crate) async fn replay_quarantine(&self, now: DateTime<Utc>, progress: &(dyn Progress + Sync)) -> anyhow::Result<RunRecord> {
        let _turn = self.nightly.lock().await;
        let key = self.pseudonym_key().await?;
        Ok(self.warehouse.replay_quarantine(&key, now, progress).await?)
    }

    /// Forecasts every frame with the models there are, and publishes.
    pub(crate) async fn publish(&self, as_of: ShopDay, now: DateTime<Utc>) -> anyhow::Result<Generation> {
        let _turn = self.nightly.lock().await;
        let started = Instant::now();
        let now = self.after_published(as_of, now);
        // Read at one version from the first query to the last, so that it can be rebuilt.
        let pinned = self.warehouse.pinned().await?;
        let forecaster = Forecaster::open(&pinned, self.settings()).await?.with_trial(self.trial().await?);
        let loaded = self.models.read().await.clone();
        let lenders = self.lenders.read().await.clone();
        let with_dear = |(frame, champion): (&TimeFrame, &Loaded)| {
            let lender = lenders.get(frame).map(|lender| champion.models.with_dear_of(&lender.models, &lender.version));
            (*frame, lender.unwrap_or_else(|| champion.models.without_dear()))
        };
        let models: BTreeMap<TimeFrame, FrameModels> = loaded.iter().map(with_dear).collect();
        let mut publication = forecaster.publish(&self.shop(), as_of, now, &models).await?;
        for (frame, source) in &mut publication.generation.provenance.models {
            if let Some(loaded) = loaded.get(frame) {
                (source.version, source.digest) = (loaded.version.clone(), loaded.digest.clone());
            }
        }
        for (frame, lender) in lenders.iter().filter(|(frame, _)| loaded.contains_key(frame)) {
            publication.generation.provenance.dear.insert(*frame, lender.source());
        }
        publication.record.models = self.registry.record(EVENTS).await?;
        let known = |(frame, lender): (&TimeFrame, &Loaded)| Some((*frame, lender.models.dear()?.record()));
        publication.record.models.dear = lenders.iter().filter_map(known).collect();
        self.explain_misses(&mut publication.record).await?;
        self.score_live(&forecaster, as_of, &mut publication.record).await;
        let generation = publication.generation.clone();
        let documents = GenerationDocuments {
            generation: publication.generation,
            predictions: publication.predictions,
            continuations: publication.continuations,
            histories: publication.histories,
            record: publication.record,
            arms: publication
                .arms
                .into_iter()
                .map(|arm| ArmDocuments { arm: arm.arm, prediction: arm.prediction, continuations: arm.continuations })
                .collect(),
        };
        self.store.publish(documents).await.context("the publication failed")?;
        if let Err(error) = self.bring_features_online().await {
            tracing::warn!(error = format!("{error:#}"), "the features of this forecast are not online yet; serving processes try again");
        }
        tracing::info!(generation = %generation.generation_id, %as_of, seconds = started.elapsed().as_secs_f64(), "published");
        Ok(generation)
    }

    /// The configured experiment with the models of its arms. An arm whose version is damaged or unknown is left out with a
    /// warning; the publication goes on.
    async fn trial(&self) -> anyhow::Result<Option<Trial>> {
        let Some(section) = &self.config.experiment else { return Ok(None) };
        let experiment = section.resolve()?;
        let registered = self.registry.models().await?;
        let mut models = BTreeMap::new();
        for arm in experiment.arms.iter().filter(|arm| arm.name.contains('/')) {
            let found = registered.iter().find(|model| model.version == arm.name && model.frame == experiment.frame);
            let loaded = match found {
                Some(model) => self.load(model).await,
                None => Err(anyhow::anyhow!("no version of the {} frame has this name", experiment.frame)),
            };
            match loaded {
                Ok(loaded) => drop(models.insert(arm.name.clone(), loaded.models)),
                Err(error) => tracing::warn!(arm = %arm.name, error = format!("{error:#}"), "an arm of the experiment is left out"),
            }
        }
        Ok(Some(Trial { experiment, models }))
    }

    /// Gives the worst misses of each frame's newest period the reasons that were published with their forecast.
    async fn explain_misses(&self, record: &mut TrackRecord) -> anyhow::Result<()> {
        for (frame, record) in &mut record.frames {
            let Some(newest) = record.periods.first().filter(|newest| newest.origin == Origin::Published) else { continue };
            let Some(generation) = self.store.generation_for(newest.period_start).await? else { continue };
            let Some(document) = self.store.prediction(generation.generation_id, *frame).await? else { continue };
            for miss in &mut record.worst_misses {
                let category = document.categories.iter().find(|category| category.category_id == miss.category_id);
                let product =
                    category.and_then(|category| category.top_products.iter().find(|product| product.product_id == miss.product_id));
                miss.drivers = product.map(|product| product.drivers.clone()).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// A generation is never changed: where the clock stands still, a second one for the same day is a little later.
    fn after_published(&self, as_of: ShopDay, now: DateTime<Utc>) -> DateTime<Utc> {
        let published = self.store.current().filter(|current| current.as_of == as_of && current.generated_at >= now);
        published.map_or(now, |published| published.generated_at + chrono::Duration::milliseconds(1))
    }

    /// The day after the last day with sales: what forecasts are made for. By the system's clock never later than today, whose
    /// sales are not all there yet.
    pub(crate) async fn day_after_sales(&self, now: Option<DateTime<Utc>>) -> anyhow::Result<ShopDay> {
        let forecaster = Forecaster::open(&self.warehouse, self.settings()).await?;
        let day = forecaster.panel().last_day() + 1;
        Ok(match self.config.shop.clock {
            ClockKind::System => day.min(ShopDay::of(now.unwrap_or_else(Utc::now), self.config.shop.time_zone)),
            ClockKind::Data => day,
        })
    }

    /// A forecaster over the warehouse as it is now.
    pub(crate) async fn forecaster(&self) -> anyhow::Result<Forecaster<'_>> {
        Ok(Forecaster::open(&self.warehouse, self.settings()).await?)
    }

    /// The shop's clock: the board's, where a day is being replayed; else the system's, or, of past data, that of the newest forecast
    /// or of the sales that were followed since.
    pub(crate) fn shop_time(&self) -> DateTime<Utc> {
        if let Some(status) = self.board.status().filter(|status| status.replay.is_some()) {
            return status.shop_time;
        }
        if self.config.shop.clock == ClockKind::System {
            return Utc::now();
        }
        // Forecasts are made at the end of the day before: the day that they begin with has just started.
        let begun = self.store.current().map(|generation| generation.generated_at + chrono::Duration::seconds(2));
        let sold_until = *self.sold_until.lock().unwrap_or_else(PoisonError::into_inner);
        begun.max(begun.and(sold_until)).unwrap_or_else(Utc::now)
    }

    /// Notes up to when sales were followed.
    pub(crate) fn sold_until(&self, at: DateTime<Utc>) {
        *self.sold_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// As_of of the newest publication.
    pub(crate) fn published_as_of(&self) -> Option<ShopDay> {
        self.store.current().map(|generation| generation.as_of)
    }
}
