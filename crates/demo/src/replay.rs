//! Lets the rest of the year happen in the shop: sales and announcements are written through normal inserts, so that
//! the triggers record them, up to any instant that is asked for. What was written is read from the shop itself, so a
//! replay that was killed goes on where the database stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sellcast_domain::ShopDay;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tokio::sync::Mutex;

use crate::bulk::{Insert, SalesWriter};
use crate::config::NOT_GOODS;
use crate::data::{DemoData, Promotion, SHOP_ZONE, Sale};
use crate::shop::write_promotions;
use crate::text;

/// Later than anything in the data.
const END_OF_TIME: i64 = 4_000_000_000;

/// What one step of the replay wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New orders.
    pub orders: u64,
    /// New lines.
    pub lines: u64,
    /// New promotions.
    pub promotions: u64,
    /// Sum of the lines' totals, in cents.
    pub amount_cents: i64,
}

/// The sales and promotions that are still to come, and the shop they go into.
pub struct Replay {
    pool: SqlitePool,
    ahead: Mutex<Ahead>,
    ends_at: DateTime<Utc>,
}

/// What is not yet written, in order; `sale` and `promotion` point at the next.
struct Ahead {
    sales: Vec<Sale>,
    sale: usize,
    promotions: Vec<Promotion>,
    promotion: usize,
    written_until: Option<DateTime<Utc>>,
}

impl Replay {
    /// Opens the shop at `db` and reads from the Parquet files in `data` what it does not have yet.
    ///
    /// # Errors
    /// When the shop is missing or is none, or the files cannot be read.
    pub async fn open(db: &Path, data: &Path) -> Result<Self> {
        ensure!(db.is_file(), "no shop database at `{}`: make it first with `sellcast demo`", db.display());
        let options = SqliteConnectOptions::new().filename(db).busy_timeout(Duration::from_secs(10)).disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .with_context(|| format!("cannot open `{}`", db.display()))?;
        let (line_id, promotion_id, last): (i64, i64, Option<String>) = sqlx::query_as(
            "select (select coalesce(max(line_id), 0) from order_lines), (select coalesce(max(promotion_id), 0) from promotions),
                    (select max(ordered_at) from orders)",
        )
        .fetch_one(&pool)
        .await
        .with_context(|| format!("`{}` is not the demo's shop: remove it and run `sellcast demo` again", db.display()))?;
        let data = DemoData::open(data).await?;
        let sales: Vec<Sale> = data.sales(line_id, END_OF_TIME).await?.try_concat().await?;
        let promotions = data.promotions(promotion_id, END_OF_TIME).await?;
        let written_until =
            last.map(|text| text.parse::<DateTime<Utc>>()).transpose().context("the shop's last order has no readable time")?;
        let ends_at = sales.last().and_then(|sale| DateTime::from_timestamp(sale.sold_at, 0)).or(written_until).unwrap_or_default();
        Ok(Self { pool, ahead: Mutex::new(Ahead { sales, sale: 0, promotions, promotion: 0, written_until }), ends_at })
    }

    /// The time of the last order in the shop, or `None` for an empty one.
    pub async fn written_until(&self) -> Option<DateTime<Utc>> {
        self.ahead.lock().await.written_until
    }

    /// The time of the last sale there is to replay.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.ends_at
    }

    /// Writes everything up to and including `instant` that the shop does not have: orders with their lines, promotions
    /// announced by then, prices of products that sell for the first time, and the customers' last visit. One
    /// transaction: all of it or nothing. An instant in the past writes nothing.
    ///
    /// # Errors
    /// When the database is locked for longer than ten seconds or cannot be written.
    pub async fn write_until(&self, instant: DateTime<Utc>) -> Result<Written> {
        let mut ahead = self.ahead.lock().await;
        let instant = instant.timestamp();
        let sales_end = ahead.sale + ahead.sales[ahead.sale..].partition_point(|sale| sale.sold_at <= instant);
        let promotions_end =
            ahead.promotion + ahead.promotions[ahead.promotion..].partition_point(|promotion| promotion.announced_at() <= instant);
        let sales = &ahead.sales[ahead.sale..sales_end];
        let promotions = &ahead.promotions[ahead.promotion..promotions_end];
        if sales.is_empty() && promotions.is_empty() {
            return Ok(Written::default());
        }
        let mut connection = self.pool.acquire().await.context("cannot reach the shop database")?;
        let mut transaction = connection.begin_with("begin immediate").await.context("the shop database is locked by another program")?;
        let mut writer = SalesWriter::new(Insert::Missing);
        writer.write(&mut transaction, sales).await?;
        let (orders, lines) = writer.finish(&mut transaction).await?;
        let promotions = write_promotions(&mut transaction, promotions, Insert::Missing).await?;
        set_first_prices(&mut transaction, sales).await?;
        set_last_visits(&mut transaction, sales).await?;
        transaction.commit().await.context("cannot commit the replayed sales")?;
        let written = Written { orders, lines, promotions, amount_cents: sales.iter().map(|sale| sale.total_cents).sum() };
        if let Some(last) = sales.last() {
            let at = DateTime::from_timestamp(last.sold_at, 0);
            ahead.written_until = at;
        }
        (ahead.sale, ahead.promotion) = (sales_end, promotions_end);
        Ok(written)
    }

    /// What the shop took on `day` from its start up to and including `until`, in cents, without what a forecast leaves
    /// out: categories that are no goods, articles that the catalogue lacks, lines without quantity.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sold_on(&self, day: ShopDay, until: DateTime<Utc>) -> Result<i64> {
        let names = NOT_GOODS.map(|name| format!("'{name}'")).join(", ");
        let sql = format!(
            "with recursive left_out (category_id) as (
               select category_id from categories where name in ({names})
               union select c.category_id from categories c join left_out on c.parent_category_id = left_out.category_id)
             select coalesce(sum(cast(round(l.total_price * 100) as integer)), 0)
             from orders o join order_lines l using (order_id) join products p using (product_id)
             where o.ordered_at >= ? and o.ordered_at < ? and o.ordered_at <= ? and l.quantity <> 0
               and p.category_id not in (select category_id from left_out)"
        );
        let cents = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(text::instant(day.starts_at(SHOP_ZONE).timestamp()))
            .bind(text::instant((day + 1).starts_at(SHOP_ZONE).timestamp()))
            .bind(text::instant(until.timestamp()))
            .fetch_one(&self.pool)
            .await
            .with_context(|| format!("cannot sum the sales of {day}"))?;
        Ok(cents)
    }
}

/// A product that was never sold has no price; its first sale tells it.
async fn set_first_prices(connection: &mut SqliteConnection, sales: &[Sale]) -> Result<()> {
    let mut first: BTreeMap<i64, &Sale> = BTreeMap::new();
    for sale in sales.iter().filter(|sale| sale.quantity_thousandths > 0 && sale.total_cents > 0) {
        first.entry(sale.product_id).or_insert(sale);
    }
    for (product_id, sale) in first {
        sqlx::query("update products set current_price = ?, updated_at = ? where product_id = ? and current_price is null")
            .bind(text::money(sale.unit_cents()))
            .bind(text::instant(sale.sold_at))
            .bind(product_id)
            .execute(&mut *connection)
            .await
            .context("cannot set the price of a product")?;
    }
    Ok(())
}

async fn set_last_visits(connection: &mut SqliteConnection, sales: &[Sale]) -> Result<()> {
    let visits: BTreeMap<i64, i64> = sales.iter().map(|sale| (sale.customer_id, sale.sold_at)).collect();
    for (customer_id, at) in visits {
        sqlx::query("update customers set last_login = ?1, updated_at = ?1 where customer_id = ?2")
            .bind(text::instant(at))
            .bind(customer_id)
            .execute(&mut *connection)
            .await
            .context("cannot set the last visit of a customer")?;
    }
    Ok(())
}
