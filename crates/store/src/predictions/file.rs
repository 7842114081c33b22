//! The store in one redb file, for one process. Everything here blocks; the parent keeps it off the runtime.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::{Database, ReadTransaction, ReadableDatabase};
use sellcast_domain::{Generation, GenerationId};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::pack::{self, DocumentName};
use super::tables::{self, Written};
use super::{GenerationDocuments, StoreError, blocking};

/// An open file. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FileStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// `None` only between a failed write and the next successful reopening.
    database: RwLock<Option<Database>>,
    /// One publication at a time, from its first byte to its announcement.
    publishing: Mutex<()>,
    current: watch::Sender<Option<Arc<Generation>>>,
}

impl FileStore {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = tables::open(path).map_err(|source| StoreError::opening(path, source))?;
        let current = tables::current(&database).map_err(|source| StoreError::opening(path, source))?;
        let store = Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                database: RwLock::new(Some(database)),
                publishing: Mutex::new(()),
                current: watch::Sender::new(None),
            }),
        };
        if let Some(id) = current {
            match store.document(id, &DocumentName::Generation.to_string()) {
                Ok(generation) => drop(store.inner.current.send_replace(generation.map(Arc::new))),
                // The next publication mends it.
                Err(error) => tracing::warn!(%error, generation = %id, "generation {id} is current and cannot be read"),
            }
        }
        Ok(store)
    }

    pub(super) fn publish(&self, documents: &GenerationDocuments) -> Result<(), StoreError> {
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
        self.inner.current.send_modify(|seen| {
            if current == id {
                *seen = Some(Arc::new(documents.generation.clone()));
            }
        });
        Ok(())
    }

    pub(super) fn current(&self) -> &watch::Sender<Option<Arc<Generation>>> {
        &self.inner.current
    }

    pub(super) fn document<T: DeserializeOwned>(&self, generation: GenerationId, key: &str) -> Result<Option<T>, StoreError> {
        let packed = self.read(key, |reading| tables::document(reading, generation, key))?;
        packed.map(|packed| pack::unpack(key, &packed)).transpose()
    }

    /// Reads in one transaction, off the runtime; `what` is named if that fails.
    pub(super) async fn look_up<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        blocking(move || store.read(what, work)).await
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

    pub(super) fn write<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
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
