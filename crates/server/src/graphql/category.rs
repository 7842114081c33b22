//! GraphQL's `Category`: its forecast and its best products.

use std::sync::Arc;

use async_graphql::{ID, Object, Result};
use sellcast_domain::CategoryPrediction;

use super::error;
use super::product::Product;
use super::query::Source;
use crate::query::page_of;
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
        let mut products: Vec<Product> = category
            .top_products
            .iter()
            .skip(offset)
            .take(limit)
            .map(|product| Product {
                id: product.product_id,
                name: product.product_name.clone(),
                quantity: product.predicted_quantity,
                amount: product.predicted_amount,
                confidence: source.edition.confidence(product.confidence_score, &source.frame),
                rank: product.rank,
            })
            .collect();
        let first = category.top_products.len();
        if products.len() < limit && category.total_products as usize > first {
            let frame = source.frame.document.time_frame;
            let rest = source.state.forecasts().continuation(&source.edition, frame, category.category_id).await.map_err(error)?;
            let missing = limit - products.len();
            let continued = rest.iter().flat_map(|rest| &rest.products).skip(offset.saturating_sub(first)).take(missing);
            products.extend(continued.map(|product| Product {
                id: product.product_id,
                name: product.product_name.clone(),
                quantity: product.predicted_quantity,
                amount: product.predicted_amount,
                confidence: source.edition.confidence(product.confidence_score, &source.frame),
                rank: product.rank,
            }));
        }
        Ok(products)
    }
}

impl Category {
    fn predicted(&self) -> &CategoryPrediction {
        &self.source.frame.document.categories[self.place]
    }
}
