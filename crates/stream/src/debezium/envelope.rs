//! Reads the envelope of a Debezium event in one pass: the mapped columns of both images, where in the source it stands
//! and what it does. Everything else is skipped; text is borrowed from the event's bytes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::columns::{Columns, WIDTH};
use crate::scalar::Scalar;

/// The mapped columns of a row.
pub(super) type Row<'a> = [Scalar<'a>; WIDTH];

/// An envelope.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    pub(super) before: Option<Row<'a>>,
    pub(super) after: Option<Row<'a>>,
    pub(super) source: Option<Source<'a>>,
    /// The operation's letter; 0 when it is missing.
    pub(super) op: u8,
}

/// The position of the event in its source.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Source<'a> {
    /// PostgreSQL.
    #[serde(default)]
    pub(super) lsn: Option<u64>,
    /// MySQL and MariaDB: the binary log's file, whose name ends with its number.
    #[serde(default, borrow)]
    pub(super) file: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) pos: Option<u64>,
    #[serde(default)]
    pub(super) row: Option<u32>,
    #[serde(default)]
    pub(super) ts_ms: Option<i64>,
}

/// Reads an envelope, alone or as the `payload` beside its schema.
#[derive(Clone, Copy)]
pub(super) struct EnvelopeSeed<'c>(pub(super) &'c Columns);

impl<'de> DeserializeSeed<'de> for EnvelopeSeed<'_> {
    type Value = Option<Envelope<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The keys of an envelope that matter.
enum Key {
    Before,
    After,
    Source,
    Op,
    Payload,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "before" => Key::Before,
                    "after" => Key::After,
                    "source" => Key::Source,
                    "op" => Key::Op,
                    "payload" => Key::Payload,
                    _ => Key::Other,
                })
            }
        }
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

impl<'de> Visitor<'de> for EnvelopeSeed<'_> {
    type Value = Option<Envelope<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `op`, `before` and `after`")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        let mut payload = None;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Before => envelope.before = map.next_value_seed(RowSeed(self.0))?,
                Key::After => envelope.after = map.next_value_seed(RowSeed(self.0))?,
                Key::Source => envelope.source = map.next_value()?,
                Key::Op => {
                    let op: Cow<'de, str> = map.next_value()?;
                    envelope.op = op.bytes().next().unwrap_or_default();
                }
                Key::Payload => payload = Some(map.next_value_seed(self)?),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(payload.unwrap_or(Some(envelope)))
    }
}

/// Reads the mapped columns of a row, or null.
pub(super) struct RowSeed<'c>(pub(super) &'c Columns);

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = Option<Row<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = Option<Row<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = Row::default();
        let mut expected = 0;
        while let Some(place) = map.next_key_seed(PlaceSeed { columns: self.0, expected })? {
            match place {
                Some(place) => {
                    row[place] = map.next_value_seed(ScalarSeed)?;
                    expected = place + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Some(row))
    }
}

struct PlaceSeed<'c> {
    columns: &'c Columns,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for PlaceSeed<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for PlaceSeed<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column's name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.columns.place(name.as_bytes(), self.expected))
    }
}

struct ScalarSeed;

impl<'de> DeserializeSeed<'de> for ScalarSeed {
    type Value = Scalar<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Other)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        i64::try_from(value).map(Scalar::Int).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Real(value))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}
