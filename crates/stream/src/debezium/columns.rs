//! Which columns of the shop's tables carry the canonical names.

use serde::Deserialize;

use crate::event::Entity;

/// Number of canonical columns an entity has at most.
pub(super) const WIDTH: usize = 7;

/// The names of the columns in the shop's own tables.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SaleColumns {
    /// Key of a sale's line.
    pub sale_id: String,
    /// What was sold.
    pub product_id: String,
    /// To whom.
    pub customer_id: String,
    /// How much.
    pub quantity: String,
    /// Price of one.
    pub unit_price: String,
    /// Price of the line; where it is missing or null, quantity times price is taken.
    pub total_price: String,
    /// When.
    pub occurred_at: String,
}

impl Default for SaleColumns {
    fn default() -> Self {
        let own = str::to_owned;
        Self {
            sale_id: own("id"),
            product_id: own("product_id"),
            customer_id: own("customer_id"),
            quantity: own("quantity"),
            unit_price: own("unit_price"),
            total_price: own("total_price"),
            occurred_at: own("occurred_at"),
        }
    }
}

/// The same for products.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProductColumns {
    /// Key of a product.
    pub product_id: String,
    /// Its category.
    pub category_id: String,
}

impl Default for ProductColumns {
    fn default() -> Self {
        Self { product_id: "id".to_owned(), category_id: "category_id".to_owned() }
    }
}

/// Columns of one entity, by their place.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) entity: Entity,
    names: Vec<String>,
}

impl Columns {
    pub(super) fn sales(columns: &SaleColumns) -> Self {
        let SaleColumns { sale_id, product_id, customer_id, quantity, unit_price, total_price, occurred_at } = columns.clone();
        let names = vec![sale_id, product_id, customer_id, quantity, unit_price, total_price, occurred_at];
        Self { entity: Entity::Sales, names }
    }

    pub(super) fn products(columns: &ProductColumns) -> Self {
        Self { entity: Entity::Products, names: vec![columns.product_id.clone(), columns.category_id.clone()] }
    }

    /// The place of a column. Rows nearly always keep one order, so the place after the last one is tried first.
    pub(super) fn place(&self, name: &[u8], expected: usize) -> Option<usize> {
        if self.names.get(expected).is_some_and(|known| known.as_bytes() == name) {
            return Some(expected);
        }
        self.names.iter().position(|known| known.as_bytes() == name)
    }

    pub(super) fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }
}
