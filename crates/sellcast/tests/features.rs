//! The features of the newest forecast on Redis: what a server answers is what the offline store holds, and what was damaged is
//! noticed, named and mended.

use sellcast_testkit::{Service, until};
use serde_json::Value;

use crate::live::{self, CATEGORY, DAY, PRODUCT};
use crate::shop::{PATIENCE, Server, Shop, Stage};

async fn redis() -> Service {
    tokio::task::spawn_blocking(|| Service::start("redis")).await.expect("no panic").expect("Redis")
}

/// Redis' own client, for what no program of ours would do.
fn tamper(redis: &Service, words: &[&str]) -> String {
    let output = std::process::Command::new("redis-cli").args(["-u", redis.address()]).args(words).output().expect("redis-cli");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn features(server: &Server, ids: &str) -> Value {
    let path = format!("/api/v1/features?productIds={ids}");
    until("features to be online", PATIENCE, async || server.get(&path).await.status == 200).await.expect("in time");
    server.list(&path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn features_on_redis_are_those_offline_and_damage_is_mended() {
    let shop = Shop::at(Stage::Ingested).await;
    let redis = redis().await;
    shop.reconfigure("[forecast]", &format!("[store]\nfeatures = \"{}\"\n\n[forecast]", redis.address()));
    shop.run(&["check"]).await.done();
    shop.run(&["features", "verify"]).await.refused(1, &["nothing is online yet"]);
    shop.run(&["forecast"]).await.done();
    let said = shop.run(&["features", "verify"]).await.done().stdout;
    assert!(
        said.contains("products compared, all the same") && said.contains("anew from the same versions of the warehouse: all the same"),
        "{said}"
    );

    // Somebody else's hands: one product gone, one with the features of another.
    let pointer: Value = serde_json::from_str(&tamper(&redis, &["get", "sellcast:features:online"])).expect("JSON");
    let hash = pointer["key"].as_str().expect("a key").to_owned();
    // The first by number is in the first sample that a server compares.
    let mut products: Vec<String> = tamper(&redis, &["hkeys", &hash]).lines().map(str::to_owned).collect();
    products.sort_by_key(|product| product.parse::<i64>().expect("an id"));
    let (gone, altered) = (&products[0], &products[1]);
    assert_eq!(tamper(&redis, &["hdel", &hash, gone]), "1");
    let script =
        "local v = redis.call('hget', KEYS[1], ARGV[1]) return redis.call('hset', KEYS[1], ARGV[1], string.sub(v, 1, -5) .. 'abcd')";
    tamper(&redis, &["eval", script, "1", &hash, altered]);
    let said = shop.run(&["features", "verify"]).await.refused(1, &["the features differ"]).stdout;
    assert!(said.contains("1 missing") && said.contains("1 value"), "{said}");
    assert!(said.contains(&format!("product {gone}: missing")) && said.contains(&format!("product {altered}: value of")), "{said}");

    // A server compares by itself and brings them online again.
    let server = shop.serve().await;
    let differing = async || server.get("/metrics").await.text.contains("sellcast_features_differing_total{cause=");
    until("the server to see what differs", PATIENCE, differing).await.expect("in time");
    let mended = async || {
        let answer = server.get(&format!("/api/v1/features?productIds={gone}")).await;
        answer.status == 200 && answer.json()["unknown"] == serde_json::json!([])
    };
    until("the server to mend it", PATIENCE, mended).await.expect("in time");
    let answer = features(&server, &format!("{gone},{altered},987654321")).await;
    assert_eq!(answer["unknown"], serde_json::json!([987_654_321]));
    assert_eq!(answer["products"].as_array().map(Vec::len), Some(2), "{answer}");
    assert!(answer["products"][0]["features"]["mean_4w"].is_number(), "{answer}");

    // Redis crashes and comes back empty: the server says so, and brings the features online again.
    redis.expect(&["kill"]).expect("it ran");
    let refused = server.get(&format!("/api/v1/features?productIds={gone}")).await;
    assert!(refused.status == 503 && refused.text.contains("does not answer"), "{refused:?}");
    redis.restart().expect("it starts");
    assert_eq!(features(&server, gone).await["unknown"], serde_json::json!([]));
    for (query, word) in [("", "is missing"), ("?productIds=1,x", "holds `x`"), ("?productId=1", "not a parameter")] {
        let refused = server.get(&format!("/api/v1/features{query}")).await;
        assert!(refused.status == 400 && refused.text.contains(word), "{refused:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_live_forecasts_go_on_while_redis_is_dead() {
    let (shop, redis) = (live::shop().await, redis().await);
    shop.reconfigure("[forecast]", &format!("[store]\nfeatures = \"{}\"\n\n[forecast]", redis.address()));
    shop.run(&["forecast"]).await.done();
    let server = shop.serve().await;
    let product = PRODUCT.to_string();
    assert_eq!(features(&server, &product).await["unknown"], serde_json::json!([]));
    let is_live = || async { live::forecast(&server, DAY, CATEGORY).await.0 == "live" };
    until("a live forecast", PATIENCE, is_live).await.expect("a live forecast");

    redis.expect(&["kill"]).expect("it ran");
    live::sell(&shop, 900_001, 500_000).await;
    until("the live forecast to follow", PATIENCE, || async { live::forecast(&server, DAY, CATEGORY).await.1 > 5_000.0 })
        .await
        .expect("a live forecast");
    let source = live::sold(&shop, CATEGORY, "2017-04-25T05:00:00Z").await;
    live::week_becomes(&server, CATEGORY, source).await;
    let refused = server.get(&format!("/api/v1/features?productIds={PRODUCT}")).await;
    assert!(refused.status == 503 && refused.text.contains("does not answer"), "{refused:?}");

    redis.restart().expect("it starts");
    assert_eq!(features(&server, &product).await["unknown"], serde_json::json!([]));
    assert!(is_live().await, "{}", server.program.stderr());
    live::sell(&shop, 900_002, 12_345).await;
    live::week_becomes(&server, CATEGORY, source + 123.45).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn features_in_memory_are_there_with_the_forecast_and_verified_against_the_warehouse() {
    let shop = Shop::at(Stage::Ingested).await;
    shop.run(&["features", "verify"]).await.refused(1, &["no features are kept yet", "sellcast forecast"]);
    shop.run(&["forecast"]).await.done();
    let verified = shop.run(&["features", "verify", "--json"]).await.json();
    assert_eq!((&verified["comparedOnline"], &verified["differingAnew"]), (&Value::Null, &serde_json::json!(0)), "{verified}");
    let server = shop.serve().await;
    let answer = features(&server, "1").await;
    assert_eq!(answer["asOf"], verified["asOf"]);
    assert_eq!(answer["definitionsVersion"], verified["definitionsVersion"]);
    server.stop().await;
    shop.run(&["features", "verify"]).await.done();
}
