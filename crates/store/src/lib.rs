//! What is kept between runs: published prediction documents in redb or Cassandra, the model registry in SQLite or
//! PostgreSQL, and the board on which the running day is told to the pages. A published generation is never changed; readers
//! see one generation or another, never a mixture.

mod live;
mod metadata;
mod predictions;
mod registry;

pub use live::LiveBoard;
pub use metadata::{InvalidMetadataAddress, MetadataAddress};
pub use predictions::{ArmDocuments, Cause, ClusterAddress, GenerationDocuments, InvalidClusterAddress, PredictionStore, StoreError};
pub use registry::{Alias, RegisteredModel, Registry, RegistryError};
