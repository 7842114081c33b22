//! The real chain from MariaDB and MySQL: the binary log, Debezium's connector, Kafka, a worker and a follower.

use anyhow::{Context, Result, ensure};
use sellcast_domain::window::WatermarkSettings;
use sellcast_testkit::{MySql, MySqlKind, Program, Service, TestDir, until, until_some};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::chain::{LIMIT, Sold, batch_of, compare, followed, topics_are_there};

/// In a database of the name that topics have in the other chain.
const TABLES: &str = "
    create database public;
    use public;
    create user debezium identified by 'log reading';
    grant select, reload, show databases, replication slave, replication client on *.* to debezium;
    create table public.products (id bigint primary key, name varchar(40) not null, category_id bigint);
    create table public.transactions (id bigint auto_increment primary key, product_id bigint not null, customer_id bigint not null,
      quantity decimal(12,3) not null, unit_price decimal(12,2) not null, total_price decimal(12,2), occurred_at timestamp(3) not null);
    create table public.digits (n int primary key);
    insert into public.digits values (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
    create view public.numbers as select 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n as seq
      from public.digits a, public.digits b, public.digits c, public.digits d;
    insert into public.products select seq, concat('product ', seq), seq % 7 from public.numbers where seq <= 60;";

async fn sql(database: &MySql, sql: &str) -> Result<()> {
    let mut connection = MySqlConnection::connect(database.service().address()).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.with_context(|| sql.to_owned())?;
    connection.close().await?;
    Ok(())
}

fn sell(count: u32, ago: &str) -> String {
    format!(
        "use public;
         insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)
         select 1 + floor(rand() * 64), floor(rand() * 500), rand() * 5 - 1, rand() * 90, if(seq % 3 = 0, null, rand() * 200), now() - interval {ago}
         from numbers where seq <= {count};"
    )
}

async fn rows(database: &MySql) -> Result<Vec<Sold>> {
    let mut connection = MySqlConnection::connect(database.service().address()).await?;
    let rows = sqlx::query_as(
        "select t.product_id, t.customer_id, cast(t.quantity as char), cast(t.unit_price as char), cast(t.total_price as char),
                cast(floor(unix_timestamp(t.occurred_at)) as signed), p.category_id
         from public.transactions t left join public.products p on p.id = t.product_id",
    )
    .fetch_all(&mut connection)
    .await?;
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_a_mariadb_source() -> Result<()> {
    windows_equal_the_source(MySqlKind::MariaDb, "io.debezium.connector.mariadb.MariaDbConnector").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_a_mysql_source() -> Result<()> {
    windows_equal_the_source(MySqlKind::MySql, "io.debezium.connector.mysql.MySqlConnector").await
}

async fn windows_equal_the_source(kind: MySqlKind, connector: &str) -> Result<()> {
    let (database, kafka, dir) = (MySql::start(kind)?, Service::start("kafka")?, TestDir::new("mysql")?);
    sql(&database, TABLES).await?;
    sql(&database, &sell(1_500, "floor(rand() * 8 * 86400) second")).await?;
    let (brokers, connect) = kafka.address().split_once(' ').context("two addresses")?;
    let configuration = json!({
        "connector.class": connector, "tasks.max": "1", "database.hostname": "127.0.0.1",
        "database.port": database.service().port().to_string(), "database.user": "debezium", "database.password": "log reading",
        "database.server.id": "4711", "snapshot.mode": "when_needed", "topic.prefix": "shop", "database.include.list": "public",
        "table.include.list": "public.transactions,public.products", "decimal.handling.mode": "string", "poll.interval.ms": "50",
        "schema.history.internal.kafka.bootstrap.servers": brokers, "schema.history.internal.kafka.topic": "shop.history",
        "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
    });
    let client = reqwest::Client::new();
    let answer = client.put(format!("{connect}/connectors/shop/config")).json(&configuration).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    until_some("the connector", LIMIT, || async {
        let status: Value = client.get(format!("{connect}/connectors/shop/status")).send().await.ok()?.json().await.ok()?;
        (status["tasks"][0]["state"] == "RUNNING").then_some(())
    })
    .await?;

    let program =
        std::env::current_exe()?.parent().and_then(|folder| folder.parent()).context("no target folder")?.join("examples/stream_worker");
    let status = dir.join("status.json");
    let arguments = [brokers, "shop", "state", status.to_str().context("no text")?].map(str::to_owned);
    until("the topics", LIMIT, || async { topics_are_there(brokers) }).await?;
    let mut worker = Program::start(&program, "worker", dir.path(), arguments)?;
    sql(&database, &sell(400, "1 second")).await?;
    sql(
        &database,
        "update public.transactions set total_price = 1.11, quantity = 2 where id % 9 = 1;
         update public.transactions set product_id = 1 + product_id % 60 where id % 13 = 2;
         delete from public.transactions where id % 17 = 3;
         update public.products set category_id = (category_id + 1) % 7 where id % 5 = 0;
         delete from public.products where id = 60;",
    )
    .await?;
    settles(&database, brokers, &dir).await?;

    // While Connect is away the shop goes on, and the log of that time is removed: the connector takes a second snapshot, that of MariaDB
    // when it is told to forget its place.
    kafka.expect(&["kill", "connect"])?;
    sql(&database, &sell(300, "1 second")).await?;
    sql(&database, "update public.transactions set total_price = 2.22 where id % 11 = 5").await?;
    until("the removal of the log", LIMIT, || async { log_is_removed(&database).await.unwrap_or(false) }).await?;
    kafka.restart()?;
    if kind == MySqlKind::MariaDb {
        let shop = format!("{connect}/connectors/shop");
        for request in [client.put(format!("{shop}/stop")), client.delete(format!("{shop}/offsets")), client.put(format!("{shop}/resume"))]
        {
            let answered = || async { Some(request.try_clone()?.send().await.ok()?.status().is_success()).filter(|done| *done) };
            until_some("Connect to take it", LIMIT, answered).await?;
        }
    }
    let settled = settles(&database, brokers, &dir).await;
    let status: Value = client.get(format!("{connect}/connectors/shop/status")).send().await?.json().await?;
    settled.with_context(|| format!("the connector says: {status}"))?;
    ensure!(worker.terminate(LIMIT).await?.success(), "{}", worker.stderr());
    Ok(())
}

/// Removes all of the log but the file that is being written; whether nothing else is left, which a reader of the log can hinder.
async fn log_is_removed(database: &MySql) -> Result<bool> {
    sql(database, "flush binary logs; purge binary logs before now() + interval 1 hour;").await?;
    let mut connection = MySqlConnection::connect(database.service().address()).await?;
    Ok(sqlx::query("show binary logs").fetch_all(&mut connection).await?.len() == 1)
}

/// Waits until the windows are those of the source.
async fn settles(database: &MySql, brokers: &str, dir: &TestDir) -> Result<()> {
    let mut compared = Err(anyhow::anyhow!("never compared"));
    for _ in 0..60 {
        compared = agrees(database, brokers, dir).await;
        if compared.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    compared
}

async fn agrees(database: &MySql, brokers: &str, dir: &TestDir) -> Result<()> {
    let mut whole = followed(brokers, dir.path(), WatermarkSettings::default()).await?;
    let head = whole.book().board().head().later(59);
    whole.advance(head);
    compare(&whole, &batch_of(rows(database).await?, head)?)
}
