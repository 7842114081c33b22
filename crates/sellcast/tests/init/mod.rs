//! `sellcast init` on databases that were not made for sellcast: from the URL to published forecasts by the commands that
//! it names, and what it says when it cannot help.

mod shops;

use std::path::Path;

use sellcast_testkit::{MySql, MySqlKind, Postgres, Program, TestDir};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection};

use self::shops::{CATEGORIES, PRODUCTS, sold};
use crate::shop::{PATIENCE, PROGRAM, Ran, Server, run, run_plain};
use crate::tables::Tables;

const API: &str = "/api/v1/predictions/categories";
/// After the last order.
const NOW: &str = "2017-05-02T12:00:00Z";

async fn in_sqlite(folder: &Path, sql: String) -> String {
    let file = folder.join("shop.db");
    let mut connection = SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.expect("a database");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the shop's tables");
    connection.close().await.expect("closed");
    format!("sqlite:{}", file.display())
}

async fn in_postgres(sql: String) -> String {
    let url = Postgres::shared().expect("a server").database().await.expect("a database");
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(sql + "\nanalyze;")).execute(&mut connection).await.expect("the shop's tables");
    url
}

async fn in_mysql(kind: MySqlKind, sql: String) -> String {
    let url = MySql::shared(kind).expect("a server").database().await.expect("a database");
    let mut connection = MySqlConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("the shop's tables");
    url
}

async fn init(folder: &TestDir, url: &str, options: &[&str]) -> Ran {
    run(folder.path(), &[&["init", "--source", url], options].concat()).await
}

/// Starts a command as a user does who has exported the password that `init` left out of the file.
fn start(folder: &TestDir, url: &str, name: &str, command: &[&str]) -> Program {
    let credentials = url.rsplit_once('@').and_then(|(before, _)| before.split_once("://")).and_then(|(_, user)| user.split_once(':'));
    let password = credentials.map(|(_, password)| ("SELLCAST_SOURCE_PASSWORD", password));
    // The sales are of the past.
    let environment = [("SELLCAST__SHOP__CLOCK", "data")].into_iter().chain(password);
    let arguments = command.iter().copied().chain(["--dir", "data"]);
    Program::start_with(PROGRAM, name, folder.path(), arguments, environment).expect("the program")
}

async fn typed(folder: &TestDir, url: &str, command: &[&str]) -> Ran {
    let mut program = start(folder, url, command[0], command);
    let status = program.wait(PATIENCE).await.expect("an end");
    Ran { code: status.code(), stdout: program.stdout(), stderr: program.stderr() }
}

/// The commands that a user types, to the end. Gives what `init` said.
async fn forecasts_from(url: &str, product: &str) -> String {
    let folder = TestDir::new("init").expect("a folder");
    let said = init(&folder, url, &["--yes"]).await.done().stdout;
    assert!(said.contains("sellcast check --dir data && sellcast run --dir data"), "{said}");
    assert!(!said.contains("person.") && !said.contains("Family1") && !said.contains("Nachname1"), "personal data is shown:\n{said}");
    let checked = typed(&folder, url, &["check"]).await.done();
    assert!(checked.stdout.contains("the configuration is valid"), "{}", checked.stdout);
    let record = typed(&folder, url, &["ingest", "--now", NOW, "--json"]).await.json();
    for (entity, counts) in record["entities"].as_object().expect("entities") {
        assert_eq!(counts["quarantined"], serde_json::json!({}), "{entity}: {record}");
    }
    let expected = sold();
    assert_eq!(record["entities"]["products"]["loaded"], PRODUCTS);
    assert_eq!(record["entities"]["transactions"]["loaded"], expected.lines, "{record}");
    let tables = Tables::open(&folder.join("data")).await;
    let cents = tables.value("select cast(sum(total_price) * 100 as bigint) from fact_sales").await;
    assert_eq!(cents, expected.cents.to_string(), "to the cent");
    let persons = tables.value("select count(*) from dim_customer where name is null or length(name) = 64").await;
    assert_eq!(tables.value("select count(*) from dim_customer").await, persons, "pseudonyms only");
    typed(&folder, url, &["forecast", "--now", NOW]).await.done();
    let server = Server::of(start(&folder, url, "serve", &["serve", "--port", "0"])).await.ready().await;
    let list = server.list(&format!("{API}?timeFrame=week&limit=100")).await;
    let categories = list["categories"].as_array().expect("a list");
    let with_sales: Vec<&Value> = categories.iter().filter(|category| category["predictedSalesAmount"].as_f64() > Some(0.0)).collect();
    assert_eq!(with_sales.len() as i64, CATEGORIES, "{list}");
    let products = server.list(&format!("{API}/{}/products?timeFrame=week&limit=100", with_sales[0]["categoryId"])).await;
    let name = products["products"][0]["productName"].as_str().expect("a name");
    assert!(name.starts_with(product), "{products}");
    server.stop().await;
    said
}

#[tokio::test]
async fn a_german_shop_in_sqlite_has_forecasts_from_its_url_alone() {
    let folder = TestDir::new("init-sqlite").expect("a folder");
    let url = in_sqlite(folder.path(), shops::artikel()).await;
    let said = forecasts_from(&url, "Ding ").await;
    for words in
        ["`bestellpositionen` holds the sale lines", "orders with `status` `storniert` are no sales", "the values of `artikel.warengruppe`"]
    {
        assert!(said.contains(words), "`{words}` is not said:\n{said}");
    }
}

#[tokio::test]
async fn woocommerce_on_mariadb_has_forecasts_from_its_url_alone() {
    woocommerce_has_forecasts_from_its_url_alone(MySqlKind::MariaDb).await;
}

#[tokio::test]
#[ignore = "slow"]
async fn woocommerce_on_mysql_has_forecasts_from_its_url_alone() {
    woocommerce_has_forecasts_from_its_url_alone(MySqlKind::MySql).await;
}

async fn woocommerce_has_forecasts_from_its_url_alone(kind: MySqlKind) {
    let url = in_mysql(kind, shops::woocommerce()).await;
    let said = forecasts_from(&url, "Thing ").await;
    for words in ["these are the tables of WooCommerce", "currency: PLN (the shop's setting", "time zone: Europe/Warsaw", "country: PL"] {
        assert!(said.contains(words), "`{words}` is not said:\n{said}");
    }
}

#[tokio::test]
async fn spree_on_postgresql_has_forecasts_from_its_url_alone() {
    let url = in_postgres(shops::spree()).await;
    let zoned = format!("alter database {} set timezone to 'Europe/London'", url.rsplit_once('/').expect("a name").1);
    let mut owner = PgConnection::connect(&url).await.expect("a connection");
    sqlx::raw_sql(AssertSqlSafe(zoned)).execute(&mut owner).await.expect("a zone");
    let said = forecasts_from(&url, "Thing ").await;
    for words in ["currency: GBP (the most frequent value of", "time zone: Europe/London (the database is set to it)", "country: GB"] {
        assert!(said.contains(words), "`{words}` is not said:\n{said}");
    }
}

#[tokio::test]
async fn odoo_on_postgresql_has_forecasts_from_its_url_alone() {
    let url = in_postgres(shops::odoo()).await;
    let said = forecasts_from(&url, "Thing ").await;
    assert!(said.contains("orders with `state`") && said.contains("`sale_order_line` holds the sale lines"), "{said}");
}

#[tokio::test]
async fn the_proposal_is_one_json_document_and_nothing_is_written() {
    let folder = TestDir::new("init-json").expect("a folder");
    let url = in_sqlite(folder.path(), shops::artikel()).await;
    let proposal = init(&folder, &url, &["--json"]).await.json();
    assert_eq!(proposal["dialect"], "sqlite");
    let entities: Vec<&str> =
        proposal["entities"].as_array().expect("entities").iter().filter_map(|entity| entity["entity"].as_str()).collect();
    assert_eq!(entities, ["categories", "products", "customers", "transactions"]);
    for entity in proposal["entities"].as_array().expect("entities") {
        assert_eq!(entity["sample"]["rows"].as_array().map(Vec::len), Some(5), "{entity}");
        assert!(!entity["reasons"].as_array().expect("reasons").is_empty(), "{entity}");
    }
    assert!(!folder.join("data").exists());
}

#[tokio::test]
async fn a_configuration_is_written_over_only_by_force() {
    let folder = TestDir::new("init-force").expect("a folder");
    let url = in_sqlite(folder.path(), shops::artikel()).await;
    init(&folder, &url, &["--yes", "--name", "Erster"]).await.done();
    init(&folder, &url, &["--yes", "--name", "Zweiter"]).await.refused(2, &["is there already", "--force"]);
    let file = folder.join("data/sellcast.toml");
    assert!(std::fs::read_to_string(&file).expect("the file").contains("Erster"));
    init(&folder, &url, &["--yes", "--name", "Zweiter", "--force", "--currency", "CHF", "--table", "products=artikel"]).await.done();
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(text.contains("Zweiter") && text.contains("CHF"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_told_with_a_mend() {
    let folder = TestDir::new("init-faults").expect("a folder");
    let here = folder.path();
    std::fs::write(here.join("text.db"), "no database at all, whatever its name says").expect("a file");
    let empty = in_sqlite(here, "create table gone (id integer); drop table gone;".to_owned()).await;
    for (source, code, words) in [
        ("oracle://ada:secret@db/shop", 2, &["oracle", "no source address", "postgres"][..]),
        ("sqlite:nowhere.db", 1, &["nowhere.db", "does not exist"]),
        ("sqlite:text.db", 1, &["text.db"]),
        ("postgres://ada:secret@127.0.0.1:1/shop", 1, &["127.0.0.1:1", "does not answer"]),
        ("mysql://ada:secret@127.0.0.1:1/shop", 1, &["127.0.0.1:1", "does not answer"]),
        ("postgres://ada:${SELLCAST_NOT_SET}@127.0.0.1:1/shop", 2, &["SELLCAST_NOT_SET"]),
        (empty.as_str(), 1, &["holds no tables", "grant"]),
    ] {
        let ran = init(&folder, source, &["--yes"]).await;
        assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("secret"), "{source}: {}", ran.stderr);
        ran.refused(code, words);
    }
    let wrong = ["init", "--source", &empty, "--dir", "data", "--table", "products"];
    run_plain(here, &wrong).await.refused(2, &["ENTITY=TABLE"]);
}

#[tokio::test]
async fn a_database_without_sales_is_answered_with_what_was_looked_for_and_seen() {
    let folder = TestDir::new("init-blog").expect("a folder");
    let blog = "create table posts (id integer primary key, title text, written text); create table comments (id integer primary key, post_id integer, body text);";
    let url = in_sqlite(folder.path(), blog.to_owned()).await;
    let words =
        ["no table looks like sales", "a reference to a table of products", "posts: id, title, written", "comments: id, post_id, body"];
    init(&folder, &url, &["--yes"]).await.refused(1, &words);
}

#[tokio::test]
async fn a_user_without_rights_is_told_so_and_reading_rights_suffice() {
    let folder = TestDir::new("init-rights").expect("a folder");
    let url = in_postgres(shops::spree()).await;
    let mut owner = PgConnection::connect(&url).await.expect("a connection");
    let user = format!("reader_{}", std::process::id());
    let made = format!("create role {user} login password 'pass word'");
    sqlx::raw_sql(AssertSqlSafe(made)).execute(&mut owner).await.expect("a user");
    let place = url.split_once('@').map_or_else(|| url.replace("postgres://", ""), |(_, place)| place.to_owned());
    let reader = format!("postgres://{user}:pass%20word@{place}");
    init(&folder, &reader, &["--yes"]).await.refused(1, &["may read none of them", "grant"]);
    let grant = format!("grant select on all tables in schema public to {user}");
    sqlx::raw_sql(AssertSqlSafe(grant)).execute(&mut owner).await.expect("granted");
    let said = init(&folder, &reader, &["--yes"]).await.done().stdout;
    let text = std::fs::read_to_string(folder.join("data/sellcast.toml")).expect("the file");
    assert!(text.contains(&format!("postgres://{user}:${{SELLCAST_SOURCE_PASSWORD}}@")), "{text}");
    assert!(!text.contains("pass%20word") && !said.contains("pass%20word"), "the password is written down");
    run(folder.path(), &["check"]).await.refused(2, &["SELLCAST_SOURCE_PASSWORD"]);
}
