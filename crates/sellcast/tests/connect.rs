//! A shop in PostgreSQL whose changes come by Debezium and Kafka: two workers share the work, and a server beside them tells the windows
//! of the whole shop and forecasts that move with what is sold, whoever is killed meanwhile.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use sellcast_testkit::{Postgres, Program, Service, TestDir, until, until_some};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::shop::{PATIENCE, PROGRAM, Server};

const CATEGORIES: i64 = 6;
const TABLES: &str = "
    create table categories (id bigint primary key, name text not null);
    create table customers (id bigint primary key);
    create table products (id bigint primary key, name text not null, category_id bigint not null references categories);
    create table transactions (id bigserial primary key, product_id bigint not null references products,
      customer_id bigint not null references customers, quantity numeric(12,3) not null, unit_price numeric(12,2) not null,
      total_price numeric(12,2) not null, occurred_at timestamptz not null);
    alter table products replica identity full;
    alter table transactions replica identity full;
    insert into categories select n, 'Category ' || n from generate_series(1, 6) n;
    insert into customers select n from generate_series(1, 40) n;
    insert into products select n, 'Thing ' || n, 1 + n % 6 from generate_series(1, 60) n;";

/// PostgreSQL, Kafka with Connect, and a folder with the shop's configuration.
struct Chain {
    url: String,
    kafka: Service,
    postgres: Postgres,
    folder: TestDir,
}

impl Chain {
    async fn start() -> Self {
        let postgres = Postgres::start().expect("PostgreSQL");
        let url = postgres.database().await.expect("a database");
        let chain =
            Self { url, kafka: Service::start("kafka").expect("Kafka"), postgres, folder: TestDir::new("connect").expect("a folder") };
        chain.sql(TABLES).await;
        chain.sell(4_000, "random() * interval '100 days'").await;
        chain
    }

    async fn sql(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url).await.expect("a connection");
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect(sql);
    }

    async fn sell(&self, count: u32, ago: &str) {
        self.sql(&format!(
            "insert into transactions (product_id, customer_id, quantity, unit_price, total_price, occurred_at)
             select 1 + (random() * 59)::int, 1 + (random() * 39)::int, 1 + (random() * 3)::int, 5, (random() * 90)::numeric(12,2), now() - {ago}
             from generate_series(1, {count}) n"
        ))
        .await;
    }

    async fn connect(&self) {
        let connect = self.kafka.address().split(' ').nth(1).expect("Connect");
        let configuration = json!({
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1", "database.port": self.postgres.service().port().to_string(), "database.user": "postgres",
            "database.password": "sellcast", "database.dbname": self.url.rsplit('/').next().expect("a name"), "topic.prefix": "shop",
            "table.include.list": "public.transactions,public.products", "slot.name": "sellcast", "publication.name": "sellcast",
            "publication.autocreate.mode": "filtered", "decimal.handling.mode": "string", "poll.interval.ms": "50",
            "topic.creation.default.partitions": "4", "topic.creation.default.replication.factor": "1",
        });
        let client = reqwest::Client::new();
        let url = format!("{connect}/connectors/shop");
        let answer = client.put(format!("{url}/config")).json(&configuration).send().await.expect("an answer of Connect");
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
        until_some("the connector", PATIENCE, || async {
            let status: Value = client.get(format!("{url}/status")).send().await.ok()?.json().await.ok()?;
            (status["tasks"][0]["state"] == "RUNNING").then_some(())
        })
        .await
        .expect("a connector that runs");
    }

    fn program(&self, name: &str, command: &[&str]) -> Program {
        self.program_with(name, command, None)
    }

    fn program_with(&self, name: &str, command: &[&str], variable: Option<(&str, &str)>) -> Program {
        let arguments = command.iter().copied().chain(["--dir", "data"]);
        let environment = [("SELLCAST_SOURCE_PASSWORD", "sellcast")].into_iter().chain(variable);
        Program::start_with(PROGRAM, name, self.folder.path(), arguments, environment).expect("the program")
    }

    async fn typed(&self, command: &[&str]) {
        let mut program = self.program(command[0], command);
        let status = program.wait(PATIENCE).await.expect("an end");
        assert!(status.success(), "{command:?}: {} {}", program.stdout(), program.stderr());
    }

    async fn serve(&self, name: &str) -> Server {
        Server::of(self.program(name, &["serve", "--port", "0"])).await.ready().await
    }

    /// What differs between the windows that the server tells and the shop's tables.
    async fn difference(&self, server: &Server) -> Option<String> {
        let mut connection = PgConnection::connect(&self.url).await.expect("a connection");
        let mut lines = 0;
        for category in 1..=CATEGORIES {
            let answer = server.get(&format!("/api/v1/windows/categories/{category}")).await;
            if answer.status != 200 {
                return Some(answer.text);
            }
            for window in answer.json()["windows"].as_array().expect("windows") {
                let sql = "select (coalesce(sum(total_price), 0) * 100)::bigint, count(*), count(distinct customer_id)
                           from transactions t join products p on p.id = t.product_id
                           where p.category_id = $1 and t.occurred_at >= $2::timestamptz and t.occurred_at < $3::timestamptz";
                let text = |key: &str| window[key].as_str().expect("an instant").to_owned();
                let sold: (i64, i64, i64) = sqlx::query_as(sql)
                    .bind(category)
                    .bind(text("start"))
                    .bind(text("end"))
                    .fetch_one(&mut connection)
                    .await
                    .expect("a sum");
                let cents = (window["amount"].as_f64().expect("an amount") * 100.0).round() as i64;
                let told = (cents, window["transactions"].as_i64()?, window["customers"].as_i64()?);
                lines += sold.1;
                if told != sold {
                    return Some(format!("category {category}: the shop sold {sold:?}, told is {window}"));
                }
            }
        }
        (lines == 0).then(|| "no window has any sale".to_owned())
    }

    /// Waits until the server tells what the shop's tables say.
    async fn agrees(&self, server: &Server, when: &str) {
        let agreed = until(when, PATIENCE, || async { self.difference(server).await.is_none() }).await;
        if let Err(error) = agreed {
            panic!("{error}: {:?}\n{}", self.difference(server).await, server.program.stderr());
        }
    }
}

async fn today(server: &Server) -> Value {
    server.list("/api/v1/predictions/categories?timeFrame=day&limit=100").await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_server_beside_two_workers_tells_windows_of_the_whole_shop_and_forecasts_that_move() {
    let chain = Chain::start().await;
    chain.typed(&["init", "--source", &chain.url, "--yes"]).await;
    let stream = format!(
        "\n[stream]\nstill_after_seconds = 5\n\n[stream.kafka]\nbrokers = \"{}\"\nsales_topic = \"shop.public.transactions\"\n\
         products_topic = \"shop.public.products\"\nkeyed_partitions = 4\nworker = false\n",
        chain.kafka.address().split(' ').next().expect("a broker")
    );
    let mut file = OpenOptions::new().append(true).open(chain.folder.join("data/sellcast.toml")).expect("the configuration");
    file.write_all(stream.as_bytes()).expect("the configuration");
    chain.typed(&["ingest"]).await;
    chain.typed(&["forecast"]).await;
    chain.connect().await;

    // A worker with a wrong mapping understands nothing; those after it try what it could not read again.
    let wrong = Some(("SELLCAST__STREAM__KAFKA__SALES__QUANTITY", "pieces"));
    let mut mistaken = chain.program_with("worker-0", &["stream"], wrong);
    until("dead letters", PATIENCE, || async { mistaken.stderr().contains("were not understood") }).await.expect("dead letters");
    assert!(mistaken.terminate(PATIENCE).await.expect("an end").success(), "{}", mistaken.stderr());

    let mut workers = [chain.program("worker-1", &["stream"]), chain.program("worker-2", &["stream"])];
    let mut server = chain.serve("serve").await;
    chain.agrees(&server, "the snapshot").await;
    let mended = workers.iter().any(|worker| worker.stderr().contains("are understood now"));
    assert!(mended, "{} {}", workers[0].stderr(), workers[1].stderr());

    // Sales move the running day's forecast at once.
    until("a live forecast", PATIENCE, || async { today(&server).await["basis"] == "live" }).await.expect("a live forecast");
    let amount = |list: &Value| {
        list["categories"].as_array().into_iter().flatten().filter_map(|one| one["predictedSalesAmount"].as_f64()).sum::<f64>()
    };
    let before = amount(&today(&server).await);
    chain.sell(300, "interval '1 second'").await;
    chain.agrees(&server, "three hundred sales").await;
    until("the forecast to follow", PATIENCE, || async { amount(&today(&server).await) > before + 1_000.0 })
        .await
        .expect("a higher forecast");

    let metrics = server.get("/metrics").await.text;
    for name in ["sellcast_stream_age_seconds", "sellcast_stream_lag_messages", "sellcast_stream_rows_total{outcome=\"applied\"}"] {
        assert!(metrics.contains(name), "`{name}` is not told: {metrics}");
    }

    // Changes, deletions and moves.
    chain.sql("update transactions set total_price = 1.11 where id % 9 = 1; delete from transactions where id % 17 = 3;").await;
    chain.sql("update products set category_id = 1 + category_id % 6 where id % 5 = 0;").await;
    chain.agrees(&server, "changes, deletions and moves").await;

    // A worker dies, and its partitions go to the other.
    workers[0].kill_9().await.expect("a kill");
    chain.sell(100, "interval '1 second'").await;
    chain.agrees(&server, "a worker killed").await;

    // The server dies, and goes on where it stopped.
    server.program.kill_9().await.expect("a kill");
    chain.sell(100, "interval '1 second'").await;
    server = chain.serve("serve-again").await;
    chain.agrees(&server, "the server killed").await;

    // Without workers nobody knows what is sold: the published forecast serves, and says since when. Then they are back.
    workers[1].kill_9().await.expect("a kill");
    until("the stream to stand still", PATIENCE, || async { !today(&server).await["streamStillSince"].is_null() }).await.expect("still");
    assert_eq!(today(&server).await["basis"], "batch");
    chain.sell(100, "interval '1 second'").await;
    let mut third = chain.program("worker-3", &["stream"]);
    chain.agrees(&server, "all workers killed").await;
    until("the stream to go on", PATIENCE, || async { today(&server).await["basis"] == "live" }).await.expect("a live forecast");
    server.stop().await;

    // Changes that the connector was never told of, some hours ago: the next ingest has them, and the windows are repaired.
    let ago = "occurred_at between now() - interval '30 hours' and now() - interval '3 hours'";
    chain.sql("alter publication sellcast set table products").await;
    chain.sell(1, "interval '4 hours'").await;
    chain.sql(&format!("delete from transactions where id = (select min(id) from transactions where {ago})")).await;
    chain.sql(&format!("update transactions set total_price = total_price + 7 where id = (select id from transactions where {ago} order by id offset 5 limit 1)")).await;
    chain.sql("alter publication sellcast set table products, transactions").await;
    let mut server = Server::of(chain.program("run", &["run", "--port", "0"])).await.ready().await;
    let path = "/api/v1/stream/reconciliation";
    until("a comparison", PATIENCE, || async { server.get(path).await.status == 200 }).await.expect("a comparison");
    let report = server.list(path).await;
    assert_eq!(report["isStrange"], false, "{report}");
    assert_eq!((report["repaired"]["missed"].as_u64(), report["repaired"]["retracted"].as_u64()), (Some(1), Some(1)), "{report}");
    assert_eq!(report["repaired"]["changed"].as_u64(), Some(1), "{report}");
    let causes = report["tiles"].as_array().into_iter().flatten().filter_map(|tile| tile["causes"].as_object());
    let rows: u64 = causes.flat_map(|causes| causes.values()).filter_map(Value::as_u64).sum();
    assert_eq!(rows, 3, "{report}");
    chain.agrees(&server, "what was missed is repaired").await;
    assert!(server.get("/metrics").await.text.contains("sellcast_stream_repaired_total{cause=\"missed\"} 1"));
    server.program.kill_9().await.expect("a kill");
    assert!(third.terminate(Duration::from_secs(60)).await.expect("an end").success(), "{}", third.stderr());
}
