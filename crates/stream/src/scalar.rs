//! One value of a change event, and how it becomes a number, an amount or a time. Lenient where sources differ in how
//! they write a value, never where they differ in what it is.

use std::borrow::Cow;

use chrono::DateTime;
use sellcast_domain::window::EventTime;

/// A value as the event holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// The column does not stand in the row at all.
    #[default]
    Absent,
    Null,
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    /// An object or an array.
    Other,
}

impl Scalar<'_> {
    /// What it is, for a message that must not show the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::Null => "null",
            Self::Int(_) => "a whole number",
            Self::Real(_) => "a number",
            Self::Text(_) => "text",
            Self::Other => "an object",
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// A 64-bit id.
    pub(crate) fn key(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Real(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Some(*value as i64),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// A decimal number with `scale` decimals, as its digits; halves are rounded away from zero.
    pub(crate) fn scaled(&self, scale: u32) -> Option<i64> {
        let unit = 10_i64.pow(scale);
        match self {
            Self::Int(value) => value.checked_mul(unit),
            Self::Real(value) => {
                let scaled = value * unit as f64;
                (scaled.abs() < 9.0e15).then(|| scaled.round() as i64)
            }
            Self::Text(text) => decimal(text.trim().as_bytes(), scale),
            _ => None,
        }
    }

    /// A time: ISO text with its zone (without one it is taken as UTC), or a number since 1970 in seconds, milli-, micro- or
    /// nanoseconds, told apart by its size.
    pub(crate) fn time(&self) -> Option<EventTime> {
        let seconds = match self {
            Self::Int(value) => match value.unsigned_abs() {
                100_000_000_000_000_000.. => value.div_euclid(1_000_000_000),
                100_000_000_000_000.. => value.div_euclid(1_000_000),
                100_000_000_000.. => value.div_euclid(1_000),
                _ => *value,
            },
            Self::Text(text) => iso_seconds(text.trim().as_bytes()).or_else(|| slow_seconds(text.trim()))?,
            _ => return None,
        };
        EventTime::try_from(seconds).ok()
    }
}

/// `-12.345` with `scale` decimals.
fn decimal(text: &[u8], scale: u32) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (mut value, mut decimals, mut seen, mut rounds_up) = (0_i64, None::<u32>, false, None);
    for byte in digits {
        match byte {
            b'.' if decimals.is_none() => decimals = Some(0),
            b'0'..=b'9' => {
                seen = true;
                let digit = i64::from(byte - b'0');
                if decimals.is_some_and(|decimals| decimals >= scale) {
                    rounds_up.get_or_insert(digit >= 5);
                    continue;
                }
                value = value.checked_mul(10)?.checked_add(digit)?;
                decimals = decimals.map(|decimals| decimals + 1);
            }
            _ => return None,
        }
    }
    if !seen {
        return None;
    }
    let missing = scale - decimals.unwrap_or(0);
    let value = value.checked_mul(10_i64.checked_pow(missing)?)?.checked_add(i64::from(rounds_up == Some(true)))?;
    Some(if negative { -value } else { value })
}

/// Seconds of `2026-11-23T08:00:00[.fraction](Z|+00:00)`, which is how nearly every event writes a time.
fn iso_seconds(text: &[u8]) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(place, mark)| text.get(*place) == Some(mark)) || !matches!(text.get(10), Some(b'T' | b' ')) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = &text[19..];
    let fraction = match rest {
        [b'.', digits @ ..] => 1 + digits.iter().take_while(|byte| byte.is_ascii_digit()).count(),
        _ => 0,
    };
    if !matches!(&rest[fraction..], b"Z" | b"" | b"+00:00" | b"+00") || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 || (day > 28 && day > days_of(year, month)) {
        return None;
    }
    Some(days_from_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Any other way to write a time that RFC 3339 knows.
fn slow_seconds(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)).ok().map(|time| time.timestamp())
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar; years are counted from March, so that the leap day is the last.
fn days_from_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_rounded_half_away_from_zero() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(Scalar::Text(text.into()).scaled(2), expected, "{text}");
        check("19.99", Some(1999));
        check("-0.05", Some(-5));
        check("7", Some(700));
        check("7.", Some(700));
        check(".5", Some(50));
        check("1.005", Some(101));
        check("-1.005", Some(-101));
        check("1.00499", Some(100));
        check("92233720368547758.07", Some(i64::MAX));
        check("92233720368547758.08", None);
        check("", None);
        check("-", None);
        check("1,5", None);
        check("B88=", None);
        assert_eq!(Scalar::Real(19.99).scaled(2), Some(1999));
        assert_eq!(Scalar::Int(3).scaled(3), Some(3000));
    }

    #[test]
    fn times_are_read_in_every_form_that_connectors_write() {
        let expected = 1_795_420_800;
        for scalar in [
            Scalar::Text("2026-11-23T08:00:00.123456Z".into()),
            Scalar::Text("2026-11-23T08:00:00Z".into()),
            Scalar::Text("2026-11-23 08:00:00".into()),
            Scalar::Text("2026-11-23T09:30:00+01:30".into()),
            Scalar::Int(1_795_420_800),
            Scalar::Int(1_795_420_800_999),
            Scalar::Int(1_795_420_800_999_999),
            Scalar::Int(1_795_420_800_999_999_999),
        ] {
            assert_eq!(scalar.time().map(EventTime::seconds), Some(expected), "{scalar:?}");
        }
        for text in ["2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "soon", "2026-11-23"] {
            assert_eq!(Scalar::Text(text.into()).time(), None, "{text}");
        }
    }

    #[test]
    fn days_agree_with_the_calendar() {
        for seconds in (0..4_000_000_000_i64).step_by(86_400 * 13 + 7) {
            let text = DateTime::from_timestamp(seconds, 0).expect("a time").format("%Y-%m-%dT%H:%M:%SZ").to_string();
            assert_eq!(iso_seconds(text.as_bytes()), Some(seconds), "{text}");
        }
    }
}
