//! The queues over both databases.

use std::sync::atomic::{AtomicU32, Ordering};

use sellcast_testkit::Postgres;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use super::*;
use crate::jobs::queue::Queue;

type Result<T> = anyhow::Result<T>;

/// Where a test's queues lie. Each opening is another process.
enum Place {
    File(TempDir),
    Server(String),
}

impl Place {
    async fn open(&self) -> Result<Database> {
        match self {
            Self::File(folder) => Database::open(None, &folder.path().join("sellcast.db")).await,
            Self::Server(address) => Database::open(Some(&address.parse()?), std::path::Path::new("")).await,
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<()> {
        match self.open().await? {
            Database::File(pool) => {
                sqlx::query(AssertSqlSafe(format!("alter table {from} rename to {to}"))).execute(&pool).await.map(drop)?
            }
            Database::Server(pool) => {
                sqlx::query(AssertSqlSafe(format!("alter table apalis.{from} rename to {to}"))).execute(&pool).await.map(drop)?;
            }
        }
        Ok(())
    }

    async fn queue(&self) -> Result<Queue<Train>> {
        Ok(Queue::new(&self.open().await?, "training"))
    }
}

macro_rules! on_both {
    ($($(#[$mark:meta])* $name:ident),+ $(,)?) => {
        mod in_a_file {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() -> super::Result<()> {
                super::$name(super::Place::File(tempfile::tempdir()?)).await
            })+
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            $(#[$mark])*
            async fn $name() -> super::Result<()> {
                super::$name(super::Place::Server(super::Postgres::shared()?.database().await?)).await
            })+
        }
    };
}

on_both!(
    what_is_asked_for_twice_is_queued_once,
    a_job_that_failed_is_done_again_when_it_is_asked_for_again,
    a_retraining_is_not_asked_for_while_a_training_waits_or_runs,
    processes_that_open_it_at_once_all_find_its_tables,
    a_worker_that_stops_on_an_error_leaves_its_job_to_the_next,
    #[ignore = "slow"]
    a_job_whose_worker_died_is_done_by_another,
);

fn training(day: &str) -> Result<Train> {
    Ok(Train { as_of: day.parse()?, now: "2017-12-04T05:00:00Z".parse()?, publish_at: None })
}

/// Counts how often a job was begun. The first fails, or takes as long as it is let.
#[derive(Clone, Default)]
struct Begun {
    count: Arc<AtomicU32>,
    first_hangs: bool,
    /// Jobs that hung and were given up.
    given_up: Arc<AtomicU32>,
}

/// Counts when it goes.
struct Hanging(Arc<AtomicU32>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn run(_job: Train, begun: Data<Begun>) -> std::result::Result<Done, BoxDynError> {
    match (begun.count.fetch_add(1, Ordering::SeqCst), begun.first_hangs) {
        (0, true) => {
            let _hanging = Hanging(begun.given_up.clone());
            std::future::pending().await
        }
        (0, false) => Err("the first always fails".into()),
        _ => Ok(Done { told: Some("it went well".to_owned()), ..Done::default() }),
    }
}

async fn what_is_asked_for_twice_is_queued_once(place: Place) -> Result<()> {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (queue, job) = (place.queue().await?, training("2017-12-04")?);
        asking.spawn(async move { queue.push_once("2017-12-04", &job).await });
    }
    let tickets: Vec<_> = asking.join_all().await.into_iter().collect::<Result<_>>()?;
    assert!(tickets.iter().all(|ticket| *ticket == tickets[0]), "{tickets:?}");
    let other = place.queue().await?.push_once("2017-12-05", &training("2017-12-05")?).await?;
    assert_ne!(other, tickets[0]);
    let listed = place.open().await?.newest(10).await?;
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|job| job.kind == "training" && job.status == "Pending" && job.ended_at.is_none()), "{listed:?}");
    Ok(())
}

async fn a_job_that_failed_is_done_again_when_it_is_asked_for_again(place: Place) -> Result<()> {
    let (queue, begun) = (place.queue().await?, Begun::default());
    let working = keep_working_on!(place.open().await?, place.queue().await?, begun, run);
    let first = queue.push_once("2017-12-04", &training("2017-12-04")?).await?;
    let error = queue.wait(&first).await.expect_err("it fails");
    assert!(error.contains("the first always fails"), "{error}");
    let second = queue.push_once("2017-12-04", &training("2017-12-04")?).await?;
    assert_ne!(first, second);
    assert_eq!(queue.wait(&second).await.expect("it succeeds").told.as_deref(), Some("it went well"));
    assert_eq!(queue.push_once("2017-12-04", &training("2017-12-04")?).await?, second, "what is done is not done again");
    working.abort();
    assert_eq!(begun.count.load(Ordering::SeqCst), 2);
    Ok(())
}

async fn a_retraining_is_not_asked_for_while_a_training_waits_or_runs(place: Place) -> Result<()> {
    let database = place.open().await?;
    let jobs = Jobs { nightly: Queue::new(&database, "nightly"), training: Queue::new(&database, TRAINING), database };
    let night = Nightly { as_of: "2017-12-04".parse()?, now: "2017-12-04T05:00:00Z".parse()?, is_asked: false };
    jobs.ask_night(&night).await?;
    assert!(jobs.retrain(training("2017-12-04")?).await?, "a night is no training");
    assert!(!jobs.retrain(training("2017-12-05")?).await?, "one waits");
    // The first fails, which is over too.
    let working = keep_working_on!(place.open().await?, place.queue().await?, Begun::default(), run);
    let waiting = jobs.train(training("2017-12-04")?).await?;
    jobs.trained(&waiting).await.expect_err("the first fails");
    assert!(jobs.retrain(training("2017-12-06")?).await?, "none waits or runs");
    working.abort();
    Ok(())
}

async fn a_job_whose_worker_died_is_done_by_another(place: Place) -> Result<()> {
    let begun = Begun { first_hangs: true, ..Begun::default() };
    let queue = place.queue().await?;
    let dying = keep_working_on!(place.open().await?, place.queue().await?, begun, run);
    let ticket = queue.push_once("2017-12-04", &training("2017-12-04")?).await?;
    while begun.count.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(POLL).await;
    }
    dying.abort();
    let database = place.open().await?;
    database.free().await?;
    let next = Queue::<Train>::new(&database, "training");
    let working = keep_working_on!(database, next, begun, run);
    assert_eq!(queue.wait(&ticket).await.expect("it succeeds").told.as_deref(), Some("it went well"));
    assert_eq!(begun.count.load(Ordering::SeqCst), 2);
    working.abort();
    Ok(())
}

async fn processes_that_open_it_at_once_all_find_its_tables(place: Place) -> Result<()> {
    let place = Arc::new(place);
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let place = place.clone();
        opening.spawn(async move { place.open().await?.is_open("training").await.map_err(anyhow::Error::from) });
    }
    for is_open in opening.join_all().await {
        assert!(!is_open?);
    }
    Ok(())
}

async fn a_worker_that_stops_on_an_error_leaves_its_job_to_the_next(place: Place) -> Result<()> {
    let begun = Begun { first_hangs: true, ..Begun::default() };
    let (database, queue) = (place.open().await?, place.queue().await?);
    let working = keep_working_on!(database, place.queue().await?, begun, run);
    let ticket = queue.push_once("2017-12-04", &training("2017-12-04")?).await?;
    while begun.count.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(POLL).await;
    }
    // Its next look for jobs fails, and it stops.
    place.rename("Jobs", "Away").await?;
    let stopped = async {
        while begun.given_up.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), stopped).await.context("the worker went on without its table")?;
    place.rename("Away", "Jobs").await?;
    assert_eq!(queue.wait(&ticket).await.expect("it succeeds").told.as_deref(), Some("it went well"));
    assert_eq!(begun.count.load(Ordering::SeqCst), 2);
    working.abort();
    Ok(())
}
