//! `sellcast stream`: a worker that follows the shop's changes on Kafka, without a server. Workers of a group share the work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Args;

use super::{Failure, Place, told_to_stop, usage};
use crate::stream::work;

#[derive(Args)]
pub(super) struct Stream {
    #[command(flatten)]
    place: Place,
}

impl Stream {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        let kafka = config.stream.kafka.as_ref().context(
            "no `[stream.kafka]` in the configuration: a worker of its own needs Kafka; an outbox is followed by `sellcast serve` and `run`",
        );
        let settings = kafka.map_err(usage)?.worker(&self.place.dir, &config).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let halt = stop.clone();
        let mut working = tokio::task::spawn_blocking(move || work(&settings, &halt));
        tokio::select! {
            worked = &mut working => return Ok(worked.context("the worker panicked")?),
            told = told_to_stop() => told.context("cannot listen for Ctrl-C and SIGTERM")?,
        }
        stop.store(true, Ordering::Relaxed);
        Ok(working.await.context("the worker panicked")?)
    }
}
