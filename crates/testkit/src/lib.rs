//! For tests only: folders that survive a failure, free ports, the real `sellcast` program as a child, a headless
//! browser, database servers, a small shop with months of sales, and a table of its changes. Everything here is real; nothing stands in for something else.

mod browser;
mod cassandra;
mod console;
mod databases;
mod folder;
mod object_store;
pub mod outbox;
mod program;
mod service;
mod shop;
mod wait;

pub use browser::{Browser, Viewport};
pub use cassandra::Cassandra;
pub use databases::{MySql, MySqlKind, Postgres};
pub use folder::TestDir;
pub use object_store::S3;
pub use program::{Program, free_port};
pub use service::Service;
pub use shop::{TinyShop, TinyShopBuilder};
pub use wait::{until, until_some};
