//! What can go wrong between the warehouse and a feature set.

use sellcast_domain::ShopDay;

/// A failure to compute, keep or trust features.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The engine refused or failed a query.
    #[error("cannot compute {what}")]
    Engine {
        /// What was being computed.
        what: String,
        /// The engine's words.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// The warehouse could not be read or written.
    #[error("cannot use the warehouse for features")]
    Warehouse(#[from] sellcast_warehouse::WarehouseError),
    /// The warehouse holds no sales of forecast categories.
    #[error("the warehouse holds no sales that could be forecast: run `sellcast ingest`, or check `forecast.exclude` in the configuration")]
    NoSales,
    /// A feature's value depends on rows that were not known at its as_of.
    #[error("feature `{feature}` sees the future: at {as_of} it changes for {products} products when later rows are hidden")]
    Leak {
        /// Its name.
        feature: String,
        /// The day it was caught at.
        as_of: ShopDay,
        /// How many rows differ.
        products: usize,
    },
    /// A result lacks a column or has another type than the definitions promise.
    #[error("column `{0}` is missing from a feature query or has an unexpected type")]
    Column(String),
}

pub(crate) trait Context<T> {
    fn while_computing(self, what: impl Into<String>) -> Result<T, FeatureError>;
}

impl<T> Context<T> for Result<T, datafusion::error::DataFusionError> {
    fn while_computing(self, what: impl Into<String>) -> Result<T, FeatureError> {
        self.map_err(|source| FeatureError::Engine { what: what.into(), source })
    }
}
