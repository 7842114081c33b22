//! `sellcast models`: the versions with their history, and the two ways of changing the champion by hand.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use sellcast_domain::TimeFrame;

use super::{Failure, Place, now, print, print_json};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Models {
    #[command(flatten)]
    list: List,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// List the versions and what became of them.
    List(List),
    /// Make a version the champion of its frame.
    Promote(Promote),
    /// Go back to the champion before the present one.
    Rollback(Rollback),
}

#[derive(Args)]
struct List {
    #[command(flatten)]
    place: Place,
    /// Print all entries as JSON: training data versions, features, parameters, metrics.
    #[arg(long)]
    json: bool,
    /// Print the history of champions and challengers as JSON, newest first.
    #[arg(long, conflicts_with = "json")]
    history: bool,
}

#[derive(Args)]
struct Promote {
    #[command(flatten)]
    place: Place,
    /// A version, as `sellcast models` lists it.
    version: String,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
}

#[derive(Args)]
struct Rollback {
    #[command(flatten)]
    place: Place,
    /// day, week, month, quarter, half_year or year.
    frame: TimeFrame,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
}

impl Models {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self.action {
            None => self.list.run().await,
            Some(Action::List(list)) => list.run().await,
            Some(Action::Promote(promote)) => promote.run().await,
            Some(Action::Rollback(rollback)) => rollback.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("models").await?;
        if self.history {
            return print_json(&engine.registry.events(1_000).await?);
        }
        let models = engine.registry.models().await?;
        if self.json {
            return print_json(&models);
        }
        if models.is_empty() {
            print("no models yet: run `sellcast train`");
        }
        let events = engine.registry.events(1_000).await?;
        for model in models {
            let mark = match (model.is_champion, model.is_challenger) {
                (true, _) => "champion",
                (_, true) => "challenger",
                _ => "",
            };
            let reason = events.iter().find(|event| event.version == model.version).map_or("", |event| &event.reason);
            print(&format!("{:<24} {} {mark:<10} {reason}", model.version, model.trained_at.format("%Y-%m-%d %H:%M")));
        }
        Ok(())
    }
}

impl Promote {
    async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("models").await?;
        engine.promote(&self.version, now(&engine.config, self.now, engine.published_as_of())).await?;
        print(&format!("{} is champion now; the next forecast is made by it", self.version));
        Ok(())
    }
}

impl Rollback {
    async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("models").await?;
        let (version, from) = engine.roll_back(self.frame, now(&engine.config, self.now, engine.published_as_of())).await?;
        print(&format!("rolled back from {from} to {version}; the next forecast is made by it"));
        Ok(())
    }
}
