//! Nothing from the future: the guard passes what we compute and catches what is planted.

use anyhow::Result;
use sellcast_features::{Definition, DefinitionKind, Definitions, FeatureError, FeatureSet, Panel, check_for_leaks};

use crate::shop::ready;

#[tokio::test(flavor = "multi_thread")]
async fn our_features_do_not_see_the_future() -> Result<()> {
    let shop = ready(120).await?;
    let panel = Panel::load(&shop.warehouse).await?;
    check_for_leaks(&panel, &Definitions::current(), shop.end - 40).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_feature_from_the_future_is_caught_and_named() -> Result<()> {
    let shop = ready(120).await?;
    let panel = Panel::load(&shop.warehouse).await?;
    let mut features = Definitions::current().features().to_vec();
    features.push(Definition {
        name: "sales_to_come".into(),
        kind: DefinitionKind::Query,
        sql: "select product_id, sum(amount) as sales_to_come from panel where day >= {as_of} and day < {as_of} + 7 group by product_id"
            .into(),
        theme: "planted",
    });
    let planted = Definitions::of(features);
    let as_of = shop.end - 40;
    let caught = check_for_leaks(&panel, &planted, as_of).await;
    assert!(matches!(&caught, Err(FeatureError::Leak { feature, .. }) if feature == "sales_to_come"), "{caught:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn features_at_a_day_count_the_days_before_it_only() -> Result<()> {
    let shop = ready(100).await?;
    let panel = Panel::load(&shop.warehouse).await?;
    let as_of = shop.end - 20;
    let set = FeatureSet::compute(&panel, &Definitions::current(), as_of).await?;
    let sql = format!("select sum(total_price) from fact_sales where date_id < date '{as_of}' and date_id >= date '{}'", as_of - 7);
    let truth = shop.warehouse.session().await?.sql(&sql).await?.collect().await?;
    let truth: f64 = arrow::util::display::array_value_to_string(truth[0].column(0), 0)?.parse()?;
    let week: f64 = set.column("week_1").unwrap_or_default().iter().map(|value| f64::from(*value)).sum();
    assert!((week - truth).abs() < 0.5, "{week} against {truth}");
    Ok(())
}
