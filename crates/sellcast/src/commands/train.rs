//! `sellcast train`.

use chrono::{DateTime, Utc};
use clap::Args;
use sellcast_domain::ShopDay;

use super::{Failure, Place, now, print, print_json};
use crate::progress::Reporter;

#[derive(Args)]
pub(super) struct Train {
    #[command(flatten)]
    place: Place,
    /// Train on what was known before this day (default: the day after the last sale, or today if that comes first).
    #[arg(long, value_name = "DAY")]
    as_of: Option<ShopDay>,
    /// The shop's clock (RFC 3339), instead of the system's.
    #[arg(long, value_name = "INSTANT")]
    now: Option<DateTime<Utc>>,
    /// Print the versions as JSON.
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("train").await?;
        let as_of = match self.as_of {
            Some(day) => day,
            None => engine.day_after_sales(self.now).await?,
        };
        let reporter = Reporter::new();
        let started = std::time::Instant::now();
        let trained = engine.train(as_of, now(&engine.config, self.now, Some(as_of)), &|step| reporter.line(step)).await;
        reporter.done();
        let training = trained?;
        if self.json {
            print_json(&training.trained)?;
        } else {
            print(&format!(
                "trained {} in {:.0} s",
                if training.trained.is_empty() {
                    "nothing: the history is too short, or it is done".into()
                } else {
                    training.trained.join(", ")
                },
                started.elapsed().as_secs_f64()
            ));
        }
        let failed: Vec<String> = training.failed.iter().map(|(frame, reason)| format!("{frame}: {reason}")).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(anyhow::anyhow!("the training failed for {}; the champions stay", failed.join("; ")).into())
    }
}
