//! Runs that die half-way: the next one ends with the same tables as if there had been one run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use sellcast_warehouse::{PseudonymKey, SilentProgress, Warehouse};

use crate::shop::{Shop, instant, mapping, settings};

const VICTIM: &str = "SELLCAST_TEST_VICTIM";

/// Runs the calling test's binary once more as a process that ingests into `folder` and dies at the fail point.
fn die_at(point: &str, folder: &Path, test: &str) -> Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(["--exact", &format!("recovery::{test}")])
        .env("SELLCAST_FAIL_AT", point)
        .env(VICTIM, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    anyhow::ensure!(!status.success(), "it should have died at `{point}`");
    Ok(())
}

/// The folder to ingest into, in a process that is there to die.
fn victims_folder() -> Option<PathBuf> {
    std::env::var_os(VICTIM).map(PathBuf::from)
}

async fn ingest_and_die(folder: &Path) -> Result<()> {
    let warehouse = Warehouse::open(&folder.join("warehouse"), settings()).await?;
    let key = PseudonymKey::load_or_create(&folder.join("pseudonym.key"))?;
    warehouse.ingest(&mapping(), folder, &key, instant("2017-12-05T06:00:00Z"), &SilentProgress).await?;
    Ok(())
}

const POINTS: [&str; 8] =
    ["after_start", "categories", "products", "before_facts", "after_facts", "transactions", "promotions", "after_aggregates"];

/// Where only a run that finds deleted sales comes by.
const REMOVAL_POINTS: [&str; 2] = ["before_removals", "after_removals"];

async fn first_day() -> Result<Shop> {
    let mut shop = Shop::open().await?;
    shop.sell(6, 11, "1", "0.99", "2017-12-02 02:00:00").await?;
    shop.sell(1, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
    shop.sell(2, 12, "1", "3.49", "2017-12-01 15:00:00").await?;
    shop.sell(3, 99, "1", "3.49", "2017-12-01 15:00:00").await?;
    Ok(shop)
}

async fn later(shop: &mut Shop) -> Result<()> {
    shop.run(
        "update order_lines set quantity = 5, total_price = 17.45, updated_at = '2017-12-04 09:00:00' where line_id = 2;
              update products set current_price = 2.5 where product_id = 10",
    )
    .await?;
    shop.run("delete from order_lines where line_id = 6").await?;
    shop.sell(4, 11, "1", "0.99", "2017-12-04 15:00:00").await?;
    shop.sell(5, 98, "1", "0.99", "2017-12-04 15:00:00").await
}

#[tokio::test]
async fn a_first_load_killed_anywhere_is_made_good_by_the_next() -> Result<()> {
    if let Some(folder) = victims_folder() {
        return ingest_and_die(&folder).await;
    }
    let straight = first_day().await?;
    straight.ingest("2017-12-06T06:00:00Z").await?;
    let expected = straight.content().await?;
    for point in POINTS {
        let shop = first_day().await?;
        die_at(point, shop.folder.path(), "a_first_load_killed_anywhere_is_made_good_by_the_next")?;
        shop.ingest("2017-12-06T06:00:00Z").await?;
        assert_eq!(shop.content().await?, expected, "{point}");
        let known = shop.one("select count(*) from fact_sales where known_at <> occurred_at").await?;
        assert_eq!(known, "0", "history is known when it happened, also after `{point}`");
    }
    Ok(())
}

#[tokio::test]
async fn a_later_run_killed_anywhere_is_made_good_by_the_next() -> Result<()> {
    if let Some(folder) = victims_folder() {
        return ingest_and_die(&folder).await;
    }
    let mut straight = first_day().await?;
    straight.ingest("2017-12-02T06:00:00Z").await?;
    later(&mut straight).await?;
    straight.ingest("2017-12-06T06:00:00Z").await?;
    let expected = straight.content().await?;
    for point in POINTS.into_iter().chain(REMOVAL_POINTS) {
        let mut shop = first_day().await?;
        shop.ingest("2017-12-02T06:00:00Z").await?;
        later(&mut shop).await?;
        die_at(point, shop.folder.path(), "a_later_run_killed_anywhere_is_made_good_by_the_next")?;
        let record = shop.ingest("2017-12-06T06:00:00Z").await?;
        assert_eq!(shop.content().await?, expected, "{point}");
        if ["after_facts", "transactions"].contains(&point) {
            assert_eq!(
                (record.entities["transactions"].loaded, record.touched_days.count),
                (0, 2),
                "{point}: the broken run's days are refreshed"
            );
        }
        assert_eq!(shop.warehouse.last_runs(9).await?.len(), 2);
        let quiet = shop.ingest("2017-12-06T07:00:00Z").await?;
        assert_eq!(quiet.touched_days.count, 0, "{point}: made good once");
    }
    Ok(())
}
