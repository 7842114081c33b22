//! The pages: what they must say, their states, and what they must never do.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use sellcast_domain::{LiveStatus, Money, ReplayStatus};

use crate::app::{Answer, App};
use crate::shop;

const PAGES: [&str; 8] = [
    "/",
    "/?frame=quarter&page=2",
    "/categories/1",
    "/categories/1?brand=Private&sort=sure",
    "/products/1001",
    "/products/1180?frame=day",
    "/record",
    "/search?q=cola",
];

async fn html(app: &App, path: &str) -> String {
    let answer = app.page(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    answer.text()
}

/// The text between two marks.
fn part<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let start = html.find(from).unwrap_or_else(|| panic!("no `{from}` in {html}"));
    let rest = &html[start..];
    &rest[..rest.find(to).unwrap_or(rest.len()) + to.len()]
}

fn assert_contains(html: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(html.contains(text), "`{text}` is not in {html}");
    }
}

fn status() -> LiveStatus {
    let today = shop::day("2017-12-04");
    LiveStatus {
        shop_time: "2017-12-04T19:20:00Z".parse().expect("an instant"),
        shop_day: today,
        sold_so_far: Some(Money::from_cents(691_200)),
        expected_today: Some(Money::from_cents(1_348_000)),
        replay: Some(ReplayStatus { paused: false, first_day: today, last_day: today + 27, day_seconds: 30.0, finished: false }),
        activity: None,
    }
}

#[tokio::test]
async fn every_page_is_strict_and_complete() {
    let app = App::open().await;
    for path in PAGES {
        let answer = app.page(path).await;
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let html = html(&app, path).await;
        assert!(!html.contains("style=\""), "{path}: an inline style");
        assert!(!html.contains("<script>") && !html.contains(" onclick"), "{path}: an inline script");
        assert!(!html.contains("http://") && !html.contains("https://"), "{path}: something from elsewhere");
        assert!(!html.contains("NaN") && !html.contains("inf"), "{path}");
        assert_eq!(html.matches("<h1").count(), 1, "{path}: one heading");
        for chart in html.split("<svg").skip(1) {
            let tag = chart.split('>').next().expect("a tag");
            assert!(tag.contains("aria-hidden=\"true\"") || tag.contains("aria-label=\""), "{path}: a chart without words: {tag}");
        }
        assert_contains(&html, &["class=\"skip\"", "aria-current=\"true\"", "id=\"main\"", "<title>"]);
    }
}

#[tokio::test]
async fn the_home_page_says_what_will_sell_best() {
    let app = App::open().await;
    let html = html(&app, "/").await;
    assert_contains(
        &html,
        &[
            "<h1>Week of 4 December</h1>",
            "What will sell best from 4 December to Sunday 10 December, over all categories.",
            "1–10 of 40",
            "<a href=\"/categories/1?frame=week\">Soft drinks</a>",
            "Against last week",
            "+4.2 %",
            "Of the products we called <b>70 %</b> sure",
            "href=\"/?frame=half_year\"",
            "href=\"/categories.csv?frame=week\"",
            "80 % between",
            "Corner Market",
        ],
    );
    let first = part(&html, "<tbody>", "</tr>");
    insta::assert_snapshot!("home_first_row", first);
    insta::assert_snapshot!("home_movers", part(&html, "<ul class=\"movers\">", "</ul>"));
}

#[tokio::test]
async fn every_frame_has_its_home_page() {
    let app = App::open().await;
    for (frame, heading) in [
        ("day", "Monday 4 December"),
        ("month", "Month from 4 December"),
        ("quarter", "Quarter from 4 December"),
        ("half_year", "Half-year from 4 December"),
        ("year", "Year from 4 December"),
    ] {
        let html = html(&app, &format!("/?frame={frame}")).await;
        assert_contains(&html, &[&format!("<h1>{heading}</h1>")]);
        let long = matches!(frame, "half_year" | "year");
        assert_eq!(html.contains("Too little history"), long, "{frame}: a fall-back is told, and only there");
    }
}

#[tokio::test]
async fn names_from_the_shop_are_text_and_nothing_else() {
    let app = App::empty();
    let mut documents = shop::generation(shop::day("2017-12-04"), 1);
    let bad = "<script>alert('x')</script>\"&";
    for prediction in &mut documents.predictions {
        prediction.categories[0].category_name = bad.to_owned();
        prediction.categories[0].top_products[0].product_name = bad.to_owned();
        prediction.categories[0].top_products[0].brand = Some(bad.to_owned());
        prediction.categories[0].top_products[0].drivers[0].reason = bad.to_owned();
    }
    documents.generation.shop_name = bad.to_owned();
    app.store.publish(documents).await.expect("published");
    app.state.caught_up().await;
    for path in ["/", "/categories/1", "/products/1001", "/search?q=script", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E", "/record"] {
        let html = html(&app, path).await;
        assert!(!html.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn a_category_lists_its_products_with_reasons() {
    let app = App::open().await;
    let html = html(&app, "/categories/1").await;
    assert_contains(
        &html,
        &[
            "<h1>Soft drinks",
            "expected this week, 80 % between",
            "Rank 1 of 40",
            "1–20 of 250",
            "<option value=\"Private\">Private</option>",
            "Weekly sales and forecast",
            "very high, 100 % of the leader",
        ],
    );
    let row = part(&html, "<tbody>", "</tr>");
    assert_contains(row, &["/products/1001?frame=week", "class=\"wider why\">", "class=\"spark\""]);
    let last = self::html(&app, "/categories/1?page=13").await;
    assert_contains(&last, &["241–250 of 250", "/products/1250?frame=week"]);
    let across = self::html(&app, "/categories/1?page=6").await;
    assert_contains(&across, &["101–120 of 250"]);
    assert_contains(&self::html(&app, "/categories/1?page=14").await, &["No products stand on this page"]);
}

#[tokio::test]
async fn filters_narrow_the_table_and_stay_in_the_address() {
    let app = App::open().await;
    let all = shop::generation(shop::day("2017-12-04"), 1);
    let category = all.predictions[1].categories.iter().find(|category| category.category_name == "Soft drinks").expect("it is there");
    let private: Vec<_> = category.top_products.iter().filter(|product| product.brand.as_deref() == Some("Private")).collect();
    let html = html(&app, "/categories/1?brand=Private").await;
    assert_contains(
        &html,
        &[
            &format!("1–20 of {}", private.len()),
            "selected>Private",
            "brand=Private&#38;page=2",
            "products.csv?frame=week&#38;category=1&#38;brand=Private",
        ],
    );
    let rows = part(&html, "<tbody>", "</tbody>");
    for product in private.iter().take(20) {
        assert!(rows.contains(&product.product_name), "{}", product.product_name);
    }
    assert!(!rows.contains("National ·"), "{rows}");
    let sure = self::html(&app, "/categories/1?sure=90&brand=&price=&sort=rank").await;
    let surest = category.top_products.iter().filter(|product| product.confidence_score >= 0.9).count();
    assert_contains(&sure, &[&format!("1–{surest} of {surest}")]);
    let young = self::html(&app, "/categories/1?new=1").await;
    assert_eq!(
        part(&young, "<tbody>", "</tbody>").matches("<tr>").count(),
        category.top_products.iter().filter(|product| product.days_on_sale == Some(9)).count()
    );
    assert_contains(&self::html(&app, "/categories/1?brand=Nobody").await, &["None of the first 100 products passes these filters"]);
    let cheapest = self::html(&app, "/categories/1?sort=price").await;
    let least = category.top_products.iter().min_by_key(|product| (product.price, product.rank)).expect("products");
    assert_contains(part(&cheapest, "<tbody>", "</tr>"), &[&least.product_name]);
    for bad in ["sort=up", "price=3-4", "sure=101", "new=2"] {
        assert_eq!(app.page(&format!("/categories/1?{bad}")).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_product_shows_its_weeks_its_ranks_and_its_reasons() {
    let app = App::open().await;
    let html = html(&app, "/products/1001").await;
    assert_contains(
        &html,
        &[
            "rank 1 in Soft drinks (last week",
            "Where it may rank",
            "class=\"fan broad\"",
            "class=\"fan narrow\"",
            "class=\"band\"",
            ">today</text>",
            "Why $424 and not",
            "its usual week",
            "Methods agree",
            "sold in 48 weeks",
            "href=\"/categories/1?frame=week\"",
        ],
    );
    assert!(!html.contains("The forecast is limited"));
    assert_contains(&self::html(&app, "/products/1007").await, &["The forecast is limited to 4 times its best week of the last eight."]);
    let beyond = self::html(&app, "/products/1180").await;
    assert_contains(&beyond, &["rank 180 of 250 in Soft drinks", "only the forecast itself is kept", "No weekly sales are kept"]);
    assert!(!beyond.contains("It is new"));
    assert_contains(&self::html(&app, "/products/1007").await, &["It is new: like Cola 2 and Cola 3, launched in May."]);
    assert_contains(&self::html(&app, "/products/1250").await, &["It is new: like Cola 2, launched in June; 2 of 100 products"]);
    let answer = app.page("/products/99").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_contains(&answer.text(), &["no product `99` is forecast"]);
}

#[tokio::test]
async fn the_track_record_says_what_came() {
    let app = App::open().await;
    let html = html(&app, "/record").await;
    assert_contains(
        &html,
        &[
            "<h1>Track record</h1>",
            "Top 10 found",
            "54 %",
            "80.6 %",
            "27\u{a0}Nov\u{a0}– 3\u{a0}Dec",
            "Largest misses",
            "said $412, came $198",
            "first $90",
            "afterwards",
        ],
    );
    assert!(!html.contains("secret_model_name"), "weights and model names stay off this page");
    let empty = self::html(&app, "/record?frame=quarter").await;
    assert_contains(&empty, &["No quarter forecast has ended yet", "Sunday 4 March", "/record?frame=week"]);
    assert!(!html.contains("Live, while sales came"), "no live week was scored");
    let live = self::html(&app, "/record?frame=day").await;
    let evening = "<th scope=\"row\">18:00\u{a0}– 20:00</th><td class=\"num up\">8.5 %</td><td class=\"num\">24.8 %</td><td class=\"num wide\">78.0 %</td>";
    assert_contains(&live, &["Live, while sales came", evening]);
}

#[tokio::test]
async fn the_models_page_shows_weights_regret_changes_and_the_history_with_reasons() {
    let app = App::open().await;
    let html = html(&app, "/models").await;
    assert_contains(
        &html,
        &[
            "<h1>How the models learn</h1>",
            "One at a time",
            "<tr><th scope=\"row\">theta</th><td class=\"num\">5</td><td class=\"num\">−0.034</td><td>forecasts now</td></tr>",
            "<tr><th scope=\"row\">tsb</th><td class=\"num\">0</td><td class=\"num\">–</td><td></td></tr>",
            "week/2017-11-27",
            "challenger week/2017-12-04",
            "−0.012",
            "gbm_amount 75 %",
            "class=\"w0\"",
            "overtook half_4w_half_26w: WAPE 0.810 against 0.860",
            "largest categories",
            "gbm_amount 90 %",
            "it beat week/2017-11-20: p = 0.011",
            "training failed",
            "cannot compute &#60;features&#62;",
        ],
    );
    let empty = self::html(&app, "/models?frame=quarter").await;
    assert_contains(&empty, &["No quarter forecast has been scored yet", "No models of this frame have been trained"]);
    assert!(!empty.contains("One at a time"), "no model is dear in this frame");
    assert_contains(&self::html(&app, "/record").await, &["/models?frame=week", "because: on display in 40 stores"]);
    assert_contains(&self::html(&app, "/experiments").await, &["No experiment is running"]);
}

#[tokio::test]
async fn search_finds_categories_and_products() {
    let app = App::open().await;
    let html = html(&app, "/search?q=SOFT%20drinks").await;
    assert_contains(
        &html,
        &[
            "“SOFT drinks”",
            "<h2 id=\"categories\">",
            "/categories/1?frame=week",
            "210 more match",
            "value=\"SOFT drinks\"",
            "/search?frame=day&#38;q=SOFT%20drinks",
        ],
    );
    let beyond = self::html(&app, "/search?q=no.%20249").await;
    assert_contains(&beyond, &["beyond the first 100", "/products/1249"]);
    assert_contains(&self::html(&app, "/search?q=zzz").await, &["No category and no product has this in its name"]);
    assert_contains(&self::html(&app, "/search").await, &["Type a part of a name"]);
    assert_eq!(app.page(&format!("/search?q={}", "a".repeat(81))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn errors_are_pages_for_people_and_problems_for_machines() {
    let app = App::open().await;
    for (path, status, words) in [
        ("/nowhere", 404, "The newest forecast"),
        ("/categories/4711", 404, "no category `4711`"),
        ("/categories/x", 400, "allowed: a whole number"),
        ("/?frame=fortnight", 400, "day, week, month, quarter, half_year, year"),
        ("/?date=2017-12-02", 404, "href=\"/?frame=week&#38;date=2017-12-01\""),
        ("/?page=0", 400, "<code>page</code>"),
    ] {
        let page = app.page(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert_contains(&page.text(), &[words]);
        let problem = app.get_with(path, &[("accept", "application/json")]).await;
        assert_eq!(problem.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(problem.status.as_u16(), status, "{path}");
    }
    let api = app.page("/api/v1/predictions/categories").await;
    assert_eq!(api.header("content-type"), Some("application/problem+json"), "the API answers browsers as an API");
}

#[tokio::test]
async fn the_first_visitor_is_told_to_wait_and_then_sees_the_forecast() {
    let app = App::empty();
    let waiting: Answer = app.page("/").await;
    assert_eq!(waiting.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_contains(&waiting.text(), &["The first forecast is being made", "data-waits", "appears here by itself", "data-generation=\"\""]);
    app.store.publish(shop::generation(shop::day("2017-12-04"), 0)).await.expect("published");
    app.state.caught_up().await;
    assert_contains(&html(&app, "/").await, &["A first forecast from simple averages"]);
}

#[tokio::test]
async fn old_and_stale_forecasts_say_so() {
    let app = App::open().await;
    let past = html(&app, "/?date=2017-12-01").await;
    assert_contains(
        &past,
        &["You look at the forecast of Friday 1 December 2017", "Show the newest", "/categories/1?frame=week&#38;date=2017-12-01"],
    );
    app.set_now("2017-12-06T12:00:00Z");
    let stale = html(&app, "/").await;
    assert_contains(&stale, &["This forecast is 2 days old"]);
}

#[tokio::test]
async fn the_live_bar_shows_the_running_day_and_pauses_the_replay() {
    let app = App::open().await;
    assert_contains(&html(&app, "/").await, &["Made from sales up to Sunday 3 December 2017", "action=\"/replay/pause\" hidden"]);
    assert_eq!(app.request(Method::POST, "/replay/pause", &[], Body::empty()).await.status, StatusCode::NOT_FOUND, "nothing is replayed");
    assert!(!app.live.is_paused());
    app.live.set_status(status());
    let bar = html(&app, "/").await;
    assert_contains(&bar, &["Monday 4 December 2017", "14:20 in the shop", "$6,912", "$13,480", "value=\"51\"", "Pause replay"]);
    assert_eq!(app.request(Method::POST, "/replay/pause", &[], Body::empty()).await.status, StatusCode::NO_CONTENT);
    assert!(app.live.is_paused());
    assert_contains(&html(&app, "/").await, &["action=\"/replay/resume\"", "Resume replay"]);
    let form = [("accept", "text/html"), ("referer", "http://localhost:8080/record?frame=day")];
    let answer = app.request(Method::POST, "/replay/resume", &form, Body::empty()).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, Some("/record?frame=day")));
    assert!(!app.live.is_paused());
    let foreign = [("sec-fetch-site", "cross-site")];
    assert_eq!(app.request(Method::POST, "/replay/pause", &foreign, Body::empty()).await.status, StatusCode::NOT_FOUND);
    assert!(!app.live.is_paused(), "another site cannot press the button");
    let elsewhere = [("accept", "text/html"), ("referer", "http://localhost//evil.example/")];
    assert_eq!(app.request(Method::POST, "/replay/pause", &elsewhere, Body::empty()).await.header("location"), Some("/"));
}

#[tokio::test]
async fn tables_come_as_csv_with_formulas_defused() {
    let app = App::open().await;
    let answer = app.get("/categories.csv?frame=week").await;
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"categories-week-2017-12-04.csv\""));
    let text = answer.text();
    assert_eq!(text.lines().count(), 41);
    assert_contains(&text, &[",'=SUM(A1) spreads,Grocery,", "\"Bread, buns, rolls\""]);
    let products = app.get("/products.csv?category=1&frame=week").await.text();
    assert_eq!(products.lines().count(), 251);
    let filtered = app.get("/products.csv?category=1&frame=week&brand=Private").await.text();
    assert!(filtered.lines().skip(1).all(|line| line.contains(",Private,")), "{filtered}");
    assert_eq!(app.get("/products.csv").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn assets_are_kept_for_good_under_their_fingerprint() {
    let app = App::open().await;
    let html = html(&app, "/").await;
    for (kind, content_type) in [("css", "text/css; charset=utf-8"), ("js", "text/javascript; charset=utf-8"), ("svg", "image/svg+xml")] {
        let address = html.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(kind)).expect("an address");
        let answer = app.get(address).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert!(answer.header("cache-control").is_some_and(|kept| kept.contains("immutable")));
    }
}
