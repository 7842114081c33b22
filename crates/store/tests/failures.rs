//! A publication that fails half way or is killed leaves the former generation current. The store runs in a
//! process of its own here: this test binary, started again with one test and a file-size limit or a kill.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sellcast_domain::{CategoryId, TimeFrame};
use sellcast_store::{PredictionStore, StoreError};

use crate::generations::{generation, id};

const STORE: &str = "SELLCAST_TEST_STORE";

/// This binary again, running one test with a store of the parent's.
fn child(test: &str, store: &Path, limit_blocks: Option<u64>) -> Child {
    let program = std::env::current_exe().expect("this binary");
    let limit = limit_blocks.map(|blocks| format!("ulimit -f {blocks};")).unwrap_or_default();
    // The signal is ignored, so that a write beyond the limit fails as it does on a full disk.
    let script = format!("trap '' XFSZ; {limit} exec \"$0\" --exact {test} --nocapture");
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).arg(program).env(STORE, store).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().expect("bash runs")
}

fn store_of_the_parent() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

#[tokio::test]
async fn a_full_disk_keeps_the_old_generation() {
    if let Some(path) = store_of_the_parent() {
        return publish_until_full(&path).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("predictions.redb");
    let store = PredictionStore::open(&path).expect("a store");
    store.publish(generation(1, "2017-12-04", 5)).await.expect("published");
    drop(store);
    let size = std::fs::metadata(&path).expect("the file").len();
    let limited = child("failures::a_full_disk_keeps_the_old_generation", &path, Some(size / 1024 + 512));
    let ended = limited.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("was full as expected"), "the child tested nothing: {said}");
    let store = PredictionStore::open(&path).expect("the file is sound");
    let current = store.current().expect("there is one");
    assert!(store.prediction(current.generation_id, TimeFrame::Week).await.expect("readable").is_some());
    store.publish(generation(900, "2017-12-05", 4_000)).await.expect("with room it is published");
    assert_eq!(store.current().map(|generation| generation.generation_id), Some(id(900)));
}

/// Runs under the file-size limit.
#[expect(clippy::print_stdout, reason = "the parent reads that the child came to its end")]
async fn publish_until_full(path: &Path) {
    let store = PredictionStore::open(path).expect("a store");
    let told = store.subscribe();
    let before = store.current();
    let error = store.publish(generation(2, "2017-12-05", 20_000)).await.expect_err("the file cannot grow that far");
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(error.to_string().contains("free some space"), "{error}");
    assert_eq!(store.current(), before, "the old generation stays");
    assert!(!told.has_changed().expect("the store lives"), "nobody is told");
    // The same process goes on reading, also what it never read before.
    assert!(store.history(id(1), CategoryId::from(5)).await.expect("readable").is_some());
    assert_eq!(store.prediction(id(2), TimeFrame::Week).await.expect("readable"), None, "nothing of the failed one is left");
    println!("was full as expected");
}

#[tokio::test]
async fn a_killed_publication_leaves_one_generation_or_the_other() {
    if let Some(path) = store_of_the_parent() {
        return publish_without_end(&path).await;
    }
    let mut found = 0;
    for round in 0..6_u64 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("predictions.redb");
        let mut publishing = child("failures::a_killed_publication_leaves_one_generation_or_the_other", &path, None);
        let began = Instant::now();
        // Killed at another moment each time, but never before the file is there.
        while !path.exists() || began.elapsed() < Duration::from_millis(60 + 37 * round) {
            assert!(began.elapsed() < Duration::from_secs(30), "the child never began");
            std::thread::yield_now();
        }
        publishing.kill().expect("killed");
        publishing.wait().expect("it ended");
        let store = PredictionStore::open(&path).expect("the file is sound after a kill");
        let Some(current) = store.current() else { continue };
        found += 1;
        let number = current.generation_id.uuid().as_u128();
        let expected = generation(number, "2017-12-04", 300);
        for document in &expected.predictions {
            assert_eq!(store.prediction(current.generation_id, document.time_frame).await.expect("readable").as_ref(), Some(document));
        }
        for history in &expected.histories {
            assert_eq!(store.history(current.generation_id, history.category_id).await.expect("readable").as_ref(), Some(history));
        }
        store.publish(generation(number + 1, "2017-12-04", 300)).await.expect("it can go on");
    }
    assert!(found > 0, "every child was killed before its first publication: nothing was tested");
}

/// Runs until it is killed.
async fn publish_without_end(path: &Path) {
    let store = PredictionStore::open(path).expect("a store");
    for number in 1.. {
        store.publish(generation(number, "2017-12-04", 300)).await.expect("published");
    }
}
