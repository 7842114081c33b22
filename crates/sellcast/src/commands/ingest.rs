//! `sellcast ingest`.

use chrono::{DateTime, Utc};
use clap::Args;

use super::{Failure, Place, now, print, print_json};
use crate::progress::{Reporter, summary};

#[derive(Args)]
pub(super) struct Ingest {
    #[command(flatten)]
    place: Place,
    /// Try the quarantined rows again instead of reading the source.
    #[arg(long)]
    replay_quarantine: bool,
    /// Compare all keys with the source's, so that whatever was deleted there goes, however much it is.
    #[arg(long, conflicts_with = "replay_quarantine")]
    compare_keys: bool,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
    /// Print the run's record as JSON.
    #[arg(long)]
    json: bool,
}

impl Ingest {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut config = self.place.config()?;
        if let Some(mapping) = &mut config.source {
            mapping.compare_keys_now = self.compare_keys;
        }
        if !self.replay_quarantine {
            config.mapping(&self.place.dir).map_err(super::usage)?;
        }
        let engine = self.place.engine_with("ingest", config).await?;
        let now = now(&engine.config, self.now, None);
        let reporter = Reporter::new();
        let result =
            if self.replay_quarantine { engine.replay_quarantine(now, &reporter).await } else { engine.ingest(now, &reporter).await };
        reporter.done();
        let record = result?;
        if self.json {
            return print_json(&record);
        }
        print(&summary(&record));
        Ok(())
    }
}
