//! What operators use: health, metrics, the API's description, and the bounds on load.

use std::time::Duration;

use axum::http::StatusCode;
use sellcast_server::ServerSettings;

use crate::app::App;
use crate::shop;

#[tokio::test]
async fn ready_means_there_is_a_forecast() {
    let app = App::empty();
    assert_eq!(app.get("/health/live").await.json()["status"], "live");
    let before = app.get("/health/ready").await;
    assert_eq!((before.status, &before.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"NOT_READY".into()));
    app.store.publish(shop::generation(shop::day("2017-12-04"), 0)).await.expect("published");
    app.state.caught_up().await;
    let after = app.get("/health/ready").await;
    assert_eq!(after.status, StatusCode::OK);
    assert_eq!((&after.json()["asOf"], &after.json()["stage"]), (&"2017-12-04".into(), &"baselines".into()));
    assert_eq!(after.json()["frames"].as_array().map(Vec::len), Some(6));
}

#[tokio::test]
async fn metrics_count_by_route_and_not_by_path() {
    let app = App::open().await;
    for id in 1..=3 {
        app.get(&format!("/api/v1/predictions/categories/{id}/products?timeFrame=week")).await;
        app.get(&format!("/api/v1/predictions/categories/{id}/products?timeFrame=week")).await;
    }
    app.get("/some/path/that/is/nowhere").await;
    let answer = app.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    for wanted in [
        "sellcast_http_requests_total{route=\"/api/v1/predictions/categories/{categoryId}/products\",status=\"200\"}",
        "sellcast_http_requests_total{route=\"unknown\",status=\"404\"}",
        "sellcast_http_request_seconds_bucket{route=\"/api/v1/predictions/categories/{categoryId}/products\",le=\"0.005\"}",
        "sellcast_answer_cache_hits_total ",
        "sellcast_answer_cache_misses_total ",
        "sellcast_generation_age_seconds ",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is not in {text}");
    }
    assert!(!text.contains("nowhere"), "a path became a series");
}

#[tokio::test]
async fn the_api_is_described() {
    let app = App::open().await;
    let answer = app.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{document}");
    let paths = document["paths"].as_object().expect("paths");
    let named: Vec<&str> = paths.keys().map(String::as_str).collect();
    for path in ["/api/v1/predictions/categories", "/api/v1/predictions/categories/{categoryId}/products", "/health/live", "/health/ready"]
    {
        assert!(named.contains(&path), "{named:?}");
    }
    let list = &document["paths"]["/api/v1/predictions/categories"]["get"];
    let parameters = list["parameters"].as_array().expect("parameters");
    let named: Vec<(&str, bool)> = parameters
        .iter()
        .map(|parameter| (parameter["name"].as_str().unwrap_or_default(), parameter["required"].as_bool().unwrap_or_default()))
        .collect();
    assert_eq!(named, [("timeFrame", true), ("date", false), ("limit", false), ("page", false), ("live", false), ("userKey", false)]);
    assert_eq!(parameters[0]["schema"]["enum"].as_array().map(Vec::len), Some(6), "{}", parameters[0]);
    assert_eq!((&parameters[2]["schema"]["minimum"], &parameters[2]["schema"]["maximum"]), (&1.into(), &100.into()), "{}", parameters[2]);
    // Every reference leads somewhere.
    let text = answer.text();
    for reference in text.split("\"$ref\":\"").skip(1).map(|rest| rest.split('"').next().expect("an end")) {
        let pointer = reference.strip_prefix('#').expect("a reference within");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    // What a real answer holds is described, field by field.
    let described = |name: &str| -> Vec<String> {
        let schema = &document["components"]["schemas"][name];
        let parts = schema["allOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        let resolved = parts.iter().map(|part| match part["$ref"].as_str() {
            Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("a schema").clone(),
            None => part.clone(),
        });
        resolved.flat_map(|part| part["properties"].as_object().cloned().unwrap_or_default().into_iter().map(|(name, _)| name)).collect()
    };
    let answer = app.get("/api/v1/predictions/categories?timeFrame=week&limit=1").await.json();
    for (schema, value) in [("CategoryList", &answer), ("CategoryItem", &answer["categories"][0])] {
        let described = described(schema);
        for field in value.as_object().expect("an object").keys() {
            assert!(described.contains(field), "{schema} does not describe `{field}`: {described:?}");
        }
    }
}

/// `SELLCAST_UPDATE_REFERENCE=1 cargo test -p sellcast-server` writes the page anew.
#[tokio::test]
async fn the_reference_page_is_the_description() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let app = App::empty();
    let served = app.get("/openapi.json").await.json();
    if std::env::var_os("SELLCAST_UPDATE_REFERENCE").is_some() {
        std::fs::write(page, format!("{served:#}\n")).expect("written");
    }
    let written: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(page).expect("the page is there")).expect("JSON");
    assert!(written == served, "docs/openapi.json is not what the server gives; run with SELLCAST_UPDATE_REFERENCE=1");
}

#[tokio::test]
async fn too_many_requests_at_once_are_turned_away() {
    let app = App::with(ServerSettings { max_concurrent: 0, ..ServerSettings::new("Corner Market", chrono_tz::UTC) });
    let answer = app.get("/api/v1/predictions/categories?timeFrame=week").await;
    assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"OVERLOADED".into()));
    assert_eq!(answer.header("retry-after"), Some("2"));
    let page = app.page("/").await;
    assert!(page.text().contains("Too busy right now"), "{}", page.text());
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_given_up() {
    let app = App::with(ServerSettings { timeout: Duration::ZERO, ..ServerSettings::new("Corner Market", chrono_tz::UTC) });
    app.store.publish(shop::generation(shop::day("2017-12-01"), 1)).await.expect("published");
    app.store.publish(shop::generation(shop::day("2017-12-04"), 1)).await.expect("published");
    app.state.caught_up().await;
    // A past date is read from the file, which takes longer than nothing.
    let answer = app.get("/api/v1/predictions/categories?timeFrame=week&date=2017-12-01").await;
    assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &"OVERLOADED".into()));
}
