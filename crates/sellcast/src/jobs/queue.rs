//! A queue of one kind of job in either database, by the same names: what is asked for twice is queued once.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use apalis::prelude::{TaskBuilder, TaskId, TaskResult, TaskSink, WaitForCompletion};
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use sellcast_store::MetadataAddress;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::Done;

/// How often a worker looks for jobs, and whoever waits for one looks whether it is over.
pub(super) const POLL: Duration = Duration::from_millis(250);
/// Sign of life of a worker; after six without one, its job is given to another.
const HEARTBEAT: Duration = Duration::from_secs(5);
const MISSED: usize = 6;
/// Connections of a process to the server. A running job keeps one for its turn.
const CONNECTIONS: u32 = 8;
/// How often a process tries to open a file and to make its tables.
const OPEN_TRIES: u32 = 20;
/// Numbers of the locks under which one machine at a time does a kind of job.
const TURNS: i64 = 0x5e11_0b00;

/// Where the queues lie.
#[derive(Clone)]
pub(super) enum Database {
    File(SqlitePool),
    Server(PgPool),
}

impl Database {
    /// Opens the server's database if there is one, the file otherwise.
    pub(super) async fn open(server: Option<&MetadataAddress>, file: &Path) -> anyhow::Result<Self> {
        let Some(address) = server else { return Self::open_file(file).await };
        let options = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(10));
        let pool = options.connect_with(address.connect_options().clone()).await.with_context(|| format!("cannot reach `{address}`"))?;
        let made = PostgresStorage::setup(&pool).await;
        made.with_context(|| {
            format!("cannot make the schema `apalis` in `{address}`: its user needs the right to create in the database")
        })?;
        Ok(Self::Server(pool))
    }

    async fn open_file(file: &Path) -> anyhow::Result<Self> {
        let mut tries = 1;
        loop {
            match Self::open_file_now(file).await {
                // SQLite lets one process set a new file's journal mode and refuses the others without waiting, and the queue's
                // migrations take no lock: who was refused finds the tables the next time.
                Err(_) if tries < OPEN_TRIES && file.exists() => tries += 1,
                done => return done.with_context(|| format!("cannot open the job queue in `{}`", file.display())),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn open_file_now(file: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let options = options.busy_timeout(Duration::from_secs(10)).pragma("journal_mode", "wal");
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        SqliteStorage::setup(&pool).await?;
        Ok(Self::File(pool))
    }

    /// Gives up the jobs of dead workers, for the process that holds the data folder: nobody else is at work there, and it need not
    /// wait until they give no sign of life. A server finds out by itself.
    pub(super) async fn free(&self) -> sqlx::Result<()> {
        let Self::File(pool) = self else { return Ok(()) };
        let sql = "update Jobs set status = 'Pending', lock_by = null, lock_at = null where status in ('Queued', 'Running')";
        sqlx::query(sql).execute(pool).await.map(drop)
    }

    /// Gives up the jobs of a worker that ended, so that none waits until its silence is noticed.
    pub(super) async fn free_of(&self, worker: &str) -> sqlx::Result<()> {
        let freed = "set status = 'Pending', lock_by = null, lock_at = null where status in ('Queued', 'Running') and lock_by";
        match self {
            Self::File(pool) => {
                let sql = format!("update Jobs {freed} = ?");
                sqlx::query(AssertSqlSafe(sql)).bind(worker).execute(pool).await.map(drop)
            }
            Self::Server(pool) => {
                let sql = format!("update apalis.jobs {freed} = $1");
                sqlx::query(AssertSqlSafe(sql)).bind(worker).execute(pool).await.map(drop)
            }
        }
    }

    /// The newest `most` jobs, newest first.
    pub(super) async fn newest(&self, most: u32) -> sqlx::Result<Vec<Listed>> {
        match self {
            Self::File(pool) => {
                let sql = "select job_type as kind, idempotency_key as name, status, run_at as queued_at, done_at as ended_at,
                                  cast(last_result as text) as result
                           from Jobs order by run_at desc, id desc limit ?";
                sqlx::query_as(sql).bind(most).fetch_all(pool).await
            }
            Self::Server(pool) => {
                let sql = "select job_type as kind, idempotency_key as name, status, extract(epoch from run_at)::bigint as queued_at,
                                  extract(epoch from done_at)::bigint as ended_at, last_result::text as result
                           from apalis.jobs order by run_at desc, id desc limit $1";
                sqlx::query_as(sql).bind(i64::from(most)).fetch_all(pool).await
            }
        }
    }

    /// Whether a job of a queue waits or runs.
    pub(super) async fn is_open(&self, queue: &str) -> sqlx::Result<bool> {
        match self {
            Self::File(pool) => {
                let sql = "select exists(select 1 from Jobs where job_type = ? and status in ('Pending', 'Queued', 'Running'))";
                sqlx::query_scalar(sql).bind(queue).fetch_one(pool).await
            }
            Self::Server(pool) => {
                let sql = "select exists(select 1 from apalis.jobs where job_type = $1 and status in ('Pending', 'Queued', 'Running'))";
                sqlx::query_scalar(sql).bind(queue).fetch_one(pool).await
            }
        }
    }

    /// Waits until no other machine does this kind of job. In the data folder there is none.
    pub(super) async fn turn(&self, kind: Kind) -> anyhow::Result<Turn> {
        let Self::Server(pool) = self else { return Ok(Turn { _connection: None }) };
        let mut connection = pool.acquire().await.context("cannot reach the job queue")?;
        // The lock lives as long as its connection, also when the process is killed.
        sqlx::query("select pg_advisory_lock($1)").bind(TURNS + kind as i64).execute(&mut *connection).await?;
        Ok(Turn { _connection: Some(connection.detach()) })
    }
}

/// A job as it stands in its queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub(crate) struct Listed {
    /// `nightly` or `training`.
    pub(crate) kind: String,
    /// The day it is for, and which attempt.
    pub(crate) name: Option<String>,
    /// `Pending`, `Queued` (taken by a worker), `Running`, `Done` or `Failed`.
    pub(crate) status: String,
    /// Unix time.
    pub(crate) queued_at: i64,
    /// Unix time; none while it is not over.
    pub(crate) ended_at: Option<i64>,
    /// What came of it, in JSON.
    pub(crate) result: Option<String>,
}

/// Kinds of work that only one machine does at a time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Changes the warehouse or publishes.
    Night = 1,
    /// Trains models.
    Training = 2,
}

/// One's turn, until it is dropped.
pub(super) struct Turn {
    _connection: Option<PgConnection>,
}

/// A queued job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(String);

/// The queue of one kind of job.
#[derive(Clone)]
pub(super) struct Queue<J> {
    pub(super) name: &'static str,
    pub(super) storage: Storage<J>,
}

/// The same queue in either database.
pub(super) enum Storage<J> {
    File(SqliteStorage<J>),
    Server(PostgresStorage<J>),
}

impl<J> Clone for Storage<J> {
    fn clone(&self) -> Self {
        match self {
            Self::File(storage) => Self::File(storage.clone()),
            Self::Server(storage) => Self::Server(storage.clone()),
        }
    }
}

impl<J: Clone + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static> Queue<J> {
    pub(super) fn new(database: &Database, name: &'static str) -> Self {
        let storage = match database {
            Database::File(pool) => {
                Storage::File(SqliteStorage::new(pool).with_config(apalis_sqlite::Config::default().queue(name).batch_size(1)))
            }
            Database::Server(pool) => {
                let config = apalis_postgres::Config::default().queue(name).batch_size(1);
                Storage::Server(PostgresStorage::new(pool).with_config(config.heartbeat_interval(HEARTBEAT).missed_heartbeats(MISSED)))
            }
        };
        Self { name, storage }
    }

    /// Queues a job under a key, unless one of that key waits, runs or has succeeded; a failed one is queued again.
    pub(super) async fn push_once(&self, key: &str, job: &J) -> anyhow::Result<Ticket> {
        let mut attempt = 1_u32;
        loop {
            let name = if attempt == 1 { key.to_owned() } else { format!("{key} attempt {attempt}") };
            let known = match self.known(&name).await? {
                Some(known) => Some(known),
                None => {
                    let pushed = self.push(&name, job).await;
                    let known = self.known(&name).await?;
                    // Where it was refused another process was faster, or it failed.
                    if known.is_none() {
                        pushed?;
                    }
                    known
                }
            };
            match known {
                Some((ticket, false)) => return Ok(ticket),
                Some((_, true)) => attempt += 1,
                None => anyhow::bail!("the job `{name}` is not in its queue after it was written there"),
            }
        }
    }

    /// The queue gives it an id of its own.
    async fn push(&self, key: &str, job: &J) -> anyhow::Result<()> {
        let task = TaskBuilder::new(job.clone()).idempotency_key(key).max_attempts(1).build();
        match &self.storage {
            Storage::File(storage) => storage.clone().push_task(task).await?,
            Storage::Server(storage) => storage.clone().push_task(task).await?,
        }
        Ok(())
    }

    /// The job of a key, and whether it has failed.
    async fn known(&self, key: &str) -> anyhow::Result<Option<(Ticket, bool)>> {
        let found: Option<(String, String)> = match &self.storage {
            Storage::File(storage) => {
                let sql = "select id, status from Jobs where job_type = ? and idempotency_key = ?";
                sqlx::query_as(sql).bind(self.name).bind(key).fetch_optional(storage.pool()).await?
            }
            Storage::Server(storage) => {
                let sql = "select id, status from apalis.jobs where job_type = $1 and idempotency_key = $2";
                sqlx::query_as(sql).bind(self.name).bind(key).fetch_optional(storage.pool()).await?
            }
        };
        Ok(found.map(|(id, status)| (Ticket(id), matches!(status.as_str(), "Failed" | "Killed"))))
    }

    /// Waits until a job is over, also while the server is away.
    pub(super) async fn wait(&self, ticket: &Ticket) -> Result<Done, String> {
        let mut is_told = false;
        loop {
            match self.result(ticket).await {
                Ok(Some(result)) => return result,
                Ok(None) => {}
                Err(error) if is_told => tracing::debug!(error = format!("{error:#}"), "the job queue cannot be read"),
                Err(error) => {
                    is_told = true;
                    tracing::warn!(error = format!("{error:#}"), "the job queue cannot be read; trying on");
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn result(&self, ticket: &Ticket) -> anyhow::Result<Option<Result<Done, String>>> {
        let id = TaskId::from_string(&ticket.0);
        let mut results: Vec<TaskResult<Done>> = match &self.storage {
            Storage::File(storage) => storage.clone().check_status([id]).await?,
            Storage::Server(storage) => storage.clone().check_status([id]).await?,
        };
        Ok(results.pop().map(|result| result.result))
    }
}
