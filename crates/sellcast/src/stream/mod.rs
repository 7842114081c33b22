//! The shop's sales as they come: follows the outbox or Kafka in a thread of its own, and tells the server windows and sums. What it
//! has read is saved with its position, so that the next start goes on from there.

mod embedded;
mod kafka;
mod progress;
mod reconcile;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use sellcast_domain::window::EventTime;
use sellcast_features::SellingHours;
use sellcast_server::LiveSales;
use sellcast_stream::{Worker, WorkerSettings, WorkerStatus};
use tokio::task::JoinHandle;

use crate::config::ClockKind;
use crate::engine::Engine;
use embedded::Embedded;
use kafka::Kafka;
pub(crate) use reconcile::Reconciles;

/// A stream that is followed until it is told to stop.
pub(crate) struct Following {
    sales: Arc<dyn LiveSales>,
    stop: Arc<AtomicBool>,
    work: JoinHandle<()>,
}

impl Following {
    /// Begins to follow what the configuration names; `None` where it names nothing.
    pub(crate) async fn start(engine: &Arc<Engine>) -> anyhow::Result<Option<Self>> {
        let section = &engine.config.stream;
        if section.outbox.is_some() || section.kafka.is_some() {
            tokio::spawn(reconcile::watch(Arc::downgrade(engine)));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let halt = stop.clone();
        if let Some(outbox) = &section.outbox {
            let embedded = Arc::new(Embedded::new(engine, outbox)?);
            engine.follow_windows(embedded.clone());
            let sales = embedded.clone();
            let work = tokio::task::spawn_blocking(move || embedded.run(&halt));
            return Ok(Some(Self { sales, stop, work }));
        }
        let Some(kafka) = &section.kafka else { return Ok(None) };
        let kafka = Arc::new(Kafka::new(engine, kafka).await?);
        engine.follow_windows(kafka.clone());
        let sales = kafka.clone();
        let work = tokio::task::spawn_blocking(move || kafka.run(&halt));
        Ok(Some(Self { sales, stop, work }))
    }

    /// What the server asks.
    pub(crate) fn sales(&self) -> Arc<dyn LiveSales> {
        self.sales.clone()
    }

    /// Saves what was read and ends.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Err(error) = self.work.await {
            tracing::error!(%error, "the stream did not end as it should");
        }
    }
}

/// A worker of the group without a server, until `stop`. Failures are told and tried again: a topic may come later.
pub(crate) fn work(settings: &WorkerSettings, stop: &AtomicBool) {
    let (is_told, warnings) = (AtomicBool::new(false), Warnings::default());
    kafka::again_until(stop, "this worker cannot work", || {
        Worker::join(settings.clone())?.run(stop, kafka::wall, |status| {
            warn_of_poison(&warnings, status);
            if status.is_level && !is_told.swap(true, Ordering::Relaxed) {
                tracing::info!(partitions = status.positions.len(), held = status.held, "all that Kafka has is followed");
            }
        })
    });
}

fn warn_of_poison(warnings: &Warnings, status: &WorkerStatus) {
    match &status.newest_poison {
        Some(newest) => warnings.tell(status.changes.poison, newest),
        // Those of earlier workers were tried again when their partitions were taken.
        None => warnings.begin_at(status.changes.poison),
    }
}

/// Warns of events that are not understood, when there are more of them.
#[derive(Debug, Default)]
struct Warnings {
    known: AtomicU64,
}

impl Warnings {
    /// So many are known, and were tried again.
    fn begin_at(&self, dead: u64) {
        self.known.store(dead, Ordering::Relaxed);
    }

    /// `newest` says where the newest one stands and what is wrong with it.
    fn tell(&self, dead: u64, newest: &str) {
        let more = dead.saturating_sub(self.known.swap(dead, Ordering::Relaxed));
        if more > 0 {
            tracing::warn!(more, newest, "{more} events were not understood; mend [stream] and start again, they are tried once more");
        }
    }
}

/// The shop's clock, once it is known: of past data only the first forecast tells it.
fn shop_time(engine: &Engine) -> Option<DateTime<Utc>> {
    let is_known = engine.config.shop.clock == ClockKind::System
        || engine.store.current().is_some()
        || engine.board.status().is_some_and(|status| status.replay.is_some());
    is_known.then(|| engine.shop_time())
}

/// Where past data tells the shop's clock, it goes on with the head of what was followed: a sale that is ahead of the clock would be
/// counted as sold although nothing of the period has passed. Returns the head, if anything was followed.
fn note_head(engine: &Engine, head: Option<EventTime>) -> Option<DateTime<Utc>> {
    let head = head.filter(|head| *head > EventTime::default()).and_then(instant)?;
    engine.sold_until(head);
    Some(head)
}

fn instant(at: EventTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(at.seconds().into(), 0)
}

/// How categories sell over the week, read from the warehouse as the newest forecast left it.
async fn selling_hours(engine: &Engine) -> SellingHours {
    let Some(as_of) = engine.published_as_of() else { return SellingHours::default() };
    SellingHours::read(&engine.warehouse, as_of).await.unwrap_or_else(|error| {
        let error = anyhow::Error::from(error);
        tracing::warn!(error = format!("{error:#}"), "the hours at which the shop sells cannot be read; all count the same");
        SellingHours::default()
    })
}
