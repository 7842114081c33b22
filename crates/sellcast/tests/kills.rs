//! `kill -9` in the middle of every long step, at moments spread over the whole of it. The next run makes it good, and
//! readers see one generation or the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::shop::{AS_OF, NOW, Shop, Stage};
use crate::tables::{Tables, assert_same};

/// Starts a command again and again and kills it a little later each time; how often it was still running. On a machine that has
/// become faster since `whole` was measured most runs end before their time: then the moments are drawn closer together.
async fn kill_all_along(shop: &Shop, command: &[&str], whole: Duration, times: u32) -> u32 {
    let mut killed = 0;
    for closer in 0..4 {
        for part in 1..=times {
            let mut program = shop.start(&format!("killed-{closer}-{part}"), command);
            if program.wait(whole * part / (times + 1) / 2_u32.pow(closer)).await.is_err() {
                program.kill_9().await.expect("a kill");
                killed += 1;
            }
        }
        if killed >= 2 {
            break;
        }
    }
    killed
}

#[tokio::test]
async fn an_ingest_that_is_killed_again_and_again_ends_with_the_same_tables() {
    let straight = Shop::at(Stage::Mapped).await;
    let started = Instant::now();
    straight.ingest().await;
    let whole = started.elapsed();
    let victim = Shop::at(Stage::Mapped).await;
    let killed = kill_all_along(&victim, &["ingest", "--now", NOW], whole, 6).await;
    assert!(killed >= 2, "{killed} were killed within {whole:?}");
    victim.ingest().await;
    assert_same(&Tables::open(&straight.data()).await.contents().await, &Tables::open(&victim.data()).await.contents().await);
}

#[tokio::test]
async fn an_ingest_that_dies_between_two_steps_is_made_good() {
    let straight = Shop::at(Stage::Ingested).await;
    let expected = Tables::open(&straight.data()).await.contents().await;
    for point in ["products", "before_facts", "after_facts", "after_aggregates"] {
        let victim = Shop::at(Stage::Mapped).await;
        let mut dying = victim.start_dying("dying", &["ingest", "--now", NOW], point);
        assert!(!dying.wait(crate::shop::PATIENCE).await.expect("an end").success(), "it was to die at `{point}`");
        victim.ingest().await;
        assert_same(&expected, &Tables::open(&victim.data()).await.contents().await);
    }
}

#[tokio::test]
async fn reading_the_same_source_twice_changes_nothing() {
    let shop = Shop::at(Stage::Ingested).await;
    let before = Tables::open(&shop.data()).await.contents().await;
    let record = shop.ingest().await;
    for (entity, counts) in record["entities"].as_object().expect("entities") {
        assert_eq!(counts["loaded"], 0, "{entity}: {counts}");
    }
    assert_same(&before, &Tables::open(&shop.data()).await.contents().await);
}

#[tokio::test]
async fn a_training_that_is_killed_is_taken_up_and_the_forecast_stays() {
    let shop = Shop::at(Stage::Published).await;
    let before = what_is_served(&shop).await;
    let killed = kill_all_along(&shop, &["train"], Duration::from_secs(6), 4).await;
    assert!(killed >= 1);
    assert_eq!(what_is_served(&shop).await, before);
    shop.run(&["train"]).await.done();
    let models = shop.run(&["models", "--json"]).await.json();
    let frames: Vec<&str> = models.as_array().expect("a list").iter().filter_map(|model| model["frame"].as_str()).collect();
    let distinct: BTreeSet<&str> = frames.iter().copied().collect();
    assert!(distinct.contains("week") && distinct.len() == frames.len(), "each frame has one model: {frames:?}");
    assert_eq!(shop.run(&["forecast", "--json"]).await.json()["stage"], "models");
}

#[tokio::test]
async fn a_training_that_dies_with_a_finished_version_goes_on_with_it() {
    let shop = Shop::at(Stage::Published).await;
    let versions = async |frame: &'static str| -> Vec<Value> {
        let models = shop.run(&["models", "--json"]).await.json();
        models.as_array().expect("a list").iter().filter(|model| model["frame"] == frame).cloned().collect()
    };
    // Without a champion: it becomes the first.
    dies_when_trained(&shop, &["train"]).await;
    let left = versions("week").await;
    assert_eq!((left.len(), &left[0]["is_champion"]), (1, &Value::Bool(false)), "{left:?}");
    shop.run(&["train"]).await.done();
    let taken_up = versions("week").await;
    assert_eq!((taken_up.len(), &taken_up[0]["is_champion"]), (1, &Value::Bool(true)));
    assert_eq!(taken_up[0]["trained_at"], left[0]["trained_at"], "it was not trained a second time");
    // With a champion: it is compared and waits.
    shop.run(&["ingest", "--now", "2017-05-09T03:59:59Z"]).await.done();
    let later = ["train", "--as-of", "2017-05-03"];
    dies_when_trained(&shop, &later).await;
    assert!(versions("week").await.iter().all(|model| model["is_challenger"] == false));
    shop.run(&later).await.done();
    let waiting: Vec<Value> = versions("week").await.into_iter().filter(|model| model["is_challenger"] == true).collect();
    assert_eq!((waiting.len(), &waiting[0]["version"]), (1, &Value::from("week/2017-05-03")), "{waiting:?}");
}

async fn dies_when_trained(shop: &Shop, command: &[&str]) {
    let mut dying = shop.start_dying("dying", command, "trained");
    assert!(!dying.wait(crate::shop::PATIENCE).await.expect("an end").success(), "it was to die when a version was trained");
}

#[tokio::test]
async fn a_publication_that_is_killed_leaves_one_whole_generation() {
    let shop = Shop::at(Stage::Published).await;
    let old = what_is_served(&shop).await;
    // What sells on one more day makes the next generation another one in all frames.
    shop.change(
        "insert into orders values (90001, 1, '2017-05-02T15:00:00Z');
         insert into order_lines values (90001, 90001, 5, 400, '9.99', '3996.00', '0.00', '2017-05-02T15:00:00Z');",
    )
    .await;
    shop.run(&["ingest", "--now", "2017-05-03T03:59:59Z"]).await.done();
    let straight = Shop::copy_of(&shop);
    let started = Instant::now();
    straight.run(&["forecast"]).await.done();
    let whole = started.elapsed();
    let new = what_is_served(&straight).await;
    assert!(old.iter().zip(&new).all(|(old, new)| old != new), "every frame changes");
    for part in 1..=6 {
        let mut program = shop.start("publishing", &["forecast"]);
        if program.wait(whole * part / 6).await.is_err() {
            program.kill_9().await.expect("a kill");
        }
        let served = what_is_served(&shop).await;
        assert!(served == old || served == new, "killed at {part} of 6: neither the old nor the new generation");
    }
    shop.run(&["forecast"]).await.done();
    assert_eq!(what_is_served(&shop).await, new);
}

/// The lists of all frames and of their first category, from the newest day on.
async fn what_is_served(shop: &Shop) -> Vec<String> {
    let server = shop.serve().await;
    let mut lists = Vec::new();
    for frame in ["day", "week", "month", "quarter", "half_year", "year"] {
        let path = "/api/v1/predictions/categories";
        let list = server.list(&format!("{path}?timeFrame={frame}&limit=100")).await;
        assert_eq!(list["totalCategories"], 20, "{frame} from {AS_OF}");
        let products = server.list(&format!("{path}/{}/products?timeFrame={frame}&limit=100", list["categories"][0]["categoryId"])).await;
        lists.push(format!("{} {} {}", list["periodStart"], list["categories"], products["products"]));
    }
    server.stop().await;
    lists
}
