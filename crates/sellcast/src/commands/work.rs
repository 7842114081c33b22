//! `sellcast work`: the nightly runs and trainings without a server, and their calendar, which `sellcast run` keeps too.

use std::sync::Arc;

use anyhow::bail;
use chrono::Utc;
use clap::Args;
use sellcast_domain::ShopDay;

use super::serve::tell;
use super::{Failure, Place, print, told_to_stop};
use crate::config::ClockKind;
use crate::engine::Engine;
use crate::jobs::{Jobs, Nightly, Train};
use crate::progress::Reporter;

#[derive(Args)]
pub(super) struct Work {
    #[command(flatten)]
    place: Place,
}

impl Work {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        config.mapping(&self.place.dir).map_err(super::usage)?;
        let engine = self.place.engine_with("work", config).await?;
        start_nights(&engine).await?;
        print("working; waiting for the next job");
        Ok(told_to_stop().await?)
    }
}

/// Begins to do jobs in the background and, by the system's clock, to ask for them each night.
pub(super) async fn start_nights(engine: &Arc<Engine>) -> anyhow::Result<()> {
    let jobs = Jobs::open(&engine.config.store, &engine.folder.metadata()).await?;
    let reporter = Arc::new(Reporter::new());
    jobs.work(engine, reporter.clone()).await?;
    // Past data has no nights of its own: whoever replays it asks for them.
    if engine.config.shop.clock == ClockKind::Data {
        eprintln!("the data are the shop's clock: nights are run when they are asked for (`sellcast jobs ask night --as-of DAY`)");
        return Ok(());
    }
    let engine = engine.clone();
    tokio::spawn(async move {
        if let Err(error) = nights(&engine, &jobs, &reporter).await {
            tracing::error!(error = format!("{error:#}"), "the nightly runs have stopped");
        }
    });
    Ok(())
}

/// The first run at once, then one shortly after each midnight of the shop, with a training every few days.
async fn nights(engine: &Arc<Engine>, jobs: &Jobs, reporter: &Reporter) -> anyhow::Result<()> {
    let zone = engine.config.shop.time_zone;
    let now = Utc::now();
    let today = ShopDay::of(now, zone);
    tell(engine, now, "reading the shop's sales and making the first forecast");
    let first = jobs.close_day(Nightly { as_of: today, now, is_asked: true }).await?;
    reporter.done();
    match first {
        Ok(done) => eprintln!("{}", done.told.unwrap_or_default()),
        Err(error) => bail!(error),
    }
    if !engine.is_trained(today).await? {
        tell(engine, now, "training models");
        let training = jobs.train(Train { as_of: today, now, publish_at: Some(Utc::now()) }).await?;
        if let Err(error) = jobs.trained(&training).await {
            bail!(error);
        }
    }
    let mut last_training = today;
    loop {
        let tomorrow = ShopDay::of(Utc::now(), zone) + 1;
        // Five minutes for the last till to report; known times are checked by the ingest anyway.
        let wake = tomorrow.starts_at(zone) + chrono::Duration::minutes(5);
        tell(engine, Utc::now(), "");
        tokio::time::sleep((wake - Utc::now()).to_std().unwrap_or_default()).await;
        let now = Utc::now();
        tell(engine, now, "closing the day");
        let outcome = jobs.close_day(Nightly { as_of: tomorrow, now, is_asked: false }).await?;
        reporter.done();
        if let Err(error) = &outcome {
            tracing::error!(error, "the nightly run failed; the former forecast stays, the next night tries again");
        }
        let is_asked = outcome.is_ok_and(|done| done.retrain.is_some());
        let is_due = is_asked || tomorrow.days_since(last_training) >= i64::from(engine.config.forecast.retrain_days);
        if is_due && jobs.retrain(Train { as_of: tomorrow, now, publish_at: None }).await? {
            last_training = tomorrow;
        }
    }
}
