//! The REST rules: shapes, paging, dates, and every kind of wrong input as a problem.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::Value;

use crate::app::{Answer, App};
use crate::shop;

const CATEGORIES: &str = "/api/v1/predictions/categories";

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn assert_problem(answer: &Answer, status: u16, code: &str, what: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let body = answer.json();
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(body["status"], status, "{what}");
    for field in ["type", "title", "detail"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{what}: no `{field}` in {body}");
    }
    body
}

#[tokio::test]
async fn categories_have_the_promised_shape() {
    let app = App::open().await;
    let answer = app.get(&format!("{CATEGORIES}?timeFrame=week")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    for field in ["timeFrame", "periodStart", "periodEnd", "totalCategories", "page", "limit", "categories"] {
        assert!(fields(&body).contains(&field), "no `{field}` in {body}");
    }
    assert_eq!(body["timeFrame"], "week");
    assert_eq!(body["periodStart"], "2017-12-04T00:00:00Z");
    assert_eq!(body["periodEnd"], "2017-12-10T23:59:59Z");
    assert_eq!((&body["totalCategories"], &body["page"], &body["limit"]), (&40.into(), &1.into(), &5.into()));
    let list = body["categories"].as_array().expect("a list");
    assert_eq!(list.len(), 5, "five unless asked otherwise");
    let published = shop::generation(shop::day("2017-12-04"), 1);
    let week = &published.predictions[1];
    for (shown, category) in list.iter().zip(&week.categories) {
        assert_eq!(shown["categoryId"], category.category_id.get());
        assert_eq!(shown["categoryName"], category.category_name.as_str());
        assert_eq!(shown["predictedSalesAmount"].as_f64(), Some(category.predicted_sales_amount.to_f64()));
        assert!((shown["confidenceScore"].as_f64().expect("a number") - category.confidence_score).abs() < 1e-4);
        assert_eq!(shown["rank"], category.rank);
    }
}

#[tokio::test]
async fn a_category_answer_reads_like_this() {
    let app = App::open().await;
    let month = app.get(&format!("{CATEGORIES}?timeFrame=month&limit=1")).await.json();
    let day = app.get(&format!("{CATEGORIES}/21/products?timeFrame=day&limit=1")).await.json();
    // The order of fields in a parsed answer depends on how serde_json was built.
    insta::with_settings!({ sort_maps => true }, {
        insta::assert_json_snapshot!("categories_month_1", month);
        insta::assert_json_snapshot!("products_day_1", day);
    });
}

#[tokio::test]
async fn every_frame_is_served_with_its_own_period() {
    let app = App::open().await;
    for (frame, end) in [
        ("day", "2017-12-04"),
        ("week", "2017-12-10"),
        ("month", "2018-01-03"),
        ("quarter", "2018-03-03"),
        ("half_year", "2018-06-03"),
        ("year", "2018-12-03"),
    ] {
        let body = app.get(&format!("{CATEGORIES}?timeFrame={frame}")).await.json();
        assert_eq!(body["periodEnd"], format!("{end}T23:59:59Z"), "{frame}");
        assert_eq!(body["timeFrame"], frame);
    }
}

#[tokio::test]
async fn pages_cover_every_category_once_and_end_empty() {
    let app = App::open().await;
    let mut ranks = Vec::new();
    for page in 1..=7 {
        let body = app.get(&format!("{CATEGORIES}?timeFrame=week&limit=7&page={page}")).await.json();
        let list = body["categories"].as_array().expect("a list").clone();
        assert_eq!(body["page"], page);
        ranks.extend(list.iter().map(|category| category["rank"].as_u64().expect("a rank")));
        assert_eq!(list.is_empty(), page > 6, "page {page}");
    }
    assert_eq!(ranks, (1..=40).collect::<Vec<u64>>());
}

#[tokio::test]
async fn products_beyond_the_first_hundred_come_from_the_continuation() {
    let app = App::open().await;
    let path = format!("{CATEGORIES}/1/products?timeFrame=week");
    let body = app.get(&path).await.json();
    assert_eq!((&body["categoryId"], &body["totalProducts"], &body["limit"]), (&1.into(), &250.into(), &5.into()));
    assert_eq!(body["categoryName"], "Soft drinks");
    let mut ranks = Vec::new();
    // 60 does not divide 100: the second page takes from both documents.
    for page in 1..=6 {
        let body = app.get(&format!("{path}&limit=60&page={page}")).await.json();
        let list = body["products"].as_array().expect("a list").clone();
        for product in &list {
            for field in ["productId", "productName", "predictedQuantity", "predictedAmount", "confidenceScore"] {
                assert!(!product[field].is_null(), "no `{field}` in {product}");
            }
        }
        ranks.extend(list.iter().map(|product| product["rank"].as_u64().expect("a rank")));
    }
    assert_eq!(ranks, (1..=250).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_past_date_gives_what_was_published_for_it() {
    let app = App::open().await;
    let body = app.get(&format!("{CATEGORIES}?timeFrame=week&date=2017-12-01")).await.json();
    assert_eq!(body["periodStart"], "2017-12-01T00:00:00Z");
    assert_eq!(body["asOf"], "2017-12-01");
    assert!(body["staleReason"].is_null(), "an old forecast that was asked for is not stale");
    // Baselines of that day were replaced by models on the same day: the newest of the day is read.
    app.store.publish(shop::generation(shop::day("2017-12-01"), 2)).await.expect("published");
    let newer = shop::generation(shop::day("2017-12-01"), 2).generation.generation_id.to_string();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let body = app.get(&format!("{CATEGORIES}?timeFrame=week&date=2017-12-01")).await.json();
        if body["generationId"] == newer.as_str() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the newer generation of a past day is never seen");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_date_without_a_publication_names_the_nearest() {
    let app = App::open().await;
    for (date, nearest) in
        [("2017-12-02", "2017-12-01"), ("2016-01-01", "2017-12-01"), ("2199-12-31", "2017-12-04"), ("2017-12-05", "2017-12-04")]
    {
        let answer = app.get(&format!("{CATEGORIES}?timeFrame=week&date={date}")).await;
        let body = assert_problem(&answer, 404, "NOTHING_PUBLISHED", date);
        assert_eq!(body["nearestDate"], nearest, "{date}");
        assert!(body["detail"].as_str().expect("text").contains(nearest), "{date}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_named_with_what_is_allowed() {
    let app = App::open().await;
    for (query, field, allowed) in [
        ("", "timeFrame", "day, week, month"),
        ("timeFrame=", "timeFrame", "half_year"),
        ("timeFrame=WEEK", "timeFrame", "week"),
        ("timeFrame=fortnight", "timeFrame", "week"),
        ("timeFrame=week&limit=0", "limit", "1 to 100"),
        ("timeFrame=week&limit=101", "limit", "1 to 100"),
        ("timeFrame=week&limit=10000", "limit", "1 to 100"),
        ("timeFrame=week&limit=-1", "limit", "1 to 100"),
        ("timeFrame=week&limit=5.5", "limit", "1 to 100"),
        ("timeFrame=week&limit=ten", "limit", "1 to 100"),
        ("timeFrame=week&limit=", "limit", "1 to 100"),
        ("timeFrame=week&page=0", "page", "1 to"),
        ("timeFrame=week&page=-3", "page", "1 to"),
        ("timeFrame=week&page=99999999999", "page", "1 to"),
        ("timeFrame=week&date=2017-13-01", "date", "ISO"),
        ("timeFrame=week&date=04.12.2017", "date", "ISO"),
        ("timeFrame=week&date=2017-12-04T00:00:00Z", "date", "ISO"),
        ("timeFrame=week&date=1066-10-14", "date", "1900-01-01"),
        ("timeFrame=week&date=", "date", "ISO"),
        ("timeFrame=week&colour=red", "colour", "timeFrame"),
        ("timeframe=week", "timeframe", "timeFrame"),
        ("timeFrame=week&timeFrame=day", "timeFrame", "one value"),
        ("timeFrame=week&limit=5&limit=6", "limit", "one value"),
    ] {
        for path in [CATEGORIES.to_owned(), format!("{CATEGORIES}/1/products")] {
            let answer = app.get(&format!("{path}?{query}")).await;
            let body = assert_problem(&answer, 400, "INVALID_PARAMETER", query);
            let errors = body["errors"].as_array().expect("errors");
            let error = errors.iter().find(|error| error["field"] == field).unwrap_or_else(|| panic!("{query}: `{field}` not in {body}"));
            assert!(error["allowed"].as_str().expect("text").contains(allowed), "{query}: {error}");
        }
    }
}

#[tokio::test]
async fn several_faults_are_told_at_once() {
    let app = App::open().await;
    let answer = app.get(&format!("{CATEGORIES}/x/products?limit=0&page=0&date=1")).await;
    let body = assert_problem(&answer, 400, "INVALID_PARAMETER", "many");
    let named: Vec<&str> = body["errors"].as_array().expect("errors").iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(named, ["categoryId", "timeFrame", "date", "limit", "page"]);
}

#[tokio::test]
async fn unknown_categories_and_paths_are_problems() {
    let app = App::open().await;
    for id in ["4711", "-1", "0", "9223372036854775807"] {
        let answer = app.get(&format!("{CATEGORIES}/{id}/products?timeFrame=week")).await;
        assert_problem(&answer, 404, "NOT_FOUND", id);
    }
    for id in ["abc", "1.5", "9223372036854775808", "%20"] {
        let answer = app.get(&format!("{CATEGORIES}/{id}/products?timeFrame=week")).await;
        let body = assert_problem(&answer, 400, "INVALID_PARAMETER", id);
        assert_eq!(body["errors"][0]["field"], "categoryId");
    }
    for path in [format!("{CATEGORIES}/%ff/products?timeFrame=week"), "/products/%ff".to_owned(), "/assets/%fe".to_owned()] {
        assert_problem(&app.get(&path).await, 400, "INVALID_PARAMETER", &path);
    }
    for path in ["/api", "/api/v1/nothing", "/nowhere", "/api/v1/predictions/categories/", "/assets/style.css"] {
        assert_problem(&app.get(path).await, 404, "NOT_FOUND", path);
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_a_problem_that_names_the_allowed_ones() {
    let app = App::open().await;
    for path in [CATEGORIES, "/", "/openapi.json", "/events"] {
        let answer = app.request(Method::DELETE, path, &[], Body::empty()).await;
        assert_problem(&answer, 405, "METHOD_NOT_ALLOWED", path);
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
    }
    let answer = app.get("/replay/pause").await;
    assert_problem(&answer, 405, "METHOD_NOT_ALLOWED", "a pause must be posted");
}

#[tokio::test]
async fn before_the_first_publication_everything_says_so() {
    let app = App::empty();
    for path in [
        format!("{CATEGORIES}?timeFrame=week"),
        format!("{CATEGORIES}?timeFrame=week&date=2017-12-04"),
        format!("{CATEGORIES}/1/products?timeFrame=week"),
    ] {
        let answer = app.get(&path).await;
        assert_problem(&answer, 503, "NOT_READY", &path);
        assert!(answer.header("retry-after").is_some(), "{path}");
    }
    assert_eq!(
        app.get(&format!("{CATEGORIES}?timeFrame=week&limit=0")).await.status,
        StatusCode::BAD_REQUEST,
        "a wrong request stays wrong"
    );
}

#[tokio::test]
async fn a_head_request_has_the_headers_and_no_body() {
    let app = App::open().await;
    let path = format!("{CATEGORIES}?timeFrame=week");
    let full = app.get(&path).await;
    for _ in 0..2 {
        let head = app.request(Method::HEAD, &path, &[], Body::empty()).await;
        assert_eq!(head.status, StatusCode::OK);
        assert!(head.body.is_empty());
        assert_eq!(head.header("etag"), full.header("etag"));
        assert_eq!(head.header("content-length"), Some(full.body.len().to_string().as_str()));
    }
}
