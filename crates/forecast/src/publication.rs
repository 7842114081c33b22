//! A publication: every frame forecast at one as_of, written into the ledger, with the documents, histories and the track
//! record that the prediction store will hold. A rebuild is the same without writing anything.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rayon::prelude::*;
use sellcast_domain::{
    CategoryHistory, Continuation, Currency, Driver, Experiment, Generation, GenerationId, ModelSource, PredictionDocument, ProductId,
    Provenance, ShopDay, Stage, TimeFrame, TrackRecord,
};
use sellcast_features::{FeatureSet, OfflineStore, Target};
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::cold_start::{ColdStart, Teller};
use crate::documents::Page;
use crate::error::ForecastError;
use crate::experiment::{ArmForecast, ArmLedger, ArmPublication, PUBLISHED};
use crate::first_scores::FirstScores;
use crate::forecaster::{Forecaster, FrameForecast};
use crate::ledger::{ForecastPeriod, Ledger};
use crate::record::record;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Products per category that get drivers: what pages show first.
const EXPLAINED: u32 = 20;

/// The documents of a generation, ready for the prediction store.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The generation.
    pub generation: Generation,
    /// One per frame.
    pub predictions: Vec<PredictionDocument>,
    /// Long categories' further products, by frame.
    pub continuations: Vec<(TimeFrame, Continuation)>,
    /// Sales history for charts, by category.
    pub histories: Vec<CategoryHistory>,
    /// How earlier forecasts came out.
    pub record: TrackRecord,
    /// The documents of an experiment's arms, without the published one.
    pub arms: Vec<ArmPublication>,
}

/// What the documents say about the shop itself.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its name.
    pub name: String,
    /// Its currency.
    pub currency: Currency,
    /// IANA name of its time zone.
    pub time_zone: String,
}

impl Forecaster<'_> {
    /// Forecasts every frame at `as_of`, writes the ledger and makes the documents. Nothing is visible to readers until
    /// the prediction store has them.
    ///
    /// # Errors
    /// When features, models or the ledger fail.
    pub async fn publish(
        &self,
        shop: &Shop,
        as_of: ShopDay,
        now: DateTime<Utc>,
        models: &BTreeMap<TimeFrame, FrameModels>,
    ) -> Result<Publication, ForecastError> {
        let Made { mut publication, forecasts, arms, first_scores } = self.make(shop, as_of, now, models).await?;
        // What was computed for this forecast is kept with it: rebuilding it reads the same features.
        let newest = self.warehouse.newest_versions().await?;
        for table in OfflineStore::TABLES {
            if let Some(version) = newest.get(table) {
                publication.generation.warehouse_versions.insert(table.to_owned(), *version);
            }
        }
        Ledger::new(self.warehouse).write(publication.generation.generation_id, &forecasts).await?;
        ArmLedger::new(self.warehouse).write(publication.generation.generation_id, &arms).await?;
        first_scores.keep(self.warehouse, &publication.record, now).await?;
        Ok(publication)
    }

    /// The documents of a generation, of which nothing is written: the same warehouse versions, settings, models and `now`
    /// give the same ones, bit for bit.
    ///
    /// # Errors
    /// When features, models or the ledger fail.
    pub async fn rebuild(
        &self,
        shop: &Shop,
        as_of: ShopDay,
        now: DateTime<Utc>,
        models: &BTreeMap<TimeFrame, FrameModels>,
    ) -> Result<Publication, ForecastError> {
        Ok(self.make(shop, as_of, now, models).await?.publication)
    }

    async fn make(
        &self,
        shop: &Shop,
        as_of: ShopDay,
        now: DateTime<Utc>,
        models: &BTreeMap<TimeFrame, FrameModels>,
    ) -> Result<Made, ForecastError> {
        let generation_id = GenerationId::from(id_at(now, self.settings.seed, as_of, models.len() as u64));
        let mut ended = BTreeMap::new();
        for frame in TimeFrame::ALL {
            ended.insert(frame, self.scored(frame, as_of).await?);
        }
        let set = self.set(as_of, now).await?;
        let cold = ColdStart::load(&self.panel, as_of).await?;
        let frames = self.forecast(&set, &cold, models, &ended, now).await?;
        let catalogue = Catalogue::load(self).await?;
        let similar = tokio::task::block_in_place(|| similar(&cold, &catalogue));
        let mut predictions = Vec::new();
        let mut continuations = Vec::new();
        let (mut arms, mut arm_documents) = (Vec::new(), Vec::new());
        let sheets = tokio::task::block_in_place(|| self.sheets(&set, &cold, &frames, &similar, models))?;
        for (frame, Sheet { rows, drivers }) in frames.iter().zip(sheets) {
            let period = frame.forecast.period;
            let previous = Target::between(&self.panel, as_of - period.days(), as_of - 1, Some(as_of)).await?;
            let page = Page {
                generation_id,
                now,
                frame,
                catalogue: &catalogue,
                previous: &previous,
                rows: &rows,
                similar: &similar,
                models: models.get(&frame.based_on),
            };
            let versions = models.get(&frame.based_on).map(FrameModels::version);
            let (document, rest) = tokio::task::block_in_place(|| {
                page.document(&drivers, versions, id_at(now, self.settings.seed, as_of, 100 + period.frame() as u64))
            });
            if let Some(trial) = self.trial.as_ref().filter(|trial| trial.experiment.frame == period.frame()) {
                let forecasts = trial.forecasts(self, frame, &rows).await?;
                for (arm, number) in forecasts.iter().filter(|arm| arm.arm != PUBLISHED).zip(200..) {
                    let version = Some(if arm.arm.contains('/') { arm.arm.clone() } else { format!("{}/{}", period.frame(), arm.arm) });
                    let page = Page { frame: &arm.frame, ..page };
                    let id = id_at(now, self.settings.seed, as_of, number);
                    let (prediction, continuations) = tokio::task::block_in_place(|| page.document(&HashMap::new(), version, id));
                    arm_documents.push(ArmPublication { arm: arm.arm.clone(), prediction, continuations });
                }
                arms = forecasts;
            }
            predictions.push(document);
            continuations.extend(rest.into_iter().map(|continuation| (period.frame(), continuation)));
        }
        let stage = if models.is_empty() { Stage::Baselines } else { Stage::Models };
        let generation = Generation {
            generation_id,
            as_of,
            generated_at: now,
            stage,
            shop_name: shop.name.clone(),
            currency: shop.currency.clone(),
            time_zone: shop.time_zone.clone(),
            sales_until: self.panel.last_day().min(as_of - 1),
            predictions: predictions.iter().map(|document| (document.time_frame, document.prediction_id)).collect(),
            warehouse_versions: self.panel.source().warehouse_versions.clone(),
            provenance: Provenance {
                // Whoever lent a model knows which version it is.
                dear: BTreeMap::new(),
                program_version: env!("CARGO_PKG_VERSION").to_owned(),
                definitions_version: self.definitions.version().to_owned(),
                seed: self.settings.seed,
                rounds: self.settings.rounds,
                models: models
                    .iter()
                    .map(|(frame, models)| (*frame, ModelSource { version: models.version(), digest: String::new() }))
                    .collect(),
            },
            // With a single arm left there is nothing to compare.
            experiment: self.trial.as_ref().filter(|_| arms.len() > 1).map(|trial| Experiment {
                frame: trial.experiment.frame,
                arms: trial.experiment.arms.iter().filter(|arm| arms.iter().any(|made| made.arm == arm.name)).cloned().collect(),
            }),
        };
        let forecasts: Vec<ForecastPeriod> = frames.iter().map(|frame| frame.forecast.clone()).collect();
        let histories = self.histories(as_of, &predictions).await?;
        let mut record = tokio::task::block_in_place(|| record(&ended, &frames, &catalogue_names(&catalogue)));
        let first_scores = FirstScores::read(self.warehouse).await?;
        first_scores.compare(&mut record, now);
        if let Some(experiment) = &generation.experiment {
            record.experiment = Some(self.experiment_record(experiment, as_of).await?);
        }
        Ok(Made {
            publication: Publication { generation, predictions, continuations, histories, record, arms: arm_documents },
            forecasts,
            arms,
            first_scores,
        })
    }

    /// The rows of all frames with the reasons of their first products. The trees of each frame are walked for seconds.
    fn sheets(
        &self,
        set: &FeatureSet,
        cold: &ColdStart,
        frames: &[FrameForecast],
        similar: &HashMap<ProductId, String>,
        models: &BTreeMap<TimeFrame, FrameModels>,
    ) -> Result<Vec<Sheet>, ForecastError> {
        let sheet = |frame: &FrameForecast| {
            let forecast = &frame.forecast;
            let rows = cold.extend(Rows::new(set, forecast.period.frame(), &self.calendar, self.panel.first_day()));
            let chosen = (0..forecast.len()).filter(|row| forecast.rank[*row] <= EXPLAINED && forecast.amount[*row] > 0.0);
            let drivers = match models.get(&forecast.period.frame()) {
                Some(models) => self.drivers(models, frame, &rows, similar, &chosen.collect::<Vec<_>>())?,
                None => HashMap::new(),
            };
            Ok(Sheet { rows, drivers })
        };
        frames.par_iter().map(sheet).collect()
    }
}

/// What a frame's document is made from beside its forecast.
struct Sheet {
    rows: Rows,
    /// By row.
    drivers: HashMap<usize, Vec<Driver>>,
}

/// The launches that each new product of the catalogue is most like, in plain words.
fn similar(cold: &ColdStart, catalogue: &Catalogue) -> HashMap<ProductId, String> {
    let name = |id: ProductId| catalogue.products.get(&id).map(|product| product.name.as_str());
    let teller = Teller::of(cold);
    catalogue.products.par_iter().map(|(id, _)| id).filter_map(|id| Some((*id, teller.told(*id, name)?))).collect()
}

fn catalogue_names(catalogue: &Catalogue) -> crate::record::Names {
    crate::record::Names {
        categories: catalogue.categories.iter().map(|(id, (name, _))| (*id, name.clone())).collect(),
        products: catalogue.products.iter().map(|(id, product)| (*id, product.name.clone())).collect(),
    }
}

/// A generation before anything of it is written.
struct Made {
    publication: Publication,
    /// For the ledger.
    forecasts: Vec<ForecastPeriod>,
    arms: Vec<ArmForecast>,
    first_scores: FirstScores,
}

/// A UUIDv7 whose random part is a function of what the id names, so that the same run gives the same id.
fn id_at(now: DateTime<Utc>, seed: u64, as_of: ShopDay, salt: u64) -> Uuid {
    let mix = |value: u64| value.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let (a, b) =
        (mix(seed ^ mix(as_of.epoch_days() as u64) ^ mix(salt)), mix(salt.wrapping_add(seed << 17) ^ now.timestamp_micros() as u64));
    let mut random = [0_u8; 10];
    random[..8].copy_from_slice(&a.to_le_bytes());
    random[8..].copy_from_slice(&b.to_le_bytes()[..2]);
    uuid::Builder::from_unix_timestamp_millis(now.timestamp_millis().max(0) as u64, &random).into_uuid()
}
