//! The aggregates after any sequence of changes equal those of a full rebuild from the same facts.

use anyhow::Result;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::shop::Shop;

/// A change to the shop between two runs.
#[derive(Clone, Debug)]
enum Change {
    Sell { product: i64, quantity: i32, cents: u32, hour: u32 },
    Amend { line: usize, quantity: i32 },
    Move { line: usize, hour: u32 },
}

fn change() -> impl Strategy<Value = Change> {
    // 26,000 hours from 2017-01-01: three years, with every kind of period border in it.
    prop_oneof![
        3 => (10_i64..13, prop_oneof![1..9_i32, -3..0_i32], 0_u32..5000, 0_u32..26_000).prop_map(|(product, quantity, cents, hour)| Change::Sell { product, quantity, cents, hour }),
        1 => (any::<usize>(), 1..9_i32).prop_map(|(line, quantity)| Change::Amend { line, quantity }),
        1 => (any::<usize>(), 0_u32..26_000).prop_map(|(line, hour)| Change::Move { line, hour }),
    ]
}

async fn apply(shop: &mut Shop, lines: &mut i64, change: &Change, written: &str) -> Result<()> {
    let time = |hour: u32| format!("datetime('2017-01-01', '+{hour} hours')");
    let existing = |line: usize| line as i64 % (*lines).max(1) + 1;
    let sql = match change {
        Change::Sell { product, quantity, cents, hour } => {
            *lines += 1;
            format!(
                "insert into orders values ({lines}, 100, {}); insert into order_lines values ({lines}, {lines}, {product}, {quantity},
                 round({cents} / 100.0, 2), round({quantity} * {cents} / 100.0, 2), 0, '{written}')",
                time(*hour)
            )
        }
        Change::Amend { line, quantity } => {
            format!(
                "update order_lines set quantity = {quantity}, total_price = round({quantity} * unit_price, 2), updated_at = '{written}' where line_id = {}",
                existing(*line)
            )
        }
        Change::Move { line, hour } => {
            let (line, time) = (existing(*line), time(*hour));
            format!(
                "update orders set ordered_at = {time} where order_id = {line}; update order_lines set updated_at = '{written}' where order_id = {line}"
            )
        }
    };
    shop.run(&sql).await
}

async fn aggregates(shop: &Shop) -> Result<Vec<String>> {
    let content = shop.content().await?;
    Ok(content.into_iter().filter(|row| row.starts_with("agg_") || row.starts_with("fact_sales")).collect())
}

async fn incremental_equals_rebuild(runs: &[Vec<Change>]) -> Result<()> {
    let mut shop = Shop::open().await?;
    let mut lines = 0;
    for (run, changes) in runs.iter().enumerate() {
        let written = format!("2020-01-{:02} 00:00:00", run + 1);
        for change in changes {
            apply(&mut shop, &mut lines, change, &written).await?;
        }
        shop.ingest(&format!("2020-01-{:02}T06:00:00Z", run + 1)).await?;
    }
    let incremental = aggregates(&shop).await?;
    // The same source into an empty warehouse: one full build.
    std::fs::remove_dir_all(shop.folder.path().join("warehouse"))?;
    shop.reopen(crate::shop::settings()).await?;
    shop.ingest("2020-02-01T06:00:00Z").await?;
    assert_eq!(incremental, aggregates(&shop).await?);
    Ok(())
}

#[test]
fn incremental_refresh_equals_a_full_rebuild() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let config = Config { cases: 6, failure_persistence: None, max_shrink_iters: 20, ..Config::default() };
    let strategy = prop::collection::vec(prop::collection::vec(change(), 1..12), 2..4);
    TestRunner::new(config)
        .run(&strategy, |runs| {
            runtime.block_on(incremental_equals_rebuild(&runs)).map_err(|error| TestCaseError::fail(format!("{error:?}")))
        })
        .map_err(|error| anyhow::anyhow!("{error}"))
}

#[tokio::test]
async fn an_emptied_period_disappears_from_every_aggregate() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell_late(1, 10, "1", "1.99", "2016-06-15 12:00:00", "2017-12-01 00:00:00").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    shop.run("update orders set ordered_at = '2017-06-15 12:00:00'; update order_lines set updated_at = '2017-12-02 00:00:00'").await?;
    shop.ingest("2017-12-02T06:00:00Z").await?;
    for frame in ["daily", "weekly", "monthly", "quarterly", "yearly"] {
        assert_eq!(
            shop.rows(&format!("select start_date <= date '2017-06-15' and end_date >= date '2017-06-15' from agg_sales_{frame}")).await?,
            ["true"],
            "{frame}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn own_tables_are_appended_to_and_replaced_by_slice() -> Result<()> {
    use std::sync::Arc;

    use arrow::array::{Date32Array, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    let shop = Shop::open().await?;
    let schema = Arc::new(Schema::new(vec![
        Field::new("set", DataType::Utf8, false),
        Field::new("as_of", DataType::Date32, false),
        Field::new("value", DataType::Int64, true),
    ]));
    let rows = |set: &str, day: i32, values: Vec<i64>| {
        let count = values.len();
        RecordBatch::try_new(
            Arc::clone(&schema),
            vec![
                Arc::new(StringArray::from(vec![set; count])),
                Arc::new(Date32Array::from(vec![day; count])),
                Arc::new(Int64Array::from(values)),
            ],
        )
    };
    let own = &shop.warehouse;
    own.append("features", vec![rows("a", 1, vec![1, 2])?, rows("a", 2, vec![3])?], &["set", "as_of"]).await?;
    own.append("features", vec![rows("b", 1, vec![9])?], &["set", "as_of"]).await?;
    let slice = "set = 'a' and as_of in (date '1970-01-02')";
    for _ in 0..2 {
        own.replace_where("features", slice, vec![rows("a", 1, vec![7])?], &["set", "as_of"]).await?;
        assert_eq!(
            shop.rows("select set, as_of, value from features order by 1, 2, 3").await?,
            ["a|1970-01-02|7", "a|1970-01-03|3", "b|1970-01-02|9"]
        );
    }
    let session = own.session().await?;
    let frame = session.sql("select set, as_of from features").await?;
    assert_eq!(frame.schema().field(0).data_type(), &DataType::Utf8, "partition values are plain columns");
    own.replace_where("features", slice, Vec::new(), &["set", "as_of"]).await?;
    assert_eq!(shop.one("select count(*) from features where set = 'a'").await?, "1");
    let other = own.replace_where("features", slice, vec![rows("b", 1, vec![7])?], &["set", "as_of"]).await;
    assert!(other.is_err(), "rows outside the slice are refused");
    Ok(())
}
