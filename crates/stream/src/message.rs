//! What travels between reading changes and keeping windows: rows with the category of their product, so that workers
//! split the load by category. On Kafka these are the JSON values of the topic `sellcast.sales`.
//!
//! Every message may come twice and in another order: versions say what is newer.

use sellcast_domain::window::{Arrival, EventTime, Held, Quantity, SaleFact, Version};
use sellcast_domain::{CategoryId, Money, ProductId, SaleId};
use serde::{Deserialize, Serialize};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// A version of a sale's row.
    Sale(SaleMessage),
    /// A row that was deleted, or whose new version is of a product elsewhere.
    Deleted {
        /// Which row.
        sale: SaleId,
        /// As of which version.
        version: Version,
        /// When the sale happened, or was deleted if that is not known.
        at: EventTime,
    },
    /// A product is in this category, or in none.
    Product {
        /// Which product.
        product: ProductId,
        /// Its category.
        category: Option<CategoryId>,
        /// As of which version of its row.
        version: Version,
    },
    /// No sale from before this position counts any more.
    Emptied {
        /// Position in the source.
        position: u64,
    },
    /// How far time has come in a source.
    Clock {
        /// Topic and partition that were read.
        source: String,
        /// The latest time there.
        head: EventTime,
    },
    /// What a source had up to an instant is among the messages that were there before this one, in all partitions.
    Level {
        /// Topic and partition that were read.
        source: String,
        /// When its worker had followed all of it.
        at: EventTime,
    },
}

/// A version of a sale's row, with where its product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleMessage {
    /// Which row.
    pub sale: SaleId,
    /// Which version of it.
    pub version: Version,
    /// What was sold.
    pub product: ProductId,
    /// The product's category as the sender knows it.
    pub category: Option<CategoryId>,
    /// Since which version of the product.
    pub home: Version,
    /// 32 bits of a hash of the customer.
    pub customer: u32,
    /// When.
    pub occurred_at: EventTime,
    /// How much.
    pub quantity: Quantity,
    /// For how much, in cents.
    pub amount_cents: i64,
    /// Whether it came in time.
    pub arrival: Arrival,
}

impl SaleMessage {
    /// A row with the home of its product.
    pub fn new(sale: SaleId, version: Version, fact: &SaleFact, home: (Option<CategoryId>, Version), arrival: Arrival) -> Self {
        Self {
            sale,
            version,
            product: fact.product,
            category: home.0,
            home: home.1,
            customer: fact.customer,
            occurred_at: fact.occurred_at,
            quantity: fact.quantity,
            amount_cents: fact.amount.cents(),
            arrival,
        }
    }

    /// The row.
    pub fn row(&self) -> Held {
        Held::Sale(SaleFact {
            product: self.product,
            customer: self.customer,
            occurred_at: self.occurred_at,
            quantity: self.quantity,
            amount: Money::from_cents(self.amount_cents),
        })
    }
}

/// Which of several shards a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that has a category.
    Category(Option<CategoryId>),
    /// Every one.
    All,
    /// Every one but that which has a category.
    AllBut(Option<CategoryId>),
}

/// The share of the categories that one partition of the keyed topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Share {
    /// From 0.
    pub index: u32,
    /// At least 1; must not change while the topic lives.
    pub count: u32,
}

impl Share {
    /// All categories.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The index of the share that has a category. Products without a category are with the first.
    pub fn index_of(category: Option<CategoryId>, count: u32) -> u32 {
        // Fibonacci hashing: neighbouring ids spread evenly over any count.
        let hash = category.map_or(0, |category| (category.get() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32);
        (hash % u64::from(count.max(1))) as u32
    }

    /// True when the category is in this share.
    pub fn has(self, category: Option<CategoryId>) -> bool {
        Self::index_of(category, self.count) == self.index
    }
}

impl Target {
    /// The indexes of the shares it means, of `count`.
    pub fn indexes(self, count: u32) -> impl Iterator<Item = u32> {
        let (range, but) = match self {
            Self::Category(category) => {
                let index = Share::index_of(category, count);
                (index..index + 1, None)
            }
            Self::All => (0..count, None),
            Self::AllBut(category) => (0..count, Some(Share::index_of(category, count))),
        };
        range.filter(move |index| Some(*index) != but)
    }
}
