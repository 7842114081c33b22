//! What the table of changes never told: after an ingest the windows agree with the warehouse, and the server says what was repaired
//! and why.

use std::time::Duration;

use sellcast_testkit::{Cassandra, Postgres, S3, until};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::live::{CATEGORY, ELSEWHERE, PRODUCT, shop, sold, week, week_becomes};
use crate::scale::keep_in;
use crate::shop::{NOW, PATIENCE, Server, Shop};

const DAY: &str = "/api/v1/predictions/categories?timeFrame=day&limit=1";
const REPORT: &str = "/api/v1/stream/reconciliation";
/// Where the windows of seven days begin that end with the last minute before the shop's present day.
const FROM: &str = "2017-04-25T04:00:00Z";

async fn sell(shop: &Shop, id: i64, amount: &str, at: &str) {
    shop.change(&format!(
        "insert into orders values ({id}, 1, '{at}');
         insert into order_lines values ({id}, {id}, {PRODUCT}, 10, '0.00', '{amount}', '0.00', '2017-05-02T03:50:00Z');"
    ))
    .await;
}

/// Lines of a category's hour that the warehouse has and the stream had not, and the causes.
fn tile(report: &Value, category: i64, start: &str) -> Option<(i64, Value)> {
    let is_it = |tile: &&Value| tile["categoryId"] == category && tile["start"] == start;
    let tile = report["tiles"].as_array().expect("tiles").iter().find(is_it)?;
    let lines = |side: &str| tile[side]["transactions"].as_i64();
    Some((lines("warehouse")? - lines("stream")?, tile["causes"].clone()))
}

#[tokio::test]
async fn a_sale_written_and_one_deleted_past_the_outbox_are_repaired_after_the_ingest_and_told_with_their_causes() {
    let shop = shop().await;
    let server = shop.serve().await;
    week_becomes(&server, CATEGORY, sold(&shop, CATEGORY, FROM).await).await;
    let answer = server.get(REPORT).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("NOT_FOUND")));
    // One that comes too late after another, and one more, so that it is known when all of them were read.
    let published = server.list(DAY).await["generationId"].clone();
    let before = sold(&shop, CATEGORY, FROM).await;
    sell(&shop, 900_001, "10.00", "2017-05-02T03:30:00Z").await;
    sell(&shop, 900_002, "20.00", "2017-05-01T19:20:00Z").await;
    sell(&shop, 900_003, "30.00", "2017-05-02T03:40:00Z").await;
    week_becomes(&server, CATEGORY, before + 40.0).await;
    server.stop().await;

    // Past the table of changes: written, and deleted.
    sell(&shop, 900_004, "123.45", "2017-05-01T18:10:00Z").await;
    let gone = "select max(line_id) from order_lines join orders using (order_id) join products using (product_id)
                where category_id = 305 and ordered_at < '2017-05-01T23:00:00Z'";
    let gone = format!("select line_id, ordered_at from order_lines join orders using (order_id) where line_id = ({gone})");
    let (line, at): (i64, String) = sqlx::query_as(AssertSqlSafe(gone)).fetch_one(&mut shop.database().await).await.expect("a sale");
    let hour = format!("{}:00:00Z", &at[..13]);
    shop.change(&format!("delete from order_lines where line_id = {line}; delete from changes;")).await;

    // The whole machine; by the clock of its data it has no nights of its own, so one is asked for.
    let server = Server::of(shop.start("run", &["run", "--port", "0"])).await;
    shop.run(&["jobs", "ask", "night", "--as-of", "2017-05-02"]).await.done();
    let compared = until("a report", PATIENCE, || async { server.get(REPORT).await.status == 200 }).await;
    assert!(compared.is_ok(), "{}", server.program.stderr());
    let windows = (week(&server, CATEGORY).await, week(&server, ELSEWHERE).await);
    let report = server.get(REPORT).await.json();
    let (one, other) = (sold(&shop, CATEGORY, FROM).await, sold(&shop, ELSEWHERE, FROM).await);
    for (window, sold) in [(windows.0, one), (windows.1, other)] {
        assert!(window.is_some_and(|window| (window - sold).abs() < 0.001), "{windows:?} for {one} and {other}: {report}");
    }
    assert_eq!(report["repaired"], json!({"late": 1, "missed": 1, "retracted": 1, "changed": 0, "moved": 0}), "{report}");
    assert_eq!((&report["isStrange"], &report["leftAlone"], &report["tilesDiffering"]), (&false.into(), &0.into(), &3.into()), "{report}");
    for (category, start, lines, causes) in [
        (CATEGORY, "2017-05-01T18:00:00Z", 1, json!({"missed": 1})),
        (CATEGORY, "2017-05-01T19:00:00Z", 1, json!({"late": 1})),
        (ELSEWHERE, hour.as_str(), -1, json!({"retracted": 1})),
    ] {
        assert_eq!(tile(&report, category, start), Some((lines, causes)), "{category} {start}: {report}");
    }
    assert_eq!(report["categories"], json!([CATEGORY, ELSEWHERE]));
    assert!(report["products"].as_array().is_some_and(|products| products.contains(&json!(PRODUCT))), "{report}");
    // All of it is history of the forecasts that run, and the publication after the ingest is made from it.
    let forecasts = report["forecasts"].as_array().expect("forecasts");
    assert!(forecasts.iter().any(|forecast| forecast["timeFrame"] == "day"), "{report}");
    for forecast in forecasts {
        let how = (&forecast["recomputed"], &forecast["categories"], &forecast["generationId"]);
        assert_eq!(how, (&"publication".into(), &json!([CATEGORY, ELSEWHERE]), &published), "{report}");
    }
    let is_new = || async { server.list(DAY).await["generationId"] != published };
    until("the publication after the ingest", PATIENCE, is_new).await.expect("a publication");
    let metrics = server.get("/metrics").await.text;
    for cause in ["late", "missed", "retracted"] {
        let line = format!("sellcast_stream_repaired_total{{cause=\"{cause}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(metrics.contains("sellcast_stream_reconciled_tiles_total"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_server_compares_its_windows_with_what_another_machine_ingested() {
    let (shop, metadata, bucket) = (shop().await, Postgres::shared().expect("PostgreSQL"), S3::shared().expect("S3"));
    let predictions = tokio::task::spawn_blocking(|| Cassandra::shared()?.keyspace()).await.expect("no panic").expect("Cassandra");
    let (metadata, bucket) = (metadata.database().await.expect("a database"), bucket.bucket().await.expect("a bucket"));
    keep_in(&shop, &format!("metadata = \"{metadata}\"\nwarehouse = \"{bucket}\"\npredictions = \"{predictions}\""));
    shop.ingest().await;
    shop.run(&["forecast"]).await.done();
    let server = shop.serve().await;
    let before = sold(&shop, CATEGORY, FROM).await;
    week_becomes(&server, CATEGORY, before).await;

    // The clocks of two machines may be ten seconds apart: what began to be read before the server followed is not compared.
    tokio::time::sleep(Duration::from_secs(11)).await;
    // The table of changes never has it.
    shop.change(&format!(
        "begin;
         insert into orders values (900001, 1, '2017-05-01T18:10:00Z');
         insert into order_lines values (900001, 900001, {PRODUCT}, 10, '0.00', '123.45', '0.00', '2017-05-02T03:50:00Z');
         delete from changes where row_id = 900001;
         commit;"
    ))
    .await;
    let elsewhere = Shop::copy_of(&shop);
    elsewhere.reconfigure("sqlite:shop.db", &format!("sqlite:{}", shop.data().join("shop.db").display()));
    elsewhere.run(&["ingest", "--now", NOW]).await.done();
    assert_eq!(server.get(REPORT).await.status, 404, "nothing is compared before the publication that follows the ingest");
    elsewhere.run(&["forecast"]).await.done();

    week_becomes(&server, CATEGORY, before + 123.45).await;
    let report = server.get(REPORT).await.json();
    assert_eq!(report["repaired"], json!({"late": 0, "missed": 1, "retracted": 0, "changed": 0, "moved": 0}), "{report}");
    assert_eq!(tile(&report, CATEGORY, "2017-05-01T18:00:00Z"), Some((1, json!({"missed": 1}))), "{report}");
    server.stop().await;
}
