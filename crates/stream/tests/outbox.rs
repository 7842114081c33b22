//! The table of changes of a SQLite shop: the same canonical events, from a database as a shop has it.

use std::path::Path;

use sellcast_domain::window::{SaleBook, WatermarkSettings};
use sellcast_stream::{Outbox, OutboxQueries, Pipeline};
use sellcast_testkit::{TestDir, outbox};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::shop::{START, Sale, Tables, assert_same};

const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };

fn queries() -> OutboxQueries {
    OutboxQueries { newest: outbox::NEWEST.to_owned(), changes: outbox::CHANGES.to_owned(), snapshot: outbox::SNAPSHOT.to_owned() }
}

const TABLES: &str = "
    create table products (product_id integer primary key, category_id integer not null);
    create table orders (order_id integer primary key, customer_id integer not null, ordered_at text not null);
    create table order_lines (line_id integer primary key, order_id integer not null, product_id integer not null,
                              quantity numeric not null, total_price text not null);";

struct Shop {
    connection: SqliteConnection,
    tables: Tables,
}

impl Shop {
    async fn create(path: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(outbox::tables())).execute(&mut connection).await?;
        Ok(Self { connection, tables: Tables::default() })
    }

    async fn sell(&mut self, id: i64) -> anyhow::Result<()> {
        let sale = Sale { product: id % 5, customer: id % 17, quantity: 1 + id % 3, cents: 5 + id * 31 % 2_000, seconds: id * 90 };
        self.tables.write(id, sale);
        let at = chrono::DateTime::from_timestamp(START + sale.seconds, 0).expect("a time").format("%Y-%m-%dT%H:%M:%SZ").to_string();
        sqlx::query("insert into orders values (?, ?, ?)").bind(id).bind(sale.customer).bind(at).execute(&mut self.connection).await?;
        sqlx::query("insert into order_lines values (?1, ?1, ?2, ?3, ?4)")
            .bind(id)
            .bind(sale.product)
            .bind(sale.quantity)
            .bind(format!("{}.{:02}", sale.cents / 100, sale.cents % 100))
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    async fn place(&mut self, product: i64, category: i64) -> anyhow::Result<()> {
        self.tables.place(product, category);
        let sql = "insert into products values (?, ?) on conflict do update set category_id = excluded.category_id";
        sqlx::query(sql).bind(product).bind(category).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn change(&mut self, id: i64) -> anyhow::Result<()> {
        self.tables.write(id, Sale { cents: 77, ..self.tables.sales[&id] });
        sqlx::query("update order_lines set total_price = '0.77' where line_id = ?").bind(id).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn delete(&mut self, id: i64) -> anyhow::Result<()> {
        self.tables.delete(id);
        sqlx::query("delete from order_lines where line_id = ?").bind(id).execute(&mut self.connection).await?;
        Ok(())
    }

    fn check(&self, book: &SaleBook) {
        assert_same(book.board(), &self.tables.batch(self.tables.head()));
    }
}

#[tokio::test]
async fn a_sqlite_shop_is_read_once_and_then_followed() -> anyhow::Result<()> {
    let dir = TestDir::new("outbox")?;
    let mut shop = Shop::create(&dir.join("shop.db")).await?;
    for product in 0..4 {
        shop.place(product, product % 2).await?;
    }
    for id in 0..300 {
        shop.sell(id).await?;
    }
    let state = dir.join("state.redb");
    let outbox = Outbox::open(&dir.join("shop.db"), queries()).await?;
    let mut pipeline = Pipeline::open(&state, SETTINGS)?;
    assert_eq!(outbox.poll(&mut pipeline, 100).await?, 304);
    assert_eq!(outbox.poll(&mut pipeline, 100).await?, 0);
    shop.check(pipeline.book());
    pipeline.save()?;

    for id in 300..600 {
        shop.sell(id).await?;
    }
    shop.change(310).await?;
    shop.change(10).await?;
    shop.delete(320).await?;
    shop.delete(20).await?;
    shop.place(4, 1).await?;
    shop.place(0, 1).await?;
    // A crash: what was read after the save is read again.
    assert_eq!(outbox.poll(&mut pipeline, 100).await?, 100);
    drop(pipeline);
    let mut pipeline = Pipeline::open(&state, SETTINGS)?;
    while outbox.poll(&mut pipeline, 100).await? > 0 {}
    shop.check(pipeline.book());
    assert_eq!(pipeline.book().counts().moved, 1);
    assert_eq!(pipeline.counts("outbox").poison, 0);
    Ok(())
}

/// The queries of a mapping that names the time of a sale wrongly.
fn wrong_queries() -> OutboxQueries {
    let wrong = |sql: String| sql.replace("occurred_at", "happened_at");
    let OutboxQueries { newest, changes, snapshot } = queries();
    // A change's row is written by the trigger; here it is renamed where it is read.
    let changes = format!("select position, entity, op, replace(row, 'occurred_at', 'happened_at') as row from ({changes})");
    OutboxQueries { newest, changes, snapshot: wrong(snapshot) }
}

#[tokio::test]
async fn what_a_wrong_mapping_did_not_understand_is_read_again_when_it_is_mended() -> anyhow::Result<()> {
    let dir = TestDir::new("outbox")?;
    let mut shop = Shop::create(&dir.join("shop.db")).await?;
    shop.place(0, 1).await?;
    for id in 0..40 {
        shop.sell(id).await?;
    }
    let state = dir.join("state.redb");
    let wrong = Outbox::open(&dir.join("shop.db"), wrong_queries()).await?;
    let mut pipeline = Pipeline::open(&state, SETTINGS)?;
    wrong.poll(&mut pipeline, 100).await?;
    for id in 40..60 {
        shop.sell(id).await?;
    }
    shop.delete(7).await?;
    wrong.poll(&mut pipeline, 100).await?;
    pipeline.save()?;
    // 40 rows of the snapshot, 20 new ones and the deletion.
    assert_eq!(pipeline.state().dead_letters()?.len(), 61);
    // Read again as wrongly, the tables have the 20 new rows too, and the deleted one no more.
    assert_eq!(wrong.try_again(&mut pipeline).await?, 0);
    assert_eq!(pipeline.state().dead_letters()?.len(), 59 + 21);
    drop(pipeline);

    // More happens before it is mended, and is not followed yet.
    shop.delete(8).await?;
    shop.change(41).await?;
    let outbox = Outbox::open(&dir.join("shop.db"), queries()).await?;
    let mut pipeline = Pipeline::open(&state, SETTINGS)?;
    assert_eq!(outbox.try_again(&mut pipeline).await?, 80);
    assert_eq!(pipeline.state().dead_letters()?, []);
    while outbox.poll(&mut pipeline, 100).await? > 0 {}
    shop.check(pipeline.book());
    Ok(())
}
