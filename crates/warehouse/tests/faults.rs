//! Sources that cannot be read and mappings that do not fit: told in words, before anything is written.

use anyhow::Result;
use sellcast_warehouse::IngestError;

use crate::shop::{Shop, entity, told};

async fn refused(shop: &Shop) -> Result<String> {
    let before = shop.warehouse.versions().await?;
    let error = match shop.ingest("2017-12-01T06:00:00Z").await {
        Ok(record) => anyhow::bail!("it ran: {record:?}"),
        Err(error) => error,
    };
    assert_eq!(shop.warehouse.versions().await?, before, "nothing is written");
    assert!(matches!(error, IngestError::Mapping(_)), "{error:?}");
    Ok(told(&error))
}

#[tokio::test]
async fn a_missing_file_is_named() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.mapping.url = Some("sqlite:moved.db".into());
    let message = refused(&shop).await?;
    assert!(message.contains("moved.db` does not exist; check the `url`"), "{message}");
    assert_eq!(message.matches("moved.db").count(), 1, "told once, not per entity: {message}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told() -> Result<()> {
    let mut shop = Shop::open().await?;
    std::fs::write(shop.folder.path().join("notes.db"), "these are only words, and many of them, but no database".repeat(40))?;
    shop.mapping.url = Some("sqlite:notes.db".into());
    let message = refused(&shop).await?;
    assert!(message.contains("notes.db") && message.contains("not a database"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_locked_database_is_told_after_a_while() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.run("pragma journal_mode = delete; begin exclusive").await?;
    let message = refused(&shop).await?;
    assert!(message.contains("is locked by another program; end its transaction"), "{message}");
    shop.run("rollback").await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_column_is_answered_with_the_nearest_names() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.mapping.products = entity("select product_id, name, category_id, current_price as prize from products");
    shop.mapping.transactions.sql = shop.mapping.transactions.sql.replace("l.quantity", "l.quantity as quantities");
    let message = refused(&shop).await?;
    assert!(message.contains("products: there is no canonical column `prize`; the nearest ones are"), "{message}");
    assert!(message.contains("transactions: there is no canonical column `quantities`; the nearest ones are `quantity`"), "{message}");
    assert!(message.contains("transactions: the query gives no column `quantity`, which is due"), "all faults at once: {message}");
    Ok(())
}

#[tokio::test]
async fn a_missing_table_or_column_in_the_source_is_told_by_the_source() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.mapping.products = entity("select product_id, name, category_id, colour as brand from products");
    shop.mapping.customers = Some(entity("select * from clients"));
    let message = refused(&shop).await?;
    assert!(message.contains("no such column: colour") && message.contains("no such table: clients"), "{message}");
    Ok(())
}

#[tokio::test]
async fn check_finds_the_same_faults_without_a_run() -> Result<()> {
    let mut shop = Shop::open().await?;
    assert_eq!(shop.warehouse.check(&shop.mapping, shop.folder.path()).await, []);
    shop.mapping.url = None;
    shop.mapping.categories.url = Some("oracle:shop".into());
    let faults = shop.warehouse.check(&shop.mapping, shop.folder.path()).await;
    assert!(faults.iter().any(|fault| fault.message.contains("`oracle:shop` is no source address")), "{faults:?}");
    assert_eq!(faults.iter().filter(|fault| fault.message.contains("it has no source")).count(), 4, "{faults:?}");
    Ok(())
}

#[tokio::test]
async fn a_cursor_must_be_a_mapped_time() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.mapping.transactions.cursor = Some("sale_id".into());
    shop.mapping.products.cursor = Some("changed".into());
    let message = refused(&shop).await?;
    assert!(message.contains("the cursor `sale_id` is not a time") && message.contains("the cursor `changed` is not among"), "{message}");
    Ok(())
}

#[tokio::test]
async fn drift_in_the_source_is_told_before_anything_is_written() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    shop.run("alter table products drop column brand").await?;
    let message = refused(&shop).await?;
    assert!(
        message.contains("products: the source no longer has the column `brand`; bring it back, or name its replacement in `sql`"),
        "{message}"
    );
    shop.mapping.products.sql = "select *, null as brand from products".into();
    shop.ingest("2017-12-01T07:00:00Z").await?;
    shop.run("alter table customers rename to old; create table customers (customer_id text, name text, email text, customer_segment text, created_at text, last_login text)").await?;
    let message = refused(&shop).await?;
    assert!(message.contains("the type of the column `customer_id` changed from `INTEGER` to `TEXT`"), "{message}");
    shop.run("alter table order_lines rename column discount to rebate").await.ok();
    let message = refused(&shop).await?;
    assert!(message.contains("the source of `transactions` has changed since the last run") && message.contains("l.discount"), "{message}");
    Ok(())
}

#[tokio::test]
async fn an_added_column_is_noted_and_spoils_nothing() -> Result<()> {
    let mut shop = Shop::open().await?;
    shop.ingest("2017-12-01T06:00:00Z").await?;
    shop.run("alter table products add column shelf text").await?;
    let record = shop.ingest("2017-12-01T07:00:00Z").await?;
    assert_eq!(record.schema_changes, ["`products`: the source added the column `shelf`, which has no canonical name and is left out"]);
    let record = shop.ingest("2017-12-01T08:00:00Z").await?;
    assert!(record.schema_changes.is_empty(), "told once");
    Ok(())
}

#[tokio::test]
async fn a_mapping_with_an_unknown_key_is_refused() {
    let mapping = serde_json::json!({"url": "sqlite:x", "categories": {"sql": "x"}, "products": {"sql": "x"}, "transactions": {"sql": "x", "curser": "y"}});
    let error = serde_json::from_value::<sellcast_warehouse::SourceMapping>(mapping).expect_err("refused");
    assert!(error.to_string().contains("curser"), "{error}");
}
