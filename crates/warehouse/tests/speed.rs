//! Nothing here is timed against a clock that a busy machine could upset; what is checked is how much work is done.

use anyhow::Result;

use crate::shop::Shop;

/// A year of sales, made by SQLite itself.
pub(crate) async fn year_of_sales(shop: &mut Shop, lines: u32) -> Result<()> {
    shop.run(&format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {lines})
         insert into orders select i, 100 + i % 2, datetime('2017-01-01 05:00:00', '+' || (i * 28000000 / {lines}) || ' seconds') from n;
         insert into order_lines select order_id, order_id, 10 + order_id % 4, 1 + order_id % 5, round(1 + (order_id * 37 % 1000) / 100.0, 2),
                round((1 + order_id % 5) * round(1 + (order_id * 37 % 1000) / 100.0, 2), 2), 0, ordered_at from orders"
    ))
    .await
}

#[tokio::test]
async fn a_nightly_run_reads_the_lag_and_rewrites_only_what_it_touches() -> Result<()> {
    let mut shop = Shop::open().await?;
    year_of_sales(&mut shop, 20_000).await?;
    shop.ingest("2017-11-22T06:00:00Z").await?;
    let root = shop.folder.path().join("warehouse");
    let files = |table: &'static str| {
        let folder = root.join(table);
        let mut found = std::collections::BTreeSet::new();
        let mut stack = vec![folder];
        while let Some(folder) = stack.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    stack.push(path);
                } else if path.extension().is_some_and(|extension| extension == "parquet") {
                    found.insert(path);
                }
            }
        }
        found
    };
    let before = [files("agg_sales_daily"), files("agg_sales_weekly"), files("fact_sales")];
    shop.run("update order_lines set quantity = quantity + 1, updated_at = '2017-11-22 07:00:00' where line_id = 19999").await?;
    let record = shop.ingest("2017-11-23T06:00:00Z").await?;
    assert_eq!(record.entities["transactions"].loaded, 1);
    assert!(record.entities["transactions"].read < 300, "{}", record.entities["transactions"].read);
    let after = [files("agg_sales_daily"), files("agg_sales_weekly"), files("fact_sales")];
    for (before, after) in before.iter().zip(&after) {
        let written: Vec<_> = after.difference(before).collect();
        assert!(written.len() <= 2, "one partition is written: {written:?}");
    }
    Ok(())
}
