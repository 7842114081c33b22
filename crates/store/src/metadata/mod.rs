//! The database of the metadata: a SQLite file, or PostgreSQL where the file of one machine is not enough.
//!
//! Each statement has one text for both. Placeholders are `$1`, values are texts and whole numbers, and the few words that
//! differ stand as `{id}` and `{text}` in the definitions of the tables.

mod address;

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _};

pub use address::{InvalidMetadataAddress, MetadataAddress};

/// Connections of a process.
const CONNECTIONS: u32 = 4;
/// Longest wait for a lock of the file, or for the server's first answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to open a file that another process is opening.
const AGAIN: Duration = Duration::from_millis(20);
/// Number of the lock under which one process at a time makes the tables.
const TABLES_LOCK: i64 = 0x5e11_ca57;

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) enum Metadata {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A value of a statement.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Absent,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// A statement with its values.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sql: &'static str,
    values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql, values: Vec::new() }
    }

    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }
}

/// The same query for whichever database runs it.
macro_rules! query {
    ($statement:expr) => {{
        let mut query = sqlx::query($statement.sql);
        for value in &$statement.values {
            query = match value {
                Value::Text(text) => query.bind(text.as_str()),
                Value::Number(number) => query.bind(*number),
                Value::Absent => query.bind(None::<&str>),
            };
        }
        query
    }};
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> Result<&str, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<&str>, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// Whether SQLite said that somebody else has the file (result code 5, and what extends it).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

impl Metadata {
    /// Opens or makes the file, with these tables.
    pub(crate) async fn open(path: &Path, tables: &[&'static str]) -> Result<Self, sqlx::Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Self::open_now(path, tables).await {
                // Where several set a new file's journal mode at once, SQLite refuses all but one without waiting.
                Err(error) if is_busy(&error) && Instant::now() < until => tokio::time::sleep(AGAIN).await,
                done => return done,
            }
        }
    }

    async fn open_now(path: &Path, tables: &[&'static str]) -> Result<Self, sqlx::Error> {
        let options =
            SqliteConnectOptions::new().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal).busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
        for sql in tables {
            let sql = sql.replace("{id}", "integer primary key autoincrement").replace("{text}", "text");
            sqlx::query(AssertSqlSafe(sql)).execute(&pool).await?;
        }
        Ok(Self::Sqlite(pool))
    }

    /// Connects to the server and makes the tables that are missing.
    pub(crate) async fn connect(address: &MetadataAddress, tables: &[&'static str]) -> Result<Self, sqlx::Error> {
        // By hand and not by the pool, which tries until its time is up and then does not say why it failed.
        let connecting = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&address.options));
        let mut connection = connecting.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        let mut transaction = connection.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(TABLES_LOCK).execute(&mut *transaction).await?;
        for sql in tables {
            // Texts compare by their bytes, as in SQLite.
            let sql = sql.replace("{id}", "bigint generated always as identity primary key").replace("{text}", "text collate \"C\"");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        connection.close().await?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        Ok(Self::Postgres(pool.connect_lazy_with(address.options.clone())))
    }

    /// Runs the statements in one transaction: all of them happen or none.
    pub(crate) async fn write(&self, statements: &[Statement]) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(pool) => {
                let mut transaction = pool.begin().await?;
                for statement in statements {
                    query!(statement).execute(&mut *transaction).await?;
                }
                transaction.commit().await
            }
            Self::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                for statement in statements {
                    query!(statement).execute(&mut *transaction).await?;
                }
                transaction.commit().await
            }
        }
    }

    /// The rows that a statement answers with.
    pub(crate) async fn read(&self, statement: &Statement) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => query!(statement).fetch_all(pool).await?.into_iter().map(Row::Sqlite).collect(),
            Self::Postgres(pool) => query!(statement).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect(),
        })
    }
}
