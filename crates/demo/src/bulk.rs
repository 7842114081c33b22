//! Many rows into one table, in statements of many rows each. One row a statement spends its time between threads.

use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

use crate::data::{Promotion, Sale};
use crate::text;

/// Rows of one statement. SQLite takes 32,766 values at once; more rows than this gain nothing.
const ROWS: usize = 1_000;

/// Collects rows for `insert into <table> values ...`. Call [`Bulk::finish`] at the end.
pub(crate) struct Bulk {
    insert: &'static str,
    columns: usize,
    full: Arc<str>,
    rows: usize,
    values: SqliteArguments,
    written: u64,
}

impl Bulk {
    /// `insert` is the statement up to and without `values`.
    pub(crate) fn new(insert: &'static str, columns: usize) -> Self {
        Self { insert, columns, full: statement(insert, columns, ROWS).into(), rows: 0, values: SqliteArguments::default(), written: 0 }
    }

    fn add<'t>(&mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) -> Result<()> {
        self.values.add(value).map_err(|error| anyhow::anyhow!(error)).context("cannot bind a value")
    }

    async fn end_row(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        self.rows += 1;
        if self.rows == ROWS {
            let sql = AssertSqlSafe(Arc::clone(&self.full));
            self.written += sqlx::query_with(sql, std::mem::take(&mut self.values)).execute(connection).await?.rows_affected();
            self.rows = 0;
        }
        Ok(())
    }

    /// Writes what is left and tells how many rows were written in all (fewer than given where duplicates are ignored).
    pub(crate) async fn finish(mut self, connection: &mut SqliteConnection) -> Result<u64> {
        self.flush(connection).await?;
        Ok(self.written)
    }

    async fn flush(&mut self, connection: &mut SqliteConnection) -> Result<()> {
        if self.rows > 0 {
            let sql = AssertSqlSafe(statement(self.insert, self.columns, self.rows));
            let query = sqlx::query_with(sql, std::mem::take(&mut self.values)).persistent(false);
            self.written += query.execute(connection).await?.rows_affected();
            self.rows = 0;
        }
        Ok(())
    }

    /// A category, product or customer: a row of text cells around integer ids.
    pub(crate) async fn row(&mut self, connection: &mut SqliteConnection, cells: impl IntoIterator<Item = Cell>) -> Result<()> {
        for cell in cells {
            match cell {
                Cell::Integer(value) => self.add(value)?,
                Cell::Text(value) => self.add(value)?,
            }
        }
        self.end_row(connection).await
    }

    /// The order of a sale, in the columns of `orders`.
    pub(crate) async fn order(&mut self, connection: &mut SqliteConnection, sale: &Sale, at: &Arc<str>) -> Result<()> {
        self.add(sale.order_id)?;
        self.add(sale.customer_id)?;
        self.add(sale.store_id)?;
        for _ in ["ordered_at", "created_at", "updated_at"] {
            self.add(Arc::clone(at))?;
        }
        self.end_row(connection).await
    }

    /// A line of an order, in the columns of `order_lines`.
    pub(crate) async fn line(&mut self, connection: &mut SqliteConnection, sale: &Sale, at: &Arc<str>) -> Result<()> {
        self.add(sale.line_id)?;
        self.add(sale.order_id)?;
        self.add(sale.product_id)?;
        if sale.quantity_thousandths % 1_000 == 0 {
            self.add(sale.quantity_thousandths / 1_000)?;
        } else {
            self.add(sale.quantity_thousandths as f64 / 1_000.0)?;
        }
        self.add(text::money(sale.unit_cents()))?;
        self.add(text::money(sale.total_cents))?;
        self.add(text::money(sale.discount_cents))?;
        self.add(Arc::clone(at))?;
        self.add(Arc::clone(at))?;
        self.end_row(connection).await
    }

    /// A promotion, in the columns of `promotions`.
    pub(crate) async fn promotion(
        &mut self,
        connection: &mut SqliteConnection,
        promotion: &Promotion,
        dates: &PromotionDates,
    ) -> Result<()> {
        self.add(promotion.promotion_id)?;
        self.add(promotion.product_id)?;
        self.add(Arc::clone(&dates.starts_on))?;
        self.add(Arc::clone(&dates.ends_on))?;
        self.add(if promotion.is_mailer { "mailer" } else { "display" })?;
        self.add(promotion.stores)?;
        for _ in ["announced_at", "created_at", "updated_at"] {
            self.add(Arc::clone(&dates.announced_at))?;
        }
        self.end_row(connection).await
    }
}

/// A value of a small table.
pub(crate) enum Cell {
    Integer(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

/// The dates that all promotions of a week share.
pub(crate) struct PromotionDates {
    monday: i64,
    starts_on: Arc<str>,
    ends_on: Arc<str>,
    announced_at: Arc<str>,
}

impl PromotionDates {
    pub(crate) fn of(promotion: &Promotion) -> Self {
        let monday = promotion.starts_on;
        Self {
            monday,
            starts_on: text::day(monday).into(),
            ends_on: text::day(monday + 6).into(),
            announced_at: text::instant(promotion.announced_at()).into(),
        }
    }

    /// Takes the promotion's week if it is another one.
    pub(crate) fn follow(&mut self, promotion: &Promotion) {
        if promotion.starts_on != self.monday {
            *self = Self::of(promotion);
        }
    }
}

/// Writes sales in time order, lines of one order together; an order may go on in the next call.
pub(crate) struct SalesWriter {
    orders: Bulk,
    lines: Bulk,
    order_id: i64,
    at: Arc<str>,
}

impl SalesWriter {
    /// `insert` is `insert into` or `insert or ignore into`.
    pub(crate) fn new(insert: Insert) -> Self {
        let (orders, lines) = match insert {
            Insert::New => ("insert into orders", "insert into order_lines"),
            Insert::Missing => ("insert or ignore into orders", "insert or ignore into order_lines"),
        };
        Self { orders: Bulk::new(orders, 6), lines: Bulk::new(lines, 9), order_id: i64::MIN, at: Arc::from("") }
    }

    /// Writes the orders that begin in `sales`, then all lines: whoever follows the changes sees an order before its
    /// lines.
    pub(crate) async fn write(&mut self, connection: &mut SqliteConnection, sales: &[Sale]) -> Result<()> {
        let known = self.order_id;
        for sale in sales {
            if sale.order_id != self.order_id {
                self.order_id = sale.order_id;
                let at = text::instant(sale.sold_at).into();
                self.orders.order(connection, sale, &at).await?;
            }
        }
        self.orders.flush(connection).await?;
        let mut order_id = known;
        for sale in sales {
            if sale.order_id != order_id {
                order_id = sale.order_id;
                self.at = text::instant(sale.sold_at).into();
            }
            self.lines.line(connection, sale, &self.at).await?;
        }
        Ok(())
    }

    /// Orders and lines written.
    pub(crate) async fn finish(self, connection: &mut SqliteConnection) -> Result<(u64, u64)> {
        Ok((self.orders.finish(connection).await?, self.lines.finish(connection).await?))
    }
}

/// Whether rows that are there already are an error or left alone.
#[derive(Clone, Copy)]
pub(crate) enum Insert {
    New,
    Missing,
}

fn statement(insert: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{insert} values {}", vec![row; rows].join(","))
}
