//! Models too dear for the shadow: one is chosen for each training, forecasts until the next and is scored as all others; what
//! was published by it can be rebuilt.

use serde_json::Value;

use crate::shop::{AS_OF, Shop, Stage};

/// What the newest version of the week frame says of the dear models: the chosen one, and how often each was tried.
async fn known(shop: &Shop, version: &str) -> (String, Vec<(String, f64)>) {
    let models = shop.run(&["models", "--json"]).await.json();
    let models = models.as_array().expect("a list").clone();
    let model = models.iter().find(|model| model["version"] == version).expect("the version");
    let bandit = &model["facts"]["facts"]["dear"]["bandit"];
    let weights = bandit["weights"].as_object().expect("weights");
    let chosen = weights.iter().find(|(_, weight)| weight.as_f64() == Some(1.0)).expect("a choice").0.clone();
    let tried = bandit["known"].as_object().expect("models").iter();
    (chosen, tried.map(|(model, known)| (model.clone(), known["count"].as_f64().expect("a count"))).collect())
}

async fn replays(shop: &Shop, generation: &Value) {
    for frame in ["day", "week"] {
        let id = generation["predictions"][frame].as_str().expect("a prediction");
        let replayed = shop.run(&["replay", id, "--json"]).await.json();
        assert_eq!(replayed["is_equal"], true, "{frame}: {}", replayed["comparison"]);
    }
}

#[tokio::test]
async fn dear_models_take_turns_and_what_they_said_is_rebuilt_bit_for_bit() {
    let shop = Shop::at(Stage::Ingested).await;
    shop.reconfigure("rounds = 20", "rounds = 20\ndear_models = [\"theta\", \"tsb\"]");
    let first_day = "2017-04-18";
    shop.run(&["train", "--as-of", first_day]).await.done();
    let (first, tried) = known(&shop, "week/2017-04-18").await;
    assert_eq!(tried, [("theta".to_owned(), 0.0), ("tsb".to_owned(), 0.0)]);
    let before = shop.run(&["forecast", "--as-of", first_day, "--json"]).await.json();
    assert_eq!(before["provenance"]["dear"]["week"]["version"], "week/2017-04-18");
    replays(&shop, &before).await;

    // Its week has ended since: it is scored, and the other one, which was never tried, is next.
    shop.run(&["train", "--as-of", AS_OF]).await.done();
    let newest = format!("week/{AS_OF}");
    let (second, tried) = known(&shop, &newest).await;
    assert_ne!(first, second);
    assert_eq!(tried.iter().find(|(model, _)| *model == first).map(|(_, count)| *count), Some(1.0), "{tried:?}");
    let now = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!(now["provenance"]["dear"]["week"]["version"], newest.as_str(), "the newest choice forecasts, whoever is champion");
    replays(&shop, &now).await;
    replays(&shop, &before).await;

    let server = shop.serve().await;
    let page = server.get("/models?frame=week").await.text;
    assert!(page.contains("One at a time") && page.contains("forecasts now"), "{page}");
    server.stop().await;

    // Without dear models nothing is lent, and what was published stays what it was.
    shop.reconfigure("dear_models = [\"theta\", \"tsb\"]", "");
    let plain = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!(plain["provenance"]["dear"], Value::Null);
    replays(&shop, &now).await;
}
