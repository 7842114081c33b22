//! An experiment from the configuration to its result: users fall to arms by their key and stay there, each answer names
//! its arm, and when a period has ended the record says which arm was nearer.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::shop::{Shop, Stage};

const DAY: &str = "/api/v1/predictions/categories?timeFrame=day&limit=100";

fn configure(shop: &Shop, section: &str) {
    let file = shop.data().join("sellcast.toml");
    let text = fs::read_to_string(&file).expect("the configuration");
    fs::write(&file, format!("{text}\n[experiment]\n{section}\n")).expect("the configuration");
}

#[tokio::test]
async fn arms_are_served_by_user_key_and_scored_when_the_day_is_over() {
    let shop = Shop::at(Stage::Published).await;
    configure(&shop, "frame = \"day\"\narms = [\"last_period\", \"published\", \"no_such_arm\"]\nshare = [0.4, 0.5, 0.1]");
    let ran = shop.run(&["forecast", "--json"]).await.done();
    assert!(ran.stderr.contains("no_such_arm"), "an arm that nothing stands behind is told: {}", ran.stderr);
    let generation = ran.json();
    let arms: Vec<&str> =
        generation["experiment"]["arms"].as_array().expect("arms").iter().map(|arm| arm["name"].as_str().expect("a name")).collect();
    assert_eq!(arms, ["published", "last_period"], "the published arm comes first");

    let server = shop.serve().await;
    let plain = server.list(DAY).await;
    assert_eq!(plain["arm"], "published", "without a key everybody gets what is published");
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for user in 0..40 {
        let path = format!("{DAY}&userKey=user-{user}");
        let answer = server.get(&path).await;
        let list: Value = answer.json();
        let arm = list["arm"].as_str().expect("an arm").to_owned();
        assert_eq!(answer.headers["x-arm"], arm.as_str());
        assert!(answer.headers["vary"].to_str().expect("text").contains("x-user-key"));
        assert_eq!(server.list(&path).await, list, "a user keeps the arm");
        assert_eq!(list["categories"] == plain["categories"], arm == "published", "user {user} in {arm}");
        let by_header = reqwest::Client::new()
            .get(format!("{}{DAY}", server.url))
            .header("x-user-key", format!("user-{user}"))
            .send()
            .await
            .expect("an answer");
        let by_header: Value = serde_json::from_str(&by_header.text().await.expect("a body")).expect("JSON");
        assert_eq!(by_header, list, "header and parameter name the same user");
        let category = &list["categories"][0]["categoryId"];
        let products =
            server.list(&format!("/api/v1/predictions/categories/{category}/products?timeFrame=day&userKey=user-{user}&limit=100")).await;
        let sum: f64 =
            products["products"].as_array().expect("a list").iter().map(|p| p["predictedAmount"].as_f64().expect("a number")).sum();
        assert!((sum - list["categories"][0]["predictedSalesAmount"].as_f64().expect("a number")).abs() < 0.01, "sums agree in {arm}");
        seen.insert(arm);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    let week = server.list("/api/v1/predictions/categories?timeFrame=week&userKey=user-1").await;
    assert!(week.get("arm").is_none(), "other frames have no arms: {week}");
    let wrong = server.get(&format!("{DAY}&userKey=")).await;
    assert_eq!((wrong.status, wrong.json()["errors"][0]["field"].clone()), (400, "userKey".into()));
    let before = server.get("/api/v1/experiments").await.json();
    assert_eq!(before["experiments"][0]["periods"], serde_json::json!([]), "{before}");
    server.stop().await;

    // The day comes and goes.
    shop.change(
        "insert into orders select 900000 + order_id, customer_id, '2017-05-02T15:00:00Z' from orders
         where ordered_at between '2017-04-25T04:00:00Z' and '2017-04-26T04:00:00Z'",
    )
    .await;
    shop.change(
        "insert into order_lines select 900000 + line_id, 900000 + order_id, product_id, quantity, unit_price, total_price, discount,
         '2017-05-02T15:00:00Z' from order_lines where 900000 + order_id in (select order_id from orders)",
    )
    .await;
    shop.run(&["ingest", "--now", "2017-05-03T03:59:59Z"]).await.done();
    shop.run(&["forecast", "--as-of", "2017-05-03"]).await.done();
    let server = shop.serve().await;
    let after = server.get("/api/v1/experiments").await.json();
    let shown = &after["experiments"][0];
    assert_eq!((&shown["timeFrame"], shown["periods"].as_array().map(Vec::len)), (&"day".into(), Some(1)), "{after}");
    let period = &shown["periods"][0];
    assert_eq!(period["periodStart"], "2017-05-02T00:00:00Z");
    let loss = |arm: &str| period["arms"][arm]["loss"].as_f64().expect("a loss");
    let nearest = if loss("published") < loss("last_period") { "published" } else { "last_period" };
    assert_eq!(period["verdict"]["nearest"], nearest, "{period}");
    assert_eq!(shown["verdict"]["nearest"], nearest);
    let p = shown["verdict"]["pValue"].as_f64().expect("a probability");
    assert_eq!(shown["verdict"]["sure"], p < 0.05, "{shown}");
    let page = server.get("/experiments").await;
    assert_eq!(page.status, 200);
    let html = page.text;
    assert!(html.contains("last_period") && html.contains(nearest) && html.contains("p "), "{html}");
    server.stop().await;
}

#[tokio::test]
async fn without_an_experiment_no_answer_names_an_arm() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let answer = server.get(&format!("{DAY}&userKey=anna")).await;
    assert!(answer.json().get("arm").is_none() && !answer.headers.contains_key("x-arm"));
    assert_eq!(server.get("/api/v1/experiments").await.json(), serde_json::json!({"experiments": []}));
    server.stop().await;
    configure(&shop, "frame = \"day\"\narms = [\"published\"]");
    shop.run(&["forecast"]).await.refused(2, &["experiment.arms", "at least one other arm"]);
}
