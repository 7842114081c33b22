//! `sellcast forecast`.

use chrono::{DateTime, Utc};
use clap::Args;
use sellcast_domain::{ShopDay, Stage};

use super::{Failure, Place, now, print, print_json};

#[derive(Args)]
pub(super) struct Forecast {
    #[command(flatten)]
    place: Place,
    /// First day of every period (default: the day after the last sale, or today if that comes first).
    #[arg(long, value_name = "DAY")]
    as_of: Option<ShopDay>,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
    /// Print the published generation as JSON.
    #[arg(long)]
    json: bool,
}

impl Forecast {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("forecast").await?;
        let as_of = match self.as_of {
            Some(day) => day,
            None => engine.day_after_sales(self.now).await?,
        };
        let generation = engine.publish(as_of, now(&engine.config, self.now, Some(as_of))).await?;
        if self.json {
            return print_json(&generation);
        }
        let kind = if generation.stage == Stage::Models { "trained models" } else { "baselines" };
        print(&format!("published the forecasts from {as_of} on, made by {kind}, as generation {}", generation.generation_id));
        Ok(())
    }
}
