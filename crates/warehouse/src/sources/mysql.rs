//! MySQL and MariaDB as a source: the mapped query by the text protocol, in one read-only transaction over one state of
//! the (InnoDB) tables. Decimals are read from their digits and stay exact. Reading rights suffice.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt;
use sellcast_domain::ShopDay;
use sqlx::mysql::{MySqlConnectOptions, MySqlRow, MySqlTypeInfo};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Decode, Executor, MySql, MySqlConnection, Row, SqlSafeStr, Statement, Type, TypeInfo,
    ValueRef,
};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::address::ServerAddress;
use super::{Extract, SourceColumn, TextTime, filtered, hand_on, projection, row_texts};
use crate::error::{ServerFault, SourceError};
use crate::staging::{Staged, Stager};
use crate::value::Value;

/// How long a server may take to let us in.
const PATIENCE: Duration = Duration::from_secs(20);
/// The server must not hang up while the warehouse is writing.
const SNAPSHOT: [&str; 4] = [
    "set session net_write_timeout = 3600",
    "set session wait_timeout = 28800",
    "set session transaction isolation level repeatable read",
    "start transaction with consistent snapshot, read only",
];
/// More columns than any entity has.
const MAX_COLUMNS: usize = 16;

/// An open database.
pub(crate) struct MySqlSource {
    connection: MySqlConnection,
    place: String,
}

/// How a column's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Decimal,
    Real,
    Text,
    Bytes,
    Bits,
    Date,
    Instant,
}

impl MySqlSource {
    pub(super) async fn open(address: ServerAddress) -> Result<Self, SourceError> {
        let place = address.place;
        let options = match MySqlConnectOptions::from_str(address.url.as_str()) {
            // The shop's queries are written for its own `sql_mode`.
            Ok(options) => options.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging(),
            Err(source) => return Err(SourceError::BadAddress { place, source: Some(source) }),
        };
        let mut connection = match timeout(PATIENCE, options.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(source)) => return Err(fault(&place, source)),
            Err(_) => return Err(SourceError::Silent { place, seconds: PATIENCE.as_secs() }),
        };
        for sql in SNAPSHOT {
            sqlx::raw_sql(sql).execute(&mut connection).await.map_err(|source| fault(&place, source))?;
        }
        Ok(Self { connection, place })
    }

    /// As a subquery, as it will be read: MySQL allows no two columns of one name there.
    pub(super) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        self.columns(&format!("select * from (\n{}\n) as mapped", sql.trim().trim_end_matches(';'))).await
    }

    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection).await;
        Ok(rows.map_err(|source| fault(&self.place, source))?.iter().map(row_texts).collect())
    }

    pub(super) async fn read(&mut self, extract: Extract<'_>, mut stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        let mut sql = projection(extract.sql, stager.columns().iter().map(|column| column.name), '`');
        if let Some((cursor, after)) = extract.after {
            let bound = self.bound(extract.sql, cursor, after).await?;
            sql = filtered(&sql, &format!("`{cursor}`"), &bound);
        }
        let Self { connection, place } = self;
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
        let mut kinds = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(|source| fault(place, source))? {
            if kinds.is_empty() {
                kinds = row.columns().iter().map(|column| Kind::of(column.type_info())).collect();
            }
            push(&mut stager, &row, &kinds);
            if stager.is_full() {
                hand_on(&mut stager, &batches).await?;
            }
        }
        hand_on(&mut stager, &batches).await
    }

    async fn columns(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
        let statement = statement.map_err(|source| fault(&self.place, source))?;
        let column = |column: &sqlx::mysql::MySqlColumn| {
            let type_name = column.type_info().name().to_owned();
            SourceColumn { name: column.name().to_owned(), readable: type_name != "GEOMETRY", type_name }
        };
        Ok(statement.columns().iter().map(column).collect())
    }

    /// The cursor's bound as SQL, in the form that the source stores.
    async fn bound(&mut self, sql: &str, cursor: &str, after: DateTime<Utc>) -> Result<String, SourceError> {
        let sample = projection(sql, std::iter::once(cursor), '`');
        let sample = format!("select `{cursor}` from ({sample}) as sampled where `{cursor}` is not null limit 1");
        let row = sqlx::raw_sql(AssertSqlSafe(sample)).fetch_optional(&mut self.connection).await;
        let row = row.map_err(|source| fault(&self.place, source))?;
        let kind = row.as_ref().and_then(|row| row.columns().first()).map(|column| Kind::of(column.type_info()));
        Ok(match (&row, kind) {
            (Some(row), Some(Kind::Text)) => match value(row, 0, Kind::Text) {
                Value::Text(sample) => format!("'{}'", TextTime::of(sample).bound(after)),
                _ => after.timestamp().to_string(),
            },
            (_, Some(Kind::Int | Kind::Decimal | Kind::Real)) => after.timestamp().to_string(),
            // The session's zone is UTC.
            _ => format!("'{}'", after.format("%Y-%m-%d %H:%M:%S%.6f")),
        })
    }
}

impl Kind {
    fn of(info: &MySqlTypeInfo) -> Self {
        match info.name() {
            "DECIMAL" => Self::Decimal,
            "FLOAT" | "DOUBLE" => Self::Real,
            "BIT" => Self::Bits,
            "DATE" => Self::Date,
            "DATETIME" | "TIMESTAMP" => Self::Instant,
            "BOOLEAN" | "YEAR" => Self::Int,
            name if name.contains("INT") => Self::Int,
            "ENUM" | "SET" | "JSON" | "TIME" | "NULL" => Self::Text,
            // The name tells bytes and text with a binary collation not apart; the collation does.
            _ if <str as Type<MySql>>::compatible(info) => Self::Text,
            _ => Self::Bytes,
        }
    }

    /// A value of the text protocol.
    fn value(self, bytes: &[u8]) -> Value<'_> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return if self == Self::Bits { Value::Int(bits(bytes)) } else { Value::Bytes(bytes) };
        };
        match self {
            Self::Int => text.parse().map_or(Value::Text(text), Value::Int),
            Self::Decimal => decimal(text).unwrap_or(Value::Text(text)),
            Self::Real => text.parse().map_or(Value::Text(text), Value::Real),
            Self::Text => Value::Text(text),
            Self::Bytes => Value::Bytes(bytes),
            Self::Bits => Value::Int(bits(bytes)),
            // MySQL's way of saying that there is none.
            Self::Date | Self::Instant if text.starts_with("0000-00-00") => Value::Null,
            Self::Date => text.parse::<NaiveDate>().map_or(Value::Text(text), |day| Value::Day(ShopDay::from(day).epoch_days())),
            Self::Instant => Value::Text(text),
        }
    }
}

fn push(stager: &mut Stager<'_>, row: &MySqlRow, kinds: &[Kind]) {
    let mut values = [Value::Null; MAX_COLUMNS];
    for (at, (slot, kind)) in values.iter_mut().zip(kinds).enumerate() {
        *slot = value(row, at, *kind);
    }
    stager.push(&values[..kinds.len().min(MAX_COLUMNS)]);
}

fn value(row: &MySqlRow, at: usize, kind: Kind) -> Value<'_> {
    let Ok(raw) = row.try_get_raw(at) else { return Value::Null };
    if raw.is_null() {
        return Value::Null;
    }
    <&[u8] as Decode<MySql>>::decode(raw).map_or(Value::Null, |bytes| kind.value(bytes))
}

fn bits(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |bits, byte| (bits << 8) | i64::from(*byte))
}

/// `-12.340` as its digits and their decimals; `None` for what is longer than any column of the warehouse.
fn decimal(text: &str) -> Option<Value<'static>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if text.len() > 36 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: i128 = whole.parse().ok()?;
    let digits = fraction.bytes().fold(digits.abs(), |digits, byte| digits * 10 + i128::from(byte - b'0'));
    Some(Value::Decimal(if whole.starts_with('-') { -digits } else { digits }, i8::try_from(fraction.len()).ok()?))
}

fn fault(place: &str, source: sqlx::Error) -> SourceError {
    let number = match &source {
        sqlx::Error::Database(error) => error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(|error| error.number()),
        _ => None,
    };
    let fault = match (&source, number) {
        (_, Some(1045 | 1698)) => ServerFault::Login,
        (_, Some(1049)) => ServerFault::NoDatabase,
        // On a database, a table, a column, or a view's tables.
        (_, Some(1044 | 1142 | 1143 | 1356)) => ServerFault::NoRight,
        (_, Some(1040 | 1053 | 1129 | 1130 | 1927)) => ServerFault::Unreachable,
        (sqlx::Error::Database(_), _) => ServerFault::Query,
        _ => ServerFault::on_the_way(&source),
    };
    SourceError::Server { place: place.to_owned(), fault, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_meaning_of_their_type() {
        for (kind, text, expected) in [
            (Kind::Int, "-7", Value::Int(-7)),
            (Kind::Int, "18446744073709551615", Value::Text("18446744073709551615")),
            (Kind::Decimal, "-0.05", Value::Decimal(-5, 2)),
            (Kind::Decimal, "19.990", Value::Decimal(19_990, 3)),
            (Kind::Decimal, "120", Value::Decimal(120, 0)),
            (Kind::Real, "1.1", Value::Real(1.1)),
            (Kind::Date, "2017-12-01", Value::Day(17_501)),
            (Kind::Date, "0000-00-00", Value::Null),
            (Kind::Instant, "0000-00-00 00:00:00", Value::Null),
            (Kind::Instant, "2017-12-01 10:22:33.000001", Value::Text("2017-12-01 10:22:33.000001")),
            (Kind::Bits, "\u{1}", Value::Int(1)),
            (Kind::Text, "Bücher", Value::Text("Bücher")),
            (Kind::Bytes, "abc", Value::Bytes(b"abc")),
        ] {
            assert_eq!(kind.value(text.as_bytes()), expected, "{text}");
        }
        let long = "1".repeat(60);
        assert_eq!(Kind::Decimal.value(long.as_bytes()), Value::Text(&long));
        assert_eq!(Kind::Bits.value(&[1, 255]), Value::Int(511));
    }
}
