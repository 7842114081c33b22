//! The warehouse against the shop: the same sums asked in SQLite's SQL of the shop's tables and in another engine's of
//! the Delta tables, to the cent.

use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::shop::{Shop, Stage};
use crate::tables::Tables;

/// Sales by shop day in the shop's tables. Five hours behind UTC every sale of the small shop (from 9 to 20 o'clock in
/// New York) is on its shop day, in summer and in winter.
const SALES: &str = "select date(o.ordered_at, '-5 hours') as d, p.category_id, l.product_id, l.quantity,
  cast(round(l.total_price * 100) as integer) as cents, cast(round(l.unit_price * 100) as integer) as price
  from order_lines l join orders o using (order_id) join products p using (product_id)";

async fn of_the_shop(database: &mut SqliteConnection, sql: String) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.clone())).fetch_all(database).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Each aggregate table with the first and last day of the period of a day `d`, in SQLite's words.
const PERIODS: [(&str, &str, &str); 5] = [
    ("agg_sales_daily", "d", "d"),
    ("agg_sales_weekly", "date(d, 'weekday 0', '-6 days')", "date(d, 'weekday 0')"),
    ("agg_sales_monthly", "date(d, 'start of month')", "date(d, 'start of month', '+1 month', '-1 day')"),
    (
        "agg_sales_quarterly",
        "date(d, 'start of month', '-' || ((strftime('%m', d) - 1) % 3) || ' months')",
        "date(d, 'start of month', '-' || ((strftime('%m', d) - 1) % 3) || ' months', '+3 months', '-1 day')",
    ),
    ("agg_sales_yearly", "date(d, 'start of year')", "date(d, 'start of year', '+1 year', '-1 day')"),
];

/// Facts and every aggregate table equal the shop's own rows.
async fn assert_sums_equal(shop: &Shop) {
    let mut database = shop.database().await;
    let tables = Tables::open(&shop.data()).await;
    let by_line = "select d || '|' || category_id || '|' || product_id || '|' || cast(sum(quantity) * 1000 as integer) || '|' || sum(cents)
        || '|' || count(*) from";
    let source =
        of_the_shop(&mut database, format!("{by_line} ({SALES}) group by d, category_id, product_id order by d, category_id, product_id"))
            .await;
    let facts =
        "select date_id, category_id, product_id, cast(sum(quantity) * 1000 as bigint), cast(sum(total_price) * 100 as bigint), count(*)
        from fact_sales group by 1, 2, 3 order by 1, 2, 3";
    assert!(source.len() > 1_000, "{}", source.len());
    assert_eq!(tables.rows(facts).await, source, "fact_sales");
    for (table, start, end) in PERIODS {
        let source = format!(
            "select s || '|' || e || '|' || category_id || '|' || product_id || '|' || cast(sum(quantity) * 1000 as integer) || '|' ||
               sum(cents) || '|' || count(*) from (select {start} as s, {end} as e, * from ({SALES}))
             group by s, category_id, product_id order by s, category_id, product_id"
        );
        let kept = format!(
            "select start_date, end_date, category_id, product_id, cast(total_quantity * 1000 as bigint), cast(total_amount * 100 as bigint),
               num_transactions from {table} order by start_date, category_id, product_id"
        );
        let source = of_the_shop(&mut database, source).await;
        assert!(source.len() >= 100, "{table}: {}", source.len());
        assert_eq!(tables.rows(&kept).await, source, "{table}");
        let prices = format!(
            "select cast(1.0 * sum(price) / count(*) as text) from (select {start} as s, * from ({SALES}))
             group by s, category_id, product_id order by s, category_id, product_id"
        );
        let kept = format!("select cast(avg_unit_price * 100 as double) from {table} order by start_date, category_id, product_id");
        for (ours, shops) in tables.rows(&kept).await.iter().zip(of_the_shop(&mut database, prices).await) {
            let (ours, shops): (f64, f64) = (ours.parse().expect("a price"), shops.parse().expect("a price"));
            assert!((ours - shops).abs() <= 0.501, "{table}: {ours} and {shops} cents");
        }
    }
}

#[tokio::test]
async fn facts_and_every_aggregate_equal_the_shop_to_the_cent() {
    let shop = Shop::at(Stage::Ingested).await;
    assert_sums_equal(&shop).await;
}

#[tokio::test]
async fn they_still_do_after_corrections_returns_and_late_rows() {
    let shop = Shop::at(Stage::Ingested).await;
    shop.change(
        "update order_lines set quantity = 7, total_price = '70.07', updated_at = '2017-05-02T10:00:00Z' where line_id = 9000;
         update order_lines set product_id = 3, updated_at = '2017-05-02T10:00:00Z' where line_id = 10000;
         insert into orders values (90001, 1, '2017-05-02T15:00:00Z'), (90002, 2, '2017-04-30T15:00:00Z');
         insert into order_lines values (90001, 90001, 5, -1, '9.99', '-9.99', '0.00', '2017-05-02T15:00:00Z'),
           (90002, 90002, 6, 2, '0.01', '0.02', '0.00', '2017-05-02T15:00:00Z');",
    )
    .await;
    let record = shop.run(&["ingest", "--now", "2017-05-03T03:59:59Z", "--json"]).await.json();
    assert_eq!(record["entities"]["transactions"]["loaded"], 4, "{record}");
    assert_sums_equal(&shop).await;
    let tables = Tables::open(&shop.data()).await;
    assert_eq!(tables.value("select is_return from fact_sales where sale_id = 90001").await, "true");
}

#[tokio::test]
async fn no_name_and_no_address_of_a_customer_is_in_the_warehouse() {
    let shop = Shop::at(Stage::Ingested).await;
    let tables = Tables::open(&shop.data()).await;
    let kept = tables.rows("select name, email from dim_customer").await;
    assert_eq!(kept.len(), 200);
    for pseudonyms in kept.iter().map(|row| row.split('|').collect::<Vec<_>>()) {
        assert!(pseudonyms.iter().all(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())), "{pseudonyms:?}");
    }
}
