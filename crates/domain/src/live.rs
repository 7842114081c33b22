//! The bar under the header: shop time, sold so far today, and the replay's state in the demo.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Money, ShopDay};

/// What is known of the running shop day; replaced as a whole whenever any of it changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveStatus {
    /// The instant in the shop (replayed in the demo).
    pub shop_time: DateTime<Utc>,
    /// The running shop day.
    pub shop_day: ShopDay,
    /// Sold on the running day up to `shop_time`, when it is watched.
    pub sold_so_far: Option<Money>,
    /// What the day's forecast expects by midnight.
    pub expected_today: Option<Money>,
    /// The demo's replay; absent for a real shop.
    pub replay: Option<ReplayStatus>,
    /// What the machine is doing right now in plain words (`training models`), if anything.
    pub activity: Option<String>,
}

/// The demo's replay of past days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayStatus {
    /// Whether the viewer has stopped it.
    pub paused: bool,
    /// First replayed day.
    pub first_day: ShopDay,
    /// Last day that can be replayed.
    pub last_day: ShopDay,
    /// Length of a replayed day, in seconds.
    pub day_seconds: f64,
    /// Whether the last day is over.
    pub finished: bool,
}
