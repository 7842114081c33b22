//! GraphQL's `TimeFrame`.

use async_graphql::Enum;

/// Length of a forecast period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(super) enum TimeFrame {
    /// One shop day.
    Day,
    /// Seven days.
    Week,
    /// To the day before the same day next month.
    Month,
    /// Three months.
    Quarter,
    /// Six months.
    HalfYear,
    /// Twelve months.
    Year,
}

impl From<TimeFrame> for sellcast_domain::TimeFrame {
    fn from(frame: TimeFrame) -> Self {
        match frame {
            TimeFrame::Day => Self::Day,
            TimeFrame::Week => Self::Week,
            TimeFrame::Month => Self::Month,
            TimeFrame::Quarter => Self::Quarter,
            TimeFrame::HalfYear => Self::HalfYear,
            TimeFrame::Year => Self::Year,
        }
    }
}

impl From<sellcast_domain::TimeFrame> for TimeFrame {
    fn from(frame: sellcast_domain::TimeFrame) -> Self {
        match frame {
            sellcast_domain::TimeFrame::Day => Self::Day,
            sellcast_domain::TimeFrame::Week => Self::Week,
            sellcast_domain::TimeFrame::Month => Self::Month,
            sellcast_domain::TimeFrame::Quarter => Self::Quarter,
            sellcast_domain::TimeFrame::HalfYear => Self::HalfYear,
            sellcast_domain::TimeFrame::Year => Self::Year,
        }
    }
}
