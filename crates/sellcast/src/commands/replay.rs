//! `sellcast replay`.

use clap::Args;
use sellcast_domain::PredictionId;

use super::{Failure, Place, print, print_json};

#[derive(Args)]
pub(super) struct Replay {
    #[command(flatten)]
    place: Place,
    /// Id of a published prediction, as its document and `sellcast forecast --json` give it.
    #[arg(value_name = "PREDICTION_ID")]
    prediction: PredictionId,
    /// How many differences are listed.
    #[arg(long, default_value_t = 10)]
    most: usize,
    /// Print the comparison as JSON.
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let engine = self.place.engine("replay").await?;
        let replayed = engine.replay(self.prediction, self.most).await?;
        let comparison = &replayed.comparison;
        if self.json {
            print_json(&replayed)?;
        } else {
            let what = format!("the {} forecast from {} on", replayed.time_frame, replayed.generation.as_of);
            print(&if replayed.is_equal {
                format!("{what} is rebuilt bit for bit: {} values are equal ({:.1} s)", comparison.values, replayed.seconds)
            } else {
                format!("{what} differs in {} of {} values:", comparison.different, comparison.values)
            });
            for difference in &comparison.first {
                print(&format!("  {}: published {}, rebuilt {}", difference.path, difference.published, difference.rebuilt));
            }
        }
        if replayed.is_equal {
            return Ok(());
        }
        let id = self.prediction;
        Err(anyhow::anyhow!(
            "the prediction `{id}` is not what its recorded versions give: the store, the warehouse or a model was changed"
        )
        .into())
    }
}
