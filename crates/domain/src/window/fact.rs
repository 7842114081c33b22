//! One sale as the windows see it, the instant at which it happened, and the version of its row.

use serde::{Deserialize, Serialize};

use super::hash::mix;
use super::sums::{Quantity, Sums};
use crate::{CustomerId, Money, ProductId};

/// Seconds since 1970, UTC. Reaches to 2106; four bytes, because every held sale has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(u32);

/// Seconds that are no time of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} seconds since 1970 is no time of a sale: it must lie between 1970 and 2106")]
pub struct InvalidEventTime(pub i64);

impl TryFrom<i64> for EventTime {
    type Error = InvalidEventTime;
    fn try_from(seconds: i64) -> Result<Self, InvalidEventTime> {
        u32::try_from(seconds).map(Self).map_err(|_| InvalidEventTime(seconds))
    }
}

impl EventTime {
    /// Seconds since 1970.
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// Minutes since 1970, the number of its minute tile.
    pub const fn minute(self) -> u32 {
        self.0 / 60
    }

    /// This many seconds earlier, not before 1970.
    #[must_use]
    pub const fn earlier(self, seconds: u32) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// This many seconds later, not after 2106.
    #[must_use]
    pub const fn later(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// Where in its source a row got its content: of two versions of a row the greater is the newer one.
///
/// Versions of one table compare; nothing else is asked of them. A deletion stands below a row of the same position,
/// because a source that writes a changed key as deletion and creation gives both one position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    position: u64,
    /// The row within the position times two, plus one if there is a row.
    rank: u32,
}

impl Version {
    /// Before everything.
    pub const NONE: Self = Self { position: 0, rank: 0 };

    /// The version of a row that was written at `position`, the `row`th there.
    pub const fn written(position: u64, row: u32) -> Self {
        Self { position, rank: row.saturating_mul(2) | 1 }
    }

    /// The version of a row that was deleted at `position`, the `row`th there.
    pub const fn deleted(position: u64, row: u32) -> Self {
        Self { position, rank: row.saturating_mul(2) & !1 }
    }

    /// From its two parts, as [`Version::parts`] gives them.
    pub const fn from_parts(position: u64, rank: u32) -> Self {
        Self { position, rank }
    }

    /// The position, and the rank within it.
    pub const fn parts(self) -> (u64, u32) {
        (self.position, self.rank)
    }
}

/// One line of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleFact {
    /// What was sold.
    pub product: ProductId,
    /// Who bought it, as 32 bits of a hash: enough to count different customers, too little to find one.
    pub customer: u32,
    /// When.
    pub occurred_at: EventTime,
    /// How much; negative for a return.
    pub quantity: Quantity,
    /// What it cost in all; negative for a return.
    pub amount: Money,
}

impl SaleFact {
    /// The mark of a customer in a fact.
    pub fn customer_mark(customer: CustomerId) -> u32 {
        (mix(customer.get() as u64) >> 32) as u32
    }

    /// What the sale adds to a window.
    pub const fn sums(&self) -> Sums {
        Sums { quantity: self.quantity, amount: self.amount, transactions: 1 }
    }
}
