//! Shuffled truth: where nothing can be learnt, nothing must seem to be. If models or scoring saw the answers, their lists
//! would stay better than chance.

use anyhow::Result;
use sellcast_domain::{Metrics, TimeFrame};
use sellcast_forecast::{Backtest, Forecaster, ModelSet};

use crate::shop::{Ready, SETTINGS, heading, ready_after};

/// Four categories of thirty products.
pub(crate) const WIDE: &str = "update products set category_id = 100 * (category_id / 100) + 1;";
const EACH: f64 = 30.0;

/// Every week hands each product's sales to another of its category, each week to a different one.
pub(crate) const SHUFFLED: &str = "
create table shuffled as
with weeks as (select distinct cast((julianday(date(ordered_at, '-5 hours')) - julianday('2017-01-02')) / 7 as integer) as week from orders),
     old as (select product_id, category_id, row_number() over (partition by category_id order by product_id) as place from products),
     new as (select week, product_id, category_id, row_number() over (
               partition by week, category_id
               order by ((product_id + 13 * week) * (product_id + 29) * (week + 3) + product_id * product_id * (week * week + 5)) % 1009, product_id) as place
             from products, weeks)
select week, old.product_id as old_id, new.product_id as new_id from old join new on old.category_id = new.category_id and old.place = new.place;
create unique index shuffled_by_old on shuffled (week, old_id);
update order_lines set product_id = (select new_id from shuffled where old_id = product_id
  and week = cast((julianday(date(updated_at, '-5 hours')) - julianday('2017-01-02')) / 7 as integer));
";

async fn boosted(shop: &Ready) -> Result<Metrics> {
    let now = shop.end.starts_at(shop.zone);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?.training(ModelSet::CORE);
    let mut plan = Backtest::usual(TimeFrame::Week, forecaster.panel().first_day(), forecaster.panel().last_day())?;
    plan.origins.drain(..plan.origins.len() - 3);
    let mut report = forecaster.backtest(&plan, now, &|_| {}).await?;
    report.models.remove("gbm_amount").ok_or_else(|| anyhow::anyhow!("{} has no boosted trees", heading().name))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_shuffled_truth_the_trees_find_no_more_than_chance() -> Result<()> {
    let real = boosted(&ready_after(147, WIDE).await?).await?;
    let shuffled = boosted(&ready_after(147, &format!("{WIDE}{SHUFFLED}")).await?).await?;
    let chance = 5.0 / EACH;
    // Twelve lists: the mean of as many hypergeometric draws of 5 out of 30 has a standard deviation of .045.
    assert!((shuffled.precision_at_5 - chance).abs() < 3.0 * 0.045, "{} by chance {chance}", shuffled.precision_at_5);
    assert!((shuffled.precision_at_10 - 2.0 * chance).abs() < 0.12, "{} by chance {}", shuffled.precision_at_10, 2.0 * chance);
    assert!(real.precision_at_5 > chance + 6.0 * 0.045, "unshuffled there is much to learn: {}", real.precision_at_5);
    Ok(())
}
