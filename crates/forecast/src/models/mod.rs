//! The models: each turns the rows of one as_of into amounts or probabilities.

pub(crate) mod baseline;
pub(crate) mod boosted;
pub(crate) mod logistic;
