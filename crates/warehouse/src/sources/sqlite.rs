//! SQLite as a source: one read-only connection in one snapshot, so that products and sales fit together while the
//! shop goes on writing.

use std::path::PathBuf;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow, SqliteValueRef};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection, Decode, Executor, Row, SqlSafeStr, SqliteConnection, Statement, TypeInfo,
    ValueRef,
};
use tokio::sync::mpsc::Sender;

use super::{Extract, SourceColumn, TextTime, filtered, hand_on, projection};
use crate::error::SourceError;
use crate::staging::{Staged, Stager};
use crate::value::Value;

/// How long to wait for another program's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that SQLite's thread may be ahead of ours.
const ROWS_AHEAD: usize = 4096;
/// More columns than any entity has.
const MAX_COLUMNS: usize = 16;

/// An open database.
pub(crate) struct SqliteSource {
    connection: SqliteConnection,
    path: PathBuf,
}

impl SqliteSource {
    pub(super) async fn open(path: PathBuf) -> Result<Self, SourceError> {
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(ROWS_AHEAD)
            .disable_statement_logging();
        let connection = SqliteConnection::connect_with(&options).await;
        let mut source = match connection {
            Ok(connection) => Self { connection, path },
            Err(source) => return Err(fault(path, source)),
        };
        // The snapshot begins with the first read; reading the schema makes sure that the file is a database at all.
        source.run("begin").await?;
        source.run("select count(*) from sqlite_schema").await?;
        Ok(source)
    }

    pub(super) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let sql = sql.trim().trim_end_matches(';').to_owned();
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql).into_sql_str()).await;
        let statement = statement.map_err(|source| fault(self.path.clone(), source))?;
        let column = |column: &sqlx::sqlite::SqliteColumn| {
            let type_name = column.type_info().name();
            SourceColumn {
                name: column.name().to_owned(),
                type_name: if type_name == "NULL" { String::new() } else { type_name.to_owned() },
                readable: true,
            }
        };
        Ok(statement.columns().iter().map(column).collect())
    }

    pub(super) async fn read(&mut self, extract: Extract<'_>, mut stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        let path = self.path.clone();
        let mut sql = projection(extract.sql, stager.columns().iter().map(|column| column.name), '"');
        let mut bound = None;
        if let Some((cursor, after)) = extract.after {
            bound = self.bound(extract.sql, cursor, after).await?;
            sql = filtered(&sql, &format!("\"{cursor}\""), "?");
        }
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = match bound {
            Some(Bound::Text(text)) => query.bind(text),
            Some(Bound::Number(number)) => query.bind(number),
            None if extract.after.is_some() => query.bind(i64::MIN),
            None => query,
        };
        let width = stager.columns().len();
        let mut rows = query.fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await.map_err(|source| fault(path.clone(), source))? {
            push(&mut stager, &row, width);
            if stager.is_full() {
                hand_on(&mut stager, &batches).await?;
            }
        }
        hand_on(&mut stager, &batches).await
    }

    /// The cursor's bound in the form that the source stores; `None` when the query has no row with a cursor yet.
    async fn bound(&mut self, sql: &str, cursor: &str, after: chrono::DateTime<chrono::Utc>) -> Result<Option<Bound>, SourceError> {
        let sample =
            format!("select \"{cursor}\" from (\n{}\n) as mapped where \"{cursor}\" is not null limit 1", sql.trim().trim_end_matches(';'));
        let row = sqlx::query(AssertSqlSafe(sample)).fetch_optional(&mut self.connection).await;
        let Some(row) = row.map_err(|source| fault(self.path.clone(), source))? else { return Ok(None) };
        Ok(Some(match value(&row, 0) {
            Value::Text(sample) => Bound::Text(TextTime::of(sample).bound(after)),
            _ => Bound::Number(after.timestamp()),
        }))
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), SourceError> {
        sqlx::query(sql).execute(&mut self.connection).await.map(drop).map_err(|source| fault(self.path.clone(), source))
    }
}

enum Bound {
    Text(String),
    Number(i64),
}

fn push(stager: &mut Stager<'_>, row: &SqliteRow, width: usize) {
    let mut values = [Value::Null; MAX_COLUMNS];
    let width = width.min(MAX_COLUMNS);
    for (at, slot) in values.iter_mut().enumerate().take(width) {
        *slot = value(row, at);
    }
    stager.push(&values[..width]);
}

fn value(row: &SqliteRow, at: usize) -> Value<'_> {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    decode(raw).unwrap_or(Value::Null)
}

fn decode(raw: SqliteValueRef<'_>) -> Result<Value<'_>, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    // Of a value that is not null, SQLite tells how it is stored, whatever the column was declared as.
    let stored = raw.type_info();
    let stored = stored.name();
    match stored {
        "INTEGER" => i64::decode(raw).map(Value::Int),
        "REAL" => f64::decode(raw).map(Value::Real),
        "TEXT" => {
            let bytes = <&[u8]>::decode(raw)?;
            Ok(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text))
        }
        _ => <&[u8]>::decode(raw).map(Value::Bytes),
    }
}

fn fault(path: PathBuf, source: sqlx::Error) -> SourceError {
    // SQLITE_BUSY is 5, SQLITE_LOCKED 6; extended codes keep the kind in the low byte.
    let code = source.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<u32>().ok());
    match code.map(|code| code & 0xff) {
        Some(5 | 6) => SourceError::Locked { path, source },
        _ => SourceError::Query { path, source },
    }
}
