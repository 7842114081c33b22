//! `sellcast check`.

use clap::Args;
use sellcast_warehouse::PseudonymKey;

use super::{Failure, Place, print, print_json, usage};
use crate::progress::Reporter;

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
    /// Read every mapped row as well, to see how many there are and how many would be quarantined; nothing is loaded.
    #[arg(long)]
    read: bool,
    /// Print what was read as JSON.
    #[arg(long, requires = "read")]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        let mapping = config.mapping(&self.place.dir).map_err(usage)?;
        let warehouse = config.store.warehouse(&self.place.dir.join("warehouse"), config.warehouse_settings()).await.map_err(usage)?;
        warehouse.check_rights().await?;
        let faults = warehouse.check(mapping, &self.place.dir).await;
        if !faults.is_empty() {
            let lines: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.entity, fault.message)).collect();
            return Err(usage(anyhow::anyhow!("the mapping has {} faults:\n  {}", lines.len(), lines.join("\n  "))));
        }
        config.store.check().await.map_err(usage)?;
        if !self.json {
            print("the configuration is valid, every source answers, and every mapped column is there");
        }
        if !self.read {
            return Ok(());
        }
        let key = PseudonymKey::load_or_create(&self.place.dir.join("pseudonym.key"))?;
        let reporter = Reporter::new();
        let reads = warehouse.read_through(mapping, &self.place.dir, &key, &reporter).await;
        reporter.done();
        let reads = reads?;
        if self.json {
            return print_json(&reads);
        }
        for read in &reads {
            print(&format!("{}: {} rows in {:.1} s, {} of them unreadable", read.entity, read.rows, read.seconds, read.rejected));
        }
        Ok(())
    }
}
