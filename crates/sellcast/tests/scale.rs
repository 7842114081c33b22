//! The same program on stores of other machines, chosen by addresses in the configuration.

use std::fs;

use sellcast_testkit::{Cassandra, Postgres, free_port};
use serde_json::Value;

use crate::shop::{Server, Shop, Stage};

const FRAMES: [&str; 6] = ["day", "week", "month", "quarter", "half_year", "year"];

/// Adds a line to the section `[store]` of a shop that has none yet.
fn keep_in(shop: &Shop, line: &str) {
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
