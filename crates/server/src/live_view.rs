//! The bar under the header, in words: the same text whether a page is drawn or an event updates it.

use sellcast_domain::{Currency, LiveStatus};
use serde::Serialize;

use crate::state::AppState;
use crate::wording::day_long;

/// What the bar shows. Absent values keep their place empty, so that nothing moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveView {
    /// Whether the running day is watched.
    pub(crate) watched: bool,
    /// `Monday 4 December 2017`, or from which sales the forecast was made.
    pub(crate) day: String,
    /// `14:20 in the shop`.
    pub(crate) time: String,
    /// `$6,912`.
    pub(crate) sold: Option<String>,
    /// `$13,480`.
    pub(crate) expected: Option<String>,
    /// Sold of expected, 0 to 100.
    pub(crate) progress: Option<u8>,
    /// Whether there is a replay to stop.
    pub(crate) replayed: bool,
    /// Whether it stands still at the viewer's wish.
    pub(crate) paused: bool,
    /// Whether its last day is over.
    pub(crate) finished: bool,
    /// What the machine is doing now; events carry it with the status below.
    #[serde(skip_serializing)]
    pub(crate) activity: Option<String>,
    /// The status as it is.
    #[serde(flatten)]
    pub(crate) status: Option<LiveStatus>,
}

impl LiveView {
    pub(crate) fn of(state: &AppState, status: Option<&LiveStatus>) -> Self {
        let generation = state.forecasts().current().map(|snapshot| snapshot.generation.clone());
        let Some(status) = status else {
            let day = match &generation {
                Some(generation) => format!("Made from sales up to {}", day_long(generation.sales_until)),
                None => "No sales read yet".to_owned(),
            };
            return Self { day, ..Self::default() };
        };
        let currency =
            generation.as_ref().map(|generation| generation.currency.clone()).or_else(|| Currency::try_from("USD".to_owned()).ok());
        let show = |amount| currency.as_ref().map(|currency| currency.show(amount));
        let local = status.shop_time.with_timezone(&state.settings().zone);
        let progress = match (status.sold_so_far, status.expected_today) {
            (Some(sold), Some(expected)) if expected.cents() > 0 => {
                Some((sold.to_f64() / expected.to_f64() * 100.0).round().clamp(0.0, 100.0) as u8)
            }
            _ => None,
        };
        Self {
            watched: true,
            day: day_long(status.shop_day),
            time: format!("{} in the shop", local.format("%H:%M")),
            sold: status.sold_so_far.and_then(show),
            expected: status.expected_today.and_then(show),
            progress,
            replayed: status.replay.is_some(),
            paused: status.replay.as_ref().is_some_and(|replay| replay.paused),
            finished: status.replay.as_ref().is_some_and(|replay| replay.finished),
            activity: status.activity.clone(),
            status: Some(status.clone()),
        }
    }

    /// What the bar's button says and where it posts.
    pub(crate) fn button(&self) -> (&'static str, &'static str) {
        match (self.finished, self.paused) {
            (true, _) => ("Replay is over", "/replay/pause"),
            (false, true) => ("Resume replay", "/replay/resume"),
            (false, false) => ("Pause replay", "/replay/pause"),
        }
    }
}
