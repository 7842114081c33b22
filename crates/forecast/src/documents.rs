//! From one frame's forecast to its document: names joined, ranks compared with the last period, what stands behind each
//! confidence; and the continuation documents of long categories.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sellcast_domain::{
    CategoryId, CategoryPrediction, Continuation, ContinuedProduct, Driver, GenerationId, Interval, ModelVersion, Money,
    PredictionDocument, PredictionId, ProductId, ProductPrediction, RankInterval, TopK,
};
use sellcast_features::Target;
use uuid::Uuid;

use crate::amounts::{around, money, round};
use crate::catalogue::Catalogue;
use crate::factors::Factors;
use crate::forecaster::FrameForecast;
use crate::guard::reasons;
use crate::models::kind::ModelKind;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Products shown in full per category; the rest stands in continuation documents.
const FIRST: u32 = 100;

/// Everything that one frame's document is made from.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) generation_id: GenerationId,
    pub(crate) now: DateTime<Utc>,
    pub(crate) frame: &'a FrameForecast,
    pub(crate) catalogue: &'a Catalogue,
    /// What sold in the stretch of the same length just before.
    pub(crate) previous: &'a Target,
    pub(crate) rows: &'a Rows,
    /// The trained models of the frame.
    pub(crate) models: Option<&'a FrameModels>,
    /// The launches that each new product is most like, in plain words.
    pub(crate) similar: &'a HashMap<ProductId, String>,
}

impl Page<'_> {
    /// The document with the given drivers by row, and the continuations of its long categories.
    pub(crate) fn document(
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
        let factors = Factors::of(&self.frame.learned, forecast, self.rows);
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
            let top_products = rows.iter().filter(|row| forecast.rank[**row] <= FIRST).map(|&row| {
                let (best, worst) = self.rank_interval(row, size);
                let product = self.catalogue.products.get(&forecast.products[row]);
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
                    factors: factors.of_product(row),
                    rank: forecast.rank[row],
                    rank_interval: RankInterval { best, worst },
                    previous_rank: previous.map(|(rank, _)| *rank),
                    previous_amount: money(previous.map_or(0.0, |(_, amount)| *amount)),
                    days_on_sale: since[row].is_finite().then_some(since[row] as u32),
                    drivers: drivers.get(&row).cloned().unwrap_or_default(),
                    guard: guards[row].clone(),
                    similar: self.similar.get(&forecast.products[row]).cloned(),
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
                factors: factors.of_category(category.category, &rows),
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
            .filter(|(model, _)| self.frame.based_on != forecast.period.frame() || forecast.candidates.contains_key(*model))
            .map(|(model, weight)| {
                let lent = |kind| self.models.and_then(|models| models.lender(kind)).map(str::to_owned);
                let version = model.parse::<ModelKind>().ok().and_then(|kind| lent(kind).or_else(|| version.clone()));
                let version = version.map_or_else(|| "-".to_owned(), |version| format!("{version}/{model}"));
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
                similar: self.similar.get(&forecast.products[row]).cloned(),
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
            similar: self.similar.get(id).cloned(),
        }));
        rest
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
