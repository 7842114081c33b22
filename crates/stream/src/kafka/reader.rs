//! Reads the windows of a worker while it works.

use std::sync::Arc;
use std::time::Duration;

use sellcast_domain::CategoryId;
use sellcast_domain::window::SaleBook;

use super::held::Holder;
use crate::shard::Shard;

/// How long a reader waits for the worker; one that saves while brokers are away may take minutes.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a worker's windows are read by, from any thread.
pub struct WorkerReader {
    holder: Arc<Holder>,
}

impl WorkerReader {
    pub(super) fn new(holder: Arc<Holder>) -> Self {
        Self { holder }
    }

    /// Reads the shares of all categories; `None` while another worker keeps one of them, and while this one is held up by
    /// Kafka. The worker waits meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&[&SaleBook]) -> T) -> Option<T> {
        let holding = self.holder.lock_within(PATIENCE)?;
        let books: Vec<&SaleBook> = holding.partitions.values().filter_map(|partition| partition.shard.as_ref()).map(Shard::book).collect();
        (books.len() == holding.out.partitions() as usize).then(|| read(&books))
    }

    /// Says which categories are summed into others, see [`SaleBook::regroup`], also in shares that come later.
    pub fn regroup(&self, groups: Vec<(CategoryId, CategoryId)>) {
        let mut holding = self.holder.lock();
        for shard in holding.partitions.values_mut().filter_map(|partition| partition.shard.as_mut()) {
            shard.book_mut().regroup(groups.iter().copied());
        }
        holding.groups = groups;
    }
}
