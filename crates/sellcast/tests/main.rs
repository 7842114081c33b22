//! Whole-program scenarios: the real `sellcast`, a small shop in SQLite, real Delta tables, real requests and a real
//! browser. What a crate can show by itself is tested there.

mod path;
mod shop;
