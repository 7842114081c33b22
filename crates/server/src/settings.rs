//! What whoever starts the server decides: the shop's name and zone, and the bounds on what requests may cost.

use std::time::Duration;

use chrono_tz::Tz;

/// Settings of the server, resolved.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Name of the shop, shown until a generation brings its own.
    pub shop_name: String,
    /// The shop's time zone.
    pub zone: Tz,
    /// Requests worked on at once; more are turned away with 503. Answers from the cache do not count.
    pub max_concurrent: usize,
    /// Event streams open at once.
    pub max_viewers: usize,
    /// A request that takes longer is given up with 503.
    pub timeout: Duration,
    /// Ready answers kept in memory, in bytes.
    pub answer_cache_bytes: u64,
}

impl ServerSettings {
    /// Bounds that suit a machine of two cores.
    pub fn new(shop_name: impl Into<String>, zone: Tz) -> Self {
        Self {
            shop_name: shop_name.into(),
            zone,
            max_concurrent: 256,
            max_viewers: 512,
            timeout: Duration::from_secs(10),
            answer_cache_bytes: 64 << 20,
        }
    }
}
