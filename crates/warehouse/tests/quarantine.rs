//! Rows that break a rule: kept whole, counted, replayed; never lost and never loaded twice.

use anyhow::Result;

use crate::shop::Shop;

const AT: &str = "2017-11-29 15:00:00";

#[tokio::test]
async fn every_rule_has_its_quarantine() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", AT).await?;
    shop.sell(2, 99, "1", "1.99", AT).await?;
    shop.sell(3, 10, "1", "-1.99", AT).await?;
    shop.sell(4, 10, "0", "1.99", AT).await?;
    shop.sell_late(5, 10, "1", "1.99", "2018-11-29 15:00:00", AT).await?;
    shop.sell(6, 10, "1", "'cheap'", AT).await?;
    shop.sell(7, 10, "null", "1.99", AT).await?;
    shop.run(&format!("insert into orders values (8, 100, 'someday'); insert into order_lines values (8, 8, 10, 1, 1, 1, 0, '{AT}');
                       insert into order_lines values (9, 1, null, 1, 1, 1, 0, '{AT}');
                       insert into products values (20, 'Ghost', 77, null, null, 1, null, null), (21, 'Gift', 2, null, null, -1, null, null);
                       insert into categories values (50, 'ORPHAN', 51, null, null), (60, 'A', 61, null, null), (61, 'B', 60, null, null);
                       insert into promotions values (99, '2017-12-01', '2017-12-02', 'display', 1, null), (10, '2017-12-09', '2017-12-02', 'display', 1, null)")).await?;
    let record = shop.ingest("2017-12-01T06:00:00Z").await?;
    let rules = |entity: &str| record.entities[entity].quarantined.keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        rules("transactions"),
        "future_date missing_key missing_quantity negative_price unknown_product unparsable_occurred_at unparsable_unit_price zero_quantity"
    );
    assert_eq!(rules("products"), "negative_price unknown_category");
    assert_eq!(rules("categories"), "category_cycle unknown_category");
    assert_eq!(rules("promotions"), "ends_before_start unknown_product");
    assert_eq!(shop.rows("select sale_id from fact_sales").await?, ["1"]);
    for counts in record.entities.values() {
        assert_eq!(counts.read, counts.loaded + counts.unchanged + counts.quarantined_total());
    }
    let kept = shop.one("select reason, row_json, resolved from quarantine where rule = 'unparsable_unit_price'").await?;
    assert!(
        kept.contains("`unit_price` of `transactions` must be an amount")
            && kept.contains(r#""unit_price":"cheap""#)
            && kept.contains(r#""sale_id":6"#),
        "{kept}"
    );
    let unknown = shop.one("select reason, row_json from quarantine where rule = 'unknown_product' and entity = 'transactions'").await?;
    assert!(unknown.starts_with("product 99 is not among the products|") && unknown.contains(r#""unit_price":"1.99""#), "{unknown}");
    Ok(())
}

#[tokio::test]
async fn the_same_bad_row_is_kept_once_however_often_it_is_read() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(2, 99, "1", "1.99", AT).await?;
    for hour in 6..9 {
        let record = shop.ingest(&format!("2017-12-01T0{hour}:00:00Z")).await?;
        assert_eq!(record.entities["transactions"].quarantined["unknown_product"], 1);
    }
    assert_eq!(shop.one("select count(*) from quarantine").await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_replay_loads_what_has_become_good_and_leaves_the_rest() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", AT).await?;
    shop.sell(2, 99, "3", "1.10", AT).await?;
    shop.sell(3, 98, "1", "1.00", AT).await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    // The product appears when the sale is already far outside the lag.
    shop.sell(4, 10, "1", "1.99", "2017-12-19 12:00:00").await?;
    shop.ingest("2017-12-20T06:00:00Z").await?;
    shop.run("insert into products values (99, 'New', 3, null, null, 1.1, null, null)").await?;
    shop.ingest("2017-12-21T06:00:00Z").await?;
    assert_eq!(shop.one("select count(*) from fact_sales").await?, "2");
    let record = shop.replay("2017-12-21T07:00:00Z").await?;
    assert_eq!((record.entities["transactions"].read, record.entities["transactions"].loaded), (2, 1));
    assert_eq!(record.entities["transactions"].quarantined["unknown_product"], 1);
    assert_eq!(
        shop.one("select category_id, total_price, known_at from fact_sales where sale_id = 2").await?,
        "3|3.30|2017-12-21T07:00:00Z"
    );
    assert_eq!(shop.one("select sum(total_amount) from agg_sales_yearly where year = 2017").await?, "9.27");
    assert_eq!(
        shop.one(&format!("select row_json like '%\"sale_id\":2,%', resolved_run = '{}' from quarantine where resolved", record.run_id))
            .await?,
        "true|true"
    );
    let again = shop.replay("2017-12-21T08:00:00Z").await?;
    assert_eq!((again.entities["transactions"].read, again.entities["transactions"].loaded), (1, 0));
    assert_eq!(shop.one("select count(*), count(*) filter (where resolved) from quarantine").await?, "2|1");
    Ok(())
}

#[tokio::test]
async fn a_replay_never_undoes_a_newer_version() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(2, 99, "3", "1.10", AT).await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    shop.run(
        "insert into products values (99, 'New', 3, null, null, 1.1, null, null);
              update order_lines set quantity = 5, total_price = 5.5, updated_at = '2017-12-01 12:00:00' where line_id = 2",
    )
    .await?;
    shop.ingest("2017-12-02T06:00:00Z").await?;
    let record = shop.replay("2017-12-02T07:00:00Z").await?;
    assert_eq!((record.entities["transactions"].loaded, record.entities["transactions"].unchanged), (0, 1));
    assert_eq!(shop.one("select quantity, total_price from fact_sales").await?, "5.000|5.50");
    assert_eq!(shop.one("select resolved from quarantine").await?, "true");
    Ok(())
}

#[tokio::test]
async fn rows_that_contradict_each_other_far_apart_do_not_take_turns() -> Result<()> {
    let mut shop = Shop::open().await?.holding_at_once(1000);
    crate::speed::year_of_sales(&mut shop, 140_000).await?;
    // The reader hands over 65,536 rows at a time: these come two chunks after the rows that they contradict and repeat.
    let again = "union all select 1, 10, 100, 77, 1, 77, 0, '2017-11-29 15:00:00', '2017-11-29 15:00:00'
                 union all select * from (select l.line_id, l.product_id, o.customer_id, l.quantity, l.unit_price, l.total_price, l.discount,
                                          o.ordered_at, l.updated_at from order_lines l join orders o using (order_id) where line_id = 2)";
    shop.mapping.transactions.sql = format!("{} {again}", shop.mapping.transactions.sql);
    shop.mapping.transactions.cursor = None;
    for (now, loaded) in [("2017-12-01T06:00:00Z", 140_000), ("2017-12-02T06:00:00Z", 0)] {
        let record = shop.ingest(now).await?;
        let counts = &record.entities["transactions"];
        assert_eq!((counts.read, counts.loaded, counts.quarantined["duplicate_sale_id"]), (140_002, loaded, 1));
        assert_eq!(counts.unchanged, 140_001 - loaded);
    }
    let cents = shop.source_one("select sum(cast(round(total_price * 100) as integer)) from order_lines").await?;
    assert_eq!(shop.one("select cast(sum(total_price) * 100 as bigint) from fact_sales").await?, cents);
    assert_eq!(shop.one("select cast(sum(total_amount) * 100 as bigint) from agg_sales_daily").await?, cents);
    assert_eq!(shop.one("select count(*) from quarantine").await?, "1");
    Ok(())
}

#[tokio::test]
async fn of_contradicting_rows_the_later_counts_and_identical_ones_collapse() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", AT).await?;
    shop.sell(2, 10, "1", "1.99", AT).await?;
    let twice = "union all select 1, 10, 100, 2, 1.99, 3.98, 0, '2017-11-29 15:00:00', '2017-11-29 15:00:00'
                 union all select 2, 10, 100, 9, 1.99, 17.91, 0, '2017-11-29 15:00:00', '2017-11-30 15:00:00'";
    shop.mapping.transactions.sql = format!("{} {twice}", shop.mapping.transactions.sql);
    let record = shop.ingest("2017-12-01T06:00:00Z").await?;
    let counts = &record.entities["transactions"];
    assert_eq!((counts.read, counts.loaded, counts.unchanged, counts.quarantined["duplicate_sale_id"]), (4, 2, 1, 1));
    assert_eq!(shop.rows("select sale_id, quantity from fact_sales order by 1").await?, ["1|2.000", "2|9.000"]);
    let kept = shop.one("select row_json from quarantine").await?;
    assert!(kept.contains(r#""quantity":"1.000""#), "{kept}");
    assert_eq!(shop.replay("2017-12-01T07:00:00Z").await?.entities.get("transactions"), None, "a person decides");
    Ok(())
}
