//! An entity's query while it grows: each column comes with its score and reason, keys are told apart into numbers and
//! text, and values into the forms that the warehouse reads.

use super::catalogue::{Column, Dialect, Family};
use super::proposal::{Alternative, ColumnProposal, EntityProposal};
use super::sql::{Key, Query};
use super::words::{Concept, tokens};

/// Seconds since 1970 have nine or ten digits, milliseconds twelve or more.
const MILLISECONDS: f64 = 1.0e11;
/// The year 1973: smaller numbers are no times.
const LEAST_EPOCH: f64 = 1.0e8;

/// An entity in the making.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) entity: &'static str,
    pub(super) dialect: Dialect,
    pub(super) query: Query,
    pub(super) columns: Vec<ColumnProposal>,
    pub(super) reasons: Vec<String>,
    pub(super) text_keys: Vec<&'static str>,
    pub(super) cursor: Option<&'static str>,
}

impl Draft {
    pub(super) fn new(entity: &'static str, dialect: Dialect, from: String) -> Self {
        let query = Query { from, ..Query::default() };
        Self { entity, dialect, query, columns: Vec::new(), reasons: Vec::new(), text_keys: Vec::new(), cursor: None }
    }

    pub(super) fn because(&mut self, reason: impl Into<String>) {
        self.reasons.push(reason.into());
    }

    pub(super) fn add(&mut self, column: &'static str, expression: String, score: f64, reason: Option<String>) {
        self.columns.push(ColumnProposal { column, from: expression.clone(), score, reason });
        self.query.columns.push((column, expression));
    }

    /// A key, hashed by the reader where it is text.
    pub(super) fn add_key(&mut self, column: &'static str, key: Key, score: f64) {
        if key.is_text {
            self.text_keys.push(column);
        }
        let reason = key.is_text.then(|| "text, which the reader turns into a number by a hash".to_owned());
        self.add(column, key.expression, score, reason);
    }

    pub(super) fn add_money(&mut self, column: &'static str, alias: &str, from: &Column, score: f64) {
        let (expression, reason) = money(self.dialect, alias, from);
        self.add(column, expression, score, reason);
    }

    pub(super) fn add_time(&mut self, column: &'static str, alias: &str, from: &Column, score: f64) {
        let (expression, reason) = time(self.dialect, alias, from);
        self.add(column, expression, score, reason);
    }

    pub(super) fn add_text(&mut self, column: &'static str, alias: &str, from: &Column, score: f64) {
        let reason = (from.family == Family::Json).then(|| "one text a language: the English one, or else the first".to_owned());
        self.add(column, self.dialect.plain_text(alias, from), score, reason);
    }

    pub(super) fn finish(self, table: String, score: f64, alternatives: Vec<Alternative>) -> EntityProposal {
        EntityProposal {
            entity: self.entity,
            table,
            score: score.clamp(0.0, 1.0),
            reasons: self.reasons,
            columns: self.columns,
            sql: self.query.write(),
            cursor: self.cursor,
            text_keys: self.text_keys,
            alternatives,
            sample: None,
        }
    }
}

/// An amount of money: cents become units.
pub(super) fn money(dialect: Dialect, alias: &str, column: &Column) -> (String, Option<String>) {
    const CENTS: [&str; 6] = ["cents", "cent", "rappen", "minor", "pence", "centimes"];
    let name = dialect.column(alias, &column.name);
    if tokens(&column.name).iter().any(|token| CENTS.contains(&token.as_str())) && column.family == Family::Integer {
        return (format!("{name} / 100.0"), Some("the name says that it counts cents".to_owned()));
    }
    if column.type_name == "money" {
        return (format!("{name}::numeric"), None);
    }
    (name, None)
}

/// A point in time: milliseconds since 1970 become seconds.
fn time(dialect: Dialect, alias: &str, column: &Column) -> (String, Option<String>) {
    let name = dialect.column(alias, &column.name);
    if column.family == Family::Integer {
        let in_milliseconds = column.sample.first().and_then(|value| value.parse::<f64>().ok()).is_some_and(|value| value > MILLISECONDS);
        return match in_milliseconds {
            true => (format!("{name} / 1000"), Some("milliseconds since 1970".to_owned())),
            false => (name, Some("seconds since 1970".to_owned())),
        };
    }
    (name, None)
}

/// Can it be an amount or a quantity? SQLite keeps numbers in columns of any type.
pub(super) fn is_number(column: &Column) -> bool {
    let looks_so = || !column.sample.is_empty() && column.sample.iter().all(|value| value.trim().parse::<f64>().is_ok());
    match column.family {
        Family::Integer | Family::Decimal => true,
        Family::Text | Family::Other => looks_so(),
        _ => false,
    }
}

/// Can it be a point in time?
pub(super) fn is_time(column: &Column) -> bool {
    let looks_so =
        || !column.sample.is_empty() && column.sample.iter().all(|value| value.parse::<f64>().is_ok_and(|value| value > LEAST_EPOCH));
    match column.family {
        Family::Time | Family::Day => true,
        Family::Integer => looks_so(),
        _ => false,
    }
}

/// Is it text for people, and not a number kept as text?
pub(super) fn is_text(column: &Column) -> bool {
    matches!(column.family, Family::Text | Family::Json)
        && (column.family == Family::Json || column.sample.is_empty() || !is_number(column))
}

/// The column of `columns` that fits a concept best, if one fits at all.
pub(super) fn fits(concept: &Concept, column: &Column) -> bool {
    concept.fit(&column.name, &[]) >= 0.4
}
