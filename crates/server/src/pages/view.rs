//! What most pages begin with: the forecast of the asked frame and date, the week's beside it for the small
//! charts, and the shop's currency.

use std::sync::Arc;

use sellcast_domain::{CategoryHistory, CategoryId, Currency, Money, Problem, ProductId, ShopDay, TimeFrame};

use super::links::Link;
use crate::forecasts::Edition;
use crate::live_frames::Basis;
use crate::snapshot::FrameDocument;
use crate::state::AppState;

/// A forecast as a page shows it.
pub(super) struct View {
    pub(super) edition: Edition,
    pub(super) frame: Arc<FrameDocument>,
    /// `None` on pages that show published numbers whatever is sold.
    pub(super) basis: Option<Basis>,
    /// The week's forecast, for charts whose grain is the week.
    pub(super) week: Option<Arc<FrameDocument>>,
    /// The date as it stands in the address.
    pub(super) date: Option<ShopDay>,
}

impl View {
    pub(super) async fn load(state: &AppState, frame: TimeFrame, date: Option<ShopDay>) -> Result<Self, Problem> {
        let edition = state.forecasts().edition(date, state.today()).await?;
        let week = state.forecasts().document(&edition, TimeFrame::Week).await.ok();
        let frame = state.forecasts().document(&edition, frame).await?;
        Ok(Self { edition, frame, basis: None, week, date })
    }

    /// The same with a running period as it stands now.
    pub(super) async fn live(state: &AppState, frame: TimeFrame, date: Option<ShopDay>) -> Result<Self, Problem> {
        let view = Self::load(state, frame, date).await?;
        let shown = state.shown(&view.edition, view.frame.clone(), None, true).await?;
        Ok(Self { frame: shown.frame, basis: Some(shown.basis), ..view })
    }

    pub(super) fn time_frame(&self) -> TimeFrame {
        self.frame.document.time_frame
    }

    pub(super) fn currency(&self) -> &Currency {
        &self.edition.generation.currency
    }

    pub(super) fn show(&self, amount: Money) -> String {
        self.currency().show(amount)
    }

    pub(super) fn show_units(&self, amount: f64) -> String {
        Money::try_from(amount).map_or_else(|_| "–".to_owned(), |amount| self.show(amount))
    }

    /// Probability as it may still be claimed.
    pub(super) fn sure(&self, said: f64) -> f64 {
        self.edition.confidence(said, &self.frame)
    }

    /// An address of this frame and date.
    pub(super) fn link(&self, path: impl Into<String>) -> Link {
        Link::to(path).with("frame", self.time_frame()).with_some("date", self.date)
    }

    pub(super) fn category_link(&self, id: CategoryId) -> String {
        self.link(format!("/categories/{id}")).to_string()
    }

    pub(super) fn product_link(&self, id: ProductId) -> String {
        self.link(format!("/products/{id}")).to_string()
    }

    /// Last weeks of a category's sales, drawn with the week to come.
    pub(super) fn category_spark(&self, id: CategoryId, history: Option<&CategoryHistory>) -> crate::charts::Svg {
        let sold: Vec<f64> = history.map(|history| history.amounts.iter().map(|amount| amount.to_f64()).collect()).unwrap_or_default();
        let next = self.week.as_ref().and_then(|week| week.category(id)).map(|category| category.predicted_sales_amount);
        self.spark(&sold, next)
    }

    /// Last weeks of a product's sales, drawn with the week to come.
    pub(super) fn product_spark(&self, category: CategoryId, id: ProductId, history: Option<&CategoryHistory>) -> crate::charts::Svg {
        let found = history.and_then(|history| history.products.iter().find(|product| product.product_id == id));
        let sold: Vec<f64> = found.map(|product| product.amounts.iter().map(|amount| amount.to_f64()).collect()).unwrap_or_default();
        let next = self.week.as_ref().and_then(|week| week.product(category, id)).map(|product| product.predicted_amount);
        self.spark(&sold, next)
    }

    fn spark(&self, sold: &[f64], next: Option<Money>) -> crate::charts::Svg {
        let last = sold.last().copied().unwrap_or_default();
        let words = match next {
            Some(next) => format!("13 weeks of sales, {} in the last; next week {}", self.show_units(last), self.show(next)),
            None => format!("13 weeks of sales, {} in the last", self.show_units(last)),
        };
        crate::charts::spark(sold, next.map(Money::to_f64), &words)
    }
}
