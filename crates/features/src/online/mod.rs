//! The online store: the newest feature set by product, for single reads and small batches. In memory for one process, on
//! Redis for several. It holds what the offline store holds at the same as_of, bit for bit; [`OnlineRead::differences`]
//! says where it does not.

mod address;
mod compare;
mod memory;
mod redis;
mod row;
#[cfg(test)]
mod tests;

use sellcast_domain::{CategoryId, ProductId, ShopDay};
use serde::{Deserialize, Serialize};

pub use address::{InvalidOnlineAddress, OnlineAddress};
pub use compare::{Difference, DifferenceCause};

use crate::compute::FeatureSet;
use memory::Memory;
use redis::OnRedis;

/// Most products of one read.
pub const MOST_READ: usize = 1_000;

/// Which set is online.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineSet {
    /// Version of the definitions.
    pub version: String,
    /// The day before which everything was known.
    pub as_of: ShopDay,
    /// Number of products.
    pub products: usize,
}

/// A product's features, in the order of the definitions; NaN where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineRow {
    /// Its category at the as_of.
    pub category: CategoryId,
    /// One value per feature.
    pub values: Vec<f32>,
}

/// What one read found, all of the same set.
#[derive(Clone, Debug, PartialEq)]
pub struct OnlineRead {
    /// The set.
    pub set: OnlineSet,
    /// In the order that was asked; `None` for a product that is not in the set.
    pub rows: Vec<Option<OnlineRow>>,
}

/// The online store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// Redis does not do what it is asked.
    #[error("cannot {step} at {place}: is Redis up, and is the address right?")]
    Redis {
        /// What was tried.
        step: &'static str,
        /// Host, port and database.
        place: String,
        /// Why not.
        source: ::redis::RedisError,
    },
    /// What is there was not written by this program.
    #[error("{what} at {place} cannot be understood: give sellcast a Redis database of its own, or publish anew")]
    Foreign {
        /// What was read.
        what: String,
        /// Host, port and database.
        place: String,
    },
    /// More than [`MOST_READ`] products at once.
    #[error("{0} products were asked for at once, at most {MOST_READ} are read in one go")]
    TooMany(usize),
}

/// Features by product.
#[derive(Debug)]
pub struct OnlineStore(Kept);

#[derive(Debug)]
enum Kept {
    Memory(Memory),
    Redis(OnRedis),
}

impl OnlineStore {
    /// Within this process.
    pub fn memory() -> Self {
        Self(Kept::Memory(Memory::default()))
    }

    /// On Redis; several processes share it. It is reached when it is first needed: a server starts without it. Needs a
    /// tokio runtime around it.
    ///
    /// # Errors
    /// When no connection to the address can be prepared.
    pub fn at(address: &OnlineAddress) -> Result<Self, OnlineError> {
        Ok(Self(Kept::Redis(OnRedis::at(address)?)))
    }

    /// Whether other processes see the same.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kept::Redis(_))
    }

    /// Puts a set in the place of the one before. Readers see the one or the other, never parts of both.
    ///
    /// # Errors
    /// When it cannot be written; the one before then stays.
    pub async fn publish(&self, set: &FeatureSet) -> Result<(), OnlineError> {
        match &self.0 {
            Kept::Memory(memory) => memory.publish(set),
            Kept::Redis(redis) => redis.publish(set).await?,
        }
        Ok(())
    }

    /// The set that is online, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn current(&self) -> Result<Option<OnlineSet>, OnlineError> {
        match &self.0 {
            Kept::Memory(memory) => Ok(memory.current()),
            Kept::Redis(redis) => redis.current().await,
        }
    }

    /// The features of some products, at most [`MOST_READ`], in one round trip; `None` when nothing is online yet.
    ///
    /// # Errors
    /// When they cannot be read, or are too many.
    pub async fn read(&self, products: &[ProductId]) -> Result<Option<OnlineRead>, OnlineError> {
        if products.len() > MOST_READ {
            return Err(OnlineError::TooMany(products.len()));
        }
        match &self.0 {
            Kept::Memory(memory) => Ok(memory.read(products)),
            Kept::Redis(redis) => redis.read(products).await,
        }
    }

    /// Writes, reads and deletes a value.
    ///
    /// # Errors
    /// When that is not allowed.
    pub async fn check_rights(&self) -> Result<(), OnlineError> {
        match &self.0 {
            Kept::Memory(_) => Ok(()),
            Kept::Redis(redis) => redis.check_rights().await,
        }
    }

    /// The products of the set that is online, in order.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn products(&self) -> Result<Vec<ProductId>, OnlineError> {
        match &self.0 {
            Kept::Memory(memory) => Ok(memory.products()),
            Kept::Redis(redis) => redis.products().await,
        }
    }
}

impl OnlineSet {
    fn of(set: &FeatureSet) -> Self {
        Self { version: set.version.clone(), as_of: set.as_of, products: set.len() }
    }
}
