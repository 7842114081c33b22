//! How far the time of one source has come, and what that makes of a sale that arrives.
//!
//! The watermark stands a bounded lateness behind the latest sale. An idle source is moved by the wall clock, which
//! the caller passes in and which may jump: one tick moves time by the lateness at most.

use serde::{Deserialize, Serialize};

use super::fact::EventTime;

/// What may be late, and what counts as idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct WatermarkSettings {
    /// A sale may come this much later than the latest one.
    pub lateness_seconds: u32,
    /// A source without events stands this much behind the wall clock.
    pub idle_seconds: u32,
}

impl Default for WatermarkSettings {
    fn default() -> Self {
        Self { lateness_seconds: 600, idle_seconds: 60 }
    }
}

/// When a sale came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// Within the bound, or as part of a snapshot or a change of an older row, which cannot be late.
    InTime,
    /// Later than the bound: it counts only as a change of a sale that is known.
    Late,
    /// From further ahead of the wall clock than the bound: it does not count, or one wrong till would end all windows.
    Future,
}

/// The time of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The latest sale.
    latest: EventTime,
    /// Where time has come to without sales.
    idle_until: EventTime,
    /// The wall clock, once it was passed in; not kept over a restart, since it may have been away for long.
    #[serde(skip)]
    wall: Option<EventTime>,
}

impl Watermark {
    /// Judges a sale by when it happened. Only sales make others late: a source that comes back after an hour's silence
    /// has moved the windows on meanwhile, and what it held back still counts.
    pub fn observe(&mut self, at: EventTime, cannot_be_late: bool, settings: WatermarkSettings) -> Arrival {
        if self.wall.is_some_and(|wall| at > wall.later(settings.lateness_seconds)) {
            return Arrival::Future;
        }
        if at < self.latest.earlier(settings.lateness_seconds) && !cannot_be_late {
            return Arrival::Late;
        }
        self.latest = self.latest.max(at);
        Arrival::InTime
    }

    /// Tells the time by the wall clock. `is_idle` says that the source has nothing more to give at the moment.
    pub fn tick(&mut self, wall: EventTime, is_idle: bool, settings: WatermarkSettings) {
        self.wall = self.wall.max(Some(wall));
        if is_idle && self.latest > EventTime::default() {
            let idle = wall.earlier(settings.idle_seconds).min(self.head().later(settings.lateness_seconds));
            self.idle_until = self.idle_until.max(idle);
        }
    }

    /// Where windows over this source end.
    pub fn head(self) -> EventTime {
        self.latest.max(self.idle_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };

    fn at(seconds: i64) -> EventTime {
        EventTime::try_from(seconds).expect("a time")
    }

    #[test]
    fn a_sale_is_late_only_beyond_the_bound_and_a_snapshot_never_is() {
        let mut watermark = Watermark::default();
        assert_eq!(watermark.observe(at(10_000), false, SETTINGS), Arrival::InTime);
        assert_eq!(watermark.observe(at(9_400), false, SETTINGS), Arrival::InTime);
        assert_eq!(watermark.observe(at(9_399), false, SETTINGS), Arrival::Late);
        assert_eq!(watermark.observe(at(5_000), true, SETTINGS), Arrival::InTime);
        assert_eq!(watermark.head(), at(10_000));
    }

    #[test]
    fn an_idle_source_follows_the_wall_clock_and_a_busy_one_does_not() {
        let mut watermark = Watermark::default();
        watermark.observe(at(10_000), false, SETTINGS);
        watermark.tick(at(10_300), false, SETTINGS);
        assert_eq!(watermark.head(), at(10_000));
        watermark.tick(at(10_300), true, SETTINGS);
        assert_eq!(watermark.head(), at(10_240));
        watermark.tick(at(10_900), true, SETTINGS);
        assert_eq!(watermark.head(), at(10_840));
        assert_eq!(watermark.observe(at(9_500), false, SETTINGS), Arrival::InTime);
    }

    #[test]
    fn a_clock_that_jumps_moves_time_by_the_bound_at_most_and_never_back() {
        let mut watermark = Watermark::default();
        watermark.observe(at(1_000_000), false, SETTINGS);
        watermark.tick(at(1_000_010), true, SETTINGS);
        watermark.tick(at(900_000_000), true, SETTINGS);
        assert_eq!(watermark.head(), at(1_000_600));
        watermark.tick(at(5), true, SETTINGS);
        assert_eq!(watermark.head(), at(1_000_600));
        assert_eq!(watermark.observe(at(1_000_100), false, SETTINGS), Arrival::InTime);
    }

    #[test]
    fn a_sale_from_the_future_does_not_move_time() {
        let mut watermark = Watermark::default();
        watermark.tick(at(1_000_000), false, SETTINGS);
        assert_eq!(watermark.observe(at(1_000_601), false, SETTINGS), Arrival::Future);
        assert_eq!(watermark.observe(at(1_000_600), false, SETTINGS), Arrival::InTime);
    }
}
