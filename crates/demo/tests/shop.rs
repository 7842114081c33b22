//! What stands in a fresh shop, against the Parquet files and against what a shop promises.

use datafusion::prelude::{ParquetReadOptions, SessionContext};
use sellcast_demo::{NOT_GOODS, create_shop, demo_config};
use sqlx::{AssertSqlSafe, Row};

use crate::{Shop, data, day};

/// One integer from the transactions file, by a query that shares nothing with the shop's own.
async fn parquet(select: &str) -> i64 {
    let context = SessionContext::new();
    let file = data().join("transactions.parquet");
    context.register_parquet("t", file.to_str().expect("a path"), ParquetReadOptions::default()).await.expect("the file");
    let batches =
        context.sql(&format!("select cast({select} as bigint) as n from t")).await.expect("a query").collect().await.expect("an answer");
    datafusion::common::cast::as_int64_array(batches[0].column(0)).expect("an integer").value(0)
}

const CENTS: &str = "select sum(cast(round(total_price * 100) as integer)) from order_lines";

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_year_equals_the_source_to_the_cent() {
    let shop = Shop::until("2018-01-01").await;
    assert_eq!(shop.number("select count(*) from order_lines").await, 1_469_307);
    assert_eq!(shop.number("select count(*) from order_lines").await, parquet("count(*)").await);
    assert_eq!(shop.number("select count(*) from orders").await, parquet("count(distinct basket_id)").await);
    assert_eq!(shop.number(CENTS).await, parquet("sum(cast(sales_value_cents as bigint))").await);
    assert_eq!(
        shop.number("select sum(cast(round(discount * 100) as integer)) from order_lines").await,
        parquet("sum(cast(retail_disc_cents as bigint) + coupon_disc_cents + coupon_match_disc_cents)").await
    );
    assert_eq!(shop.number("select count(*) from products").await, 92_331);
    assert_eq!(shop.number("select count(*) from customers").await, 2_469);
    assert_eq!(shop.number("select count(*) from changes").await, 0, "history is no change");
    assert_eq!(shop.number("select count(*) from pragma_foreign_key_check").await, 0);
    // Gasoline is recorded in thousandths of a gallon; a gallon cost between one and four dollars.
    let dear = "select count(*) from order_lines l join products p using (product_id)
                where p.description like '%GASOLINE%' and l.quantity > 1 and (l.unit_price + 0 < 1 or l.unit_price + 0 > 4)";
    assert_eq!(shop.number(dear).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_knows_nothing_of_the_days_after() {
    let shop = Shop::until("2017-02-01").await;
    assert!(shop.number("select count(*) from order_lines").await > 50_000);
    assert_eq!(shop.words("select max(ordered_at) from orders").await[0].as_str().cmp("2017-02-01T05:00:00Z"), std::cmp::Ordering::Less);
    assert_eq!(shop.number("select count(*) from promotions where announced_at >= '2017-02-01T05:00:00Z'").await, 0);
    assert_eq!(
        shop.number("select count(*) from products p where current_price is not null and not exists (select 1 from order_lines l where l.product_id = p.product_id)").await,
        0,
        "a price of a product that was never sold would tell that it will be"
    );
    assert_eq!(shop.number("select count(distinct created_at) from products").await, 1);
    assert_eq!(shop.number("select count(*) from customers where last_login >= '2017-02-01T05:00:00Z'").await, 0);
    assert_eq!(
        shop.number("select count(distinct name || category_id) from products").await,
        92_331,
        "names tell the products of a type apart"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_category_tree_is_well_formed() {
    let shop = Shop::until("2017-01-02").await;
    let levels = "with recursive tree (category_id, level) as (
        select category_id, 1 from categories where parent_category_id is null
        union all select c.category_id, level + 1 from categories c join tree on c.parent_category_id = tree.category_id)
      select group_concat(level || ':' || members, ' ') from (select level, count(*) as members from tree group by level order by level)";
    assert_eq!(shop.words(levels).await, ["1:25 2:310 3:3868"]);
    assert_eq!(shop.number("select count(*) from products where category_id < 1001").await, 0, "products belong to types");
    let childless = "select count(*) from categories c where category_id < 1001 and not exists (select 1 from categories k where k.parent_category_id = c.category_id)";
    assert_eq!(shop.number(childless).await, 0);
    assert_eq!(
        shop.number("select count(*) - count(distinct name) from categories where category_id < 1001").await,
        0,
        "names of departments and categories are unique"
    );
    let milk = "select p.name from categories c join categories p on p.category_id = c.parent_category_id where c.name = 'Milk'";
    assert_eq!(shop.words(milk).await, ["Grocery"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_fits_the_shop() {
    let shop = Shop::until("2017-01-02").await;
    let config: toml::Table = demo_config().parse().expect("TOML");
    for entity in ["categories", "products", "customers", "transactions", "promotions"] {
        let sql = config["source"][entity]["sql"].as_str().expect("a query").to_owned();
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&shop.pool).await.expect(entity);
        assert!(row.len() >= 4, "{entity}");
    }
    for name in NOT_GOODS {
        let found: i64 = sqlx::query_scalar("select count(*) from categories where name = ? and category_id < 1001")
            .bind(name)
            .fetch_one(&shop.pool)
            .await
            .expect("a count");
        assert_eq!(found, 1, "{name}");
    }
    let excluded = config["forecast"]["exclude"].as_array().expect("a list");
    assert_eq!(excluded.len(), NOT_GOODS.len());
}

#[tokio::test]
async fn an_existing_shop_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shop.db");
    std::fs::write(&file, "mine").expect("a file");
    let error = create_shop(&file, &data(), day("2017-02-01"), &|_, _| {}).await.expect_err("a refusal").to_string();
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_behind_is_replaced_by_a_whole_shop() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shop.db");
    let unfinished = folder.path().join("shop.db.unfinished");
    std::fs::write(&unfinished, "half a database").expect("a file");
    let summary = create_shop(&file, &data(), day("2017-01-02"), &|_, _| {}).await.expect("a shop");
    assert!(file.is_file() && !unfinished.exists());
    // Only the Sunday of the first week was sold.
    assert_eq!(summary.lines, 3_722);
}

#[tokio::test]
async fn missing_data_is_told_with_its_mend() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shop.db");
    let error = create_shop(&file, folder.path(), day("2017-02-01"), &|_, _| {}).await.expect_err("a refusal").to_string();
    assert!(error.contains("scripts/demo-data.sh"), "{error}");
    assert!(!file.exists());
}
