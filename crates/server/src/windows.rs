//! Sales of the last hours and days, in windows that slide as sales come in.

use async_graphql::SimpleObject;
use chrono::{DateTime, SecondsFormat, Utc};
use sellcast_domain::window::{EventTime, WindowKey, WindowValue};
use sellcast_domain::{Money, Problem, ProblemKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::live_sales::Standing;
use crate::problems::{unknown_category, unknown_product};
use crate::state::AppState;

/// The windows of a key and how far the stream is.
pub(crate) struct Told {
    pub(crate) as_of: String,
    pub(crate) stream_still_since: Option<String>,
    pub(crate) windows: Vec<SalesWindow>,
}

/// One sliding window, as both APIs tell it.
#[derive(Serialize, SimpleObject, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SalesWindow {
    /// `1h`, `6h`, `24h` or `7d`.
    span: String,
    /// Where it begins, inclusive.
    start: String,
    /// Where it ends, exclusive: with the minute (of the first) or the hour of its newest sale.
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
    /// Standard error of their number; 0 where it is exact.
    customers_standard_error: f64,
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
            average_unit_price: window.average_unit_price.map(|price| (price * 10_000.0).round() / 10_000.0),
            customers: window.customers.estimate,
            customers_standard_error: (window.customers.standard_error * 10.0).round() / 10.0,
        }
    }
}

/// The windows of a category that is forecast, or of a product in one.
pub(crate) fn windows(state: &AppState, key: WindowKey) -> Result<Told, Problem> {
    let Some(sales) = state.live_frames().sales() else {
        return Err(Problem::new(
            ProblemKind::NotFound,
            "no windows are kept here: a `[stream]` section in sellcast.toml follows the sales",
        ));
    };
    if let Some(snapshot) = state.forecasts().current() {
        match key {
            WindowKey::Category(id) if snapshot.frames.values().all(|frame| frame.category(id).is_none()) => {
                return Err(unknown_category(id));
            }
            WindowKey::Product(id) if snapshot.home_of(id).is_none() => return Err(unknown_product(id)),
            _ => {}
        }
    }
    let Standing { as_of: Some(as_of), is_still, .. } = sales.standing() else {
        return Err(Problem::new(ProblemKind::NotReady, "the stream reads what the shop sold so far; try again in a few seconds"));
    };
    let windows =
        sales.windows(key).ok_or_else(|| Problem::new(ProblemKind::NotReady, "the windows are being made; try again in a few seconds"))?;
    let as_of = instant(as_of);
    Ok(Told { stream_still_since: is_still.then(|| as_of.clone()), as_of, windows: windows.into_iter().map(SalesWindow::from).collect() })
}

/// An instant as the APIs write it.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The same of an instant of the windows.
fn event_instant(at: EventTime) -> String {
    DateTime::from_timestamp(at.seconds().into(), 0).map(instant).unwrap_or_default()
}
