//! The store's tests, over real redb files.

mod failures;
mod places;
mod generations;
mod publishing;
