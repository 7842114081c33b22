//! Keeps what the live forecasts say in the prediction store, so that they can be scored when their periods have ended: at most
//! once in a minute of the shop's clock, and seldom enough that it takes no more than a small part of the time.

use std::time::{Duration, Instant};

use chrono::SubsecRound;
use metrics::counter;
use sellcast_domain::{LiveGeneration, LivePrediction};

use crate::live_frames::{Basis, LARGEST_PART, LEAST_PAUSE};
use crate::metrics::LIVE_GENERATIONS;
use crate::state::{AppState, WeakState, chain};

/// However long a store that does not answer was waited for, the next attempt comes after this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keeps live generations for as long as the server lives.
pub(crate) async fn keep(state: WeakState) {
    let (mut kept, mut failing) = (None, false);
    loop {
        tokio::time::sleep(LEAST_PAUSE).await;
        let Some(state) = state.upgrade() else { return };
        let started = Instant::now();
        let Some(live) = state.live_generation(kept).await else { continue };
        let (as_of, minute) = (live.as_of, live.minute());
        let done = state.forecasts().store().keep_live(live).await;
        drop(state);
        // Also after a failure: the next minute tries again.
        kept = Some(minute);
        match done {
            Ok(is_written) => {
                tracing::debug!(%as_of, is_written, "live generation");
                counter!(LIVE_GENERATIONS, "outcome" => if is_written { "kept" } else { "taken" }).increment(1);
                failing = false;
            }
            Err(error) => {
                counter!(LIVE_GENERATIONS, "outcome" => "failed").increment(1);
                if !failing {
                    tracing::warn!(error = chain(&error), "live forecasts are served on and not kept");
                }
                failing = true;
            }
        }
        tokio::time::sleep((started.elapsed() * LARGEST_PART).saturating_sub(LEAST_PAUSE).min(LONGEST_PAUSE)).await;
    }
}

impl AppState {
    /// What the live forecasts say now; `None` once the published generation's day is over, and in the minute that is kept already.
    async fn live_generation(&self, kept: Option<i64>) -> Option<LiveGeneration> {
        let standing = self.live_frames().sales()?.standing();
        let minute = standing.as_of?.min(self.now()).timestamp().div_euclid(60);
        if standing.is_still || kept == Some(minute) {
            return None;
        }
        let edition = self.forecasts().edition(None, self.today()).await.ok().filter(|edition| edition.days_late == 0)?;
        let (mut predictions, mut oldest) = (Vec::new(), standing.as_of?);
        for frame in LiveGeneration::FRAMES {
            let Ok(published) = self.forecasts().document(&edition, frame).await else { continue };
            let shown = self.shown(&edition, published, None, true).await.ok()?;
            let Basis::Live(as_of) = shown.basis else { return None };
            let rest = |category| shown.frame.rest(category).map(|rest| &**rest);
            predictions.push(LivePrediction::of(&shown.frame.document, rest));
            oldest = oldest.min(as_of);
        }
        let live = LiveGeneration { generation_id: edition.id(), as_of: oldest.trunc_subsecs(0), predictions };
        // What is shown may be a moment older than the stream.
        (!live.predictions.is_empty() && kept != Some(live.minute())).then_some(live)
    }
}
