//! Live generations: one a minute, the last one of each hour, dropped in time, and published ones left as they are. The same
//! tests on every backend.

use anyhow::{Context, Result};
use chrono::{DateTime, Duration, Utc};
use sellcast_domain::{Interval, LiveCategory, LiveGeneration, LivePrediction, LiveProduct, Money, TimeFrame};

use crate::generations::{day, generation, id};
use crate::places::{Place, on_every_backend};

on_every_backend!(
    what_was_kept_is_read_back,
    a_minute_is_kept_once_and_an_hour_by_its_last,
    the_old_are_dropped_and_publications_stay,
    a_large_one_comes_back_whole,
    two_servers_write_a_minute_once,
);

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

fn live(number: u128, as_of: &str, products: i64) -> LiveGeneration {
    let interval = Interval { low: Money::from_cents(1), high: Money::from_cents(99) };
    let product = |place: i64| LiveProduct {
        product_id: place.into(),
        // Numbers that do not compress away.
        amount: Money::from_cents(place * 7_919 % 1_000_003),
        quantity: 1.0 / place as f64,
        interval: (place % 3 > 0).then_some(interval),
        confidence_score: 0.1 + 0.2,
        rank: place as u32,
    };
    let category = LiveCategory {
        category_id: 4.into(),
        amount: Money::from_cents(12_345),
        quantity: 2.5,
        interval,
        confidence_score: 0.75,
        rank: 1,
        products: (1..=products).map(product).collect(),
    };
    let prediction = |time_frame| LivePrediction {
        time_frame,
        period_start: day("2017-12-04"),
        total_amount: Money::from_cents(12_345),
        total_interval: interval,
        categories: vec![category.clone()],
    };
    LiveGeneration { generation_id: id(number), as_of: at(as_of), predictions: LiveGeneration::FRAMES.map(prediction).to_vec() }
}

async fn what_was_kept_is_read_back(place: Place) -> Result<()> {
    let store = place.open().await?;
    let noon = live(1, "2017-12-04T17:00:20Z", 3);
    assert!(store.keep_live(noon.clone()).await?);
    assert!(store.keep_live(live(2, "2017-12-04T17:00:30Z", 3)).await?, "another publication has minutes of its own");
    drop(store);
    let store = place.open().await?;
    assert_eq!(store.live(id(1), noon.as_of).await?, Some(noon.clone()));
    assert_eq!(store.live(id(1), noon.as_of + Duration::seconds(1)).await?, None);
    assert_eq!(store.live(id(3), noon.as_of).await?, None);
    let both = [(id(1), noon.as_of), (id(2), at("2017-12-04T17:00:30Z"))];
    assert_eq!(store.live_instants(at("2017-12-01T00:00:00Z")..at("2017-12-05T00:00:00Z")).await?, both);
    assert_eq!(store.live_instants(at("2017-12-01T00:00:00Z")..at("2017-12-04T17:00:30Z")).await?, both[..1]);
    Ok(())
}

async fn a_minute_is_kept_once_and_an_hour_by_its_last(place: Place) -> Result<()> {
    let store = place.open().await?;
    assert!(store.keep_live(live(1, "2017-12-04T16:59:59Z", 1)).await?);
    assert!(store.keep_live(live(1, "2017-12-04T17:00:00Z", 2)).await?);
    assert!(!store.keep_live(live(1, "2017-12-04T17:00:59Z", 3)).await?, "one of this minute is there");
    assert!(store.keep_live(live(1, "2017-12-04T17:01:00Z", 4)).await?);
    let kept = store.live_instants(at("2017-12-04T00:00:00Z")..at("2017-12-05T00:00:00Z")).await?;
    assert_eq!(kept, [(id(1), at("2017-12-04T16:59:59Z")), (id(1), at("2017-12-04T17:01:00Z"))]);
    assert_eq!(store.live(id(1), at("2017-12-04T17:00:00Z")).await?, None, "a later one of its hour has its place");
    let last = store.live(id(1), at("2017-12-04T17:01:00Z")).await?.context("it is kept")?;
    assert_eq!(last.predictions[0].categories[0].products.len(), 4);
    Ok(())
}

async fn the_old_are_dropped_and_publications_stay(place: Place) -> Result<()> {
    let store = place.open().await?;
    let published = generation(1, "2017-12-04", 2);
    store.publish(published.clone()).await?;
    store.keep_live(live(1, "2017-12-04T17:00:00Z", 1)).await?;
    store.keep_live(live(1, "2017-12-04T18:00:00Z", 1)).await?;
    // The cluster counts by its own clock and drops nothing yet; a file goes by the shop's.
    let later = "2017-12-13T17:30:00Z";
    store.keep_live(live(2, later, 1)).await?;
    let kept = store.live_instants(at("2017-12-01T00:00:00Z")..at("2017-12-31T00:00:00Z")).await?;
    let expected = [(id(1), at("2017-12-04T17:00:00Z")), (id(1), at("2017-12-04T18:00:00Z")), (id(2), at(later))];
    match place {
        Place::File(..) => assert_eq!(kept, [expected[0], expected[1], expected[2]], "nine days are kept to the hour"),
        Place::Keyspace(_) => assert_eq!(kept, expected),
    }
    store.keep_live(live(2, "2017-12-13T18:30:00Z", 1)).await?;
    if let Place::File(..) = place {
        let kept = store.live_instants(at("2017-12-01T00:00:00Z")..at("2017-12-31T00:00:00Z")).await?;
        assert_eq!(kept.first(), Some(&expected[1]));
    }
    assert_eq!(store.current().as_deref(), Some(&published.generation));
    assert_eq!(store.prediction(id(1), TimeFrame::Week).await?.as_ref(), published.predictions.get(1));
    Ok(())
}

async fn a_large_one_comes_back_whole(place: Place) -> Result<()> {
    let store = place.open().await?;
    let large = live(1, "2017-12-04T17:00:00Z", 60_000);
    store.keep_live(large.clone()).await?;
    assert_eq!(store.live(id(1), large.as_of).await?, Some(large));
    Ok(())
}

async fn two_servers_write_a_minute_once(place: Place) -> Result<()> {
    // A file has one process; a keyspace has a session for each.
    let first = place.open().await?;
    let second = if let Place::Keyspace(_) = place { place.open().await? } else { first.clone() };
    for minute in 0..5 {
        let one = live(1, &format!("2017-12-04T17:0{minute}:10Z"), 2);
        let other = live(1, &format!("2017-12-04T17:0{minute}:40Z"), 2);
        let (one, other) = futures::future::try_join(first.keep_live(one), second.keep_live(other)).await?;
        assert_ne!(one, other, "one of the two writes minute {minute}");
    }
    Ok(())
}
