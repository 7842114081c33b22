//! `sellcast jobs`: what is queued, and asking the machines that work for more. It needs no data folder of its own, so it can be
//! used beside a running process.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use sellcast_domain::ShopDay;

use super::{Failure, Place, now, print, print_json};
use crate::folder::METADATA;
use crate::jobs::{self, Done, Listed, Nightly, Train};

/// Jobs that are listed.
const LISTED: u32 = 50;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Jobs {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// List the newest jobs.
    List(List),
    /// Queue a job for whichever process takes it, unless it is queued already.
    Ask(Ask),
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Ask {
    /// What to do.
    kind: Kind,
    #[command(flatten)]
    place: Place,
    /// First day that is not over: what is forecast, or what models are trained for (default: today).
    #[arg(long, value_name = "DAY")]
    as_of: Option<ShopDay>,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
    /// Return at once, instead of when it is over.
    #[arg(long)]
    no_wait: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Read what is new, score, learn, forecast and publish.
    Night,
    /// Train the models of all frames.
    Training,
}

impl Jobs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.action {
            None => self.list.run().await,
            Some(Action::List(list)) => list.run().await,
            Some(Action::Ask(ask)) => ask.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let jobs = jobs::Jobs::open(&self.place.config()?.store, &self.place.dir.join(METADATA)).await?;
        let listed = jobs.newest(LISTED).await?;
        if self.json {
            return print_json(&listed);
        }
        if listed.is_empty() {
            print("no jobs yet: `sellcast run` and `sellcast work` queue them");
        }
        for job in listed {
            print(&line(&job));
        }
        Ok(())
    }
}

/// `nightly   2017-12-04             Done     queued 2026-11-26 15:04:05Z, took 12.3 s`
fn line(job: &Listed) -> String {
    let queued = DateTime::from_timestamp(job.queued_at, 0).unwrap_or_default().format("%Y-%m-%d %H:%M:%SZ");
    let result: Option<Result<Done, String>> = job.result.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let came_of_it = match result {
        Some(Ok(done)) if job.ended_at.is_some() => format!(", took {:.1} s", done.seconds),
        Some(Err(error)) if job.ended_at.is_some() => format!(": {error}"),
        _ => String::new(),
    };
    format!("{:<9} {:<24} {:<8} queued {queued}{came_of_it}", job.kind, job.name.as_deref().unwrap_or(""), job.status)
}

impl Ask {
    async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        let now = now(&config, self.now, self.as_of);
        let as_of = self.as_of.unwrap_or_else(|| ShopDay::of(now, config.shop.time_zone));
        let jobs = jobs::Jobs::open(&config.store, &self.place.dir.join(METADATA)).await?;
        let ticket = match self.kind {
            Kind::Night => jobs.ask_night(&Nightly { as_of, now, is_asked: true }).await?,
            Kind::Training => jobs.train(Train { as_of, now, publish_at: None }).await?,
        };
        if self.no_wait {
            print("queued; `sellcast jobs` tells what becomes of it");
            return Ok(());
        }
        let done = match self.kind {
            Kind::Night => jobs.night_over(&ticket).await,
            Kind::Training => jobs.trained(&ticket).await,
        };
        let done = done.map_err(anyhow::Error::msg)?;
        print(&format!("done in {:.1} s{}", done.seconds, done.told.map(|told| format!(": {told}")).unwrap_or_default()));
        Ok(())
    }
}
