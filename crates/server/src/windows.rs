//! Sales of the last hours and days, in windows that slide as sales come in.

use chrono::{DateTime, SecondsFormat, Utc};
use sellcast_domain::window::{EventTime, WindowKey, WindowValue};
use sellcast_domain::{Problem, ProblemKind};

use crate::live_sales::Standing;
use crate::problems::{unknown_category, unknown_product};
use crate::state::AppState;

/// The windows of a key and how far the stream is.
pub(crate) struct Told {
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) is_still: bool,
    pub(crate) windows: [WindowValue; 4],
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
    let windows = sales.windows(key).ok_or_else(|| {
        Problem::new(ProblemKind::NotReady, "another worker keeps part of these windows: ask again when this one has all partitions")
    })?;
    Ok(Told { as_of, is_still, windows })
}

/// An instant as the APIs write it.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The same of an instant of the windows.
pub(crate) fn event_instant(at: EventTime) -> String {
    DateTime::from_timestamp(at.seconds().into(), 0).map(instant).unwrap_or_default()
}
