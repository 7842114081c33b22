//! The current generation parsed and indexed, held in memory as a whole. A new one is loaded off the
//! runtime and swapped in; requests that run keep the one they began with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sellcast_domain::{
    CategoryId, CategoryPrediction, Generation, GenerationId, PredictionDocument, ProductId, ProductPrediction, TimeFrame, TrackRecord,
};
use sellcast_store::{PredictionStore, StoreError};

/// A frame's document with the way from a category's id to its place.
#[derive(Debug)]
pub(crate) struct FrameDocument {
    pub(crate) document: PredictionDocument,
    places: HashMap<CategoryId, usize>,
}

impl FrameDocument {
    pub(crate) fn new(document: PredictionDocument) -> Self {
        let places = document.categories.iter().enumerate().map(|(place, category)| (category.category_id, place)).collect();
        Self { document, places }
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
    /// Reads a generation from the store. Blocks for as long as parsing takes.
    pub(crate) fn load(store: &PredictionStore, id: GenerationId, serial: u64) -> Result<Option<Self>, StoreError> {
        let Some(generation) = store.generation(id)? else { return Ok(None) };
        let mut frames = BTreeMap::new();
        for frame in generation.predictions.keys() {
            if let Some(document) = store.prediction(id, *frame)? {
                frames.insert(*frame, Arc::new(FrameDocument::new(document)));
            }
        }
        let mut arms = BTreeMap::new();
        for arm in generation.experiment.iter().flat_map(|experiment| &experiment.arms) {
            // The published arm has no document of its own.
            if let Some(document) = store.arm(id, &arm.name)? {
                arms.insert(arm.name.clone(), Arc::new(FrameDocument::new(document)));
            }
        }
        let record = store.record(id)?.unwrap_or_default();
        let products = list_products(store, id, &frames)?;
        let homes = products.iter().map(|listed| (listed.product_id, listed.category_id)).collect();
        Ok(Some(Self { generation: Arc::new(generation), frames, arms, record: Arc::new(record), products, homes, serial }))
    }

    /// The category that a product belongs to.
    pub(crate) fn home_of(&self, product: ProductId) -> Option<CategoryId> {
        self.homes.get(&product).copied()
    }
}

/// Every frame ranks the same products, so the week's lists (or the first frame's) name them all.
fn list_products(
    store: &PredictionStore,
    id: GenerationId,
    frames: &BTreeMap<TimeFrame, Arc<FrameDocument>>,
) -> Result<Vec<Listed>, StoreError> {
    let Some((frame, named)) = frames.get_key_value(&TimeFrame::Week).or_else(|| frames.first_key_value()) else { return Ok(Vec::new()) };
    let mut listed = Vec::new();
    for category in &named.document.categories {
        let mut add = |product_id, name: &str| {
            listed.push(Listed { product_id, category_id: category.category_id, name: name.to_owned(), folded: name.to_lowercase() });
        };
        for product in &category.top_products {
            add(product.product_id, &product.product_name);
        }
        if category.total_products as usize > category.top_products.len()
            && let Some(rest) = store.continuation(id, *frame, category.category_id)?
        {
            for product in &rest.products {
                add(product.product_id, &product.product_name);
            }
        }
    }
    Ok(listed)
}
