//! The first load: every table, exact sums, shop days, pseudonyms, files as a source.

use anyhow::Result;
use sellcast_warehouse::{RunKind, WarehouseSettings};

use crate::shop::{Shop, entity, settings};

#[tokio::test]
async fn a_first_load_fills_every_table() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
    shop.sell(2, 12, "1", "3.49", "2017-11-30 15:00:00").await?;
    shop.sell(3, 10, "-1", "1.99", "2017-11-30 16:00:00").await?;
    let record = shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(record.kind, RunKind::Ingest);
    let counts = |entity: &str| (record.entities[entity].read, record.entities[entity].loaded, record.entities[entity].quarantined_total());
    assert_eq!(counts("categories"), (4, 4, 0));
    assert_eq!(counts("products"), (4, 4, 0));
    assert_eq!(counts("customers"), (2, 2, 0));
    assert_eq!(counts("transactions"), (3, 3, 0));
    assert_eq!(counts("promotions"), (2, 2, 0));
    assert_eq!(record.source_positions["transactions"], "2017-11-30T16:00:00Z");
    assert_eq!((record.touched_days.count, record.touched_days.first.map(|day| day.to_string())), (2, Some("2017-11-29".into())));
    assert_eq!(
        shop.rows("select sale_id, product_id, category_id, customer_id, date_id, quantity, unit_price, total_price, occurred_at, known_at, discount, is_return, month from fact_sales order by sale_id").await?,
        [
            "1|10|2|100|2017-11-29|2.000|1.99|3.98|2017-11-29T15:00:00Z|2017-11-29T15:00:00Z|0.00|false|2017-11",
            "2|12|3|100|2017-11-30|1.000|3.49|3.49|2017-11-30T15:00:00Z|2017-11-30T15:00:00Z|0.00|false|2017-11",
            "3|10|2|100|2017-11-30|-1.000|1.99|-1.99|2017-11-30T16:00:00Z|2017-11-30T16:00:00Z|0.00|true|2017-11",
        ]
    );
    assert_eq!(
        shop.rows("select category_id, level, category_path, forecast_category_id, is_excluded from dim_category order by category_id")
            .await?,
        ["1|1|GROCERY|-|false", "2|2|GROCERY / SOFT DRINKS|2|false", "3|2|GROCERY / BAKERY|3|false", "4|1|FUEL|4|true"]
    );
    assert_eq!(
        shop.rows("select product_id, current_price, brand, valid_from, valid_to, is_current from dim_product order by product_id limit 3")
            .await?,
        ["10|1.99|Acme|2016-05-01T00:00:00Z|-|true", "11|0.99|Acme|2016-05-01T00:00:00Z|-|true", "12|3.49|-|1970-01-01T00:00:00Z|-|true"]
    );
    assert_eq!(
        shop.rows("select * from agg_sales_weekly order by product_id").await?,
        ["2017|48|2|10|1.000|1.99|2|1.99|2017-11-27|2017-12-03", "2017|48|3|12|1.000|3.49|1|3.49|2017-11-27|2017-12-03"]
    );
    assert_eq!(
        shop.rows("select product_id, starts_on, kind, strength, announced_at, known_at from fact_promotions order by product_id").await?,
        [
            "10|2017-12-01|display|12.0|2017-11-20T00:00:00Z|2017-11-20T00:00:00Z",
            "11|2017-12-10|mailer|1.0|2017-12-10T05:00:00Z|2017-12-10T05:00:00Z"
        ]
    );
    assert_eq!(
        shop.rows("select date_id, day_of_week, is_weekend, is_holiday, iso_year, iso_week from dim_date where date_id in (date '2017-01-01', date '2017-11-23') order by 1").await?,
        ["2017-01-01|7|true|true|2016|52", "2017-11-23|4|false|true|2017|47"]
    );
    assert_eq!(shop.one("select min(date_id), max(date_id) from dim_date").await?, "2017-01-01|2019-12-31");
    let runs = shop.warehouse.last_runs(5).await?;
    assert_eq!((runs.len(), &runs[0]), (1, &record));
    assert_eq!(record.delta_versions["fact_sales"], shop.warehouse.versions().await?["fact_sales"]);
    Ok(())
}

#[tokio::test]
async fn sums_equal_the_sources_to_the_cent_in_facts_and_every_aggregate() -> Result<()> {
    let mut shop = Shop::open().await?;
    for line in 0..400_i64 {
        let (product, quantity) = (10 + line % 3, ["1", "2.5", "0.333", "-1", "7"][(line % 5) as usize]);
        let at = format!("2017-{:02}-{:02} {:02}:{:02}:00", 1 + line % 11, 1 + line % 28, line % 24, line % 60);
        shop.sell(line, product, quantity, &format!("{}.{:02}", line % 17, (line * 7) % 100), &at).await?;
    }
    let record = shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(record.entities["transactions"].loaded, 400);
    let cents = shop.source_one("select sum(cast(round(total_price * 100) as integer)) from order_lines").await?;
    assert_eq!(shop.one("select cast(sum(total_price) * 100 as bigint) from fact_sales").await?, cents);
    for frame in ["daily", "weekly", "monthly", "quarterly", "yearly"] {
        let sums =
            shop.one(&format!("select cast(sum(total_amount) * 100 as bigint), sum(num_transactions) from agg_sales_{frame}")).await?;
        assert_eq!(sums, format!("{cents}|400"), "{frame}");
    }
    assert_eq!(shop.one("select sum(total_quantity) from agg_sales_daily").await?, shop.one("select sum(quantity) from fact_sales").await?);
    Ok(())
}

#[tokio::test]
async fn shop_days_begin_at_the_shops_midnight_also_when_clocks_change() -> Result<()> {
    let mut shop = Shop::open().await?;
    // Summer time in New York ended on 2017-11-05 at 06:00 UTC and began on 2017-03-12 at 07:00 UTC.
    let expected = [
        ("2017-03-12 04:59:59", "2017-03-11"),
        ("2017-03-12 05:00:00", "2017-03-12"),
        ("2017-03-13 03:59:59", "2017-03-12"),
        ("2017-03-13 04:00:00", "2017-03-13"),
        ("2017-11-05 03:59:59", "2017-11-04"),
        ("2017-11-05 04:00:00", "2017-11-05"),
        ("2017-11-06 04:59:59", "2017-11-05"),
        ("2017-11-06 05:00:00", "2017-11-06"),
    ];
    for (line, (at, _)) in (1..).zip(expected) {
        shop.sell(line, 10, "1", "1", at).await?;
    }
    shop.ingest("2017-12-01T06:00:00Z").await?;
    let days: Vec<_> = expected.iter().map(|(_, day)| (*day).to_owned()).collect();
    assert_eq!(shop.rows("select date_id from fact_sales order by sale_id").await?, days);
    Ok(())
}

#[tokio::test]
async fn persons_are_kept_as_pseudonyms_only() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.run("insert into customers values (102, 'Grace Hopper', 'grace@example.org', 'gold', 'not a time', null)").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    let customers =
        shop.rows("select customer_id, length(name), email is null, customer_segment from dim_customer order by customer_id").await?;
    assert_eq!(customers, ["100|64|false|gold", "101|64|true|-"]);
    assert_eq!(shop.one("select rule from quarantine").await?, "unparsable_created_at");
    let mut stack = vec![shop.folder.path().join("warehouse")];
    let mut files = 0;
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                stack.push(path);
                continue;
            }
            let bytes = std::fs::read(&path)?;
            files += 1;
            for name in ["Lovelace", "ada@example", "Hopper", "grace@example"] {
                assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{name} is in {}", path.display());
            }
        }
    }
    assert!(files > 20, "the warehouse was searched");
    Ok(())
}

#[tokio::test]
async fn entities_may_come_from_files_and_from_different_sources() -> Result<()> {
    let mut shop = Shop::open().await?;
    let folder = shop.folder.path().to_owned();
    std::fs::create_dir(folder.join("sales"))?;
    std::fs::write(
        folder.join("sales/1.csv"),
        "id,product,who,qty,price,at\n1,10,100,2,1.99,2017-11-29 15:00:00\n2,12,,1,3.49,2017-11-30T15:00:00Z\n",
    )?;
    std::fs::write(
        folder.join("sales/2.csv"),
        "id,product,who,qty,price,at\n3,11,101,1,0.99,2017-11-30 15:00:01\n4,11,101,many,0.99,2017-11-30 15:00:02\n",
    )?;
    shop.mapping.transactions = sellcast_warehouse::EntityMapping {
        url: Some("file:sales".into()),
        cursor: Some("occurred_at".into()),
        ..entity(
            "select id as sale_id, product as product_id, who as customer_id, qty as quantity, price as unit_price, at as occurred_at from source",
        )
    };
    let record = shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(record.entities["transactions"].loaded, 3);
    assert_eq!(record.entities["transactions"].quarantined["unparsable_quantity"], 1);
    assert_eq!(
        shop.rows("select sale_id, customer_id, quantity, total_price from fact_sales order by 1").await?,
        ["1|100|2.000|3.98", "2|-|1.000|3.49", "3|101|1.000|0.99"]
    );
    std::fs::write(folder.join("sales/3.csv"), "id,product,who,qty,price,at\n5,11,101,3,0.99,2017-12-01 15:00:01\n")?;
    let record = shop.ingest("2017-12-02T06:00:00Z").await?;
    assert_eq!((record.entities["transactions"].loaded, record.entities["transactions"].unchanged), (1, 3));
    Ok(())
}

#[tokio::test]
async fn a_flat_category_list_is_forecast_as_it_is() -> Result<()> {
    let mut shop = Shop::with_settings(WarehouseSettings { excluded_categories: Vec::new(), ..settings() }).await?;
    shop.mapping.categories = entity("select category_id, name from categories");
    shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(
        shop.rows("select category_id, level, forecast_category_id, is_excluded from dim_category order by 1").await?,
        ["1|1|1|false", "2|1|2|false", "3|1|3|false", "4|1|4|false"]
    );
    Ok(())
}

#[tokio::test]
async fn the_shops_own_events_stand_in_the_calendar() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.mapping.events = Some(entity("select 'Street fair' as name, '2017-06-10' as date"));
    shop.sell(1, 10, "1", "1", "2017-06-01 15:00:00").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(shop.one("select is_holiday, holiday_name from dim_date where date_id = date '2017-06-10'").await?, "true|Street fair");
    Ok(())
}

#[tokio::test]
async fn any_delta_reader_opens_the_tables() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.sell(1, 10, "2", "1.99", "2017-11-29 15:00:00").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    for table in std::fs::read_dir(shop.folder.path().join("warehouse"))? {
        let path = table?.path();
        let url = url::Url::from_directory_path(&path).map_err(|()| anyhow::anyhow!("a url"))?;
        let table = deltalake::open_table(url).await?;
        let protocol = table.snapshot()?.protocol();
        assert_eq!((protocol.min_reader_version(), protocol.min_writer_version()), (1, 2), "{}", path.display());
    }
    Ok(())
}
