//! `sellcast demo --full`: the demo's till over stores on real servers. It fills the shop, keeps it in PostgreSQL as well, and asks
//! for the nights; everything else is done by other processes (see docs/scale.md).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use sellcast_demo::{FullDemoServices, Mirror, Replay, create_shop, data_folder, full_demo_config};
use sellcast_domain::ShopDay;
use sellcast_warehouse::Progress;

use super::demo::{DATA_ENDS, Demo, REPLAY_FROM, STEPS, day, end_before};
use super::{Failure, told_to_stop, usage};
use crate::config::Config;
use crate::folder::Folder;
use crate::jobs::{Jobs, Nightly, Train};
use crate::progress::Reporter;

/// How long the first forecast of the day may take to be seen here once its job is done.
const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses of the servers of the full demo.
#[derive(Args)]
#[group(id = "servers", multiple = true)]
pub(super) struct Servers {
    /// PostgreSQL database of the shop.
    #[arg(long, value_name = "URL", required = false, hide = true)]
    shop: String,
    /// PostgreSQL database of models and jobs.
    #[arg(long, value_name = "URL", required = false, hide = true)]
    metadata: String,
    /// Kafka.
    #[arg(long, value_name = "HOST:PORT", required = false, hide = true)]
    brokers: String,
    /// Cassandra.
    #[arg(long, value_name = "URL", required = false, hide = true)]
    predictions: String,
    /// Redis.
    #[arg(long, value_name = "URL", required = false, hide = true)]
    features: String,
    /// Bucket and prefix of the warehouse.
    #[arg(long, value_name = "URL", required = false, hide = true)]
    warehouse: String,
    /// Folder of the stream's workers.
    #[arg(long, value_name = "DIR", required = false, hide = true)]
    state_folder: PathBuf,
}

impl Servers {
    /// Writes `sellcast.toml` for all roles.
    pub(super) fn write_config(&self, file: &Path) -> Result<(), Failure> {
        let text = full_demo_config(&FullDemoServices {
            shop: self.shop.clone(),
            metadata: self.metadata.clone(),
            brokers: self.brokers.clone(),
            predictions: self.predictions.clone(),
            features: self.features.clone(),
            warehouse: self.warehouse.clone(),
            state_folder: self.state_folder.clone(),
        });
        Ok(std::fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?)
    }
}

impl Demo {
    /// Fills the shop and PostgreSQL; then, unless only that was asked for, lets December happen.
    pub(super) async fn drive(&self, config: &Path) -> Result<(), Failure> {
        let folder = Folder::hold(&self.dir, "demo")?;
        let config = Config::load(folder.dir(), Some(config)).map_err(usage)?;
        let url = config.mapping(folder.dir()).map_err(usage)?.url.clone();
        let url = url.context("the full demo's `[source]` has no `url`").map_err(usage)?;
        let reporter = Reporter::new();
        let told = |what: &str, rows: u64| {
            reporter.step(what);
            reporter.rows(rows);
        };
        if !folder.shop().exists() {
            create_shop(&folder.shop(), &data_folder()?, self.replay_from()?, &told).await?;
        }
        let mirror = Mirror::open(&folder.shop(), &url).await?;
        reporter.step("filling PostgreSQL");
        let rows = mirror.fill(&told).await?;
        reporter.done();
        reporter.line(&format!("{rows} rows filled into PostgreSQL"));
        if self.prepare {
            return Ok(());
        }
        tokio::select! {
            lived = self.december(&folder, &config, &mirror, &reporter) => Ok(lived?),
            told = told_to_stop() => Ok(told?),
        }
    }

    fn replay_from(&self) -> anyhow::Result<ShopDay> {
        self.until.map_or_else(|| day(REPLAY_FROM), Ok)
    }

    async fn december(&self, folder: &Folder, config: &Config, mirror: &Mirror, reporter: &Reporter) -> anyhow::Result<()> {
        let started = Instant::now();
        let replay = Replay::open(&folder.shop(), &data_folder()?).await?;
        let jobs = Jobs::open(&config.store, &folder.metadata()).await?;
        let predictions = config.store.predictions(folder).await?;
        let (first, ends) = (self.replay_from()?, day(DATA_ENDS)?);
        let mut today = match predictions.current() {
            Some(newest) => newest.as_of,
            None => {
                reporter.line("asking for the first forecast");
                close(&jobs, first).await?;
                reporter.line(&format!("first forecasts (averages) are published after {:.0} s", started.elapsed().as_secs_f64()));
                first
            }
        };
        let mut first_training = None;
        if config.store.registry(folder).await?.models().await?.is_empty() {
            let publish_at = Some(end_before(today) + chrono::Duration::milliseconds(500));
            first_training = Some(jobs.train(Train { as_of: today, now: end_before(today), publish_at }).await?);
        }
        loop {
            let is_over = today >= ends || self.no_replay;
            if !is_over {
                self.sell(&replay, mirror, today).await?;
            }
            if let Some(training) = first_training.take() {
                if let Err(error) = jobs.trained(&training).await {
                    bail!("training failed: {error}");
                }
                reporter.line(&format!("trained models have replaced the averages after {:.0} s", started.elapsed().as_secs_f64()));
            }
            if is_over {
                break;
            }
            let next = today + 1;
            let (seconds, retrain) = close(&jobs, next).await?;
            reporter.line(&format!("{today} closed: ingested, scored, forecast and published in {seconds:.1} s"));
            if retrain || next.days_since(first) % i64::from(config.forecast.retrain_days) == 0 {
                jobs.retrain(Train { as_of: next, now: end_before(next), publish_at: None }).await?;
            }
            let mut published = predictions.subscribe();
            let seen = published.wait_for(|newest| newest.as_ref().is_some_and(|newest| newest.as_of >= next));
            tokio::time::timeout(PATIENCE, seen).await.with_context(|| format!("the forecast of {next} is not seen in the store"))??;
            today = next;
        }
        reporter.line("the replay is over; the pages stay");
        std::future::pending().await
    }

    /// A day's orders in even steps, in the shop and then in PostgreSQL.
    async fn sell(&self, replay: &Replay, mirror: &Mirror, day: ShopDay) -> anyhow::Result<()> {
        let (start, end) = (day.starts_at(sellcast_demo::SHOP_ZONE), end_before(day + 1));
        let mut ticks = tokio::time::interval(self.speed / STEPS);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for step in 0..=STEPS {
            ticks.tick().await;
            replay.write_until(start + (end - start) * i32::try_from(step)? / i32::try_from(STEPS)?).await?;
            mirror.follow().await?;
        }
        Ok(())
    }
}

/// Asks for the night before `next` and waits for it: its seconds, and whether a retraining is asked for.
async fn close(jobs: &Jobs, next: ShopDay) -> anyhow::Result<(f64, bool)> {
    match jobs.close_day(Nightly { as_of: next, now: end_before(next), is_asked: false }).await? {
        Ok(done) => Ok((done.seconds, done.retrain.is_some())),
        Err(error) => bail!("the night before {next} failed: {error}"),
    }
}
