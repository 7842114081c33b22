//! Champion and challenger: what takes over and what does not, how one call rolls back, and that a failed training or a
//! damaged file leaves the champion serving.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::shop::{Shop, Stage};

async fn marked(shop: &Shop, mark: &str, frame: &str) -> Option<String> {
    let models = shop.run(&["models", "--json"]).await.json();
    let models = models.as_array().expect("a list").clone();
    let found = models.iter().find(|model| model[mark] == true && model["frame"] == frame);
    found.map(|model| model["version"].as_str().expect("a version").to_owned())
}

async fn history(shop: &Shop, frame: &str) -> Vec<(String, String, String)> {
    let events = shop.run(&["models", "--history"]).await.json();
    let text = |event: &Value, field: &str| event[field].as_str().expect("text").to_owned();
    let events = events.as_array().expect("a list").clone();
    events
        .iter()
        .filter(|event| event["frame"] == frame)
        .map(|event| (text(event, "event"), text(event, "version"), text(event, "reason")))
        .collect()
}

/// Every Parquet file of the feature store that a later training would read.
fn feature_files(shop: &Shop) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![shop.data().join("warehouse/features")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|extension| extension == "parquet") {
                files.push(entry.path());
            }
        }
    }
    files
}

#[tokio::test]
async fn a_challenger_waits_until_it_has_beaten_the_champion_and_one_call_rolls_back() {
    let shop = Shop::at(Stage::Trained).await;
    let first = marked(&shop, "is_champion", "week").await.expect("a champion");
    let events = history(&shop, "week").await;
    assert_eq!((events.len(), events[0].0.as_str()), (1, "promoted"), "{events:?}");
    assert!(events[0].2.contains("first of its frame"), "{events:?}");
    shop.run(&["models", "rollback", "week"]).await.refused(1, &["no champion before", &first]);

    // A later training by the same recipe: nothing has ended that neither has seen, so it waits.
    shop.run(&["ingest", "--now", "2017-05-09T03:59:59Z"]).await.done();
    shop.run(&["train", "--as-of", "2017-05-03"]).await.done();
    let waiting = marked(&shop, "is_challenger", "week").await.expect("a challenger");
    assert_eq!(waiting, "week/2017-05-03");
    assert_eq!(marked(&shop, "is_champion", "week").await.as_ref(), Some(&first), "the champion stays");
    assert!(history(&shop, "week").await[0].2.contains("waits"), "{:?}", history(&shop, "week").await);
    let forecast = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!(forecast["provenance"]["models"]["week"]["version"], first.as_str());

    shop.run(&["models", "promote", &waiting]).await.done();
    assert_eq!(marked(&shop, "is_champion", "week").await.as_ref(), Some(&waiting));
    assert_eq!(marked(&shop, "is_challenger", "week").await, None);
    let said = shop.run(&["models", "rollback", "week"]).await.done().stdout;
    assert!(said.contains(&first) && said.contains(&waiting), "{said}");
    assert_eq!(marked(&shop, "is_champion", "week").await.as_ref(), Some(&first));
    let forecast = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!(forecast["provenance"]["models"]["week"]["version"], first.as_str());
    shop.run(&["models", "promote", "week/1999-01-01"]).await.refused(1, &["no version", "1999"]);
}

#[tokio::test]
async fn a_recipe_that_is_clearly_better_takes_over_on_held_out_periods_and_a_worse_one_does_not() {
    let shop = Shop::at(Stage::Ingested).await;
    // A champion that hardly learnt anything, five weeks old.
    shop.reconfigure("rounds = 20", "rounds = 1");
    shop.run(&["train", "--as-of", "2017-03-28"]).await.done();
    let poor = marked(&shop, "is_champion", "day").await.expect("a champion");
    shop.reconfigure("rounds = 1", "rounds = 60");
    shop.run(&["train"]).await.done();
    let events = history(&shop, "day").await;
    let decided = events.iter().find(|event| event.1 != poor).expect("an event of the new version");
    assert!(decided.2.contains("category-periods") && decided.2.contains("p = "), "{events:?}");
    let p: f64 = decided.2.split("p = ").nth(1).and_then(|p| p.trim_end_matches(')').parse().ok()).expect("a probability");
    assert_eq!(decided.0, if p < 0.05 { "promoted" } else { "challenged" }, "{events:?}");
    let champion = marked(&shop, "is_champion", "day").await.expect("a champion");
    assert_eq!(champion == poor, p >= 0.05, "{events:?}");
}

#[tokio::test]
async fn a_training_that_fails_leaves_the_champion_and_is_kept_with_its_reason() {
    let shop = Shop::at(Stage::Trained).await;
    let champion = marked(&shop, "is_champion", "week").await.expect("a champion");
    for file in feature_files(&shop) {
        // The day itself stays readable: the forecast needs it.
        if !file.display().to_string().contains("2017-05-02") {
            fs::write(&file, "no parquet").expect("a file");
        }
    }
    let ran = shop.run(&["train", "--as-of", "2017-05-03"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("a training failed, the champion stays"), "{}", ran.stderr);
    let events = history(&shop, "week").await;
    assert_eq!((events[0].0.as_str(), events[0].1.as_str()), ("failed", "week/2017-05-03"), "{events:?}");
    assert!(events[0].2.contains("features"), "{events:?}");
    assert_eq!(marked(&shop, "is_champion", "week").await.as_ref(), Some(&champion));
    let forecast = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!((&forecast["stage"], &forecast["provenance"]["models"]["week"]["version"]), (&"models".into(), &champion.as_str().into()));
}

#[tokio::test]
async fn a_damaged_champion_gives_way_to_the_one_before_it_and_a_damaged_challenger_to_nobody() {
    let shop = Shop::at(Stage::Trained).await;
    let first = marked(&shop, "is_champion", "week").await.expect("a champion");
    shop.run(&["train", "--as-of", "2017-05-03"]).await.done();
    let damage = |version: &str| {
        let file = shop.data().join("models").join(version).join("gbm_amount.bin");
        let mut bytes = fs::read(&file).expect("a model");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&file, bytes).expect("a model");
    };
    let waiting = marked(&shop, "is_challenger", "week").await.expect("a challenger");
    damage(&waiting);
    shop.run(&["models", "promote", &waiting]).await.refused(1, &["refused", "damaged or changed", "champion stays"]);
    assert_eq!(marked(&shop, "is_champion", "week").await.as_ref(), Some(&first));
    assert_eq!(history(&shop, "week").await[0].0, "refused");
    let day = marked(&shop, "is_challenger", "day").await.expect("a challenger");
    let before = marked(&shop, "is_champion", "day").await.expect("a champion");
    shop.run(&["models", "promote", &day]).await.done();
    damage(&day);
    let ran = shop.run(&["forecast", "--json"]).await.done();
    assert!(ran.stderr.contains("a model is refused"), "{}", ran.stderr);
    assert_eq!(ran.json()["provenance"]["models"]["day"]["version"], before.as_str());
    assert_eq!(marked(&shop, "is_champion", "day").await, Some(before));
}

#[tokio::test]
async fn a_model_of_a_newer_program_is_refused_and_recorded() {
    let shop = Shop::at(Stage::Trained).await;
    let version = marked(&shop, "is_champion", "week").await.expect("a champion");
    let file = shop.data().join("models").join(&version).join("frame.json");
    let text = fs::read_to_string(&file).expect("a description");
    fs::write(&file, text.replacen("\"definitions_version\": \"v", "\"definitions_version\": \"v9", 1)).expect("a description");
    let ran = shop.run(&["forecast", "--json"]).await.done();
    assert!(ran.stderr.contains("a model is refused"), "{}", ran.stderr);
    let events = history(&shop, "week").await;
    assert_eq!((events[0].0.as_str(), &events[0].1), ("refused", &version), "{events:?}");
    assert_eq!(marked(&shop, "is_champion", "week").await, None, "baselines serve the frame");
    shop.run(&["train"]).await.done();
    let again = marked(&shop, "is_champion", "week").await.expect("a champion");
    assert_eq!(again, format!("{version}.2"), "a version is never replaced");
}
