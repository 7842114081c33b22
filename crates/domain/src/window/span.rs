//! The four windows and the tiles they are made of.
//!
//! A window ends with the tile in which its instant lies and holds that many whole tiles before, so a window of an hour
//! slides by the minute and the longer ones by the hour.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CategoryId, ProductId};

/// What a window is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowKey {
    /// All sales of a product.
    Product(ProductId),
    /// All sales of the products that are in a category now.
    Category(CategoryId),
}

/// How long a tile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileWidth {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

impl TileWidth {
    /// Its length in minutes.
    pub const fn minutes(self) -> u32 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60,
        }
    }
}

/// A sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WindowSpan {
    /// One hour.
    #[serde(rename = "1h")]
    Hour,
    /// Six hours.
    #[serde(rename = "6h")]
    SixHours,
    /// Twenty-four hours.
    #[serde(rename = "24h")]
    Day,
    /// Seven days.
    #[serde(rename = "7d")]
    Week,
}

/// Text that names no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no window: use 1h, 6h, 24h or 7d")]
pub struct InvalidWindowSpan(String);

impl WindowSpan {
    /// All of them, the shortest first; a span's place here is its index.
    pub const ALL: [Self; 4] = [Self::Hour, Self::SixHours, Self::Day, Self::Week];

    /// The tiles it is made of.
    pub const fn tile(self) -> TileWidth {
        match self {
            Self::Hour => TileWidth::Minute,
            Self::SixHours | Self::Day | Self::Week => TileWidth::Hour,
        }
    }

    /// How many tiles it has.
    pub const fn tiles(self) -> u32 {
        match self {
            Self::Hour => 60,
            Self::SixHours => 6,
            Self::Day => 24,
            Self::Week => 168,
        }
    }

    /// The first and the last of its tiles when it ends with the tile of this minute.
    pub(super) const fn range(self, minute: u32) -> (u32, u32) {
        let last = minute / self.tile().minutes();
        (last.saturating_sub(self.tiles() - 1), last)
    }
}

impl fmt::Display for WindowSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        })
    }
}

impl FromStr for WindowSpan {
    type Err = InvalidWindowSpan;
    fn from_str(text: &str) -> Result<Self, InvalidWindowSpan> {
        Self::ALL.into_iter().find(|span| span.to_string() == text).ok_or_else(|| InvalidWindowSpan(text.to_owned()))
    }
}
