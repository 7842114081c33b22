//! Forecasts: models per time frame behind one shape, combined by weights learnt from scored forecasts, with
//! calibrated confidence. Everything here works on what was known before as_of; the truth enters only when a period
//! has ended, to score it.

mod amounts;
mod backtest;
mod bandit;
mod calibration;
mod candidates;
mod catalogue;
mod coherence;
mod cold_start;
mod combined;
mod dear;
mod documents;
mod drift;
mod duel;
mod error;
mod experiment;
mod explain;
mod factor_report;
mod factors;
mod fallback;
mod first_scores;
mod forecaster;
mod groups;
mod guard;
mod hedge;
mod history;
mod importance;
mod learn;
mod ledger;
mod metrics;
mod models;
mod paired;
mod plan;
mod publication;
mod record;
mod rehearsal;
mod replay;
mod rows;
mod series;
mod train;
mod weighing;
mod what_if;

pub use backtest::{Backtest, BacktestReport};
pub use bandit::Bandit;
pub use cold_start::Launches;
pub use dear::DearModels;
pub use drift::Drift;
pub use error::ForecastError;
pub use experiment::{ArmPublication, PUBLISHED, Trial};
pub use factor_report::FactorThird;
pub use forecaster::{Forecaster, Settings};
pub use groups::{AgeGroup, CategoryGroup, Groups, ListCalls};
pub use hedge::{AdaHedge, Hedge, Learner};
pub use importance::FeatureImportance;
pub use learn::Learned;
pub use ledger::{ForecastPeriod, Ledger};
pub use metrics::{Scored, top_categories};
pub use models::kind::{ModelKind, ModelSet, UnknownModel};
pub use plan::FramePlan;
pub use publication::{Publication, Shop};
pub use rehearsal::Rehearsal;
pub use replay::{Comparison, Difference};

pub use train::{FrameModels, ModelArtifact};
pub use what_if::{Response, WhatIfBasis};
