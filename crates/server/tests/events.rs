//! Server-sent events over the real router: the present state first, then what changes.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt;
use sellcast_domain::{LiveStatus, Money};
use sellcast_server::ServerSettings;
use serde_json::Value;

use crate::app::App;
use crate::shop;

/// Reads a stream event by event, with a limit instead of a sleep.
struct Events {
    body: BodyDataStream,
    read: String,
}

impl Events {
    async fn open(app: &App) -> Self {
        let response = app.begin("/events").await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), read: String::new() }
    }

    /// The next event of a kind; others are passed over.
    async fn next(&mut self, kind: &str) -> String {
        let waiting = async {
            loop {
                while let Some(end) = self.read.find("\n\n") {
                    let event: String = self.read.drain(..end + 2).collect();
                    if event.lines().any(|line| line.trim_start_matches("event:").trim() == kind) {
                        let data = event.lines().find_map(|line| line.strip_prefix("data:")).expect("data");
                        return data.trim().to_owned();
                    }
                }
                let chunk = self.body.next().await.expect("the stream goes on").expect("a chunk");
                self.read.push_str(std::str::from_utf8(&chunk).expect("text"));
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("no `{kind}` within 30 s"))
    }
}

fn status(sold: i64) -> LiveStatus {
    LiveStatus {
        shop_time: "2017-12-04T19:20:00Z".parse().expect("an instant"),
        shop_day: shop::day("2017-12-04"),
        sold_so_far: Some(Money::from_cents(sold)),
        expected_today: None,
        replay: None,
        activity: Some("training models".to_owned()),
    }
}

#[tokio::test]
async fn a_new_generation_is_told_once_it_is_served() {
    let app = App::open().await;
    let mut events = Events::open(&app).await;
    let present = shop::generation(shop::day("2017-12-04"), 1).generation.generation_id.to_string();
    assert_eq!(events.next("generation").await, present);
    let newer = shop::generation(shop::day("2017-12-05"), 1);
    app.store.publish(newer.clone()).await.expect("published");
    let told = events.next("generation").await;
    assert_eq!(told, newer.generation.generation_id.to_string());
    let body = app.get("/api/v1/predictions/categories?timeFrame=week").await.json();
    assert_eq!(body["generationId"], told.as_str(), "what was told is what is served");
}

#[tokio::test]
async fn the_running_day_is_told_as_the_bar_shows_it() {
    let app = App::open().await;
    let mut events = Events::open(&app).await;
    let empty: Value = serde_json::from_str(&events.next("live").await).expect("JSON");
    assert_eq!(empty["watched"], false);
    for sold in 1..=500 {
        app.live.set_status(status(sold * 100));
    }
    let mut told: Value = serde_json::from_str(&events.next("live").await).expect("JSON");
    while told["sold"] != "$500" {
        told = serde_json::from_str(&events.next("live").await).expect("JSON");
    }
    assert_eq!((&told["time"], &told["activity"]), (&"14:20 in the shop".into(), &"training models".into()));
    assert_eq!(told["sold_so_far"].as_f64(), Some(500.0), "the status itself is in it");
}

#[tokio::test]
async fn streams_are_bounded_and_give_their_place_back() {
    let app = App::with(ServerSettings { max_viewers: 1, ..ServerSettings::new("Corner Market", chrono_tz::UTC) });
    let first = app.begin("/events").await;
    assert_eq!(first.status(), 200);
    let second = app.get("/events").await;
    assert_eq!((second.status.as_u16(), &second.json()["code"]), (503, &"OVERLOADED".into()));
    drop(first);
    assert_eq!(app.begin("/events").await.status(), 200);
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let app = App::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(sellcast_server::serve(listener, app.state.clone(), shutdown));
    let mut connection = tokio::net::TcpStream::connect(address).await.expect("a connection");
    tokio::io::AsyncWriteExt::write_all(&mut connection, b"GET /events HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut head = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut connection, &mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stop.send(()).expect("the server listens");
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await.expect("an open stream does not hold the server");
    ended.expect("no panic").expect("no error");
}
