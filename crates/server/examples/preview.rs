//! Serves a synthetic shop, to look at the pages while working on them:
//! `cargo run -p sellcast-server --example preview -- 8090 [empty|stale|still|renew|FILE.redb]`. A file is served as it
//! is, at 14:20 on the day of its current generation.

#[path = "../tests/shop.rs"]
mod shop;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sellcast_domain::{LiveStatus, Money, ReplayStatus};
use sellcast_server::{AppState, ServerSettings};
use sellcast_store::{LiveBoard, PredictionStore};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap_or_else(|| "8090".to_owned()).parse()?;
    let mode = arguments.next().unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let own = mode.ends_with(".redb").then(|| PathBuf::from(&mode));
    let store = PredictionStore::open(&own.clone().unwrap_or_else(|| folder.path().join("predictions.redb")))?;
    let today = store.current().map_or_else(|| shop::day("2017-12-04"), |generation| generation.as_of);
    if mode != "empty" && own.is_none() {
        for (as_of, edition) in [(today - 1, 1), (today, 1)] {
            store.publish(shop::generation(as_of, edition)).await?;
        }
    }
    let live = LiveBoard::new();
    let now = today.starts_at(chrono_tz::America::New_York) + chrono::Duration::minutes(14 * 60 + 20);
    let now = if mode == "stale" { now + chrono::Duration::days(3) } else { now };
    if mode != "still" {
        live.set_status(LiveStatus {
            shop_time: now,
            shop_day: today,
            sold_so_far: (mode != "empty").then(|| Money::from_cents(691_200)),
            expected_today: (mode != "empty").then(|| Money::from_cents(1_348_000)),
            replay: Some(ReplayStatus { paused: false, first_day: today - 3, last_day: today + 27, day_seconds: 30.0, finished: false }),
            activity: Some(if mode == "empty" { "reading sales: 812,000 of 1,469,307".to_owned() } else { "training models".to_owned() }),
        });
    }
    let state =
        AppState::new(store.clone(), live, Arc::new(move || now), ServerSettings::new("Corner Market", chrono_tz::America::New_York));
    if mode == "renew" {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(8)).await;
            let published = store.publish(shop::generation(today, 2)).await;
            assert!(published.is_ok(), "the second edition is published");
        });
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    sellcast_server::serve(listener, state, std::future::pending()).await?;
    Ok(())
}
