//! The demo's data, shop, replay and mirror, on the real Parquet files and real SQLite and PostgreSQL databases.

mod mirror;
mod replay;
mod shop;

use std::path::PathBuf;

use sellcast_domain::ShopDay;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tempfile::TempDir;

/// A shop until `until` in a folder of its own.
struct Shop {
    folder: TempDir,
    pool: SqlitePool,
}

impl Shop {
    async fn until(until: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("shop.db");
        sellcast_demo::create_shop(&file, &data(), day(until), &|_, _| {}).await.expect("a shop");
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&file)).await.expect("an open shop");
        Self { folder, pool }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect(sql)
    }

    async fn words(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.pool).await.expect(sql)
    }
}

fn data() -> PathBuf {
    sellcast_demo::data_folder().expect("the demo's data")
}

fn day(text: &str) -> ShopDay {
    text.parse().expect("a day")
}
