//! New products: launches of similar ones stand in for a history, and nothing that came later does.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use sellcast_domain::{ConfidenceFactors, PredictionDocument, ProductPrediction, ShopDay, TimeFrame, TopK};
use sellcast_forecast::{Forecaster, Publication};

use crate::shop::{Ready, SETTINGS, heading, ready_after};

/// From the tenth week on, two teas and two cakes are put into the catalogue each Tuesday and sell a piece a day from the
/// Monday after. In the week of [`AS_OF`] another tea joins them that never sells, and a product is entered afterwards.
const LAUNCHING: &str = "
with recursive weeks (week) as (select 9 union all select week + 1 from weeks where week < 20)
insert into products
  select 1000 + 10 * week + number, case when number > 2 and number < 9 then 'Fresh cake of week ' else 'Fresh tea of week ' end || week,
         case when number > 2 and number < 9 then 202 else 101 end, 'Novel', '5.00',
         date('2017-01-02', '+' || (7 * week - 6) || ' days') || 'T12:00:00Z', date('2017-01-02', '+' || (7 * week - 6) || ' days') || 'T12:00:00Z'
  from weeks, (select 1 as number union all select 2 union all select 3 union all select 4 union all select 9)
  where number < 9 or week = 20;
insert into products values (1999, 'Fresh tea of week 20', 101, 'Novel', '5.00', '2017-05-19T12:00:00Z', '2017-05-19T12:00:00Z');
insert into order_lines
  select 50000000 + row_number() over (order by o.order_id, p.product_id), o.order_id, p.product_id, 1, '5.00', '5.00', '0.00', o.ordered_at
  from (select min(order_id) as order_id, min(ordered_at) as ordered_at, date(ordered_at, '-5 hours') as day from orders group by 3) o
  join products p on p.product_id between 1000 and 1998 and p.product_id % 10 <> 9
                  and o.day >= date('2017-01-02', '+' || (7 * ((p.product_id - 1000) / 10)) || ' days');
";
/// A Thursday; the newest launches wait for their Monday.
const AS_OF: &str = "2017-05-18";
/// Takes away what came later, catalogue apart.
const FORGETTING: &str = "
delete from order_lines where date(updated_at, '-5 hours') >= '2017-05-18';
delete from orders where date(ordered_at, '-5 hours') >= '2017-05-18';
";
/// Sells from the Monday after on; never sells; is entered the day after.
const WAITING: i64 = 1201;
const TWIN: i64 = 1209;
const UNKNOWN: i64 = 1999;

async fn publish(shop: &Ready) -> Result<Publication> {
    let as_of: ShopDay = AS_OF.parse()?;
    let now = as_of.starts_at(shop.zone) - chrono::Duration::seconds(1);
    Ok(Forecaster::open(&shop.warehouse, SETTINGS).await?.publish(&heading(), as_of, now, &BTreeMap::new()).await?)
}

fn week(made: &Publication) -> Result<&PredictionDocument> {
    made.predictions.iter().find(|document| document.time_frame == TimeFrame::Week).context("a week")
}

fn product(document: &PredictionDocument, id: i64) -> Option<&ProductPrediction> {
    document.categories.iter().flat_map(|category| &category.top_products).find(|product| product.product_id.get() == id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_will_sell_gets_what_its_twin_that_will_not_gets() -> Result<()> {
    let shop = ready_after(150, LAUNCHING).await?;
    let made = publish(&shop).await?;
    let (waiting, twin) = (product(week(&made)?, WAITING).context("it waits")?, product(week(&made)?, TWIN).context("it waits")?);
    let said = |product: &ProductPrediction| {
        let ConfidenceFactors { data_completeness, ensemble_agreement, .. } = product.factors;
        (product.predicted_amount, product.predicted_quantity, product.interval, data_completeness, ensemble_agreement)
    };
    assert_eq!((said(waiting), &waiting.similar), (said(twin), &twin.similar));
    assert!(waiting.rank.abs_diff(twin.rank) <= 3, "neighbours in rank: {} {}", waiting.rank, twin.rank);
    // What came true of a list lately is the list's, and neighbours may be in two.
    let list = |product: &ProductPrediction| TopK::holding(product.rank);
    assert!(list(waiting) != list(twin) || waiting.factors == twin.factors, "{:?} {:?}", waiting.factors, twin.factors);
    let amount = waiting.predicted_amount.to_f64();
    assert!((10.0..60.0).contains(&amount), "five a day once it sells: {amount}");
    let units = waiting.predicted_quantity;
    assert!((units - amount / 5.0).abs() < 0.5, "{units} of five each: {amount}");
    assert_eq!(waiting.days_on_sale, None);
    let similar = waiting.similar.as_deref().context("it is like others")?;
    assert!(similar.starts_with("like Fresh tea of week") && similar.contains("launched in") && similar.contains("of 100"), "{similar}");
    assert!(!similar.contains("week 20"), "what waits with it shows nothing yet: {similar}");
    // What the catalogue did not know then is expected at nothing, like what has waited since the shop opened.
    let rest = || made.continuations.iter().filter(|(frame, _)| *frame == TimeFrame::Week).flat_map(|(_, rest)| &rest.products);
    let unknown = rest().find(|product| product.product_id.get() == UNKNOWN).context("the catalogue of today lists it")?;
    assert_eq!((unknown.predicted_amount.cents(), &unknown.similar), (0, &None));
    let old = rest().find(|product| product.product_id.get() == 120).context("it never sells")?;
    assert_eq!(old.predicted_amount.cents(), 0);
    assert!(old.similar.as_ref().is_none_or(|similar| similar.contains("fewer than 1") || similar.contains("of 100")), "{:?}", old.similar);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_of_the_past_is_the_same_when_what_came_later_is_gone() -> Result<()> {
    let whole = publish(&ready_after(150, LAUNCHING).await?).await?;
    let ended = publish(&ready_after(150, &format!("{LAUNCHING}{FORGETTING}")).await?).await?;
    for (whole, ended) in whole.predictions.iter().zip(&ended.predictions) {
        assert_eq!(whole, ended, "{}", whole.time_frame);
    }
    assert_eq!(whole.continuations, ended.continuations);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn young_products_say_what_they_are_like_and_old_ones_do_not() -> Result<()> {
    let made = publish(&ready_after(150, LAUNCHING).await?).await?;
    let week = week(&made)?;
    // First sold on Monday 15 May.
    let young = product(week, 1193).context("a cake")?;
    assert_eq!(young.days_on_sale, Some(3));
    let similar = young.similar.as_deref().context("it is new")?;
    assert!(similar.starts_with("like Fresh cake of week") && !similar.contains("of 100"), "{similar}");
    let old = week.categories.iter().flat_map(|category| &category.top_products).filter(|product| product.days_on_sale > Some(28));
    assert!(old.into_iter().all(|product| product.similar.is_none()));
    Ok(())
}
