//! Published generations: JSON documents compressed with zstd, in one redb file or in a Cassandra keyspace.
//!
//! A generation is written whole and made visible by moving a single pointer; only then are subscribers told. When either
//! fails, the former generation stays current. Both backends pass the same tests.

mod cluster;
mod error;
mod file;
mod live;
mod live_table;
mod pack;
mod tables;

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use sellcast_domain::{
    CategoryHistory, CategoryId, Continuation, Generation, GenerationId, PredictionDocument, PredictionId, ShopDay, TimeFrame, TrackRecord,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use cluster::Cluster;
pub use cluster::{ClusterAddress, InvalidClusterAddress};
pub use error::{Cause, StoreError};
use file::FileStore;
use pack::DocumentName;

/// Everything that one publication holds.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationDocuments {
    /// What it is and where it came from.
    pub generation: Generation,
    /// One document per frame.
    pub predictions: Vec<PredictionDocument>,
    /// Products beyond the first 100 of long categories, per frame.
    pub continuations: Vec<(TimeFrame, Continuation)>,
    /// Weekly sales for charts.
    pub histories: Vec<CategoryHistory>,
    /// How earlier forecasts came out.
    pub record: TrackRecord,
    /// The documents of an experiment's further arms.
    pub arms: Vec<ArmDocuments>,
}

/// What users of one arm of an experiment get instead of the published document.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmDocuments {
    /// Name of the arm.
    pub arm: String,
    /// The document of the experiment's frame.
    pub prediction: PredictionDocument,
    /// Products beyond the first 100 of long categories.
    pub continuations: Vec<Continuation>,
}

// The cluster's futures are boxed: the driver's are not `Send` for every lifetime in the compiler's eyes, which would show
// only where a job is spawned.

/// The store. Clones share one open file or one session with the cluster.
#[derive(Clone, Debug)]
pub struct PredictionStore {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    File(FileStore),
    Cluster(Cluster),
}

impl PredictionStore {
    /// Opens the file, or makes it with the folders above it. What a killed publication left unpublished is removed. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it open; [`StoreError::Open`] when it cannot be read or made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { backend: Backend::File(FileStore::open(path)?) })
    }

    /// Connects to a cluster that speaks Cassandra's protocol; makes keyspace and tables where they are missing. What other
    /// processes publish there is seen within about a second.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] when no node answers; [`StoreError::Keyspace`] when the tables can be neither read nor made.
    pub async fn connect(address: &ClusterAddress) -> Result<Self, StoreError> {
        Ok(Self { backend: Backend::Cluster(Cluster::connect(address).boxed().await?) })
    }

    /// Writes a generation whole, then makes it visible, then tells subscribers. Doing it again changes nothing.
    ///
    /// A generation for an earlier day than the current one is published for its day only; the pointer never goes back.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if the id is published with other content; [`StoreError::Full`] when the disk is;
    /// [`StoreError::Unsettled`] when the cluster stopped answering while the pointer moved; [`StoreError::Write`]
    /// otherwise. But for `Unsettled`, the former generation stays current.
    pub async fn publish(&self, documents: impl Into<Arc<GenerationDocuments>>) -> Result<(), StoreError> {
        let documents = documents.into();
        match &self.backend {
            Backend::File(file) => {
                let file = file.clone();
                blocking(move || file.publish(&documents)).await
            }
            Backend::Cluster(cluster) => cluster.publish(documents).boxed().await,
        }
    }

    /// The generation that readers see. Known without asking the backend.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.watched().borrow().clone()
    }

    /// What is known of one generation.
    pub async fn generation(&self, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.document(id, DocumentName::Generation).await
    }

    /// The newest generation published for `as_of`.
    pub async fn generation_for(&self, as_of: ShopDay) -> Result<Option<Generation>, StoreError> {
        let newest = match &self.backend {
            Backend::File(file) => file.look_up("published days", move |reading| tables::newest_for(reading, as_of)).await?,
            Backend::Cluster(cluster) => cluster.catalog().newest_for(as_of),
        };
        match newest {
            Some(id) => self.generation(id).await,
            None => Ok(None),
        }
    }

    /// The day with a publication that lies nearest to `day`; the earlier of two equally near ones.
    pub async fn nearest(&self, day: ShopDay) -> Result<Option<ShopDay>, StoreError> {
        match &self.backend {
            Backend::File(file) => file.look_up("published days", move |reading| tables::nearest(reading, day)).await,
            Backend::Cluster(cluster) => Ok(cluster.catalog().nearest(day)),
        }
    }

    /// Every day with a publication, oldest first.
    pub async fn published_days(&self) -> Result<Vec<ShopDay>, StoreError> {
        match &self.backend {
            Backend::File(file) => file.look_up("published days", tables::published_days).await,
            Backend::Cluster(cluster) => Ok(cluster.catalog().published_days()),
        }
    }

    /// The generation and frame of a prediction, newest generations first.
    pub async fn find(&self, prediction: PredictionId) -> Result<Option<(Generation, TimeFrame)>, StoreError> {
        let generations = match &self.backend {
            Backend::File(file) => file.look_up("published days", tables::generations).await?,
            Backend::Cluster(cluster) => cluster.catalog().generations(),
        };
        for id in generations.into_iter().rev() {
            let Some(generation) = self.generation(id).await? else { continue };
            if let Some(frame) = generation.predictions.iter().find(|(_, of)| **of == prediction).map(|(frame, _)| *frame) {
                return Ok(Some((generation, frame)));
            }
        }
        Ok(None)
    }

    /// A frame's document.
    pub async fn prediction(&self, generation: GenerationId, frame: TimeFrame) -> Result<Option<PredictionDocument>, StoreError> {
        self.document(generation, DocumentName::Prediction(frame)).await
    }

    /// An arm's document.
    pub async fn arm(&self, generation: GenerationId, arm: &str) -> Result<Option<PredictionDocument>, StoreError> {
        self.document(generation, DocumentName::Arm(arm)).await
    }

    /// The products of a category beyond the first 100 in an arm's document.
    pub async fn arm_continuation(
        &self,
        generation: GenerationId,
        arm: &str,
        category: CategoryId,
    ) -> Result<Option<Continuation>, StoreError> {
        self.document(generation, DocumentName::ArmContinuation(arm, category)).await
    }

    /// The products of a category beyond the first 100.
    pub async fn continuation(
        &self,
        generation: GenerationId,
        frame: TimeFrame,
        category: CategoryId,
    ) -> Result<Option<Continuation>, StoreError> {
        self.document(generation, DocumentName::Continuation(frame, category)).await
    }

    /// Weekly sales of a category and its products.
    pub async fn history(&self, generation: GenerationId, category: CategoryId) -> Result<Option<CategoryHistory>, StoreError> {
        self.document(generation, DocumentName::History(category)).await
    }

    /// The track record as it stood when the generation was published.
    pub async fn record(&self, generation: GenerationId) -> Result<Option<TrackRecord>, StoreError> {
        self.document(generation, DocumentName::Record).await
    }

    /// Follows the current generation. Also marked as changed when an earlier day is published anew.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Generation>>> {
        self.watched().subscribe()
    }

    /// Writes, reads and deletes a row, to show that the rights suffice. A file that is open can be written.
    ///
    /// # Errors
    /// When one of the three is refused.
    pub async fn check_rights(&self) -> Result<(), StoreError> {
        match &self.backend {
            Backend::File(_) => Ok(()),
            Backend::Cluster(cluster) => cluster.check_rights().boxed().await,
        }
    }

    fn watched(&self) -> &watch::Sender<Option<Arc<Generation>>> {
        match &self.backend {
            Backend::File(file) => file.current(),
            Backend::Cluster(cluster) => cluster.current(),
        }
    }

    async fn document<T: DeserializeOwned + Send + 'static>(
        &self,
        generation: GenerationId,
        name: DocumentName<'_>,
    ) -> Result<Option<T>, StoreError> {
        let key = name.to_string();
        match &self.backend {
            Backend::File(file) => {
                let file = file.clone();
                blocking(move || file.document(generation, &key)).await
            }
            Backend::Cluster(cluster) => match cluster.document(generation, &key).boxed().await? {
                Some(packed) => blocking(move || pack::unpack(&key, &packed)).await.map(Some),
                None => Ok(None),
            },
        }
    }
}

/// Runs work that computes or waits for a disk off the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime cancels only when it ends, and then it polls nobody: this is a panic of the work.
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
