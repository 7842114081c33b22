//! From an open database to its catalogue: one reader a database, and the few values that names do not tell.

mod mysql;
mod postgres;
mod sqlite;

use std::collections::BTreeMap;

use super::catalogue::{Catalogue, Column, Dialect, Family, Table};
use super::platforms;
use super::words::{CURRENCY, STATUS};
use crate::error::SourceError;
use crate::sources::Reader;

/// Rows that tell what a column holds.
const SAMPLE_ROWS: u32 = 20;
/// Letters of a value that tell what it is.
const MOST_LETTERS: u32 = 64;
/// Rows that are searched for the values of a status.
const STATUS_ROWS: u32 = 200_000;
/// A status has fewer values than this.
const MOST_VALUES: usize = 40;
/// Separates texts that come as one; no name contains it.
const SEPARATOR: char = '\u{1f}';

/// A row of texts.
type Texts = Vec<Option<String>>;

/// The dialect of a source; `None` for files.
pub(super) fn dialect(reader: &Reader) -> Option<Dialect> {
    match reader {
        Reader::Sqlite(_) => Some(Dialect::Sqlite),
        Reader::Postgres(_) => Some(Dialect::Postgres),
        Reader::MySql(_) => Some(Dialect::Mysql),
        Reader::Files(_) => None,
    }
}

/// The whole catalogue, with sample values.
pub(super) async fn read(reader: &mut Reader, dialect: Dialect) -> Result<Catalogue, SourceError> {
    let mut catalogue = match dialect {
        Dialect::Sqlite => sqlite::read(reader).await?,
        Dialect::Postgres => postgres::read(reader).await?,
        Dialect::Mysql => mysql::read(reader).await?,
    };
    for table in catalogue.tables.iter_mut().filter(|table| table.readable) {
        // A broken view, or a table that is locked: it cannot be a source either.
        table.readable = look_into(reader, dialect, table).await.is_ok();
    }
    if let Some(sql) = platforms::settings_query(&catalogue)
        && let Ok(rows) = reader.texts(&sql).await
    {
        catalogue.settings = rows.iter().map(|row| (text(row, 0), text(row, 1))).collect();
    }
    Ok(catalogue)
}

async fn look_into(reader: &mut Reader, dialect: Dialect, table: &mut Table) -> Result<(), SourceError> {
    let from = dialect.table(table);
    let columns: Vec<String> = table.columns.iter().map(|column| short_text(dialect, column)).collect();
    let rows = reader.texts(&format!("select {} from {from} limit {SAMPLE_ROWS}", columns.join(", "))).await?;
    for (at, column) in table.columns.iter_mut().enumerate() {
        column.sample = rows.iter().filter_map(|row| row.get(at)?.clone()).filter(|value| !value.is_empty()).collect();
        if dialect == Dialect::Sqlite {
            column.family = family_of_values(column);
        }
        let is_asked = STATUS.fit(&column.name, &[]) >= 0.4 || CURRENCY.fit(&column.name, &[]) >= 0.4;
        if is_asked && !rows.is_empty() && column.values.is_empty() {
            let name = dialect.name(&column.name);
            let text = dialect.as_text(&name);
            let sql = format!(
                "select {text} as value from (select {name} from {from} where {name} is not null limit {STATUS_ROWS}) as looked \
                 group by {name} order by count(*) desc limit {MOST_VALUES}"
            );
            let values: Vec<String> = reader.texts(&sql).await?.into_iter().filter_map(|row| row.into_iter().next()?).collect();
            if values.len() < MOST_VALUES {
                column.values = values;
            }
        }
    }
    Ok(())
}

/// The beginning of a value: a table may hold whole documents and pictures.
fn short_text(dialect: Dialect, column: &Column) -> String {
    match column.family {
        Family::Bytes => "null".to_owned(),
        _ => format!("substr({}, 1, {MOST_LETTERS})", dialect.as_text(&dialect.name(&column.name))),
    }
}

/// SQLite keeps any value in any column: a time is a text that looks like one.
fn family_of_values(column: &Column) -> Family {
    if column.sample.is_empty() || !matches!(column.family, Family::Text | Family::Other) {
        return column.family;
    }
    let all = |is: &dyn Fn(&str) -> bool| column.sample.iter().all(|value| is(value));
    let is_day = |value: &str| value.len() >= 10 && value.get(..10).is_some_and(|day| day.parse::<chrono::NaiveDate>().is_ok());
    if all(&|value| is_day(value) && value.len() == 10) {
        Family::Day
    } else if all(&is_day) {
        Family::Time
    } else if column.family == Family::Other && all(&|value| value.parse::<i64>().is_ok()) {
        Family::Integer
    } else if column.family == Family::Other && all(&|value| value.parse::<f64>().is_ok()) {
        Family::Decimal
    } else {
        Family::Text
    }
}

/// Tables by schema and name, as the readers fill them.
type Tables = BTreeMap<(Option<String>, String), Table>;

/// A row's text at a place; empty for null.
fn text(row: &Texts, at: usize) -> String {
    row.get(at).cloned().flatten().unwrap_or_default()
}

fn column(name: String, type_name: String, nullable: bool) -> Column {
    let family = Family::of(&type_name);
    Column { name, type_name, family, nullable, sample: Vec::new(), values: Vec::new() }
}
