//! `sellcast models`.

use clap::Args;

use super::{Failure, Place, print, print_json};

#[derive(Args)]
pub(super) struct Models {
    #[command(flatten)]
    place: Place,
    /// Print all entries as JSON: training data versions, features, parameters, metrics.
    #[arg(long)]
    json: bool,
}

impl Models {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("models").await?;
        let models = engine.registry.models().await?;
        if self.json {
            return print_json(&models);
        }
        if models.is_empty() {
            print("no models yet: run `sellcast train`");
        }
        for model in models {
            let mark = if model.is_champion { "champion" } else { "" };
            print(&format!("{:<24} {} {mark}", model.version, model.trained_at.format("%Y-%m-%d %H:%M")));
        }
        Ok(())
    }
}
