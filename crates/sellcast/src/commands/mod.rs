//! The commands, one file each, and what they share: the data folder, the configuration, the output.

mod backtest;
mod check;
mod demo;
mod demo_full;
mod features;
mod forecast;
mod ingest;
mod init;
mod init_file;
mod init_talk;
mod jobs;
mod models;
mod replay;
mod serve;
mod stream;
mod train;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use sellcast_domain::ShopDay;

use crate::config::{ClockKind, Config, DEFAULTS};
use crate::engine::Engine;
use crate::folder::Folder;

/// What will sell best, and how sure are you? Forecasts for a shop's categories and products, from its own database.
#[derive(Parser)]
#[command(name = "sellcast", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fill a demo shop with a year of real sales, forecast it, serve the pages and replay December day by day.
    Demo(demo::Demo),
    /// Look at a shop's database, propose a mapping of its tables with reasons, and write sellcast.toml.
    Init(init::Init),
    /// Check the configuration and the mapping against the shop's databases: every fault at once, with its mend.
    Check(check::Check),
    /// Read what is new in the shop's databases into the warehouse.
    Ingest(ingest::Ingest),
    /// Train the models of every frame on the sales so far.
    Train(train::Train),
    /// Make and publish the forecasts of all frames.
    Forecast(forecast::Forecast),
    /// Back-test a frame on rolling origins, against the baselines.
    Backtest(backtest::Backtest),
    /// List the trained model versions and their history; promote one, or roll a frame back.
    Models(models::Models),
    /// Rebuild a published prediction from its recorded versions and compare it bit for bit.
    Replay(replay::Replay),
    /// Verify the online features against the offline store, and that against the warehouse.
    Features(features::Features),
    /// Serve the published forecasts: REST, GraphQL and pages.
    Serve(serve::Serve),
    /// Everything in one process: ingest, train, forecast, serve, and again every night.
    Run(serve::Run),
    /// Do the nightly runs and trainings without serving. Processes on several machines share them by `store.metadata`.
    Work(work::Work),
    /// List the nightly runs and trainings that are queued, running and done, or ask for one.
    Jobs(jobs::Jobs),
    /// Follow the shop's changes on Kafka as one worker of a group, without serving.
    Stream(stream::Stream),
    /// Print every configuration key with its default.
    Config,
}

/// The data folder and its configuration.
#[derive(Args, Clone)]
struct Place {
    /// Data folder: warehouse, models, published forecasts and sellcast.toml.
    #[arg(long, value_name = "DIR", default_value = "./sellcast-data")]
    dir: PathBuf,
    /// Configuration file, instead of sellcast.toml in the data folder.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// An error with its exit code: 1 failed, 2 bad usage or configuration.
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) code: u8,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), code: 1 }
    }
}

/// Bad usage or configuration.
fn usage(error: anyhow::Error) -> Failure {
    Failure { error, code: 2 }
}

impl Place {
    fn config(&self) -> Result<Config, Failure> {
        Config::load(&self.dir, self.config.as_deref()).map_err(usage)
    }

    async fn engine(&self, command: &str) -> Result<Arc<Engine>, Failure> {
        let config = self.config()?;
        self.engine_with(command, config).await
    }

    async fn engine_with(&self, command: &str, config: Config) -> Result<Arc<Engine>, Failure> {
        let folder = Folder::hold(&self.dir, command)?;
        Ok(Box::pin(Engine::open(folder, config)).await?)
    }
}

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Demo(command) => Box::pin(command.run()).await,
        Command::Init(command) => Box::pin(command.run()).await,
        Command::Check(command) => command.run().await,
        Command::Ingest(command) => Box::pin(command.run()).await,
        Command::Train(command) => Box::pin(command.run()).await,
        Command::Forecast(command) => Box::pin(command.run()).await,
        Command::Backtest(command) => Box::pin(command.run()).await,
        Command::Models(command) => Box::pin(command.run()).await,
        Command::Replay(command) => Box::pin(command.run()).await,
        Command::Features(command) => Box::pin(command.run()).await,
        Command::Serve(command) => Box::pin(command.run()).await,
        Command::Run(command) => Box::pin(command.run()).await,
        Command::Work(command) => Box::pin(command.run()).await,
        Command::Jobs(command) => command.run().await,
        Command::Stream(command) => command.run().await,
        Command::Config => {
            print(DEFAULTS);
            Ok(())
        }
    }
}

/// Results go to stdout, everything else to stderr.
#[expect(clippy::print_stdout, reason = "results of a command belong on stdout")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// The error and its causes, each once, from the outside in.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str("\n  because: ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// The shop's now: given by hand, or of the clock that the configuration names.
fn now(config: &Config, given: Option<DateTime<Utc>>, after_sales: Option<ShopDay>) -> DateTime<Utc> {
    match (given, config.shop.clock, after_sales) {
        (Some(now), _, _) => now,
        (None, ClockKind::Data, Some(day)) => day.starts_at(config.shop.time_zone) - chrono::Duration::seconds(1),
        (None, _, _) => Utc::now(),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn told_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}

/// First line of what `dir` is for, when it holds nothing yet.
fn is_fresh(dir: &Path) -> bool {
    !dir.join("sellcast.toml").exists()
}
