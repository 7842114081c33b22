//! The job queue (apalis on SQLite): nightly runs and trainings are durable jobs, each on a queue of its own, so that a
//! training in the background never holds a night up. A job that a killed process left is taken up again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use apalis::prelude::{BackendExt, BoxDynError, Data, TaskBuilder, TaskSink, WorkerBuilder};
use apalis_sqlite::{Config, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use chrono::{DateTime, Utc};
use sellcast_domain::ShopDay;
use sellcast_warehouse::SilentProgress;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::engine::Engine;
use crate::folder::Folder;

/// How often a worker looks for jobs; without it the library looks at each heartbeat only, every 30 s.
const POLL: Duration = Duration::from_millis(250);

/// Closes a shop day: ingest, score, learn, forecast the next day on, publish.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Nightly {
    /// The first day that is not over.
    pub(crate) as_of: ShopDay,
    /// The shop's clock at the run.
    pub(crate) now: DateTime<Utc>,
}

/// Trains all frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Train {
    pub(crate) as_of: ShopDay,
    pub(crate) now: DateTime<Utc>,
}

/// What became of the newest job of a kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// Its as_of.
    pub(crate) as_of: Option<ShopDay>,
    pub(crate) seconds: f64,
    pub(crate) error: Option<String>,
    /// Why a retraining is asked for.
    pub(crate) retrain: Option<String>,
}

/// The queues with their workers.
pub(crate) struct Jobs {
    nightly: SqliteStorage<Nightly>,
    training: SqliteStorage<Train>,
    outcomes: Outcomes,
}

#[derive(Clone)]
struct Outcomes {
    nightly: Arc<watch::Sender<Outcome>>,
    training: Arc<watch::Sender<Outcome>>,
}

/// The queue lies in the data folder, because the work it orders is done on what lies there.
async fn open_queue(folder: &Folder) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(folder.metadata()).create_if_missing(true);
    let options = options.busy_timeout(Duration::from_secs(10)).pragma("journal_mode", "wal");
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
    SqliteStorage::setup(&pool).await?;
    Ok(pool)
}

fn queue(name: &str) -> Config {
    Config::default().queue(name).batch_size(1)
}

impl Jobs {
    /// Sets the queues up and starts their workers, which live as long as the runtime.
    pub(crate) async fn start(engine: &Arc<Engine>) -> anyhow::Result<Self> {
        let pool = &open_queue(&engine.folder).await.context("cannot set up the job queue")?;
        let outcomes = Outcomes { nightly: Arc::new(watch::Sender::default()), training: Arc::new(watch::Sender::default()) };
        let nightly = SqliteStorage::<Nightly>::new(pool).with_config(queue("nightly"));
        let training = SqliteStorage::<Train>::new(pool).with_config(queue("training"));
        let (engine, outcome) = (engine.clone(), outcomes.clone());
        let (for_nights, for_trainings) = (engine.clone(), outcomes.clone());
        let backend = nightly.clone();
        keep_working("nightly", move |name| {
            WorkerBuilder::new(name)
                .backend(backend.clone().poll_with_interval(POLL))
                .data(for_nights.clone())
                .data(outcome.clone())
                .build(run_nightly)
                .run()
        });
        let backend = training.clone();
        keep_working("training", move |name| {
            WorkerBuilder::new(name)
                .backend(backend.clone().poll_with_interval(POLL))
                .data(engine.clone())
                .data(for_trainings.clone())
                .build(run_training)
                .run()
        });
        Ok(Self { nightly, training, outcomes })
    }

    /// Queues a nightly run and waits until it is over.
    pub(crate) async fn close_day(&self, job: Nightly) -> anyhow::Result<Outcome> {
        let as_of = job.as_of;
        let mut outcome = self.outcomes.nightly.subscribe();
        let task = TaskBuilder::new(job).max_attempts(1).build();
        self.nightly.clone().push_task(task).await.context("cannot queue the nightly run")?;
        let outcome = outcome.wait_for(|outcome| outcome.as_of == Some(as_of)).await?.clone();
        Ok(outcome)
    }

    /// Queues a training; it runs in the background.
    pub(crate) async fn train(&self, job: Train) -> anyhow::Result<()> {
        let task = TaskBuilder::new(job).max_attempts(1).build();
        self.training.clone().push_task(task).await.context("cannot queue the training")
    }

    /// Waits until the training for `as_of` is over.
    pub(crate) async fn trained(&self, as_of: ShopDay) -> anyhow::Result<Outcome> {
        let mut outcome = self.outcomes.training.subscribe();
        let outcome = outcome.wait_for(|outcome| outcome.as_of.is_some_and(|day| day >= as_of)).await?.clone();
        Ok(outcome)
    }
}

/// Runs a worker for as long as the process lives; one that stops on an error is replaced under a new name.
fn keep_working<F, W>(queue: &'static str, worker: F)
where
    F: Fn(String) -> W + Send + 'static,
    W: Future<Output: std::fmt::Debug + Send> + Send,
{
    tokio::spawn(async move {
        for generation in 0_u64.. {
            let ended = worker(format!("{queue}-{}-{generation}", std::process::id())).await;
            let ended = format!("{ended:?}");
            tracing::warn!(ended, "the {queue} worker has stopped and is started again");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

/// The work itself runs in a task of its own: the worker's task also keeps the queue's heartbeat and must not be held up.
async fn run_nightly(job: Nightly, engine: Data<Arc<Engine>>, outcomes: Data<Outcomes>) -> Result<(), BoxDynError> {
    let started = Instant::now();
    let (engine, as_of) = (Arc::clone(&engine), job.as_of);
    let work = tokio::spawn(async move {
        // A job that a killed process left behind may have been done under another name meanwhile.
        if engine.published_as_of().is_some_and(|newest| newest >= job.as_of) {
            return Ok(None);
        }
        engine.ingest(job.now, &SilentProgress).await?;
        engine.publish(job.as_of, job.now).await?;
        // A drift that cannot be looked for is no reason to fail the night.
        Ok(engine.drift(job.as_of, job.now).await.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "drift cannot be checked");
            None
        }))
    });
    let result = work.await.unwrap_or_else(|panic| Err(panic.into()));
    report(&outcomes.nightly, "nightly run", as_of, started.elapsed(), result)
}

async fn run_training(job: Train, engine: Data<Arc<Engine>>, outcomes: Data<Outcomes>) -> Result<(), BoxDynError> {
    let started = Instant::now();
    let (engine, as_of) = (Arc::clone(&engine), job.as_of);
    let work = tokio::spawn(async move {
        let training = engine.train(job.as_of, job.now, &|step| tracing::info!("{step}")).await?;
        // Frames that failed are noted and warned of; the job has failed only when nothing came of it.
        match training.failed.first() {
            Some((frame, reason)) if training.trained.is_empty() => Err(anyhow::anyhow!("{frame}: {reason}")),
            _ => Ok(()),
        }
    });
    let result = work.await.unwrap_or_else(|panic| Err(panic.into()));
    report(&outcomes.training, "training", as_of, started.elapsed(), result.map(|()| None))
}

fn report(
    sender: &watch::Sender<Outcome>,
    what: &str,
    as_of: ShopDay,
    took: Duration,
    result: anyhow::Result<Option<String>>,
) -> Result<(), BoxDynError> {
    let seconds = took.as_secs_f64();
    let error = result.as_ref().err().map(|error| format!("{error:#}"));
    match &error {
        None => tracing::info!(%as_of, seconds, "{what} done"),
        Some(error) => tracing::error!(%as_of, seconds, error, "{what} failed"),
    }
    let retrain = result.as_ref().ok().cloned().flatten();
    sender.send_replace(Outcome { as_of: Some(as_of), seconds, error, retrain });
    result.map(drop).map_err(Into::into)
}
