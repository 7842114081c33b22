//! From rows as the source gives them to typed batches. A row with a value that does not fit, or without one that is
//! due, does not reach its batch: it becomes a [`Reject`], whole, with the rule it broke.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use serde_json::{Map, Value as Json};

use crate::entity::{Column, ColumnKind, Entity, Presence};
use crate::pseudonym::PseudonymKey;
use crate::text_key;
use crate::value::{Unparsable, Value};

/// Rows per staged batch.
pub(crate) const BATCH_ROWS: usize = 65_536;

/// A row that goes to quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    pub(crate) entity: Entity,
    pub(crate) rule: String,
    pub(crate) reason: String,
    /// The whole row; personal text already replaced.
    pub(crate) row_json: String,
    pub(crate) row_ref: i64,
}

/// Typed rows and the rejected ones beside them.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) batch: RecordBatch,
    pub(crate) rejects: Vec<Reject>,
    /// Rows read, rejected ones included.
    pub(crate) read: u64,
}

/// What to do with personal text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Secrets<'a> {
    Replace(&'a PseudonymKey),
    /// It comes out of quarantine and was replaced before.
    AlreadyReplaced,
}

/// Collects rows of one entity.
pub(crate) struct Stager<'a> {
    entity: Entity,
    columns: Vec<&'static Column>,
    builders: Vec<Builder>,
    secrets: Secrets<'a>,
    /// Which columns are keys that the source has as text.
    text_keys: Vec<bool>,
    refs: Int64Builder,
    good: Vec<bool>,
    rejects: Vec<Reject>,
    next_ref: i64,
}

/// What it takes to make stagers alike in other threads.
pub(crate) struct Blueprint {
    entity: Entity,
    columns: Vec<&'static Column>,
    /// `None` where personal text was replaced before.
    key: Option<PseudonymKey>,
    text_keys: Vec<bool>,
    first_ref: i64,
}

impl Blueprint {
    pub(crate) fn stager(&self) -> Stager<'_> {
        let secrets = self.key.as_ref().map_or(Secrets::AlreadyReplaced, Secrets::Replace);
        let plain = Stager::new(self.entity, self.columns.clone(), secrets);
        Stager { text_keys: self.text_keys.clone(), next_ref: self.first_ref, ..plain }
    }
}

enum Builder {
    Key(Int64Builder),
    Text(StringBuilder),
    Decimal(Decimal128Builder, i8),
    Real(Float64Builder),
    Instant(TimestampMicrosecondBuilder),
    Day(Date32Builder),
}

impl<'a> Stager<'a> {
    /// For rows whose values come in the order of `columns`.
    pub(crate) fn new(entity: Entity, columns: Vec<&'static Column>, secrets: Secrets<'a>) -> Self {
        let builders = columns.iter().map(|column| Builder::of(column.kind)).collect();
        let refs = Int64Builder::with_capacity(BATCH_ROWS);
        Self { entity, columns, builders, secrets, text_keys: Vec::new(), refs, good: Vec::new(), rejects: Vec::new(), next_ref: 0 }
    }

    /// The same, with keys that the source has as text.
    pub(crate) fn with_text_keys(mut self, names: &[String]) -> Self {
        if !names.is_empty() {
            self.text_keys = self.columns.iter().map(|column| names.iter().any(|name| name == column.name)).collect();
        }
        self
    }

    /// For stagers of the same rows whose numbers begin far from those of others.
    pub(crate) fn blueprint(&self, number: i64) -> Blueprint {
        let key = match self.secrets {
            Secrets::Replace(key) => Some(key.clone()),
            Secrets::AlreadyReplaced => None,
        };
        Blueprint { entity: self.entity, columns: self.columns.clone(), key, text_keys: self.text_keys.clone(), first_ref: number << 40 }
    }

    pub(crate) fn columns(&self) -> &[&'static Column] {
        &self.columns
    }

    pub(crate) fn is_full(&self) -> bool {
        self.good.len() >= BATCH_ROWS
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, values: &[Value<'_>]) {
        if self.text_keys.is_empty() {
            return self.push_plain(values);
        }
        let is_text = self.text_keys.iter().copied().chain(std::iter::repeat(false));
        let hashed = |((column, value), is_text): ((&&'static Column, &_), bool)| match is_text {
            true => text_key::hashed(*value, column.name, self.secrets),
            false => *value,
        };
        let values: Vec<Value<'_>> = self.columns.iter().zip(values).zip(is_text).map(hashed).collect();
        self.push_plain(&values);
    }

    fn push_plain(&mut self, values: &[Value<'_>]) {
        let mut fault = None;
        for ((column, builder), value) in self.columns.iter().zip(&mut self.builders).zip(values) {
            let empty = match builder.append(*value, column.kind, self.secrets) {
                Ok(empty) => empty,
                Err(Unparsable) => {
                    builder.append_null();
                    fault.get_or_insert_with(|| {
                        let rule = format!("unparsable_{}", column.name);
                        (rule, format!("`{}` of `{}` must be {}", column.name, self.entity.name(), column.kind.due()))
                    });
                    continue;
                }
            };
            if empty && column.presence == Presence::Required && fault.is_none() {
                let rule = if self.entity.key().contains(&column.name) || column.kind == ColumnKind::Key {
                    "missing_key".to_owned()
                } else {
                    format!("missing_{}", column.name)
                };
                fault = Some((rule, format!("`{}` of `{}` is empty", column.name, self.entity.name())));
            }
        }
        let row_ref = self.next_ref;
        self.next_ref += 1;
        self.refs.append_value(row_ref);
        self.good.push(fault.is_none());
        if let Some((rule, reason)) = fault {
            let row_json = self.row_json(values);
            self.rejects.push(Reject { entity: self.entity, rule, reason, row_json, row_ref });
        }
    }

    /// The rows since the last call.
    pub(crate) fn finish(&mut self) -> Result<Staged, ArrowError> {
        let schema = self.entity.staged_schema();
        let rows = self.good.len();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for column in self.entity.columns() {
            let mapped = self.columns.iter().position(|mapped| mapped.name == column.name);
            arrays.push(match mapped {
                Some(at) => self.builders[at].finish(),
                None => new_null_array(&column.kind.arrow(), rows),
            });
        }
        arrays.push(Arc::new(self.refs.finish()));
        let mut batch = RecordBatch::try_new(schema, arrays)?;
        if !self.rejects.is_empty() {
            batch = filter_record_batch(&batch, &BooleanArray::from(std::mem::take(&mut self.good)))?;
        }
        self.good.clear();
        Ok(Staged { batch, rejects: std::mem::take(&mut self.rejects), read: rows as u64 })
    }

    fn row_json(&self, values: &[Value<'_>]) -> String {
        let mut row = Map::new();
        for (column, value) in self.columns.iter().zip(values) {
            let json = match (self.secrets, value) {
                (Secrets::Replace(key), Value::Text(text)) if column.kind == ColumnKind::Secret => key.pseudonym(text).into(),
                // Personal text in a shape that cannot be read is not worth the risk of keeping it.
                (Secrets::Replace(_), value) if column.kind == ColumnKind::Secret && *value != Value::Null => Json::Null,
                (_, value) => value.json(),
            };
            row.insert(column.name.to_owned(), json);
        }
        Json::Object(row).to_string()
    }
}

impl Builder {
    fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Key => Self::Key(Int64Builder::with_capacity(BATCH_ROWS)),
            ColumnKind::Text | ColumnKind::Secret => Self::Text(StringBuilder::new()),
            ColumnKind::Money => Self::Decimal(Decimal128Builder::with_capacity(BATCH_ROWS).with_data_type(kind.arrow()), 2),
            ColumnKind::Quantity => Self::Decimal(Decimal128Builder::with_capacity(BATCH_ROWS).with_data_type(kind.arrow()), 3),
            ColumnKind::Real => Self::Real(Float64Builder::with_capacity(BATCH_ROWS)),
            ColumnKind::Instant => Self::Instant(TimestampMicrosecondBuilder::with_capacity(BATCH_ROWS).with_data_type(kind.arrow())),
            ColumnKind::Day => Self::Day(Date32Builder::with_capacity(BATCH_ROWS)),
        }
    }

    /// Appends a value; `true` if there was none.
    fn append(&mut self, value: Value<'_>, kind: ColumnKind, secrets: Secrets<'_>) -> Result<bool, Unparsable> {
        Ok(match self {
            Self::Key(builder) => {
                let value = value.key()?;
                builder.append_option(value);
                value.is_none()
            }
            Self::Text(builder) => value.with_text(|text| {
                match (text, secrets) {
                    (Some(text), Secrets::Replace(key)) if kind == ColumnKind::Secret => builder.append_value(key.pseudonym(text)),
                    (text, _) => builder.append_option(text),
                }
                text.is_none_or(|text| text.trim().is_empty())
            })?,
            Self::Decimal(builder, scale) => {
                let value = value.scaled(*scale)?;
                builder.append_option(value);
                value.is_none()
            }
            Self::Real(builder) => {
                let value = value.real()?;
                builder.append_option(value);
                value.is_none()
            }
            Self::Instant(builder) => {
                let value = value.instant()?;
                builder.append_option(value);
                value.is_none()
            }
            Self::Day(builder) => {
                let value = value.day()?;
                builder.append_option(value);
                value.is_none()
            }
        })
    }

    fn append_null(&mut self) {
        match self {
            Self::Key(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Decimal(builder, _) => builder.append_null(),
            Self::Real(builder) => builder.append_null(),
            Self::Instant(builder) => builder.append_null(),
            Self::Day(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Key(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, _) => Arc::new(builder.finish()),
            Self::Real(builder) => Arc::new(builder.finish()),
            Self::Instant(builder) => Arc::new(builder.finish()),
            Self::Day(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_text_for_a_number_is_rejected_whole_and_alone() {
        let columns: Vec<_> =
            ["product_id", "name", "category_id", "current_price"].iter().filter_map(|name| Entity::Products.column(name)).collect();
        let mut stager = Stager::new(Entity::Products, columns, Secrets::AlreadyReplaced);
        stager.push(&[Value::Int(1), Value::Text("tea"), Value::Int(9), Value::Real(1.99)]);
        stager.push(&[Value::Int(2), Value::Text("coffee"), Value::Int(9), Value::Text("cheap")]);
        stager.push(&[Value::Null, Value::Text("milk"), Value::Int(9), Value::Null]);
        stager.push(&[Value::Int(4), Value::Text(""), Value::Int(9), Value::Null]);
        let staged = stager.finish().expect("a batch");
        assert_eq!((staged.read, staged.batch.num_rows()), (4, 1));
        let rules: Vec<_> = staged.rejects.iter().map(|reject| (reject.rule.as_str(), reject.row_ref)).collect();
        assert_eq!(rules, [("unparsable_current_price", 1), ("missing_key", 2), ("missing_name", 3)]);
        assert_eq!(staged.rejects[0].row_json, r#"{"category_id":9,"current_price":"cheap","name":"coffee","product_id":2}"#);
    }

    #[test]
    fn keys_that_are_text_become_numbers_and_stay_so_in_quarantine() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = PseudonymKey::load_or_create(&folder.path().join("key")).expect("a key");
        let columns: Vec<_> = ["product_id", "name", "category_id"].iter().filter_map(|name| Entity::Products.column(name)).collect();
        let names = ["product_id".to_owned()];
        let mut stager = Stager::new(Entity::Products, columns.clone(), Secrets::Replace(&key)).with_text_keys(&names);
        stager.push(&[Value::Text("TEA-1"), Value::Text("tea"), Value::Int(9)]);
        stager.push(&[Value::Text(" "), Value::Text("nameless"), Value::Int(9)]);
        stager.push(&[Value::Text("TEA-2"), Value::Text("more tea"), Value::Text("nine")]);
        let staged = stager.finish().expect("a batch");
        let rules: Vec<_> = staged.rejects.iter().map(|reject| reject.rule.as_str()).collect();
        assert_eq!((staged.batch.num_rows(), rules.as_slice()), (1, ["missing_key", "unparsable_category_id"].as_slice()));
        let kept: serde_json::Map<String, Json> = serde_json::from_str(&staged.rejects[1].row_json).expect("JSON");
        assert!(kept["product_id"].is_i64() && kept["category_id"] == "nine", "{kept:?}");
    }

    #[test]
    fn personal_text_is_replaced_even_on_the_way_to_quarantine() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = PseudonymKey::load_or_create(&folder.path().join("key")).expect("a key");
        let columns: Vec<_> = ["customer_id", "name", "email"].iter().filter_map(|name| Entity::Customers.column(name)).collect();
        let mut stager = Stager::new(Entity::Customers, columns, Secrets::Replace(&key));
        stager.push(&[Value::Text("x"), Value::Text("Ada Lovelace"), Value::Bytes(b"ada@example.org")]);
        let staged = stager.finish().expect("a batch");
        assert!(
            !staged.rejects[0].row_json.contains("Ada") && !staged.rejects[0].row_json.contains("616461"),
            "{}",
            staged.rejects[0].row_json
        );
    }
}
