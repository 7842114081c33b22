//! The category of each product, as the change events of products say it: what the reading side adds to a sale.

use std::collections::HashMap;

use sellcast_domain::window::Version;
use sellcast_domain::{CategoryId, ProductId};

/// Products and their categories.
#[derive(Debug, Default)]
pub struct Dimension(HashMap<ProductId, (Option<CategoryId>, Version)>);

impl Dimension {
    /// Says where a product is. False when a newer version is known.
    pub fn place(&mut self, product: ProductId, category: Option<CategoryId>, version: Version) -> bool {
        let home = self.0.entry(product).or_default();
        let is_newer = version > home.1;
        if is_newer {
            *home = (category, version);
        }
        is_newer
    }

    /// Where a product is, and since which version of its row; no category before anything is known.
    pub fn home(&self, product: ProductId) -> (Option<CategoryId>, Version) {
        self.0.get(&product).copied().unwrap_or_default()
    }

    /// The products whose row is from before a position at which their table was emptied.
    pub fn before(&self, position: u64) -> Vec<ProductId> {
        self.0.iter().filter(|(_, (_, version))| version.parts().0 < position).map(|(product, _)| *product).collect()
    }

    /// How many products are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when none is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
