//! The demo shop: The Complete Journey's sales of 2017, kept as Parquet in `data/`, written into a normal SQLite shop
//! database and replayed into it day by day. To the rest of sellcast it is a shop like any other: nothing here is
//! imported by the warehouse, the forecasts or the server.

mod bulk;
mod catalogue;
mod config;
mod customers;
mod data;
mod mirror;
mod names;
mod replay;
mod schema;
mod shop;
mod text;
mod tree;

pub use config::{FullDemoServices, NOT_GOODS, demo_config, full_demo_config};
pub use data::{SHOP_ZONE, data_folder};
pub use mirror::Mirror;
pub use replay::{Replay, Written};
pub use shop::{ShopSummary, create_shop};
