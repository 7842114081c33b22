//! The real chain: PostgreSQL, Debezium, Kafka and workers as processes, of which one is killed and others join. Afterwards
//! every window equals a batch over the source, to the cent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use sellcast_domain::window::{EventTime, Quantity, SaleFact, WatermarkSettings, WindowBoard, WindowKey, WindowSpan};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId};
use sellcast_stream::{Shard, Share};
use sellcast_testkit::{Postgres, Program, Service, TestDir, until, until_some};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const TOPICS: [&str; 3] = ["shop.public.transactions", "shop.public.products", "sellcast.sales"];
const SHARES: u32 = 4;
const LIMIT: Duration = Duration::from_secs(120);

const TABLES: &str = "
    create table products (id bigint primary key, name text not null, category_id bigint);
    create table transactions (id bigserial primary key, product_id bigint not null, customer_id bigint not null,
      quantity numeric(12,3) not null, unit_price numeric(12,2) not null, total_price numeric(12,2), occurred_at timestamptz not null);
    alter table products replica identity full;
    alter table transactions replica identity full;
    insert into products select n, 'product ' || n, n % 7 from generate_series(1, 60) n;";

/// PostgreSQL with a shop, Kafka and Connect, and a folder for workers.
struct Chain {
    postgres: Postgres,
    url: String,
    kafka: Service,
    dir: TestDir,
}

impl Chain {
    async fn start() -> Result<Self> {
        let postgres = Postgres::start()?;
        let url = postgres.database().await?;
        let kafka = Service::start("kafka")?;
        let chain = Self { postgres, url, kafka, dir: TestDir::new("workers")? };
        chain.sql(TABLES).await?;
        Ok(chain)
    }

    fn brokers(&self) -> &str {
        self.kafka.address().split(' ').next().unwrap_or_default()
    }

    async fn sql(&self, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.with_context(|| sql.to_owned())?;
        connection.close().await?;
        Ok(())
    }

    /// New sales, some of them from hours ago as a snapshot may have them, the others from the last seconds.
    async fn sell(&self, count: u32, ago: &str) -> Result<()> {
        self.sql(&format!(
            "insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)
             select 1 + (random() * 64)::int, (random() * 500)::int, (random() * 5 - 1)::numeric(12,3), (random() * 90)::numeric(12,2),
                    case when n % 3 = 0 then null else (random() * 200)::numeric(12,2) end, now() - {ago}
             from generate_series(1, {count}) n"
        ))
        .await
    }

    /// Changes, deletions and moves.
    async fn disturb(&self) -> Result<()> {
        self.sql(
            "update transactions set total_price = 1.11, quantity = 2 where id % 9 = 1;
             update transactions set product_id = 1 + product_id % 60 where id % 13 = 2;
             delete from transactions where id % 17 = 3;
             update products set category_id = (category_id + 1) % 7 where id % 5 = 0;
             insert into products values (61, 'late', 3) on conflict (id) do update set category_id = 4;
             delete from products where id = 60;",
        )
        .await
    }

    /// Makes a connector; each takes a snapshot first.
    async fn connect(&self, name: &str) -> Result<()> {
        let connect = self.kafka.address().split(' ').nth(1).context("no address of Connect")?;
        let database = self.url.rsplit('/').next().context("no database")?;
        let configuration = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1", "database.port": self.postgres.service().port().to_string(), "database.user": "postgres",
            "database.password": "sellcast", "database.dbname": database, "topic.prefix": "shop",
            "table.include.list": "public.transactions,public.products", "slot.name": name, "publication.name": name,
            "publication.autocreate.mode": "filtered", "decimal.handling.mode": "string", "poll.interval.ms": "50",
            "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
        });
        let client = reqwest::Client::new();
        let url = format!("{connect}/connectors/{name}");
        let answer = client.put(format!("{url}/config")).json(&configuration).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        until_some(&format!("the connector {name}"), LIMIT, || async {
            let status: Value = client.get(format!("{url}/status")).send().await.ok()?.json().await.ok()?;
            (status["tasks"][0]["state"] == "RUNNING").then_some(())
        })
        .await
    }

    async fn disconnect(&self, name: &str) -> Result<()> {
        let connect = self.kafka.address().split(' ').nth(1).context("no address of Connect")?;
        let answer = reqwest::Client::new().delete(format!("{connect}/connectors/{name}")).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    fn worker(&self, name: &str) -> Result<Program> {
        // Examples are built with the tests and lie beside them.
        let program = std::env::current_exe()?.parent().and_then(Path::parent).context("no target folder")?.join("examples/stream_worker");
        let status = self.status_file(name);
        let arguments = [self.brokers(), "shop", "state", status.to_str().context("no text")?].map(str::to_owned);
        Program::start(program, name, self.dir.path(), arguments)
    }

    fn status_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    /// The ends of all partitions.
    fn ends(&self) -> Result<BTreeMap<String, i64>> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.brokers()).set("group.id", "test").create()?;
        let mut ends = BTreeMap::new();
        for topic in TOPICS {
            for partition in 0..4 {
                let (_, end) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
                ends.insert(format!("{topic}-{partition}"), end);
            }
        }
        Ok(ends)
    }

    /// What the workers have saved, each partition once.
    fn saved(&self, workers: &[&str]) -> Option<BTreeMap<String, i64>> {
        let mut saved = BTreeMap::new();
        for worker in workers {
            let status: Value = serde_json::from_slice(&std::fs::read(self.status_file(worker)).ok()?).ok()?;
            for (partition, position) in status["positions"].as_object()? {
                saved.insert(partition.clone(), position.as_i64()?);
            }
        }
        Some(saved)
    }

    /// Waits until every change of the tables has come to the topics, and the workers have saved all that the topics hold.
    async fn settle(&self, workers: &[&str]) -> Result<()> {
        // Debezium writes in the order of the database: when the last sale is there, so is all before it.
        let before = self.ends()?;
        self.sell(1, "interval '1 second'").await?;
        let mut connection = PgConnection::connect(&self.url).await?;
        let last: i64 = sqlx::query_scalar("select max(id) from transactions").fetch_one(&mut connection).await?;
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", self.brokers()).set("group.id", "test").create()?;
        let mut list = TopicPartitionList::new();
        for partition in 0..4 {
            list.add_partition_offset(TOPICS[0], partition, Offset::Offset(before[&format!("{}-{partition}", TOPICS[0])]))?;
        }
        consumer.assign(&list)?;
        until("the last sale in Kafka", LIMIT, || {
            let mut is_there = false;
            while let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                let event: Option<Value> = message.payload().and_then(|bytes| serde_json::from_slice(bytes).ok());
                is_there |= event.is_some_and(|event| event["after"]["id"] == last);
            }
            async move { is_there }
        })
        .await?;
        let mut calm = 0;
        until("the workers", LIMIT, || {
            let is_calm = self
                .ends()
                .ok()
                .zip(self.saved(workers))
                .is_some_and(|(ends, saved)| ends.iter().all(|(partition, end)| *end == 0 || saved.get(partition) == Some(end)));
            calm = if is_calm { calm + 1 } else { 0 };
            let done = calm >= 30;
            async move { done }
        })
        .await
    }

    /// Compares the windows in the state files with those of a batch over PostgreSQL.
    async fn check(&self, settings: WatermarkSettings) -> Result<()> {
        let mut shards = Vec::new();
        for index in 0..SHARES {
            let path = self.dir.join(format!("state/sellcast.sales-{index}.redb"));
            shards.push(Shard::load(&path, Share { index, count: SHARES }, settings)?);
        }
        let head = shards.iter().map(|shard| shard.book().board().head()).max().context("no shard")?;
        for shard in &mut shards {
            shard.advance(head.later(59));
        }
        let mut connection = PgConnection::connect(&self.url).await?;
        type Sold = (i64, i64, String, String, Option<String>, i64, Option<i64>);
        let rows: Vec<Sold> = sqlx::query_as(
            "select t.product_id, t.customer_id, t.quantity::text, t.unit_price::text, t.total_price::text,
                    floor(extract(epoch from t.occurred_at))::bigint, p.category_id
             from transactions t left join products p on p.id = t.product_id",
        )
        .fetch_all(&mut connection)
        .await?;
        ensure!(rows.len() > 1_000, "{} sales", rows.len());
        let digits = |text: &str, decimals: usize| -> Result<i64> {
            let (units, rest) = text.split_once('.').unwrap_or((text, ""));
            ensure!(rest.len() <= decimals, "`{text}`");
            Ok(format!("{units}{rest:0<decimals$}").parse()?)
        };
        let mut facts = Vec::new();
        for (product, customer, quantity, price, total, at, category) in &rows {
            let quantity = Quantity::from_thousandths(digits(quantity, 3)?);
            let amount = match total {
                Some(total) => Money::from_cents(digits(total, 2)?),
                None => quantity.times(Money::from_cents(digits(price, 2)?)),
            };
            let customer = SaleFact::customer_mark(CustomerId::from(*customer));
            let fact = SaleFact { product: ProductId::from(*product), customer, occurred_at: EventTime::try_from(*at)?, quantity, amount };
            facts.push((fact, category.map(CategoryId::from)));
        }
        let batch = WindowBoard::of_batch(facts, head.later(59), 70);
        let mut keys: Vec<WindowKey> = batch.keys().chain(shards.iter().flat_map(|shard| shard.book().board().keys())).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            for span in WindowSpan::ALL {
                let sums = |boards: &mut dyn Iterator<Item = &WindowBoard>| {
                    boards.map(|board| board.window(key, span)).fold((0, 0, 0), |sum, window| {
                        (sum.0 + window.amount_cents, sum.1 + window.quantity_thousandths, sum.2 + window.transactions)
                    })
                };
                let stream = sums(&mut shards.iter().map(|shard| shard.book().board()));
                ensure!(
                    stream == sums(&mut std::iter::once(&batch)),
                    "{key:?} {span}: the stream has {stream:?}, the batch {:?}",
                    sums(&mut std::iter::once(&batch))
                );
            }
        }
        let late: u64 = shards.iter().map(|shard| shard.book().counts().late).sum();
        ensure!(late == 0, "{late} late sales");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_kills_joins_replays_and_a_second_snapshot() -> Result<()> {
    let chain = Chain::start().await?;
    let settings = WatermarkSettings::default();
    chain.sell(2_000, "random() * interval '8 days'").await?;
    chain.connect("first").await?;
    until("the topics", LIMIT, || async { topics_are_there(&chain) }).await?;

    let mut one = chain.worker("one")?;
    until("the first worker", LIMIT, || async { chain.saved(&["one"]).is_some_and(|saved| saved.len() == 12) }).await?;
    chain.disturb().await?;
    chain.settle(&["one"]).await?;

    // A second worker joins in mid-stream.
    let mut two = chain.worker("two")?;
    for _ in 0..10 {
        chain.sell(200, "interval '2 seconds'").await?;
    }
    let shared = |saved: &Value| saved["positions"].as_object().is_some_and(|positions| positions.len() < 12);
    until("the partitions to be shared", LIMIT, || async {
        ["one", "two"].iter().all(|worker| {
            let status = std::fs::read(chain.status_file(worker)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            status.is_some_and(|status| shared(&status) && status["positions"] != json!({}))
        })
    })
    .await?;
    chain.disturb().await?;

    // The first is killed while sales come in, and what it had not saved is read again by the second.
    chain.sell(500, "interval '1 second'").await?;
    one.kill_9().await?;
    chain.sell(500, "interval '1 second'").await?;
    until("the second worker to have all", LIMIT, || async { chain.saved(&["two"]).is_some_and(|saved| saved.len() == 12) }).await?;
    chain.disturb().await?;
    chain.settle(&["two"]).await?;
    ensure!(two.terminate(LIMIT).await?.success(), "{}", two.stderr());
    chain.check(settings).await?;

    // The topics are read again from the start, twice, and a second connector takes a second snapshot.
    for name in ["three", "four"] {
        for topic in &TOPICS[..2] {
            for partition in 0..4 {
                std::fs::remove_file(chain.dir.join(format!("state/{topic}-{partition}.redb")))?;
            }
        }
        let mut again = chain.worker(name)?;
        until("the worker", LIMIT, || async { chain.saved(&[name]).is_some_and(|saved| saved.len() == 12) }).await?;
        if name == "four" {
            chain.disconnect("first").await?;
            chain.connect("second").await?;
        }
        chain.settle(&[name]).await?;
        ensure!(again.terminate(LIMIT).await?.success(), "{}", again.stderr());
        chain.check(settings).await?;
    }
    Ok(())
}

fn topics_are_there(chain: &Chain) -> bool {
    let Ok(consumer) = ClientConfig::new().set("bootstrap.servers", chain.brokers()).create::<BaseConsumer>() else { return false };
    TOPICS[..2].iter().all(|topic| {
        consumer
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.error().is_none() && topic.partitions().len() == 4))
    })
}
