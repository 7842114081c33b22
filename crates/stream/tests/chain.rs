//! The real chain: PostgreSQL, Debezium, Kafka, workers as processes and a follower, and what a batch over the source says of their
//! windows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use sellcast_domain::window::{EventTime, Quantity, SaleFact, WatermarkSettings, WindowBoard, WindowKey, WindowSpan};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId};
use sellcast_stream::{Follower, FollowerStatus, ProductColumns, SaleColumns, Shard, Share, WorkerSettings};
use sellcast_testkit::{Postgres, Program, Service, TestDir, until, until_some};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

pub(crate) const TOPICS: [&str; 3] = ["shop.public.transactions", "shop.public.products", "sellcast.sales"];
const SHARES: u32 = 4;
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

const TABLES: &str = "
    create table products (id bigint primary key, name text not null, category_id bigint);
    create table transactions (id bigserial primary key, product_id bigint not null, customer_id bigint not null,
      quantity numeric(12,3) not null, unit_price numeric(12,2) not null, total_price numeric(12,2), occurred_at timestamptz not null);
    alter table products replica identity full;
    alter table transactions replica identity full;
    insert into products select n, 'product ' || n, n % 7 from generate_series(1, 60) n;";

/// PostgreSQL with a shop, Kafka and Connect, and a folder for workers.
pub(crate) struct Chain {
    pub(crate) postgres: Postgres,
    url: String,
    pub(crate) kafka: Service,
    pub(crate) dir: TestDir,
}

impl Chain {
    /// A chain with so many sales of eight days.
    pub(crate) async fn start(sales: u32) -> Result<Self> {
        let postgres = Postgres::start()?;
        let url = postgres.database().await?;
        let kafka = Service::start("kafka")?;
        let chain = Self { postgres, url, kafka, dir: TestDir::new("workers")? };
        chain.sql(TABLES).await?;
        chain.sell(sales, "random() * interval '8 days'").await?;
        Ok(chain)
    }

    /// A chain with 2,000 sales of eight days and a worker that has all partitions.
    pub(crate) async fn with_worker(name: &str) -> Result<(Self, Program)> {
        let chain = Self::start(2_000).await?;
        chain.connect("first").await?;
        until("the topics", LIMIT, || async { topics_are_there(chain.brokers()) }).await?;
        let worker = chain.worker(name)?;
        chain.has_all(name).await?;
        Ok((chain, worker))
    }

    /// Waits until a worker has saved every partition.
    pub(crate) async fn has_all(&self, name: &str) -> Result<()> {
        until("the worker to have all", LIMIT, || async { self.saved(&[name]).is_some_and(|saved| saved.len() == 12) }).await
    }

    pub(crate) fn brokers(&self) -> &str {
        self.kafka.address().split(' ').next().unwrap_or_default()
    }

    pub(crate) async fn sql(&self, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.with_context(|| sql.to_owned())?;
        connection.close().await?;
        Ok(())
    }

    /// New sales, some of them from hours ago as a snapshot may have them, the others from the last seconds.
    pub(crate) async fn sell(&self, count: u32, ago: &str) -> Result<()> {
        self.sql(&format!(
            "insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)
             select 1 + (random() * 64)::int, (random() * 500)::int, (random() * 5 - 1)::numeric(12,3), (random() * 90)::numeric(12,2),
                    case when n % 3 = 0 then null else (random() * 200)::numeric(12,2) end, now() - {ago}
             from generate_series(1, {count}) n"
        ))
        .await
    }

    /// Changes, deletions and moves.
    pub(crate) async fn disturb(&self) -> Result<()> {
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
    pub(crate) async fn connect(&self, name: &str) -> Result<()> {
        self.connect_with(name, json!({})).await
    }

    /// A connector whose database takes a tenth of a second for each thousand rows of the snapshot.
    pub(crate) async fn connect_slowly(&self, name: &str) -> Result<()> {
        let select = "select * from public.transactions where id % 1000 <> 0 or pg_sleep(0.1) is not null";
        let settings = json!({
            "snapshot.select.statement.overrides": "public.transactions",
            "snapshot.select.statement.overrides.public.transactions": select,
        });
        self.connect_with(name, settings).await
    }

    async fn connect_with(&self, name: &str, settings: Value) -> Result<()> {
        let connect = self.kafka.address().split(' ').nth(1).context("no address of Connect")?;
        let database = self.url.rsplit('/').next().context("no database")?;
        let mut configuration = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1", "database.port": self.postgres.service().port().to_string(), "database.user": "postgres",
            "database.password": "sellcast", "database.dbname": database, "topic.prefix": "shop",
            "table.include.list": "public.transactions,public.products", "slot.name": name, "publication.name": name,
            "publication.autocreate.mode": "filtered", "decimal.handling.mode": "string", "poll.interval.ms": "50",
            "skipped.operations": "none",
            "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
        });
        for (key, value) in settings.as_object().into_iter().flatten() {
            configuration[key] = value.clone();
        }
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

    pub(crate) async fn disconnect(&self, name: &str) -> Result<()> {
        let connect = self.kafka.address().split(' ').nth(1).context("no address of Connect")?;
        let answer = reqwest::Client::new().delete(format!("{connect}/connectors/{name}")).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    pub(crate) fn worker(&self, name: &str) -> Result<Program> {
        let status = self.status_file(name);
        let arguments = [self.brokers(), "shop", "state", status.to_str().context("no text")?].map(str::to_owned);
        Program::start(worker_program()?, name, self.dir.path(), arguments)
    }

    pub(crate) fn status_file(&self, name: &str) -> PathBuf {
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
    pub(crate) fn saved(&self, workers: &[&str]) -> Option<BTreeMap<String, i64>> {
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
    pub(crate) async fn settle(&self, workers: &[&str]) -> Result<()> {
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
        // Workers tell followers every second how far they are, in the first partition: there, all of what was there at first must be
        // saved, and but little since.
        let told = format!("{}-0", TOPICS[2]);
        let (mut calm, mut first) = (0, 0);
        until("the workers", LIMIT, || {
            let found = self.ends().ok().zip(self.saved(workers));
            let is_calm = found.as_ref().is_some_and(|(ends, saved)| {
                let lag = |partition: &String, end: &i64| end - saved.get(partition).unwrap_or(&-1);
                ends.iter().all(|(partition, end)| *end == 0 || lag(partition, end) <= if *partition == told { 16 } else { 0 })
            });
            if calm == 0 {
                first = found.as_ref().map_or(i64::MAX, |(ends, _)| ends[&told]);
            }
            calm = if is_calm { calm + 1 } else { 0 };
            let done = calm >= 30 && found.is_some_and(|(_, saved)| saved[&told] >= first);
            async move { done }
        })
        .await
    }

    /// Compares the windows of a follower, which reads what workers write while they go on, with those of a batch over PostgreSQL.
    pub(crate) async fn check_follower(&self, settings: WatermarkSettings) -> Result<()> {
        let mut whole = followed(self.brokers(), self.dir.path(), settings).await?;
        let head = whole.book().board().head().later(59);
        whole.advance(head);
        let batch = self.batch(head).await?;
        compare(&whole, &batch)
    }

    /// Compares the windows in the state files of the workers, which must be gone, with those of a batch over PostgreSQL.
    pub(crate) async fn check(&self, settings: WatermarkSettings) -> Result<()> {
        self.check_in("state", settings).await
    }

    /// The same with another folder of the state.
    pub(crate) async fn check_in(&self, state: &str, settings: WatermarkSettings) -> Result<()> {
        let mut shards = Vec::new();
        for index in 0..SHARES {
            let path = self.dir.join(format!("{state}/sellcast.sales-{index}.redb"));
            shards.push(Shard::load(&path, Share { index, count: SHARES }, settings)?);
        }
        let head = shards.iter().map(|shard| shard.book().board().head()).max().context("no shard")?.later(59);
        for shard in &mut shards {
            shard.advance(head);
        }
        let batch = self.batch(head).await?;
        for key in keys(&batch, &shards.iter().collect::<Vec<_>>()) {
            for span in WindowSpan::ALL {
                let sums = |boards: &mut dyn Iterator<Item = &WindowBoard>| {
                    boards.map(|board| board.window(key, span)).fold((0, 0, 0), |sum, window| {
                        (sum.0 + window.amount_cents, sum.1 + window.quantity_thousandths, sum.2 + window.transactions)
                    })
                };
                let stream = sums(&mut shards.iter().map(|shard| shard.book().board()));
                let expected = sums(&mut std::iter::once(&batch));
                ensure!(stream == expected, "{key:?} {span}: the stream has {stream:?}, the batch {expected:?}");
            }
        }
        let late: u64 = shards.iter().map(|shard| shard.book().counts().late).sum();
        ensure!(late == 0, "{late} late sales");
        Ok(())
    }

    /// The windows of all rows of PostgreSQL that end at `head`.
    async fn batch(&self, head: EventTime) -> Result<WindowBoard> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let rows = sqlx::query_as(
            "select t.product_id, t.customer_id, t.quantity::text, t.unit_price::text, t.total_price::text,
                    floor(extract(epoch from t.occurred_at))::bigint, p.category_id
             from transactions t left join products p on p.id = t.product_id",
        )
        .fetch_all(&mut connection)
        .await?;
        batch_of(rows, head)
    }
}

/// Examples are built with the tests and lie beside them.
pub(crate) fn worker_program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().and_then(Path::parent).context("no target folder")?.join("examples/stream_worker"))
}

/// A row of a shop: product, customer, quantity, unit price, total price, second, category.
pub(crate) type Sold = (i64, i64, String, String, Option<String>, i64, Option<i64>);

/// The windows of all rows of a shop that end at `head`.
pub(crate) fn batch_of(rows: Vec<Sold>, head: EventTime) -> Result<WindowBoard> {
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
    Ok(WindowBoard::of_batch(facts, head, 70))
}

/// The windows of a follower that goes on where the one before stopped and reads all that the topic has.
pub(crate) async fn followed(brokers: &str, folder: &Path, watermark: WatermarkSettings) -> Result<Shard> {
    let settings = settings(brokers, folder, watermark);
    let path = folder.join("follower.redb");
    tokio::task::spawn_blocking(move || {
        let stop = AtomicBool::new(false);
        let level = |status: FollowerStatus| stop.store(status.as_of.is_some(), Ordering::Relaxed);
        Follower::open(&settings, &path)?.run(&stop, level)?;
        Ok(Shard::load(&path, Share::WHOLE, watermark)?)
    })
    .await?
}

/// What workers and followers of the chain have in common.
pub(crate) fn settings(brokers: &str, folder: &Path, watermark: WatermarkSettings) -> WorkerSettings {
    WorkerSettings {
        brokers: brokers.to_owned(),
        group: "sellcast".to_owned(),
        sales_topic: TOPICS[0].to_owned(),
        products_topic: TOPICS[1].to_owned(),
        keyed_topic: TOPICS[2].to_owned(),
        keyed_partitions: SHARES,
        state_folder: folder.join("state"),
        snapshots: None,
        sales: SaleColumns::default(),
        products: ProductColumns::default(),
        watermark,
    }
}

/// Compares all windows of a shard that has all categories with those of a batch.
pub(crate) fn compare(whole: &Shard, batch: &WindowBoard) -> Result<()> {
    for key in keys(batch, &[whole]) {
        for span in WindowSpan::ALL {
            let (followed, expected) = (whole.book().board().window(key, span), batch.window(key, span));
            ensure!(followed == expected, "{key:?} {span}: the follower has {followed:?}, the batch {expected:?}");
        }
    }
    Ok(())
}

/// Every key of a batch and of shards, once.
fn keys(batch: &WindowBoard, shards: &[&Shard]) -> Vec<WindowKey> {
    let mut keys: Vec<WindowKey> = batch.keys().chain(shards.iter().flat_map(|shard| shard.book().board().keys())).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// True when Debezium has made both topics.
pub(crate) fn topics_are_there(brokers: &str) -> bool {
    let Ok(consumer) = ClientConfig::new().set("bootstrap.servers", brokers).create::<BaseConsumer>() else { return false };
    TOPICS[..2].iter().all(|topic| {
        consumer
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .is_ok_and(|metadata| metadata.topics().iter().all(|topic| topic.error().is_none() && topic.partitions().len() == 4))
    })
}
