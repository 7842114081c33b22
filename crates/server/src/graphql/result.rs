//! GraphQL's `PredictionResult`: the forecast of one period.

use std::sync::Arc;

use async_graphql::{Object, Result};
use chrono::SecondsFormat;

use super::category::Category;
use super::error;
use super::query::Source;
use super::time_frame::TimeFrame;
use crate::live_frames::Basis;
use crate::query::page_of;
use crate::routes::{period_end, period_start};

pub(super) struct PredictionResult {
    pub(super) source: Arc<Source>,
}

/// The forecast of one period.
#[Object]
impl PredictionResult {
    /// Its length.
    async fn time_frame(&self) -> TimeFrame {
        self.source.frame.document.time_frame.into()
    }

    /// First instant, written as `T00:00:00Z` of the shop's first day.
    async fn period_start(&self) -> String {
        period_start(&self.source.frame.document)
    }

    /// Last instant, written as `T23:59:59Z` of the shop's last day.
    async fn period_end(&self) -> String {
        period_end(&self.source.frame.document)
    }

    /// When the forecast was made.
    async fn generated_at(&self) -> String {
        self.source.made()
    }

    /// When the forecast was made; the name it has in the prediction documents.
    async fn generation_timestamp(&self) -> String {
        self.source.made()
    }

    /// Version of the models' combination.
    async fn model_version(&self) -> &str {
        &self.source.frame.document.model_version
    }

    /// `live` for sold so far and the expected rest, `batch` for the forecast as it was published.
    async fn basis(&self) -> &str {
        self.source.basis.name()
    }

    /// Up to which instant sales are in a live forecast.
    async fn live_as_of(&self) -> Option<String> {
        match &self.source.basis {
            Basis::Live(as_of) => Some(as_of.to_rfc3339_opts(SecondsFormat::Secs, true)),
            _ => None,
        }
    }

    /// Since when the stream of sales stands still, where a live forecast was asked for and cannot be had for that.
    async fn stream_still_since(&self) -> Option<String> {
        match &self.source.basis {
            Basis::Still(since) => since.map(|since| since.to_rfc3339_opts(SecondsFormat::Secs, true)),
            _ => None,
        }
    }

    /// Categories by rank, best first; `limit` 1 to 100, `page` from 1.
    #[expect(clippy::unused_async, reason = "the macro wants async resolvers where a limit of complexity is given")]
    #[graphql(complexity = "1 + limit.max(0) as usize * child_complexity")]
    async fn categories(&self, #[graphql(default = 10)] limit: i32, #[graphql(default = 1)] page: i32) -> Result<Vec<Category>> {
        let (limit, offset) = page_of(limit, page).map_err(error)?;
        let count = self.source.frame.document.categories.len();
        let places = offset.min(count)..(offset + limit).min(count);
        Ok(places.map(|place| Category { source: self.source.clone(), place }).collect())
    }
}

impl Source {
    fn made(&self) -> String {
        self.frame.document.generation_timestamp.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}
