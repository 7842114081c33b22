//! One shop spread over four places: products in MySQL, customers and sales in two PostgreSQL databases, categories and
//! promotions in CSV files. It must come to the same warehouse and the same forecasts as the shop in one database.

use std::fs;

use sellcast_testkit::{MySql, MySqlKind, Postgres};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, Row, SqliteConnection};

use crate::shop::{AS_OF, NOW, Shop, Stage};
use crate::tables::Tables;

/// Rows of one `insert`.
const ROWS: usize = 500;

/// The rows of a query over the shop, each as text or nothing.
async fn rows(shop: &mut SqliteConnection, sql: &str) -> Vec<Vec<Option<String>>> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(shop).await.expect(sql);
    rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
}

/// The rows as statements that insert them.
fn inserts(table: &str, rows: &[Vec<Option<String>>]) -> Vec<String> {
    let literal = |value: &Option<String>| value.as_ref().map_or("null".to_owned(), |value| format!("'{}'", value.replace('\'', "''")));
    let tuple = |row: &Vec<Option<String>>| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(", "));
    let statement =
        |rows: &[Vec<Option<String>>]| format!("insert into {table} values {}", rows.iter().map(tuple).collect::<Vec<_>>().join(", "));
    rows.chunks(ROWS).map(statement).collect()
}

fn csv(header: &str, rows: &[Vec<Option<String>>]) -> String {
    let line = |row: &Vec<Option<String>>| row.iter().map(|value| value.clone().unwrap_or_default()).collect::<Vec<_>>().join(",");
    format!("{header}\n{}\n", rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// Moves the shop's tables and maps them where they are now; the addresses of products, customers and sales.
async fn spread(shop: &Shop) -> [String; 3] {
    let mut source = shop.database().await;
    let products = MySql::shared(MySqlKind::MySql).expect("MySQL").database().await.expect("a database");
    let customers = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");
    let sales = Postgres::shared().expect("PostgreSQL").database().await.expect("a database");

    let mut server = MySqlConnection::connect(&products).await.expect("MySQL");
    let table = "create table products (product_id int primary key, name varchar(200), category_id int, brand varchar(100), current_price decimal(10,2),
                                        created_at datetime, updated_at datetime)";
    sqlx::raw_sql(table).execute(&mut server).await.expect("a table");
    let time = |column: &str| format!("replace(replace({column}, 'T', ' '), 'Z', '')");
    let sql = format!(
        "select cast(product_id as text), name, cast(category_id as text), brand, cast(current_price as text), {}, {} from products",
        time("created_at"),
        time("updated_at")
    );
    for statement in inserts("products", &rows(&mut source, &sql).await) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.expect("products");
    }

    let mut server = PgConnection::connect(&customers).await.expect("PostgreSQL");
    let table =
        "create table customers (customer_id bigint primary key, name text, email text, customer_segment text, created_at timestamptz)";
    sqlx::raw_sql(table).execute(&mut server).await.expect("a table");
    let sql = "select cast(customer_id as text), name, email, customer_segment, created_at from customers";
    for statement in inserts("customers", &rows(&mut source, sql).await) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.expect("customers");
    }

    let mut server = PgConnection::connect(&sales).await.expect("PostgreSQL");
    let tables = "create table orders (order_id int primary key, customer_id int, ordered_at timestamptz);
                  create table order_lines (line_id bigint primary key, order_id int, product_id int, quantity int, unit_price numeric(10,2),
                                            total_price numeric(10,2), discount numeric(10,2), updated_at timestamptz)";
    sqlx::raw_sql(tables).execute(&mut server).await.expect("tables");
    let orders = rows(&mut source, "select cast(order_id as text), cast(customer_id as text), ordered_at from orders").await;
    let lines =
        "select cast(line_id as text), cast(order_id as text), cast(product_id as text), cast(quantity as text), unit_price, total_price,
                        discount, updated_at from order_lines";
    let lines = rows(&mut source, lines).await;
    for statement in inserts("orders", &orders).into_iter().chain(inserts("order_lines", &lines)) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.expect("sales");
    }

    let categories = rows(&mut source, "select cast(category_id as text), name, cast(parent_category_id as text) from categories").await;
    fs::write(shop.data().join("categories.csv"), csv("category_id,name,parent_category_id", &categories)).expect("a file");
    let promotions = "select cast(product_id as text), starts_on, ends_on, kind, cast(strength as text), announced_at from promotions";
    let promotions = csv("product_id,starts_on,ends_on,kind,strength,announced_at", &rows(&mut source, promotions).await);
    fs::write(shop.data().join("promotions.csv"), promotions).expect("a file");
    source.close().await.expect("an end");
    fs::remove_file(shop.data().join("shop.db")).expect("the shop's own database");

    shop.reconfigure("url = \"sqlite:shop.db\"\n", "");
    for (entity, url) in [
        ("categories", "file:categories.csv"),
        ("products", &products),
        ("customers", &customers),
        ("transactions", &sales),
        ("promotions", "file:promotions.csv"),
    ] {
        shop.reconfigure(&format!("[source.{entity}]\n"), &format!("[source.{entity}]\nurl = \"{url}\"\n"));
    }
    shop.reconfigure("parent_category_id from categories", "parent_category_id from source");
    shop.reconfigure("announced_at from promotions", "announced_at from source");
    [products, customers, sales]
}

#[tokio::test]
async fn a_shop_over_four_places_is_forecast_like_one_in_a_single_database() {
    let (whole, ingested) = (Shop::at(Stage::Published).await, Shop::at(Stage::Ingested).await);
    let shop = Shop::at(Stage::Mapped).await;
    let [_, _, sales] = spread(&shop).await;
    assert!(shop.run(&["check"]).await.done().stdout.contains("every source answers"));
    let record = shop.ingest().await;
    for (entity, counts) in record["entities"].as_object().expect("entities") {
        assert_eq!((&counts["read"], &counts["quarantined"]), (&counts["loaded"], &serde_json::json!({})), "{entity}");
    }
    let (ours, theirs) = (Tables::open(&shop.data()).await.contents().await, Tables::open(&ingested.data()).await.contents().await);
    for (table, rows) in &theirs {
        assert!(!rows.is_empty() || table == "quarantine" || table == "dim_event", "`{table}` is empty");
        assert!(ours.get(table) == Some(rows), "`{table}` differs");
    }

    shop.run(&["forecast"]).await.done();
    let (server, other) = (shop.serve().await, whole.serve().await);
    for frame in ["day", "week", "month"] {
        let path = format!("/api/v1/predictions/categories?timeFrame={frame}&limit=100");
        let list = server.list(&path).await;
        assert_eq!((&list["periodStart"], &list["totalCategories"]), (&format!("{AS_OF}T00:00:00Z").into(), &20.into()));
        assert_eq!(list["categories"], other.list(&path).await["categories"], "{frame}");
    }
    server.stop().await;
    other.stop().await;

    // What goes in the source goes here; what cannot be reached is told, and by its own name.
    let mut server = PgConnection::connect(&sales).await.expect("PostgreSQL");
    sqlx::raw_sql("delete from order_lines where line_id = (select max(line_id) from order_lines)")
        .execute(&mut server)
        .await
        .expect("a deletion");
    let ran = shop.run(&["ingest", "--now", NOW]).await.done();
    assert!(ran.stdout.contains("removed 1, nothing quarantined"), "{}", ran.stdout);
    shop.reconfigure("postgres:sellcast@", "postgres:forgotten@");
    let refused = shop.run(&["check"]).await.refused(2, &["refuses the user or the password", "postgres://127.0.0.1:"]);
    assert!(!refused.stderr.contains("forgotten"), "{}", refused.stderr);
}
