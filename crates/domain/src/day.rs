//! A calendar day in the shop's time zone. Never mixed with instants: the way between the two needs the zone.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// A day of the shop (`date_id` in the warehouse).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShopDay(NaiveDate);

/// Text that is no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a day: write it as 2017-12-04, between 1900-01-01 and 2200-12-31")]
pub struct InvalidDay(String);

impl ShopDay {
    /// The day in the shop on which `instant` falls.
    pub fn of(instant: DateTime<Utc>, zone: Tz) -> Self {
        Self(instant.with_timezone(&zone).date_naive())
    }

    /// The first instant of the day. Where a clock change skips midnight, the first instant that exists.
    pub fn starts_at(self, zone: Tz) -> DateTime<Utc> {
        let midnight = self.0.and_time(NaiveTime::MIN);
        (0..24)
            .find_map(|hours| zone.from_local_datetime(&(midnight + chrono::Duration::hours(hours))).earliest())
            .map_or_else(|| midnight.and_utc(), |local| local.with_timezone(&Utc))
    }

    /// The calendar date.
    pub const fn date(self) -> NaiveDate {
        self.0
    }

    /// Days since 1970-01-01, as Arrow's `Date32` counts them.
    pub fn epoch_days(self) -> i32 {
        self.0.num_days_from_ce() - 719_163
    }

    /// The day that Arrow's `Date32` calls `days`.
    pub fn from_epoch_days(days: i32) -> Self {
        Self(NaiveDate::from_num_days_from_ce_opt(days.saturating_add(719_163)).unwrap_or(NaiveDate::MAX))
    }

    /// Day of the week.
    pub fn weekday(self) -> Weekday {
        self.0.weekday()
    }

    /// The Monday on or before this day.
    pub fn week_start(self) -> Self {
        self - i64::from(self.0.weekday().num_days_from_monday())
    }

    /// Whole days from `earlier` to `self`; negative if `earlier` is later.
    pub fn days_since(self, earlier: Self) -> i64 {
        (self.0 - earlier.0).num_days()
    }
}

impl From<NaiveDate> for ShopDay {
    fn from(date: NaiveDate) -> Self {
        Self(date)
    }
}

impl Add<i64> for ShopDay {
    type Output = Self;
    fn add(self, days: i64) -> Self {
        let moved = if days >= 0 {
            self.0.checked_add_days(Days::new(days.unsigned_abs()))
        } else {
            self.0.checked_sub_days(Days::new(days.unsigned_abs()))
        };
        Self(moved.unwrap_or(if days >= 0 { NaiveDate::MAX } else { NaiveDate::MIN }))
    }
}

impl Sub<i64> for ShopDay {
    type Output = Self;
    fn sub(self, days: i64) -> Self {
        self + -days
    }
}

impl fmt::Display for ShopDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ShopDay {
    type Err = InvalidDay;
    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| InvalidDay(text.to_owned()))?;
        if (1900..=2200).contains(&date.year()) && text.len() == 10 { Ok(Self(date)) } else { Err(InvalidDay(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> ShopDay {
        text.parse().expect("a day")
    }

    #[test]
    fn an_evening_in_new_york_is_the_next_morning_in_utc() {
        let zone = chrono_tz::America::New_York;
        let instant = "2018-01-01T04:01:20Z".parse::<DateTime<Utc>>().expect("an instant");
        assert_eq!(ShopDay::of(instant, zone), day("2017-12-31"));
        assert_eq!(day("2017-12-31").starts_at(zone).to_rfc3339(), "2017-12-31T05:00:00+00:00");
    }

    #[test]
    fn a_day_whose_midnight_is_skipped_starts_at_one() {
        let zone = chrono_tz::America::Sao_Paulo;
        assert_eq!(day("2017-10-15").starts_at(zone).to_rfc3339(), "2017-10-15T03:00:00+00:00");
    }

    #[test]
    fn epoch_days_are_arrows() {
        assert_eq!(day("1970-01-01").epoch_days(), 0);
        assert_eq!(ShopDay::from_epoch_days(17_500), day("2017-11-30"));
        assert_eq!(day("2017-11-30").epoch_days(), 17_500);
    }

    #[test]
    fn only_iso_days_within_reason_are_read() {
        for text in ["2017-2-30", "2017-02-30", "17-12-04", "tomorrow", "99999-01-01", "2017-12-4", ""] {
            assert!(text.parse::<ShopDay>().is_err(), "{text}");
        }
    }
}
