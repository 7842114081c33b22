//! The window kernel: sliding windows over sales, per product and per category, the same code for the stream and for a
//! batch. Sales are held by id with the version of their row, so that a duplicate, an old version that comes late or a
//! second snapshot changes nothing; sums are whole numbers, so that the order of events does not matter.
//!
//! No clock: the head of time moves by events and by what the caller says the time is.

mod board;
mod book;
mod compare;
mod digest;
mod distinct;
mod fact;
mod hash;
mod series;
mod span;
mod sums;
mod tiles;
mod watermark;

pub use board::{WindowBoard, WindowValue};
pub use book::{BookRestore, Comparison, Differing, DifferingTile, Held, Outcome, Repair, RepairCause, SaleBook, StandingCounts};
pub use compare::{TileDifference, differing_tiles};
pub use digest::{BatchRow, BatchTile, CategoryHour, Digest, Digests};
pub use distinct::DistinctCustomers;
pub use fact::{EventTime, InvalidEventTime, SaleFact, Version};
pub use span::{TileWidth, WindowKey, WindowSpan};
pub use sums::{Quantity, Sums};
pub use tiles::Tile;
pub use watermark::{Arrival, Watermark, WatermarkSettings};
