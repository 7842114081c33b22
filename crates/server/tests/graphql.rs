//! GraphQL: the promised types, the same numbers and the same errors as REST, and its limits.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::App;

async fn ask(app: &App, query: &str) -> Value {
    let body = json!({ "query": query }).to_string();
    let answer = app.request(Method::POST, "/graphql", &[("content-type", "application/json")], Body::from(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn forecasts_are_the_same_as_over_rest() {
    let app = App::open().await;
    let asked = ask(
        &app,
        "{ predictions(timeFrame: WEEK) { timeFrame periodStart periodEnd generatedAt generationTimestamp modelVersion
             categories(limit: 3, page: 2) { id name predictedSalesAmount confidenceScore rank
               topProducts(limit: 2) { id name predictedQuantity predictedAmount confidenceScore rank } } } }",
    )
    .await;
    assert!(asked["errors"].is_null(), "{asked}");
    let result = &asked["data"]["predictions"];
    assert_eq!(result["timeFrame"], "WEEK");
    assert_eq!((&result["periodStart"], &result["periodEnd"]), (&json!("2017-12-04T00:00:00Z"), &json!("2017-12-10T23:59:59Z")));
    assert_eq!(result["modelVersion"], "week/2017-12-04");
    let rest = app.get("/api/v1/predictions/categories?timeFrame=week&limit=3&page=2").await.json();
    let categories = result["categories"].as_array().expect("a list");
    assert_eq!(categories.len(), 3);
    for (shown, expected) in categories.iter().zip(rest["categories"].as_array().expect("a list")) {
        assert_eq!(shown["id"], expected["categoryId"].to_string());
        assert_eq!(shown["name"], expected["categoryName"]);
        assert_eq!(shown["predictedSalesAmount"], expected["predictedSalesAmount"]);
        assert_eq!(shown["confidenceScore"], expected["confidenceScore"]);
        assert_eq!(shown["rank"], expected["rank"]);
        let path = format!("/api/v1/predictions/categories/{}/products?timeFrame=week&limit=2", expected["categoryId"]);
        let products = app.get(&path).await.json();
        for (product, expected) in
            shown["topProducts"].as_array().expect("a list").iter().zip(products["products"].as_array().expect("a list"))
        {
            assert_eq!(product["id"], expected["productId"].to_string());
            assert_eq!(product["name"], expected["productName"]);
            for field in ["predictedQuantity", "predictedAmount", "confidenceScore", "rank"] {
                assert_eq!(product[field], expected[field], "{field}");
            }
        }
    }
}

#[tokio::test]
async fn products_beyond_the_first_hundred_are_reached_by_pages() {
    let app = App::open().await;
    let asked = ask(&app, "{ categoryPrediction(id: 1, timeFrame: MONTH) { name topProducts(limit: 60, page: 2) { rank } } }").await;
    let ranks: Vec<u64> = asked["data"]["categoryPrediction"]["topProducts"]
        .as_array()
        .unwrap_or_else(|| panic!("{asked}"))
        .iter()
        .filter_map(|product| product["rank"].as_u64())
        .collect();
    assert_eq!(ranks, (61..=120).collect::<Vec<u64>>());
    let asked = ask(&app, "{ categoryPrediction(id: 1, timeFrame: MONTH) { topProducts { rank } } }").await;
    assert_eq!(asked["data"]["categoryPrediction"]["topProducts"].as_array().map(Vec::len), Some(10));
}

#[tokio::test]
async fn a_past_date_is_read() {
    let app = App::open().await;
    let asked = ask(&app, r#"{ predictions(timeFrame: DAY, date: "2017-12-01") { periodStart } }"#).await;
    assert_eq!(asked["data"]["predictions"]["periodStart"], "2017-12-01T00:00:00Z");
}

#[tokio::test]
async fn errors_carry_the_codes_of_rest() {
    let app = App::open().await;
    let deep = format!("{{ __schema {{ types {{ {}name{} }} }} }}", "fields { type { ".repeat(8), " } }".repeat(8));
    let wide = "{ predictions(timeFrame: WEEK) { categories(limit: 100) { topProducts(limit: 100) { id name rank } } } }";
    for (query, code) in [
        ("{ predictions(timeFrame: FORTNIGHT) { modelVersion } }", "INVALID_PARAMETER"),
        ("{ predictions { modelVersion } }", "INVALID_PARAMETER"),
        ("{ predictions(timeFrame: WEEK) { nothing } }", "INVALID_PARAMETER"),
        ("{ predictions(timeFrame: WEEK", "INVALID_PARAMETER"),
        (r#"{ predictions(timeFrame: WEEK, date: "soon") { modelVersion } }"#, "INVALID_PARAMETER"),
        (r#"{ predictions(timeFrame: WEEK, date: "2017-12-02") { modelVersion } }"#, "NOTHING_PUBLISHED"),
        ("{ predictions(timeFrame: WEEK) { categories(limit: 0) { id } } }", "INVALID_PARAMETER"),
        ("{ predictions(timeFrame: WEEK) { categories(limit: 101) { id } } }", "INVALID_PARAMETER"),
        ("{ predictions(timeFrame: WEEK) { categories(page: 0) { id } } }", "INVALID_PARAMETER"),
        ("{ categoryPrediction(id: 4711, timeFrame: WEEK) { name } }", "NOT_FOUND"),
        (r#"{ categoryPrediction(id: "x", timeFrame: WEEK) { name } }"#, "INVALID_PARAMETER"),
        ("{ categoryPrediction(id: 1, timeFrame: WEEK) { topProducts(limit: 10000) { name } } }", "INVALID_PARAMETER"),
        (deep.as_str(), "QUERY_TOO_COMPLEX"),
        (wide, "QUERY_TOO_COMPLEX"),
    ] {
        let answer = ask(&app, query).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], code, "{query}: {answer}");
    }
    let answer = ask(&app, r#"{ predictions(timeFrame: WEEK, date: "2017-12-02") { modelVersion } }"#).await;
    assert_eq!(answer["errors"][0]["extensions"]["nearestDate"], "2017-12-01");
}

#[tokio::test]
async fn what_is_no_graphql_request_is_a_problem() {
    let app = App::open().await;
    for body in ["", "[]", "{ predictions }", r#"{"query": 3}"#] {
        let answer = app.request(Method::POST, "/graphql", &[("content-type", "application/json")], Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["code"], "INVALID_PARAMETER", "{body}");
    }
    for size in [70_000, 3_000_000] {
        let huge = json!({ "query": " ".repeat(size) }).to_string();
        let answer = app.request(Method::POST, "/graphql", &[], Body::from(huge)).await;
        assert_eq!(answer.json()["code"], "QUERY_TOO_COMPLEX", "{size}");
    }
    assert_eq!(app.get("/graphql").await.json()["errors"][0]["field"], "query");
}

#[tokio::test]
async fn queries_can_be_asked_by_get_with_variables() {
    let app = App::open().await;
    let path = "/graphql?query=query%20Q(%24f%3A%20TimeFrame!)%20%7B%20predictions(timeFrame%3A%20%24f)%20%7B%20timeFrame%20%7D%20%7D\
                &variables=%7B%22f%22%3A%22HALF_YEAR%22%7D&operationName=Q";
    let answer = app.get(path).await;
    assert_eq!(answer.json()["data"]["predictions"]["timeFrame"], "HALF_YEAR", "{}", answer.text());
}

#[tokio::test]
async fn tools_can_read_the_schema() {
    let app = App::open().await;
    let of_type = "ofType { kind name ".repeat(7);
    let end = " }".repeat(7);
    let query = format!(
        "{{ __schema {{ types {{ kind name fields {{ name args {{ name type {{ kind name {of_type}{end} }} }} type {{ kind name {of_type}{end} }} }} }} }} }}"
    );
    let answer = ask(&app, &query).await;
    assert!(answer["errors"].is_null(), "{answer}");
    let types = answer["data"]["__schema"]["types"].as_array().expect("types");
    let fields = |name: &str| -> Vec<String> {
        let found = types.iter().find(|kind| kind["name"] == name).unwrap_or_else(|| panic!("no type {name}"));
        found["fields"].as_array().expect("fields").iter().map(|field| field["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(fields("Query"), ["predictions", "categoryPrediction", "categoryWindows", "productWindows"]);
    assert_eq!(fields("Category"), ["id", "name", "predictedSalesAmount", "confidenceScore", "rank", "topProducts"]);
    assert_eq!(fields("Product"), ["id", "name", "predictedQuantity", "predictedAmount", "confidenceScore", "rank"]);
    assert_eq!(
        fields("PredictionResult"),
        [
            "timeFrame",
            "periodStart",
            "periodEnd",
            "generatedAt",
            "generationTimestamp",
            "modelVersion",
            "basis",
            "liveAsOf",
            "streamStillSince",
            "categories"
        ]
    );
}
