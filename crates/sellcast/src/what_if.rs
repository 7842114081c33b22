//! Answers what-if questions for the server, which knows no models: features from the offline store, models from the
//! registry, both those that the current generation was made by.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use anyhow::Context;
use sellcast_domain::{
    Generation, GenerationId, Money, PredictionDocument, Problem, ProblemKind, ProductId, TimeFrame, WhatIfAnswer, WhatIfOutcome,
    WhatIfQuestion,
};
use sellcast_forecast::{FrameModels, WhatIfBasis};
use sellcast_server::{Answering, WhatIf};
use sellcast_store::{PredictionStore, StoreError};
use tokio::sync::Mutex;

use crate::engine::Engine;

/// Answers for one engine.
pub(crate) struct Answerer {
    /// The server must not keep the engine alive.
    engine: Weak<Engine>,
    /// What was prepared for the newest generation.
    prepared: Mutex<Option<Arc<Prepared>>>,
}

struct Prepared {
    generation: GenerationId,
    basis: WhatIfBasis,
    models: BTreeMap<TimeFrame, FrameModels>,
    documents: BTreeMap<TimeFrame, PredictionDocument>,
}

impl Answerer {
    pub(crate) fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::downgrade(engine), prepared: Mutex::new(None) }
    }

    async fn answer(&self, question: WhatIfQuestion) -> anyhow::Result<Result<WhatIfAnswer, Problem>> {
        let engine = self.engine.upgrade().context("the engine has stopped")?;
        let Some(generation) = engine.store.current() else {
            return Ok(Err(Problem::new(ProblemKind::NotReady, "the first forecast is still being made; ask again in a few seconds")));
        };
        let prepared = match self.prepared(&engine, &generation).await? {
            Ok(prepared) => prepared,
            Err(missing) => {
                let detail = format!("{missing}: ask the machine that publishes, or publish anew");
                return Ok(Err(Problem::new(ProblemKind::NotReady, detail)));
            }
        };
        let Some(document) = prepared.documents.get(&question.time_frame) else {
            let detail = format!("no `{}` forecast is published", question.time_frame);
            return Ok(Err(Problem::new(ProblemKind::NothingPublished, detail)));
        };
        let id = generation.generation_id;
        let frame = question.time_frame;
        let Some(place) = Place::find(&engine.store, document, question.product_id).await? else {
            return Ok(Err(Problem::new(ProblemKind::NotFound, format!("no product `{}` is forecast", question.product_id))));
        };
        let mut notes = Vec::new();
        let response = match prepared.models.get(&frame) {
            Some(models) => {
                let weights: Vec<(String, f64)> = document.models.iter().map(|model| (model.model.clone(), model.weight)).collect();
                let amount = place.published.amount.to_f64();
                tokio::task::block_in_place(|| prepared.basis.respond(&question, amount, models, &weights))?
            }
            None => {
                notes.push("this forecast follows averages of past sales, which do not respond to a price or a promotion".to_owned());
                None
            }
        };
        if notes.is_empty() && response.is_none() {
            notes.push("this product did not sell within the last year: there is nothing to answer from".to_owned());
        }
        if question.price.is_some() && response.is_some() {
            notes.push(
                "the models know prices from sales: the answer is for a product that has sold at this price for four weeks".to_owned(),
            );
        }
        let changed = response.as_ref().map_or(place.published, |response| {
            let amount = Money::try_from(place.published.amount.to_f64() * response.amount_ratio).unwrap_or(place.published.amount);
            // Units follow the amount: at the price of the published forecast, or in proportion to another one.
            let dearer = match (question.price, prepared.basis.price(question.product_id)) {
                (Some(price), Some(usual)) => price.to_f64() / usual,
                _ => 1.0,
            };
            let quantity = place.published.quantity * response.amount_ratio / dearer;
            WhatIfOutcome { amount, quantity: (quantity * 1000.0).round() / 1000.0, rank: place.rank_of(question.product_id, amount) }
        });
        let drivers =
            response.map(|response| WhatIfAnswer::changed_drivers(&response.drivers, &response.changed_drivers)).unwrap_or_default();
        Ok(Ok(WhatIfAnswer {
            generation_id: id,
            product_id: question.product_id,
            product_name: place.name,
            category_id: place.category,
            time_frame: frame,
            period_start: document.period_start,
            period_end: document.period_end,
            published: place.published,
            changed,
            drivers,
            notes,
        }))
    }

    /// What questions about the generation need; made once for each. On a machine that did not publish it: what is missing there.
    async fn prepared(&self, engine: &Arc<Engine>, generation: &Generation) -> anyhow::Result<Result<Arc<Prepared>, String>> {
        let mut kept = self.prepared.lock().await;
        if let Some(prepared) = kept.as_ref().filter(|prepared| prepared.generation == generation.generation_id) {
            return Ok(Ok(prepared.clone()));
        }
        let as_of = generation.as_of;
        let Some(basis) = WhatIfBasis::load(&engine.warehouse, as_of).await? else {
            return Ok(Err(format!("the features of {as_of} are not kept here under this program's definitions")));
        };
        let models = match engine.recorded_models(generation).await {
            Ok(models) => models,
            Err(error) if is_absent(&error) => return Ok(Err(format!("the models that made the forecast of {as_of} are not kept here"))),
            Err(error) => return Err(error),
        };
        let models = models.into_iter().map(|(frame, models)| (frame, models.without_history())).collect();
        let id = generation.generation_id;
        let mut documents = BTreeMap::new();
        for frame in generation.predictions.keys() {
            documents.extend(engine.store.prediction(id, *frame).await?.map(|document| (*frame, document)));
        }
        let prepared = Arc::new(Prepared { generation: id, basis, models, documents });
        *kept = Some(prepared.clone());
        Ok(Ok(prepared))
    }
}

/// Whether the cause is a file or folder that is not there.
fn is_absent(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|cause| cause.kind() == std::io::ErrorKind::NotFound)
}

impl WhatIf for Answerer {
    fn ask(&self, question: WhatIfQuestion) -> Answering<'_> {
        Box::pin(async move {
            self.answer(question).await.unwrap_or_else(|error| {
                tracing::error!(error = format!("{error:#}"), product = %question.product_id, "a what-if question cannot be answered");
                Err(Problem::new(ProblemKind::Internal, "this question cannot be answered; the log of the server says why"))
            })
        })
    }
}

/// A product's place in the published forecast.
struct Place {
    category: sellcast_domain::CategoryId,
    name: String,
    published: WhatIfOutcome,
    /// Product and amount of the whole category.
    rivals: Vec<(ProductId, Money)>,
}

impl Place {
    /// Long categories are read one after the other until one holds the product.
    async fn find(store: &PredictionStore, document: &PredictionDocument, product: ProductId) -> Result<Option<Self>, StoreError> {
        let continuation = |category| store.continuation(document.generation_id, document.time_frame, category);
        let in_full = document.categories.iter().find_map(|category| {
            let found = category.top_products.iter().find(|candidate| candidate.product_id == product)?;
            let published = WhatIfOutcome { amount: found.predicted_amount, quantity: found.predicted_quantity, rank: found.rank };
            Some((category, found.product_name.clone(), published))
        });
        let long = document.categories.iter().filter(|category| category.total_products as usize > category.top_products.len());
        let mut found = in_full;
        let mut rest = None;
        match &found {
            Some((category, ..)) => rest = continuation(category.category_id).await?,
            None => {
                for category in long {
                    let Some(continued) = continuation(category.category_id).await? else { continue };
                    let hit = continued.products.iter().find(|candidate| candidate.product_id == product).cloned();
                    if let Some(hit) = hit {
                        let published = WhatIfOutcome { amount: hit.predicted_amount, quantity: hit.predicted_quantity, rank: hit.rank };
                        found = Some((category, hit.product_name, published));
                        rest = Some(continued);
                        break;
                    }
                }
            }
        }
        Ok(found.map(|(category, name, published)| {
            let first = category.top_products.iter().map(|rival| (rival.product_id, rival.predicted_amount));
            let further = rest.iter().flat_map(|rest| &rest.products).map(|rival| (rival.product_id, rival.predicted_amount));
            Self { category: category.category_id, name, published, rivals: first.chain(further).collect() }
        }))
    }

    /// Its rank with another amount, all others as published.
    fn rank_of(&self, product: ProductId, amount: Money) -> u32 {
        // Published ranks break ties of cents by amounts below a cent; with the same amount the place is the same.
        if amount == self.published.amount {
            return self.published.rank;
        }
        let before =
            |(rival, theirs): &&(ProductId, Money)| *rival != product && (*theirs > amount || (*theirs == amount && *rival < product));
        self.rivals.iter().filter(before).count() as u32 + 1
    }
}
