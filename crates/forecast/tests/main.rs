//! The batch path from a small shop to published documents, on the real warehouse.

mod leaks;
mod models;
mod path;
mod shop;
