//! The batch path from a small shop to published documents, on the real warehouse.

mod bad_input;
mod cold_start;
mod factors;
mod leaks;
mod models;
mod path;
mod permutation;
mod shapes;
mod shop;
