//! Which forecast a request sees of a running period: the live one where the stream of sales is followed and up to date, else the
//! published one, with the reason. Live documents are made when they are asked for and kept until the sales have moved on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use moka::future::Cache;
use sellcast_domain::window::EventTime;
use sellcast_domain::{GenerationId, Problem, ProblemKind, TimeFrame};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::forecasts::Edition;
use crate::live_document::{Rests, keys, live_document};
use crate::live_sales::{LiveSales, Standing};
use crate::snapshot::FrameDocument;
use crate::state::AppState;

/// Live documents are made anew at most this often.
pub(crate) const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// And never so often that making one takes more than this part of the time.
pub(crate) const LARGEST_PART: u32 = 20;
/// Documents that are kept: every frame, and arms of an experiment.
const DOCUMENTS: u64 = 16;

/// Where the numbers of an answer come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// Sold so far and the expected rest, as of an instant.
    Live(DateTime<Utc>),
    /// As published.
    Batch,
    /// As published, because the stream stands still: since when, if it ever had caught up.
    Still(Option<DateTime<Utc>>),
}

impl Basis {
    /// The name in APIs.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Live(_) => "live",
            Self::Batch | Self::Still(_) => "batch",
        }
    }
}

/// A forecast to be shown.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) frame: Arc<FrameDocument>,
    pub(crate) basis: Basis,
}

type Key = (GenerationId, TimeFrame, Option<String>, u64);

/// The running sales and the documents made from them.
pub(crate) struct LiveFrames {
    sales: OnceLock<Arc<dyn LiveSales>>,
    /// Grows when live documents are to be made anew.
    round: watch::Sender<u64>,
    kept: Cache<Key, Option<Arc<FrameDocument>>>,
    took_millis: AtomicU64,
}

impl LiveFrames {
    pub(crate) fn new() -> Self {
        Self { sales: OnceLock::new(), round: watch::Sender::new(0), kept: Cache::new(DOCUMENTS), took_millis: AtomicU64::new(0) }
    }

    /// Begins to follow; the first one named is followed.
    pub(crate) fn follow(&self, sales: Arc<dyn LiveSales>) {
        self.sales.get_or_init(|| sales);
    }

    /// Whoever knows the sales.
    pub(crate) fn sales(&self) -> Option<&Arc<dyn LiveSales>> {
        self.sales.get()
    }

    /// The present round, 0 where no stream is followed.
    pub(crate) fn round(&self) -> u64 {
        *self.round.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.round.subscribe()
    }

    /// Begins a round if the stream came further since `seen`, and says what it saw.
    pub(crate) fn look(&self, seen: Option<(Standing, Instant)>) -> Option<(Standing, Instant)> {
        let standing = self.sales.get()?.standing();
        let pause = LEAST_PAUSE.max(Duration::from_millis(self.took_millis.load(Ordering::Relaxed)) * LARGEST_PART);
        match seen {
            Some((before, at)) if before == standing || at.elapsed() < pause => Some((before, at)),
            _ => {
                self.round.send_modify(|round| *round += 1);
                Some((standing, Instant::now()))
            }
        }
    }
}

impl AppState {
    /// The forecast of an edition as it is to be shown: the published `frame`, or the live one if it is asked for and can be had.
    pub(crate) async fn shown(
        &self,
        edition: &Edition,
        frame: Arc<FrameDocument>,
        arm: Option<&str>,
        wants_live: bool,
    ) -> Result<Shown, Problem> {
        let frames = self.live_frames();
        let Some(sales) = frames.sales().filter(|_| wants_live) else { return Ok(Shown { frame, basis: Basis::Batch }) };
        let standing = sales.standing();
        let zone = self.settings().zone;
        let period = frame.document.period();
        let (begins, ends) = (period.start().starts_at(zone), (period.last_day() + 1).starts_at(zone));
        let now = self.now();
        if now < begins || now >= ends {
            return Ok(Shown { frame, basis: Basis::Batch });
        }
        let as_of = match standing {
            Standing { as_of: Some(as_of), is_still: false, .. } => as_of.min(now),
            Standing { as_of, .. } => return Ok(Shown { frame, basis: Basis::Still(as_of) }),
        };
        if as_of < begins {
            return Ok(Shown { frame, basis: Basis::Batch });
        }
        let key = (edition.id(), frame.document.time_frame, arm.map(str::to_owned), frames.round());
        let made = frames.kept.try_get_with(key, self.make(sales, edition, &frame, arm, (begins, as_of, zone))).await;
        let made = made.map_err(|problem: Arc<Problem>| Arc::unwrap_or_clone(problem))?;
        Ok(match made {
            Some(live) => {
                let basis = live.live_as_of.map_or(Basis::Batch, Basis::Live);
                Shown { frame: live, basis }
            }
            // Its beginning is further back than the windows.
            None => Shown { frame, basis: Basis::Batch },
        })
    }

    async fn make(
        &self,
        sales: &Arc<dyn LiveSales>,
        edition: &Edition,
        frame: &Arc<FrameDocument>,
        arm: Option<&str>,
        (begins, as_of, zone): (DateTime<Utc>, DateTime<Utc>, Tz),
    ) -> Result<Option<Arc<FrameDocument>>, Problem> {
        let mut rests = Rests::new();
        let long = |category: &&sellcast_domain::CategoryPrediction| category.total_products as usize > category.top_products.len();
        for category in frame.document.categories.iter().filter(long) {
            let found = self.forecasts().continuation_for(edition, frame, category.category_id, arm).await?;
            rests.extend(found.map(|found| (category.category_id, found)));
        }
        let Ok(since) = EventTime::try_from(begins.timestamp()) else { return Ok(None) };
        let (sales, frame) = (sales.clone(), frame.clone());
        let started = Instant::now();
        let make = move || {
            let keys = keys(&frame.document, &rests);
            let sold = sales.sold_since(&keys, since)?;
            let period = frame.document.period();
            let course = |category| sales.profile(category).course(period, as_of, zone);
            let (document, rests) = live_document(&frame.document, &rests, &sold, course);
            Some(Arc::new(FrameDocument::live(document, rests, as_of)))
        };
        let made = spawn_blocking(make).await.map_err(|error| {
            tracing::error!(%error, "a live forecast cannot be made");
            Problem::new(ProblemKind::Internal, "the live forecast cannot be made; ask with live=false for the published one")
        })?;
        self.live_frames().took_millis.store(started.elapsed().as_millis() as u64, Ordering::Relaxed);
        Ok(made)
    }
}
