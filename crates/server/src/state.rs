//! What every handler shares. One task follows the store and swaps the snapshot; it ends when the last
//! state is dropped.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use sellcast_domain::{Generation, ShopDay};
use sellcast_store::{LiveBoard, PredictionStore};
use tokio::sync::{Semaphore, watch};

use crate::answers::Answers;
use crate::clock::Clock;
use crate::features::FeatureReads;
use crate::forecasts::Forecasts;
use crate::graphql::{self, ForecastSchema};
use crate::live_frames::LiveFrames;
use crate::live_keeping;
use crate::live_sales::LiveSales;
use crate::settings::ServerSettings;
use crate::snapshot::Snapshot;
use crate::what_if::WhatIf;

/// How long to wait before a generation that could not be read is tried again.
const RETRY_LOADING: Duration = Duration::from_secs(2);
/// How often the stream of sales is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// The server's state. Clones share everything.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    settings: ServerSettings,
    live: LiveBoard,
    clock: Clock,
    forecasts: Forecasts,
    live_frames: LiveFrames,
    answers: Answers,
    schema: ForecastSchema,
    permits: Semaphore,
    viewers: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    metrics: PrometheusHandle,
    what_if: OnceLock<Arc<dyn WhatIf>>,
    features: OnceLock<Arc<dyn FeatureReads>>,
}

/// The state, for tasks that shall not keep it alive.
pub(crate) struct WeakState {
    inner: Weak<Inner>,
}

impl WeakState {
    pub(crate) fn upgrade(&self) -> Option<AppState> {
        self.inner.upgrade().map(|inner| AppState { inner })
    }
}

impl AppState {
    /// Begins to follow the store's current generation. Needs a tokio runtime around it.
    pub fn new(store: PredictionStore, live: LiveBoard, clock: Clock, settings: ServerSettings) -> Self {
        let metrics = crate::metrics::install();
        let published = store.subscribe();
        let forecasts = Forecasts::new(store);
        let inner = Inner {
            live,
            schema: graphql::schema(),
            answers: Answers::new(settings.answer_cache_bytes),
            permits: Semaphore::new(settings.max_concurrent),
            viewers: Arc::new(Semaphore::new(settings.max_viewers)),
            closing: watch::Sender::new(false),
            clock,
            forecasts,
            live_frames: LiveFrames::new(),
            settings,
            metrics,
            what_if: OnceLock::new(),
            features: OnceLock::new(),
        };
        let state = Self { inner: Arc::new(inner) };
        tokio::spawn(follow(state.weak(), published));
        state
    }

    /// Names who answers what-if questions; the first one named answers.
    #[must_use]
    pub fn answering(self, what_if: Arc<dyn WhatIf>) -> Self {
        self.inner.what_if.get_or_init(|| what_if);
        self
    }

    /// Names who reads features; the first one named does.
    #[must_use]
    pub fn reading(self, features: Arc<dyn FeatureReads>) -> Self {
        self.inner.features.get_or_init(|| features);
        self
    }

    /// Names who follows the sales; the first one named is followed. Needs a tokio runtime around it.
    #[must_use]
    pub fn following(self, sales: Arc<dyn LiveSales>) -> Self {
        self.inner.live_frames.follow(sales);
        tokio::spawn(look(self.weak()));
        tokio::spawn(live_keeping::keep(self.weak()));
        self
    }

    fn weak(&self) -> WeakState {
        WeakState { inner: Arc::downgrade(&self.inner) }
    }

    pub(crate) fn live_frames(&self) -> &LiveFrames {
        &self.inner.live_frames
    }

    pub(crate) fn features(&self) -> Option<&Arc<dyn FeatureReads>> {
        self.inner.features.get()
    }

    pub(crate) fn what_if(&self) -> Option<&Arc<dyn WhatIf>> {
        self.inner.what_if.get()
    }

    /// Waits until the store's current generation is the one that requests see. At once if there is none.
    pub async fn caught_up(&self) {
        let published = self.inner.forecasts.store().subscribe();
        let mut snapshots = self.inner.forecasts.subscribe();
        let seen = |snapshot: &Option<Arc<Snapshot>>| {
            snapshot.as_ref().map(|snapshot| snapshot.generation.generation_id)
                == published.borrow().as_ref().map(|generation| generation.generation_id)
        };
        // The sender lives as long as this state, so waiting cannot fail.
        let _ = snapshots.wait_for(seen).await;
    }

    /// Ends the event streams; part of shutting down.
    pub(crate) fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.inner.closing.subscribe()
    }

    pub(crate) fn metrics(&self) -> &PrometheusHandle {
        &self.inner.metrics
    }

    pub(crate) fn settings(&self) -> &ServerSettings {
        &self.inner.settings
    }

    pub(crate) fn live(&self) -> &LiveBoard {
        &self.inner.live
    }

    pub(crate) fn forecasts(&self) -> &Forecasts {
        &self.inner.forecasts
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.inner.answers
    }

    pub(crate) fn schema(&self) -> &ForecastSchema {
        &self.inner.schema
    }

    pub(crate) fn permits(&self) -> &Semaphore {
        &self.inner.permits
    }

    pub(crate) fn viewers(&self) -> &Arc<Semaphore> {
        &self.inner.viewers
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.inner.clock)()
    }

    /// The running shop day.
    pub(crate) fn today(&self) -> ShopDay {
        ShopDay::of(self.now(), self.inner.settings.zone)
    }
}

async fn follow(weak: WeakState, mut published: watch::Receiver<Option<Arc<Generation>>>) {
    loop {
        let wanted = published.borrow_and_update().as_ref().map(|generation| generation.generation_id);
        if let Some(id) = wanted {
            let Some(state) = weak.upgrade() else { return };
            let loaded = state.forecasts().load(id).await;
            drop(state);
            if let Err(error) = loaded {
                let error = chain(&error);
                tracing::error!(%error, generation = %id, "generation {id} cannot be loaded, the former one stays");
                tokio::time::sleep(RETRY_LOADING).await;
                if weak.upgrade().is_none() {
                    return;
                }
                continue;
            }
        }
        if published.changed().await.is_err() || weak.upgrade().is_none() {
            return;
        }
    }
}

/// Looks whether the sales have moved on.
async fn look(weak: WeakState) {
    let mut seen = None;
    while let Some(state) = weak.upgrade() {
        seen = state.live_frames().look(seen);
        drop(state);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
