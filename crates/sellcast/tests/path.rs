//! The whole path: from a mapped shop to forecasts that are served, scored and made anew by trained models.

use serde_json::Value;

use crate::shop::{AS_OF, Shop, Stage};

const API: &str = "/api/v1/predictions/categories";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("`{value}` is no number"))
}

#[tokio::test]
async fn a_mapped_shop_passes_the_check_and_its_run_is_recorded() {
    let shop = Shop::at(Stage::Mapped).await;
    assert!(shop.run(&["check"]).await.done().stdout.contains("the configuration is valid"));
    let record = shop.ingest().await;
    for field in ["run_id", "started_at", "finished_at", "source_positions", "touched_days", "delta_versions", "schema_changes"] {
        assert!(!record[field].is_null(), "no `{field}` in {record}");
    }
    assert_eq!(record["kind"], "ingest");
    assert!(number(&record["seconds"]) > 0.0);
    let mut database = shop.database().await;
    let lines: i64 = sqlx::query_scalar("select count(*) from order_lines").fetch_one(&mut database).await.expect("a count");
    let sales = &record["entities"]["transactions"];
    assert_eq!((sales["read"].as_i64(), sales["loaded"].as_i64()), (Some(lines), Some(lines)), "{sales}");
    assert_eq!(record["entities"]["products"]["loaded"], 150);
    assert_eq!(record["touched_days"]["count"], 120);
    let position = record["source_positions"]["transactions"].as_str().expect("a position");
    assert!(position.starts_with("2017-05-0"), "{position}");
    for table in ["fact_sales", "dim_product", "agg_sales_daily", "agg_sales_yearly", "quarantine"] {
        assert!(record["delta_versions"][table].is_u64(), "no version of `{table}`: {record}");
    }
}

#[tokio::test]
async fn published_forecasts_are_served_and_their_sums_agree() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    assert_eq!(server.get("/health/ready").await.status, 200);
    let mut total_by_frame = Vec::new();
    for frame in ["day", "week", "month", "quarter", "half_year", "year"] {
        let list = server.list(&format!("{API}?timeFrame={frame}&limit=100")).await;
        assert_eq!(list["timeFrame"], frame);
        assert_eq!(list["periodStart"], format!("{AS_OF}T00:00:00Z"));
        assert_eq!((&list["totalCategories"], &list["page"], &list["limit"]), (&20.into(), &1.into(), &100.into()));
        let categories = list["categories"].as_array().expect("a list");
        assert_eq!(categories.len(), 20);
        let amounts: Vec<f64> = categories.iter().map(|category| number(&category["predictedSalesAmount"])).collect();
        assert!(amounts.is_sorted_by(|larger, smaller| larger >= smaller), "{frame}: {amounts:?}");
        assert!(amounts.iter().all(|amount| *amount >= 0.0), "{frame}: {amounts:?}");
        total_by_frame.push(amounts.iter().sum::<f64>());
        for (category, amount) in categories.iter().zip(&amounts).take(3) {
            assert!((0.0..=1.0).contains(&number(&category["confidenceScore"])), "{category}");
            let products = server.list(&format!("{API}/{}/products?timeFrame={frame}&limit=100", category["categoryId"])).await;
            assert_eq!(products["categoryName"], category["categoryName"]);
            let products = products["products"].as_array().expect("a list");
            let sum: f64 = products.iter().map(|product| number(&product["predictedAmount"])).sum();
            assert!((sum - amount).abs() < 0.005, "{frame}, {category}: the products sum up to {sum}");
            assert!(products.iter().all(|product| number(&product["predictedQuantity"]) >= 0.0));
        }
    }
    assert!(total_by_frame.is_sorted(), "a longer time sells more: {total_by_frame:?}");
    server.stop().await;
}

#[tokio::test]
async fn pages_of_a_list_follow_each_other_and_end() {
    let shop = Shop::at(Stage::Published).await;
    let server = shop.serve().await;
    let all = server.list(&format!("{API}?timeFrame=week&limit=100")).await;
    let mut paged = Vec::new();
    for page in 1..=4 {
        let list = server.list(&format!("{API}?timeFrame=week&limit=7&page={page}")).await;
        paged.extend(list["categories"].as_array().expect("a list").clone());
    }
    assert_eq!(&paged, all["categories"].as_array().expect("a list"));
    let beyond = server.list(&format!("{API}?timeFrame=week&limit=7&page=5")).await;
    assert_eq!(beyond["categories"], serde_json::json!([]));
    let asked = server.graphql("{ predictions(timeFrame: WEEK) { categories { id } } }").await;
    let ids = |list: &Value| -> Vec<String> {
        let list = list.as_array().expect("a list");
        list.iter().map(|category| category.get("id").unwrap_or(&category["categoryId"]).to_string().trim_matches('"').to_owned()).collect()
    };
    let by_graphql = ids(&asked.json()["data"]["predictions"]["categories"]);
    assert!(!by_graphql.is_empty() && ids(&all["categories"]).starts_with(&by_graphql), "{by_graphql:?}");
    server.stop().await;
}

#[tokio::test]
async fn trained_models_replace_the_baselines() {
    let shop = Shop::at(Stage::Ingested).await;
    let first = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!((&first["stage"], &first["as_of"]), (&"baselines".into(), &AS_OF.into()));
    let trained = shop.run(&["train", "--json"]).await.json();
    let versions = trained.as_array().expect("a list");
    assert!(versions.len() >= 2, "{trained}");
    let models = shop.run(&["models", "--json"]).await.json();
    let models = models.as_array().expect("a list");
    assert_eq!(models.len(), versions.len());
    for model in models {
        assert!(model["is_champion"] == true && versions.contains(&model["version"]), "{model}");
        assert!(model["facts"]["training_data_versions"]["fact_sales"].is_u64(), "{model}");
        assert!(model["metrics"].as_object().is_some_and(|metrics| !metrics.is_empty()), "{model}");
    }
    let second = shop.run(&["forecast", "--json"]).await.json();
    assert_eq!(second["stage"], "models");
    assert_ne!(first["generation_id"], second["generation_id"]);
    assert!(shop.run(&["train", "--json"]).await.json() == serde_json::json!([]), "what is trained is not trained again");
    let server = shop.serve().await;
    let list = server.list(&format!("{API}?timeFrame=week&limit=100")).await;
    assert_eq!(list["totalCategories"], 20);
    server.stop().await;
}

#[tokio::test]
async fn a_back_test_reports_every_model_in_the_agreed_shape() {
    let shop = Shop::at(Stage::Ingested).await;
    let report = shop.run(&["backtest", "--frame", "week", "--origins", "2017-04-10,2017-04-17", "--json"]).await.json();
    assert_eq!(report["frame"], "week");
    assert_eq!(report["origins"], serde_json::json!(["2017-04-10", "2017-04-17"]));
    for (what, lists) in [("models", &report["models"]), ("categories", &report["categories"])] {
        let lists = lists.as_object().expect("models by name");
        assert!(lists.len() >= 3 && lists.contains_key("published"), "{what}: {:?}", lists.keys());
        for (name, metrics) in lists {
            for metric in ["precision_at_5", "precision_at_10", "ndcg_at_10"] {
                assert!((0.0..=1.0).contains(&number(&metrics[metric])), "{what}, {name}, {metric}: {metrics}");
            }
            let fields = metrics.as_object().expect("metrics");
            assert!(
                ["wape", "mape", "rmse", "bias", "coverage_80", "ece", "brier"].iter().all(|metric| fields.contains_key(*metric)),
                "{metrics}"
            );
        }
        let published = &lists["published"];
        assert!(number(&published["wape"]) > 0.0 && number(&published["rmse"]) > 0.0, "{published}");
    }
    let published = &report["models"]["published"];
    for share in ["coverage_80", "ece", "brier"] {
        assert!((0.0..=1.0).contains(&number(&published[share])), "{published}");
    }
}
