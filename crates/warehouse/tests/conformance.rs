//! What every database must do as a source, tried on a real one of each kind, and every place as a warehouse: a folder, and among the
//! slow ones a bucket of an object store.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use sellcast_warehouse::Progress;

use crate::databases::{Database, Kind, Till, sale_of_oolong};

/// Makes a test of each scenario for each kind of database, and one with the warehouse in a bucket.
macro_rules! on_every_database {
    ($($scenario:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $scenario() -> anyhow::Result<()> { super::$scenario(super::Till::open(super::Kind::Sqlite).await?).await })+
        }
        mod postgres {
            $(#[tokio::test] async fn $scenario() -> anyhow::Result<()> { super::$scenario(super::Till::open(super::Kind::Postgres).await?).await })+
        }
        mod mariadb {
            $(#[tokio::test] async fn $scenario() -> anyhow::Result<()> { super::$scenario(super::Till::open(super::Kind::MariaDb).await?).await })+
        }
        mod mysql {
            $(#[tokio::test] async fn $scenario() -> anyhow::Result<()> { super::$scenario(super::Till::open(super::Kind::MySql).await?).await })+
        }
        mod in_a_bucket {
            $(#[tokio::test] #[ignore = "slow"] async fn $scenario() -> anyhow::Result<()> { super::$scenario(super::Till::with_bucket().await?).await })+
        }
    };
}

on_every_database!(
    a_first_load_is_exact,
    a_later_run_reads_the_lag_and_loads_what_is_new,
    updates_are_merged_and_their_days_follow,
    a_row_without_a_cursor_is_found_all_the_same,
    deleted_sales_within_the_lag_go_at_the_next_run,
    deleted_sales_beyond_the_lag_go_when_all_keys_are_compared,
    deleted_customers_go_and_deleted_products_end,
    a_source_that_lost_everything_is_not_believed,
    what_is_written_during_a_run_is_left_to_the_next,
    every_fault_is_told_at_once,
);

const FACTS: &str =
    "select sale_id, product_id, customer_id, quantity, unit_price, total_price, occurred_at from fact_sales order by sale_id";
const DAYS: &str = "select date_id, product_id, total_quantity, total_amount from agg_sales_daily order by date_id, product_id";

async fn a_first_load_is_exact(till: Till) -> Result<()> {
    let record = till.ingest("2017-12-01T06:00:00Z").await?;
    for (entity, counts) in &record.entities {
        assert_eq!((counts.read, counts.quarantined_total()), (counts.loaded, 0), "{entity}");
    }
    assert_eq!(
        till.rows(FACTS).await?,
        ["1|10|100|2.000|1.99|3.98|2017-11-29T15:00:00Z", "2|12|-|0.125|3.50|0.44|2017-11-30T15:00:00.250Z"]
    );
    assert_eq!(
        till.rows("select category_path from dim_category order by category_id").await?,
        ["GETRÄNKE", "GETRÄNKE / お茶", "GETRÄNKE / BREAD"]
    );
    assert_eq!(
        till.rows("select product_id, name, brand, current_price from dim_product order by product_id").await?,
        ["10|Grüner Tee 🍵|Acme|1.99", "11|Oolong|-|-", "12|Rye \"dark\"||3.49"]
    );
    assert_eq!(
        till.rows("select customer_id, name is null, customer_segment from dim_customer order by 1").await?,
        ["100|false|gold", "101|true|-"]
    );
    assert_eq!(record.source_positions["transactions"], "2017-11-30T15:00:01Z");
    assert!(record.all_keys_compared);
    Ok(())
}

async fn a_later_run_reads_the_lag_and_loads_what_is_new(mut till: Till) -> Result<()> {
    till.sell(3, "2017-12-10 12:00:00").await?;
    till.ingest("2017-12-11T06:00:00Z").await?;
    let quiet = till.ingest("2017-12-11T07:00:00Z").await?;
    assert!(quiet.entities.values().all(|counts| counts.loaded == 0 && counts.read == counts.unchanged), "{quiet:?}");
    till.sell(4, "2017-12-11 12:00:00").await?;
    let record = till.ingest("2017-12-12T06:00:00Z").await?;
    let counts = &record.entities["transactions"];
    assert_eq!((counts.read, counts.loaded, counts.removed), (2, 1, 0), "{counts:?}");
    assert_eq!(till.rows("select count(*) from fact_sales").await?, ["4"]);
    Ok(())
}

async fn updates_are_merged_and_their_days_follow(mut till: Till) -> Result<()> {
    till.ingest("2017-12-01T06:00:00Z").await?;
    till.run("update sales set quantity = 5, occurred_at = '2017-12-01 20:00:00', updated_at = '2017-12-01 21:00:00' where sale_id = 1")
        .await?;
    till.run("update products set price = 2.19 where product_id = 10").await?;
    till.run("update customers set segment = 'silver' where customer_id = 100").await?;
    till.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!(till.rows(DAYS).await?, ["2017-11-30|12|0.125|0.44", "2017-12-01|10|5.000|9.95"]);
    assert_eq!(
        till.rows("select current_price, is_current from dim_product where product_id = 10 order by valid_from").await?,
        ["1.99|false", "2.19|true"]
    );
    assert_eq!(till.rows("select customer_segment from dim_customer where customer_id = 100").await?, ["silver"]);
    Ok(())
}

async fn a_row_without_a_cursor_is_found_all_the_same(mut till: Till) -> Result<()> {
    till.ingest("2017-12-01T06:00:00Z").await?;
    till.sell(3, "2017-10-01 12:00:00").await?;
    till.run("update sales set updated_at = null where sale_id = 3").await?;
    for (now, loaded) in [("2017-12-02T06:00:00Z", 1), ("2017-12-03T06:00:00Z", 0)] {
        let counts = &till.ingest(now).await?.entities["transactions"];
        assert_eq!((counts.read, counts.loaded), (3, loaded));
    }
    Ok(())
}

async fn deleted_sales_within_the_lag_go_at_the_next_run(mut till: Till) -> Result<()> {
    till.ingest("2017-12-01T06:00:00Z").await?;
    till.sell(3, "2017-11-30 18:00:00").await?;
    till.run("delete from sales where sale_id = 2").await?;
    let record = till.ingest("2017-12-01T07:00:00Z").await?;
    let counts = &record.entities["transactions"];
    assert_eq!((counts.loaded, counts.removed), (1, 1), "{counts:?}");
    assert_eq!(till.rows(DAYS).await?, ["2017-11-29|10|2.000|3.98", "2017-11-30|11|1.000|0.99"]);
    assert_eq!(
        till.rows("select month, product_id, total_amount from agg_sales_monthly order by product_id").await?,
        ["11|10|3.98", "11|11|0.99"]
    );
    let quiet = till.ingest("2017-12-01T08:00:00Z").await?;
    assert_eq!((quiet.entities["transactions"].removed, quiet.touched_days.count), (0, 0));
    till.run("delete from sales where sale_id = 3").await?;
    till.sell(2, "2017-11-30 15:00:00").await?;
    till.ingest("2017-12-01T09:00:00Z").await?;
    assert_eq!(till.rows(DAYS).await?, ["2017-11-29|10|2.000|3.98", "2017-11-30|11|1.000|0.99"], "one gone and one come back, changed");
    Ok(())
}

async fn deleted_sales_beyond_the_lag_go_when_all_keys_are_compared(mut till: Till) -> Result<()> {
    till.sell(3, "2017-12-10 12:00:00").await?;
    till.sell(4, "2017-10-10 12:00:00").await?;
    till.ingest("2017-12-11T06:00:00Z").await?;
    till.run("delete from sales where sale_id in (2, 4)").await?;
    let early = till.ingest("2017-12-12T06:00:00Z").await?;
    assert_eq!((early.entities["transactions"].removed, early.all_keys_compared), (0, false));
    let due = till.ingest("2017-12-18T06:00:00Z").await?;
    assert_eq!((due.entities["transactions"].removed, due.all_keys_compared), (2, true), "after a week");
    assert_eq!(till.rows(DAYS).await?, ["2017-11-29|10|2.000|3.98", "2017-12-10|11|1.000|0.99"]);
    assert_eq!(till.rows("select quarter, total_amount from agg_sales_quarterly order by 2").await?, ["4|0.99", "4|3.98"]);
    till.run("delete from sales where sale_id = 1").await?;
    till.mapping.compare_keys_now = true;
    let asked = till.ingest("2017-12-19T06:00:00Z").await?;
    assert_eq!((asked.entities["transactions"].removed, asked.all_keys_compared), (1, true), "when asked for");
    Ok(())
}

async fn deleted_customers_go_and_deleted_products_end(mut till: Till) -> Result<()> {
    till.ingest("2017-12-01T06:00:00Z").await?;
    till.run("delete from customers where customer_id = 101").await?;
    till.run("delete from products where product_id = 12").await?;
    let record = till.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["customers"].removed, record.entities["products"].removed), (1, 1));
    assert_eq!(record.entities["transactions"].quarantined_total(), 0, "its sales were right when they were made");
    assert_eq!(till.rows("select customer_id from dim_customer").await?, ["100"]);
    let versions =
        "select is_current, valid_to, date_part('year', valid_from) > 2000 from dim_product where product_id = 12 order by valid_from";
    assert_eq!(till.rows(versions).await?, ["false|2017-12-02T06:00:00Z|false"]);
    assert_eq!(till.rows("select count(*) from fact_sales").await?, ["2"]);
    till.run("insert into products values (12, 'Rye', 3, null, 3.59)").await?;
    till.ingest("2017-12-03T06:00:00Z").await?;
    assert_eq!(till.rows(versions).await?, ["false|2017-12-02T06:00:00Z|false", "true|-|true"], "it may come back");
    Ok(())
}

async fn a_source_that_lost_everything_is_not_believed(mut till: Till) -> Result<()> {
    till.ingest("2017-12-01T06:00:00Z").await?;
    till.run("delete from sales").await?;
    till.run("delete from products").await?;
    let record = till.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!(till.rows("select count(*) from fact_sales").await?, ["2"]);
    assert_eq!(till.rows("select count(*) from dim_product where is_current").await?, ["3"]);
    assert!(
        record.notes.iter().any(|note| note.starts_with("`products`: the source lacks 3 of 3 rows") && note.contains("--compare-keys")),
        "{:?}",
        record.notes
    );
    assert!(record.notes.iter().any(|note| note.starts_with("`transactions`: the source lacks 2 of 2 rows")), "{:?}", record.notes);
    till.mapping.compare_keys_now = true;
    let record = till.ingest("2017-12-02T07:00:00Z").await?;
    assert_eq!((record.entities["transactions"].removed, record.notes.len()), (2, 0));
    assert_eq!(till.rows("select count(*) from agg_sales_daily").await?, ["0"]);
    Ok(())
}

/// Writes to the source when the run comes to the sales: a product that it has not read, and a sale of it.
struct Meddler {
    kind: Kind,
    address: String,
    wrote: AtomicBool,
}

impl Progress for Meddler {
    fn step(&self, what: &str) {
        if what != "transactions" || self.wrote.swap(true, Ordering::Relaxed) {
            return;
        }
        let (kind, address) = (self.kind, self.address.clone());
        // The run's own runtime waits here; the writing needs another.
        let writing = std::thread::spawn(move || -> Result<()> {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let mut writer = Database::open(kind, &address).await?;
                writer.run("insert into products values (13, 'Late bread', 3, null, 1.00)").await?;
                writer.run("insert into sales values (3, 13, 100, 1, 1.00, '2017-12-01 05:00:00', '2017-12-01 05:00:00')").await
            })
        });
        writing.join().expect("no panic").expect("it wrote");
    }

    fn rows(&self, _done: u64) {}
}

async fn what_is_written_during_a_run_is_left_to_the_next(till: Till) -> Result<()> {
    let meddler = Meddler { kind: till.kind, address: till.address.clone(), wrote: AtomicBool::new(false) };
    let record = till.ingest_watched("2017-12-01T06:00:00Z", &meddler).await?;
    assert!(meddler.wrote.load(Ordering::Relaxed));
    assert_eq!((record.entities["transactions"].read, record.entities["transactions"].quarantined_total()), (2, 0));
    let record = till.ingest("2017-12-01T07:00:00Z").await?;
    assert_eq!((record.entities["products"].loaded, record.entities["transactions"].loaded), (1, 1));
    Ok(())
}

async fn every_fault_is_told_at_once(mut till: Till) -> Result<()> {
    assert_eq!(till.check().await, "");
    till.mapping.categories.sql = "select category_id, name from kategories".into();
    till.mapping.products.sql = "select product_id, name, category_id, colour as brand from products".into();
    till.mapping.transactions.sql = till.mapping.transactions.sql.replace("quantity,", "quantity as quantities,");
    let told = till.check().await;
    for words in
        ["categories: ", "kategories", "colour", "transactions: there is no canonical column `quantities`; the nearest ones are `quantity`"]
    {
        assert!(told.contains(words), "`{words}` is not in: {told}");
    }
    assert!(!told.contains("aborted"), "one fault does not hide the next: {told}");
    assert_eq!(told.lines().count(), 4, "{told}");
    Ok(())
}

/// Two transactions at once: the earlier one commits after the later one was read.
async fn a_row_that_is_committed_late_is_loaded(mut till: Till) -> Result<()> {
    let mut slow = till.another().await?;
    slow.run("begin").await?;
    slow.run(&sale_of_oolong(3, "2017-12-01 10:00:00")).await?;
    till.sell(4, "2017-12-01 11:00:00").await?;
    let record = till.ingest("2017-12-01T12:00:00Z").await?;
    assert_eq!(record.source_positions["transactions"], "2017-12-01T11:00:00Z", "beyond the row that is not there yet");
    assert_eq!(till.rows("select count(*) from fact_sales").await?, ["3"]);
    slow.run("commit").await?;
    let record = till.ingest("2017-12-01T13:00:00Z").await?;
    assert_eq!((record.entities["transactions"].loaded, record.entities["transactions"].removed), (1, 0));
    assert_eq!(till.rows("select sale_id, known_at from fact_sales where sale_id = 3").await?, ["3|2017-12-01T13:00:00Z"]);
    Ok(())
}

#[tokio::test]
async fn a_row_that_postgres_commits_late_is_loaded() -> Result<()> {
    a_row_that_is_committed_late_is_loaded(Till::open(Kind::Postgres).await?).await
}

#[tokio::test]
async fn a_row_that_mariadb_commits_late_is_loaded() -> Result<()> {
    a_row_that_is_committed_late_is_loaded(Till::open(Kind::MariaDb).await?).await
}

#[tokio::test]
async fn a_row_that_mysql_commits_late_is_loaded() -> Result<()> {
    a_row_that_is_committed_late_is_loaded(Till::open(Kind::MySql).await?).await
}
