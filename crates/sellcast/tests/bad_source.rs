//! Sources as they are in life: gone, locked, changed, misspelt, full of rows that cannot be. Each fault is told with
//! its mend, nothing is lost, and what is in the warehouse stays.

use crate::shop::{NOW, Shop, Stage};
use crate::tables::Tables;

const INGEST: [&str; 3] = ["ingest", "--now", NOW];

async fn quarantine(shop: &Shop) -> Vec<String> {
    let tables = Tables::open(&shop.data()).await;
    tables.rows("select rule, count(*) from quarantine where not resolved group by rule order by rule").await
}

#[tokio::test]
async fn a_missing_source_file_is_named() {
    let shop = Shop::at(Stage::Mapped).await;
    std::fs::remove_file(shop.data().join("shop.db")).expect("the database");
    shop.run(&INGEST).await.refused(1, &["shop.db", "does not exist", "url"]);
    shop.run(&["check"]).await.refused(2, &["shop.db", "does not exist"]);
}

#[tokio::test]
async fn a_locked_source_is_told_apart_and_read_when_it_is_free() {
    let shop = Shop::at(Stage::Mapped).await;
    let mut holder = shop.database().await;
    sqlx::raw_sql("begin exclusive").execute(&mut holder).await.expect("the lock");
    shop.run(&INGEST).await.refused(1, &["shop.db", "locked by another program"]);
    sqlx::raw_sql("rollback").execute(&mut holder).await.expect("the end of it");
    shop.ingest().await;
}

#[tokio::test]
async fn a_source_without_a_mapped_column_is_refused_before_anything_is_written() {
    let shop = Shop::at(Stage::Ingested).await;
    let before = Tables::open(&shop.data()).await.value("select count(*) from fact_sales").await;
    shop.change("alter table order_lines rename column discount to rebate").await;
    shop.run(&INGEST).await.refused(1, &["transactions", "discount"]);
    shop.run(&["check"]).await.refused(2, &["transactions", "discount"]);
    let tables = Tables::open(&shop.data()).await;
    assert_eq!(tables.value("select count(*) from fact_sales").await, before);
}

#[tokio::test]
async fn a_mapping_with_an_unknown_column_is_answered_with_the_nearest_names() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.reconfigure("l.quantity,", "l.quantity as quantitty,");
    for (command, code) in [(&INGEST[..], 1), (&["check"][..], 2)] {
        shop.run(command).await.refused(code, &["`quantitty`", "`quantity`", "transactions"]);
    }
}

#[tokio::test]
async fn every_fault_of_a_mapping_is_told_at_once() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.reconfigure("l.quantity,", "l.quantity as quantitty,");
    shop.reconfigure("select category_id, name, parent_category_id from categories", "select category_id, name from kategories");
    shop.run(&["check"]).await.refused(2, &["quantitty", "kategories", "categories", "transactions"]);
}

#[tokio::test]
async fn rows_that_cannot_be_are_quarantined_with_their_rule_and_the_rest_is_loaded() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.change(
        "update order_lines set quantity = 'three' where line_id in (5, 6);
         update order_lines set unit_price = 'cheap' where line_id = 7;
         update order_lines set quantity = 0 where line_id = 8;
         update order_lines set unit_price = '-1.00' where line_id = 9;
         update orders set ordered_at = '2031-01-01T00:00:00Z' where order_id = 100;",
    )
    .await;
    let mut database = shop.database().await;
    let of_the_future: i64 =
        sqlx::query_scalar("select count(*) from order_lines where order_id = 100").fetch_one(&mut database).await.expect("a count");
    let lines: i64 = sqlx::query_scalar("select count(*) from order_lines").fetch_one(&mut database).await.expect("a count");
    let record = shop.ingest().await;
    let sales = &record["entities"]["transactions"];
    let expected = serde_json::json!({ "future_date": of_the_future, "negative_price": 1, "unparsable_quantity": 2, "unparsable_unit_price": 1, "zero_quantity": 1 });
    assert_eq!(sales["quarantined"], expected);
    assert_eq!(sales["loaded"].as_i64(), Some(lines - 5 - of_the_future), "{sales}");
    let tables = Tables::open(&shop.data()).await;
    let kept = tables.rows("select row_json from quarantine where rule = 'unparsable_quantity'").await;
    assert!(kept.len() == 2 && kept.iter().all(|row| row.contains("three") && row.contains("total_price")), "{kept:?}");
    shop.ingest().await;
    let again = quarantine(&shop).await;
    assert_eq!(
        again.iter().filter(|row| row.starts_with("unparsable_quantity")).collect::<Vec<_>>(),
        ["unparsable_quantity|2"],
        "no second copy"
    );
}

#[tokio::test]
async fn of_two_sales_with_one_id_one_is_kept_and_the_other_quarantined() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.reconfigure(
        "select l.line_id as sale_id, l.product_id",
        "select case l.line_id when 12 then 11 else l.line_id end as sale_id, l.product_id",
    );
    let record = shop.ingest().await;
    let sales = &record["entities"]["transactions"];
    let rules = sales["quarantined"].as_object().expect("rules");
    assert_eq!(rules.len(), 1, "{sales}");
    assert!(rules.iter().all(|(rule, count)| rule.starts_with("duplicate_") && *count == 1), "{sales}");
    let tables = Tables::open(&shop.data()).await;
    assert_eq!(tables.value("select count(*) from fact_sales where sale_id in (11, 12)").await, "1");
}

#[tokio::test]
async fn orders_for_an_unknown_product_wait_until_it_is_known() {
    let shop = Shop::at(Stage::Mapped).await;
    shop.change("update order_lines set product_id = 9999 where line_id in (21, 22)").await;
    let record = shop.ingest().await;
    assert_eq!(record["entities"]["transactions"]["quarantined"], serde_json::json!({ "unknown_product": 2 }));
    assert_eq!(quarantine(&shop).await, ["unknown_product|2"]);
    let early = shop.run(&["ingest", "--replay-quarantine", "--now", NOW, "--json"]).await.json();
    assert_eq!(early["entities"]["transactions"]["loaded"], 0, "{early}");
    shop.change(
        "insert into products select 9999, 'Found again', category_id, brand, current_price, created_at, updated_at from products where product_id = 1",
    )
    .await;
    shop.ingest().await;
    let replay = shop.run(&["ingest", "--replay-quarantine", "--now", NOW, "--json"]).await.json();
    assert_eq!((&replay["kind"], &replay["entities"]["transactions"]["loaded"]), (&"replay".into(), &2.into()), "{replay}");
    assert_eq!(quarantine(&shop).await, Vec::<String>::new());
    let tables = Tables::open(&shop.data()).await;
    assert_eq!(tables.value("select count(*) from fact_sales where product_id = 9999").await, "2");
    let sold = tables.value("select cast(sum(total_amount) * 100 as bigint) from agg_sales_yearly").await;
    let cents = "select sum(cast(round(total_price * 100) as integer)) from order_lines";
    let cents: i64 = sqlx::query_scalar(cents).fetch_one(&mut shop.database().await).await.expect("a sum");
    assert_eq!(sold, cents.to_string());
}
