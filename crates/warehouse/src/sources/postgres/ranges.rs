//! A large table read by several connections at once, each taking ranges of its key, and all of them one state of the database.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::kind::Kind;
use super::{PATIENCE, PostgresSource, fault, read_copy};
use crate::error::SourceError;
use crate::staging::{Staged, Stager};

/// Rows, as the database's planner expects them, from which on more than one connection is worth its while.
const LARGE: f64 = 500_000.0;
/// Connections at most: a shop's database has other work.
const CONNECTIONS: usize = 4;
/// Ranges for each connection. Keys have gaps, so ranges differ in length, and who is done early takes another.
const RANGES: i128 = 4;
/// Limits of the session as in the first connection, see [`super::SNAPSHOT`].
const SESSION: [&str; 3] =
    ["set statement_timeout = 0", "set idle_in_transaction_session_timeout = 0", "begin isolation level repeatable read, read only"];

/// How a query is divided.
pub(super) struct Ranges {
    /// Sees what the first connection sees.
    connections: Vec<PgConnection>,
    /// Conditions that every row meets one of.
    conditions: VecDeque<String>,
}

/// What the planner expects.
struct Plan {
    rows: f64,
    cost: f64,
}

impl PostgresSource {
    /// How to divide a projection by a key among connections; `None` where one connection does as well: few rows, a key that is no
    /// integer or has no index, a single core, a replica (which cannot share its snapshot), or no connection to spare.
    pub(super) async fn ranges(&mut self, sql: &str, key: &str, kinds: &[(&str, Kind)]) -> Result<Option<Ranges>, SourceError> {
        let wanted = thread::available_parallelism().map_or(1, usize::from).min(CONNECTIONS);
        let is_integer = kinds.iter().any(|(name, kind)| *name == key && matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8));
        if wanted < 2 || !is_integer {
            return Ok(None);
        }
        let whole = self.plan(sql).await?;
        if whole.rows < LARGE || self.one::<bool>("select pg_is_in_recovery()").await? {
            return Ok(None);
        }
        let ends = format!("select min(\"{key}\")::bigint, max(\"{key}\")::bigint from ({sql}) as keyed");
        // With an index on the key its ends cost next to nothing.
        if self.plan(&ends).await?.cost > whole.cost / 20.0 {
            return Ok(None);
        }
        let ends = sqlx::query_as::<_, (Option<i64>, Option<i64>)>(AssertSqlSafe(ends)).persistent(false);
        let ends = ends.fetch_one(&mut self.connection).await.map_err(|source| fault(&self.place, source))?;
        let (Some(first), Some(last)) = ends else { return Ok(None) };
        let conditions = conditions(key, first, last, RANGES * wanted as i128);
        let of_one = self.plan(&with(sql, &conditions[conditions.len() / 2])).await?;
        if of_one.cost > whole.cost / 2.0 {
            return Ok(None);
        }
        let snapshot = self.one::<String>("select pg_export_snapshot()").await?;
        let mut connections = Vec::new();
        for _ in 0..wanted {
            match self.beside(&snapshot).await {
                Ok(connection) => connections.push(connection),
                Err(error) => tracing::debug!(error = %error, place = self.place, "no further connection"),
            }
        }
        Ok((connections.len() > 1).then_some(Ranges { connections, conditions }))
    }

    async fn one<T>(&mut self, sql: &'static str) -> Result<T, SourceError>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.map_err(|source| fault(&self.place, source))
    }

    async fn plan(&mut self, sql: &str) -> Result<Plan, SourceError> {
        let explained = sqlx::query_scalar::<_, Json>(AssertSqlSafe(format!("explain (format json) {sql}"))).persistent(false);
        let explained = explained.fetch_one(&mut self.connection).await.map_err(|source| fault(&self.place, source))?;
        let number = |name: &str| explained[0]["Plan"][name].as_f64().unwrap_or_default();
        Ok(Plan { rows: number("Plan Rows"), cost: number("Total Cost") })
    }

    /// A connection that sees what the snapshot does.
    async fn beside(&self, snapshot: &str) -> Result<PgConnection, SourceError> {
        let silent = || SourceError::Silent { place: self.place.clone(), seconds: PATIENCE.as_secs() };
        let connected = timeout(PATIENCE, self.options.connect()).await.map_err(|_| silent())?;
        let mut connection = connected.map_err(|source| fault(&self.place, source))?;
        for sql in SESSION {
            sqlx::raw_sql(sql).execute(&mut connection).await.map_err(|source| fault(&self.place, source))?;
        }
        let sql = format!("set transaction snapshot '{snapshot}'");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map_err(|source| fault(&self.place, source))?;
        Ok(connection)
    }
}

impl Ranges {
    /// Reads all ranges, each connection in a thread of its own. Rows of one key come in the order in which one connection would have
    /// read them.
    pub(super) async fn read(
        self,
        sql: &str,
        kinds: &[Kind],
        place: &str,
        stager: &Stager<'_>,
        batches: &Sender<Staged>,
    ) -> Result<(), SourceError> {
        let waiting = Arc::new(Mutex::new(self.conditions));
        let mut reading = Vec::new();
        for (number, mut connection) in (1_i64..).zip(self.connections) {
            let (waiting, blueprint, batches) = (waiting.clone(), stager.blueprint(number), batches.clone());
            let (sql, kinds, place) = (sql.to_owned(), kinds.to_vec(), place.to_owned());
            let runtime = Handle::current();
            reading.push(spawn_blocking(move || {
                let mut stager = blueprint.stager();
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                while let Some(condition) = next() {
                    let read = runtime.block_on(read_copy(&mut connection, &with(&sql, &condition), &kinds, &place, &mut stager, &batches));
                    if read.is_err() {
                        // The others need not go on.
                        waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
                        return read;
                    }
                }
                Ok(())
            }));
        }
        let mut outcome = Ok(());
        for one in reading {
            let read = one.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            outcome = outcome.and(read);
        }
        outcome
    }
}

/// A projection's rows that meet a condition.
fn with(sql: &str, condition: &str) -> String {
    format!("{sql}\nwhere {condition}")
}

/// Conditions on a key whose values lie from `first` to `last`: one each for ranges of about the same width, and for rows without a key.
fn conditions(key: &str, first: i64, last: i64, ranges: i128) -> VecDeque<String> {
    let (first, width) = (i128::from(first), i128::from(last) - i128::from(first) + 1);
    let mut bounds: Vec<i128> = (1..ranges).map(|range| first + width * range / ranges).collect();
    bounds.dedup();
    let mut conditions = VecDeque::new();
    let mut from: Option<i128> = None;
    for to in bounds.into_iter().map(Some).chain([None]) {
        conditions.push_back(match (from, to) {
            (None, None) => format!("\"{key}\" is not null"),
            (None, Some(to)) => format!("\"{key}\" < {to}"),
            (Some(from), None) => format!("\"{key}\" >= {from}"),
            (Some(from), Some(to)) => format!("\"{key}\" >= {from} and \"{key}\" < {to}"),
        });
        from = to;
    }
    conditions.push_back(format!("\"{key}\" is null"));
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_lies_in_one_range() {
        assert_eq!(conditions("id", 1, 9, 3), ["\"id\" < 4", "\"id\" >= 4 and \"id\" < 7", "\"id\" >= 7", "\"id\" is null"]);
        assert_eq!(conditions("id", 5, 5, 2), ["\"id\" < 5", "\"id\" >= 5", "\"id\" is null"]);
        let widest = conditions("id", i64::MIN, i64::MAX, 2);
        assert_eq!(widest, ["\"id\" < 0", "\"id\" >= 0", "\"id\" is null"]);
    }
}
