//! The store's tests, over real redb files.

mod failures;
mod generations;
mod places;
mod publishing;
