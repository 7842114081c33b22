//! The online store within one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use sellcast_domain::ProductId;

use super::{OnlineRead, OnlineRow, OnlineSet};
use crate::compute::FeatureSet;

/// The newest set and where each product is in it.
#[derive(Debug, Default)]
pub(super) struct Memory(RwLock<Option<Arc<Placed>>>);

#[derive(Debug)]
struct Placed {
    set: FeatureSet,
    places: HashMap<ProductId, usize>,
}

impl Memory {
    pub(super) fn publish(&self, set: &FeatureSet) {
        let places = set.products.iter().enumerate().map(|(place, product)| (*product, place)).collect();
        let placed = Arc::new(Placed { set: set.clone(), places });
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(placed);
    }

    pub(super) fn current(&self) -> Option<OnlineSet> {
        self.placed().map(|placed| OnlineSet::of(&placed.set))
    }

    pub(super) fn read(&self, products: &[ProductId]) -> Option<OnlineRead> {
        let placed = self.placed()?;
        let row = |product: &ProductId| {
            let place = *placed.places.get(product)?;
            Some(OnlineRow { category: placed.set.categories[place], values: placed.set.row(place).to_vec() })
        };
        Some(OnlineRead { set: OnlineSet::of(&placed.set), rows: products.iter().map(row).collect() })
    }

    pub(super) fn products(&self) -> Vec<ProductId> {
        self.placed().map(|placed| placed.set.products.clone()).unwrap_or_default()
    }

    fn placed(&self) -> Option<Arc<Placed>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
