//! What-if questions through the real program: answered beside the published forecast, which stays as it is, and refused
//! in words when they are nonsense.

use serde_json::{Value, json};

use crate::shop::{Server, Shop, Stage};

const WEEK: &str = "/api/v1/predictions/categories?timeFrame=week&limit=100";

async fn ask(server: &Server, question: &Value) -> (u16, String, Value) {
    let answer = reqwest::Client::new().post(format!("{}/api/v1/what-if", server.url)).json(question).send().await.expect("an answer");
    let kind = answer.headers().get("content-type").map_or("", |kind| kind.to_str().expect("text")).to_owned();
    let status = answer.status().as_u16();
    let body = answer.text().await.expect("a body");
    (status, kind, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[tokio::test]
async fn another_price_or_promotion_is_answered_and_the_published_forecast_stays() {
    let shop = Shop::at(Stage::Trained).await;
    let server = shop.serve().await;
    let before = server.list(WEEK).await;
    let category = &before["categories"][0]["categoryId"];
    let products = server.list(&format!("/api/v1/predictions/categories/{category}/products?timeFrame=week&limit=100")).await;
    let products = products["products"].as_array().expect("a list").clone();
    let mut moved = 0;
    for product in &products {
        let question = json!({"productId": product["productId"], "timeFrame": "week", "promotion": {"kind": "mailer", "strength": 95}});
        let (status, _, answer) = ask(&server, &question).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["published"]["amount"], product["predictedAmount"], "{answer}");
        assert_eq!(answer["published"]["rank"], product["rank"], "{answer}");
        assert_eq!((&answer["productName"], &answer["categoryId"]), (&product["productName"], category));
        let changed = &answer["changed"];
        let rank = changed["rank"].as_u64().expect("a rank");
        assert!((1..=products.len() as u64).contains(&rank), "{answer}");
        if changed["amount"] != answer["published"]["amount"] {
            moved += 1;
            // The rank is the place among the others' published amounts.
            let amount = changed["amount"].as_f64().expect("a number");
            let above = products.iter().filter(|other| {
                other["productId"] != product["productId"] && other["predictedAmount"].as_f64().expect("a number") > amount
            });
            assert!(rank > above.count() as u64, "{answer}");
        }
    }
    assert!(moved > 0, "no product responds to a mailer");
    let id = &products[0]["productId"];
    let as_it_is = ask(&server, &json!({"productId": id, "timeFrame": "week", "promotion": {"kind": "display", "strength": 0}})).await.2;
    assert_eq!(as_it_is["changed"], as_it_is["published"], "the shop has no displays to take away");
    let (status, _, priced) = ask(&server, &json!({"productId": id, "timeFrame": "week", "price": 1.49})).await;
    assert_eq!(status, 200, "{priced}");
    assert!(priced["notes"][0].as_str().is_some_and(|note| note.contains("price")), "{priced}");
    let year = ask(&server, &json!({"productId": id, "timeFrame": "year", "price": 1.49})).await.2;
    assert_eq!(year["changed"], year["published"]);
    assert!(year["notes"][0].as_str().is_some_and(|note| note.contains("averages")), "{year}");
    assert_eq!(server.list(WEEK).await, before, "the published forecast is untouched");

    let page = server.get(&format!("/products/{id}?frame=week&kind=mailer&strength=95&price=")).await;
    let html = page.text;
    assert!(html.contains("What if?") && html.contains("With the change") && html.contains("value=\"95\""), "{html}");
    let page = server.get(&format!("/products/{id}?price=-3")).await;
    assert_eq!(page.status, 200);
    let html = page.text;
    assert!(html.contains("is no price"), "{html}");
    server.stop().await;
}

#[tokio::test]
async fn nonsense_is_refused_with_every_fault() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    for (question, fields) in [
        (json!({}), vec!["productId", "timeFrame", "price"]),
        (json!([]), vec!["body"]),
        (json!({"productId": 1, "timeFrame": "fortnight", "price": 0}), vec!["timeFrame", "price"]),
        (json!({"productId": 1, "timeFrame": "week", "price": 1.999}), vec!["price"]),
        (
            json!({"productId": 1, "timeFrame": "week", "promotion": {"kind": "radio", "strength": -1}}),
            vec!["promotion.kind", "promotion.strength"],
        ),
        (json!({"productId": 1, "timeFrame": "week", "prize": 3}), vec!["prize", "price"]),
    ] {
        let (status, kind, problem) = ask(&server, &question).await;
        assert_eq!((status, kind.as_str(), &problem["code"]), (400, "application/problem+json", &"INVALID_PARAMETER".into()), "{problem}");
        let named: Vec<&str> =
            problem["errors"].as_array().expect("errors").iter().map(|error| error["field"].as_str().expect("text")).collect();
        assert_eq!(named, fields, "{problem}");
    }
    let (status, kind, problem) = ask(&server, &json!({"productId": 987_654_321, "timeFrame": "week", "price": 2})).await;
    assert_eq!((status, kind.as_str(), &problem["code"]), (404, "application/problem+json", &"NOT_FOUND".into()));
    let get = server.get("/api/v1/what-if").await;
    assert_eq!(get.status, 405);
    let (status, _, averages) = ask(&server, &json!({"productId": 1, "timeFrame": "week", "price": 2})).await;
    assert_eq!(status, 200, "{averages}");
    assert_eq!(averages["changed"], averages["published"], "averages do not respond: {averages}");
    server.stop().await;
}

#[tokio::test]
async fn a_machine_without_the_models_says_so() {
    let shop = Shop::at(Stage::Trained).await;
    std::fs::remove_dir_all(shop.data().join("models")).expect("models were trained");
    let server = shop.serve().await;
    let (status, kind, problem) = ask(&server, &json!({"productId": 1, "timeFrame": "week", "price": 2})).await;
    assert_eq!((status, kind.as_str(), &problem["code"]), (503, "application/problem+json", &"NOT_READY".into()), "{problem}");
    assert!(
        problem["detail"].as_str().is_some_and(|detail| detail.contains("models") && detail.contains("ask the machine that publishes"))
    );
    server.stop().await;
}
