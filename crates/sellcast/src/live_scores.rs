//! Scores the live forecasts that the servers kept, when their periods have ended: they lie in the prediction store, the truth
//! in the warehouse.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sellcast_domain::{GenerationId, LiveGeneration, Period, ShopDay, TimeFrame, TrackRecord};
use sellcast_forecast::Forecaster;

use crate::engine::Engine;

impl Engine {
    /// Scores what has ended and was not scored, and puts all live scores into the record. What fails is tried again the next time.
    pub(crate) async fn score_live(&self, forecaster: &Forecaster<'_>, as_of: ShopDay, record: &mut TrackRecord) {
        let told = |error: anyhow::Error| {
            tracing::warn!(error = format!("{error:#}"), "live forecasts are not scored; the next publication tries again")
        };
        let read = async { anyhow::Ok((self.kept_live(as_of).await?, forecaster.live_scored().await?)) };
        match read.await {
            Ok((kept, scored)) => {
                for (id, instants) in kept {
                    let frames = LiveGeneration::FRAMES.into_iter().filter(|frame| !scored.contains(&(*frame, id.to_string())));
                    self.score_generation(forecaster, id, frames, &instants, as_of).await.unwrap_or_else(told);
                }
            }
            Err(error) => told(error),
        }
        match forecaster.live_record(as_of).await {
            Ok(scores) => {
                for (frame, scores) in scores {
                    record.frames.entry(frame).and_modify(|record| record.live = scores);
                }
            }
            Err(error) => told(error.into()),
        }
    }

    /// The instants of the live generations that are kept, by the published generation that they go on from.
    async fn kept_live(&self, as_of: ShopDay) -> anyhow::Result<BTreeMap<GenerationId, Vec<DateTime<Utc>>>> {
        let zone = self.config.shop.time_zone;
        let kept = (as_of - LiveGeneration::KEPT_DAYS).starts_at(zone)..as_of.starts_at(zone);
        let mut instants: BTreeMap<GenerationId, Vec<DateTime<Utc>>> = BTreeMap::new();
        for (generation, instant) in self.store.live_instants(kept).await? {
            instants.entry(generation).or_default().push(instant);
        }
        Ok(instants)
    }

    async fn score_generation(
        &self,
        forecaster: &Forecaster<'_>,
        id: GenerationId,
        frames: impl Iterator<Item = TimeFrame>,
        instants: &[DateTime<Utc>],
        as_of: ShopDay,
    ) -> anyhow::Result<()> {
        let Some(generation) = self.store.generation(id).await? else { return Ok(()) };
        for frame in frames {
            let period = Period::starting(frame, generation.as_of);
            if period.last_day() >= as_of {
                continue;
            }
            let Some(published) = self.store.prediction(id, frame).await? else { continue };
            let mut live = Vec::with_capacity(instants.len());
            for instant in instants {
                let found = self.store.live(id, *instant).await?;
                let of_frame = found.and_then(|live| live.predictions.into_iter().find(|live| live.time_frame == frame));
                live.extend(of_frame.map(|live| (*instant, live)));
            }
            if !live.is_empty() {
                forecaster.score_live(&published, &live, period.start().starts_at(self.config.shop.time_zone), as_of).await?;
                tracing::info!(generation = %id, %frame, forecasts = live.len(), "live forecasts scored");
            }
        }
        Ok(())
    }
}
