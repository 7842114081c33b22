//! The mirror on a real PostgreSQL: what stands in the shop stands there, row by row, whatever happened in between.

use chrono::{DateTime, Utc};
use sellcast_demo::{FullDemoServices, Mirror, Replay, SHOP_ZONE, full_demo_config};
use sellcast_testkit::Postgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::Notify;

use crate::{Shop, data, day};

/// How a column is compared: the two databases write some values in different ways.
#[derive(Clone, Copy)]
enum Column {
    Same(&'static str),
    Instant(&'static str),
    Thousandths(&'static str),
}

use Column::{Instant, Same, Thousandths};

/// Each table with the columns that both sides have, the key first.
const TABLES: [(&str, &[Column]); 6] = [
    (
        "categories",
        &[Same("category_id"), Same("name"), Same("description"), Same("parent_category_id"), Instant("created_at"), Instant("updated_at")],
    ),
    (
        "products",
        &[
            Same("product_id"),
            Same("name"),
            Same("category_id"),
            Same("description"),
            Same("brand"),
            Same("current_price"),
            Instant("created_at"),
            Instant("updated_at"),
        ],
    ),
    (
        "customers",
        &[
            Same("customer_id"),
            Same("name"),
            Same("email"),
            Same("customer_segment"),
            Instant("created_at"),
            Instant("last_login"),
            Instant("updated_at"),
        ],
    ),
    ("orders", &[Same("order_id"), Same("customer_id"), Same("store_id"), Instant("ordered_at"), Instant("updated_at")]),
    (
        "order_lines",
        &[
            Same("line_id"),
            Same("order_id"),
            Same("product_id"),
            Thousandths("quantity"),
            Same("unit_price"),
            Same("total_price"),
            Same("discount"),
            Instant("created_at"),
            Instant("updated_at"),
        ],
    ),
    (
        "promotions",
        &[
            Same("promotion_id"),
            Same("product_id"),
            Same("starts_on"),
            Same("ends_on"),
            Same("kind"),
            Same("strength"),
            Instant("announced_at"),
            Instant("updated_at"),
        ],
    ),
];

/// A query for each row as one text.
fn rows(table: &str, columns: &[Column], value: impl Fn(Column) -> String) -> AssertSqlSafe<String> {
    let row =
        columns.iter().map(|column| format!("coalesce(cast({} as text), '-')", value(*column))).collect::<Vec<_>>().join(" || '|' || ");
    AssertSqlSafe(format!("select {row} from {table}"))
}

fn in_sqlite(column: Column) -> String {
    match column {
        Same(name) | Instant(name) => name.to_owned(),
        Thousandths(name) => format!("cast(round({name} * 1000) as integer)"),
    }
}

fn in_postgres(column: Column) -> String {
    match column {
        Same(name) => name.to_owned(),
        Instant(name) => format!(r#"to_char({name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#),
        Thousandths(name) => format!("cast({name} * 1000 as bigint)"),
    }
}

/// A shop and its mirror.
struct Pair {
    shop: Shop,
    mirror: Mirror,
    url: String,
}

impl Pair {
    async fn until(until: &str) -> Self {
        let shop = Shop::until(until).await;
        let url = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");
        let mirror = Mirror::open(&shop.file(), &url).await.expect("a mirror");
        Self { shop, mirror, url }
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }

    async fn change(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.shop.pool).await.expect(sql);
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection().await).await.expect(sql)
    }

    /// Fails when a row of the one side is not on the other. Tells how many rows there are.
    async fn agrees(&self) -> u64 {
        let mut connection = self.connection().await;
        let mut all = 0;
        for (table, columns) in TABLES {
            let mut here: Vec<String> =
                sqlx::query_scalar(rows(table, columns, in_sqlite)).fetch_all(&self.shop.pool).await.expect("rows of the shop");
            let mut there: Vec<String> =
                sqlx::query_scalar(rows(table, columns, in_postgres)).fetch_all(&mut connection).await.expect("rows of the mirror");
            here.sort_unstable();
            there.sort_unstable();
            assert_eq!(here.len(), there.len(), "{table}");
            let different = here.iter().zip(&there).find(|(here, there)| here != there);
            assert_eq!(different, None, "{table}");
            all += here.len() as u64;
        }
        let astray = "select count(*) from order_lines l join orders o using (order_id)
                      where (l.customer_id, l.sold_at) is distinct from (o.customer_id, o.ordered_at)";
        assert_eq!(self.number(astray).await, 0, "lines say who bought when as their orders do");
        all
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_has_what_the_shop_has_and_follows_the_replay() {
    let pair = Pair::until("2017-01-22").await;
    let filled = pair.mirror.fill(&|_, _| {}).await.expect("a fill");
    assert_eq!(filled, pair.agrees().await);
    assert_eq!(pair.mirror.fill(&|_, _| {}).await.expect("a second fill"), 0, "what is filled is left alone");
    assert_eq!(pair.mirror.follow().await.expect("nothing new"), 0);

    let replay = Replay::open(&pair.shop.file(), &data()).await.expect("a replay");
    let mut followed = 0;
    for hours in [6, 12, 18, 24, 60] {
        let written = replay.write_until(day("2017-01-22").starts_at(SHOP_ZONE) + chrono::Duration::hours(hours)).await.expect("a step");
        let changed = pair.mirror.follow().await.expect("the changes");
        assert!(changed >= written.orders + written.lines + written.promotions, "{changed} {written:?}");
        assert_eq!(pair.mirror.follow().await.expect("nothing new"), 0, "following twice changes nothing");
        followed += written.lines;
    }
    assert!(followed > 5_000, "{followed}");
    pair.agrees().await;
    let cents = pair.shop.number("select sum(cast(round(total_price * 100) as integer)) from order_lines").await;
    assert_eq!(pair.number("select (sum(total_price) * 100)::bigint from order_lines").await, cents);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_deletions_are_brought_over_whatever_their_text() {
    let pair = Pair::until("2017-01-02").await;
    pair.mirror.fill(&|_, _| {}).await.expect("a fill");
    pair.change("update products set name = 'Back\\slash' || char(9) || 'tab' || char(10) || 'line' || char(13) || '\\N', brand = null where product_id = (select min(product_id) from products)").await;
    pair.change("update order_lines set total_price = '1.11', quantity = 0.125 where line_id = (select min(line_id) from order_lines)")
        .await;
    pair.change("delete from order_lines where line_id = (select max(line_id) from order_lines)").await;
    pair.change(
        "update orders set customer_id = (select min(customer_id) from customers) where order_id = (select max(order_id) from orders)",
    )
    .await;
    pair.change("insert into categories values (999999, 'New', null, (select min(category_id) from categories), '2017-01-02T05:00:00Z', '2017-01-02T05:00:00Z')").await;
    pair.change("insert into categories values (999998, 'Gone again', null, 999999, '2017-01-02T05:00:00Z', '2017-01-02T05:00:00Z'); delete from categories where category_id = 999998").await;
    assert!(pair.mirror.follow().await.expect("the changes") >= 5);
    pair.agrees().await;
    assert_eq!(pair.mirror.follow().await.expect("nothing new"), 0);

    // An order goes with its lines; a process that starts later finds it out.
    pair.change("delete from order_lines where order_id = (select min(order_id) from orders); delete from orders where order_id = (select min(order_id) from orders)").await;
    let later = Mirror::open(&pair.shop.file(), &pair.url).await.expect("a mirror");
    assert!(later.follow().await.expect("the changes") >= 2);
    pair.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_fill_leaves_nothing_and_the_next_one_fills() {
    let pair = Pair::until("2017-01-08").await;
    let reached = Notify::new();
    let progress = |table: &str, rows: u64| {
        if table == "order_lines" && rows > 0 {
            reached.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = reached.notified() => {}
        _ = pair.mirror.fill(&progress) => panic!("the fill was not stopped"),
    }
    assert_eq!(pair.number("select count(*) from pg_tables where schemaname = 'public'").await, 0);
    let error = format!("{:#}", pair.mirror.follow().await.expect_err("a refusal"));
    assert!(error.contains("not filled yet"), "{error}");
    let filled = pair.mirror.fill(&|_, _| {}).await.expect("a fill");
    assert_eq!(filled, pair.agrees().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mirror_of_this_shop_is_refused() {
    let pair = Pair::until("2017-01-02").await;
    pair.mirror.fill(&|_, _| {}).await.expect("a fill");
    let replay = Replay::open(&pair.shop.file(), &data()).await.expect("a replay");
    replay.write_until(at("2017-01-02T18:00:00Z")).await.expect("a step");
    pair.mirror.follow().await.expect("the changes");
    let other = Shop::until("2017-01-02").await;
    let error = Mirror::open(&other.file(), &pair.url).await.expect("a mirror").follow().await.expect_err("a refusal").to_string();
    assert!(error.contains("another shop"), "{error}");

    let foreign = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");
    let mut connection = PgConnection::connect(&foreign).await.expect("a connection");
    sqlx::raw_sql("create table orders (mine int)").execute(&mut connection).await.expect("a table");
    let error = Mirror::open(&other.file(), &foreign).await.expect("a mirror").fill(&|_, _| {}).await.expect_err("a refusal").to_string();
    assert!(error.contains("an empty database"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_the_full_demo_fits_the_mirror() {
    let pair = Pair::until("2017-01-02").await;
    pair.mirror.fill(&|_, _| {}).await.expect("a fill");
    let config: toml::Table = full_demo_config(&FullDemoServices {
        shop: pair.url.clone(),
        metadata: "postgres://me:secret@db/sellcast".to_owned(),
        brokers: "127.0.0.1:9092".to_owned(),
        predictions: "cassandra://127.0.0.1:9042/sellcast?replication=1".to_owned(),
        features: "redis://127.0.0.1:6379/0".to_owned(),
        warehouse: "s3://key:secret@sellcast/demo?region=us-east-1&endpoint=http://127.0.0.1:9000".to_owned(),
        state_folder: r#"/a "quoted" \folder"#.into(),
    })
    .parse()
    .expect("TOML");
    let kafka = &config["stream"]["kafka"];
    assert_eq!(kafka["state_folder"].as_str(), Some(r#"/a "quoted" \folder"#));
    assert_eq!(config["source"]["url"].as_str(), Some(pair.url.as_str()));
    let mut connection = pair.connection().await;
    for entity in ["categories", "products", "customers", "transactions", "promotions"] {
        let sql = config["source"][entity]["sql"].as_str().expect("a query").to_owned();
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect(entity);
        assert!(row.len() >= 4, "{entity}");
    }
    for (section, topic) in [("sales", "sales_topic"), ("products", "products_topic")] {
        let table = kafka[topic].as_str().and_then(|topic| topic.strip_prefix("shop.")).expect("a table");
        let columns = kafka[section].as_table().expect("columns").values().filter_map(|name| name.as_str());
        let sql = format!("select {} from {table}", columns.collect::<Vec<_>>().join(", "));
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect(section);
    }
}
