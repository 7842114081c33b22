//! GraphQL's `SalesWindows`: what sold lately, in windows that slide as sales come in.

use async_graphql::SimpleObject;
use sellcast_domain::Money;
use sellcast_domain::window::WindowValue;

use crate::windows::{Told, event_instant, instant};

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

/// One sliding window.
#[derive(SimpleObject)]
pub(super) struct SalesWindow {
    /// `1h`, `6h`, `24h` or `7d`.
    span: String,
    /// Where it begins, inclusive.
    start: String,
    /// Where it ends, exclusive.
    end: String,
    /// Units, less returns.
    quantity: f64,
    /// Amount, less returns.
    amount: f64,
    /// Lines of sales, returns among them.
    transactions: i32,
    /// Amount by quantity.
    average_unit_price: Option<f64>,
    /// Different customers.
    customers: u64,
}

impl From<Told> for SalesWindows {
    fn from(told: Told) -> Self {
        Self {
            as_of: instant(told.as_of),
            stream_still_since: told.is_still.then(|| instant(told.as_of)),
            windows: told.windows.into_iter().map(SalesWindow::from).collect(),
        }
    }
}

impl From<WindowValue> for SalesWindow {
    fn from(window: WindowValue) -> Self {
        Self {
            span: window.span.to_string(),
            start: event_instant(window.start),
            end: event_instant(window.end),
            quantity: window.quantity_thousandths as f64 / 1000.0,
            amount: Money::from_cents(window.amount_cents).to_f64(),
            transactions: window.transactions,
            average_unit_price: window.average_unit_price,
            customers: window.customers.estimate,
        }
    }
}
