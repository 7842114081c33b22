//! GraphQL's `SalesWindows`: what sold lately, in windows that slide as sales come in.

use async_graphql::SimpleObject;

use crate::windows::{SalesWindow, Told};

/// Sliding windows of a category or a product.
#[derive(SimpleObject)]
pub(super) struct SalesWindows {
    /// Up to which instant sales are in the windows.
    as_of: String,
    /// Since when the stream stands still, if it does.
    stream_still_since: Option<String>,
    /// Windows of 1h, 6h, 24h and 7d, the shortest first.
    windows: Vec<SalesWindow>,
}

impl From<Told> for SalesWindows {
    fn from(told: Told) -> Self {
        Self { as_of: told.as_of, stream_still_since: told.stream_still_since, windows: told.windows }
    }
}
