//! The embedded source: a table of changes in the shop's SQLite database, written by triggers and polled here. It gives
//! the same canonical events as Debezium.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::TryStreamExt;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use crate::debezium::{Decoder, ProductColumns, RowOp, SaleColumns};
use crate::event::{Change, Poison};
use crate::intake::ChangeCounts;
use crate::pipeline::Pipeline;
use crate::state::{DeadLetter, StateError};

/// The names under which the pipeline keeps the source's positions.
const CHANGES: &str = "outbox";
const SNAPSHOT: &str = "outbox snapshot";
/// Rows of the snapshot that are followed at a time.
const SNAPSHOT_ROWS: usize = 1_000;

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
    /// The state of the stream cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Changes that were read, in order, to be followed by a pipeline.
#[derive(Debug, Default)]
pub struct OutboxChanges(Vec<ReadChange>);

/// One of them; the payload is kept of what could not be understood.
#[derive(Debug)]
struct ReadChange {
    position: i64,
    decoded: Result<Change, Poison>,
    payload: Vec<u8>,
}

impl OutboxChanges {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing is new.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Follows them. The pipeline is not saved.
    pub fn follow(self, pipeline: &mut Pipeline) {
        self.follow_as(CHANGES, pipeline);
    }

    fn follow_as(self, source: &str, pipeline: &mut Pipeline) {
        let (changes, payloads): (Vec<_>, Vec<_>) =
            self.0.into_iter().map(|ReadChange { position, decoded, payload }| ((position, decoded), payload)).unzip();
        pipeline.read_all(source, changes, |place| payloads[place].clone());
    }
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

    /// The next change that a pipeline wants; 0 before its snapshot.
    pub fn position(pipeline: &Pipeline) -> i64 {
        pipeline.position(CHANGES)
    }

    /// What the rows of the snapshot and the changes were, since the pipeline's state began.
    pub fn counts(pipeline: &Pipeline) -> ChangeCounts {
        let mut counts = pipeline.counts(SNAPSHOT);
        counts += pipeline.counts(CHANGES);
        counts
    }

    /// Reads what is new, `limit` changes at most, into the pipeline; the first time everything that stands in the tables.
    /// Tells how many rows it read: 0 when there is nothing new. The pipeline is not saved.
    ///
    /// # Errors
    /// When the database cannot be read. What was read before stays in the pipeline.
    pub async fn poll(&self, pipeline: &mut Pipeline, limit: u32) -> Result<usize, OutboxError> {
        if Self::position(pipeline) == 0 {
            return self.snapshot(pipeline).await;
        }
        let changes = self.changes(Self::position(pipeline), limit).await?;
        let read = changes.len();
        changes.follow(pipeline);
        Ok(read)
    }

    /// Reads the changes from a position on, `limit` at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn changes(&self, position: i64, limit: u32) -> Result<OutboxChanges, OutboxError> {
        self.read_changes(position, limit).await.map_err(|source| self.failed("read", source))
    }

    async fn read_changes(&self, position: i64, limit: u32) -> Result<OutboxChanges, sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(self.queries.changes.clone())).bind(position).bind(limit);
        let mut rows = query.fetch(&self.pool);
        let mut read = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get("position")?;
            let op = match row.try_get("op")? {
                "insert" | "update" => Some(RowOp::Write),
                "delete" => Some(RowOp::Delete),
                _ => None,
            };
            read.push(self.read(position, position, op, &row)?);
        }
        Ok(OutboxChanges(read))
    }

    /// Reads everything that stands in the tables, as of one transaction; after it come the changes from there on. Tells how
    /// many rows it read.
    ///
    /// # Errors
    /// When the database cannot be read; the next attempt begins anew.
    pub async fn snapshot(&self, pipeline: &mut Pipeline) -> Result<usize, OutboxError> {
        self.read_snapshot(pipeline).await.map_err(|source| self.failed("take a snapshot for", source))
    }

    async fn read_snapshot(&self, pipeline: &mut Pipeline) -> Result<usize, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let newest: i64 = sqlx::query_scalar(AssertSqlSafe(self.queries.newest.clone())).fetch_one(&mut *transaction).await?;
        let mut read = 0;
        let mut rows = sqlx::query(AssertSqlSafe(self.queries.snapshot.clone())).fetch(&mut *transaction).try_chunks(SNAPSHOT_ROWS);
        pipeline.begin_at(SNAPSHOT, 0);
        while let Some(some) = rows.try_next().await.map_err(|error| error.1)? {
            let some = (read..).zip(&some).map(|(place, row)| self.read(place, newest, Some(RowOp::Read), row));
            let some = OutboxChanges(some.collect::<Result<_, _>>()?);
            read += some.len() as i64;
            some.follow_as(SNAPSHOT, pipeline);
        }
        pipeline.begin_at(CHANGES, newest + 1);
        Ok(read as usize)
    }

    fn failed(&self, step: &'static str, source: sqlx::Error) -> OutboxError {
        OutboxError::Database { path: self.path.clone(), step, source }
    }

    /// Reads again what was not understood, by the queries as they are now. Tells how many dead letters are gone. A change that the
    /// table no longer has stays one.
    ///
    /// # Errors
    /// When the database cannot be read, or the state neither read nor written.
    pub async fn try_again(&self, pipeline: &mut Pipeline) -> Result<usize, OutboxError> {
        let letters = pipeline.state().dead_letters()?;
        let mut changes = HashMap::new();
        for (_, letter) in letters.iter().filter(|(_, letter)| letter.source == CHANGES) {
            let found = self.changes(letter.position, 1).await?.0.into_iter().next();
            changes.extend(found.filter(|found| found.position == letter.position).map(|found| (letter.position, found.decoded)));
        }
        let again = |letter: &DeadLetter| changes.remove(&letter.position).unwrap_or_else(|| Err(Poison::Format("it is gone".to_owned())));
        let mut gone = pipeline.replay_dead_letters(CHANGES, again)?;
        let rows: Vec<u64> = letters.iter().filter(|(_, letter)| letter.source == SNAPSHOT).map(|(number, _)| *number).collect();
        if !rows.is_empty() {
            let position = Self::position(pipeline);
            self.snapshot(pipeline).await?;
            // What was deleted since is told by the changes that were not followed yet.
            pipeline.begin_at(CHANGES, position);
            pipeline.save()?;
            pipeline.bury(&rows)?;
            let left = pipeline.state().dead_letters()?.iter().filter(|(_, letter)| letter.source == SNAPSHOT).count();
            gone += rows.len().saturating_sub(left);
        }
        Ok(gone)
    }

    /// `version` is where the row's content is from, `position` where it stands in its source.
    fn read(&self, position: i64, version: i64, op: Option<RowOp>, row: &SqliteRow) -> Result<ReadChange, sqlx::Error> {
        let (entity, json): (&str, &str) = (row.try_get("entity")?, row.try_get("row")?);
        let decoded = self.decode(entity, op, version, json);
        let payload = if decoded.is_err() { json.as_bytes().to_vec() } else { Vec::new() };
        Ok(ReadChange { position, decoded, payload })
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
