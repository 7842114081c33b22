//! GraphQL's `Category`: its forecast and its best products.

use std::sync::Arc;

use async_graphql::{ID, Object, Result};
use sellcast_domain::CategoryPrediction;

use super::error;
use super::product::Product;
use super::query::Source;
use crate::query::page_of;
use crate::ranked::ranked;
use crate::wording::round_share;

pub(super) struct Category {
    pub(super) source: Arc<Source>,
    /// Its place in the document.
    pub(super) place: usize,
}

/// A category's forecast.
#[Object]
impl Category {
    /// The category.
    async fn id(&self) -> ID {
        self.predicted().category_id.to_string().into()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.predicted().category_name
    }

    /// Expected sales.
    async fn predicted_sales_amount(&self) -> f64 {
        self.predicted().predicted_sales_amount.to_f64()
    }

    /// Probability that it is truly among the best categories (5, 10, 20, 50 or 100: the shortest list that holds its rank).
    async fn confidence_score(&self) -> f64 {
        round_share(self.source.edition.confidence(self.predicted().confidence_score, &self.source.frame))
    }

    /// Rank, from 1.
    async fn rank(&self) -> u32 {
        self.predicted().rank
    }

    /// Its products by rank, best first; `limit` 1 to 100, `page` from 1.
    #[graphql(complexity = "1 + limit.max(0) as usize * child_complexity")]
    async fn top_products(&self, #[graphql(default = 10)] limit: i32, #[graphql(default = 1)] page: i32) -> Result<Vec<Product>> {
        let (limit, offset) = page_of(limit, page).map_err(error)?;
        let source = &self.source;
        let category = self.predicted();
        let (first, is_live) = (&category.top_products, source.frame.live_as_of.is_some());
        let rest = if is_live || (offset + limit > first.len() && category.total_products as usize > first.len()) {
            source.state.forecasts().continuation(&source.edition, &source.frame, category.category_id).await.map_err(error)?
        } else {
            None
        };
        let items = ranked(first, rest.as_ref().map_or(&[][..], |rest| &rest.products));
        let products = items.into_iter().skip(offset).take(limit).map(|item| Product::of(item, source)).collect();
        Ok(products)
    }
}

impl Category {
    fn predicted(&self) -> &CategoryPrediction {
        &self.source.frame.document.categories[self.place]
    }
}
