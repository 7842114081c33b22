//! PostgreSQL and MariaDB for tests: one server of each kind for a test process, a database of its own for each test.

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

/// A MariaDB server.
#[derive(Debug)]
pub struct MariaDb(Service);

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

impl MariaDb {
    /// A server of the caller's own.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn start() -> Result<Self> {
        Service::start("mariadb").map(Self)
    }

    /// The server that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<MariaDb, String>> = OnceLock::new();
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
        let mut connection = MySqlConnection::connect(self.0.address()).await.context("cannot connect to MariaDB")?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name} character set utf8mb4"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(format!("{}/{name}", self.0.address()))
    }
}

fn new_name() -> String {
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
