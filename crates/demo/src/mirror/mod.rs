//! A copy of the demo's shop in PostgreSQL, as a real shop would have it there: the tills go on writing into SQLite, and what
//! they write is brought over. Debezium and the ingest then meet a shop like any other.
//!
//! Rows travel as lines of PostgreSQL's text `COPY`, which SQLite's own SQL puts together: a value at a time would cost ten times
//! as much.

mod tables;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

use tables::{KEYS, TABLES, Table};

/// Sent to PostgreSQL at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The two ends of the copy. Each fill and each step connects to PostgreSQL anew: after a `COPY` that was given up halfway, a
/// connection is out of step with its server.
#[derive(Debug)]
pub struct Mirror {
    shop: SqlitePool,
    database: PgConnectOptions,
}

impl Mirror {
    /// Opens the SQLite shop at `shop` for reading and tries the PostgreSQL database, which must be empty or a mirror of
    /// this shop.
    ///
    /// # Errors
    /// When the shop is missing, the URL is none, or the server cannot be reached.
    pub async fn open(shop: &Path, database_url: &str) -> Result<Self> {
        ensure!(shop.is_file(), "no shop database at `{}`: make it first with `sellcast demo`", shop.display());
        let from = SqliteConnectOptions::new()
            .filename(shop)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .row_buffer_size(1_000)
            .disable_statement_logging();
        let from = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(from)
            .await
            .with_context(|| format!("cannot open `{}`", shop.display()))?;
        let database: PgConnectOptions = database_url.parse().context("the mirror's address is no PostgreSQL URL")?;
        let database = database.application_name("sellcast demo").disable_statement_logging();
        database.connect().await.context("cannot connect to the mirror's PostgreSQL database")?.close().await?;
        Ok(Self { shop: from, database })
    }

    /// Makes the tables and copies all rows into them, in one transaction: a fill that was killed leaves nothing. Tells how many
    /// rows were copied, 0 if the mirror was filled already. `progress` hears each table's name and the rows done so far.
    ///
    /// # Errors
    /// When the database has tables of these names that are no mirror, or one of the two databases fails.
    pub async fn fill(&self, progress: &(dyn Fn(&str, u64) + Sync)) -> Result<u64> {
        let mut shop = self.shop.begin().await.context("cannot read the shop")?;
        let mut connection = self.database.connect().await.context("cannot reach the mirror")?;
        let mut database = connection.begin().await.context("cannot write into the mirror")?;
        let is_filled: bool =
            sqlx::query_scalar("select to_regclass('public.mirror_position') is not null").fetch_one(&mut *database).await?;
        if is_filled {
            return Ok(0);
        }
        sqlx::raw_sql(tables::CREATE)
            .execute(&mut *database)
            .await
            .context("cannot make the mirror's tables: it takes an empty database")?;
        // The first read fixes what the shop's transaction sees.
        let newest = newest_change(&mut shop).await?;
        let mut rows = 0;
        for table in &TABLES {
            let lines = sqlx::query_scalar(AssertSqlSafe(table.every_line())).fetch(&mut *shop);
            let told = |done| progress(table.name, done);
            rows += copy(lines, &mut database, table, table.name, &told).await?;
        }
        progress("keys and indexes", 0);
        sqlx::raw_sql(KEYS).execute(&mut *database).await.context("cannot make the mirror's keys and indexes")?;
        sqlx::query("insert into mirror_position (change_id) values ($1)").bind(newest).execute(&mut *database).await?;
        database.commit().await.context("cannot commit the mirror's first rows")?;
        Ok(rows)
    }

    /// Brings over what has changed in the shop since the last time, in one transaction. Tells how many rows are other than they
    /// were. Customers are in no list of changes: those are taken whose `updated_at` is not older than the newest that is known,
    /// and none is ever removed.
    ///
    /// # Errors
    /// When the mirror is not filled yet or is one of another shop, or one of the two databases fails.
    pub async fn follow(&self) -> Result<u64> {
        let mut shop = self.shop.begin().await.context("cannot read the shop")?;
        let mut connection = self.database.connect().await.context("cannot reach the mirror")?;
        let mut database = connection.begin().await.context("cannot write into the mirror")?;
        let position: i64 = sqlx::query_scalar("select change_id from mirror_position for update")
            .fetch_one(&mut *database)
            .await
            .context("the mirror is not filled yet")?;
        let newest = newest_change(&mut shop).await?;
        ensure!(newest >= position, "the mirror stands at change {position}, the shop at {newest}: it is a mirror of another shop");
        let span = Span { after: position, until: newest };
        let mut changed = 0;
        for table in &TABLES {
            changed += merge(&mut shop, &mut database, table, span).await?;
        }
        // Children first: nothing may refer to what goes.
        for table in TABLES.iter().rev().filter(|table| table.is_recorded()) {
            changed += remove(&mut shop, &mut database, table, span).await?;
        }
        if newest > position {
            sqlx::query("update mirror_position set change_id = $1, mirrored_at = now()").bind(newest).execute(&mut *database).await?;
        }
        database.commit().await.context("cannot commit the mirrored changes")?;
        Ok(changed)
    }
}

/// Changes to bring over: those after the one number, up to and with the other.
#[derive(Clone, Copy)]
struct Span {
    after: i64,
    until: i64,
}

async fn newest_change(shop: &mut SqliteConnection) -> Result<i64> {
    sqlx::query_scalar("select coalesce(max(change_id), 0) from changes")
        .fetch_one(shop)
        .await
        .context("cannot read the shop's changes: is it the demo's shop?")
}

/// Writes lines into `into`, which has the table's columns; tells how many.
async fn copy(
    mut lines: BoxStream<'_, sqlx::Result<String>>,
    database: &mut PgConnection,
    table: &Table,
    into: &str,
    told: &(dyn Fn(u64) + Sync),
) -> Result<u64> {
    let failed = || format!("cannot copy `{}` into the mirror", table.name);
    let statement = format!("copy {into} ({}) from stdin", table.column_list());
    let mut copy = database.copy_in_raw(&statement).await.with_context(failed)?;
    let mut chunk = String::with_capacity(CHUNK_BYTES + 4_096);
    let mut rows = 0;
    while let Some(line) = lines.try_next().await.with_context(|| format!("cannot read `{}` of the shop", table.name))? {
        chunk.push_str(&line);
        chunk.push('\n');
        rows += 1;
        if chunk.len() >= CHUNK_BYTES {
            copy.send(chunk.as_bytes()).await.with_context(failed)?;
            chunk.clear();
            told(rows);
        }
    }
    copy.send(chunk.as_bytes()).await.with_context(failed)?;
    copy.finish().await.with_context(failed)?;
    told(rows);
    Ok(rows)
}

/// Rows of the shop that are new or other, written over what the mirror has.
async fn merge(shop: &mut SqliteConnection, database: &mut PgConnection, table: &Table, span: Span) -> Result<u64> {
    let failed = || format!("cannot bring `{}` over", table.name);
    sqlx::raw_sql(AssertSqlSafe(table.stage())).execute(&mut *database).await.with_context(failed)?;
    let lines = sqlx::query_scalar(AssertSqlSafe(table.changed_lines()));
    let lines = if table.is_recorded() {
        lines.bind(span.after).bind(span.until)
    } else {
        let since: Option<String> = sqlx::query_scalar(tables::NEWEST_CUSTOMER).fetch_one(&mut *database).await.with_context(failed)?;
        lines.bind(since.unwrap_or_default())
    };
    copy(lines.fetch(shop), database, table, &table.staged(), &|_| ()).await?;
    let merged = sqlx::query(AssertSqlSafe(table.merge())).execute(database).await.with_context(failed)?;
    Ok(merged.rows_affected())
}

/// Rows that the shop has no longer.
async fn remove(shop: &mut SqliteConnection, database: &mut PgConnection, table: &Table, span: Span) -> Result<u64> {
    let failed = || format!("cannot remove rows of `{}`", table.name);
    let gone: Vec<i64> =
        sqlx::query_scalar(AssertSqlSafe(table.gone())).bind(span.after).bind(span.until).fetch_all(shop).await.with_context(failed)?;
    if gone.is_empty() {
        return Ok(0);
    }
    let removed = sqlx::query(AssertSqlSafe(table.remove())).bind(gone).execute(database).await.with_context(failed)?;
    Ok(removed.rows_affected())
}
