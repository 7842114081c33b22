//! `sellcast demo`: a shop with real sales, its first forecasts within a minute, and a December that is replayed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use clap::{ArgGroup, Args};
use sellcast_demo::{Replay, SHOP_ZONE, create_shop, data_folder, demo_config};
use sellcast_domain::{LiveStatus, Money, ReplayStatus, ShopDay, TimeFrame};
use sellcast_warehouse::{Progress, SilentProgress};

use super::demo_full::Servers;
use super::serve::{Running, tell};
use super::{Failure, is_fresh, print};
use crate::config::Config;
use crate::engine::Engine;
use crate::folder::Folder;
use crate::jobs::{Jobs, Nightly, Ticket, Train};
use crate::progress::{Reporter, summary};

/// First day that is replayed, and the day after the data's last.
pub(super) const REPLAY_FROM: &str = "2017-12-01";
pub(super) const DATA_ENDS: &str = "2018-01-01";
/// Steps in which a replayed day's orders are written.
pub(super) const STEPS: u32 = 48;

#[derive(Args)]
#[command(group(ArgGroup::new("filled").multiple(true)))]
pub(super) struct Demo {
    /// Folder of the demo; made if missing, taken up where it stopped otherwise.
    #[arg(long, value_name = "DIR", default_value = "./sellcast-demo")]
    pub(super) dir: PathBuf,
    /// Port to listen on (0 takes a free one).
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Stop after the first publication and its models, and just serve.
    #[arg(long)]
    pub(super) no_replay: bool,
    /// Only make the shop with the whole year (or up to --until), ingest it, and end.
    #[arg(long, group = "filled")]
    pub(super) prepare: bool,
    /// With --prepare or --full: the first day whose sales are left out; with --full the first one that is replayed.
    #[arg(long, value_name = "DAY", requires = "filled")]
    pub(super) until: Option<ShopDay>,
    /// Length of a replayed day (30s, 500ms, 2m).
    #[arg(long, default_value = "30s", value_parser = length)]
    pub(super) speed: Duration,
    /// Only the till of the demo on real servers, with their addresses in FILE; `./dev demo --full` starts all of it.
    #[arg(long, value_name = "FILE", conflicts_with = "port", group = "filled")]
    full: Option<PathBuf>,
    /// Write the configuration of the demo on real servers into FILE, and end.
    #[arg(long, value_name = "FILE", requires = "servers", hide = true)]
    write_full_config: Option<PathBuf>,
    #[command(flatten)]
    servers: Option<Servers>,
}

fn length(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{unit}` is no unit of time: use ms, s or m, as in 30s")),
    };
    let seconds = number.parse::<f64>().map_err(|_| format!("`{text}` is no length of time: write it as 30s"))? * scale;
    if (0.1..=3600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err("between 100ms and 60m are allowed".into()) }
}

pub(super) fn day(text: &str) -> anyhow::Result<ShopDay> {
    Ok(text.parse()?)
}

/// The last instant before a day begins: a nightly run's now.
pub(super) fn end_before(day: ShopDay) -> DateTime<Utc> {
    day.starts_at(SHOP_ZONE) - chrono::Duration::seconds(1)
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        if let Some((file, servers)) = self.write_full_config.as_ref().zip(self.servers.as_ref()) {
            return servers.write_config(file);
        }
        if let Some(config) = &self.full {
            return self.drive(config).await;
        }
        let started = Instant::now();
        let folder = Folder::hold(&self.dir, "demo")?;
        if is_fresh(folder.dir()) {
            std::fs::write(folder.config(), demo_config()).with_context(|| format!("cannot write `{}`", folder.config().display()))?;
        }
        let config = Config::load(folder.dir(), None).map_err(super::usage)?;
        let (shop, first) = (folder.shop(), day(REPLAY_FROM)?);
        let until = if self.prepare { self.until.unwrap_or(day(DATA_ENDS)?) } else { first };
        let engine = Engine::open(folder, config).await?;
        let server = if self.prepare { None } else { Some(Running::start(&engine, Some(self.port)).await?) };
        if let Some(server) = &server {
            print(&format!("pages at http://{}", server.address));
        }
        let reporter = Reporter::new();
        if !shop.exists() {
            tell(&engine, end_before(until), "filling the demo shop");
            let told = |what: &str, rows: u64| {
                reporter.step(what);
                reporter.rows(rows);
            };
            create_shop(&shop, &data_folder()?, until, &told).await?;
            reporter.line(&format!("the shop stands after {:.0} s", started.elapsed().as_secs_f64()));
        }
        if self.prepare {
            let record = engine.ingest(end_before(until), &reporter).await?;
            reporter.done();
            print(&summary(&record));
            return Ok(());
        }
        let Some(server) = server else { return Ok(()) };
        let working = engine.clone();
        let work = tokio::spawn(async move {
            let result = self.live(&working, &reporter, started).await;
            reporter.done();
            if let Err(error) = result {
                tracing::error!("{}", super::chain(&error));
                tell(&working, Utc::now(), "stopped by a fault, see the log");
            }
        });
        let stopped = server.until_stopped().await;
        work.abort();
        Ok(stopped?)
    }

    /// From the first ingest through the replay.
    async fn live(&self, engine: &Arc<Engine>, reporter: &Reporter, started: Instant) -> anyhow::Result<()> {
        let replay = Replay::open(&engine.folder.shop(), &data_folder()?).await?;
        let (first, ends) = (day(REPLAY_FROM)?, day(DATA_ENDS)?);
        let as_of = match engine.published_as_of() {
            Some(as_of) => as_of,
            None => {
                let now = end_before(first);
                tell(engine, now, "reading the shop's sales");
                reporter.line(&summary(&engine.ingest(now, reporter).await?));
                tell(engine, now, "making the first forecast");
                engine.publish(first, now).await?;
                reporter.line(&format!("first forecasts (averages) are on the pages after {:.0} s", started.elapsed().as_secs_f64()));
                first
            }
        };
        let jobs = Jobs::open(&engine.config.store, &engine.folder.metadata()).await?;
        jobs.work(engine, Arc::new(SilentProgress)).await?;
        let mut first_training = None;
        if !engine.is_trained(as_of).await? {
            // A second later than the first publication for the same day: it replaces it.
            let publish_at = Some(end_before(as_of) + chrono::Duration::milliseconds(500));
            first_training = Some(jobs.train(Train { as_of, now: end_before(as_of), publish_at }).await?);
        }
        if self.no_replay {
            if let Some(training) = first_training {
                self.models_arrive(&jobs, &training, reporter, started).await?;
                tell(engine, end_before(as_of), "");
            }
            return Ok(());
        }
        let mut day = as_of;
        while day < ends {
            self.replay_day(engine, &replay, day, first_training.is_some()).await?;
            if let Some(training) = first_training.take() {
                self.models_arrive(&jobs, &training, reporter, started).await?;
            }
            let next = day + 1;
            self.status(engine, &replay, day, end_before(next), Some("closing the day")).await?;
            let done = match jobs.close_day(Nightly { as_of: next, now: end_before(next), is_asked: false }).await? {
                Ok(done) => done,
                Err(error) => bail!("closing {day} failed: {error}"),
            };
            reporter.line(&format!("{day} closed: ingested, scored, forecast and published in {:.1} s", done.seconds));
            if done.retrain.is_some() || next.days_since(first) % i64::from(engine.config.forecast.retrain_days) == 0 {
                jobs.retrain(Train { as_of: next, now: end_before(next), publish_at: None }).await?;
            }
            day = next;
        }
        reporter.line("the replay is over; the pages stay");
        self.status(engine, &replay, ends - 1, end_before(ends), None).await
    }

    /// Waits for the first training, which publishes what it made.
    async fn models_arrive(&self, jobs: &Jobs, training: &Ticket, reporter: &Reporter, started: Instant) -> anyhow::Result<()> {
        if let Err(error) = jobs.trained(training).await {
            bail!("training failed: {error}");
        }
        reporter.line(&format!("trained models have replaced the averages after {:.0} s", started.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Writes a day's orders in even steps, standing still while the viewer has paused.
    async fn replay_day(&self, engine: &Arc<Engine>, replay: &Replay, day: ShopDay, training: bool) -> anyhow::Result<()> {
        let (start, end) = (day.starts_at(SHOP_ZONE), end_before(day + 1));
        let mut paused = engine.board.paused();
        let mut ticks = tokio::time::interval(self.speed / STEPS);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for step in 0..=STEPS {
            paused.wait_for(|paused| !paused).await?;
            ticks.tick().await;
            let instant = start + (end - start) * i32::try_from(step)? / i32::try_from(STEPS)?;
            // The clock goes first: whoever follows the shop does not believe sales that are ahead of it.
            if let Some(status) = engine.board.status().filter(|status| status.shop_day == day) {
                engine.board.set_status(LiveStatus { shop_time: instant, ..status });
            }
            replay.write_until(instant).await?;
            self.status(engine, replay, day, instant, training.then_some("training models, which will replace the averages")).await?;
        }
        Ok(())
    }

    async fn status(
        &self,
        engine: &Engine,
        replay: &Replay,
        day: ShopDay,
        instant: DateTime<Utc>,
        activity: Option<&str>,
    ) -> anyhow::Result<()> {
        let sold = replay.sold_on(day, instant).await?;
        let expected = {
            let before = engine.board.status();
            match before.filter(|status| status.shop_day == day).and_then(|status| status.expected_today) {
                Some(known) => Some(known),
                None => match engine.store.generation_for(day).await? {
                    Some(generation) => {
                        let document = engine.store.prediction(generation.generation_id, TimeFrame::Day).await?;
                        document.map(|document| document.total_amount)
                    }
                    None => None,
                },
            }
        };
        engine.board.set_status(LiveStatus {
            shop_time: instant,
            shop_day: day,
            sold_so_far: Some(Money::from_cents(sold)),
            expected_today: expected,
            replay: Some(ReplayStatus {
                paused: engine.board.is_paused(),
                first_day: self::day(REPLAY_FROM)?,
                last_day: self::day(DATA_ENDS)? - 1,
                day_seconds: self.speed.as_secs_f64(),
                finished: instant >= end_before(self::day(DATA_ENDS)?),
            }),
            activity: activity.map(str::to_owned),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_with_their_unit() {
        assert_eq!(length("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(length("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(length("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "5h", "0s", "-3s", "1e9s"] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
