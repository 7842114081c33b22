//! Publishing: whole, once, visible by one pointer, and told to subscribers. The same tests on every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sellcast_domain::{CategoryId, Generation, GenerationId, Money, TimeFrame};
use sellcast_store::{PredictionStore, StoreError};

use crate::generations::{day, generation, id};
use crate::places::{Place, on_every_backend};

on_every_backend!(
    what_was_published_is_read_back_whole,
    it_survives_a_restart,
    publishing_twice_is_publishing_once_and_nothing_is_ever_changed,
    days_are_found_and_the_nearest_is_named,
    subscribers_are_told_after_it_can_be_read,
    readers_never_see_a_mixture,
    a_long_document_comes_back_whole,
);

fn current(store: &PredictionStore) -> Option<GenerationId> {
    store.current().map(|generation| generation.generation_id)
}

async fn what_was_published_is_read_back_whole(place: Place) -> Result<()> {
    let store = place.open().await?;
    assert_eq!(store.current(), None);
    let published = generation(1, "2017-12-04", 3);
    store.publish(published.clone()).await?;
    assert_eq!(store.current().as_deref(), Some(&published.generation));
    for document in &published.predictions {
        assert_eq!(store.prediction(id(1), document.time_frame).await?.as_ref(), Some(document));
    }
    let (frame, continuation) = &published.continuations[0];
    assert_eq!(store.continuation(id(1), *frame, continuation.category_id).await?.as_ref(), Some(continuation));
    assert_eq!(store.continuation(id(1), TimeFrame::Day, continuation.category_id).await?, None);
    assert_eq!(store.history(id(1), CategoryId::from(3)).await?.as_ref(), published.histories.last());
    assert_eq!(store.history(id(1), CategoryId::from(4)).await?, None);
    assert_eq!(store.record(id(1)).await?, Some(published.record));
    assert_eq!(store.prediction(id(2), TimeFrame::Week).await?, None);
    let prediction = published.predictions[2].prediction_id;
    let found = store.find(prediction).await?.map(|(generation, frame)| (generation.generation_id, frame));
    assert_eq!(found, Some((id(1), published.predictions[2].time_frame)));
    store.check_rights().await?;
    Ok(())
}

async fn it_survives_a_restart(place: Place) -> Result<()> {
    let store = place.open().await?;
    store.publish(generation(1, "2017-12-04", 2)).await?;
    if let Place::File(path, _) = &place {
        assert!(matches!(PredictionStore::open(path), Err(StoreError::Held { .. })), "a second opening is told that it is held");
    }
    drop(store);
    let again = place.open().await?;
    assert_eq!(current(&again), Some(id(1)));
    assert_eq!(again.generation_for(day("2017-12-04")).await?.map(|generation| generation.generation_id), Some(id(1)));
    Ok(())
}

async fn publishing_twice_is_publishing_once_and_nothing_is_ever_changed(place: Place) -> Result<()> {
    let store = place.open().await?;
    let first = generation(1, "2017-12-04", 2);
    store.publish(first.clone()).await?;
    store.publish(first.clone()).await.context("the same again")?;
    store.publish(generation(2, "2017-12-04", 2)).await?;
    store.publish(first.clone()).await.context("an old one again")?;
    assert_eq!(current(&store), Some(id(2)), "the pointer does not go back");
    let mut other = first.clone();
    other.predictions[0].total_amount = Money::from_cents(1);
    assert!(matches!(store.publish(other).await, Err(StoreError::Changed(changed)) if changed == id(1)));
    assert_eq!(store.prediction(id(1), TimeFrame::Day).await?.as_ref(), first.predictions.first());
    Ok(())
}

async fn days_are_found_and_the_nearest_is_named(place: Place) -> Result<()> {
    let store = place.open().await?;
    assert_eq!(store.nearest(day("2017-12-04")).await?, None);
    for (number, as_of) in [(3, "2017-12-06"), (1, "2017-12-01"), (2, "2017-12-01")] {
        store.publish(generation(number, as_of, 1)).await?;
    }
    assert_eq!(current(&store), Some(id(3)), "an earlier day does not become current");
    let newest = store.generation_for(day("2017-12-01")).await?;
    assert_eq!(newest.map(|generation| generation.generation_id), Some(id(2)), "the newest of the day");
    assert_eq!(store.generation_for(day("2017-12-02")).await?, None);
    assert_eq!(store.published_days().await?, [day("2017-12-01"), day("2017-12-06")]);
    for (asked, nearest) in [
        ("2017-01-01", "2017-12-01"),
        ("2017-12-03", "2017-12-01"),
        ("2017-12-04", "2017-12-06"),
        ("2017-12-06", "2017-12-06"),
        ("2018-01-01", "2017-12-06"),
    ] {
        assert_eq!(store.nearest(day(asked)).await?, Some(day(nearest)), "{asked}");
    }
    Ok(())
}

async fn subscribers_are_told_after_it_can_be_read(place: Place) -> Result<()> {
    let store = place.open().await?;
    let mut told = store.subscribe();
    let seen = |generation: &Option<Arc<Generation>>| generation.as_ref().map(|generation| generation.generation_id);
    assert_eq!(seen(&told.borrow_and_update()), None);
    store.publish(generation(1, "2017-12-04", 1)).await?;
    assert!(told.has_changed()?);
    assert_eq!(seen(&told.borrow_and_update()), Some(id(1)));
    // An earlier day changes what that day's readers see, though not what is current.
    store.publish(generation(2, "2017-12-03", 1)).await?;
    assert!(told.has_changed()?);
    assert_eq!(seen(&told.borrow_and_update()), Some(id(1)));
    Ok(())
}

async fn readers_never_see_a_mixture(place: Place) -> Result<()> {
    let store = place.open().await?;
    store.publish(generation(1, "2017-12-04", 20)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(reads_whole_generations(store.clone(), stop.clone()));
    for number in 2..20 {
        store.publish(generation(number, "2017-12-04", 20)).await?;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(tokio::time::timeout(Duration::from_secs(60), reader).await??? > 0);
    Ok(())
}

/// How many generations were read, each document being of the same one.
pub(crate) async fn reads_whole_generations(store: PredictionStore, stop: Arc<AtomicBool>) -> Result<u32> {
    let mut seen = 0;
    while !stop.load(Ordering::Relaxed) {
        let current = store.current().context("there is one")?;
        let expected = Money::from_cents(10_000 + i64::try_from(current.generation_id.uuid().as_u128())?);
        for frame in TimeFrame::ALL {
            let document = store.prediction(current.generation_id, frame).await?.context("every document is there")?;
            ensure!(document.total_amount == expected, "a document of another generation: {} in {expected}", document.total_amount);
        }
        seen += 1;
    }
    Ok(seen)
}

async fn a_long_document_comes_back_whole(place: Place) -> Result<()> {
    let store = place.open().await?;
    let mut published = generation(1, "2017-12-04", 1);
    // What does not compress: a hundred thousand names of chance.
    let mut state = 1_u64;
    let mut chance = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let products = &mut published.continuations[0].1.products;
    let pattern = products[0].clone();
    products.extend((0..60_000).map(|_| {
        let mut product = pattern.clone();
        product.product_name = format!("{:016x}{:016x}", chance(), chance());
        product
    }));
    let (frame, continuation) = published.continuations[0].clone();
    store.publish(published).await?;
    assert!(store.continuation(id(1), frame, continuation.category_id).await? == Some(continuation), "it differs");
    Ok(())
}
