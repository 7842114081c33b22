//! Requests that cannot be answered, sent to the running program: each gets a problem that names what is wrong and what
//! is allowed.

use serde_json::Value;

use crate::shop::{Server, Shop, Stage};

const API: &str = "/api/v1/predictions/categories";

async fn problem(server: &Server, path: &str, status: u16, code: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!((answer.status, answer.kind.as_str()), (status, "application/problem+json"), "{path}: {}", answer.text);
    let body = answer.json();
    assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()), "{path}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}: {body}");
    body
}

#[tokio::test]
async fn wrong_parameters_are_named_with_what_is_allowed() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    for (query, field, allowed) in [
        ("", "timeFrame", "half_year"),
        ("timeFrame=fortnight", "timeFrame", "half_year"),
        ("timeFrame=week&page=0", "page", "1 to "),
        ("timeFrame=week&page=-1", "page", "1 to "),
        ("timeFrame=week&limit=0", "limit", "1 to 100"),
        ("timeFrame=week&limit=10000", "limit", "1 to 100"),
        ("timeFrame=week&limit=many", "limit", "1 to 100"),
        ("timeFrame=week&date=yesterday", "date", "2017-12-04"),
        ("timeFrame=week&date=2017-02-30", "date", "2017-12-04"),
        ("timeFrame=week&date=9999-01-01", "date", "2200-12-31"),
        ("timeFrame=week&colour=red", "colour", "timeFrame"),
    ] {
        for path in [API.to_owned(), format!("{API}/101/products")] {
            let body = problem(&server, &format!("{path}?{query}"), 400, "INVALID_PARAMETER").await;
            let fault = &body["errors"][0];
            assert_eq!(fault["field"], field, "{query}: {body}");
            assert!(fault["allowed"].as_str().is_some_and(|text| text.contains(allowed)), "{query}: {body}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let unknown = problem(&server, &format!("{API}/4711/products?timeFrame=week"), 404, "NOT_FOUND").await;
    assert!(unknown["detail"].as_str().is_some_and(|detail| detail.contains("4711")), "{unknown}");
    problem(&server, "/api/v1/nothing", 404, "NOT_FOUND").await;
    for date in ["2016-01-01", "2017-05-01", "2019-01-01"] {
        let body = problem(&server, &format!("{API}?timeFrame=week&date={date}"), 404, "NOTHING_PUBLISHED").await;
        assert_eq!(body["nearestDate"], "2017-05-02", "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_graphql_query_that_is_too_deep_or_wrong_carries_its_code() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let deep = format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(12), " } }".repeat(12));
    for (query, code) in [
        (deep.as_str(), "QUERY_TOO_COMPLEX"),
        ("{ predictions(timeFrame: FORTNIGHT) { modelVersion } }", "INVALID_PARAMETER"),
        ("{ categoryPrediction(id: 4711, timeFrame: WEEK) { name } }", "NOT_FOUND"),
        ("{ predictions(timeFrame: WEEK) { categories(limit: 10000) { id } } }", "INVALID_PARAMETER"),
    ] {
        let answer = server.graphql(query).await;
        assert_eq!(answer.json()["errors"][0]["extensions"]["code"], code, "{query}: {}", answer.text);
    }
    server.stop().await;
}

#[tokio::test]
async fn before_the_first_forecast_the_server_says_so_and_is_not_ready() {
    let shop = Shop::at(Stage::Ingested).await;
    let server = Server::of(shop.start("serve", &["serve", "--port", "0"])).await;
    assert_eq!(server.get("/health/live").await.status, 200);
    assert_eq!(server.get("/health/ready").await.status, 503);
    problem(&server, &format!("{API}?timeFrame=week"), 503, "NOT_READY").await;
    server.stop().await;
}
