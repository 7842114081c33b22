//! From a point forecast to how sure we are: the probability of being in the top K, and 80 % intervals of amount and
//! rank. All of it is learnt from forecasts whose truth is known.

mod came_true;
mod confidence;
mod intervals;
mod levels;
mod order;
mod point;
mod simulate;
mod spread;

pub(crate) use came_true::{Call, CameTrue};
pub(crate) use confidence::{ConfidenceModel, ListItems, confidences};
pub(crate) use intervals::{AmountIntervals, RankIntervals};
pub(crate) use point::{Sums, Totals, common_quantile, mix, sums, sums_of};
pub(crate) use simulate::{Field, Simulated, simulate};
pub(crate) use spread::{Of, Past, Spread};
