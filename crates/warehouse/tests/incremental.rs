//! Later runs: what is new or changed is loaded, with the time it became known; what is not stays untouched.

use anyhow::Result;

use crate::shop::{Shop, entity};

async fn two_days() -> Result<Shop> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
    shop.sell(2, 12, "1", "3.49", "2017-11-30 15:00:00").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    Ok(shop)
}

#[tokio::test]
async fn a_second_run_over_the_same_source_changes_nothing() -> Result<()> {
    let shop = two_days().await?;
    let (content, versions) = (shop.content().await?, shop.warehouse.versions().await?);
    let record = shop.ingest("2017-12-01T07:00:00Z").await?;
    assert!(record.entities.values().all(|counts| counts.loaded == 0 && counts.read == counts.unchanged), "{record:?}");
    assert_eq!(record.touched_days.count, 0);
    assert_eq!(shop.content().await?, content);
    let after = shop.warehouse.versions().await?;
    let changed: Vec<_> = after.iter().filter(|(table, version)| versions[*table] != **version).map(|(table, _)| table.as_str()).collect();
    assert_eq!(changed, ["ingest_runs"], "nothing else is written");
    Ok(())
}

#[tokio::test]
async fn a_late_row_below_the_high_water_mark_is_loaded() -> Result<()> {
    let mut shop = two_days().await?;
    // Ordered and written before the newest row, but committed after the first run.
    shop.sell(3, 11, "1", "0.99", "2017-11-28 12:00:00").await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["transactions"].read, record.entities["transactions"].loaded), (3, 1));
    assert_eq!(
        shop.one("select known_at, occurred_at from fact_sales where sale_id = 3").await?,
        "2017-12-02T06:00:00Z|2017-11-28T12:00:00Z"
    );
    assert_eq!(shop.one("select total_amount from agg_sales_daily where date_id = date '2017-11-28'").await?, "0.99");
    Ok(())
}

#[tokio::test]
async fn rows_beyond_the_lag_are_not_read_again() -> Result<()> {
    let mut shop = two_days().await?;
    shop.sell(4, 10, "1", "1.99", "2017-12-10 12:00:00").await?;
    shop.ingest("2017-12-11T06:00:00Z").await?;
    shop.sell(5, 10, "1", "1.99", "2017-12-11 12:00:00").await?;
    let record = shop.ingest("2017-12-12T06:00:00Z").await?;
    assert_eq!((record.entities["transactions"].read, record.entities["transactions"].loaded), (2, 1));
    Ok(())
}

#[tokio::test]
async fn a_changed_row_is_merged_and_both_its_days_follow() -> Result<()> {
    let mut shop = two_days().await?;
    shop.run(
        "update order_lines set quantity = 5, total_price = 9.95, updated_at = '2017-12-01 09:00:00' where line_id = 1;
              update orders set ordered_at = '2017-12-01 08:00:00' where order_id = 1",
    )
    .await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["transactions"].loaded, record.entities["transactions"].unchanged), (1, 1));
    assert_eq!(
        shop.rows("select sale_id, date_id, quantity, total_price, known_at, month from fact_sales order by sale_id").await?,
        ["1|2017-12-01|5.000|9.95|2017-12-02T06:00:00Z|2017-12", "2|2017-11-30|1.000|3.49|2017-11-30T15:00:00Z|2017-11"]
    );
    assert_eq!(shop.rows("select date_id, total_amount from agg_sales_daily order by 1").await?, ["2017-11-30|3.49", "2017-12-01|9.95"]);
    assert_eq!(shop.rows("select year, month, total_amount from agg_sales_monthly order by 2").await?, ["2017|11|3.49", "2017|12|9.95"]);
    assert_eq!(
        shop.rows("select quarter, product_id, total_amount from agg_sales_quarterly order by 2").await?,
        ["4|10|9.95", "4|12|3.49"]
    );
    Ok(())
}

#[tokio::test]
async fn a_changed_product_gets_a_new_version_and_keeps_the_old_one() -> Result<()> {
    let mut shop = two_days().await?;
    shop.run(
        "update products set current_price = 2.19, updated_at = '2017-12-01 09:00:00' where product_id = 10;
              update products set updated_at = '2017-12-01 09:30:00' where product_id = 11;
              insert into products values (14, 'Tonic', 2, null, null, 1.5, '2017-12-01 09:00:00', '2017-12-01 09:00:00')",
    )
    .await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["products"].loaded, record.entities["products"].unchanged), (2, 3));
    assert_eq!(
        shop.rows("select product_id, current_price, valid_from, valid_to, is_current, updated_at from dim_product where product_id <> 12 and product_id <> 13 order by product_id, valid_from").await?,
        [
            "10|1.99|2016-05-01T00:00:00Z|2017-12-02T06:00:00Z|false|2017-01-01T00:00:00Z",
            "10|2.19|2017-12-02T06:00:00Z|-|true|2017-12-01T09:00:00Z",
            "11|0.99|2016-05-01T00:00:00Z|-|true|2017-12-01T09:30:00Z",
            "14|1.50|2017-12-01T09:00:00Z|-|true|2017-12-01T09:00:00Z",
        ]
    );
    shop.ingest("2017-12-03T06:00:00Z").await?;
    assert_eq!(shop.one("select count(*) from dim_product").await?, "6");
    Ok(())
}

#[tokio::test]
async fn a_products_move_does_not_rewrite_its_old_sales() -> Result<()> {
    let mut shop = two_days().await?;
    shop.run("update products set category_id = 3 where product_id = 10").await?;
    shop.sell(3, 10, "1", "1.99", "2017-12-01 15:00:00").await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!(record.entities["transactions"].loaded, 1);
    assert_eq!(shop.rows("select sale_id, category_id from fact_sales where product_id = 10 order by 1").await?, ["1|2", "3|3"]);
    Ok(())
}

#[tokio::test]
async fn categories_customers_and_promotions_follow_the_source() -> Result<()> {
    let mut shop = two_days().await?;
    shop.run(
        "update categories set name = 'DRINKS' where category_id = 2;
              update customers set customer_segment = 'silver' where customer_id = 100;
              delete from promotions where product_id = 11;
              update promotions set strength = 20 where product_id = 10;
              insert into promotions values (12, '2017-12-20', '2017-12-24', 'mailer', null, '2017-12-01 10:00:00')",
    )
    .await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!(shop.one("select category_path from dim_category where category_id = 2").await?, "GROCERY / DRINKS");
    assert_eq!(shop.rows("select customer_id, customer_segment from dim_customer order by 1").await?, ["100|silver", "101|-"]);
    assert_eq!(
        shop.rows("select product_id, strength, known_at from fact_promotions order by 1").await?,
        ["10|20.0|2017-12-02T06:00:00Z", "12|1.0|2017-12-02T06:00:00Z"]
    );
    assert_eq!(
        (record.entities["categories"].loaded, record.entities["customers"].loaded, record.entities["promotions"].loaded),
        (1, 1, 2)
    );
    Ok(())
}

#[tokio::test]
async fn promotions_with_a_cursor_are_merged_by_key() -> Result<()> {
    let mut shop = Shop::open().await?;
    let promotions = "select *, coalesce(announced_at, '2017-11-01') as updated_at from promotions";
    shop.mapping.promotions = Some(sellcast_warehouse::EntityMapping { cursor: Some("updated_at".into()), ..entity(promotions) });
    shop.ingest("2017-12-01T06:00:00Z").await?;
    shop.run("update promotions set strength = 20, announced_at = '2017-12-01 12:00:00' where product_id = 10").await?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["promotions"].read, record.entities["promotions"].loaded), (1, 1));
    assert_eq!(shop.rows("select product_id, strength from fact_promotions order by 1").await?, ["10|20.0", "11|1.0"]);
    Ok(())
}

#[tokio::test]
async fn cursors_in_other_shapes_are_filtered_too() -> Result<()> {
    for shape in ["strftime('%Y-%m-%dT%H:%M:%SZ', l.updated_at)", "cast(strftime('%s', l.updated_at) as integer)"] {
        let mut shop = Shop::open().await?;
        shop.mapping.transactions.sql = shop.mapping.transactions.sql.replace("l.updated_at", &format!("{shape} as updated_at"));
        shop.sell(1, 10, "2", "1.99", "2017-11-09 15:00:00").await?;
        shop.sell(2, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
        shop.ingest("2017-12-01T06:00:00Z").await?;
        shop.sell(3, 10, "2", "1.99", "2017-12-01 15:00:00").await?;
        let record = shop.ingest("2017-12-02T06:00:00Z").await?;
        let counts = &record.entities["transactions"];
        assert_eq!((counts.read, counts.loaded, counts.unchanged), (2, 1, 1), "{shape}");
    }
    Ok(())
}

#[tokio::test]
async fn a_row_without_a_cursor_is_found_all_the_same() -> Result<()> {
    let mut shop = two_days().await?;
    shop.sell(3, 11, "1", "0.99", "2017-10-01 12:00:00").await?;
    shop.run("update order_lines set updated_at = null where line_id = 3").await?;
    for (now, loaded) in [("2017-12-02T06:00:00Z", 1), ("2017-12-03T06:00:00Z", 0)] {
        let record = shop.ingest(now).await?;
        assert_eq!((record.entities["transactions"].read, record.entities["transactions"].loaded), (3, loaded));
    }
    Ok(())
}

#[tokio::test]
async fn past_versions_can_be_read_also_after_maintenance() -> Result<()> {
    let mut shop = two_days().await?;
    let versions = shop.warehouse.versions().await?;
    for day in 2..8 {
        shop.sell(10 + day, 10, "1", "1.99", &format!("2017-12-0{day} 15:00:00")).await?;
        shop.ingest(&format!("2017-12-0{day}T23:00:00Z")).await?;
    }
    let content = shop.content().await?;
    let done = shop.warehouse.maintain(1).await?;
    assert!(done.files_joined > 5, "{done:?}");
    assert_eq!(done.files_deleted, 0, "everything is younger than 30 days");
    assert_eq!(shop.content().await?, content);
    let then = shop.warehouse.session_at(&versions).await?;
    assert_eq!(crate::shop::texts(&then.sql("select count(*), sum(total_price) from fact_sales").await?.collect().await?)?, ["2|7.47"]);
    assert_eq!(shop.one("select count(*) from fact_sales").await?, "8");
    Ok(())
}

#[tokio::test]
async fn a_replay_before_the_first_load_leaves_it_the_first() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
    shop.replay("2017-12-01T05:00:00Z").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(shop.one("select known_at = occurred_at from fact_sales").await?, "true");
    Ok(())
}

#[tokio::test]
async fn new_settings_reach_the_tree_at_the_next_run() -> Result<()> {
    let mut shop = two_days().await?;
    shop.reopen(sellcast_warehouse::WarehouseSettings { forecast_level: Some(1), ..crate::shop::settings() }).await?;
    shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!(shop.rows("select category_id, forecast_category_id from dim_category order by 1").await?, ["1|1", "2|1", "3|1", "4|4"]);
    Ok(())
}
