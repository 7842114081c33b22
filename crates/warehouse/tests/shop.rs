//! A small shop in SQLite as its owner would have it, and a warehouse beside it.

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};
use sellcast_warehouse::{
    EntityMapping, IngestError, PseudonymKey, RunRecord, SilentProgress, SourceMapping, Warehouse, WarehouseSettings,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, SqliteConnection};
use tempfile::TempDir;

pub(crate) struct Shop {
    pub(crate) folder: TempDir,
    pub(crate) source: SqliteConnection,
    pub(crate) warehouse: Warehouse,
    pub(crate) mapping: SourceMapping,
    key: PseudonymKey,
}

const SCHEMA: &str = "
    create table categories (category_id integer primary key, name text, parent_category_id integer, description text, updated_at text);
    create table products (product_id integer primary key, name text, category_id integer, description text, brand text,
                           current_price numeric, created_at text, updated_at text);
    create table customers (customer_id integer primary key, name text, email text, customer_segment text, created_at text, last_login text);
    create table orders (order_id integer primary key, customer_id integer, ordered_at text);
    create table order_lines (line_id integer primary key, order_id integer, product_id integer, quantity numeric, unit_price numeric,
                              total_price numeric, discount numeric, updated_at text);
    create index order_lines_updated on order_lines (updated_at);
    create table promotions (product_id integer, starts_on text, ends_on text, kind text, strength real, announced_at text);
    insert into categories values (1, 'GROCERY', null, null, '2017-01-01 00:00:00'), (2, 'SOFT DRINKS', 1, 'cold', '2017-01-01 00:00:00'),
                                  (3, 'BAKERY', 1, null, '2017-01-01 00:00:00'), (4, 'FUEL', null, null, '2017-01-01 00:00:00');
    insert into products values (10, 'Cola 1 l', 2, 'sweet', 'Acme', 1.99, '2016-05-01 00:00:00', '2017-01-01 00:00:00'),
                                (11, 'Lemonade', 2, null, 'Acme', 0.99, '2016-05-01 00:00:00', '2017-01-01 00:00:00'),
                                (12, 'Rye bread', 3, null, null, 3.49, null, '2017-01-01 00:00:00'),
                                (13, 'Diesel', 4, null, null, 1.10, null, '2017-01-01 00:00:00');
    insert into customers values (100, 'Ada Lovelace', 'ada@example.org', 'gold', '2016-01-01 00:00:00', null),
                                 (101, 'Alan Turing', null, null, '2016-01-01 00:00:00', '2017-11-01 08:00:00');
    insert into promotions values (10, '2017-12-01', '2017-12-07', 'display', 12.0, '2017-11-20 00:00:00'),
                                  (11, '2017-12-10', '2017-12-12', 'mailer', 1.0, null);";

pub(crate) const LINES: &str =
    "select l.line_id as sale_id, l.product_id, o.customer_id, l.quantity, l.unit_price, l.total_price, l.discount,
    o.ordered_at as occurred_at, l.updated_at from order_lines l join orders o using (order_id)";

impl Shop {
    /// An empty till: master data and no sale.
    pub(crate) async fn open() -> Result<Self> {
        Self::with_settings(settings()).await
    }

    pub(crate) async fn with_settings(settings: WarehouseSettings) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("shop.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut source = options.connect().await?;
        sqlx::raw_sql(SCHEMA).execute(&mut source).await?;
        let warehouse = Warehouse::open(&folder.path().join("warehouse"), settings).await?;
        let key = PseudonymKey::load_or_create(&folder.path().join("pseudonym.key"))?;
        Ok(Self { folder, source, warehouse, mapping: mapping(), key })
    }

    /// The same shop loaded in small chunks.
    pub(crate) fn holding_at_once(mut self, sale_lines: usize) -> Self {
        self.warehouse = self.warehouse.holding_at_once(sale_lines);
        self
    }

    /// Sells: an order of its own with one line. The line counts as written when it was ordered.
    pub(crate) async fn sell(&mut self, line: i64, product: i64, quantity: &str, price: &str, at: &str) -> Result<()> {
        self.sell_late(line, product, quantity, price, at, at).await
    }

    /// The same for a line that was written to the database at another time than it was ordered.
    pub(crate) async fn sell_late(&mut self, line: i64, product: i64, quantity: &str, price: &str, at: &str, written: &str) -> Result<()> {
        self.run(&format!(
            "insert into orders values ({line}, 100, '{at}');
             insert into order_lines values ({line}, {line}, {product}, {quantity}, {price}, round({quantity} * {price}, 2), 0, '{written}')"
        ))
        .await
    }

    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.source).await.with_context(|| sql.to_owned())?;
        Ok(())
    }

    pub(crate) async fn ingest(&self, now: &str) -> Result<RunRecord, IngestError> {
        self.warehouse.ingest(&self.mapping, self.folder.path(), &self.key, instant(now), &SilentProgress).await
    }

    pub(crate) async fn replay(&self, now: &str) -> Result<RunRecord, IngestError> {
        self.warehouse.replay_quarantine(&self.key, instant(now), &SilentProgress).await
    }

    /// The same folder under new settings.
    pub(crate) async fn reopen(&mut self, settings: WarehouseSettings) -> Result<()> {
        self.warehouse = Warehouse::open(&self.folder.path().join("warehouse"), settings).await?;
        Ok(())
    }

    /// Rows of the warehouse, each as text with `|` between its values.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<String>> {
        let batches = self.warehouse.session().await?.sql(sql).await?.collect().await?;
        Ok(texts(&batches)?)
    }

    /// One value of the warehouse, as text.
    pub(crate) async fn one(&self, sql: &str) -> Result<String> {
        let rows = self.rows(sql).await?;
        anyhow::ensure!(rows.len() == 1, "{sql} gave {rows:?}");
        Ok(rows.concat())
    }

    /// One value of the source, as text.
    pub(crate) async fn source_one(&mut self, sql: &str) -> Result<String> {
        let row = sqlx::query(AssertSqlSafe(format!("select cast(({sql}) as text)"))).fetch_one(&mut self.source).await?;
        Ok(row.get::<String, _>(0))
    }

    /// Everything that a run must reproduce, whatever happened on the way: all tables but the journal, and no known times
    /// (a row that was loaded by a broken run keeps the time of that run).
    pub(crate) async fn content(&self) -> Result<Vec<String>> {
        let mut content = Vec::new();
        for table in [
            "dim_category",
            "dim_date",
            "agg_sales_daily",
            "agg_sales_weekly",
            "agg_sales_monthly",
            "agg_sales_quarterly",
            "agg_sales_yearly",
        ] {
            content.extend(self.sorted(&format!("select '{table}', * from {table}")).await?);
        }
        // Pseudonyms differ from shop to shop, as each has a key of its own.
        content.extend(self.sorted("select 'dim_customer', customer_id, name is null, email is null, created_at, last_login, customer_segment from dim_customer").await?);
        content
            .extend(self.sorted("select 'dim_product', product_id, name, category_id, current_price, is_current from dim_product").await?);
        content.extend(self.sorted("select 'fact_sales', sale_id, product_id, category_id, customer_id, date_id, quantity, unit_price, total_price, occurred_at, month from fact_sales").await?);
        content.extend(
            self.sorted("select 'fact_promotions', product_id, starts_on, ends_on, kind, strength, announced_at from fact_promotions")
                .await?,
        );
        content.extend(self.sorted("select 'quarantine', entity, rule, row_json, resolved from quarantine").await?);
        Ok(content)
    }

    async fn sorted(&self, sql: &str) -> Result<Vec<String>> {
        let mut rows = self.rows(sql).await?;
        rows.sort();
        Ok(rows)
    }
}

pub(crate) fn texts(batches: &[RecordBatch]) -> Result<Vec<String>, arrow::error::ArrowError> {
    let mut rows = Vec::new();
    let options = FormatOptions::default().with_null("-");
    for batch in batches {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options)).collect::<Result<Vec<_>, _>>()?;
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|")),
        );
    }
    Ok(rows)
}

pub(crate) fn settings() -> WarehouseSettings {
    WarehouseSettings {
        time_zone: chrono_tz::America::New_York,
        country: "US".into(),
        forecast_level: None,
        excluded_categories: vec!["FUEL".into()],
    }
}

pub(crate) fn entity(sql: &str) -> EntityMapping {
    EntityMapping { sql: sql.into(), url: None, cursor: None }
}

pub(crate) fn mapping() -> SourceMapping {
    SourceMapping {
        url: Some("sqlite:shop.db".into()),
        lag_hours: 72,
        compare_keys_days: 7,
        compare_keys_now: false,
        categories: entity("select category_id, name, parent_category_id, description, updated_at from categories"),
        products: entity("select * from products"),
        customers: Some(entity("select * from customers")),
        transactions: EntityMapping { cursor: Some("updated_at".into()), ..entity(LINES) },
        promotions: Some(entity("select * from promotions")),
        events: None,
    }
}

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant such as 2017-12-01T10:00:00Z")
}

/// The message of an error with all its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
