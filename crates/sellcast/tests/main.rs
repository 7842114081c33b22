//! Whole-program scenarios: the real `sellcast`, a small shop in SQLite, real Delta tables, real requests and a real
//! browser. What a crate can show by itself is tested there.

mod bad_requests;
mod bad_source;
mod champions;
mod connect;
mod dear;
mod demo;
mod demo_full;
mod experiments;
mod features;
mod init;
mod kills;
mod live;
mod live_scores;
mod operation;
mod pages;
mod path;
mod reconciliation;
mod replay;
mod scale;
mod shop;
mod spread;
mod sums;
mod tables;
mod what_if;
