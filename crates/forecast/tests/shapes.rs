//! Shops of other shapes than the demo's: slow, so only `./dev test --all` runs them.

use anyhow::{Context, Result};
use sellcast_domain::TimeFrame;
use sellcast_forecast::{Backtest, Forecaster, Settings};
use sellcast_testkit::TinyShop;

use crate::shop::{SETTINGS, ingested};

const BASELINES: [&str; 5] = ["last_period", "mean_4w", "mean_8w", "mean_26w", "half_4w_half_26w"];

/// Back-tests the newest origins: no baseline is better by more than a tie, no candidate by much, and confidence keeps its word.
#[expect(clippy::print_stdout, reason = "the figures that docs/accuracy.md tells, with --nocapture")]
async fn holds_its_own(builder: sellcast_testkit::TinyShopBuilder, statements: &str) -> Result<()> {
    let shop = ingested(builder, statements).await?;
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, Settings { rounds: 60, ..SETTINGS }).await?;
    let mut plan = Backtest::usual(TimeFrame::Week, forecaster.panel().first_day(), forecaster.panel().last_day())?;
    plan.origins.drain(..plan.origins.len().saturating_sub(4));
    let report = forecaster.backtest(&plan, now, &|_| {}).await?;
    let published = report.models.get("published").context("it is there")?;
    let wape = published.wape.context("it says amounts")?;
    for name in BASELINES {
        let baseline = report.models.get(name).and_then(|metrics| metrics.wape).with_context(|| format!("no {name}"))?;
        assert!(wape <= baseline + 0.01, "{name} has {baseline}, the published forecast {wape}");
    }
    let best = report.models.values().filter_map(|metrics| metrics.wape).fold(f64::INFINITY, f64::min);
    assert!(wape <= best + 0.02, "the weights find what is good: the best candidate has {best}, the published forecast {wape}");
    let ece = published.ece.context("it has confidences")?;
    println!("weights: {:?}", report.weights);
    for (name, metrics) in &report.models {
        println!("{name}: {metrics:?}");
    }
    // Even perfect confidences miss by chance: 15 bins of as many calls each, whose outcomes vary by p (1 - p).
    let calls: f64 = report.groups.lists.iter().map(|list| list.calls as f64).sum();
    let variance = report.groups.lists.iter().map(|list| list.brier_base * list.calls as f64).sum::<f64>() / calls;
    let chance = (2.0 / std::f64::consts::PI * variance * 15.0 / calls).sqrt();
    assert!(ece <= 0.05 + chance, "an ECE of {ece}, by chance {chance}: {:?}", report.groups.lists);
    Ok(())
}

/// Thousands of products in one category, sold for a year without promotions, one sale in twenty returned some days later.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_web_shop_with_one_long_category() -> Result<()> {
    let builder = TinyShop::builder().products(4_000).days("2017-01-02".parse()?, 364).orders_a_day(250);
    let statements = "
        update products set category_id = 101;
        delete from promotions;
        insert into order_lines
          select l.line_id + 10000000, o.order_id, l.product_id, -l.quantity, l.unit_price, '-' || l.total_price, '0.00', o.ordered_at
          from order_lines l join orders o on o.order_id = l.order_id + 1500 where l.quantity > 0 and l.line_id % 20 = 7;";
    holds_its_own(builder, statements).await
}

/// The least that a week can be trained on and back-tested, nearly.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_shop_of_120_days() -> Result<()> {
    holds_its_own(TinyShop::builder().days("2017-01-02".parse()?, 120).orders_a_day(120), "").await
}
