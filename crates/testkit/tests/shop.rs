//! The small shop: the same for the same settings, and as it is described.

use sellcast_testkit::{TestDir, TinyShop};
use sqlx::SqliteConnection;

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.expect(sql)
}

#[tokio::test]
async fn the_shop_is_what_it_says_it_is() {
    let folder = TestDir::new("shop").expect("a folder");
    let shop = TinyShop::builder().write(&folder.join("shop.db")).await.expect("a shop");
    let mut db = shop.connect().await.expect("the shop");
    assert_eq!(number(&mut db, "select count(*) from products").await, 300);
    assert_eq!(number(&mut db, "select count(distinct category_id) from products").await, 20);
    assert_eq!(number(&mut db, "select count(*) from order_lines").await, shop.lines);
    assert_eq!(number(&mut db, "select sum(cast(round(total_price * 100) as integer)) from order_lines").await, shop.cents);
    assert!(shop.lines > 20_000 && shop.cents > 0);
    assert!(number(&mut db, "select count(*) from order_lines where quantity < 0").await > 50, "returns");
    assert_eq!(number(&mut db, "select count(*) from order_lines where product_id > 285").await, 0, "products that never sell");
    assert_eq!(number(&mut db, "select count(*) from pragma_foreign_key_check").await, 0);
    assert_eq!(shop.end.days_since(shop.first_day), 150);
    let config: toml::Table = shop.config().parse().expect("TOML");
    for entity in ["categories", "products", "customers", "transactions", "promotions"] {
        let sql = config["source"][entity]["sql"].as_str().expect("a query").to_owned();
        sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut db).await.expect(entity);
    }
}

#[tokio::test]
async fn equal_settings_give_equal_shops_and_a_seed_another() {
    let folder = TestDir::new("shop").expect("a folder");
    let small = TinyShop::builder().products(40).orders_a_day(10);
    let (one, two) = (small.write(&folder.join("1.db")).await.expect("a shop"), small.write(&folder.join("2.db")).await.expect("a shop"));
    let other = small.seed(2).write(&folder.join("3.db")).await.expect("a shop");
    assert_eq!((one.lines, one.cents), (two.lines, two.cents));
    assert_ne!((one.lines, one.cents), (other.lines, other.cents));
    assert!(small.write(&folder.join("1.db")).await.is_err(), "never overwrites");
}
