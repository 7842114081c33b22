//! Published generations in one redb file: JSON documents compressed with zstd.
//!
//! A generation is written whole in one transaction and made visible by a second one that moves a single
//! pointer; only then are subscribers told. When either fails, the former generation stays current.

mod error;
mod pack;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase};
use sellcast_domain::{
    CategoryHistory, CategoryId, Continuation, Generation, GenerationId, PredictionDocument, PredictionId, ShopDay, TimeFrame, TrackRecord,
};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

pub use error::StoreError;
use pack::DocumentName;
use tables::Written;

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

/// The store. Clones share one open file. All calls block: use `spawn_blocking` from async code.
#[derive(Clone, Debug)]
pub struct PredictionStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// `None` only between a failed write and the next successful reopening.
    database: RwLock<Option<Database>>,
    /// One publication at a time, from its first byte to its announcement.
    publishing: Mutex<()>,
    current: watch::Sender<Option<GenerationId>>,
}

impl PredictionStore {
    /// Opens the file, or makes it with the folders above it. What a killed publication left unpublished is removed.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it open; [`StoreError::Open`] when it cannot be read or made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = tables::open(path).map_err(|source| StoreError::opening(path, source))?;
        let current = tables::current(&database).map_err(|source| StoreError::opening(path, source))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                database: RwLock::new(Some(database)),
                publishing: Mutex::new(()),
                current: watch::Sender::new(current),
            }),
        })
    }

    /// Writes a generation whole, then makes it visible, then tells subscribers. Doing it again changes nothing.
    ///
    /// A generation for an earlier day than the current one is published for its day only; the pointer never goes back.
    ///
    /// # Errors
    /// [`StoreError::Changed`] if the id is published with other content; [`StoreError::Full`] when the disk is;
    /// [`StoreError::Write`] otherwise. The former generation stays current in every case.
    pub fn publish(&self, documents: &GenerationDocuments) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let id = documents.generation.generation_id;
        let packed = pack::pack(documents)?;
        let written = self
            .write(|database| tables::write(database, id, &packed))
            .and_then(|written| match written {
                Written::Changed => Ok(Err(StoreError::Changed(id))),
                Written::Here => self.write(|database| tables::point(database, id, documents.generation.as_of)).map(Ok),
            })
            .map_err(|source| StoreError::writing(id, source))?;
        let current = written?;
        tracing::info!(generation = %id, as_of = %documents.generation.as_of, documents = packed.len(), "generation {id} published");
        self.inner.current.send_replace(Some(current));
        Ok(())
    }

    /// The generation that readers see.
    pub fn current(&self) -> Result<Option<Generation>, StoreError> {
        let Some(id) = *self.inner.current.borrow() else { return Ok(None) };
        self.generation(id)
    }

    /// What is known of one generation.
    pub fn generation(&self, id: GenerationId) -> Result<Option<Generation>, StoreError> {
        self.document(id, DocumentName::Generation)
    }

    /// The newest generation published for `as_of`.
    pub fn generation_for(&self, as_of: ShopDay) -> Result<Option<Generation>, StoreError> {
        match self.read("published days", |reading| tables::newest_for(reading, as_of))? {
            Some(id) => self.generation(id),
            None => Ok(None),
        }
    }

    /// The day with a publication that lies nearest to `day`; the earlier of two equally near ones.
    pub fn nearest(&self, day: ShopDay) -> Result<Option<ShopDay>, StoreError> {
        self.read("published days", |reading| tables::nearest(reading, day))
    }

    /// Every day with a publication, oldest first.
    pub fn published_days(&self) -> Result<Vec<ShopDay>, StoreError> {
        self.read("published days", tables::published_days)
    }

    /// The generation and frame of a prediction, newest generations first.
    pub fn find(&self, prediction: PredictionId) -> Result<Option<(Generation, TimeFrame)>, StoreError> {
        for id in self.read("published days", tables::generations)?.into_iter().rev() {
            let Some(generation) = self.generation(id)? else { continue };
            if let Some(frame) = generation.predictions.iter().find(|(_, of)| **of == prediction).map(|(frame, _)| *frame) {
                return Ok(Some((generation, frame)));
            }
        }
        Ok(None)
    }

    /// A frame's document.
    pub fn prediction(&self, generation: GenerationId, frame: TimeFrame) -> Result<Option<PredictionDocument>, StoreError> {
        self.document(generation, DocumentName::Prediction(frame))
    }

    /// An arm's document.
    pub fn arm(&self, generation: GenerationId, arm: &str) -> Result<Option<PredictionDocument>, StoreError> {
        self.document(generation, DocumentName::Arm(arm))
    }

    /// The products of a category beyond the first 100 in an arm's document.
    pub fn arm_continuation(&self, generation: GenerationId, arm: &str, category: CategoryId) -> Result<Option<Continuation>, StoreError> {
        self.document(generation, DocumentName::ArmContinuation(arm, category))
    }

    /// The products of a category beyond the first 100.
    pub fn continuation(
        &self,
        generation: GenerationId,
        frame: TimeFrame,
        category: CategoryId,
    ) -> Result<Option<Continuation>, StoreError> {
        self.document(generation, DocumentName::Continuation(frame, category))
    }

    /// Weekly sales of a category and its products.
    pub fn history(&self, generation: GenerationId, category: CategoryId) -> Result<Option<CategoryHistory>, StoreError> {
        self.document(generation, DocumentName::History(category))
    }

    /// The track record as it stood when the generation was published.
    pub fn record(&self, generation: GenerationId) -> Result<Option<TrackRecord>, StoreError> {
        self.document(generation, DocumentName::Record)
    }

    /// Follows the current generation. Also marked as changed when an earlier day is published anew.
    pub fn subscribe(&self) -> watch::Receiver<Option<GenerationId>> {
        self.inner.current.subscribe()
    }

    fn document<T: DeserializeOwned>(&self, generation: GenerationId, name: DocumentName<'_>) -> Result<Option<T>, StoreError> {
        let key = name.to_string();
        let packed = self.read(&key, |reading| tables::document(reading, generation, &key))?;
        packed.map(|packed| pack::unpack(&key, &packed)).transpose()
    }

    /// Reads in one transaction. After a failed write redb refuses further work until it is reopened, so that is tried once.
    fn read<T>(&self, what: &str, work: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let attempt = || {
            let database = self.inner.database.read().unwrap_or_else(PoisonError::into_inner);
            let database = database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
            work(&database.begin_read()?)
        };
        attempt()
            .or_else(|error| match error {
                redb::Error::PreviousIo | redb::Error::DatabaseClosed => self.reopen().and_then(|()| attempt()),
                other => Err(other),
            })
            .map_err(|source| StoreError::reading(what, source))
    }

    fn write<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let attempt = || {
            let database = self.inner.database.read().unwrap_or_else(PoisonError::into_inner);
            work(database.as_ref().ok_or(redb::Error::DatabaseClosed)?)
        };
        let outcome = attempt().or_else(|error| match error {
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => self.reopen().and_then(|()| attempt()),
            other => Err(other),
        });
        if outcome.is_err()
            && let Err(error) = self.reopen()
        {
            tracing::warn!(%error, "prediction store cannot be reopened after a failed write, the next use tries again");
        }
        outcome
    }

    /// Closes and opens the file, which repairs it; what was committed is kept.
    fn reopen(&self) -> Result<(), redb::Error> {
        let mut database = self.inner.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        *database = Some(tables::open(&self.inner.path)?);
        Ok(())
    }
}
