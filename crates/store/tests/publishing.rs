//! Publishing: whole, once, visible by one pointer, and told to subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sellcast_domain::{CategoryId, Money, TimeFrame};
use sellcast_store::{PredictionStore, StoreError};

use crate::generations::{day, generation, id};

fn store() -> (tempfile::TempDir, PredictionStore) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = PredictionStore::open(&folder.path().join("some/where/predictions.redb")).expect("a store");
    (folder, store)
}

#[test]
fn what_was_published_is_read_back_whole() {
    let (_folder, store) = store();
    assert_eq!(store.current().expect("readable"), None);
    let published = generation(1, "2017-12-04", 3);
    store.publish(&published).expect("published");
    assert_eq!(store.current().expect("readable").as_ref(), Some(&published.generation));
    for document in &published.predictions {
        assert_eq!(store.prediction(id(1), document.time_frame).expect("readable").as_ref(), Some(document));
    }
    let (frame, continuation) = &published.continuations[0];
    assert_eq!(store.continuation(id(1), *frame, continuation.category_id).expect("readable").as_ref(), Some(continuation));
    assert_eq!(store.continuation(id(1), TimeFrame::Day, continuation.category_id).expect("readable"), None);
    assert_eq!(store.history(id(1), CategoryId::from(3)).expect("readable").as_ref(), published.histories.last());
    assert_eq!(store.history(id(1), CategoryId::from(4)).expect("readable"), None);
    assert_eq!(store.record(id(1)).expect("readable"), Some(published.record));
    assert_eq!(store.prediction(id(2), TimeFrame::Week).expect("readable"), None);
}

#[test]
fn it_survives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("predictions.redb");
    let store = PredictionStore::open(&path).expect("a store");
    store.publish(&generation(1, "2017-12-04", 2)).expect("published");
    assert!(matches!(PredictionStore::open(&path), Err(StoreError::Held { .. })), "a second opening is told that it is held");
    drop(store);
    let again = PredictionStore::open(&path).expect("a store");
    assert_eq!(again.current().expect("readable").map(|generation| generation.generation_id), Some(id(1)));
    assert_eq!(*again.subscribe().borrow(), Some(id(1)));
}

#[test]
fn publishing_twice_is_publishing_once_and_nothing_is_ever_changed() {
    let (_folder, store) = store();
    let first = generation(1, "2017-12-04", 2);
    store.publish(&first).expect("published");
    store.publish(&first).expect("the same again");
    store.publish(&generation(2, "2017-12-04", 2)).expect("published");
    store.publish(&first).expect("an old one again");
    assert_eq!(store.current().expect("readable").map(|generation| generation.generation_id), Some(id(2)), "the pointer does not go back");
    let mut other = first.clone();
    other.predictions[0].total_amount = Money::from_cents(1);
    assert!(matches!(store.publish(&other), Err(StoreError::Changed(changed)) if changed == id(1)));
    assert_eq!(store.prediction(id(1), TimeFrame::Day).expect("readable").as_ref(), first.predictions.first());
}

#[test]
fn days_are_found_and_the_nearest_is_named() {
    let (_folder, store) = store();
    assert_eq!(store.nearest(day("2017-12-04")).expect("readable"), None);
    for (number, as_of) in [(3, "2017-12-06"), (1, "2017-12-01"), (2, "2017-12-01")] {
        store.publish(&generation(number, as_of, 1)).expect("published");
    }
    assert_eq!(
        store.current().expect("readable").map(|generation| generation.generation_id),
        Some(id(3)),
        "an earlier day does not become current"
    );
    let newest = store.generation_for(day("2017-12-01")).expect("readable");
    assert_eq!(newest.map(|generation| generation.generation_id), Some(id(2)), "the newest of the day");
    assert_eq!(store.generation_for(day("2017-12-02")).expect("readable"), None);
    assert_eq!(store.published_days().expect("readable"), [day("2017-12-01"), day("2017-12-06")]);
    for (asked, nearest) in [
        ("2017-01-01", "2017-12-01"),
        ("2017-12-03", "2017-12-01"),
        ("2017-12-04", "2017-12-06"),
        ("2017-12-06", "2017-12-06"),
        ("2018-01-01", "2017-12-06"),
    ] {
        assert_eq!(store.nearest(day(asked)).expect("readable"), Some(day(nearest)), "{asked}");
    }
}

#[test]
fn subscribers_are_told_after_it_can_be_read() {
    let (_folder, store) = store();
    let mut told = store.subscribe();
    assert_eq!(*told.borrow_and_update(), None);
    store.publish(&generation(1, "2017-12-04", 1)).expect("published");
    assert!(told.has_changed().expect("the store lives"));
    assert_eq!(*told.borrow_and_update(), Some(id(1)));
}

#[test]
fn readers_never_see_a_mixture() {
    let (_folder, store) = store();
    store.publish(&generation(1, "2017-12-04", 20)).expect("published");
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, stop) = (store.clone(), stop.clone());
        thread::spawn(move || {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                let current = store.current().expect("readable").expect("there is one");
                let expected = 10_000 + i64::try_from(current.generation_id.uuid().as_u128()).expect("small");
                for frame in TimeFrame::ALL {
                    let document = store.prediction(current.generation_id, frame).expect("readable").expect("every document is there");
                    assert_eq!(document.total_amount, Money::from_cents(expected));
                }
                seen += 1;
            }
            seen
        })
    };
    for number in 2..30 {
        store.publish(&generation(number, "2017-12-04", 20)).expect("published");
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().expect("the reader does not fail") > 0);
}
