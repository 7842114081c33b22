//! `sellcast check`.

use clap::Args;
use sellcast_warehouse::Warehouse;

use super::{Failure, Place, print, usage};

#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
}

impl Check {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let config = self.place.config()?;
        let mapping = config.mapping(&self.place.dir).map_err(usage)?;
        let warehouse = Warehouse::open(&self.place.dir.join("warehouse"), config.warehouse_settings()).await?;
        let faults = warehouse.check(mapping, &self.place.dir).await;
        if faults.is_empty() {
            print("the configuration is valid, every source answers, and every mapped column is there");
            return Ok(());
        }
        let lines: Vec<String> = faults.iter().map(|fault| format!("{}: {}", fault.entity, fault.message)).collect();
        Err(usage(anyhow::anyhow!("the mapping has {} faults:\n  {}", lines.len(), lines.join("\n  "))))
    }
}
