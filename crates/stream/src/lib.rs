//! Change sources, enrichment and sliding windows: from the changes of a shop's tables to windows of 1 hour to 7 days
//! per product and category. Sources are Debezium's topics on Kafka and a table of changes in the shop's SQLite
//! database; both become the same canonical event. Nothing is acknowledged before it is saved.

mod debezium;
mod dimension;
mod event;
mod intake;
mod kafka;
mod message;
mod outbox;
mod pipeline;
mod scalar;
mod shard;
mod state;
mod touched;

pub use debezium::{Decoder, ProductColumns, SaleColumns};
pub use dimension::Dimension;
pub use event::{Before, Change, Entity, Poison, SaleChange};
pub use intake::{ChangeCounts, Intake, address};
pub use kafka::{FollowedWindows, Follower, FollowerStatus, Snapshots, Worker, WorkerError, WorkerSettings, WorkerStatus};
pub use message::{Message, SaleMessage, Share, Target};
pub use outbox::{Outbox, OutboxChanges, OutboxError, OutboxQueries};
pub use pipeline::Pipeline;
pub use shard::{LateSale, Shard};
pub use state::{Damaged, DeadLetter, Meta, SourceMark, StateError, StateFile};
