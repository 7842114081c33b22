//! The demo's own data, as far as the first weeks: real sales, a real shop database, and what is no goods left out.

use sellcast_testkit::{Program, TestDir};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::shop::{PROGRAM, Server, run_plain};
use crate::tables::Tables;

#[tokio::test]
async fn the_demo_shop_is_ingested_to_the_cent_and_forecasts_goods_only() {
    let folder = TestDir::new("demo").expect("a folder");
    run_plain(folder.path(), &["demo", "--prepare", "--until", "2017-01-20", "--dir", "demo"]).await.done();
    let data = folder.join("demo");
    let mut shop = SqliteConnectOptions::new().filename(data.join("shop.db")).connect().await.expect("the shop");
    let tables = Tables::open(&data).await;
    // In January New York is five hours behind UTC.
    let kept = "select date(o.ordered_at, '-5 hours') || '|' || count(*) || '|' || sum(cast(round(l.total_price * 100) as integer))
        from order_lines l join orders o using (order_id) join products p using (product_id) where l.quantity <> 0
        group by date(o.ordered_at, '-5 hours') order by 1";
    let kept: Vec<String> = sqlx::query_scalar(kept).fetch_all(&mut shop).await.expect("sums");
    assert!(kept.len() >= 18 && kept.last().is_some_and(|day| day.starts_with("2017-01-19|")), "{kept:?}");
    let sold = "select date_id, count(*), cast(sum(total_price) * 100 as bigint) from fact_sales group by date_id order by date_id";
    assert_eq!(tables.rows(sold).await, kept);
    let fuel = "select count(*) from fact_sales f join dim_category c using (category_id) where c.is_excluded";
    assert_ne!(tables.value(fuel).await, "0", "what is no goods is loaded all the same");
    run_plain(folder.path(), &["forecast", "--dir", "demo"]).await.done();
    let program = Program::start(PROGRAM, "serve", folder.path(), ["serve", "--dir", "demo", "--port", "0"]).expect("the program");
    let server = Server::of(program).await.ready().await;
    let mut named = Vec::new();
    for page in 1..=4 {
        let list = server.list(&format!("/api/v1/predictions/categories?timeFrame=week&limit=100&page={page}")).await;
        let list = list["categories"].as_array().expect("a list").clone();
        named.extend(list.iter().map(|category| category["categoryId"].to_string()));
    }
    assert!(named.len() > 150, "{}", named.len());
    let excluded = tables.rows("select category_id from dim_category where is_excluded").await;
    assert!(!excluded.is_empty() && !named.iter().any(|id| excluded.contains(id)), "no forecast for what is no goods");
    server.stop().await;
}
