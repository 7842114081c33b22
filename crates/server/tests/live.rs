//! Running periods: windows, live forecasts, and what is said when the stream stands still. The sales are held by the real window
//! kernel.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use sellcast_domain::window::{
    Arrival, EventTime, Held, Quantity, SaleBook, SaleFact, StandingCounts, Sums, Version, WindowKey, WindowSpan, WindowValue,
};
use sellcast_domain::{CategoryId, Money, SalesProfile, TimeFrame};
use sellcast_server::{LiveSales, Reconciliation, Standing};
use serde_json::Value;

use crate::app::App;
use crate::shop::{category_id, product_id};

const CATEGORIES: &str = "/api/v1/predictions/categories";
/// Half past two in the afternoon in the shop.
const NOW: &str = "2017-12-04T19:20:00Z";

struct Sales {
    book: Mutex<SaleBook>,
    standing: Mutex<Standing>,
}

impl LiveSales for Sales {
    fn standing(&self) -> Standing {
        *self.standing.lock().expect("a standing")
    }

    fn windows(&self, key: WindowKey) -> Option<[WindowValue; 4]> {
        let book = self.book.lock().expect("a book");
        Some(WindowSpan::ALL.map(|span| book.board().window(key, span)))
    }

    fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>> {
        self.book.lock().expect("a book").sold_since(keys, since)
    }

    fn rows(&self) -> Option<StandingCounts> {
        Some(self.book.lock().expect("a book").counts())
    }

    fn changes(&self) -> Vec<(&'static str, u64)> {
        vec![("written", 7), ("poison", 2)]
    }

    fn lag(&self) -> Option<u64> {
        Some(0)
    }

    fn reconciliation(&self) -> Option<Arc<Reconciliation>> {
        None
    }

    fn profile(&self, _: Option<CategoryId>) -> Arc<SalesProfile> {
        Arc::new(SalesProfile::uniform())
    }
}

fn at(text: &str) -> EventTime {
    EventTime::try_from(text.parse::<DateTime<Utc>>().expect("an instant").timestamp()).expect("a time")
}

impl Sales {
    /// Follows an app's sales, none of which have come.
    fn followed_by(app: &App) -> Arc<Self> {
        let standing = Standing { as_of: Some(NOW.parse().expect("an instant")), is_still: false, read: 0 };
        let sales = Arc::new(Self { book: Mutex::new(SaleBook::new(70)), standing: Mutex::new(standing) });
        drop(app.state.clone().following(sales.clone()));
        sales
    }

    fn sell(&self, place: usize, rank: u32, units: i64, cents: i64, when: &str) {
        let mut book = self.book.lock().expect("a book");
        let (product, position) = (product_id(place, rank), book.len() as u64 + 1);
        book.place(product, Some(category_id(place)), Version::written(1, 0));
        let row = Held::Sale(SaleFact {
            product,
            customer: position as u32,
            occurred_at: at(when),
            quantity: Quantity::from_thousandths(units * 1000),
            amount: Money::from_cents(cents),
        });
        book.offer((position as i64).into(), Version::written(position, 0), row, Arrival::InTime);
        book.advance(at(NOW));
        drop(book);
        self.standing.lock().expect("a standing").read += 1;
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("`{value}` is no number"))
}

/// The category of a list, and its place there.
fn find(list: &Value, id: CategoryId) -> (usize, Value) {
    let categories = list["categories"].as_array().expect("a list");
    let place = categories.iter().position(|category| category["categoryId"] == id.get()).expect("the category");
    (place, categories[place].clone())
}

#[tokio::test]
async fn without_a_stream_forecasts_are_as_published_and_there_are_no_windows() {
    let app = App::open().await;
    let list = app.get(&format!("{CATEGORIES}?timeFrame=day")).await.json();
    assert_eq!((&list["basis"], &list["liveAsOf"]), (&"batch".into(), &Value::Null));
    let answer = app.get("/api/v1/windows/categories/1").await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (404, Some("NOT_FOUND")));
    assert!(answer.text().contains("[stream]"), "{}", answer.text());
    assert!(!app.page("/?frame=day").await.text().contains("Live:"));
}

#[tokio::test]
async fn windows_are_told_by_rest_and_graphql_alike() {
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    sales.sell(2, 1, 2, 598, "2017-12-04T19:00:00Z");
    sales.sell(2, 3, 1, 401, "2017-12-04T14:00:00Z");
    let category = app.get(&format!("/api/v1/windows/categories/{}", category_id(2))).await.json();
    let told = |windows: &Value| {
        let windows = windows["windows"].as_array().expect("windows").clone();
        windows
            .iter()
            .map(|window| (window["span"].to_string(), number(&window["amount"]), window["transactions"].as_i64()))
            .collect::<Vec<_>>()
    };
    let expected = [("1h", 5.98, 1), ("6h", 9.99, 2), ("24h", 9.99, 2), ("7d", 9.99, 2)];
    assert_eq!(told(&category), expected.map(|(span, amount, lines)| (format!("\"{span}\""), amount, Some(lines))));
    assert_eq!(
        (&category["asOf"], &category["windows"][0]["averageUnitPrice"], &category["windows"][1]["customers"]),
        (&NOW.into(), &2.99.into(), &2.into())
    );
    let product = app.get(&format!("/api/v1/windows/products/{}", product_id(2, 1))).await.json();
    assert_eq!(number(&product["windows"][3]["amount"]), 5.98);
    let query = format!("{{ categoryWindows(id: {}) {{ asOf windows {{ span amount transactions }} }} }}", category_id(2));
    let graphql = app.get(&format!("/graphql?query={}", query.replace(' ', "%20").replace('{', "%7B").replace('}', "%7D"))).await.json();
    assert_eq!(told(&graphql["data"]["categoryWindows"]), told(&category));
    for (path, status) in [("categories/99999", 404), ("products/1", 404), ("categories/x", 400)] {
        assert_eq!(app.get(&format!("/api/v1/windows/{path}")).await.status, status, "{path}");
    }
    sales.standing.lock().expect("a standing").as_of = None;
    assert_eq!(app.get("/api/v1/windows/categories/1").await.status, 503);
}

#[tokio::test]
async fn a_sale_moves_the_running_period_and_leaves_the_published_one() {
    let app = App::open().await;
    let published = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=100")).await.json();
    let sales = Sales::followed_by(&app);
    // A product from beyond the first 100 sells more than its whole category was to.
    let id = category_id(9);
    let (before, category) = find(&published, id);
    assert!(before > 4, "{before}");
    let long = category_id(0);
    sales.sell(9, 1, 400, 99_000, "2017-12-04T15:00:00Z");
    sales.sell(0, 240, 50, 20_000, "2017-12-04T15:30:00Z");
    // What sold yesterday is no part of today.
    sales.sell(9, 2, 1, 77_700, "2017-12-04T04:59:59Z");
    // Another address: the first answer is kept until the server looks at the stream.
    let live = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=100&live=true")).await.json();
    assert_eq!((&live["basis"], &live["liveAsOf"], &live["totalCategories"]), (&"live".into(), &NOW.into(), &published["totalCategories"]));
    let (after, moved) = find(&live, id);
    assert!(after < before, "{before} to {after}");
    let amount = number(&moved["predictedSalesAmount"]);
    assert!(amount > 990.0 && amount < 990.0 + 3.0 * number(&category["predictedSalesAmount"]), "{moved}");
    assert!(number(&moved["interval"]["low"]) >= 990.0 && number(&moved["interval"]["high"]) >= amount, "{moved}");
    let ranks: Vec<i64> = live["categories"].as_array().expect("a list").iter().filter_map(|category| category["rank"].as_i64()).collect();
    assert_eq!(ranks, (1..=40).collect::<Vec<_>>());
    // Where nothing sold by half past two the day comes to less than was expected.
    let quiet = |list: &Value| number(&find(list, category_id(12)).1["predictedSalesAmount"]);
    assert!(quiet(&live) < 0.45 * quiet(&published), "{} of {}", quiet(&live), quiet(&published));
    let products = app.get(&format!("{CATEGORIES}/{long}/products?timeFrame=day&limit=3")).await.json();
    assert_eq!((&products["products"][0]["productId"], &products["products"][0]["rank"]), (&product_id(0, 240).get().into(), &1.into()));
    assert!(number(&products["products"][0]["predictedAmount"]) >= 200.0, "{products}");
    let again = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=100&live=false")).await.json();
    assert_eq!(again["categories"], published["categories"]);
    assert_eq!(again["basis"], "batch");
    let graphql = |live: &str| {
        format!(
            "/graphql?query=%7Bpredictions(timeFrame:DAY{live})%7Bbasis%20liveAsOf%20categories(limit:40)%7Bid%20predictedSalesAmount%20topProducts(limit:1)%7Bid%7D%7D%7D%7D"
        )
    };
    let answer = app.get(&graphql("")).await.json();
    let told = &answer["data"]["predictions"];
    assert_eq!((&told["basis"], &told["liveAsOf"]), (&"live".into(), &NOW.into()));
    assert_eq!(told["categories"][after]["predictedSalesAmount"], moved["predictedSalesAmount"]);
    let place = find(&live, long).0;
    assert_eq!(told["categories"][place]["topProducts"][0]["id"], product_id(0, 240).to_string());
    assert_eq!(app.get(&graphql(",live:false")).await.json()["data"]["predictions"]["basis"], "batch");
    // A past day is told as it was published.
    let past = app.get(&format!("{CATEGORIES}?timeFrame=day&date=2017-12-01")).await.json();
    assert_eq!(past["basis"], "batch");
    assert_eq!(app.get(&format!("{CATEGORIES}?timeFrame=day&live=maybe")).await.status, 400);
}

#[tokio::test]
async fn products_of_a_live_category_add_up_and_pages_say_that_it_is_live() {
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    sales.sell(10, 1, 3, 900, "2017-12-04T15:00:00Z");
    sales.sell(10, 2, 1, 250, "2017-12-04T16:00:00Z");
    let id = category_id(10);
    for frame in ["day", "week", "month"] {
        let list = app.get(&format!("{CATEGORIES}?timeFrame={frame}&limit=100")).await.json();
        let products = app.get(&format!("{CATEGORIES}/{id}/products?timeFrame={frame}&limit=100")).await.json();
        let sum: f64 = products["products"].as_array().expect("a list").iter().map(|product| number(&product["predictedAmount"])).sum();
        let whole = number(&find(&list, id).1["predictedSalesAmount"]);
        assert!((sum - whole).abs() < 0.011, "{frame}: {sum} {whole}");
        assert_eq!(products["basis"], "live");
        let published = app.get(&format!("{CATEGORIES}/{id}/products?timeFrame={frame}&limit=100&live=false")).await.json();
        let explained = |list: &Value| {
            let list = list["products"].as_array().expect("a list");
            list.iter().filter(|product| product["drivers"].as_array().is_some_and(|drivers| !drivers.is_empty())).count()
        };
        assert!(explained(&published) > 0 && explained(&products) == explained(&published), "{frame}");
        let usual = |list: &Value, product: i64| {
            let found = list["products"].as_array().expect("a list").iter().find(|item| item["productId"] == product).expect("the product");
            let effects: f64 = found["drivers"].as_array().expect("reasons").iter().map(|driver| number(&driver["effect"])).sum();
            number(&found["predictedAmount"]) - effects
        };
        let first = published["products"][0]["productId"].as_i64().expect("an id");
        let (before, now) = (usual(&published, first), usual(&products, first));
        assert!((before - now).abs() < 0.011, "{frame}: what is usual does not follow from a day's sales: {before} {now}");
    }
    for path in ["/?frame=day".to_owned(), format!("/categories/{id}?frame=day"), format!("/products/{}?frame=day", product_id(10, 1))] {
        let html = app.page(&path).await.text();
        assert!(
            html.contains("Live: what is sold up to 14:20 and what is expected of the rest.") && html.contains(" data-follows>"),
            "{path}"
        );
    }
    let record = app.page("/record?frame=day").await.text();
    assert!(!record.contains("Live:") && !record.contains("data-follows"));
}

#[tokio::test]
async fn when_the_stream_stands_still_the_published_forecast_says_since_when() {
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    sales.sell(9, 1, 400, 99_000, "2017-12-04T15:00:00Z");
    assert_eq!(app.get(&format!("{CATEGORIES}?timeFrame=day")).await.json()["basis"], "live");
    sales.standing.lock().expect("a standing").is_still = true;
    // Another address: the answer above is kept until the server looks at the stream again.
    let list = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=7")).await.json();
    assert_eq!((&list["basis"], &list["streamStillSince"]), (&"batch".into(), &NOW.into()));
    let html = app.page("/?frame=day").await.text();
    assert!(html.contains("No sales have come since 14:20: this is the forecast as it was published."));
    assert_eq!(app.get("/api/v1/windows/categories/1").await.json()["streamStillSince"], NOW);
    let metrics = app.get("/metrics").await.text();
    assert!(metrics.contains("sellcast_stream_changes_total{kind=\"poison\"} 2"), "{metrics}");
}

#[tokio::test]
async fn at_the_end_of_the_day_it_is_what_was_sold_and_tomorrow_nothing_is_live() {
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    sales.sell(9, 1, 400, 99_000, "2017-12-04T15:00:00Z");
    let end = "2017-12-05T04:59:59Z";
    app.set_now(end);
    sales.standing.lock().expect("a standing").as_of = Some(end.parse().expect("an instant"));
    let list = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=100")).await.json();
    let (place, category) = find(&list, category_id(9));
    assert_eq!((place, number(&category["predictedSalesAmount"])), (0, 990.0));
    assert!(number(&category["interval"]["low"]) == 990.0 && number(&category["confidenceScore"]) > 0.99, "{category}");
    app.set_now("2017-12-05T05:00:01Z");
    let list = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=99")).await.json();
    assert_eq!(list["basis"], "batch");
    assert_eq!(app.get(&format!("{CATEGORIES}?timeFrame=week")).await.json()["basis"], "live");
}

#[tokio::test]
async fn open_pages_are_told_that_sales_have_come() {
    use futures::StreamExt;
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    let mut body = app.begin("/events").await.into_body().into_data_stream();
    sales.sell(9, 1, 1, 990, "2017-12-04T15:00:00Z");
    let told = async {
        while let Some(piece) = body.next().await {
            if String::from_utf8_lossy(&piece.expect("a piece")).contains("event: sales") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(std::time::Duration::from_secs(10), told).await.expect("in time"));
}

#[tokio::test]
async fn what_live_forecasts_say_is_kept_once_a_minute() {
    let app = App::open().await;
    let sales = Sales::followed_by(&app);
    sales.sell(9, 1, 400, 99_000, "2017-12-04T15:00:00Z");
    sales.sell(0, 240, 50, 20_000, "2017-12-04T15:30:00Z");
    let kept = || async {
        let all = "2017-12-01T00:00:00Z".parse().expect("an instant")..app.now() + chrono::Duration::days(1);
        app.store.live_instants(all).await.expect("a list")
    };
    until(|| async { kept().await.len() == 1 }).await;
    let (generation, as_of) = kept().await[0];
    assert_eq!(as_of, NOW.parse::<DateTime<Utc>>().expect("an instant"));
    let live = app.store.live(generation, as_of).await.expect("a store").expect("it is kept");
    assert_eq!(live.predictions.iter().map(|one| one.time_frame).collect::<Vec<_>>(), [TimeFrame::Day, TimeFrame::Week]);
    let list = app.get(&format!("{CATEGORIES}?timeFrame=day&limit=100")).await.json();
    for (told, kept) in list["categories"].as_array().expect("a list").iter().zip(&live.predictions[0].categories) {
        assert_eq!(told["categoryId"], kept.category_id.get());
        assert!((number(&told["predictedSalesAmount"]) - kept.amount.to_f64()).abs() < 0.005, "{told} {kept:?}");
    }
    let long = live.predictions[0].categories.iter().find(|one| one.category_id == category_id(0)).expect("the category");
    let risen = long.products.iter().find(|one| one.product_id == product_id(0, 240)).expect("what has risen among the first 100");
    assert_eq!((risen.rank, risen.interval, long.products.len()), (1, None, 101));
    // Nothing more in this minute; the next one is kept in its place, that of another hour beside it.
    for (now, expected) in [("2017-12-04T19:21:10Z", 1), ("2017-12-04T20:00:00Z", 2)] {
        app.set_now(now);
        let now: DateTime<Utc> = now.parse().expect("an instant");
        sales.standing.lock().expect("a standing").as_of = Some(now);
        until(|| async { kept().await.last().is_some_and(|(_, as_of)| *as_of == now) }).await;
        assert_eq!(kept().await.len(), expected);
    }
    // A stream that stands still tells nothing new.
    app.set_now("2017-12-04T20:05:00Z");
    {
        let mut standing = sales.standing.lock().expect("a standing");
        (standing.as_of, standing.is_still) = (Some(app.now()), true);
    }
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(kept().await.last().map(|(_, as_of)| as_of.to_rfc3339()), Some("2017-12-04T20:00:00+00:00".to_owned()));
}

/// Waits for something that comes within seconds.
async fn until<F: Future<Output = bool>>(condition: impl FnMut() -> F) {
    sellcast_testkit::until("a live generation", std::time::Duration::from_secs(30), condition).await.expect("in time");
}
