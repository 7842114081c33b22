//! From the warehouse to documents: baselines, training, back-test, fall-back, and what must always hold of a forecast.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sellcast_domain::{Metrics, Money, PredictionDocument, Stage, TimeFrame};
use sellcast_features::{Definitions, FeatureSet, OfflineStore, Panel};
use sellcast_forecast::{Backtest, Forecaster, FrameModels, Groups, Ledger};

use crate::shop::{SETTINGS, heading, ready};

pub(crate) fn holds(document: &PredictionDocument) {
    let frame = document.time_frame;
    let mut ranks: Vec<u32> = document.categories.iter().map(|category| category.rank).collect();
    ranks.sort_unstable();
    assert_eq!(ranks, (1..=document.categories.len() as u32).collect::<Vec<_>>(), "{frame}: category ranks");
    for category in &document.categories {
        assert!((0.0..=1.0).contains(&category.confidence_score), "{frame}");
        assert!(
            category.interval.low <= category.predicted_sales_amount && category.predicted_sales_amount <= category.interval.high,
            "{frame}"
        );
        let products: i64 = category.top_products.iter().map(|product| product.predicted_amount.cents()).sum();
        assert!((products - category.predicted_sales_amount.cents()).abs() <= 100, "{frame}: the products of a short category are its sum");
        for pair in category.top_products.windows(2) {
            assert!(pair[0].predicted_amount >= pair[1].predicted_amount, "{frame}: ranked by amount");
        }
        for product in &category.top_products {
            assert!(product.predicted_amount >= Money::ZERO && product.predicted_quantity >= 0.0, "{frame}: nothing negative");
            assert!(product.interval.low <= product.predicted_amount && product.predicted_amount <= product.interval.high, "{frame}");
            assert!(product.rank_interval.best <= product.rank && product.rank <= product.rank_interval.worst, "{frame}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn averages_come_first_models_replace_them_and_the_ledger_teaches() -> Result<()> {
    let shop = ready(150).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let first = forecaster.publish(&heading(), shop.end, now, &BTreeMap::new()).await?;
    assert_eq!(first.generation.stage, Stage::Baselines);
    assert_eq!(first.predictions.len(), TimeFrame::ALL.len());
    first.predictions.iter().for_each(holds);

    let (models, rehearsal) = forecaster.train(TimeFrame::Week, shop.end, now).await?.context("150 days train a week")?;
    let rehearsal = forecaster.rehearse(&rehearsal, shop.end).await?;
    assert!(rehearsal.forecasts.iter().all(|forecast| forecast.period.last_day() < shop.end));
    Ledger::new(&shop.warehouse).write(uuid::Uuid::from_u128(1).into(), &rehearsal.forecasts).await?;

    // What is written to files is read back as the same model.
    let artifact = models.artifact()?;
    let again = FrameModels::from_files(&artifact.files, forecaster.definitions_version())?;
    let forecast =
        async |models: FrameModels| forecaster.publish(&heading(), shop.end, now, &BTreeMap::from([(TimeFrame::Week, models)])).await;
    let (second, third) = (forecast(models).await?, forecast(again).await?);
    assert_eq!(second.generation.stage, Stage::Models);
    assert_eq!(second.predictions, third.predictions, "the same models give the same forecast");
    second.predictions.iter().for_each(holds);
    let week = second.predictions.iter().find(|document| document.time_frame == TimeFrame::Week).context("a week")?;
    assert!(week.models.iter().any(|model| model.model == "gbm_amount" && model.weight > 0.0), "{:?}", week.models);
    assert!(week.fallback.is_none());
    assert!(week.categories.iter().flat_map(|c| &c.top_products).any(|product| !product.drivers.is_empty()), "drivers are told");
    let record = second.record.frames.get(&TimeFrame::Week).context("the rehearsal is on the record")?;
    assert!(!record.periods.is_empty() && !record.reliability.is_empty());
    assert_eq!(forecaster.panel().last_day(), shop.end - 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn long_frames_say_that_they_fall_back_and_are_less_sure() -> Result<()> {
    let shop = ready(150).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let made = forecaster.publish(&heading(), shop.end, now, &BTreeMap::new()).await?;
    let of = |frame: TimeFrame| made.predictions.iter().find(|document| document.time_frame == frame).context("a document");
    let (month, year) = (of(TimeFrame::Month)?, of(TimeFrame::Year)?);
    assert!(month.fallback.is_none());
    let reason = year.fallback.as_deref().context("a year cannot be trained on 150 days")?;
    assert!(reason.contains("150 days"), "{reason}");
    let relative = |document: &PredictionDocument| {
        let top = &document.categories[0].top_products[0];
        (top.interval.high.to_f64() - top.interval.low.to_f64()) / top.predicted_amount.to_f64()
    };
    assert!(relative(year) > relative(month), "a longer guess has a wider range");
    assert!(year.total_amount.to_f64() > month.total_amount.to_f64() * 8.0);
    let sure = |document: &PredictionDocument| document.categories[0].confidence_score;
    assert!(sure(year) < sure(month), "a category: {} of a year, {} of a month", sure(year), sure(month));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn features_of_a_publication_are_computed_once() -> Result<()> {
    let shop = ready(60).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let pinned = shop.warehouse.pinned().await?;
    Forecaster::open(&pinned, SETTINGS).await?.publish(&heading(), shop.end, now, &BTreeMap::new()).await?;
    // What was pinned before they were written finds them: days and weeks are learnt at the same origins.
    let definitions = Definitions::current();
    assert!(OfflineStore::new(&pinned, &definitions).kept(shop.end).await?.is_some());
    assert!(OfflineStore::new(&pinned, &definitions).kept(shop.end - 7).await?.is_some());
    let written = shop.warehouse.newest_versions().await?["feature_sets"];
    let kept = shop.warehouse.session().await?.sql("select as_of from feature_sets").await?.count().await?;
    // The first commit is version 0.
    assert!(written < kept as u64, "{kept} sets in {} commits: one was computed again", written + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sets_are_computed_side_by_side_and_written_at_once() -> Result<()> {
    let shop = ready(60).await?;
    let (definitions, panel) = (Definitions::current(), Panel::load(&shop.warehouse).await?);
    let store = OfflineStore::new(&shop.warehouse, &definitions);
    let days = [7, 14, 21, 3].map(|back| shop.end - back);
    let now = shop.end.starts_at(shop.zone);
    store.sets(&panel, &days[1..2], now).await?;
    let before = shop.warehouse.newest_versions().await?["feature_sets"];
    let sets = store.sets(&panel, &days, now).await?;
    assert_eq!(shop.warehouse.newest_versions().await?["feature_sets"], before + 1, "one commit for the three that were missing");
    let again = store.sets(&panel, &days, now).await?;
    assert_eq!(shop.warehouse.newest_versions().await?["feature_sets"], before + 1, "all are stored now");
    let bits = |set: &FeatureSet| set.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for ((day, set), read) in days.iter().zip(&sets).zip(&again) {
        let alone = FeatureSet::compute(&panel, &definitions, *day).await?;
        assert_eq!((set.as_of, &set.products, &set.categories), (*day, &alone.products, &alone.categories));
        assert!(bits(set) == bits(&alone) && bits(read) == bits(&alone), "{day}: the same to the last bit");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_days_of_history_give_averages_and_say_so() -> Result<()> {
    let shop = ready(10).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    assert!(forecaster.train(TimeFrame::Week, shop.end, now).await?.is_none());
    let made = forecaster.publish(&heading(), shop.end, now, &BTreeMap::new()).await?;
    made.predictions.iter().for_each(holds);
    assert!(made.predictions.iter().all(|document| document.fallback.is_some()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_test_holds_the_published_forecast_against_every_candidate() -> Result<()> {
    let shop = ready(150).await?;
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let mut plan = Backtest::usual(TimeFrame::Week, forecaster.panel().first_day(), forecaster.panel().last_day())?;
    plan.origins.drain(..plan.origins.len() - 2);
    let report = forecaster.backtest(&plan, now, &|_| {}).await?;
    for name in ["published", "logistic", "gbm_amount", "gbm_quantity", "last_period", "mean_8w", "half_4w_half_26w"] {
        let metrics = report.models.get(name).with_context(|| format!("no {name}"))?;
        assert!((0.0..=1.0).contains(&metrics.precision_at_5), "{name}");
    }
    let published = &report.models["published"];
    assert!(published.ece.is_some() && published.coverage_80.is_some() && published.wape.is_some());
    assert!(published.wape < report.models["last_period"].wape, "the combination beats last week's list on steady sales");
    groups_add_up(&report.groups, published);
    Ok(())
}

/// The groups part the published forecast without rest.
fn groups_add_up(groups: &Groups, published: &Metrics) {
    let items = |sums: &mut dyn Iterator<Item = u64>| sums.sum::<u64>();
    let calls = items(&mut groups.lists.iter().map(|list| list.calls));
    assert!(calls > 0 && groups.lists.iter().map(|list| list.k).is_sorted());
    let mean = groups.lists.iter().map(|list| list.brier * list.calls as f64).sum::<f64>() / calls as f64;
    assert!((mean - published.brier.expect("it has confidences")).abs() < 1e-9, "{mean}: the Brier score parts by list");
    for list in &groups.lists {
        assert!((0.0..=1.0).contains(&list.base_rate) && (0.0..=1.0).contains(&list.ece), "{list:?}");
        assert_eq!(list.skill.is_none(), list.brier_base == 0.0, "{list:?}");
    }
    let oldest = groups.ages.last().expect("products of long standing");
    assert_eq!(oldest.days, "29+");
    assert!(oldest.items > items(&mut groups.ages.iter().map(|age| age.items)) / 2);
    let shares = oldest.coverage_80.into_iter().chain(groups.categories.iter().filter_map(|category| category.coverage_80));
    assert!(shares.into_iter().all(|share| (0.0..=1.0).contains(&share)));
    assert_eq!(groups.categories.len(), 10);
    assert!(groups.categories.iter().all(|category| category.wape.is_some() && category.bias.is_some()));
}
