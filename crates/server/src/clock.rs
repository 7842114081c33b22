//! The shop's clock, passed in by whoever starts the server: the system clock for a real shop, the replayed
//! instant in the demo. Nothing in this crate asks the system for the time of day.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Tells the instant in the shop.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;
