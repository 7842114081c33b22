//! The same shop in SQLite, PostgreSQL, MariaDB and MySQL, each a real one, read by a role that may do nothing but read.

use anyhow::{Context, Result};
use sellcast_testkit::{MySql, MySqlKind, Postgres, S3};
use sellcast_warehouse::{
    BucketAddress, EntityMapping, IngestError, Progress, PseudonymKey, RunRecord, SilentProgress, SourceMapping, Warehouse,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::shop::{entity, instant, settings, texts};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    MariaDb,
    MySql,
}

/// A connection that may write.
pub(crate) enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

/// A shop in a database of its own, and a warehouse beside it.
pub(crate) struct Till {
    pub(crate) folder: TempDir,
    pub(crate) kind: Kind,
    pub(crate) database: Database,
    pub(crate) mapping: SourceMapping,
    /// The address for writing.
    pub(crate) address: String,
    warehouse: Warehouse,
    key: PseudonymKey,
}

const TABLES: &str = "
    create table categories (category_id bigint primary key, name varchar(100) not null, parent_category_id bigint);
    create table products (product_id bigint primary key, name varchar(100) not null, category_id bigint, brand varchar(50), price decimal(12,2));
    create table customers (customer_id bigint primary key, name varchar(100), segment varchar(50));
    create table sales (sale_id bigint primary key, product_id bigint not null, customer_id bigint, quantity decimal(12,3) not null,
                        unit_price decimal(12,4), occurred_at TIME not null, updated_at TIME);
    create index sales_updated on sales (updated_at);
    insert into categories values (1, 'GETRÄNKE', null), (2, 'お茶', 1), (3, 'BREAD', 1);
    insert into products values (10, 'Grüner Tee 🍵', 2, 'Acme', 1.99), (11, 'Oolong', 2, null, null), (12, 'Rye \"dark\"', 3, '', 3.49);
    insert into customers values (100, 'Ada Lovelace', 'gold'), (101, null, null);
    insert into sales values (1, 10, 100, 2, 1.9900, '2017-11-29 15:00:00', '2017-11-29 15:00:00'),
                             (2, 12, null, 0.125, 3.4950, '2017-11-30 15:00:00.25', '2017-11-30 15:00:01');";

impl Database {
    pub(crate) async fn open(kind: Kind, address: &str) -> Result<Self> {
        Ok(match kind {
            Kind::Sqlite => {
                let options = SqliteConnectOptions::new().filename(address).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
                Self::Sqlite(options.connect().await?)
            }
            Kind::Postgres => Self::Postgres(PgConnection::connect(address).await?),
            Kind::MariaDb | Kind::MySql => Self::MySql(MySqlConnection::connect(address).await?),
        })
    }

    /// Runs statements.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => statements.execute(connection).await.map(drop),
            Self::Postgres(connection) => statements.execute(connection).await.map(drop),
            Self::MySql(connection) => statements.execute(connection).await.map(drop),
        }
        .with_context(|| sql.to_owned())
    }
}

impl Till {
    /// The shop, with two sales and a reader.
    pub(crate) async fn open(kind: Kind) -> Result<Self> {
        let mut till = Self::bare(kind).await?;
        till.fill().await?;
        Ok(till)
    }

    /// The shop in SQLite, and its warehouse in a bucket of an object store.
    pub(crate) async fn with_bucket() -> Result<Self> {
        let mut till = Self::open(Kind::Sqlite).await?;
        let address: BucketAddress = S3::shared()?.bucket().await?.parse()?;
        till.warehouse = Warehouse::connect(&address, settings()).await?;
        Ok(till)
    }

    /// An empty database of the shared server, mapped by its owner's address.
    pub(crate) async fn bare(kind: Kind) -> Result<Self> {
        let address = match kind {
            Kind::Sqlite => String::new(),
            Kind::Postgres => Postgres::shared()?.database().await?,
            Kind::MariaDb => MySql::shared(MySqlKind::MariaDb)?.database().await?,
            Kind::MySql => MySql::shared(MySqlKind::MySql)?.database().await?,
        };
        Self::on(kind, address).await
    }

    /// An empty database at this address (of SQLite, a file in the shop's folder).
    pub(crate) async fn on(kind: Kind, address: String) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let sqlite = kind == Kind::Sqlite;
        let address = if sqlite { folder.path().join("shop.db").to_string_lossy().into_owned() } else { address };
        let database = Database::open(kind, &address).await?;
        let warehouse = Warehouse::open(&folder.path().join("warehouse"), settings()).await?;
        let key = PseudonymKey::load_or_create(&folder.path().join("pseudonym.key"))?;
        let url = if sqlite { "sqlite:shop.db".to_owned() } else { address.clone() };
        Ok(Self { folder, kind, database, mapping: mapping(&url), address, warehouse, key })
    }

    /// Makes the tables with two sales, and the reader.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        let time = match self.kind {
            Kind::Sqlite => "text",
            Kind::Postgres => "timestamp with time zone",
            Kind::MariaDb | Kind::MySql => "datetime(6)",
        };
        self.run(&TABLES.replace(" TIME", &format!(" {time}"))).await?;
        self.admit_reader().await
    }

    /// Another connection that may write.
    pub(crate) async fn another(&self) -> Result<Database> {
        Database::open(self.kind, &self.address).await
    }

    /// The name of the database on its server.
    pub(crate) fn name(&self) -> &str {
        self.address.rsplit('/').next().and_then(|name| name.split('?').next()).unwrap_or_default()
    }

    /// From now on the mapping reads as a role that may read and nothing else.
    pub(crate) async fn admit_reader(&mut self) -> Result<()> {
        let name = self.name().to_owned();
        match self.kind {
            Kind::Sqlite => return Ok(()),
            Kind::Postgres => {
                self.run(&format!(
                    "create role reader_{name} login password 'only reading';
                     grant usage on schema public to reader_{name}; grant select on all tables in schema public to reader_{name}"
                ))
                .await?;
            }
            Kind::MariaDb | Kind::MySql => {
                self.run(&format!("create user reader_{name} identified by 'only reading'; grant select on {name}.* to reader_{name}"))
                    .await?;
            }
        }
        self.mapping.url = Some(self.address.replacen(self.owner(), &format!("reader_{name}:only%20reading"), 1));
        Ok(())
    }

    /// User and password of the owner, as they stand in the address.
    fn owner(&self) -> &'static str {
        if self.kind == Kind::Postgres { "postgres:sellcast" } else { "sellcast:sellcast" }
    }

    /// Runs statements on the source.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        self.database.run(sql).await
    }

    /// One sale of one Oolong tea.
    pub(crate) async fn sell(&mut self, sale: i64, at: &str) -> Result<()> {
        self.run(&sale_of_oolong(sale, at)).await
    }

    pub(crate) async fn ingest(&self, now: &str) -> Result<RunRecord, IngestError> {
        self.ingest_watched(now, &SilentProgress).await
    }

    pub(crate) async fn ingest_watched(&self, now: &str, progress: &(dyn Progress + Sync)) -> Result<RunRecord, IngestError> {
        self.warehouse.ingest(&self.mapping, self.folder.path(), &self.key, instant(now), progress).await
    }

    /// What `sellcast check` would say.
    pub(crate) async fn check(&self) -> String {
        let faults = self.warehouse.check(&self.mapping, self.folder.path()).await;
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Rows of the warehouse, each as text with `|` between its values.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<String>> {
        Ok(texts(&self.warehouse.session().await?.sql(sql).await?.collect().await?)?)
    }
}

/// A sale as a statement, for a connection that is in a transaction of its own.
pub(crate) fn sale_of_oolong(sale: i64, at: &str) -> String {
    format!("insert into sales values ({sale}, 11, 100, 1, 0.99, '{at}', '{at}')")
}

fn mapping(url: &str) -> SourceMapping {
    SourceMapping {
        url: Some(url.to_owned()),
        lag_hours: 72,
        compare_keys_days: 7,
        compare_keys_now: false,
        categories: entity("select category_id, name, parent_category_id from categories"),
        products: entity("select product_id, name, category_id, brand, price as current_price from products;"),
        customers: Some(entity("select customer_id, name, segment as customer_segment from customers")),
        transactions: EntityMapping {
            cursor: Some("updated_at".into()),
            ..entity("select sale_id, product_id, customer_id, quantity, unit_price, occurred_at, updated_at from sales -- all of them")
        },
        promotions: None,
        events: None,
    }
}
