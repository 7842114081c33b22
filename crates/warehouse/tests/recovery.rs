//! Runs that die half-way: the next one ends with the same tables as if there had been one run.

use std::process::Command;

use anyhow::Result;

use crate::shop::{Shop, exists};

/// Runs the named test of this binary as a process of its own that dies at the fail point.
fn die_at(point: &str, folder: &std::path::Path) -> Result<()> {
    let binary = std::env::current_exe()?;
    let status = Command::new(binary)
        .args(["--exact", "recovery::victim", "--nocapture"])
        .env("SELLCAST_FAIL_AT", point)
        .env("SELLCAST_TEST_VICTIM", folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()?;
    anyhow::ensure!(!status.success(), "it should have died at `{point}`");
    Ok(())
}

/// What the dying process does; does nothing when the tests run it by themselves.
#[tokio::test]
async fn victim() -> Result<()> {
    let Some(folder) = std::env::var_os("SELLCAST_TEST_VICTIM") else { return Ok(()) };
    let folder = std::path::PathBuf::from(folder);
    assert!(exists(&folder));
    let warehouse = sellcast_warehouse::Warehouse::open(&folder.join("warehouse"), crate::shop::settings()).await?;
    let key = sellcast_warehouse::PseudonymKey::load_or_create(&folder.join("pseudonym.key"))?;
    let now = crate::shop::instant("2017-12-05T06:00:00Z");
    warehouse.ingest(&crate::shop::mapping(), &folder, &key, now, &sellcast_warehouse::SilentProgress).await?;
    Ok(())
}

const POINTS: [&str; 8] =
    ["after_start", "categories", "products", "before_facts", "after_facts", "transactions", "promotions", "after_aggregates"];

async fn first_day() -> Result<Shop> {
    let mut shop = Shop::open().await?;
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
    shop.sell(4, 11, "1", "0.99", "2017-12-04 15:00:00").await?;
    shop.sell(5, 98, "1", "0.99", "2017-12-04 15:00:00").await
}

#[tokio::test]
async fn a_first_load_killed_anywhere_is_made_good_by_the_next() -> Result<()> {
    let straight = first_day().await?;
    straight.ingest("2017-12-06T06:00:00Z").await?;
    let expected = straight.content().await?;
    for point in POINTS {
        let shop = first_day().await?;
        die_at(point, shop.folder.path())?;
        shop.ingest("2017-12-06T06:00:00Z").await?;
        assert_eq!(shop.content().await?, expected, "{point}");
        let known = shop.one("select count(*) from fact_sales where known_at <> occurred_at").await?;
        assert_eq!(known, "0", "history is known when it happened, also after `{point}`");
    }
    Ok(())
}

#[tokio::test]
async fn a_later_run_killed_anywhere_is_made_good_by_the_next() -> Result<()> {
    let mut straight = first_day().await?;
    straight.ingest("2017-12-02T06:00:00Z").await?;
    later(&mut straight).await?;
    straight.ingest("2017-12-06T06:00:00Z").await?;
    let expected = straight.content().await?;
    for point in POINTS {
        let mut shop = first_day().await?;
        shop.ingest("2017-12-02T06:00:00Z").await?;
        later(&mut shop).await?;
        die_at(point, shop.folder.path())?;
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
