//! What is kept between runs: published prediction documents in redb or Cassandra, and the board on which the running
//! day is told to the pages. A published generation is never changed; readers see one generation or
//! another, never a mixture.

mod live;
mod predictions;
mod registry;

pub use live::LiveBoard;
pub use predictions::{ArmDocuments, Cause, ClusterAddress, GenerationDocuments, InvalidClusterAddress, PredictionStore, StoreError};
pub use registry::{Alias, RegisteredModel, Registry, RegistryError};
