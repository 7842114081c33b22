//! GraphQL's entry points.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, Result};
use sellcast_domain::CategoryId;
use sellcast_domain::window::WindowKey;

use super::category::Category;
use super::error;
use super::result::PredictionResult;
use super::time_frame::TimeFrame;
use super::windows::SalesWindows;
use crate::forecasts::Edition;
use crate::live_frames::Basis;
use crate::problems::{field_error, invalid, unknown_category};
use crate::query::date_of;
use crate::snapshot::FrameDocument;
use crate::state::AppState;
use crate::windows::windows;

/// The forecast that an answer is read from.
pub(super) struct Source {
    pub(super) edition: Edition,
    pub(super) frame: Arc<FrameDocument>,
    pub(super) basis: Basis,
    pub(super) state: AppState,
}

pub(crate) struct Query;

/// Forecasts of the best-selling categories and products.
#[expect(clippy::unused_async, reason = "the macro takes async functions only")]
#[Object]
impl Query {
    /// The forecast of a period: the current shop day's unless a date is given. A running period is told as it stands now unless
    /// `live` is false.
    #[graphql(complexity = "1 + child_complexity")]
    async fn predictions(
        &self,
        context: &Context<'_>,
        time_frame: TimeFrame,
        date: Option<String>,
        #[graphql(default = true)] live: bool,
    ) -> Result<PredictionResult> {
        let source = source(context, time_frame, date.as_deref(), live).await?;
        Ok(PredictionResult { source: Arc::new(source) })
    }

    /// One category's forecast.
    #[graphql(complexity = "1 + child_complexity")]
    async fn category_prediction(
        &self,
        context: &Context<'_>,
        id: ID,
        time_frame: TimeFrame,
        date: Option<String>,
        #[graphql(default = true)] live: bool,
    ) -> Result<Category> {
        let wrong = |_| error(invalid(vec![field_error("id", "is not a category's id", "a whole number")]));
        let id = id.parse::<CategoryId>().map_err(wrong)?;
        let source = Arc::new(source(context, time_frame, date.as_deref(), live).await?);
        let place = source.frame.place(id).ok_or_else(|| error(unknown_category(id)))?;
        Ok(Category { source, place })
    }

    /// What sold in a category lately.
    async fn category_windows(&self, context: &Context<'_>, id: ID) -> Result<SalesWindows> {
        let wrong = |_| error(invalid(vec![field_error("id", "is not a category's id", "a whole number")]));
        let key = WindowKey::Category(id.parse().map_err(wrong)?);
        Ok(windows(context.data::<AppState>()?, key).map_err(error)?.into())
    }

    /// What sold of a product lately.
    async fn product_windows(&self, context: &Context<'_>, id: ID) -> Result<SalesWindows> {
        let wrong = |_| error(invalid(vec![field_error("id", "is not a product's id", "a whole number")]));
        let key = WindowKey::Product(id.parse().map_err(wrong)?);
        Ok(windows(context.data::<AppState>()?, key).map_err(error)?.into())
    }
}

async fn source(context: &Context<'_>, frame: TimeFrame, date: Option<&str>, live: bool) -> Result<Source> {
    let state = context.data::<AppState>()?.clone();
    let date = date_of(date).map_err(error)?;
    let edition = state.forecasts().edition(date, state.today()).await.map_err(error)?;
    let frame = state.forecasts().document(&edition, frame.into()).await.map_err(error)?;
    let shown = state.shown(&edition, frame, None, live).await.map_err(error)?;
    Ok(Source { edition, frame: shown.frame, basis: shown.basis, state })
}
