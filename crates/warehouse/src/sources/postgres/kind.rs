//! The types that are read from PostgreSQL, and how each of their values looks on the wire.

use sqlx::postgres::{PgTypeInfo, PgTypeKind};

use super::copy::Malformed;
use crate::value::Value;

/// Days between 1970-01-01 and 2000-01-01, from which PostgreSQL counts.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;
/// Beyond so many digits a number travels as text; an `i128` holds it with room for rounding.
const MOST_DIGITS: i128 = 10_i128.pow(36);
const MOST_DECIMALS: u16 = 36;

/// How a column's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Numeric,
    Text,
    /// `character(n)`: blanks at its end mean nothing.
    Padded,
    Jsonb,
    Bytes,
    Date,
    /// With or without a zone: the first is UTC on the wire, the second counts as UTC.
    Instant,
    Uuid,
}

impl Kind {
    /// The kind of a type; `None` for one that has no plain value (arrays, ranges, intervals, ...).
    pub(super) fn of(info: &PgTypeInfo) -> Option<Self> {
        match info.kind() {
            PgTypeKind::Enum(_) => return Some(Self::Text),
            PgTypeKind::Domain(base) => return Self::of(base),
            _ => {}
        }
        // Object ids of the built-in types never change (pg_type.dat).
        Some(match info.oid().map(|oid| oid.0) {
            Some(16) => Self::Bool,
            Some(17) => Self::Bytes,
            Some(21) => Self::Int2,
            Some(23) => Self::Int4,
            Some(20) => Self::Int8,
            Some(26) => Self::Oid,
            Some(700) => Self::Float4,
            Some(701) => Self::Float8,
            Some(1700) => Self::Numeric,
            // "char", name, text, json, xml, unknown, varchar
            Some(18 | 19 | 25 | 114 | 142 | 705 | 1043) => Self::Text,
            Some(1042) => Self::Padded,
            Some(3802) => Self::Jsonb,
            Some(1082) => Self::Date,
            Some(1114 | 1184) => Self::Instant,
            Some(2950) => Self::Uuid,
            _ if info.to_string().eq_ignore_ascii_case("citext") => Self::Text,
            _ => return None,
        })
    }

    /// A value. What the wire does not have as text is written into `spare` where text is due.
    pub(super) fn value<'a>(self, bytes: &'a [u8], spare: &'a mut String) -> Result<Value<'a>, Malformed> {
        Ok(match self {
            Self::Bool => Value::Int(i64::from(fixed::<1>(bytes)?[0])),
            Self::Int2 => Value::Int(i16::from_be_bytes(fixed(bytes)?).into()),
            Self::Int4 => Value::Int(i32::from_be_bytes(fixed(bytes)?).into()),
            Self::Int8 => Value::Int(i64::from_be_bytes(fixed(bytes)?)),
            Self::Oid => Value::Int(u32::from_be_bytes(fixed(bytes)?).into()),
            Self::Float4 => real(shortest(f32::from_be_bytes(fixed(bytes)?))),
            Self::Float8 => real(f64::from_be_bytes(fixed(bytes)?)),
            Self::Numeric => numeric(bytes, spare)?,
            Self::Text => text(bytes),
            Self::Padded => match text(bytes) {
                Value::Text(text) => Value::Text(text.trim_end_matches(' ')),
                other => other,
            },
            Self::Jsonb => match bytes.split_first() {
                Some((1, json)) => text(json),
                _ => return Err(Malformed("a `jsonb` has an unknown version")),
            },
            Self::Bytes => Value::Bytes(bytes),
            Self::Date => match i32::from_be_bytes(fixed(bytes)?) {
                i32::MAX => Value::Text("infinity"),
                i32::MIN => Value::Text("-infinity"),
                days => days.checked_add(EPOCH_DAYS).map_or(Value::Text("infinity"), Value::Day),
            },
            Self::Instant => match i64::from_be_bytes(fixed(bytes)?) {
                i64::MAX => Value::Text("infinity"),
                i64::MIN => Value::Text("-infinity"),
                micros => micros.checked_add(EPOCH_MICROS).map_or(Value::Text("infinity"), Value::Instant),
            },
            Self::Uuid => {
                spare.clear();
                uuid::Uuid::from_bytes(fixed(bytes)?).hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).clone_into(spare);
                Value::Text(spare)
            }
        })
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a value has another length than its type"))
}

fn text(bytes: &[u8]) -> Value<'_> {
    std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)
}

/// No column takes what is not finite; as text it stands in quarantine as it was.
fn real(value: f64) -> Value<'static> {
    match value {
        value if value.is_finite() => Value::Real(value),
        value if value.is_nan() => Value::Text("NaN"),
        value if value > 0.0 => Value::Text("Infinity"),
        _ => Value::Text("-Infinity"),
    }
}

/// 1.1 stays 1.1 and does not become 1.10000002384185791.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Groups of four digits with a weight, a sign and the number of decimals to show.
fn numeric<'a>(bytes: &[u8], spare: &'a mut String) -> Result<Value<'a>, Malformed> {
    let short = Malformed("a `numeric` is too short");
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or(short)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (groups, weight, sign, decimals) = (usize::from(word(0)), i32::from(word(2) as i16), word(4), word(6));
    if rest.len() != groups * 2 {
        return Err(short);
    }
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        0xC000 => return Ok(Value::Text("NaN")),
        0xD000 => return Ok(Value::Text("Infinity")),
        0xF000 => return Ok(Value::Text("-Infinity")),
        _ => return Err(Malformed("a `numeric` has an unknown sign")),
    };
    let groups = || rest.chunks_exact(2).map(|group| u16::from_be_bytes([group[0], group[1]]));
    if groups().any(|group| group > 9999) {
        return Err(Malformed("a `numeric` has a digit beyond its base"));
    }
    if let Some(digits) = digits(groups(), weight, decimals) {
        return Ok(Value::Decimal(if negative { -digits } else { digits }, decimals as i8));
    }
    spare.clear();
    if negative {
        spare.push('-');
    }
    write_digits(&groups().collect::<Vec<_>>(), weight, decimals, spare);
    Ok(Value::Text(spare))
}

/// The number as digits with so many decimals, where they are few enough.
fn digits(groups: impl ExactSizeIterator<Item = u16>, weight: i32, decimals: u16) -> Option<i128> {
    if decimals > MOST_DECIMALS {
        return None;
    }
    let last_weight = weight - groups.len() as i32 + 1;
    let mut digits = 0_i128;
    for group in groups {
        digits = digits.checked_mul(10_000)?.checked_add(group.into())?;
    }
    let shift = last_weight * 4 + i32::from(decimals);
    let unit = 10_i128.checked_pow(shift.unsigned_abs())?;
    // A last group may reach beyond the decimals that are shown, with zeros only.
    let digits = if shift >= 0 { digits.checked_mul(unit)? } else { (digits % unit == 0).then_some(digits / unit)? };
    (digits < MOST_DIGITS).then_some(digits)
}

fn write_digits(groups: &[u16], weight: i32, decimals: u16, out: &mut String) {
    let group = |place: i32| usize::try_from(weight - place).ok().and_then(|at| groups.get(at)).copied().unwrap_or_default();
    let whole: String = (0..=weight.max(0)).rev().map(|place| format!("{:04}", group(place))).collect();
    let whole = whole.trim_start_matches('0');
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if decimals > 0 {
        let places = i32::from(decimals).div_euclid(4) + 1;
        let fraction: String = (1..=places).map(|place| format!("{:04}", group(-place))).collect();
        out.push('.');
        out.push_str(&fraction[..usize::from(decimals)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `numeric_send` writes it.
    fn encode(text: &str) -> Vec<u8> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
        let padded = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
        let text = format!("{whole}{padded}");
        let mut groups: Vec<u16> = (0..text.len()).step_by(4).map(|at| text[at..at + 4].parse().expect("digits")).collect();
        let mut weight = (whole.len() / 4) as i16 - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        let mut bytes = Vec::new();
        for word in [groups.len() as u16, weight as u16, if negative { 0x4000 } else { 0 }, fraction.len() as u16] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        bytes
    }

    fn decoded(kind: Kind, bytes: &[u8]) -> String {
        let mut spare = String::new();
        match kind.value(bytes, &mut spare).expect("a value") {
            Value::Text(text) => text.to_owned(),
            value => value.with_text(|text| text.unwrap_or_default().to_owned()).expect("text"),
        }
    }

    proptest! {
        #[test]
        fn a_numeric_is_exact_to_its_last_digit(text in "-?(0|[1-9][0-9]{0,50})(\\.[0-9]{1,50})?") {
            let zero = text.chars().all(|character| matches!(character, '-' | '0' | '.'));
            let expected = if zero { text.trim_start_matches('-').to_owned() } else { text.clone() };
            prop_assert_eq!(decoded(Kind::Numeric, &encode(&expected)), expected);
        }

        #[test]
        fn noise_is_a_value_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            for kind in [Kind::Numeric, Kind::Jsonb, Kind::Uuid, Kind::Instant, Kind::Date, Kind::Float4, Kind::Bool, Kind::Text] {
                let mut spare = String::new();
                if let Ok(value) = kind.value(&bytes, &mut spare) {
                    let _ = (value.scaled(2), value.key(), value.instant(), value.day(), value.real(), value.json());
                }
            }
        }
    }

    #[test]
    fn values_have_the_meaning_of_their_type() {
        let micros = 565_445_253_000_001_i64;
        for (kind, bytes, expected) in [
            (Kind::Bool, vec![1], "1"),
            (Kind::Int2, (-7_i16).to_be_bytes().to_vec(), "-7"),
            (Kind::Int4, 7_i32.to_be_bytes().to_vec(), "7"),
            (Kind::Int8, i64::MIN.to_be_bytes().to_vec(), "-9223372036854775808"),
            (Kind::Oid, u32::MAX.to_be_bytes().to_vec(), "4294967295"),
            (Kind::Float4, 1.1_f32.to_be_bytes().to_vec(), "1.1"),
            (Kind::Float8, 1.1_f64.to_be_bytes().to_vec(), "1.1"),
            (Kind::Float8, f64::NAN.to_be_bytes().to_vec(), "NaN"),
            (Kind::Float4, f32::NEG_INFINITY.to_be_bytes().to_vec(), "-Infinity"),
            (Kind::Numeric, encode("-19.990"), "-19.990"),
            (Kind::Numeric, encode("120000"), "120000"),
            (Kind::Numeric, vec![0, 0, 0, 0, 0xC0, 0, 0, 0], "NaN"),
            (Kind::Numeric, vec![0, 0, 0, 0, 0xF0, 0, 0, 0], "-Infinity"),
            (Kind::Text, "Bücher 日本".as_bytes().to_vec(), "Bücher 日本"),
            (Kind::Padded, b"DE   ".to_vec(), "DE"),
            (Kind::Jsonb, b"\x01{\"a\": 1}".to_vec(), "{\"a\": 1}"),
            (Kind::Date, 6_544_i32.to_be_bytes().to_vec(), "2017-12-01"),
            (Kind::Date, i32::MAX.to_be_bytes().to_vec(), "infinity"),
            (Kind::Instant, micros.to_be_bytes().to_vec(), "2017-12-01T12:07:33.000001Z"),
            (Kind::Instant, i64::MIN.to_be_bytes().to_vec(), "-infinity"),
            (Kind::Uuid, (0..16).collect(), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        ] {
            assert_eq!(decoded(kind, &bytes), expected, "{kind:?}");
        }
        let mut spare = String::new();
        assert_eq!(Kind::Text.value(b"\xff", &mut spare), Ok(Value::Bytes(b"\xff")));
        assert_eq!(Kind::Bytes.value(b"\0\x01", &mut spare), Ok(Value::Bytes(b"\0\x01")));
        assert!(Kind::Int4.value(b"\0", &mut spare).is_err() && Kind::Jsonb.value(b"\x02{}", &mut spare).is_err());
    }
}
