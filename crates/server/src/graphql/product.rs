//! GraphQL's `Product`: its forecast.

use async_graphql::{ID, Object};
use sellcast_domain::{Money, ProductId};

use super::query::Source;
use crate::ranked::Ranked;
use crate::wording::{round_quantity, round_share};

pub(super) struct Product {
    pub(super) id: ProductId,
    pub(super) name: String,
    pub(super) quantity: f64,
    pub(super) amount: Money,
    pub(super) confidence: f64,
    pub(super) rank: u32,
}

impl Product {
    pub(super) fn of(item: Ranked<'_>, source: &Source) -> Self {
        let sure = |said| source.edition.confidence(said, &source.frame);
        match item {
            Ranked::First(product) => Self {
                id: product.product_id,
                name: product.product_name.clone(),
                quantity: product.predicted_quantity,
                amount: product.predicted_amount,
                confidence: sure(product.confidence_score),
                rank: product.rank,
            },
            Ranked::Continued(product) => Self {
                id: product.product_id,
                name: product.product_name.clone(),
                quantity: product.predicted_quantity,
                amount: product.predicted_amount,
                confidence: sure(product.confidence_score),
                rank: product.rank,
            },
        }
    }
}

/// A product's forecast.
#[Object]
impl Product {
    /// The product.
    async fn id(&self) -> ID {
        self.id.to_string().into()
    }

    /// Its name.
    async fn name(&self) -> &str {
        &self.name
    }

    /// Expected units.
    async fn predicted_quantity(&self) -> f64 {
        round_quantity(self.quantity)
    }

    /// Expected sales.
    async fn predicted_amount(&self) -> f64 {
        self.amount.to_f64()
    }

    /// Probability that it is truly among the best products of its category (5, 10, 20, 50 or 100: the shortest list that holds its rank).
    async fn confidence_score(&self) -> f64 {
        round_share(self.confidence)
    }

    /// Rank in its category, from 1.
    async fn rank(&self) -> u32 {
        self.rank
    }
}
