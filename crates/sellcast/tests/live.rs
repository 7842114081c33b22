//! Running sales without services: a shop with a table of changes, a server that follows it, and forecasts that move with what is
//! sold.

use std::fs::OpenOptions;
use std::io::Write as _;

use sellcast_testkit::{Browser, outbox, until};
use serde_json::Value;

use crate::shop::{PATIENCE, Server, Shop, Stage};

pub(crate) const DAY: &str = "/api/v1/predictions/categories?timeFrame=day&limit=100";
/// Category and product that the sales are of, and where the product moves.
pub(crate) const PRODUCT: i64 = 4;
pub(crate) const CATEGORY: i64 = 102;
pub(crate) const ELSEWHERE: i64 = 305;

/// The section that follows the shop's changes.
fn stream() -> String {
    format!(
        "
[stream]
poll_milliseconds = 50
still_after_seconds = 2

[stream.outbox]
newest = \"{}\"
changes = \"\"\"{}\"\"\"
snapshot = \"\"\"{}\"\"\"
",
        outbox::NEWEST,
        outbox::CHANGES,
        outbox::SNAPSHOT
    )
}

/// A published shop whose tables note their changes, and the configuration to follow them.
pub(crate) async fn shop() -> Shop {
    let shop = Shop::at(Stage::Published).await;
    shop.change(&outbox::tables()).await;
    let mut file = OpenOptions::new().append(true).open(shop.data().join("sellcast.toml")).expect("the configuration");
    file.write_all(stream().as_bytes()).expect("the configuration");
    shop
}

/// A few minutes into the shop's day.
pub(crate) async fn sell(shop: &Shop, id: i64, cents: i64) {
    shop.change(&format!(
        "insert into orders values ({id}, 1, '2017-05-02T04:05:00Z');
         insert into order_lines values ({id}, {id}, {PRODUCT}, 10, '0.00', '{}.{:02}', '0.00', '2017-05-02T04:05:00Z');",
        cents / 100,
        cents % 100
    ))
    .await;
}

/// Amount of a category's window of seven days; nothing before it is there.
pub(crate) async fn week(server: &Server, category: i64) -> Option<f64> {
    let answer = server.get(&format!("/api/v1/windows/categories/{category}")).await;
    (answer.status == 200).then(|| answer.json()["windows"][3]["amount"].as_f64()).flatten()
}

pub(crate) async fn week_becomes(server: &Server, category: i64, expected: f64) {
    let what = format!("{expected} in the window of {category}");
    let waited = until(&what, PATIENCE, || async { week(server, category).await.is_some_and(|amount| (amount - expected).abs() < 0.001) });
    if let Err(error) = waited.await {
        panic!("{error}: {:?}; {}", week(server, category).await, server.program.stderr());
    }
}

pub(crate) async fn forecast(server: &Server, path: &str, category: i64) -> (Value, f64) {
    let list = server.list(path).await;
    let found = list["categories"].as_array().expect("a list").iter().find(|item| item["categoryId"] == category);
    let amount = found.and_then(|item| item["predictedSalesAmount"].as_f64());
    (list["basis"].clone(), amount.expect("an amount"))
}

/// What the shop's own tables say of the seven days of a window that ends with the hour of the newest sale.
pub(crate) async fn sold(shop: &Shop, category: i64, from: &str) -> f64 {
    let sql = "select coalesce(sum(cast(round(total_price * 100) as integer)), 0) from order_lines join orders using (order_id)
               join products using (product_id) where category_id = ? and ordered_at >= ?";
    let cents: i64 = sqlx::query_scalar(sql).bind(category).bind(from).fetch_one(&mut shop.database().await).await.expect("a sum");
    cents as f64 / 100.0
}

#[tokio::test]
async fn a_sale_moves_windows_and_the_running_forecast_and_survives_a_restart() {
    let shop = shop().await;
    let server = shop.serve().await;
    // A silent source is a minute behind the shop's clock, which stands at the beginning of the day.
    let window = |ends: &str| -> String {
        let ends: chrono::DateTime<chrono::Utc> = ends.parse().expect("an instant");
        (ends - chrono::Duration::hours(167)).format("%Y-%m-%dT%H:00:00Z").to_string()
    };
    week_becomes(&server, CATEGORY, sold(&shop, CATEGORY, &window("2017-05-02T03:59:01Z")).await).await;
    let (basis, before) = forecast(&server, DAY, CATEGORY).await;
    assert_eq!(basis, "live", "{}", server.program.stderr());
    let (basis, published) = forecast(&server, &format!("{DAY}&live=false"), CATEGORY).await;
    assert_eq!(basis, "batch");
    assert!((before - published).abs() < 0.02 * published + 0.01, "at the beginning of the day: {before} of {published}");

    sell(&shop, 900_001, 500_000).await;
    let from = window("2017-05-02T04:05:00Z");
    let with_one = sold(&shop, CATEGORY, &from).await;
    week_becomes(&server, CATEGORY, with_one).await;
    until("the live forecast to follow", PATIENCE, || async { forecast(&server, DAY, CATEGORY).await.1 > 5_000.0 })
        .await
        .expect("a live forecast");
    assert_eq!(forecast(&server, &format!("{DAY}&live=false"), CATEGORY).await.1, published);
    let list = server.list(DAY).await;
    assert_eq!(list["liveAsOf"], "2017-05-02T04:05:00Z", "a clock that past data tells has come to the newest sale");
    let first = list["categories"][0]["categoryId"].clone();
    assert_eq!(first, CATEGORY);
    let products = server.list(&format!("/api/v1/predictions/categories/{CATEGORY}/products?timeFrame=day&limit=1")).await;
    assert_eq!(products["products"][0]["productId"], PRODUCT);
    assert!(server.get("/?frame=day").await.text.contains("data-follows"));

    // Killed, and more is sold meanwhile; a change, a deletion and a move follow.
    let mut program = server.program;
    program.kill_9().await.expect("an end");
    sell(&shop, 900_002, 100).await;
    let server = shop.serve().await;
    week_becomes(&server, CATEGORY, with_one + 1.0).await;
    assert!(!server.program.stderr().contains("of the last days are read"), "the tables are read once");
    shop.change("update order_lines set total_price = '7.00' where line_id = 900001").await;
    week_becomes(&server, CATEGORY, with_one + 1.0 - 4_993.0).await;
    shop.change("delete from order_lines where line_id = 900002").await;
    week_becomes(&server, CATEGORY, with_one - 4_993.0).await;
    shop.change(&format!("update products set category_id = {ELSEWHERE} where product_id = {PRODUCT}")).await;
    week_becomes(&server, CATEGORY, sold(&shop, CATEGORY, &from).await).await;
    week_becomes(&server, ELSEWHERE, sold(&shop, ELSEWHERE, &from).await).await;

    // Without the table there is nothing to follow: the published forecast serves and says so.
    shop.change("alter table changes rename to hidden").await;
    until("the stream to stand still", PATIENCE, || async { server.list(DAY).await["streamStillSince"].is_string() })
        .await
        .expect("it stands still");
    assert_eq!(forecast(&server, DAY, CATEGORY).await, ("batch".into(), published));
    assert!(server.get("/?frame=day").await.text.contains("No sales have come since"));
    shop.change("alter table hidden rename to changes").await;
    until("the stream to go on", PATIENCE, || async { server.list(DAY).await["basis"] == "live" }).await.expect("it goes on");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_follows_a_sale() {
    let shop = shop().await;
    let server = shop.serve().await;
    until("a live forecast", PATIENCE, || async { server.list(DAY).await["basis"] == "live" }).await.expect("it is live");
    let browser = Browser::start().await.expect("a browser");
    browser.goto(&format!("{}/?frame=day", server.url)).await.expect("the home page");
    let first = "table.list tbody tr:first-child";
    let before = browser.text(first).await.expect("a row");
    assert!(!before.contains("$5,"), "{before}");
    sell(&shop, 900_001, 500_000).await;
    browser.wait_for_text(first, "$5,", PATIENCE).await.expect("the first category has it, and nobody loaded the page again");
    assert_eq!(browser.console_errors().await.expect("a log"), Vec::<String>::new());
    browser.close().await.expect("the end");
    server.stop().await;
}
