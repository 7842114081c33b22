//! Time frames and periods: what a forecast is about.

use std::fmt;
use std::str::FromStr;

use chrono::Months;
use serde::{Deserialize, Serialize};

use crate::ShopDay;

/// How long a forecast period is. A closed set; a new frame is added here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFrame {
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

/// Text that names no time frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time frame: use day, week, month, quarter, half_year or year")]
pub struct InvalidTimeFrame(String);

impl TimeFrame {
    /// Every frame, shortest first.
    pub const ALL: [Self; 6] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::HalfYear, Self::Year];

    /// The name in APIs, documents and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::HalfYear => "half_year",
            Self::Year => "year",
        }
    }

    /// Length in days, on average for frames made of months.
    pub const fn typical_days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Quarter => 91,
            Self::HalfYear => 182,
            Self::Year => 365,
        }
    }
}

impl fmt::Display for TimeFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TimeFrame {
    type Err = InvalidTimeFrame;
    fn from_str(text: &str) -> Result<Self, InvalidTimeFrame> {
        Self::ALL.into_iter().find(|frame| frame.name() == text).ok_or_else(|| InvalidTimeFrame(text.to_owned()))
    }
}

/// A stretch of shop days that a forecast is about.
///
/// Ends on the last day it includes; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    frame: TimeFrame,
    start: ShopDay,
}

impl Period {
    /// The period of `frame` that begins on `start`.
    pub const fn starting(frame: TimeFrame, start: ShopDay) -> Self {
        Self { frame, start }
    }

    /// Its time frame.
    pub const fn frame(self) -> TimeFrame {
        self.frame
    }

    /// First day; also the as_of of its forecast.
    pub const fn start(self) -> ShopDay {
        self.start
    }

    /// Last day, inclusive. A month ends on the day before the same day next month; where the next month has no
    /// such day, on that month's last day (31 Jan -> 27 or 28 Feb, because the day before 28 or 29 Feb is meant).
    pub fn last_day(self) -> ShopDay {
        let months = |n| ShopDay::from(self.start.date().checked_add_months(Months::new(n)).unwrap_or(self.start.date())) - 1;
        match self.frame {
            TimeFrame::Day => self.start,
            TimeFrame::Week => self.start + 6,
            TimeFrame::Month => months(1),
            TimeFrame::Quarter => months(3),
            TimeFrame::HalfYear => months(6),
            TimeFrame::Year => months(12),
        }
    }

    /// Number of shop days, at least one.
    pub fn days(self) -> i64 {
        self.last_day().days_since(self.start) + 1
    }

    /// The period of the same frame that begins on the day after this one's last.
    pub fn next(self) -> Self {
        Self::starting(self.frame, self.last_day() + 1)
    }

    /// Whether `day` lies in the period.
    pub fn contains(self, day: ShopDay) -> bool {
        self.start <= day && day <= self.last_day()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(frame: TimeFrame, start: &str, last: &str) {
        let period = Period::starting(frame, start.parse().expect("a day"));
        assert_eq!(period.last_day().to_string(), last, "{frame} from {start}");
        assert_eq!(period.next().start(), period.last_day() + 1);
        assert!(period.days() >= 1);
    }

    #[test]
    fn periods_end_on_their_last_day() {
        check(TimeFrame::Day, "2017-12-04", "2017-12-04");
        check(TimeFrame::Week, "2017-12-04", "2017-12-10");
        check(TimeFrame::Month, "2017-12-04", "2018-01-03");
        check(TimeFrame::Month, "2017-01-31", "2017-02-27");
        check(TimeFrame::Month, "2016-01-31", "2016-02-28");
        check(TimeFrame::Quarter, "2017-12-01", "2018-02-28");
        check(TimeFrame::HalfYear, "2017-08-31", "2018-02-27");
        check(TimeFrame::Year, "2016-02-29", "2017-02-27");
    }

    #[test]
    fn names_are_read_back() {
        for frame in TimeFrame::ALL {
            assert_eq!(frame.name().parse::<TimeFrame>(), Ok(frame));
        }
        assert!("fortnight".parse::<TimeFrame>().is_err());
    }
}
