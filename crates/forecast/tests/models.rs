//! Every model through the real path: trained on a shop's warehouse, kept as files, read back, and in the ledger.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sellcast_domain::TimeFrame;
use sellcast_forecast::{Backtest, Forecaster, FrameModels, Ledger, ModelKind, ModelSet, Settings};

use crate::shop::{SETTINGS, heading, ready};

/// A model's files by name.
type Files = BTreeMap<String, Vec<u8>>;

fn all() -> Settings {
    Settings { models: ModelKind::all().collect(), ..SETTINGS }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_model_is_trained_kept_and_read_back_as_it_was() -> Result<()> {
    let shop = ready(150).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, all()).await?;
    for frame in [TimeFrame::Week, TimeFrame::Day, TimeFrame::Month] {
        let (models, earlier) = forecaster.train(frame, shop.end, now).await?.context("150 days train it")?;
        assert_eq!(models.kinds().count(), ModelKind::all().count(), "{frame}");
        for kind in ModelKind::all().filter(|kind| *kind != ModelKind::Logistic) {
            let said = earlier[0].candidates.get(kind.name()).with_context(|| format!("{frame}: no {kind}"))?;
            assert!(said.iter().all(|amount| amount.is_finite() && *amount >= 0.0), "{frame}: {kind}");
            assert!(said.iter().sum::<f32>() > 0.0, "{frame}: {kind}");
        }
        let artifact = models.artifact()?;
        let again = FrameModels::from_files(&artifact.files, forecaster.definitions_version())?;
        let mut documents = Vec::new();
        for models in [models, again] {
            documents.push(forecaster.publish(&heading(), shop.end, now, &BTreeMap::from([(frame, models)])).await?.predictions);
        }
        assert_eq!(documents[0], documents[1], "{frame}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_a_missing_and_a_newer_file_are_refused_by_name() -> Result<()> {
    let shop = ready(120).await?;
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let (models, _) = forecaster.train(TimeFrame::Week, shop.end, now).await?.context("it trains")?;
    let files = models.artifact()?.files;
    let refused = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        let error = FrameModels::from_files(&files, forecaster.definitions_version()).err();
        error.map(|error| error.to_string()).context("it was not refused")
    };
    for name in files.keys() {
        let missing = refused(&|files| drop(files.remove(name)))?;
        assert!(missing.contains(name.as_str()) && missing.contains("missing"), "{missing}");
        let cut = refused(&|files| files.get_mut(name).expect("there").truncate(15))?;
        assert!(cut.contains(name.trim_end_matches(".bin")) && cut.contains("damaged"), "{cut}");
    }
    let newer = refused(&|files| {
        let text = String::from_utf8(files["frame.json"].clone()).expect("text");
        files.insert("frame.json".into(), text.replace("\"format\": 1", "\"format\": 2").into_bytes());
    })?;
    assert!(newer.contains("newer version") && newer.contains("sellcast train"), "{newer}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_gains_a_column_for_a_new_model_and_still_reads_what_is_older() -> Result<()> {
    let shop = ready(120).await?;
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, Settings { models: ModelSet::CORE, ..SETTINGS }).await?;
    let (_, earlier) = forecaster.train(TimeFrame::Week, shop.end, now).await?.context("it trains")?;
    let [mut first, mut second, mut third] = [0, 1, 2].map(|at| earlier[at % earlier.len()].clone());
    let amounts = first.candidates["mean_8w"].clone();
    first.candidates.retain(|name, _| name == "mean_8w");
    second.candidates.insert("ets".into(), second.candidates["mean_8w"].clone());
    third.candidates.retain(|name, _| name == "gbm_amount");
    let ledger = Ledger::new(&shop.warehouse);
    for (id, forecast) in (1_u128..).zip([&first, &second, &third]) {
        let generation = uuid::Uuid::from_u128(id);
        ledger.write(generation.into(), std::slice::from_ref(forecast)).await?;
        let read = ledger.read(TimeFrame::Week, forecast.period.start(), &generation.to_string()).await?.context("it is there")?;
        assert_eq!(read.candidates, forecast.candidates, "generation {id}");
    }
    let read = ledger.read(TimeFrame::Week, first.period.start(), &uuid::Uuid::from_u128(1).to_string()).await?.context("the oldest")?;
    assert_eq!(read.candidates, BTreeMap::from([("mean_8w".to_owned(), amounts)]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_test_tells_how_steady_the_importance_of_each_feature_is() -> Result<()> {
    let shop = ready(150).await?;
    let now = shop.end.starts_at(shop.zone);
    let models = ModelSet::CORE.with(ModelKind::LambdaMart).with(ModelKind::Tsb);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?.training(models);
    let mut plan = Backtest::usual(TimeFrame::Week, forecaster.panel().first_day(), forecaster.panel().last_day())?;
    plan.origins.drain(..plan.origins.len() - 2);
    let report = forecaster.backtest(&plan, now, &|_| {}).await?;
    assert!(report.models.contains_key("lambdamart") && report.models.contains_key("tsb") && !report.models.contains_key("ets"));
    let amount = report.importance.get("gbm_amount").context("the trees tell")?;
    let gains: f64 = amount.iter().map(|feature| feature.gain).sum();
    assert!((gains - 1.0).abs() < 1e-6, "shares of the whole gain: {gains}");
    assert!(amount.iter().any(|feature| feature.gain_deviation > 0.0), "two trainings differ");
    assert!(!report.importance.contains_key("tsb"), "a model that reads no features has none to tell");
    Ok(())
}
