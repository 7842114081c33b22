//! The factors beside a confidence move it the right way, where that must be so: half of the categories sell steadily, in the
//! other half each week's sales are handed to other products.

use anyhow::{Context, Result};
use sellcast_domain::TimeFrame;
use sellcast_forecast::{Backtest, FactorThird, Forecaster, ModelSet};

use crate::permutation::{SHUFFLED, WIDE};
use crate::shop::{SETTINGS, ready_after};

#[tokio::test(flavor = "multi_thread")]
async fn steady_categories_have_better_factors_and_come_true_more_often() -> Result<()> {
    let half = SHUFFLED.trim_end().trim_end_matches(';');
    let statements = format!("{WIDE}{half} where product_id in (select product_id from products where category_id in (101, 201));");
    let shop = ready_after(147, &statements).await?;
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?.training(ModelSet::CORE);
    let mut plan = Backtest::usual(TimeFrame::Week, forecaster.panel().first_day(), forecaster.panel().last_day())?;
    plan.origins.drain(..plan.origins.len() - 3);
    let report = forecaster.backtest(&plan, now, &|_| {}).await?;
    let calls: u64 = report.groups.lists.iter().map(|list| list.calls).sum();
    for factor in ["historical_accuracy", "ensemble_agreement"] {
        let thirds: Vec<&FactorThird> = report.groups.factors.iter().filter(|third| third.factor == factor).collect();
        assert_eq!(thirds.iter().map(|third| third.calls).sum::<u64>(), calls, "{factor}: the thirds part all confidences");
        let (lowest, highest) = (thirds.first().context("a third")?, thirds.last().context("a third")?);
        assert!(lowest.to < highest.from, "{factor}: {thirds:?}");
        assert!(highest.confidence > lowest.confidence + 0.05, "{factor}: {thirds:?}");
        assert!(highest.came_true > lowest.came_true + 0.1, "{factor}: {thirds:?}");
    }
    assert!(report.groups.factors.iter().all(|third| (0.0..=1.0).contains(&third.from) && third.from <= third.to && third.to <= 1.0));
    Ok(())
}
