//! Rebuilding a published prediction from the versions that it names, and comparing it with what was published.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use sellcast_domain::{Continuation, Generation, ModelSource, PredictionId, TimeFrame};
use sellcast_forecast::{Comparison, Forecaster, FrameModels, Settings, Shop};
use sellcast_warehouse::WarehouseSettings;
use serde::Serialize;

use crate::engine::Engine;
use crate::model_files::Loaded;

/// What a replay found.
#[derive(Debug, Serialize)]
pub(crate) struct Replayed {
    pub(crate) prediction_id: PredictionId,
    pub(crate) generation: Generation,
    pub(crate) time_frame: TimeFrame,
    pub(crate) is_equal: bool,
    pub(crate) comparison: Comparison,
    pub(crate) seconds: f64,
}

impl Engine {
    /// Rebuilds a prediction and compares every value; the first `most` differences are listed.
    pub(crate) async fn replay(&self, prediction: PredictionId, most: usize) -> anyhow::Result<Replayed> {
        let started = std::time::Instant::now();
        let Some((generation, frame)) = self.store.find(prediction).await? else {
            bail!("no prediction `{prediction}` was ever published here; its id stands in the document and in `sellcast forecast --json`");
        };
        let made_by = &generation.provenance;
        ensure!(
            !made_by.program_version.is_empty(),
            "the prediction `{prediction}` was published before its provenance was recorded, so it cannot be rebuilt"
        );
        let current = sellcast_features::Definitions::current();
        ensure!(
            made_by.definitions_version == current.version(),
            "the prediction was made from features {} by sellcast {}, this is sellcast {} with features {}: replay it with that program",
            made_by.definitions_version,
            made_by.program_version,
            env!("CARGO_PKG_VERSION"),
            current.version()
        );
        let models = self.recorded_models(&generation).await?;
        let settings = WarehouseSettings {
            time_zone: generation.time_zone.parse().map_err(|error| anyhow::anyhow!("the recorded time zone is not known: {error}"))?,
            ..self.config.warehouse_settings()
        };
        let then = self
            .warehouse
            .at(&generation.warehouse_versions, settings)
            .await
            .context("the warehouse no longer keeps what the prediction was made from; versions are kept for at least thirty days")?;
        let forecaster = Forecaster::open(&then, Settings { seed: made_by.seed, rounds: made_by.rounds, ..self.settings() }).await?;
        let shop =
            Shop { name: generation.shop_name.clone(), currency: generation.currency.clone(), time_zone: generation.time_zone.clone() };
        let rebuilt = forecaster.rebuild(&shop, generation.as_of, generation.generated_at, &models).await?;
        let document = rebuilt.predictions.iter().find(|document| document.time_frame == frame);
        let continuations: BTreeMap<_, &Continuation> =
            rebuilt.continuations.iter().filter(|(of, _)| *of == frame).map(|(_, rest)| (rest.category_id, rest)).collect();
        let comparison = {
            let (id, mut published_rest) = (generation.generation_id, Vec::new());
            let published = self.store.prediction(id, frame).await?;
            for category in published.iter().flat_map(|document| &document.categories) {
                published_rest.push((category.category_id, self.store.continuation(id, frame, category.category_id).await?));
            }
            let document = serde_json::to_value(document)?;
            let rest: BTreeMap<_, _> =
                continuations.iter().map(|(id, rest)| Ok((*id, serde_json::to_value(rest)?))).collect::<Result<_, serde_json::Error>>()?;
            tokio::task::spawn_blocking(move || -> anyhow::Result<Comparison> {
                let mut comparison = Comparison::of(&serde_json::to_value(&published)?, &document, most);
                for (category, published) in published_rest {
                    let rebuilt = rest.get(&category).unwrap_or(&serde_json::Value::Null);
                    comparison.and(&format!("continuation of category {category}"), &serde_json::to_value(published)?, rebuilt, most);
                }
                Ok(comparison)
            })
            .await??
        };
        Ok(Replayed {
            prediction_id: prediction,
            time_frame: frame,
            is_equal: comparison.is_equal(),
            comparison,
            generation,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// The models that the generation names, refused unless they are the very same files.
    pub(crate) async fn recorded_models(&self, generation: &Generation) -> anyhow::Result<BTreeMap<TimeFrame, FrameModels>> {
        let mut models = BTreeMap::new();
        for (frame, source) in &generation.provenance.models {
            let loaded = self.recorded(*frame, source).await?;
            let with_dear = match generation.provenance.dear.get(frame) {
                Some(source) => {
                    let lender = self.recorded(*frame, source).await?;
                    loaded.models.with_dear_of(&lender.models, &lender.version)
                }
                None => loaded.models.without_dear(),
            };
            models.insert(*frame, with_dear);
        }
        Ok(models)
    }

    async fn recorded(&self, frame: TimeFrame, source: &ModelSource) -> anyhow::Result<Loaded> {
        let read = self.model_files.read(&source.version, Some(&source.digest)).await;
        read.with_context(|| format!("the {frame} models that the prediction was made by cannot be used"))
    }
}
