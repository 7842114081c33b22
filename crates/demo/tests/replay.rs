//! The replay against a shop that was made with a later end: what happened must be the same, however often and in
//! however many steps it is told.

use chrono::{DateTime, Utc};
use sellcast_demo::{Replay, SHOP_ZONE, Written};
use serde_json::Value;

use crate::{Shop, data, day};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Everything that must be equal: orders, lines and promotions, row by row in one text each.
async fn content(shop: &Shop) -> Vec<String> {
    let mut content = shop
        .words("select order_id || ' ' || customer_id || ' ' || store_id || ' ' || ordered_at || updated_at from orders order by order_id")
        .await;
    content.extend(shop.words("select line_id || ' ' || order_id || ' ' || product_id || ' ' || quantity || ' ' || unit_price || ' ' || total_price || ' ' || discount || updated_at from order_lines order by line_id").await);
    content.extend(shop.words("select promotion_id || ' ' || product_id || starts_on || ends_on || kind || strength || announced_at from promotions order by promotion_id").await);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_week_equals_a_shop_made_a_week_later() {
    let later = Shop::until("2017-01-29").await;
    let shop = Shop::until("2017-01-22").await;
    let replay = Replay::open(&shop.file(), &data()).await.expect("a replay");
    assert!(replay.written_until().await.expect("some orders") < day("2017-01-22").starts_at(SHOP_ZONE));
    let mut written = Written::default();
    for hour in 1..=6 * 24 {
        let step = replay.write_until(day("2017-01-22").starts_at(SHOP_ZONE) + chrono::Duration::hours(hour)).await.expect("a step");
        written.lines += step.lines;
        written.amount_cents += step.amount_cents;
    }
    // Half way through the last day the process dies; the next one goes on where the shop stands.
    drop(replay);
    let replay = Replay::open(&shop.file(), &data()).await.expect("a replay");
    let end = day("2017-01-29").starts_at(SHOP_ZONE) - chrono::Duration::seconds(1);
    let rest = replay.write_until(end).await.expect("the rest");
    assert!(written.lines > 20_000 && rest.lines > 1_000, "{written:?} {rest:?}");
    assert_eq!(content(&shop).await, content(&later).await);
    assert_eq!(replay.write_until(end).await.expect("a step"), Written::default());
    assert_eq!(replay.write_until(at("2017-01-03T00:00:00Z")).await.expect("a step"), Written::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_hold_what_was_written_and_nothing_personal() {
    let shop = Shop::until("2017-01-25").await;
    let replay = Replay::open(&shop.file(), &data()).await.expect("a replay");
    let written = replay.write_until(at("2017-01-25T18:00:00Z")).await.expect("a step");
    assert!(written.orders > 20 && written.lines > written.orders && written.promotions > 1_000, "{written:?}");
    let count = |table: &str| format!("select count(*) from changes where op = 'insert' and table_name = '{table}'");
    for (table, expected) in [("orders", written.orders), ("order_lines", written.lines), ("promotions", written.promotions)] {
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count(table))).fetch_one(&shop.pool).await.expect("a count");
        assert_eq!(found as u64, expected, "{table}");
    }
    let line: Value = serde_json::from_str(
        &shop.words("select row from changes where table_name = 'order_lines' order by change_id desc limit 1").await[0],
    )
    .expect("JSON");
    assert_eq!(line.as_object().expect("an object").len(), 9);
    let sum = "select sum(cast(round((row ->> 'total_price') * 100) as integer)) from changes where table_name = 'order_lines'";
    assert_eq!(shop.number(sum).await, written.amount_cents);
    assert_eq!(shop.number("select count(*) from changes where row like '%@example.com%'").await, 0);
    // A product that sells for the first time gets its price from that sale, as an update that is recorded.
    let priced = "select count(*) from changes c join products p on p.product_id = c.row_id where c.table_name = 'products' and c.op = 'update' and p.current_price is not null";
    assert!(shop.number(priced).await > 0);
    sqlx::query("delete from order_lines where line_id = (select max(line_id) from order_lines)")
        .execute(&shop.pool)
        .await
        .expect("a deletion");
    assert_eq!(shop.number("select count(*) from changes where op = 'delete' and table_name = 'order_lines'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_takings_of_a_day_grow_to_its_end_and_leave_fuel_out() {
    let shop = Shop::until("2017-01-24").await;
    let replay = Replay::open(&shop.file(), &data()).await.expect("a replay");
    let today = day("2017-01-24");
    assert_eq!(replay.sold_on(today, at("2017-01-24T23:00:00Z")).await.expect("a sum"), 0);
    replay.write_until(at("2017-01-25T04:59:59Z")).await.expect("the day");
    let noon = replay.sold_on(today, at("2017-01-24T17:00:00Z")).await.expect("a sum");
    let whole = replay.sold_on(today, at("2017-01-26T00:00:00Z")).await.expect("a sum");
    assert!(0 < noon && noon < whole, "{noon} {whole}");
    let all = shop.number("select sum(cast(round(total_price * 100) as integer)) from order_lines join orders using (order_id) where ordered_at >= '2017-01-24T05:00:00Z'").await;
    let fuel = shop
        .number("select sum(cast(round(total_price * 100) as integer)) from order_lines join orders using (order_id) join products using (product_id)
                 where ordered_at >= '2017-01-24T05:00:00Z' and description like '%GASOLINE%'")
        .await;
    assert!(fuel > 0 && whole <= all - fuel && whole > (all - fuel) * 9 / 10, "{all} {fuel} {whole}");
}

#[tokio::test]
async fn a_replay_into_no_shop_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Replay::open(&folder.path().join("shop.db"), &data()).await.err().expect("a refusal").to_string();
    assert!(error.contains("no shop database"), "{error}");
}
