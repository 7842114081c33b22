//! What can go wrong between features and a forecast.

use sellcast_domain::TimeFrame;

/// A failure to train, forecast, score or keep.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// Features or the truth could not be had.
    #[error("cannot get features or sales for the forecast")]
    Features(#[from] sellcast_features::FeatureError),
    /// The ledger could not be read or written.
    #[error("cannot use the ledger in the warehouse")]
    Warehouse(#[from] sellcast_warehouse::WarehouseError),
    /// The engine failed on a ledger query.
    #[error("cannot query the ledger")]
    Engine(#[from] datafusion::error::DataFusionError),
    /// The boosting library refused the data or a model file.
    #[error("cannot {step} the boosted model `{model}`")]
    Boosting {
        /// `train`, `read` or `apply`.
        step: &'static str,
        /// Which model.
        model: String,
        /// Its words.
        #[source]
        source: hessboost::prelude::HessboostError,
    },
    /// A stored model does not fit this program.
    #[error("model `{model}` cannot be used: {reason}; train again with `sellcast train`")]
    Model {
        /// Which model.
        model: String,
        /// Why.
        reason: String,
    },
    /// The history is too short even for a baseline.
    #[error("no forecast for the {frame} frame: {days} days of history are too few, at least 7 are needed")]
    TooLittleHistory {
        /// The frame.
        frame: TimeFrame,
        /// Days there are.
        days: i64,
    },
    /// The asked back-test does not fit into the history.
    #[error("no back-test for the {frame} frame: {reason}")]
    Backtest {
        /// The frame.
        frame: TimeFrame,
        /// Why.
        reason: String,
    },
}
