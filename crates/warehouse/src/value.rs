//! One value of a source, and how it becomes a number, a time or text. Sources are lenient (SQLite keeps any type in
//! any column), so each reader hands over what it found and the canonical column decides what it must be.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use sellcast_domain::ShopDay;
use serde_json::Value as Json;

/// A value as the source holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(&'a str),
    /// Bytes or text that is not UTF-8.
    Bytes(&'a [u8]),
    /// Microseconds since 1970, UTC.
    Instant(i64),
    /// Days since 1970.
    Day(i32),
    /// Digits and the number of decimals among them.
    Decimal(i128, i8),
}

/// The value does not fit its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unparsable;

type Parsed<T> = Result<Option<T>, Unparsable>;

/// Beyond this `decimal(18, _)` overflows.
const DIGITS_18: i128 = 999_999_999_999_999_999;

impl<'a> Value<'a> {
    /// Text without surrounding blanks; empty text counts as absent.
    fn trimmed(text: &'a str) -> Option<&'a str> {
        let text = text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A 64-bit id.
    pub(crate) fn key(self) -> Parsed<i64> {
        match self {
            Self::Null => Ok(None),
            Self::Int(value) => Ok(Some(value)),
            Self::Real(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Ok(Some(value as i64)),
            Self::Text(text) => Self::trimmed(text).map(|text| text.parse().map_err(|_| Unparsable)).transpose(),
            Self::Decimal(..) => self.scaled(0)?.map(|value| i64::try_from(value).map_err(|_| Unparsable)).transpose(),
            _ => Err(Unparsable),
        }
    }

    /// A decimal number with `scale` decimals, as its digits. Rounds halves away from zero.
    pub(crate) fn scaled(self, scale: i8) -> Parsed<i128> {
        let value = match self {
            Self::Null => return Ok(None),
            Self::Int(value) => i128::from(value) * 10_i128.pow(scale.unsigned_abs().into()),
            Self::Real(value) => scaled_real(value, scale)?,
            Self::Text(text) => match Self::trimmed(text) {
                None => return Ok(None),
                Some(text) => scaled_text(text, scale)?,
            },
            Self::Decimal(digits, decimals) if decimals <= scale => {
                digits.checked_mul(10_i128.checked_pow((scale - decimals).unsigned_abs().into()).ok_or(Unparsable)?).ok_or(Unparsable)?
            }
            Self::Decimal(digits, decimals) => {
                let unit = 10_i128.checked_pow((decimals - scale).unsigned_abs().into()).ok_or(Unparsable)?;
                digits.checked_add(digits.signum() * (unit / 2)).ok_or(Unparsable)? / unit
            }
            _ => return Err(Unparsable),
        };
        if value.abs() <= DIGITS_18 { Ok(Some(value)) } else { Err(Unparsable) }
    }

    /// A number without claim to exactness.
    pub(crate) fn real(self) -> Parsed<f64> {
        let value = match self {
            Self::Null => return Ok(None),
            Self::Int(value) => value as f64,
            Self::Real(value) => value,
            Self::Decimal(digits, decimals) => digits as f64 / 10_f64.powi(decimals.into()),
            Self::Text(text) => match Self::trimmed(text) {
                None => return Ok(None),
                Some(text) => text.parse().map_err(|_| Unparsable)?,
            },
            _ => return Err(Unparsable),
        };
        if value.is_finite() { Ok(Some(value)) } else { Err(Unparsable) }
    }

    /// Microseconds since 1970, UTC.
    pub(crate) fn instant(self) -> Parsed<i64> {
        match self {
            Self::Null => Ok(None),
            Self::Instant(micros) => Ok(Some(micros)),
            Self::Day(days) => i64::from(days).checked_mul(86_400_000_000).map(Some).ok_or(Unparsable),
            Self::Int(seconds) => within_reason(seconds.checked_mul(1_000_000)),
            Self::Decimal(..) => within_reason(self.scaled(6)?.and_then(|micros| i64::try_from(micros).ok())),
            Self::Real(seconds) if seconds.is_finite() && seconds.abs() < 1.0e11 => within_reason(Some((seconds * 1.0e6).round() as i64)),
            Self::Text(text) => Self::trimmed(text).map(|text| instant_text(text).ok_or(Unparsable)).transpose(),
            _ => Err(Unparsable),
        }
    }

    /// Days since 1970. Of a time, the day as it is written.
    pub(crate) fn day(self) -> Parsed<i32> {
        match self {
            Self::Null => Ok(None),
            Self::Day(days) => Ok(Some(days)),
            Self::Text(text) => match Self::trimmed(text) {
                None => Ok(None),
                Some(text) => {
                    let date = text.get(..10).and_then(|date| date.parse::<NaiveDate>().ok()).ok_or(Unparsable)?;
                    if text.len() > 10 && instant_text(text).is_none() {
                        return Err(Unparsable);
                    }
                    Ok(Some(ShopDay::from(date).epoch_days()))
                }
            },
            _ => Ok(self.instant()?.map(|micros| micros.div_euclid(86_400_000_000) as i32)),
        }
    }

    /// Text; numbers are written out. Empty text is kept.
    pub(crate) fn with_text<R>(self, write: impl FnOnce(Option<&str>) -> R) -> Result<R, Unparsable> {
        match self {
            Self::Null => Ok(write(None)),
            Self::Text(text) => Ok(write(Some(text))),
            Self::Bytes(_) => Err(Unparsable),
            Self::Int(value) => Ok(write(Some(&value.to_string()))),
            Self::Real(value) => Ok(write(Some(&value.to_string()))),
            other => match other.json() {
                Json::String(text) => Ok(write(Some(&text))),
                json => Ok(write(Some(&json.to_string()))),
            },
        }
    }

    /// As JSON, for the quarantine: read back by [`Value::from_json`] it parses to the same.
    pub(crate) fn json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Int(value) => value.into(),
            Self::Real(value) => value.into(),
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => bytes.iter().fold(String::from("\\x"), |text, byte| text + &format!("{byte:02x}")).into(),
            Self::Instant(micros) => DateTime::<Utc>::from_timestamp_micros(micros)
                .map_or_else(|| micros.into(), |instant| instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into()),
            Self::Day(days) => ShopDay::from_epoch_days(days).to_string().into(),
            Self::Decimal(digits, decimals) => decimal_text(digits, decimals).into(),
        }
    }

    /// A value kept as JSON.
    pub(crate) fn from_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Int((*value).into()),
            Json::Number(number) => number.as_i64().map_or_else(|| number.as_f64().map_or(Self::Null, Self::Real), Self::Int),
            Json::String(text) => Self::Text(text),
            Json::Array(_) | Json::Object(_) => Self::Bytes(&[]),
        }
    }
}

/// Years 1678 to 2262: what nanoseconds could hold, and more than a shop needs.
fn within_reason(micros: Option<i64>) -> Parsed<i64> {
    micros.filter(|micros| micros.abs() < 9_223_372_036_854_775).map(Some).ok_or(Unparsable)
}

fn scaled_real(value: f64, scale: i8) -> Result<i128, Unparsable> {
    let scaled = value * 10_f64.powi(scale.into());
    if !scaled.is_finite() || scaled.abs() > 1.0e18 {
        return Err(Unparsable);
    }
    // Near a half the binary fraction must not decide: 2.675 is stored as 2.67499999999999982 and means 2.68.
    if ((scaled.abs().fract()) - 0.5).abs() < 1.0e-6 {
        return scaled_text(&format!("{value}"), scale);
    }
    Ok(scaled.round() as i128)
}

fn scaled_text(text: &str, scale: i8) -> Result<i128, Unparsable> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mut value, mut decimals, mut seen_digit) = (0_i128, None::<i8>, false);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                let digit = i128::from(byte - b'0');
                match decimals {
                    Some(read) if read > scale => {}
                    Some(read) => {
                        decimals = Some(read + 1);
                        if read < scale {
                            value = value * 10 + digit;
                        } else if digit >= 5 {
                            value += 1;
                        }
                    }
                    None => value = value * 10 + digit,
                }
                if value > DIGITS_18 {
                    return Err(Unparsable);
                }
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            b'e' | b'E' if seen_digit => {
                let value: f64 = text.parse().map_err(|_| Unparsable)?;
                let scaled = value * 10_f64.powi(scale.into());
                return if scaled.abs() < 1.0e18 { Ok(scaled.round() as i128) } else { Err(Unparsable) };
            }
            _ => return Err(Unparsable),
        }
    }
    if !seen_digit {
        return Err(Unparsable);
    }
    for _ in decimals.unwrap_or(0)..scale {
        value *= 10;
    }
    Ok(if negative { -value } else { value })
}

fn decimal_text(digits: i128, decimals: i8) -> String {
    let places = usize::from(decimals.max(0).unsigned_abs());
    if places == 0 {
        return digits.to_string();
    }
    let text = format!("{:0>width$}", digits.unsigned_abs(), width = places + 1);
    let (whole, fraction) = text.split_at(text.len() - places);
    format!("{}{whole}.{fraction}", if digits < 0 { "-" } else { "" })
}

/// ISO 8601 with a blank or `T`, with or without seconds, fraction and offset; without an offset it is UTC.
fn instant_text(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        bytes.get(from..to)?.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
    };
    let mark = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    if !(mark(4, b"-") && mark(7, b"-")) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0, 4)?).ok()?, number(5, 7)?, number(8, 10)?)?;
    if bytes.len() == 10 {
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros());
    }
    // The common shape by hand, ten times as fast as a general parser; all others by chrono.
    if bytes.len() <= 20 && mark(10, b" T") && mark(13, b":") && mark(16, b":") && (bytes.len() == 19 || bytes.ends_with(b"Z")) {
        return Some(date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?.and_utc().timestamp_micros());
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    const SHAPES: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z", "%Y-%m-%dT%H:%M%#z"];
    if let Some(instant) = SHAPES.iter().find_map(|shape| DateTime::parse_from_str(text, shape).ok()) {
        return Some(instant.timestamp_micros());
    }
    const LOCAL: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    LOCAL.iter().find_map(|shape| NaiveDateTime::parse_from_str(text, shape).ok()).map(|time| time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_the_cent() {
        for (value, cents) in [
            (Value::Text("12.34"), 1234),
            (Value::Text("-0.5"), -50),
            (Value::Text("  7 "), 700),
            (Value::Text(".125"), 13),
            (Value::Text("1e2"), 10_000),
            (Value::Real(0.1 + 0.2), 30),
            (Value::Real(2.675), 268),
            (Value::Real(-2.675), -268),
            (Value::Real(1234.565), 123_457),
            (Value::Int(3), 300),
            (Value::Decimal(12_345, 3), 1235),
            (Value::Decimal(-12_345, 3), -1235),
            (Value::Decimal(12, 0), 1200),
        ] {
            assert_eq!(value.scaled(2), Ok(Some(cents)), "{value:?}");
        }
    }

    #[test]
    fn text_that_is_no_number_is_told_apart_from_none() {
        for text in ["abc", "1,50", "--1", "1.2.3", "-", ".", "NaN", "inf", "99999999999999999999"] {
            assert_eq!(Value::Text(text).scaled(2), Err(Unparsable), "{text}");
        }
        assert_eq!(Value::Text(" ").scaled(2), Ok(None));
        assert_eq!(Value::Real(f64::NAN).scaled(2), Err(Unparsable));
        assert_eq!(Value::Real(1.5).key(), Err(Unparsable));
        assert_eq!(Value::Text("17").key(), Ok(Some(17)));
    }

    #[test]
    fn times_are_read_in_every_common_shape() {
        let expected = DateTime::parse_from_rfc3339("2017-12-01T10:22:33Z").expect("a time").timestamp_micros();
        for text in [
            "2017-12-01 10:22:33",
            "2017-12-01T10:22:33",
            "2017-12-01T10:22:33Z",
            "2017-12-01 10:22:33.000",
            "2017-12-01T10:22:33.000000Z",
            "2017-12-01T05:22:33-05:00",
            "2017-12-01 12:22:33+02",
            "2017-12-01 10:22:33 UTC",
        ] {
            assert_eq!(Value::Text(text).instant(), Ok(Some(expected)), "{text}");
        }
        assert_eq!(Value::Int(expected / 1_000_000).instant(), Ok(Some(expected)));
        assert_eq!(Value::Decimal(i128::from(expected / 1_000), 3).instant(), Ok(Some(expected)));
        for text in ["yesterday", "2017-13-01", "2017-12-01 25:00:00", "2017-12-01 10:22:3x", "01.12.2017"] {
            assert_eq!(Value::Text(text).instant(), Err(Unparsable), "{text}");
        }
    }

    #[test]
    fn a_day_is_taken_as_written() {
        assert_eq!(Value::Text("2017-11-30").day(), Ok(Some(17_500)));
        assert_eq!(Value::Text("2017-11-30 23:59:59").day(), Ok(Some(17_500)));
        assert_eq!(Value::Text("2017-11-30 soon").day(), Err(Unparsable));
    }

    #[test]
    fn a_value_survives_the_quarantine() {
        for value in
            [Value::Int(5), Value::Decimal(-1, 2), Value::Decimal(1999, 3), Value::Instant(1_512_123_753_000_001), Value::Day(17_500)]
        {
            let json = value.json();
            let back = Value::from_json(&json);
            assert_eq!(back.scaled(3).ok(), value.scaled(3).ok(), "{json}");
            assert_eq!(
                back.instant().ok().filter(|_| matches!(value, Value::Instant(_))),
                value.instant().ok().filter(|_| matches!(value, Value::Instant(_))),
                "{json}"
            );
            assert_eq!(
                back.day().ok().filter(|_| matches!(value, Value::Day(_))),
                value.day().ok().filter(|_| matches!(value, Value::Day(_))),
                "{json}"
            );
        }
    }
}
