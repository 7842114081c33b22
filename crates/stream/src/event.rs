//! The canonical change event: what a change of the shop's tables means, whichever source it was read from.

use sellcast_domain::window::{Held, Version};
use sellcast_domain::{CategoryId, ProductId, SaleId};
use serde::{Deserialize, Serialize};

/// A table that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// Lines of sales.
    Sales,
    /// Products with their category.
    Products,
}

/// A new version of a sale's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleChange {
    /// Which row.
    pub sale: SaleId,
    /// Which version of it.
    pub version: Version,
    /// What it holds now.
    pub row: Held,
    /// True when the source read the table instead of following it: such a row cannot be late.
    pub is_snapshot: bool,
    /// The product of the version before, where there was one.
    pub before: Before,
}

/// What is known of the row's version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// There was none.
    Nothing,
    /// It was of this product.
    Product(ProductId),
    /// There was one, and the source does not say of which product.
    Untold,
}

/// A change of the followed tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A sale was written, changed or deleted.
    Sale(SaleChange),
    /// A product is in this category now, or in none.
    Product {
        /// Which product.
        product: ProductId,
        /// Its category.
        category: Option<CategoryId>,
        /// Which version of its row says so.
        version: Version,
    },
    /// All rows of a table from before this position are gone (truncate).
    Emptied {
        /// Which table.
        entity: Entity,
        /// Where.
        position: u64,
    },
    /// Says nothing that another event did not say: a tombstone, a heartbeat, a change of the schema.
    Nothing,
}

/// An event that cannot be understood, and why; it goes to the dead letters whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// The bytes are not what the source's format says.
    #[error("the event is no Debezium change event in JSON ({0}): check the connector's value.converter")]
    Format(String),
    /// A column of the mapping is missing.
    #[error("the row has no `{0}`: if the column was renamed, say so in the mapping and replay the dead letters")]
    Missing(String),
    /// A column holds something else than it should.
    #[error("`{column}` holds {found} where {expected} is expected")]
    Value {
        /// Which column.
        column: String,
        /// What stands there, in kind.
        found: &'static str,
        /// What should.
        expected: &'static str,
    },
    /// The event does not say where in its source it stands.
    #[error("the event has no position (`source.lsn`, or `source.file` and `source.pos`): only PostgreSQL and MySQL connectors are known")]
    Position,
    /// The sale is said to have happened ahead of the wall clock.
    #[error("the sale happens ahead of the clock by more than the lateness: set the clock or the sale right and replay the dead letters")]
    Future,
}
