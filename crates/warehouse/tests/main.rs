//! The warehouse against real sources: SQLite shops and files made for each test, databases on real servers, Delta tables in
//! a folder of its own.

mod aggregates;
mod conformance;
mod database_faults;
mod database_types;
mod databases;
mod faults;
mod incremental;
mod large;
mod loading;
mod quarantine;
mod recovery;
mod shop;
mod speed;
