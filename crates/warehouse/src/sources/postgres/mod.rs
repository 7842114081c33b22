//! PostgreSQL as a source: the mapped query by binary `COPY`, in one read-only transaction that sees one state of the
//! database from its first query to its last. Reading rights suffice.

mod copy;
mod kind;
mod ranges;

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Column as _, ConnectOptions, Executor, PgConnection, SqlSafeStr, Statement, TypeInfo};
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use self::copy::{Decoder, MAX_COLUMNS, Malformed};
use self::kind::Kind;
use super::address::ServerAddress;
use super::{Extract, SourceColumn, TextTime, filtered, hand_on, projection, row_texts};
use crate::error::{ServerFault, SourceError};
use crate::staging::{Staged, Stager};
use crate::value::Value;

/// How long a server may take to let us in.
const PATIENCE: Duration = Duration::from_secs(20);
/// No limit that a database sets for its web pages may end a transaction that waits for the warehouse.
const SNAPSHOT: [&str; 4] = [
    "set statement_timeout = 0",
    "set idle_in_transaction_session_timeout = 0",
    "begin isolation level repeatable read, read only",
    "select 1",
];

/// An open database.
pub(crate) struct PostgresSource {
    connection: PgConnection,
    place: String,
    /// For connections beside this one.
    options: PgConnectOptions,
}

impl PostgresSource {
    pub(super) async fn open(address: ServerAddress) -> Result<Self, SourceError> {
        let place = address.place;
        let options = match PgConnectOptions::from_str(address.url.as_str()) {
            Ok(options) => options.application_name("sellcast").disable_statement_logging(),
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
        Ok(Self { connection, place, options })
    }

    /// A query that the server refuses must not spoil the transaction for the next one.
    pub(super) async fn describe(&mut self, sql: &str) -> Result<Vec<SourceColumn>, SourceError> {
        self.run("savepoint described").await?;
        let sql = sql.trim().trim_end_matches(';');
        let mut described = self.columns(sql).await;
        if described.is_ok() {
            // Preparing a query looks at no rights, planning it to be run does.
            let planned = sqlx::raw_sql(AssertSqlSafe(format!("explain {sql}"))).execute(&mut self.connection).await;
            if let Err(source) = planned {
                described = Err(fault(&self.place, source));
            }
        }
        self.run("rollback to savepoint described; release savepoint described").await?;
        let column = |(name, type_name, kind): (String, String, Option<Kind>)| SourceColumn { name, type_name, readable: kind.is_some() };
        Ok(described?.into_iter().map(column).collect())
    }

    pub(super) async fn texts(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, SourceError> {
        self.run("savepoint texts").await?;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).persistent(false).fetch_all(&mut self.connection).await;
        self.run("rollback to savepoint texts; release savepoint texts").await?;
        Ok(rows.map_err(|source| fault(&self.place, source))?.iter().map(row_texts).collect())
    }

    pub(super) async fn read(&mut self, extract: Extract<'_>, mut stager: Stager<'_>, batches: Sender<Staged>) -> Result<(), SourceError> {
        let mut sql = projection(extract.sql, stager.columns().iter().map(|column| column.name), '"');
        let kinds = self.kinds(&sql).await?;
        if let Some((cursor, after)) = extract.after {
            let bound = self.bound(extract.sql, cursor, after).await?;
            sql = filtered(&sql, &format!("\"{cursor}\""), &bound);
        } else if let Some(key) = extract.key {
            let named: Vec<(&str, Kind)> = stager.columns().iter().map(|column| column.name).zip(kinds.iter().copied()).collect();
            if let Some(ranges) = self.ranges(&sql, key, &named).await? {
                return ranges.read(&sql, &kinds, &self.place, &stager, &batches).await;
            }
        }
        read_copy(&mut self.connection, &sql, &kinds, &self.place, &mut stager, &batches).await
    }

    /// How each column of a projection is read.
    async fn kinds(&mut self, sql: &str) -> Result<Vec<Kind>, SourceError> {
        let columns = self.columns(sql).await?;
        let kind = |(column, type_name, kind): (String, String, Option<Kind>)| kind.ok_or(SourceError::Unreadable { column, type_name });
        columns.into_iter().map(kind).collect()
    }

    async fn columns(&mut self, sql: &str) -> Result<Vec<(String, String, Option<Kind>)>, SourceError> {
        let statement = (&mut self.connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql_str()).await;
        let statement = statement.map_err(|source| fault(&self.place, source))?;
        let columns = statement.columns().iter();
        Ok(columns.map(|column| (column.name().to_owned(), column.type_info().name().to_owned(), Kind::of(column.type_info()))).collect())
    }

    /// The cursor's bound as SQL, in the cursor's own type, so that its index serves.
    async fn bound(&mut self, sql: &str, cursor: &str, after: DateTime<Utc>) -> Result<String, SourceError> {
        let subquery = projection(sql, std::iter::once(cursor), '"');
        let column = self.columns(&subquery).await?.into_iter().next();
        Ok(match column.and_then(|(_, _, kind)| kind) {
            Some(Kind::Text | Kind::Padded) => {
                let sample =
                    format!("select cast(\"{cursor}\" as text) from ({subquery}) as sampled where \"{cursor}\" is not null limit 1");
                let sample = sqlx::query_scalar::<_, String>(AssertSqlSafe(sample)).fetch_optional(&mut self.connection).await;
                let sample = sample.map_err(|source| fault(&self.place, source))?.unwrap_or_default();
                format!("'{}'", TextTime::of(&sample).bound(after))
            }
            Some(Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Float4 | Kind::Float8 | Kind::Numeric) => after.timestamp().to_string(),
            // The session's zone is UTC; a date drops the time.
            _ => format!("'{}'", after.format("%Y-%m-%d %H:%M:%S%.6f")),
        })
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), SourceError> {
        sqlx::raw_sql(sql).execute(&mut self.connection).await.map(drop).map_err(|source| fault(&self.place, source))
    }
}

fn push(stager: &mut Stager<'_>, kinds: &[Kind], fields: &[Option<&[u8]>], spares: &mut [String; MAX_COLUMNS]) -> Result<(), Malformed> {
    let mut values = [Value::Null; MAX_COLUMNS];
    for (((value, kind), field), spare) in values.iter_mut().zip(kinds).zip(fields).zip(spares) {
        if let Some(bytes) = field {
            *value = kind.value(bytes, spare)?;
        }
    }
    stager.push(&values[..fields.len()]);
    Ok(())
}

/// Reads a query by binary copy, all of it.
async fn read_copy(
    connection: &mut PgConnection,
    sql: &str,
    kinds: &[Kind],
    place: &str,
    stager: &mut Stager<'_>,
    batches: &Sender<Staged>,
) -> Result<(), SourceError> {
    let copy = format!("copy (\n{sql}\n) to stdout (format binary)");
    let mut pieces = connection.copy_out_raw(&copy).await.map_err(|source| fault(place, source))?;
    let damaged = |source: Malformed| SourceError::Damaged { place: place.to_owned(), source: Box::new(source) };
    let mut decoder = Decoder::new(kinds.len());
    let mut spares: [String; MAX_COLUMNS] = Default::default();
    while let Some(piece) = pieces.try_next().await.map_err(|source| fault(place, source))? {
        decoder.feed(&piece, &mut |fields| push(stager, kinds, fields, &mut spares)).map_err(damaged)?;
        if stager.is_full() {
            hand_on(stager, batches).await?;
        }
    }
    decoder.finish().map_err(damaged)?;
    hand_on(stager, batches).await
}

fn fault(place: &str, source: sqlx::Error) -> SourceError {
    let code = source.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    let fault = match (&source, &*code) {
        // Classes of SQLSTATE: 28 authorisation, 3D no such database, 42501 rights, 57/08 the server ends.
        (_, "28000" | "28P01") => ServerFault::Login,
        (_, "3D000") => ServerFault::NoDatabase,
        (_, "42501") => ServerFault::NoRight,
        (_, "57P01" | "57P02" | "57P03" | "08006" | "53300") => ServerFault::Unreachable,
        (sqlx::Error::Database(_), _) => ServerFault::Query,
        _ => ServerFault::on_the_way(&source),
    };
    SourceError::Server { place: place.to_owned(), fault, source }
}
