//! Times the batch path: a shop of a million sale lines and more in SQLite, its first load, a quiet night, a busy night.
//! `cargo run -p sellcast-warehouse --example ingest_speed -- [lines]` prints seconds as one JSON object.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sellcast_warehouse::{Progress, PseudonymKey, RunRecord, SourceMapping, Warehouse, WarehouseSettings};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

struct Clock(std::sync::Mutex<Instant>);

impl Progress for Clock {
    fn step(&self, what: &str) {
        if let Ok(mut since) = self.0.lock() {
            eprintln!("{:8.3} s until `{what}`", since.elapsed().as_secs_f64());
            *since = Instant::now();
        }
    }
    fn rows(&self, _done: u64) {}
}

#[tokio::main]
async fn main() -> Result<()> {
    let lines: u32 = std::env::args().nth(1).map_or(Ok(1_400_000), |text| text.parse()).context("lines must be a number")?;
    let folder = tempfile::tempdir()?;
    let mut shop = SqliteConnectOptions::new().filename(folder.path().join("shop.db")).create_if_missing(true).connect().await?;
    sqlx::raw_sql(AssertSqlSafe(schema(lines))).execute(&mut shop).await?;
    let settings = WarehouseSettings {
        time_zone: chrono_tz::America::New_York,
        country: "US".into(),
        forecast_level: Some(2),
        excluded_categories: Vec::new(),
    };
    let warehouse = Warehouse::open(&folder.path().join("warehouse"), settings).await?;
    let key = PseudonymKey::load_or_create(&folder.path().join("key"))?;
    let run = async |now: &str| -> Result<RunRecord> {
        let clock = Clock(std::sync::Mutex::new(Instant::now()));
        let now: DateTime<Utc> = now.parse()?;
        let record = warehouse.ingest(&mapping()?, Path::new(folder.path()), &key, now, &clock).await?;
        clock.step("the end");
        Ok(record)
    };
    let first = run("2018-01-01T06:00:00Z").await?;
    let quiet = run("2018-01-01T07:00:00Z").await?;
    sqlx::raw_sql(AssertSqlSafe(busy_day(lines))).execute(&mut shop).await?;
    let busy = run("2018-01-02T06:00:00Z").await?;
    let loaded = |record: &RunRecord| record.entities.get("transactions").map_or(0, |counts| counts.loaded);
    let report = serde_json::json!({
        "lines": lines, "first_load_seconds": first.seconds, "quiet_run_seconds": quiet.seconds, "busy_run_seconds": busy.seconds,
        "loaded": [loaded(&first), loaded(&quiet), loaded(&busy)],
    });
    eprintln!("{report}");
    Ok(())
}

fn schema(lines: u32) -> String {
    format!(
        "create table categories (category_id integer primary key, name text, parent_category_id integer);
         create table products (product_id integer primary key, name text, category_id integer, brand text, current_price numeric, updated_at text);
         create table orders (order_id integer primary key, customer_id integer, ordered_at text);
         create table order_lines (line_id integer primary key, order_id integer, product_id integer, quantity numeric, unit_price numeric,
                                   total_price numeric, discount numeric, updated_at text);
         create table promotions (product_id integer, starts_on text, ends_on text, kind text, strength real, announced_at text);
         insert into categories with recursive n(i) as (select 1 union all select i + 1 from n where i < 2700)
                select i, 'category ' || i, case when i > 30 then i % 30 + 1 end from n;
         insert into products with recursive n(i) as (select 1 union all select i + 1 from n where i < 92000)
                select i, 'product number ' || i, 31 + i % 2600, 'brand ' || (i % 500), 1 + (i % 1000) / 100.0, '2017-01-01 00:00:00' from n;
         insert into orders with recursive n(i) as (select 1 union all select i + 1 from n where i < {lines} / 10)
                select i, i % 2500, datetime('2017-01-01 05:00:00', '+' || (i * 10 * 31500000 / {lines}) || ' seconds') from n;
         insert into order_lines with recursive n(i) as (select 1 union all select i + 1 from n where i < {lines})
                select i, 1 + (i - 1) / 10, 1 + (i * 7919) % 60000, 1 + i % 3, 1 + (i % 1000) / 100.0, (1 + i % 3) * (1 + (i % 1000) / 100.0), 0,
                       datetime('2017-01-01 05:00:00', '+' || ((1 + (i - 1) / 10) * 10 * 31500000 / {lines}) || ' seconds') from n;
         insert into promotions with recursive n(i) as (select 1 union all select i + 1 from n where i < 500000)
                select 1 + (i * 31) % 92000, date('2017-01-02', '+' || (7 * (i * 31 / 92000 % 52)) || ' days'), date('2017-01-08', '+' || (7 * (i * 31 / 92000 % 52)) || ' days'),
                       'kind ' || i, i % 40, '2016-12-20 00:00:00' from n;
         create index order_lines_updated on order_lines (updated_at); create index orders_ordered on orders (ordered_at);"
    )
}

/// A day's sales and a few amended lines.
fn busy_day(lines: u32) -> String {
    format!(
        "insert into orders with recursive n(i) as (select 1 union all select i + 1 from n where i < 450) select 10000000 + i, 7, '2018-01-01 20:00:00' from n;
         insert into order_lines with recursive n(i) as (select 1 union all select i + 1 from n where i < 4500)
                select 100000000 + i, 10000001 + i % 450, 1 + (i * 7919) % 60000, 1, 2.5, 2.5, 0, '2018-01-01 20:00:00' from n;
         update order_lines set quantity = quantity + 1, updated_at = '2018-01-01 21:00:00' where line_id > {lines} - 20;"
    )
}

fn mapping() -> Result<SourceMapping> {
    Ok(serde_json::from_value(serde_json::json!({
        "url": "sqlite:shop.db",
        "categories": {"sql": "select category_id, name, parent_category_id from categories"},
        "products": {"sql": "select * from products"},
        "transactions": {"cursor": "updated_at", "sql": "select l.line_id as sale_id, l.product_id, o.customer_id, l.quantity, l.unit_price, l.total_price, l.discount,
            o.ordered_at as occurred_at, l.updated_at from order_lines l join orders o using (order_id)"},
        "promotions": {"sql": "select * from promotions"}
    }))?)
}
