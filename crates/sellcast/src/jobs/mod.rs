//! The jobs (apalis): nightly runs and trainings are durable jobs, each on a queue of its own, so that a training in the background
//! never holds a night up. The queues lie in the data folder's SQLite file, or in the PostgreSQL of `store.metadata`, where the
//! processes of several machines share the work: each job is queued once, whoever asks for it, and is done by one of them.

mod queue;
mod work;

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sellcast_domain::ShopDay;
use serde::{Deserialize, Serialize};

use crate::stores::Stores;
use queue::{Database, Queue};

pub(crate) use queue::{Listed, Ticket};

/// Closes a shop day: ingest, score, learn, forecast the next day on, publish.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Nightly {
    /// The first day that is not over.
    pub(crate) as_of: ShopDay,
    /// The shop's clock at the run.
    pub(crate) now: DateTime<Utc>,
    /// Somebody asked for it now: it is run also when there is a forecast for the day.
    #[serde(default)]
    pub(crate) is_asked: bool,
}

/// Trains all frames.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Train {
    pub(crate) as_of: ShopDay,
    pub(crate) now: DateTime<Utc>,
    /// Publishes the day once more with the new models, at this time of the shop's clock where that is not the system's.
    #[serde(default)]
    pub(crate) publish_at: Option<DateTime<Utc>>,
}

/// What a job did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) seconds: f64,
    /// What was read from the shop, in words.
    #[serde(default)]
    pub(crate) told: Option<String>,
    /// Why a retraining is asked for.
    #[serde(default)]
    pub(crate) retrain: Option<String>,
}

/// Name of the queue of trainings.
const TRAINING: &str = "training";

/// The queues.
#[derive(Clone)]
pub(crate) struct Jobs {
    nightly: Queue<Nightly>,
    training: Queue<Train>,
    database: Database,
}

impl Jobs {
    /// Opens the queues on the server of `store.metadata`, or in `file`, making them where they are missing.
    pub(crate) async fn open(stores: &Stores, file: &Path) -> anyhow::Result<Self> {
        let database = Database::open(stores.metadata(), file).await.context("cannot set up the job queue")?;
        Ok(Self { nightly: Queue::new(&database, "nightly"), training: Queue::new(&database, TRAINING), database })
    }

    /// Queues a nightly run, unless it is queued or done already, and waits until it is over. The inner error is the run's own.
    pub(crate) async fn close_day(&self, job: Nightly) -> anyhow::Result<Result<Done, String>> {
        let ticket = self.ask_night(&job).await?;
        Ok(self.night_over(&ticket).await)
    }

    /// Queues a nightly run, unless it is queued or done already.
    pub(crate) async fn ask_night(&self, job: &Nightly) -> anyhow::Result<Ticket> {
        let mut key = job.as_of.to_string();
        if job.is_asked {
            // Whoever asks wants a run of its own, whatever the shop's clock says.
            key = format!("{key} asked {}", Utc::now().format("%Y-%m-%dT%H:%M:%SZ"));
        }
        self.nightly.push_once(&key, job).await.context("cannot queue the nightly run")
    }

    /// Waits until a nightly run is over.
    pub(crate) async fn night_over(&self, ticket: &Ticket) -> Result<Done, String> {
        self.nightly.wait(ticket).await
    }

    /// Queues a training, unless it is queued or done already; it runs in the background.
    pub(crate) async fn train(&self, job: Train) -> anyhow::Result<Ticket> {
        self.training.push_once(&job.as_of.to_string(), &job).await.context("cannot queue the training")
    }

    /// Queues a retraining, unless a training waits or runs: that one learns from what there is. Gives whether it did.
    pub(crate) async fn retrain(&self, job: Train) -> anyhow::Result<bool> {
        if self.database.is_open(TRAINING).await.context("cannot read the job queue")? {
            return Ok(false);
        }
        self.train(job).await.map(|_| true)
    }

    /// The newest `most` jobs, newest first.
    pub(crate) async fn newest(&self, most: u32) -> anyhow::Result<Vec<Listed>> {
        self.database.newest(most).await.context("cannot read the job queue")
    }

    /// Waits until a training is over.
    pub(crate) async fn trained(&self, ticket: &Ticket) -> Result<Done, String> {
        self.training.wait(ticket).await
    }
}
