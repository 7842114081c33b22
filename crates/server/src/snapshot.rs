//! The current generation parsed and indexed, held in memory as a whole. A new one is loaded beside it and swapped in; requests that run keep the one they began with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sellcast_domain::{
    CategoryId, CategoryPrediction, Continuation, Generation, GenerationId, PredictionDocument, ProductId, ProductPrediction, TimeFrame,
    TrackRecord,
};
use sellcast_store::{PredictionStore, StoreError};
use tokio::task::spawn_blocking;

use crate::live_document::Rests;

/// A frame's document with the way from a category's id to its place.
#[derive(Debug)]
pub(crate) struct FrameDocument {
    pub(crate) document: PredictionDocument,
    places: HashMap<CategoryId, usize>,
    /// Of a live forecast: up to which instant sales are in it.
    pub(crate) live_as_of: Option<DateTime<Utc>>,
    /// Of a live forecast: its products beyond the first 100.
    rests: Rests,
}

impl FrameDocument {
    pub(crate) fn new(document: PredictionDocument) -> Self {
        let places = document.categories.iter().enumerate().map(|(place, category)| (category.category_id, place)).collect();
        Self { document, places, live_as_of: None, rests: Rests::new() }
    }

    /// A live forecast.
    pub(crate) fn live(document: PredictionDocument, rests: Rests, as_of: DateTime<Utc>) -> Self {
        Self { live_as_of: Some(as_of), rests, ..Self::new(document) }
    }

    /// A live forecast's products of a category beyond the first 100.
    pub(crate) fn rest(&self, id: CategoryId) -> Option<&Arc<Continuation>> {
        self.rests.get(&id)
    }

    /// A category's place in the document.
    pub(crate) fn place(&self, id: CategoryId) -> Option<usize> {
        self.places.get(&id).copied()
    }

    pub(crate) fn category(&self, id: CategoryId) -> Option<&CategoryPrediction> {
        self.document.categories.get(self.place(id)?)
    }

    /// A product among the first 100 of its category.
    pub(crate) fn product(&self, category: CategoryId, product: ProductId) -> Option<&ProductPrediction> {
        self.category(category)?.top_products.iter().find(|candidate| candidate.product_id == product)
    }
}

/// A product that can be found by its name.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) product_id: ProductId,
    pub(crate) category_id: CategoryId,
    pub(crate) name: String,
    /// For searching: lower case.
    pub(crate) folded: String,
}

/// One generation in memory.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) generation: Arc<Generation>,
    pub(crate) frames: BTreeMap<TimeFrame, Arc<FrameDocument>>,
    /// Documents of the running experiment's further arms, by name.
    pub(crate) arms: BTreeMap<String, Arc<FrameDocument>>,
    pub(crate) record: Arc<TrackRecord>,
    /// Every product, best-selling categories first and by rank within them.
    pub(crate) products: Vec<Listed>,
    homes: HashMap<ProductId, CategoryId>,
    /// Grows by one with every snapshot of this process.
    pub(crate) serial: u64,
}

impl Snapshot {
    /// Reads a generation from the store.
    pub(crate) async fn load(store: &PredictionStore, id: GenerationId, serial: u64) -> Result<Option<Self>, StoreError> {
        let Some(generation) = store.generation(id).await? else { return Ok(None) };
        let mut frames = BTreeMap::new();
        for frame in generation.predictions.keys() {
            if let Some(document) = store.prediction(id, *frame).await? {
                frames.insert(*frame, Arc::new(FrameDocument::new(document)));
            }
        }
        let mut arms = BTreeMap::new();
        for arm in generation.experiment.iter().flat_map(|experiment| &experiment.arms) {
            // The published arm has no document of its own.
            if let Some(document) = store.arm(id, &arm.name).await? {
                arms.insert(arm.name.clone(), Arc::new(FrameDocument::new(document)));
            }
        }
        let record = Arc::new(store.record(id).await?.unwrap_or_default());
        let rest = continuations(store, id, &frames).await?;
        let index = move || {
            let products = list_products(&frames, &rest);
            let homes = products.iter().map(|listed| (listed.product_id, listed.category_id)).collect();
            Self { generation: Arc::new(generation), frames, arms, record, products, homes, serial }
        };
        // Names of a large shop take some milliseconds, so not on the runtime.
        match spawn_blocking(index).await {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// The category that a product belongs to.
    pub(crate) fn home_of(&self, product: ProductId) -> Option<CategoryId> {
        self.homes.get(&product).copied()
    }
}

/// Every frame ranks the same products, so the week's lists (or the first frame's) name them all.
fn naming(frames: &BTreeMap<TimeFrame, Arc<FrameDocument>>) -> Option<(TimeFrame, &Arc<FrameDocument>)> {
    frames.get_key_value(&TimeFrame::Week).or_else(|| frames.first_key_value()).map(|(frame, document)| (*frame, document))
}

/// The products beyond the first 100 of each category.
async fn continuations(
    store: &PredictionStore,
    id: GenerationId,
    frames: &BTreeMap<TimeFrame, Arc<FrameDocument>>,
) -> Result<HashMap<CategoryId, Continuation>, StoreError> {
    let mut rest = HashMap::new();
    let Some((frame, named)) = naming(frames) else { return Ok(rest) };
    for category in named.document.categories.iter().filter(|category| category.total_products as usize > category.top_products.len()) {
        rest.extend(store.continuation(id, frame, category.category_id).await?.map(|found| (category.category_id, found)));
    }
    Ok(rest)
}

fn list_products(frames: &BTreeMap<TimeFrame, Arc<FrameDocument>>, rest: &HashMap<CategoryId, Continuation>) -> Vec<Listed> {
    let mut listed = Vec::new();
    for category in naming(frames).iter().flat_map(|(_, named)| &named.document.categories) {
        let first = category.top_products.iter().map(|product| (product.product_id, &product.product_name));
        let others = rest.get(&category.category_id).into_iter().flat_map(|rest| &rest.products);
        for (product_id, name) in first.chain(others.map(|product| (product.product_id, &product.product_name))) {
            listed.push(Listed { product_id, category_id: category.category_id, name: name.clone(), folded: name.to_lowercase() });
        }
    }
    listed
}
