//! Kafka: workers of one consumer group share the partitions of Debezium's topics and of `sellcast.sales`, and keep the
//! state of each partition in a file of a common folder. Offsets are part of that state; Kafka is told them too, only for those who look
//! how far the group is. Followers read what the
//! workers write to `sellcast.sales` and have the windows of the whole shop.

mod contact;
mod follower;
mod held;
mod out;
mod snapshots;
mod worker;

use std::path::PathBuf;

use rdkafka::error::KafkaError;
use sellcast_domain::window::WatermarkSettings;

use crate::debezium::{ProductColumns, SaleColumns};
use crate::state::StateError;
pub use follower::{FollowedWindows, Follower, FollowerStatus};
pub use snapshots::Snapshots;
pub use worker::{Worker, WorkerStatus};

/// What a worker reads and where it keeps its state.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// The consumer group; workers of one group share the work.
    pub group: String,
    /// Debezium's topic of the table of sales.
    pub sales_topic: String,
    /// Debezium's topic of the table of products; it must keep a row for every product (compacted, or kept for ever).
    pub products_topic: String,
    /// The topic between reading and keeping windows; made with `keyed_partitions` if it is missing.
    pub keyed_topic: String,
    /// Partitions of the keyed topic if it is made: the most workers that can keep windows at a time.
    pub keyed_partitions: u32,
    /// The folder of the state, the same for all workers of the group.
    pub state_folder: PathBuf,
    /// Copies of the state for workers that do not see this folder.
    pub snapshots: Option<Snapshots>,
    /// Columns of the table of sales.
    pub sales: SaleColumns,
    /// Columns of the table of products.
    pub products: ProductColumns,
    /// What may be late.
    pub watermark: WatermarkSettings,
}

/// A worker stops; what it did not save is read again by the next.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Kafka does not do what it is asked.
    #[error("cannot {step}")]
    Kafka {
        /// What was tried.
        step: String,
        /// Why not.
        source: KafkaError,
    },
    /// A topic is not there.
    #[error("there is no topic `{0}`: is the connector running, and is the name right?")]
    NoTopic(String),
    /// The state cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl WorkerError {
    fn kafka(step: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        move |source| Self::Kafka { step: step.into(), source }
    }
}
