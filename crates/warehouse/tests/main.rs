//! The warehouse against real sources: SQLite shops and files made for each test, Delta tables in a folder of its own.

mod aggregates;
mod faults;
mod incremental;
mod loading;
mod quarantine;
mod recovery;
mod shop;
mod speed;
