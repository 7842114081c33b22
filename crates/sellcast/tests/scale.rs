//! The same program on stores of other machines, chosen by addresses in the configuration.

use std::fs;

use sellcast_testkit::{Cassandra, Postgres, S3, free_port};
use serde_json::Value;

use crate::shop::{NOW, PATIENCE, Server, Shop, Stage};

const FRAMES: [&str; 6] = ["day", "week", "month", "quarter", "half_year", "year"];

/// Adds a line to the section `[store]` of a shop that has none yet.
pub(crate) fn keep_in(shop: &Shop, line: &str) {
    shop.reconfigure("[forecast]", &format!("[store]\n{line}\n\n[forecast]"));
}

/// What a server answers for every frame: all categories, and all products of each of the first three.
async fn answers(server: &Server) -> Vec<Value> {
    let mut answers = Vec::new();
    for frame in FRAMES {
        let list = server.list(&format!("/api/v1/predictions/categories?timeFrame={frame}&limit=100")).await;
        let categories = list["categories"].as_array().expect("a list").clone();
        assert_eq!(categories.len(), 20, "{list}");
        answers.push(list);
        for category in categories.iter().take(3) {
            let path = format!("/api/v1/predictions/categories/{}/products?timeFrame={frame}&limit=100", category["categoryId"]);
            answers.push(server.list(&path).await);
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn forecasts_on_cassandra_are_those_of_the_file_and_any_machine_serves_them() {
    let (on_file, on_cluster) = (Shop::at(Stage::Ingested).await, Shop::at(Stage::Ingested).await);
    on_file.run(&["forecast"]).await.done();
    let served = on_file.serve().await;
    let expected = answers(&served).await;
    served.stop().await;

    let address = tokio::task::spawn_blocking(|| Cassandra::shared()?.keyspace()).await.expect("no panic").expect("Cassandra");
    keep_in(&on_cluster, &format!("predictions = \"{address}\""));
    fs::remove_file(on_cluster.data().join("predictions.redb")).expect("it was made empty by the ingest");
    on_cluster.run(&["check"]).await.done();
    on_cluster.run(&["forecast"]).await.done();
    assert!(!on_cluster.data().join("predictions.redb").exists(), "nothing is published in the folder");
    let served = on_cluster.serve().await;
    assert_eq!(answers(&served).await, expected);

    // Another machine: nothing but the configuration. It serves beside the first one and follows it.
    let elsewhere = Shop::at(Stage::Mapped).await;
    keep_in(&elsewhere, &format!("predictions = \"{address}\""));
    fs::remove_file(elsewhere.data().join("shop.db")).expect("the shop's database is not there");
    let second = elsewhere.serve().await;
    assert_eq!(answers(&second).await, expected);
    let question = serde_json::json!({"productId": 1, "timeFrame": "week", "price": 3.0});
    let request = reqwest::Client::new().post(format!("{}/api/v1/what-if", second.url)).json(&question);
    let refused = request.send().await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 503);
    assert!(refused.text().await.expect("a text").contains("ask the machine that publishes"));
    served.stop().await;
    on_cluster.run(&["forecast"]).await.done();
    assert_eq!(answers(&second).await.len(), expected.len());
    second.stop().await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_named_by_the_check_and_by_each_command() {
    let shop = Shop::at(Stage::Mapped).await;
    let port = free_port().expect("a port");
    keep_in(&shop, &format!("predictions = \"cassandra://me:secret@127.0.0.1:{port}/shop\""));
    let words = [&format!("cannot reach the prediction store `cassandra://127.0.0.1:{port}/shop`"), "see that a node runs there"];
    assert!(!shop.run(&["check"]).await.refused(2, &words).stderr.contains("secret"));
    shop.run(&["serve", "--port", "0"]).await.refused(1, &words);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_registry_on_postgres_has_the_models_and_a_machine_without_their_files_leaves_it_alone() {
    let database = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");
    let shop = Shop::at(Stage::Ingested).await;
    keep_in(&shop, &format!("metadata = \"{database}\""));
    shop.run(&["check"]).await.done();
    let trained = shop.run(&["train", "--json"]).await.json();
    let models = shop.run(&["models", "--json"]).await.json();
    assert!(trained.as_array().is_some_and(|versions| versions.len() >= 2 && versions.len() == models.as_array().map_or(0, Vec::len)));

    let elsewhere = Shop::at(Stage::Mapped).await;
    keep_in(&elsewhere, &format!("metadata = \"{database}\""));
    let seen = elsewhere.run(&["models", "--json"]).await.done();
    assert!(seen.stderr.contains("on another machine"), "{}", seen.stderr);
    assert_eq!(seen.json(), models);

    assert_eq!(shop.run(&["models", "--json"]).await.json(), models, "nothing was refused");
    assert_eq!(shop.run(&["forecast", "--json"]).await.json()["stage"], "models");
    let history = shop.run(&["models", "--history"]).await.json();
    let promoted = history.as_array().expect("a list").iter().filter(|event| event["event"] == "promoted").count();
    assert_eq!(promoted, trained.as_array().map_or(0, Vec::len), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_warehouse_in_a_bucket_gives_the_forecasts_of_the_folder_also_after_a_kill() {
    let in_folder = Shop::at(Stage::Ingested).await;
    in_folder.run(&["forecast"]).await.done();
    let served = in_folder.serve().await;
    let expected = answers(&served).await;
    served.stop().await;

    let shop = Shop::at(Stage::Mapped).await;
    keep_in(&shop, &format!("warehouse = \"{}\"", S3::shared().expect("S3").bucket().await.expect("a bucket")));
    shop.run(&["check"]).await.done();
    let mut dying = shop.start_dying("dying", &["ingest", "--now", NOW], "after_facts");
    assert!(!dying.wait(PATIENCE).await.expect("an end").success(), "it died between two steps");
    shop.ingest().await;
    assert!(!shop.data().join("warehouse").exists(), "nothing is loaded into the folder");
    shop.run(&["forecast"]).await.done();
    let served = shop.serve().await;
    assert_eq!(answers(&served).await, expected);
    served.stop().await;
    let generation = shop.run(&["forecast", "--json"]).await.json();
    let replayed = shop.run(&["replay", generation["predictions"]["week"].as_str().expect("an id"), "--json"]).await.json();
    assert_eq!(replayed["is_equal"], true, "{replayed}");

    // What was loaded is in the bucket: a machine that has none of it makes the same forecast.
    let elsewhere = Shop::at(Stage::Mapped).await;
    fs::copy(shop.data().join("sellcast.toml"), elsewhere.data().join("sellcast.toml")).expect("the configuration");
    elsewhere.run(&["forecast"]).await.done();
    let served = elsewhere.serve().await;
    assert_eq!(answers(&served).await, expected);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_second_machine_with_a_folder_of_its_own_takes_over_all_of_the_work() {
    let database = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");
    let bucket = S3::shared().expect("S3").bucket().await.expect("a bucket");
    let stores = format!("metadata = \"{database}\"\nwarehouse = \"{bucket}\"");
    let first = Shop::at(Stage::Mapped).await;
    keep_in(&first, &stores);
    first.ingest().await;
    first.run(&["train"]).await.done();
    assert!(!first.data().join("models").join("week").exists(), "no model is kept in the folder");
    let generation = first.run(&["forecast", "--json"]).await.json();
    assert_eq!(generation["stage"], "models");

    // It has the configuration and reaches the shop's database, no more.
    let second = Shop::at(Stage::Mapped).await;
    keep_in(&second, &stores);
    fs::write(second.data().join("pseudonym.key"), [8; 32]).expect("a key");
    second.run(&["ingest", "--now", NOW]).await.refused(1, &["pseudonym.key", "is not the key", "remove the file"]);
    fs::remove_file(second.data().join("pseudonym.key")).expect("the key");
    let record = second.ingest().await;
    for (entity, counts) in record["entities"].as_object().expect("entities") {
        assert_eq!(counts["loaded"], 0, "the same customers, and nothing new: {entity}: {counts}");
    }
    let models = second.run(&["models", "--json"]).await.done();
    assert!(!models.stderr.contains("on another machine"), "{}", models.stderr);
    assert_eq!(second.run(&["forecast", "--json"]).await.json()["stage"], "models");
    assert!(!second.data().join("pseudonym.key").exists(), "the key stays where both find it");
}
