//! The embedded source: a table of changes in the shop's SQLite database, written by triggers and polled here. It gives
//! the same canonical events as Debezium.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use crate::debezium::{Decoder, ProductColumns, RowOp, SaleColumns};
use crate::event::{Change, Poison};
use crate::pipeline::Pipeline;

/// The names under which the pipeline keeps the source's positions.
const CHANGES: &str = "outbox";
const SNAPSHOT: &str = "outbox snapshot";

/// The queries that read the shop's changes.
///
/// Rows are JSON objects with the canonical columns: `sale_id, product_id, customer_id, quantity, unit_price, total_price,
/// occurred_at` of a sale (`unit_price` or `total_price` may be missing), `product_id, category_id` of a product.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxQueries {
    /// The number of the newest change, or 0.
    pub newest: String,
    /// `position, entity, op, row` of the changes from number `?1` on, in order, `?2` at most. `entity` is `sales` or
    /// `products`, `op` is `insert`, `update` or `delete`.
    pub changes: String,
    /// `entity, row` of everything that stands in the tables and that windows may need.
    pub snapshot: String,
}

/// The changes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database does not answer as it should.
    #[error("cannot {step} the changes in `{path}`")]
    Database {
        /// Which database.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: sqlx::Error,
    },
}

/// A table of changes.
#[derive(Debug)]
pub struct Outbox {
    pool: SqlitePool,
    path: PathBuf,
    queries: OutboxQueries,
    sales: Decoder,
    products: Decoder,
}

impl Outbox {
    /// Opens the shop's database for reading.
    ///
    /// # Errors
    /// When it is not there or is no SQLite database.
    pub async fn open(path: &Path, queries: OutboxQueries) -> Result<Self, OutboxError> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.disable_statement_logging())
            .await
            .map_err(|source| OutboxError::Database { path: path.to_owned(), step: "open", source })?;
        let sales = SaleColumns { sale_id: "sale_id".to_owned(), ..SaleColumns::default() };
        let products = ProductColumns { product_id: "product_id".to_owned(), ..ProductColumns::default() };
        Ok(Self { pool, path: path.to_owned(), queries, sales: Decoder::sales(&sales), products: Decoder::products(&products) })
    }

    /// Reads what is new, `limit` changes at most, into the pipeline; the first time everything that stands in the tables.
    /// Tells how many rows it read: 0 when there is nothing new. The pipeline is not saved.
    ///
    /// # Errors
    /// When the database cannot be read. What was read before stays in the pipeline.
    pub async fn poll(&self, pipeline: &mut Pipeline, limit: u32) -> Result<usize, OutboxError> {
        let failed = |step| move |source| OutboxError::Database { path: self.path.clone(), step, source };
        if pipeline.position(CHANGES) == 0 {
            return self.snapshot(pipeline).await.map_err(failed("take a snapshot for"));
        }
        self.changes(pipeline, limit).await.map_err(failed("read"))
    }

    async fn changes(&self, pipeline: &mut Pipeline, limit: u32) -> Result<usize, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(self.queries.changes.clone())).bind(pipeline.position(CHANGES)).bind(limit);
        let mut rows = query.fetch(&self.pool);
        let mut read = 0;
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get("position")?;
            let op = match row.try_get("op")? {
                "insert" | "update" => Some(RowOp::Write),
                "delete" => Some(RowOp::Delete),
                _ => None,
            };
            self.follow(pipeline, CHANGES, position, position, op, &row)?;
            read += 1;
        }
        Ok(read)
    }

    /// All rows as of one transaction, and after it the changes from there on.
    async fn snapshot(&self, pipeline: &mut Pipeline) -> Result<usize, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let newest: i64 = sqlx::query_scalar(AssertSqlSafe(self.queries.newest.clone())).fetch_one(&mut *transaction).await?;
        let mut read = 0;
        let mut rows = sqlx::query(AssertSqlSafe(self.queries.snapshot.clone())).fetch(&mut *transaction);
        pipeline.begin_at(SNAPSHOT, 0);
        while let Some(row) = rows.try_next().await? {
            self.follow(pipeline, SNAPSHOT, read, newest, Some(RowOp::Read), &row)?;
            read += 1;
        }
        pipeline.begin_at(CHANGES, newest + 1);
        Ok(read as usize)
    }

    /// `version` is where the row's content is from, `position` where it stands in its source.
    fn follow(
        &self,
        pipeline: &mut Pipeline,
        source: &str,
        position: i64,
        version: i64,
        op: Option<RowOp>,
        row: &SqliteRow,
    ) -> Result<(), sqlx::Error> {
        let (entity, json): (&str, &str) = (row.try_get("entity")?, row.try_get("row")?);
        let decoded = self.decode(entity, op, version, json);
        pipeline.read(source, position, decoded, || json.as_bytes().to_vec());
        Ok(())
    }

    fn decode(&self, entity: &str, op: Option<RowOp>, version: i64, json: &str) -> Result<Change, Poison> {
        let decoder = match entity {
            "sales" => &self.sales,
            "products" => &self.products,
            _ => return Err(Poison::Format("an unknown entity".to_owned())),
        };
        let op = op.ok_or_else(|| Poison::Format("an unknown op".to_owned()))?;
        decoder.row(op, version.unsigned_abs(), json)
    }
}
