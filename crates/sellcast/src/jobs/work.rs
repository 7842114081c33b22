//! The workers: what a job does, and how a process takes jobs. One that a killed process left is taken up by another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use apalis::prelude::{BackendExt, BoxDynError, Data, WorkerBuilder};
use chrono::Utc;
use sellcast_warehouse::Progress;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::queue::{Database, Kind, POLL, Storage};
use super::{Done, Jobs, Nightly, TRAINING, Train};
use crate::config::ClockKind;
use crate::engine::Engine;
use crate::progress::summary;

/// What a worker works with.
#[derive(Clone)]
struct Bench {
    engine: Arc<Engine>,
    database: Database,
    progress: Arc<dyn Progress + Send + Sync>,
}

/// Starts a worker for a queue, whichever database has it, and gives the task that keeps it.
macro_rules! keep_working_on {
    ($database:expr, $queue:expr, $data:expr, $run:path) => {{
        let (queue, data) = ($queue.clone(), $data.clone());
        match queue.storage {
            Storage::File(storage) => keep_working($database.clone(), queue.name, move |name| {
                let backend = storage.clone().poll_with_interval(POLL);
                WorkerBuilder::new(name).backend(backend).data(data.clone()).build($run).run()
            }),
            Storage::Server(storage) => keep_working($database.clone(), queue.name, move |name| {
                let backend = storage.clone().poll_with_interval(POLL);
                WorkerBuilder::new(name).backend(backend).data(data.clone()).build($run).run()
            }),
        }
    }};
}

impl Jobs {
    /// Starts a worker for each queue. They live as long as the runtime.
    pub(crate) async fn work(&self, engine: &Arc<Engine>, progress: Arc<dyn Progress + Send + Sync>) -> anyhow::Result<()> {
        self.database.free().await.context("cannot write the job queue")?;
        let bench = Bench { engine: engine.clone(), database: self.database.clone(), progress };
        keep_working_on!(self.database, self.nightly, bench, run_nightly);
        keep_working_on!(self.database, self.training, bench, run_training);
        Ok(())
    }
}

/// Runs a worker for as long as the process lives; one that stops on an error is replaced under a new name, and its jobs are begun anew.
fn keep_working<F, W>(database: Database, queue: &'static str, worker: F) -> JoinHandle<()>
where
    F: Fn(String) -> W + Send + 'static,
    W: Future<Output: std::fmt::Debug + Send> + Send,
{
    tokio::spawn(async move {
        loop {
            let name = format!("{queue}-{}", Uuid::now_v7());
            let ended = worker(name.clone()).await;
            let ended = format!("{ended:?}");
            tracing::warn!(ended, "the {queue} worker has stopped and is started again");
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                match database.free_of(&name).await {
                    Ok(()) => break,
                    Err(error) => tracing::debug!(%error, "the jobs of the worker that stopped cannot be given up yet"),
                }
            }
        }
    })
}

async fn run_nightly(job: Nightly, bench: Data<Bench>) -> Result<Done, BoxDynError> {
    let as_of = job.as_of;
    let Bench { engine, database, progress } = Bench::clone(&bench);
    apart("nightly run", async move {
        let _turn = database.turn(Kind::Night).await?;
        // A job that a killed process left behind may have been done under another name meanwhile.
        if !job.is_asked && engine.published_as_of().is_some_and(|newest| newest >= as_of) {
            return Ok(Done::default());
        }
        engine.follow_registry().await?;
        engine.until_level().await;
        let told = summary(&engine.ingest(job.now, &*progress).await?);
        engine.publish(as_of, job.now).await?;
        // A training that waits or runs is already what drift would ask for.
        let retrain = if database.is_open(TRAINING).await? {
            None
        } else {
            // A drift that cannot be looked for is no reason to fail the night.
            engine.drift(as_of, job.now).await.unwrap_or_else(|error| {
                tracing::warn!(error = format!("{error:#}"), "drift cannot be checked");
                None
            })
        };
        Ok(Done { told: Some(told), retrain, ..Done::default() })
    })
    .await
}

async fn run_training(job: Train, bench: Data<Bench>) -> Result<Done, BoxDynError> {
    let Bench { engine, database, .. } = Bench::clone(&bench);
    apart("training", async move {
        let _turn = database.turn(Kind::Training).await?;
        engine.follow_registry().await?;
        let training = engine.train(job.as_of, job.now, &|step| tracing::info!("{step}")).await?;
        // Frames that failed are noted and warned of; the job has failed only when nothing came of it.
        if let Some((frame, reason)) = training.failed.first()
            && training.trained.is_empty()
        {
            anyhow::bail!("{frame}: {reason}");
        }
        if let Some(now) = job.publish_at {
            let _night = database.turn(Kind::Night).await?;
            let now = if engine.config.shop.clock == ClockKind::System { Utc::now() } else { now };
            engine.publish(job.as_of, now).await?;
        }
        Ok(Done::default())
    })
    .await
}

/// Does the work in a thread of its own: the threads of the runtime also keep the sign of life of this and other workers.
async fn apart(what: &str, work: impl Future<Output = anyhow::Result<Done>> + Send + 'static) -> Result<Done, BoxDynError> {
    let started = Instant::now();
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await.unwrap_or_else(|panic| Err(panic.into()));
    let seconds = started.elapsed().as_secs_f64();
    match done {
        Ok(done) => {
            tracing::info!(seconds, "{what} done");
            Ok(Done { seconds, ..done })
        }
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(seconds, error, "{what} failed");
            Err(error.into())
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
