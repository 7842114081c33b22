//! Whether the factors beside a confidence move it the right way: the products shown in full, parted into thirds by each
//! factor, with the mean confidence said and the share that came true.

use sellcast_domain::{ConfidenceFactors, TopK};
use serde::Serialize;

use crate::ledger::ForecastPeriod;
use crate::metrics::Scored;

/// A factor by its name.
type Named = (&'static str, fn(&ConfidenceFactors) -> f64);

const FACTORS: [Named; 3] = [
    ("historical_accuracy", |factors| factors.historical_accuracy),
    ("data_completeness", |factors| factors.data_completeness),
    ("ensemble_agreement", |factors| factors.ensemble_agreement),
];

/// The confidences of about a third of the products, by one factor. Equal values stay together, so a third may be larger, and
/// missing beside one that is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactorThird {
    /// `historical_accuracy`, `data_completeness` or `ensemble_agreement`.
    pub factor: &'static str,
    /// `lowest`, `middle` or `highest`.
    pub third: &'static str,
    /// Least value of the factor in it.
    pub from: f64,
    /// Highest value.
    pub to: f64,
    /// Number of confidences.
    pub calls: u64,
    /// Mean confidence said.
    pub confidence: f64,
    /// Share that came true.
    pub came_true: f64,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    factors: ConfidenceFactors,
    confidence: f64,
    came_true: f64,
}

/// Confidences of several periods with their factors.
#[derive(Clone, Debug, Default)]
pub(crate) struct FactorTally {
    calls: Vec<Call>,
}

impl FactorTally {
    /// Adds one period; `factors` by row of the forecast.
    pub(crate) fn add(&mut self, scored: &Scored, forecast: &ForecastPeriod, factors: &[ConfidenceFactors]) {
        for (at, row) in scored.rows.iter().enumerate() {
            let Some(row) = row.filter(|row| forecast.rank[*row] <= 100) else { continue };
            let hit = scored.actual_rank[at] <= TopK::holding(forecast.rank[row]).get();
            self.calls.push(Call {
                factors: factors[row],
                confidence: forecast.confidence[row].into(),
                came_true: f64::from(u8::from(hit)),
            });
        }
    }

    /// The thirds of each factor, lowest first.
    pub(crate) fn thirds(&self) -> Vec<FactorThird> {
        FACTORS.into_iter().flat_map(|(name, value)| self.thirds_of(name, value)).collect()
    }

    fn thirds_of(&self, factor: &'static str, value: fn(&ConfidenceFactors) -> f64) -> Vec<FactorThird> {
        let mut calls: Vec<(f64, Call)> = self.calls.iter().map(|call| (value(&call.factors), *call)).collect();
        calls.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut parts: [Vec<(f64, Call)>; 3] = Default::default();
        let mut before = 0;
        for equal in calls.chunk_by(|a, b| a.0 == b.0) {
            // By the middle of the equal ones.
            let third = 3 * (2 * before + equal.len()) / (2 * calls.len());
            parts[third.min(2)].extend_from_slice(equal);
            before += equal.len();
        }
        let third = |(part, third): (&Vec<(f64, Call)>, &'static str)| {
            let ((from, _), (to, _)) = (part.first()?, part.last()?);
            let mean = |of: fn(&Call) -> f64| part.iter().map(|(_, call)| of(call)).sum::<f64>() / part.len() as f64;
            let (confidence, came_true) = (mean(|call| call.confidence), mean(|call| call.came_true));
            Some(FactorThird { factor, third, from: *from, to: *to, calls: part.len() as u64, confidence, came_true })
        };
        parts.iter().zip(["lowest", "middle", "highest"]).filter_map(third).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(calls: impl Iterator<Item = (f64, f64, bool)>) -> Vec<FactorThird> {
        let call = |(agreement, confidence, hit): (f64, f64, bool)| Call {
            factors: ConfidenceFactors { historical_accuracy: 0.5, data_completeness: 1.0, ensemble_agreement: agreement },
            confidence,
            came_true: f64::from(u8::from(hit)),
        };
        FactorTally { calls: calls.map(call).collect() }.thirds()
    }

    #[test]
    fn thirds_tell_what_was_said_and_what_came() {
        let thirds = tally((0..90).map(|at| (f64::from(at) / 90.0, f64::from(at) / 100.0, at >= 45)));
        let agreement: Vec<_> = thirds.iter().filter(|third| third.factor == "ensemble_agreement").collect();
        assert_eq!(agreement.iter().map(|third| third.calls).collect::<Vec<_>>(), [30, 30, 30]);
        assert_eq!(agreement.iter().map(|third| third.came_true).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
        assert!((agreement[1].confidence - 0.445).abs() < 1e-9, "{agreement:?}");
        assert!(agreement[0].to < agreement[1].from && agreement[1].to < agreement[2].from);
    }

    #[test]
    fn equal_values_are_never_parted() {
        let thirds = tally((0..90).map(|at| (if at < 10 { 0.1 } else { 1.0 }, 0.5, true)));
        let of = |factor: &str| thirds.iter().filter(|third| third.factor == factor).map(|third| third.calls).collect::<Vec<_>>();
        assert_eq!(of("ensemble_agreement"), [10, 80]);
        assert_eq!(of("historical_accuracy"), [90]);
        assert!(tally(std::iter::empty()).is_empty());
    }
}
