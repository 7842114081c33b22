//! The running sales: what the server asks of whoever follows the shop's changes. The server knows no stream; whoever starts it
//! gives it somebody who does.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sellcast_domain::window::{EventTime, StandingCounts, Sums, WindowKey, WindowValue};
use sellcast_domain::{CategoryId, SalesProfile};

use crate::reconciliation::Reconciliation;

/// How far the stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The instant up to which all sales are known, by the shop's clock; none before it has caught up for the first time.
    pub as_of: Option<DateTime<Utc>>,
    /// True when it has not come further for longer than it may.
    pub is_still: bool,
    /// Grows with what it reads.
    pub read: u64,
}

/// Sales as they come, in windows.
pub trait LiveSales: Send + Sync {
    /// How far it is.
    fn standing(&self) -> Standing;

    /// The windows of a product or of a category at the forecast level; `None` until they are made.
    fn windows(&self, key: WindowKey) -> Option<[WindowValue; 4]>;

    /// What was sold under each key from an instant on; `None` when windows do not reach back to it, and until they are made.
    fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>>;

    /// What rows came to since the state began; `None` until the windows are made.
    fn rows(&self) -> Option<StandingCounts>;

    /// What the source's events were, by kind (`written`, `poison`, ...); empty where another process reads them.
    fn changes(&self) -> Vec<(&'static str, u64)>;

    /// Messages of the source that were not followed when it was last asked; `None` while it does not answer, and where it cannot say.
    fn lag(&self) -> Option<u64>;

    /// What the last comparison with the warehouse found; `None` before the first.
    fn reconciliation(&self) -> Option<Arc<Reconciliation>>;

    /// How the sales of a category spread over the week; of the whole shop without one.
    fn profile(&self, category: Option<CategoryId>) -> Arc<SalesProfile>;
}
