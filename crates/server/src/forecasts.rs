//! Finds the forecast that a request asks for: today's from the snapshot, a past date's from the store
//! through bounded caches. Says when an answer is stale, and lowers its confidence by a stated rule.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::future::Cache;
use sellcast_domain::{
    CategoryHistory, CategoryId, Continuation, Generation, GenerationId, Problem, ProblemKind, ShopDay, TimeFrame, TrackRecord,
};
use sellcast_store::{PredictionStore, StoreError};
use tokio::sync::watch;

use crate::snapshot::{FrameDocument, Snapshot};
use crate::state::chain;

/// Frames of past generations kept parsed; one of a large shop takes some tens of MiB.
const PAST_FRAMES: u64 = 12;
/// Categories whose long lists and histories are kept parsed.
const CATEGORIES: u64 = 1_000;

/// The generation that answers a request.
#[derive(Clone, Debug)]
pub(crate) struct Edition {
    pub(crate) generation: Arc<Generation>,
    /// Days between its first day and the asked one; 0 when it is what was asked for.
    pub(crate) days_late: i64,
    /// Present for the current generation.
    snapshot: Option<Arc<Snapshot>>,
}

impl Edition {
    pub(crate) fn id(&self) -> GenerationId {
        self.generation.generation_id
    }

    /// Why the answer is stale, in words; `None` when it is not.
    pub(crate) fn stale_reason(&self) -> Option<String> {
        let days = self.days_late;
        let unit = if days == 1 { "day" } else { "days" };
        (days > 0)
            .then(|| format!("made for {}, {days} {unit} before the shop's day: no newer forecast is published", self.generation.as_of))
    }

    /// Confidence as it may still be claimed: of a stale forecast only the share of its period that a fresh one
    /// would still have, `days / (days + days late)`.
    pub(crate) fn confidence(&self, said: f64, document: &FrameDocument) -> f64 {
        if self.days_late <= 0 {
            return said;
        }
        let days = document.document.period().days() as f64;
        said * days / (days + self.days_late as f64)
    }
}

/// Access to published forecasts.
pub(crate) struct Forecasts {
    store: PredictionStore,
    current: watch::Sender<Option<Arc<Snapshot>>>,
    serials: AtomicU64,
    past: Cache<(GenerationId, TimeFrame), Option<Arc<FrameDocument>>>,
    past_arms: Cache<(GenerationId, String), Option<Arc<FrameDocument>>>,
    continuations: Cache<(GenerationId, TimeFrame, CategoryId), Option<Arc<Continuation>>>,
    arm_continuations: Cache<(GenerationId, String, CategoryId), Option<Arc<Continuation>>>,
    histories: Cache<(GenerationId, CategoryId), Option<Arc<CategoryHistory>>>,
}

impl Forecasts {
    pub(crate) fn new(store: PredictionStore) -> Self {
        Self {
            store,
            current: watch::Sender::new(None),
            serials: AtomicU64::new(1),
            past: Cache::new(PAST_FRAMES),
            past_arms: Cache::new(PAST_FRAMES),
            continuations: Cache::new(CATEGORIES),
            arm_continuations: Cache::new(CATEGORIES),
            histories: Cache::new(CATEGORIES),
        }
    }

    pub(crate) fn store(&self) -> &PredictionStore {
        &self.store
    }

    /// Loads a generation and makes it the current snapshot.
    pub(crate) async fn load(&self, id: GenerationId) -> Result<(), StoreError> {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        if let Some(snapshot) = Snapshot::load(&self.store, id, serial).await? {
            self.current.send_replace(Some(Arc::new(snapshot)));
        }
        Ok(())
    }

    /// The current snapshot.
    pub(crate) fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.borrow().clone()
    }

    /// Serial of the current snapshot, 0 before the first.
    pub(crate) fn stamp(&self) -> (u64, Option<ShopDay>) {
        self.current.borrow().as_ref().map_or((0, None), |snapshot| (snapshot.serial, Some(snapshot.generation.as_of)))
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Arc<Snapshot>>> {
        self.current.subscribe()
    }

    /// The generation for `date`, or for `today` when none is asked for: then the newest one, however late.
    pub(crate) async fn edition(&self, date: Option<ShopDay>, today: ShopDay) -> Result<Edition, Problem> {
        let Some(snapshot) = self.current() else { return Err(not_ready()) };
        let as_of = snapshot.generation.as_of;
        match date {
            Some(date) if date != as_of => self.past_edition(date).await,
            asked => {
                let days_late = if asked.is_some() { 0 } else { today.days_since(as_of).max(0) };
                Ok(Edition { generation: snapshot.generation.clone(), days_late, snapshot: Some(snapshot) })
            }
        }
    }

    /// A frame's document of an edition.
    pub(crate) async fn document(&self, edition: &Edition, frame: TimeFrame) -> Result<Arc<FrameDocument>, Problem> {
        let found = match &edition.snapshot {
            Some(snapshot) => snapshot.frames.get(&frame).cloned(),
            None => {
                let id = edition.id();
                self.cached(&self.past, (id, frame), async { Ok(self.store.prediction(id, frame).await?.map(FrameDocument::new)) }).await?
            }
        };
        found.ok_or_else(|| {
            Problem::new(
                ProblemKind::NothingPublished,
                format!("no `{frame}` forecast was published for {}; ask for another timeFrame", edition.generation.as_of),
            )
        })
    }

    /// A frame's document as a user gets it, and the arm that the user falls to where an experiment runs.
    pub(crate) async fn document_for(
        &self,
        edition: &Edition,
        frame: TimeFrame,
        user_key: Option<&str>,
    ) -> Result<(Arc<FrameDocument>, Option<String>), Problem> {
        let experiment = edition.generation.experiment.as_ref().filter(|experiment| experiment.frame == frame);
        let arm = experiment.and_then(|experiment| experiment.arm_of(user_key)).map(|arm| arm.name.clone());
        let own = match (&arm, &edition.snapshot) {
            (None, _) => None,
            (Some(arm), Some(snapshot)) => snapshot.arms.get(arm).cloned(),
            (Some(arm), None) => {
                let id = edition.id();
                self.cached(&self.past_arms, (id, arm.clone()), async { Ok(self.store.arm(id, arm).await?.map(FrameDocument::new)) })
                    .await?
            }
        };
        match own {
            Some(document) => Ok((document, arm)),
            // The published arm reads what everybody reads.
            None => Ok((self.document(edition, frame).await?, arm)),
        }
    }

    /// The products of a category beyond its first 100, in an arm's forecast or in the published one.
    pub(crate) async fn continuation_for(
        &self,
        edition: &Edition,
        frame: &FrameDocument,
        category: CategoryId,
        arm: Option<&str>,
    ) -> Result<Option<Arc<Continuation>>, Problem> {
        if frame.live_as_of.is_some() {
            return Ok(frame.rest(category).cloned());
        }
        if let Some(arm) = arm {
            let id = edition.id();
            let read = self.store.arm_continuation(id, arm, category);
            if let Some(found) = self.cached(&self.arm_continuations, (id, arm.to_owned(), category), read).await? {
                return Ok(Some(found));
            }
        }
        self.continuation(edition, frame, category).await
    }

    /// The products of a category beyond its first 100.
    pub(crate) async fn continuation(
        &self,
        edition: &Edition,
        frame: &FrameDocument,
        category: CategoryId,
    ) -> Result<Option<Arc<Continuation>>, Problem> {
        if frame.live_as_of.is_some() {
            return Ok(frame.rest(category).cloned());
        }
        let (id, frame) = (edition.id(), frame.document.time_frame);
        self.cached(&self.continuations, (id, frame, category), self.store.continuation(id, frame, category)).await
    }

    /// Weekly sales of a category and its products.
    pub(crate) async fn history(&self, edition: &Edition, category: CategoryId) -> Result<Option<Arc<CategoryHistory>>, Problem> {
        let id = edition.id();
        self.cached(&self.histories, (id, category), self.store.history(id, category)).await
    }

    /// The track record as the edition knows it.
    pub(crate) async fn record(&self, edition: &Edition) -> Result<Arc<TrackRecord>, Problem> {
        match &edition.snapshot {
            Some(snapshot) => Ok(snapshot.record.clone()),
            None => {
                let record = self.store.record(edition.id()).await.map_err(unreadable)?;
                Ok(Arc::new(record.unwrap_or_default()))
            }
        }
    }

    async fn past_edition(&self, date: ShopDay) -> Result<Edition, Problem> {
        if let Some(generation) = self.store.generation_for(date).await.map_err(unreadable)? {
            return Ok(Edition { generation: Arc::new(generation), days_late: 0, snapshot: None });
        }
        match self.store.nearest(date).await.map_err(unreadable)? {
            Some(nearest) => {
                let detail = format!("nothing was published for {date}; the nearest date is {nearest}");
                Err(Problem { nearest_date: Some(nearest), ..Problem::new(ProblemKind::NothingPublished, detail) })
            }
            None => Err(not_ready()),
        }
    }

    async fn cached<K, T>(
        &self,
        cache: &Cache<K, Option<Arc<T>>>,
        key: K,
        read: impl Future<Output = Result<Option<T>, StoreError>>,
    ) -> Result<Option<Arc<T>>, Problem>
    where
        K: Hash + Eq + Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let load = async { read.await.map(|found| found.map(Arc::new)).map_err(unreadable) };
        // Several requests for one key wait for a single reading.
        cache.try_get_with(key, load).await.map_err(Arc::unwrap_or_clone)
    }
}

/// No generation is there yet.
pub(crate) fn not_ready() -> Problem {
    Problem::new(ProblemKind::NotReady, "the first forecast is being made from the shop's sales; try again in a few seconds")
}

fn unreadable(error: StoreError) -> Problem {
    let error = chain(&error);
    tracing::error!(%error, "a published document cannot be read");
    Problem::new(ProblemKind::Internal, "a published document cannot be read; the log of the server says why")
}
