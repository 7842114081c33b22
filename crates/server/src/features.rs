//! Features of products. The server keeps none: whoever starts it gives it somebody who reads them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sellcast_domain::{CategoryId, Problem, ProblemKind, ProductId, ShopDay};

use crate::state::AppState;

/// Most products of one request.
pub(crate) const MOST_PRODUCTS: usize = 100;

/// Features on their way.
pub type ReadingFeatures<'a> = Pin<Box<dyn Future<Output = Result<FeaturesRead, Problem>> + Send + 'a>>;

/// Reads the features that the newest forecast was made from.
pub trait FeatureReads: Send + Sync {
    /// Those of some products, all of the same as_of.
    fn read(&self, products: Vec<ProductId>) -> ReadingFeatures<'_>;
}

/// Features of products.
#[derive(Clone, Debug)]
pub struct FeaturesRead {
    /// The day before which everything was known.
    pub as_of: ShopDay,
    /// Version of the definitions.
    pub definitions_version: String,
    /// Names of the features.
    pub names: Arc<[String]>,
    /// In the order that was asked; `None` for a product without features.
    pub rows: Vec<Option<FeatureRow>>,
}

/// A product's features.
#[derive(Clone, Debug)]
pub struct FeatureRow {
    /// Its category at the as_of.
    pub category: CategoryId,
    /// One per name; NaN where there is none.
    pub values: Vec<f32>,
}

/// Asks whoever reads them.
pub(crate) async fn read(state: &AppState, products: Vec<ProductId>) -> Result<FeaturesRead, Problem> {
    match state.features() {
        Some(features) => features.read(products).await,
        None => Err(Problem::new(ProblemKind::NotFound, "this server reads no features; `sellcast serve` does")),
    }
}
