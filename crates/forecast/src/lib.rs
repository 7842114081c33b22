//! Forecasts: models per time frame behind one shape, combined by weights learnt from scored forecasts, with
//! calibrated confidence. Everything here works on what was known before as_of; the truth enters only when a period
//! has ended, to score it.

mod backtest;
mod calibration;
mod candidates;
mod catalogue;
mod documents;
mod error;
mod explain;
mod fallback;
mod forecaster;
mod hedge;
mod history;
mod importance;
mod learn;
mod ledger;
mod metrics;
mod models;
mod plan;
mod record;
mod rehearsal;
mod rows;
mod series;
mod train;

pub use backtest::{Backtest, BacktestReport};
pub use documents::{Publication, Shop};
pub use error::ForecastError;
pub use forecaster::{Forecaster, Settings};
pub use hedge::Hedge;
pub use importance::FeatureImportance;
pub use learn::Learned;
pub use ledger::{ForecastPeriod, Ledger};
pub use metrics::{Scored, top_categories};
pub use models::kind::{ModelKind, ModelSet, UnknownModel};
pub use plan::FramePlan;
pub use rehearsal::Rehearsal;

pub use train::{FrameModels, ModelArtifact};
