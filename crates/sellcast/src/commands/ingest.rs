//! `sellcast ingest`.

use chrono::{DateTime, Utc};
use clap::Args;
use sellcast_warehouse::RunRecord;

use super::{Failure, Place, now, print, print_json};
use crate::progress::Reporter;

#[derive(Args)]
pub(super) struct Ingest {
    #[command(flatten)]
    place: Place,
    /// Try the quarantined rows again instead of reading the source.
    #[arg(long)]
    replay_quarantine: bool,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
    /// Print the run's record as JSON.
    #[arg(long)]
    json: bool,
}

impl Ingest {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
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

/// One line of what a run did.
pub(super) fn summary(record: &RunRecord) -> String {
    let (mut read, mut loaded) = (0, 0);
    let mut rules: Vec<String> = Vec::new();
    for (entity, counts) in &record.entities {
        read += counts.read;
        loaded += counts.loaded;
        rules.extend(counts.quarantined.iter().map(|(rule, count)| format!("{count} {entity} {rule}")));
    }
    let quarantine = if rules.is_empty() { "nothing quarantined".to_owned() } else { format!("quarantined {}", rules.join(", ")) };
    let changes = if record.schema_changes.is_empty() { String::new() } else { format!("; {}", record.schema_changes.join("; ")) };
    format!("read {read} rows, loaded {loaded}, {quarantine}, in {:.1} s{changes}", record.seconds)
}
