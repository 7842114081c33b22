//! A published prediction is rebuilt bit for bit from the versions that it names, whatever happened since; and a store,
//! a ledger or a model that was tampered with does not go unnoticed.

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::Value;

use crate::shop::{Shop, Stage};

const DOCUMENTS: TableDefinition<'_, (u128, &str), &[u8]> = TableDefinition::new("documents");

fn id(generation: &Value, frame: &str) -> String {
    generation["predictions"][frame].as_str().expect("a prediction").to_owned()
}

#[tokio::test]
async fn a_prediction_is_rebuilt_bit_for_bit_after_sales_came_and_old_ones_were_corrected() {
    let shop = Shop::at(Stage::Trained).await;
    let first = shop.run(&["forecast", "--json"]).await.json();
    shop.change("update order_lines set total_price = '99.00', updated_at = '2017-05-02T20:00:00Z' where line_id % 10 = 0").await;
    shop.change("insert into orders select 900000 + order_id, customer_id, '2017-05-02T15:00:00Z' from orders where order_id <= 40").await;
    shop.change(
        "insert into order_lines select 900000 + line_id, 900000 + order_id, product_id, 5, unit_price, total_price, discount,
         '2017-05-02T15:00:00Z' from order_lines where order_id <= 40",
    )
    .await;
    shop.change("update products set name = name || ' (new)', updated_at = '2017-05-02T15:00:00Z' where product_id % 3 = 0").await;
    shop.run(&["ingest", "--now", "2017-05-03T03:59:59Z"]).await.done();
    shop.run(&["train", "--as-of", "2017-05-03"]).await.done();
    let second = shop.run(&["forecast", "--as-of", "2017-05-03", "--json"]).await.json();
    assert_ne!(first["warehouse_versions"]["fact_sales"], second["warehouse_versions"]["fact_sales"]);
    for generation in [&first, &second] {
        for frame in ["day", "week", "month", "quarter", "year"] {
            let replayed = shop.run(&["replay", &id(generation, frame), "--json"]).await.json();
            assert_eq!(replayed["is_equal"], true, "{frame}: {}", replayed["comparison"]);
            assert!(replayed["comparison"]["values"].as_u64().expect("a count") > 1_000, "{frame}: {replayed}");
        }
    }
    let said = shop.run(&["replay", &id(&first, "week")]).await.done().stdout;
    assert!(said.contains("bit for bit"), "{said}");
}

#[tokio::test]
async fn a_prediction_that_was_changed_in_the_store_is_told_with_its_place() {
    let shop = Shop::at(Stage::Published).await;
    let generation = shop.run(&["forecast", "--json"]).await.json();
    let key = generation["generation_id"].as_str().expect("an id").parse::<uuid::Uuid>().expect("a UUID").as_u128();
    {
        let database = Database::create(shop.data().join("predictions.redb")).expect("the store");
        let writing = database.begin_write().expect("a transaction");
        {
            let mut documents = writing.open_table(DOCUMENTS).expect("the table");
            let packed = documents.get((key, "prediction/week")).expect("a document").expect("a document").value().to_vec();
            let size = u64::from_le_bytes(packed[..8].try_into().expect("eight bytes"));
            let json = zstd::bulk::decompress(&packed[8..], usize::try_from(size).expect("a size")).expect("JSON");
            let mut document: Value = serde_json::from_slice(&json).expect("JSON");
            document["categories"][2]["top_products"][0]["confidence_score"] = 0.987_654.into();
            let json = serde_json::to_vec(&document).expect("JSON");
            let mut changed = (json.len() as u64).to_le_bytes().to_vec();
            changed.extend(zstd::bulk::compress(&json, 3).expect("bytes"));
            documents.insert((key, "prediction/week"), changed.as_slice()).expect("written");
        }
        writing.commit().expect("committed");
    }
    let ran = shop.run(&["replay", &id(&generation, "week"), "--json"]).await;
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let replayed: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((&replayed["is_equal"], &replayed["comparison"]["different"]), (&false.into(), &1.into()));
    assert_eq!(replayed["comparison"]["first"][0]["path"], "categories[2].top_products[0].confidence_score");
    shop.run(&["replay", &id(&generation, "month")]).await.done();
}

#[tokio::test]
async fn a_changed_model_and_an_unknown_prediction_are_refused_in_words() {
    let shop = Shop::at(Stage::Trained).await;
    let generation = shop.run(&["forecast", "--json"]).await.json();
    let version = generation["provenance"]["models"]["week"]["version"].as_str().expect("a version").to_owned();
    let file = shop.data().join("models").join(&version).join("frame.json");
    let text = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, format!("{text}\n")).expect("a file");
    shop.run(&["replay", &id(&generation, "week")]).await.refused(1, &["week", "damaged or changed"]);
    shop.run(&["replay", "0190163d-8694-739b-aea5-966c26f8ad91"]).await.refused(1, &["no prediction", "0190163d"]);
    shop.run(&["replay", "nonsense"]).await.refused(2, &["nonsense"]);
}
