//! From a point forecast to how sure we are: the probability of being in the top K, and 80 % intervals of amount and
//! rank. All of it is learnt from forecasts whose truth is known.

mod confidence;
mod intervals;

pub(crate) use confidence::{ConfidenceModel, ListItems};
pub(crate) use intervals::{AmountIntervals, RankIntervals};
