//! A table of PostgreSQL that is large enough to be read by several connections: nothing is lost, doubled or seen that was written
//! meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sellcast_warehouse::Progress;
use sqlx::{Connection, PgConnection};

use crate::databases::{Kind, Till};

const ROWS: i64 = 600_000;

/// Begins to write when the first rows have come.
struct WhenRowsCome {
    came: Arc<AtomicBool>,
}

impl Progress for WhenRowsCome {
    fn step(&self, _what: &str) {}

    fn rows(&self, rows: u64) {
        if rows > 10_000 {
            self.came.store(true, Ordering::Relaxed);
        }
    }
}

/// Counts the connections that read, and writes when the first rows have come.
async fn watch(address: String, name: String, came: Arc<AtomicBool>, most: Arc<AtomicI64>) -> Result<()> {
    let mut database = PgConnection::connect(&address).await?;
    let sql = "select count(*) from pg_stat_activity where datname = $1 and application_name = 'sellcast' and query like 'copy%'";
    let mut has_written = false;
    loop {
        let reading: i64 = sqlx::query_scalar(sql).bind(&name).fetch_one(&mut database).await?;
        most.fetch_max(reading, Ordering::Relaxed);
        if came.load(Ordering::Relaxed) && !has_written {
            has_written = true;
            sqlx::raw_sql(
                "insert into sales values (8000000, 11, 100, 1, 5, '2017-11-30 12:00:00', '2017-11-30 12:00:00');
                 delete from sales where sale_id > 9300000 and sale_id % 7 = 0",
            )
            .execute(&mut database)
            .await?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_read_by_several_connections_as_one_state() -> Result<()> {
    let mut till = Till::open(Kind::Postgres).await?;
    // Keys with a gap and below zero; one row that is to be quarantined.
    till.run(&format!(
        "insert into sales select case when n < {half} then n - {half} else n + 9000000 end, 10 + n % 3, 100, 1, (n % 1000) / 100.0,
                timestamp '2017-01-01 12:00' + n * interval '40 seconds', timestamp '2017-01-01 12:00' + n * interval '40 seconds'
         from generate_series(100000, {last}) n;
         update sales set product_id = 99 where sale_id = 9000000 + {half};
         analyze sales",
        half = ROWS / 2,
        last = ROWS + 99_997,
    ))
    .await?;
    let sum = |table: &str, sale: &str| format!("select count(*), sum({sale}), min({sale}), max({sale}) from {table}");
    let mut database = PgConnection::connect(&till.address).await?;
    let told: (i64, i64, i64, i64) =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("select c, s::bigint, a, b from ({}) as t (c, s, a, b)", sum("sales", "sale_id"))))
            .fetch_one(&mut database)
            .await?;
    assert_eq!(told.0, ROWS);

    let (came, most, address, name) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)), till.address.clone(), till.name().to_owned());
    let watched = tokio::spawn(watch(address, name, came.clone(), most.clone()));
    let record = till.ingest_watched("2017-12-01T06:00:00Z", &WhenRowsCome { came: came.clone() }).await?;
    assert!(!watched.is_finished(), "{:?}", watched.await);
    watched.abort();
    assert!(came.load(Ordering::Relaxed), "something was written meanwhile");
    let connections = most.load(Ordering::Relaxed);
    if std::thread::available_parallelism()?.get() > 1 {
        assert!(connections > 1, "{connections} connections read");
    }
    let counts = &record.entities["transactions"];
    assert_eq!((counts.read, counts.loaded, counts.quarantined_total()), (ROWS as u64, ROWS as u64 - 1, 1), "{counts:?}");
    let strange = 9_000_000 + ROWS / 2;
    let rows = till.rows(&sum("fact_sales", "sale_id")).await?;
    assert_eq!(rows, [format!("{}|{}|{}|{}", told.0 - 1, told.1 - strange, told.2, told.3)]);
    // What was written meanwhile is the next run's.
    till.ingest("2017-12-01T07:00:00Z").await?;
    let now: i64 = sqlx::query_scalar("select count(*) from sales").fetch_one(&mut database).await?;
    let kept: i64 = till.rows("select count(*) from fact_sales").await?.first().context("a count")?.parse()?;
    assert!(kept >= now - 1, "{kept} of {now}");
    Ok(())
}
