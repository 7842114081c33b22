//! From forecasts to the documents of a generation: names joined, ranks compared with the last period, drivers told.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sellcast_domain::{
    CategoryHistory, CategoryId, CategoryPrediction, ConfidenceFactors, Continuation, ContinuedProduct, Currency, Driver, Experiment,
    Generation, GenerationId, Interval, ModelSource, ModelVersion, Money, PredictionDocument, PredictionId, ProductId, ProductPrediction,
    Provenance, RankInterval, ShopDay, Stage, TimeFrame, TopK, TrackRecord,
};
use sellcast_features::{OfflineStore, Target};
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::error::ForecastError;
use crate::experiment::{ArmForecast, ArmLedger, ArmPublication, PUBLISHED};
use crate::explain::drivers;
use crate::first_scores::FirstScores;
use crate::forecaster::{Forecaster, FrameForecast};
use crate::guard::reasons;
use crate::ledger::{ForecastPeriod, Ledger};
use crate::models::kind::ModelKind;
use crate::record::record;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Products shown in full per category; the rest stands in continuation documents.
const FIRST: u32 = 100;
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
        let set = self.sets(&[as_of], now).await?.swap_remove(0);
        let frames = self.forecast(&set, models, &ended, now).await?;
        let catalogue = Catalogue::load(self).await?;
        let mut predictions = Vec::new();
        let mut continuations = Vec::new();
        let (mut arms, mut arm_documents) = (Vec::new(), Vec::new());
        for frame in &frames {
            let period = frame.forecast.period;
            let previous = Target::between(&self.panel, as_of - period.days(), as_of - 1, Some(as_of)).await?;
            let rows = Rows::new(&set, period.frame(), &self.calendar, self.panel.first_day());
            let page = Page {
                generation_id,
                now,
                frame,
                catalogue: &catalogue,
                previous: &previous,
                rows: &rows,
                history_days: self.panel.history_days(as_of),
            };
            let drivers = match models.get(&period.frame()) {
                Some(models) => {
                    let chosen: Vec<usize> = (0..frame.forecast.len())
                        .filter(|row| frame.forecast.rank[*row] <= EXPLAINED && frame.forecast.amount[*row] > 0.0)
                        .collect();
                    let told = tokio::task::block_in_place(|| drivers(models, &self.definitions, &rows, &frame.forecast.amount, &chosen))?;
                    chosen.into_iter().zip(told).collect()
                }
                None => HashMap::new(),
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

/// Everything that one frame's document is made from.
#[derive(Clone, Copy)]
struct Page<'a> {
    generation_id: GenerationId,
    now: DateTime<Utc>,
    frame: &'a FrameForecast,
    catalogue: &'a Catalogue,
    /// What sold in the stretch of the same length just before.
    previous: &'a Target,
    rows: &'a Rows,
    history_days: i64,
}

impl Page<'_> {
    fn document(
        &self,
        drivers: &HashMap<usize, Vec<Driver>>,
        version: Option<String>,
        id: Uuid,
    ) -> (PredictionDocument, Vec<Continuation>) {
        let forecast = &self.frame.forecast;
        let mut by_category: BTreeMap<CategoryId, Vec<usize>> = BTreeMap::new();
        for (row, category) in forecast.categories.iter().enumerate() {
            by_category.entry(*category).or_default().push(row);
        }
        let previous_ranks = previous_ranks(self.previous);
        let since = self.rows.column("days_since_first_sale");
        let disagreement = crate::candidates::disagreement(&forecast.candidates, self.frame.learned.hedge.weights(), &forecast.amount);
        let guards = reasons(self.rows, &forecast.amount);
        let (mut categories, mut continuations) = (Vec::new(), Vec::new());
        let previous_categories = self.previous_categories();
        for category in self.frame.learned.categories(forecast, self.frame.factor) {
            let mut rows = by_category.remove(&category.category).unwrap_or_default();
            rows.sort_by_key(|row| forecast.rank[*row]);
            let active: std::collections::HashSet<ProductId> = rows.iter().map(|row| forecast.products[*row]).collect();
            let everything = self.catalogue.by_category.get(&category.category);
            let unsold: Vec<ProductId> = everything.into_iter().flatten().filter(|id| !active.contains(id)).copied().collect();
            let size = (rows.len() + unsold.len()) as u32;
            let factors = |disagreement: f32, days: f64| ConfidenceFactors {
                historical_accuracy: round(self.frame.learned.accuracy(category.category)),
                data_completeness: round(self.completeness() * days),
                ensemble_agreement: round(1.0 / (1.0 + f64::from(disagreement))),
            };
            let top_products = rows.iter().filter(|row| forecast.rank[**row] <= FIRST).map(|&row| {
                let (best, worst) = self.rank_interval(row, size);
                let product = self.catalogue.products.get(&forecast.products[row]);
                let known_days = (f64::from(since[row]) / 91.0).clamp(0.1, 1.0);
                let previous = previous_ranks.get(&forecast.products[row]);
                ProductPrediction {
                    product_id: forecast.products[row],
                    product_name: product.map_or_else(|| format!("Product {}", forecast.products[row]), |p| p.name.clone()),
                    brand: product.and_then(|p| p.brand.clone()),
                    price: product.and_then(|p| p.price),
                    predicted_quantity: round(f64::from(forecast.quantity[row])),
                    predicted_amount: money(f64::from(forecast.amount[row])),
                    interval: Interval { low: money(f64::from(forecast.low[row])), high: money(f64::from(forecast.high[row])) },
                    interval_95: forecast
                        .wide
                        .get(row)
                        .map(|(low, high)| Interval { low: money(f64::from(*low)), high: money(f64::from(*high)) }),
                    confidence_score: round(f64::from(forecast.confidence[row])),
                    chances: forecast.chances.get(row).into_iter().flatten().map(|chance| round(f64::from(*chance))).collect(),
                    top_k: TopK::holding(forecast.rank[row]),
                    factors: factors(disagreement[row], known_days),
                    rank: forecast.rank[row],
                    rank_interval: RankInterval { best, worst },
                    previous_rank: previous.map(|(rank, _)| *rank),
                    previous_amount: money(previous.map_or(0.0, |(_, amount)| *amount)),
                    days_on_sale: since[row].is_finite().then_some(since[row] as u32),
                    drivers: drivers.get(&row).cloned().unwrap_or_default(),
                    guard: guards[row].clone(),
                }
            });
            let top_products: Vec<_> = top_products.collect();
            let rest = self.continuation(category.category, &rows, &unsold);
            let (name, path) = self
                .catalogue
                .categories
                .get(&category.category)
                .cloned()
                .unwrap_or_else(|| (format!("Category {}", category.category), Vec::new()));
            let mean_disagreement = if rows.is_empty() {
                0.0
            } else {
                rows.iter().map(|row| disagreement[*row] * forecast.amount[*row]).sum::<f32>() / category.amount.max(0.01)
            };
            let previous = previous_categories.get(&category.category);
            // Summed in cents, as its readers will.
            let amount = rows.iter().map(|row| money(f64::from(forecast.amount[*row]))).sum();
            categories.push(CategoryPrediction {
                category_id: category.category,
                category_name: name,
                path,
                predicted_sales_amount: amount,
                predicted_quantity: round(rows.iter().map(|row| f64::from(forecast.quantity[*row])).sum()),
                interval: around(amount, category.low, category.high),
                confidence_score: round(f64::from(category.confidence)),
                top_k: TopK::holding(category.rank),
                factors: factors(mean_disagreement, 1.0),
                rank: category.rank,
                rank_interval: RankInterval { best: category.rank_interval.0, worst: category.rank_interval.1 },
                previous_rank: previous.map(|(rank, _)| *rank),
                previous_amount: money(previous.map_or(0.0, |(_, amount)| *amount)),
                total_products: size,
                top_products,
            });
            if !rest.is_empty() {
                continuations.push(Continuation { category_id: category.category, products: rest });
            }
        }
        (self.head(categories, version, id), continuations)
    }

    /// Interval of a product's rank, wider for a frame that was not trained on itself.
    fn rank_interval(&self, row: usize, size: u32) -> (u32, u32) {
        let rank = self.frame.forecast.rank[row];
        let (best, worst) = self.frame.forecast.rank_interval.get(row).copied().unwrap_or((1, size));
        let factor = self.frame.factor;
        let best = (rank as f32 - (rank - best.min(rank)) as f32 * factor).floor().max(1.0) as u32;
        let worst = (rank as f32 + (worst.max(rank) - rank) as f32 * factor).ceil() as u32;
        (best, worst.min(size.max(rank)))
    }

    fn head(&self, categories: Vec<CategoryPrediction>, version: Option<String>, id: Uuid) -> PredictionDocument {
        let forecast = &self.frame.forecast;
        let total: f32 = forecast.amount.iter().sum();
        let total_amount = categories.iter().map(|category| category.predicted_sales_amount).sum();
        let (low, high) = self.frame.learned.total_interval(total, self.frame.factor);
        let weights = self.frame.learned.hedge.weights();
        let mut models: Vec<_> = weights
            .iter()
            .map(|(model, weight)| {
                let trained = model.parse::<ModelKind>().is_ok();
                let version = version.as_ref().filter(|_| trained).map_or_else(|| "-".to_owned(), |v| format!("{v}/{model}"));
                ModelVersion { model: model.clone(), version, weight: round(*weight) }
            })
            .collect();
        models.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.model.cmp(&b.model)));
        PredictionDocument {
            prediction_id: PredictionId::from(id),
            generation_id: self.generation_id,
            time_frame: forecast.period.frame(),
            period_start: forecast.period.start(),
            period_end: forecast.period.last_day(),
            generation_timestamp: self.now,
            model_version: version.unwrap_or_else(|| format!("{}/baselines", self.frame.based_on)),
            models,
            fallback: self.frame.fallback.clone(),
            total_amount,
            total_interval: around(total_amount, low, high),
            previous_total: money(self.previous.rows.values().map(|row| row.amount).sum()),
            categories,
        }
    }

    /// Products beyond the first hundred by rank, then those that did not sell for a year: expected to sell nothing.
    fn continuation(&self, category: CategoryId, rows: &[usize], unsold: &[ProductId]) -> Vec<ContinuedProduct> {
        let forecast = &self.frame.forecast;
        let name =
            |id: &ProductId| self.catalogue.products.get(id).map_or_else(|| format!("Product {id} of {category}"), |p| p.name.clone());
        let mut rest: Vec<_> = rows
            .iter()
            .filter(|row| forecast.rank[**row] > FIRST)
            .map(|&row| ContinuedProduct {
                product_id: forecast.products[row],
                product_name: name(&forecast.products[row]),
                predicted_quantity: round(f64::from(forecast.quantity[row])),
                predicted_amount: money(f64::from(forecast.amount[row])),
                confidence_score: round(f64::from(forecast.confidence[row])),
                rank: forecast.rank[row],
            })
            .collect();
        let first = rows.len() as u32 + 1;
        rest.extend(unsold.iter().zip(first..).map(|(id, rank)| ContinuedProduct {
            product_id: *id,
            product_name: name(id),
            predicted_quantity: 0.0,
            predicted_amount: Money::ZERO,
            confidence_score: 0.0,
            rank,
        }));
        rest
    }

    /// Share of the history that the frame asks for: eight weeks of lags and two periods.
    fn completeness(&self) -> f64 {
        let asked = 56 + 2 * self.frame.forecast.period.days();
        (self.history_days as f64 / asked as f64).min(1.0)
    }

    fn previous_categories(&self) -> HashMap<CategoryId, (u32, f64)> {
        let mut sums: BTreeMap<CategoryId, f64> = BTreeMap::new();
        for row in self.previous.rows.values() {
            *sums.entry(row.category).or_default() += row.amount;
        }
        let mut order: Vec<_> = sums.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order.into_iter().zip(1..).map(|((category, amount), rank)| (category, (rank, amount))).collect()
    }
}

/// Rank in its category and amount of every product in the period before.
fn previous_ranks(previous: &Target) -> HashMap<ProductId, (u32, f64)> {
    let mut order: Vec<_> = previous.rows.iter().map(|(product, row)| (row.category, row.amount, *product)).collect();
    order.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let (mut ranks, mut last, mut rank) = (HashMap::new(), None, 0);
    for (category, amount, product) in order {
        rank = if last == Some(category) { rank + 1 } else { 1 };
        last = Some(category);
        ranks.insert(product, (rank, amount));
    }
    ranks
}

/// To the cent. Sums of finite amounts are finite; anything else would be a bug in a model and is shown as nothing.
pub(crate) fn money(units: f64) -> Money {
    Money::try_from(units).unwrap_or(Money::ZERO)
}

/// An interval in cents that holds the amount though that was summed of rounded parts.
fn around(amount: Money, low: f32, high: f32) -> Interval {
    Interval { low: money(f64::from(low)).min(amount), high: money(f64::from(high)).max(amount) }
}

/// To three decimals, which is more than anyone reads.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
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
