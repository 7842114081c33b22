//! PostgreSQL, MySQL and MariaDB for tests: one server of each kind for a test process, a database of its own for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};

use crate::service::Service;

/// Numbers the databases of a process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A PostgreSQL server.
#[derive(Debug)]
pub struct Postgres(Service);

/// A server that speaks MySQL's protocol.
#[derive(Debug)]
pub struct MySql(Service);

/// Whose server that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MySqlKind {
    /// MySQL, of a version that rustls can agree on no encryption with: its address asks for none.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Postgres {
    /// A server of the caller's own.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn start() -> Result<Self> {
        Service::start("postgres").map(Self)
    }

    /// The server that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}"))).as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The server.
    pub fn service(&self) -> &Service {
        &self.0
    }

    /// A new, empty database; its URL, as its owner.
    ///
    /// # Errors
    /// When the server has gone.
    pub async fn database(&self) -> Result<String> {
        let name = new_name();
        let mut connection = PgConnection::connect(self.0.address()).await.context("cannot connect to PostgreSQL")?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        let server = self.0.address().trim_end_matches("/postgres");
        Ok(format!("{server}/{name}"))
    }
}

impl MySql {
    /// A server of the caller's own.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn start(kind: MySqlKind) -> Result<Self> {
        Service::start(kind.name()).map(Self)
    }

    /// The server of this kind that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn shared(kind: MySqlKind) -> Result<&'static Self> {
        static SHARED: [OnceLock<Result<MySql, String>>; 2] = [const { OnceLock::new() }; 2];
        let shared = SHARED[kind as usize].get_or_init(|| Self::start(kind).map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The server.
    pub fn service(&self) -> &Service {
        &self.0
    }

    /// A new, empty database; its URL, as its owner.
    ///
    /// # Errors
    /// When the server has gone.
    pub async fn database(&self) -> Result<String> {
        let name = new_name();
        let mut connection = MySqlConnection::connect(self.0.address()).await.context("cannot connect to the server")?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name} character set utf8mb4"))).execute(&mut connection).await?;
        connection.close().await?;
        let (server, options) = self.0.address().split_once('?').unwrap_or((self.0.address(), ""));
        Ok(format!("{}/{name}{}{options}", server.trim_end_matches('/'), if options.is_empty() { "" } else { "?" }))
    }
}

impl MySqlKind {
    /// The name of its script.
    fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }
}

fn new_name() -> String {
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
