//! Every common type of PostgreSQL, MariaDB and MySQL, and what becomes of values that no column of the warehouse can hold.

use anyhow::Result;
use sellcast_warehouse::EntityMapping;

use crate::databases::{Kind, Till};
use crate::shop::entity;

#[tokio::test]
async fn postgres_values_of_every_common_type_arrive() -> Result<()> {
    let mut till = Till::bare(Kind::Postgres).await?;
    till.run(
        "create type size as enum ('small', 'gross'); create domain euro as numeric(12,3); create domain tag as varchar(20);
         create table categories (id oid, title varchar(40), about text, parent int2);
         create table products (id int4, title char(12), category int8, about jsonb, brand uuid, price euro, made timestamp, changed timestamptz);
         create table customers (id int2, active bool, segment size, joined date, seen timestamptz);
         create table sales (id int8, product int4, customer int2, quantity numeric, price float8, total numeric(30,12), discount float4, at timestamptz, tag tag);
         create table promotions (product int4, first date, last date, kind name, strength numeric(8,4), told timestamptz);
         insert into categories values (1, 'TEA', 'a \u{1F375}', null), (4294967295, 'BLACK', null, 1);
         insert into products values (10, 'Assam', 4294967295, '{\"a\": [1, \"ü\"]}', '12345678-90AB-cdef-1234-567890abcdef', 1.995, '2017-03-01 12:00:00.5', '2017-03-01 12:00:00+02');
         insert into customers values (-7, true, 'gross', '2016-02-29', '2017-11-01 08:00:00-05'), (8, false, null, null, null);
         insert into sales values
           (1, 10, -7, 3, 1.25, 3.750000000001, 0.1, '2017-11-30 12:00:00Z', 'x'), (9007199254740993, 10, 8, 0.0005, 0.1, 12345678901.985, 1.1, '2017-11-30 12:00:00.000001Z', null),
           (3, 10, null, 'NaN', 1, null, null, '2017-11-30 12:00:00Z', null), (4, 10, null, 1, 'Infinity', null, null, '2017-11-30 12:00:00Z', null),
           (5, 10, null, 1, 1, null, null, 'infinity', null), (6, 10, null, 1e30, 1, null, null, '2017-11-30 12:00:00Z', null);
         insert into promotions values (10, '2017-12-24', '2017-12-26', 'display', 12.5, null);",
    )
    .await?;
    till.admit_reader().await?;
    till.mapping.categories =
        entity("select id as category_id, title as name, about as description, parent as parent_category_id from categories");
    till.mapping.products = entity(
        "select id as product_id, title as name, category as category_id, about as description, brand, price as current_price,
                made as created_at, changed as updated_at from products",
    );
    till.mapping.customers = Some(entity(
        "select id as customer_id, active::text as name, segment as customer_segment, joined as created_at, seen as last_login from customers",
    ));
    till.mapping.transactions = entity(
        "select id as sale_id, product as product_id, customer as customer_id, quantity, price as unit_price, total as total_price, discount, at as occurred_at from sales",
    );
    till.mapping.promotions = Some(entity(
        "select product as product_id, first as starts_on, last as ends_on, kind, strength, told as announced_at from promotions",
    ));
    let record = till.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(
        till.rows("select category_id, name, description from dim_category order by 1").await?,
        ["1|TEA|a 🍵", "4294967295|BLACK|-"]
    );
    assert_eq!(
        till.rows("select product_id, name, description, brand, current_price, created_at, updated_at from dim_product").await?,
        [r#"10|Assam|{"a": [1, "ü"]}|12345678-90ab-cdef-1234-567890abcdef|2.00|2017-03-01T12:00:00.500Z|2017-03-01T10:00:00Z"#]
    );
    assert_eq!(
        till.rows("select customer_id, customer_segment, created_at, last_login from dim_customer order by 1").await?,
        ["-7|gross|2016-02-29T00:00:00Z|2017-11-01T13:00:00Z", "8|-|-|-"]
    );
    assert_eq!(
        till.rows("select sale_id, customer_id, quantity, unit_price, total_price, discount, occurred_at from fact_sales order by 1")
            .await?,
        ["1|-7|3.000|1.25|3.75|0.10|2017-11-30T12:00:00Z", "9007199254740993|8|0.001|0.10|12345678901.99|1.10|2017-11-30T12:00:00.000001Z"]
    );
    assert_eq!(till.rows("select starts_on, ends_on, kind, strength from fact_promotions").await?, ["2017-12-24|2017-12-26|display|12.5"]);
    let sales = &record.entities["transactions"];
    assert_eq!((sales.read, sales.quarantined_total()), (6, 4), "{sales:?}");
    let kept = till.rows("select rule, row_json from quarantine order by row_json").await?;
    for (rule, value) in [
        ("unparsable_quantity", r#""quantity":"NaN""#),
        ("unparsable_unit_price", r#""unit_price":"Infinity""#),
        ("unparsable_occurred_at", r#""occurred_at":"infinity""#),
        ("unparsable_quantity", r#""quantity":"1000000000000000000000000000000""#),
    ] {
        assert!(kept.iter().any(|kept| kept.starts_with(rule) && kept.contains(value)), "{rule} {value}: {kept:?}");
    }
    Ok(())
}

#[tokio::test]
async fn mariadb_values_of_every_common_type_arrive() -> Result<()> {
    values_of_mysqls_common_types_arrive(Kind::MariaDb).await
}

#[tokio::test]
async fn mysql_values_of_every_common_type_arrive() -> Result<()> {
    values_of_mysqls_common_types_arrive(Kind::MySql).await
}

async fn values_of_mysqls_common_types_arrive(kind: Kind) -> Result<()> {
    let mut till = Till::bare(kind).await?;
    till.run(
        "create table categories (id int unsigned, title varchar(40) collate utf8mb4_bin, about text, parent smallint);
         create table products (id mediumint, title char(12), category bigint unsigned, about json, brand enum('Acme', 'Größe'), price decimal(14,5), made date, changed timestamp);
         create table customers (id tinyint, active bool, segment set('a', 'b'), joined year, seen datetime(3));
         create table sales (id bigint, product int, customer tinyint, quantity double, price float, total decimal(30,12), discount bit(8), at datetime(6), raw varbinary(8));
         insert into categories values (1, 'TEA', 'a \u{1F375}', null), (4294967295, 'BLACK', null, 1);
         insert into products values (10, 'Assam', 4294967295, '{\"a\": 1}', 'Größe', 1.99500, '2017-03-01', '2017-03-01 10:00:00');
         insert into customers values (-7, true, 'a,b', 2016, '2017-11-01 13:00:00.5'), (8, false, null, null, null);
         insert into sales values (1, 10, -7, 3, 1.25, 3.750000000001, b'00000101', '2017-11-30 12:00:00', 'x'),
           (9007199254740993, 10, 8, 0.0005, 0.1, 12345678901.985, null, '2017-11-30 12:00:00.000001', null), (3, 10, null, 1e30, 1, null, null, '2017-11-30 12:00:00', null);",
    )
    .await?;
    till.run("set sql_mode = ''").await?;
    till.run("insert into sales values (4, 10, null, 1, 1, null, null, '0000-00-00', null)").await?;
    till.admit_reader().await?;
    till.mapping.categories =
        entity("select id as category_id, title as name, about as description, parent as parent_category_id from categories");
    till.mapping.products = entity(
        "select id as product_id, title as name, category as category_id, about as description, brand, price as current_price,
                made as created_at, changed as updated_at from products",
    );
    till.mapping.customers = Some(entity(
        "select id as customer_id, if(active, 'yes', 'no') as name, segment as customer_segment, concat(joined, '-01-01') as created_at, seen as last_login from customers",
    ));
    till.mapping.transactions = EntityMapping {
        cursor: None,
        ..entity(
            "select id as sale_id, product as product_id, customer as customer_id, quantity, price as unit_price, total as total_price, discount, at as occurred_at from sales",
        )
    };
    let record = till.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(
        till.rows("select category_id, name, description from dim_category order by 1").await?,
        ["1|TEA|a 🍵", "4294967295|BLACK|-"]
    );
    assert_eq!(
        till.rows("select product_id, name, description, brand, current_price, created_at, updated_at from dim_product").await?,
        [r#"10|Assam|{"a": 1}|Größe|2.00|2017-03-01T00:00:00Z|2017-03-01T10:00:00Z"#]
    );
    assert_eq!(
        till.rows("select customer_id, customer_segment, created_at, last_login from dim_customer order by 1").await?,
        ["-7|a,b|2016-01-01T00:00:00Z|2017-11-01T13:00:00.500Z", "8|-|-|-"]
    );
    assert_eq!(
        till.rows("select sale_id, customer_id, quantity, unit_price, total_price, discount, occurred_at from fact_sales order by 1")
            .await?,
        ["1|-7|3.000|1.25|3.75|5.00|2017-11-30T12:00:00Z", "9007199254740993|8|0.001|0.10|12345678901.99|0.00|2017-11-30T12:00:00.000001Z"]
    );
    let rules: Vec<_> = record.entities["transactions"].quarantined.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
    assert_eq!(rules, ["missing_occurred_at 1", "unparsable_quantity 1"], "a zero date is none");
    Ok(())
}

#[tokio::test]
async fn a_type_without_a_plain_value_is_named_with_its_mend() -> Result<()> {
    let mut till = Till::open(Kind::Postgres).await?;
    till.mapping.customers = Some(entity("select customer_id, array['a', 'b'] as customer_segment from customers"));
    till.mapping.products = entity("select product_id, name, category_id, interval '1 day' as brand from products");
    let told = till.check().await;
    assert!(told.contains("customers: the type `TEXT[]` of the column `customer_segment` cannot be read; cast it to text"), "{told}");
    assert!(told.contains("products: the type `INTERVAL` of the column `brand` cannot be read; cast it to text"), "{told}");
    till.mapping.customers = Some(entity("select customer_id, array['a', 'b']::text as customer_segment from customers"));
    till.mapping.products = entity("select product_id, name, category_id, cast(interval '1 day' as text) as brand from products");
    till.ingest("2017-12-01T06:00:00Z").await?;
    assert_eq!(till.rows("select distinct customer_segment from dim_customer").await?, ["{a,b}"]);
    assert_eq!(till.rows("select distinct brand from dim_product").await?, ["1 day"]);
    Ok(())
}

const MYSQL_CURSORS: [&str; 4] =
    ["cast(updated_at as datetime)", "date_format(updated_at, '%Y-%m-%dT%H:%i:%s')", "unix_timestamp(updated_at)", "date(updated_at)"];

#[tokio::test]
async fn cursors_of_every_type_are_filtered() -> Result<()> {
    for (kind, cursors) in [
        (
            Kind::Postgres,
            [
                "updated_at::timestamp",
                "to_char(updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS')",
                "extract(epoch from updated_at)::bigint",
                "updated_at::date",
            ],
        ),
        (Kind::MariaDb, MYSQL_CURSORS),
        (Kind::MySql, MYSQL_CURSORS),
    ] {
        for cursor in cursors {
            let mut till = Till::open(kind).await?;
            till.mapping.transactions.sql =
                format!("select sale_id, product_id, customer_id, quantity, unit_price, occurred_at, {cursor} as updated_at from sales");
            till.sell(3, "2017-12-10 12:00:00").await?;
            till.ingest("2017-12-11T06:00:00Z").await?;
            till.sell(4, "2017-12-11 12:00:00").await?;
            let counts = &till.ingest("2017-12-12T06:00:00Z").await?.entities["transactions"];
            assert_eq!((counts.read, counts.loaded), (2, 1), "{cursor}");
        }
    }
    Ok(())
}
