//! The store in a keyspace of a cluster that speaks Cassandra's protocol, for many processes on many machines.
//!
//! Documents are read from one copy (`LOCAL_ONE`), and from a quorum where that copy lacks one: a manifest of each edition
//! says what must be there. The list of publications is kept in memory and read on every second at `LOCAL_QUORUM`, or from
//! one copy while no quorum answers.

mod address;
mod catalog;
mod live;
mod publish;
mod statements;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use sellcast_domain::{Generation, GenerationId};
use tokio::sync::watch;
use uuid::Uuid;

pub use address::{ClusterAddress, InvalidClusterAddress};
use catalog::{Catalog, Edition, Row};
use statements::Statements;

use super::error::{Cause, StoreError};
use super::pack::{self, DocumentName};

/// How often the publications of other processes are looked for.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Waits before a failed request is tried again: a node that died is known to be dead after the first few.
const PATIENCE: [Duration; 5] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// Partitions of an edition: each stays small, and each node gets its share.
const BUCKETS: i32 = 64;
/// Name of the list of an edition's documents with their numbers of parts.
const MANIFEST: &str = "manifest";
/// Manifests kept in memory; a reader asks for a few generations at a time.
const MANIFESTS: usize = 16;

/// From how many copies the list of publications is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// One, which may lag behind.
    Near,
    /// A quorum: every publication that was acknowledged.
    Sure,
    /// All that any publisher began is settled first.
    Settled,
}

/// Documents of an edition with their numbers of parts.
type Manifest = BTreeMap<String, usize>;

/// A session with the cluster. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    session: Session,
    statements: Statements,
    address: String,
    catalog: RwLock<Catalog>,
    manifests: Mutex<VecDeque<(Edition, Arc<Manifest>)>>,
    current: watch::Sender<Option<Arc<Generation>>>,
    /// One publication of this process at a time.
    publishing: tokio::sync::Mutex<()>,
    /// One announcement at a time, so that an older generation never replaces a newer one.
    announcing: tokio::sync::Mutex<i64>,
}

impl Cluster {
    pub(super) async fn connect(address: &ClusterAddress) -> Result<Self, StoreError> {
        let session = statements::session(address).await?;
        statements::prepare_keyspace(&session, address).await?;
        let statements = Statements::prepare(&session, &address.keyspace).await.map_err(|source| StoreError::Keyspace {
            step: "use the tables",
            address: address.to_string(),
            mend: "another program may have made them: name another keyspace",
            source: source.into(),
        })?;
        let inner = Arc::new(Inner {
            session,
            statements,
            address: address.to_string(),
            catalog: RwLock::default(),
            manifests: Mutex::default(),
            current: watch::Sender::new(None),
            publishing: tokio::sync::Mutex::default(),
            announcing: tokio::sync::Mutex::default(),
        });
        inner.begin().await?;
        tokio::spawn(follow(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    pub(super) fn current(&self) -> &watch::Sender<Option<Arc<Generation>>> {
        &self.inner.current
    }

    pub(super) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.inner.catalog()
    }

    pub(super) async fn document(&self, generation: GenerationId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.document(generation, name).await
    }

    pub(super) async fn check_rights(&self) -> Result<(), StoreError> {
        self.inner.check_rights().await
    }
}

impl Inner {
    fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first reading, again if need be: for some seconds after other nodes have died, one that lives asks them in vain.
    async fn begin(&self) -> Result<(), StoreError> {
        let mut waits = PATIENCE.iter();
        while let Err(error) = self.refresh().await {
            tokio::time::sleep(*waits.next().ok_or(error)?).await;
        }
        Ok(())
    }

    /// Reads what was published since the last reading and tells subscribers.
    async fn refresh(&self) -> Result<(), StoreError> {
        if let Err(error) = self.read_catalog(Reading::Sure).await {
            // What one copy knows is better than nothing, and the next quorum completes it.
            self.read_catalog(Reading::Near).await.map_err(|_| unavailable("published days", error))?;
        }
        self.announce(None).await
    }

    /// Merges what is new into the catalog.
    async fn read_catalog(&self, reading: Reading) -> Result<(), Cause> {
        let known = self.catalog().complete_to();
        let statement = match reading {
            Reading::Near => &self.statements.catalog_near,
            Reading::Sure => &self.statements.catalog_sure,
            Reading::Settled => &self.statements.catalog_settled,
        };
        let rows = rows(self.session.execute_unpaged(statement, (known,)).await?)?;
        let rows: Vec<Row> = rows
            .rows::<(i64, Uuid, i32, i64, i32, Uuid, Vec<u8>)>()?
            .map(|row| {
                let (head, current, current_as_of, revision, as_of, generation, edition) = row?;
                let edition = Edition::try_from(edition).map_err(|_| "an edition in `published` is no digest")?;
                Ok(Row { head, current, current_as_of, revision, as_of, generation, edition })
            })
            .collect::<Result<_, Cause>>()?;
        self.catalog.write().unwrap_or_else(PoisonError::into_inner).merge(&rows, reading != Reading::Near);
        Ok(())
    }

    /// Tells subscribers what is current, if anything was published since they were told.
    async fn announce(&self, own: Option<&Generation>) -> Result<(), StoreError> {
        let mut told = self.announcing.lock().await;
        let Some(pointer) = self.catalog().pointer() else { return Ok(()) };
        if pointer.head == *told {
            return Ok(());
        }
        let seen = self.current.borrow().as_ref().map(|seen| seen.generation_id);
        let newer = match own.filter(|own| own.generation_id == pointer.current) {
            _ if seen == Some(pointer.current) => None,
            Some(own) => Some(own.clone()),
            None => {
                let name = DocumentName::Generation.to_string();
                self.document(pointer.current, &name).await?.map(|packed| pack::unpack(&name, &packed)).transpose()?
            }
        };
        *told = pointer.head;
        self.current.send_modify(|current| {
            if let Some(newer) = newer {
                *current = Some(Arc::new(newer));
            }
        });
        Ok(())
    }

    async fn document(&self, generation: GenerationId, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(edition) = self.catalog().edition(generation) else { return Ok(None) };
        let manifest = self.manifest(edition).await?;
        match manifest.get(name) {
            Some(parts) => self.parts(&edition, name, Some(*parts)).await.map(Some),
            None => Ok(None),
        }
    }

    async fn manifest(&self, edition: Edition) -> Result<Arc<Manifest>, StoreError> {
        let find = |kept: &VecDeque<(Edition, Arc<Manifest>)>| kept.iter().find(|(of, _)| *of == edition).map(|(_, found)| found.clone());
        if let Some(known) = find(&self.manifests.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let packed = self.parts(&edition, MANIFEST, None).await?;
        let manifest: Arc<Manifest> = Arc::new(pack::unpack(MANIFEST, &packed)?);
        let mut kept = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(MANIFESTS - 1);
        kept.push_front((edition, manifest.clone()));
        Ok(manifest)
    }

    /// The parts of a document that must be there, joined. `expected` is how many there are, where that is known.
    async fn parts(&self, edition: &Edition, name: &str, expected: Option<usize>) -> Result<Vec<u8>, StoreError> {
        let key = (edition.as_slice(), bucket(name), name);
        let mut failed: Cause = "its parts are missing".into();
        for statement in [&self.statements.read_parts_near, &self.statements.read_parts_sure] {
            match self.patiently(statement, key).await.and_then(|result| joined(result, expected)) {
                Ok(Some(whole)) => return Ok(whole),
                Ok(None) => {}
                Err(error) => failed = error,
            }
        }
        Err(unavailable(name, failed))
    }

    /// Runs an idempotent statement, again if need be.
    async fn patiently(&self, statement: &PreparedStatement, values: impl SerializeRow + Copy) -> Result<QueryResult, Cause> {
        let mut waits = PATIENCE.iter();
        loop {
            match self.session.execute_unpaged(statement, values).await {
                Ok(done) => return Ok(done),
                Err(error @ ExecutionError::BadQuery(_)) => return Err(error.into()),
                Err(error) => match waits.next() {
                    Some(wait) => {
                        tracing::debug!(%error, "a request to the prediction store failed and is tried again");
                        tokio::time::sleep(*wait).await;
                    }
                    None => return Err(error.into()),
                },
            }
        }
    }

    /// Writes a row beside those of the shop, reads and deletes it.
    async fn check_rights(&self) -> Result<(), StoreError> {
        const NO_SHOP: i32 = -1;
        let refused = |step, source: ExecutionError| StoreError::Keyspace {
            step,
            address: self.address.clone(),
            mend: "grant select and modify on the keyspace, and see that a quorum of its nodes runs",
            source: source.into(),
        };
        let mark = [0_u8; 32];
        let execute = async |statement, step, values: (i32, &[u8])| {
            self.session.execute_unpaged(statement, values).await.map(drop).map_err(|error| refused(step, error))
        };
        execute(&self.statements.begin_attempt, "write a row", (NO_SHOP, &mark)).await?;
        let read = self.session.execute_unpaged(&self.statements.attempts, (NO_SHOP,)).await;
        read.map(drop).map_err(|error| refused("read a row", error))?;
        execute(&self.statements.end_attempt, "delete a row", (NO_SHOP, &mark)).await
    }
}

/// Looks for publications of other processes for as long as the store lives.
async fn follow(inner: Weak<Inner>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(FOLLOW_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let read = inner.refresh().await;
        if let (Err(error), false) = (&read, failing) {
            let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, "new publications cannot be seen, the known ones are served on");
        }
        failing = read.is_err();
    }
}

fn rows(result: QueryResult) -> Result<QueryRowsResult, Cause> {
    Ok(result.into_rows_result()?)
}

/// `None` when a part is missing.
fn joined(result: QueryResult, expected: Option<usize>) -> Result<Option<Vec<u8>>, Cause> {
    let rows = rows(result)?;
    let (mut whole, mut found, mut due) = (Vec::new(), 0, expected);
    for row in rows.rows::<(i32, i32, &[u8])>()? {
        let (parts, _, content) = row?;
        due = due.or(usize::try_from(parts).ok());
        found += 1;
        whole.extend_from_slice(content);
    }
    Ok((due == Some(found)).then_some(whole))
}

fn bucket(name: &str) -> i32 {
    i32::from(blake3::hash(name.as_bytes()).as_bytes()[0]) % BUCKETS
}

fn unavailable(document: &str, source: Cause) -> StoreError {
    StoreError::Unavailable { document: document.to_owned(), source }
}
