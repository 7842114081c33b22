//! Writes the demo shop: a normal SQLite database with everything that happened before a given shop day. The file
//! appears under its name only when it is whole.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, pin_mut};
use sellcast_domain::ShopDay;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::bulk::{Bulk, Cell, Insert, PromotionDates, SalesWriter};
use crate::catalogue::{self, Product};
use crate::customers;
use crate::data::{DemoData, Household, Promotion, SHOP_ZONE};
use crate::names::Names;
use crate::schema;
use crate::text;
use crate::tree::{Category, Tree};

/// When the shop entered its catalogue and its customers: one day for all, before the first sale, so that no row's age
/// tells whether it is about to sell.
const OPENED_AT: &str = "2016-12-01T05:00:00Z";

/// What was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShopSummary {
    /// Rows of `categories`.
    pub categories: u64,
    /// Rows of `products`.
    pub products: u64,
    /// Rows of `customers`.
    pub customers: u64,
    /// Rows of `orders`.
    pub orders: u64,
    /// Rows of `order_lines`.
    pub lines: u64,
    /// Rows of `promotions`.
    pub promotions: u64,
    /// Sum of `order_lines.total_price`, in cents.
    pub amount_cents: i64,
    /// Time it took.
    pub seconds: f64,
}

/// Writes the shop as it stood when shop day `until` began: sales before that day, promotions announced before it, and
/// prices from those sales alone. `progress` hears each step's name and the rows done so far.
///
/// # Errors
/// When `db` exists, the Parquet files in `data` cannot be read, or the file cannot be written.
pub async fn create_shop(db: &Path, data: &Path, until: ShopDay, progress: &(dyn Fn(&str, u64) + Sync)) -> Result<ShopSummary> {
    let started = Instant::now();
    ensure!(!db.exists(), "the shop database `{}` exists already: remove it to make it anew", db.display());
    let until = until.starts_at(SHOP_ZONE).timestamp();
    let data = DemoData::open(data).await?;
    let unfinished = db.with_extension("db.unfinished");
    for leftover in [unfinished.clone(), unfinished.with_extension("unfinished-wal"), unfinished.with_extension("unfinished-shm")] {
        if leftover.exists() {
            tokio::fs::remove_file(&leftover)
                .await
                .with_context(|| format!("cannot remove `{}`, left by a run that was stopped", leftover.display()))?;
        }
    }
    let mut connection = SqliteConnectOptions::new()
        .filename(&unfinished)
        .create_if_missing(true)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .locking_mode(SqliteLockingMode::Exclusive)
        .pragma("cache_size", "-262144")
        .pragma("temp_store", "memory")
        .disable_statement_logging()
        .connect()
        .await
        .with_context(|| format!("cannot create `{}`", unfinished.display()))?;
    sqlx::raw_sql(schema::TABLES).execute(&mut connection).await?;
    sqlx::raw_sql("begin").execute(&mut connection).await?;
    let mut summary = write_tables(&mut connection, &data, until, progress).await?;
    progress("indexes", 0);
    sqlx::raw_sql(schema::INDEXES).execute(&mut connection).await.context("cannot index the shop")?;
    sqlx::raw_sql(AssertSqlSafe(schema::triggers())).execute(&mut connection).await.context("cannot create the triggers")?;
    sqlx::raw_sql(
        "commit; pragma analysis_limit = 1000; analyze; pragma locking_mode = normal; pragma synchronous = full; pragma journal_mode = wal",
    )
    .execute(&mut connection)
    .await?;
    connection.close().await?;
    tokio::fs::rename(&unfinished, db).await.with_context(|| format!("cannot rename the finished shop to `{}`", db.display()))?;
    summary.seconds = started.elapsed().as_secs_f64();
    Ok(summary)
}

async fn write_tables(
    connection: &mut SqliteConnection,
    data: &DemoData,
    until: i64,
    progress: &(dyn Fn(&str, u64) + Sync),
) -> Result<ShopSummary> {
    let names = Names::built_in();
    let catalogue = data.catalogue().await?;
    let tree = Tree::of(&catalogue, &names);
    let products = catalogue::products(&catalogue, &tree, &names);
    let mut prices = data.median_prices(until).await?;
    prices.sort_unstable();
    let mut summary = ShopSummary {
        categories: write_categories(connection, &tree.categories).await?,
        products: write_products(connection, &products, &prices).await?,
        customers: write_customers(connection, &data.households(until).await?).await?,
        ..ShopSummary::default()
    };
    progress("products", summary.products);

    let sales = data.sales(0, until).await?;
    pin_mut!(sales);
    let mut writer = SalesWriter::new(Insert::New);
    let mut lines = 0;
    while let Some(batch) = sales.next().await {
        let batch = batch?;
        writer.write(connection, &batch).await?;
        lines += batch.len() as u64;
        summary.amount_cents += batch.iter().map(|sale| sale.total_cents).sum::<i64>();
        progress("order lines", lines);
    }
    (summary.orders, summary.lines) = writer.finish(connection).await?;

    summary.promotions = write_promotions(connection, &data.promotions(0, until).await?, Insert::New).await?;
    progress("promotions", summary.promotions);
    Ok(summary)
}

async fn write_categories(connection: &mut SqliteConnection, categories: &[Category]) -> Result<u64> {
    let mut bulk = Bulk::new("insert into categories", 6);
    for category in categories {
        let description = (!category.label.is_empty()).then(|| category.label.clone());
        let cells = [
            category.category_id.into(),
            category.name.as_str().into(),
            Cell::Text(description),
            Cell::Integer(category.parent_id),
            OPENED_AT.into(),
            OPENED_AT.into(),
        ];
        bulk.row(connection, cells).await?;
    }
    bulk.finish(connection).await
}

async fn write_products(connection: &mut SqliteConnection, products: &[Product], prices: &[(i64, i64)]) -> Result<u64> {
    let mut bulk = Bulk::new("insert into products", 8);
    for product in products {
        let price = prices.binary_search_by_key(&product.product_id, |(id, _)| *id).ok().map(|at| text::money(prices[at].1));
        let cells = [
            product.product_id.into(),
            product.name.as_str().into(),
            product.category_id.into(),
            product.description.as_str().into(),
            product.brand.as_str().into(),
            Cell::Text(price),
            OPENED_AT.into(),
            OPENED_AT.into(),
        ];
        bulk.row(connection, cells).await?;
    }
    bulk.finish(connection).await
}

async fn write_customers(connection: &mut SqliteConnection, households: &[Household]) -> Result<u64> {
    let mut bulk = Bulk::new("insert into customers", 7);
    for customer in households.iter().map(customers::customer) {
        let last_login = customer.last_login.map(text::instant);
        let updated_at = last_login.clone().unwrap_or_else(|| OPENED_AT.to_owned());
        let cells = [
            customer.customer_id.into(),
            customer.name.as_str().into(),
            customer.email.as_str().into(),
            customer.segment.as_str().into(),
            OPENED_AT.into(),
            Cell::Text(last_login),
            Cell::Text(Some(updated_at)),
        ];
        bulk.row(connection, cells).await?;
    }
    bulk.finish(connection).await
}

/// Writes promotions in order of their weeks.
pub(crate) async fn write_promotions(connection: &mut SqliteConnection, promotions: &[Promotion], insert: Insert) -> Result<u64> {
    let Some(first) = promotions.first() else { return Ok(0) };
    let mut bulk = match insert {
        Insert::New => Bulk::new("insert into promotions", 9),
        Insert::Missing => Bulk::new("insert or ignore into promotions", 9),
    };
    let mut dates = PromotionDates::of(first);
    for promotion in promotions {
        dates.follow(promotion);
        bulk.promotion(connection, promotion, &dates).await?;
    }
    bulk.finish(connection).await
}
