//! Histories that no one wishes for: what must hold of a forecast holds of theirs too, or the error says what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use sellcast_domain::{CategoryId, Money, PredictionDocument, ProductPrediction, TimeFrame};
use sellcast_forecast::{ForecastPeriod, Forecaster, Ledger, Publication};
use uuid::Uuid;

use crate::path::holds;
use crate::shop::{Ready, SETTINGS, heading, ready, ready_after};

/// The shop's day of a line.
const DAY: &str = "date(updated_at, '-5 hours')";

/// What must hold of every document.
fn sound(case: &str, document: &PredictionDocument) {
    holds(document);
    let share = |value: f64| (0.0..=1.0).contains(&value);
    for category in &document.categories {
        let mut ranks: Vec<u32> = category.top_products.iter().map(|product| product.rank).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, (1..=category.top_products.len() as u32).collect::<Vec<_>>(), "{case}: ranks of {}", category.category_name);
        let factors = [category.factors.historical_accuracy, category.factors.data_completeness, category.factors.ensemble_agreement];
        assert!(factors.into_iter().all(share), "{case}: {factors:?}");
        for product in &category.top_products {
            assert!(share(product.confidence_score), "{case}: {} of {}", product.confidence_score, product.product_name);
            assert!(product.predicted_quantity.is_finite() && product.interval.low >= Money::ZERO, "{case}: {}", product.product_name);
        }
    }
    assert!(document.total_interval.low <= document.total_amount && document.total_amount <= document.total_interval.high, "{case}");
}

/// What must hold of every row of the ledger, those beyond the documents' first hundred included.
fn sound_rows(case: &str, forecast: &ForecastPeriod) {
    let frame = forecast.period.frame();
    let mut ranks: BTreeMap<CategoryId, BTreeSet<u32>> = BTreeMap::new();
    for row in 0..forecast.len() {
        let (low, amount, high) = (forecast.low[row], forecast.amount[row], forecast.high[row]);
        assert!(0.0 <= low && low <= amount && amount <= high && high.is_finite(), "{case}, {frame}: {low} {amount} {high}");
        assert!(forecast.quantity[row] >= 0.0 && forecast.quantity[row].is_finite(), "{case}, {frame}: {}", forecast.quantity[row]);
        assert!((0.0..=1.0).contains(&forecast.confidence[row]), "{case}, {frame}: {}", forecast.confidence[row]);
        assert!(ranks.entry(forecast.categories[row]).or_default().insert(forecast.rank[row]), "{case}, {frame}: a rank twice");
        for (model, amounts) in &forecast.candidates {
            assert!(amounts[row] >= 0.0 && amounts[row].is_finite(), "{case}, {frame}: {model} says {}", amounts[row]);
        }
    }
    assert!(ranks.values().all(|ranks| ranks.last() == Some(&(ranks.len() as u32))), "{case}, {frame}: ranks without gaps");
}

/// Trains the week if the history suffices, rehearses, publishes, and checks all of it.
async fn forecast(case: &str, shop: &Ready) -> Result<Publication> {
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let mut models = BTreeMap::new();
    if let Some((trained, earlier)) = forecaster.train(TimeFrame::Week, shop.end, now).await? {
        let rehearsal = forecaster.rehearse(&earlier, shop.end).await?;
        rehearsal.forecasts.iter().for_each(|forecast| sound_rows(case, forecast));
        Ledger::new(&shop.warehouse).write(Uuid::from_u128(1).into(), &rehearsal.forecasts).await?;
        models.insert(TimeFrame::Week, trained);
    }
    let made = forecaster.publish(&heading(), shop.end, now, &models).await?;
    assert_eq!(made.predictions.len(), TimeFrame::ALL.len(), "{case}");
    made.predictions.iter().for_each(|document| sound(case, document));
    for frame in TimeFrame::ALL {
        let kept = Ledger::new(&shop.warehouse).read(frame, shop.end, &made.generation.generation_id.to_string()).await?;
        sound_rows(case, &kept.with_context(|| format!("{case}: no {frame} in the ledger"))?);
    }
    Ok(made)
}

fn week(made: &Publication) -> Result<&PredictionDocument> {
    made.predictions.iter().find(|document| document.time_frame == TimeFrame::Week).context("a week")
}

fn product(document: &PredictionDocument, id: i64) -> Option<&ProductPrediction> {
    document.categories.iter().flat_map(|category| &category.top_products).find(|product| product.product_id.get() == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_of_one_a_gap_and_weeks_of_returns_are_forecast_like_others() -> Result<()> {
    // All at once in three corners of the shop, so that one training serves them.
    let statements = format!(
        "update products set category_id = 101 where category_id = 102 and product_id > (select min(product_id) from products where category_id = 102);
         delete from order_lines where {DAY} between '2017-03-01' and '2017-03-31';
         delete from orders where date(ordered_at, '-5 hours') between '2017-03-01' and '2017-03-31';
         update order_lines set quantity = -abs(quantity), total_price = '-' || replace(total_price, '-', '')
           where product_id in (1, 2, 3) and {DAY} >= '2017-05-11';"
    );
    let made = forecast("mixed", &ready_after(150, &statements).await?).await?;
    let week = week(&made)?;
    let single = week.categories.iter().find(|category| category.total_products == 1).context("a category with one product")?;
    assert_eq!(single.top_products[0].rank, 1);
    assert_eq!(single.predicted_sales_amount, single.top_products[0].predicted_amount);
    assert!(week.total_amount > Money::ZERO);
    for id in [1, 2, 3] {
        let returned = product(week, id).context("a product of which only returns came lately is still on the list")?;
        assert!(returned.previous_amount < Money::ZERO, "the past is told as it was: {:?}", returned.previous_amount);
    }
    let record = made.record.frames.get(&TimeFrame::Week).context("a record")?;
    let metrics = record.models.values().flat_map(|metrics| [metrics.precision_at_10, metrics.ndcg_at_10, metrics.wape.unwrap_or(0.0)]);
    assert!(metrics.into_iter().all(f64::is_finite));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_explodes_stays_within_its_limit_and_leaves_the_others_alone() -> Result<()> {
    let statements = format!(
        "update order_lines set quantity = quantity * 1000, total_price = printf('%.2f', total_price * 1000) where product_id = 1 and {DAY} >= '2017-05-29';"
    );
    let shop = ready_after(150, &statements).await?;
    let made = forecast("explosion", &shop).await?;
    let sql = "select max(amount) from (select cast(sum(total_price) as double) as amount from fact_sales where product_id = 1 group by cast(date_id as int) / 7)";
    let best = shop.warehouse.session().await?.sql(sql).await?.collect().await?;
    let best: f64 = arrow::util::display::array_value_to_string(best[0].column(0), 0)?.parse()?;
    for document in &made.predictions {
        let weeks = (document.period_end.days_since(document.period_start) + 1) as f64 / 7.0;
        let exploded = product(document, 1).context("it is on the list")?.predicted_amount.to_f64();
        assert!(exploded <= 5.0 * best * weeks.max(1.0), "{}: {exploded}, its best week {best}", document.time_frame);
    }
    for category in week(&made)?.categories.iter().filter(|category| category.top_products.iter().all(|p| p.product_id.get() != 1)) {
        let (said, before) = (category.predicted_sales_amount.to_f64(), category.previous_amount.to_f64());
        assert!(said < 4.0 * before + 100.0, "{}: {said} after {before}", category.category_name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn constant_sales_are_expected_to_go_on() -> Result<()> {
    // One piece of every product each day.
    let statements = "
        delete from order_lines;
        insert into order_lines
          select row_number() over (order by o.order_id, p.product_id), o.order_id, p.product_id, 1, p.current_price, p.current_price, '0.00', o.ordered_at
          from (select min(order_id) as order_id, ordered_at from orders group by date(ordered_at, '-5 hours')) o cross join products p;
        delete from promotions;";
    let made = forecast("constant", &ready_after(150, statements).await?).await?;
    let week = week(&made)?;
    assert_eq!(week.categories.iter().map(|category| category.top_products.len()).sum::<usize>(), 120);
    let (said, came) = (week.total_amount.to_f64(), week.previous_total.to_f64());
    assert!((said / came - 1.0).abs() < 0.03, "{said} after {came}");
    for product in week.categories.iter().flat_map(|category| &category.top_products) {
        let (said, came) = (product.predicted_amount.to_f64(), product.previous_amount.to_f64());
        assert!((said / came - 1.0).abs() < 0.25, "{}: {said} after {came}", product.product_name);
        assert!(product.guard.is_none(), "{}", product.product_name);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everything_was_returned_nothing_is_expected() -> Result<()> {
    let statements = "
        delete from order_lines where quantity < 0;
        insert into order_lines
          select line_id + 1000000, order_id, product_id, -quantity, unit_price, '-' || total_price, '0.00', updated_at from order_lines;";
    let made = forecast("all returned", &ready_after(150, statements).await?).await?;
    for document in &made.predictions {
        assert_eq!(document.total_amount, Money::ZERO, "{}", document.time_frame);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_away_is_sold_for_nothing() -> Result<()> {
    let made = forecast(
        "all zeros",
        &ready_after(150, "update order_lines set unit_price = '0.00', total_price = '0.00', discount = '0.00';").await?,
    )
    .await?;
    for document in &made.predictions {
        assert_eq!(document.total_amount, Money::ZERO, "{}", document.time_frame);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_day_of_history_gives_averages_and_none_at_all_a_clear_error() -> Result<()> {
    let made = forecast("one day", &ready(1).await?).await?;
    assert!(made.predictions.iter().all(|document| document.fallback.is_some()), "every frame says that it knows little");
    assert!(week(&made)?.total_amount > Money::ZERO);
    let empty = ready_after(1, "delete from order_lines;").await?;
    let error = Forecaster::open(&empty.warehouse, SETTINGS).await.err().context("there is nothing to forecast from")?;
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains("sales"), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_generations_for_one_day_the_newest_counts_once() -> Result<()> {
    let shop = ready(120).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let (_, earlier) = forecaster.train(TimeFrame::Week, shop.end, now).await?.context("it trains")?;
    let mut forecasts = forecaster.rehearse(&earlier, shop.end).await?.forecasts;
    let ledger = Ledger::new(&shop.warehouse);
    ledger.write(Uuid::from_u128(2).into(), &forecasts).await?;
    // A second thought about the newest period alone: twice as much.
    let newest = forecasts.pop().context("a period")?;
    let doubled = |amounts: &[f32]| amounts.iter().map(|amount| amount * 2.0).collect::<Vec<_>>();
    let second = ForecastPeriod { amount: doubled(&newest.amount), high: doubled(&newest.high), ..newest.clone() };
    ledger.write(Uuid::from_u128(3).into(), std::slice::from_ref(&second)).await?;
    let record = forecaster.publish(&heading(), shop.end, now, &BTreeMap::new()).await?.record;
    let periods = &record.frames.get(&TimeFrame::Week).context("a record")?.periods;
    let starts: BTreeSet<_> = periods.iter().map(|score| score.period_start).collect();
    assert_eq!(starts.len(), periods.len(), "each period once");
    assert_eq!(periods[0].period_start, newest.period.start());
    let said: f64 = second.amount.iter().map(|amount| f64::from(*amount)).sum();
    assert!((periods[0].forecast_amount.to_f64() - said).abs() < 1.0, "{} of {said}", periods[0].forecast_amount);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_sale_is_scored_anew_and_the_first_score_stays_beside_it() -> Result<()> {
    let shop = ready(120).await?;
    let now = shop.end.starts_at(shop.zone) - chrono::Duration::seconds(1);
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    let (_, earlier) = forecaster.train(TimeFrame::Week, shop.end, now).await?.context("it trains")?;
    let rehearsal = forecaster.rehearse(&earlier, shop.end).await?;
    Ledger::new(&shop.warehouse).write(Uuid::from_u128(2).into(), &rehearsal.forecasts).await?;
    let before = forecaster.publish(&heading(), shop.end, now, &BTreeMap::new()).await?;
    let scored = before.record.frames.get(&TimeFrame::Week).context("a record")?.periods.clone();
    assert!(scored.iter().all(|score| score.first.is_none()), "the first scores are the only ones yet");

    // A sale of the newest scored period turns out to have been for a thousand more.
    let (first, last) = (scored[0].period_start, scored[0].period_end);
    let later = shop.end + 1;
    shop.shop
        .change(&format!(
            "update order_lines set unit_price = '1000.00', total_price = printf('%.2f', 1000 * quantity), updated_at = '{later}T03:00:00Z'
             where line_id = (select min(line_id) from order_lines where quantity = 1 and {DAY} between '{first}' and '{last}');"
        ))
        .await?;
    shop.ingest(later).await?;
    let as_of = later + 1;
    let forecaster = Forecaster::open(&shop.warehouse, SETTINGS).await?;
    for round in 1..=2_i64 {
        let now = as_of.starts_at(shop.zone) + chrono::Duration::seconds(round);
        let after = forecaster.publish(&heading(), as_of, now, &BTreeMap::new()).await?;
        let again = &after.record.frames.get(&TimeFrame::Week).context("a record")?.periods;
        let score = again.iter().find(|score| score.period_start == first).context("the period is still on the record")?;
        let kept = score.first.as_ref().with_context(|| format!("publication {round}: no first score"))?;
        assert_eq!((kept.actual_amount, &kept.published), (scored[0].actual_amount, &scored[0].published));
        assert!(score.actual_amount.to_f64() > kept.actual_amount.to_f64() + 900.0, "{} after {}", score.actual_amount, kept.actual_amount);
        assert_ne!(score.published.wape, kept.published.wape);
        let others = again.iter().filter(|score| score.period_start != first);
        assert!(others.into_iter().all(|score| score.first.is_none()), "what did not change has one score");
    }
    Ok(())
}
