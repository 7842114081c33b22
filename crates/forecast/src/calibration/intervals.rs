//! 80 % intervals by split conformal prediction within bins (Mondrian; Vovk et al. 2005): of past forecasts of about
//! the same size, the truth lay between these multiples of the forecast in eight of ten cases.

use serde::{Deserialize, Serialize};

/// Share that lies below, and above, the interval.
const TAIL: f64 = 0.1;

/// Intervals of amounts, by size of the forecast.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct AmountIntervals {
    /// (upper bound of the forecasts in the bin, lower multiple, upper multiple), by rising forecast.
    bins: Vec<(f32, f32, f32)>,
}

impl AmountIntervals {
    /// Fits pairs of forecast and truth.
    pub(crate) fn fit(mut pairs: Vec<(f32, f32)>) -> Self {
        pairs.retain(|(forecast, _)| *forecast > 0.0);
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = (pairs.len() / 150).clamp(usize::from(!pairs.is_empty()), 24);
        let bins = (0..count).map(|bin| {
            let slice = &pairs[bin * pairs.len() / count..(bin + 1) * pairs.len() / count];
            let mut multiples: Vec<f32> = slice.iter().map(|(forecast, actual)| actual / forecast).collect();
            multiples.sort_by(f32::total_cmp);
            let upper = if bin + 1 == count { f32::INFINITY } else { slice[slice.len() - 1].0 };
            (upper, quantile(&multiples, TAIL).max(0.0), quantile(&multiples, 1.0 - TAIL).max(0.0))
        });
        Self { bins: bins.collect() }
    }

    /// The interval around a forecast, widened by `factor` (1 for frames that could be trained). Never negative, and
    /// always around the forecast itself; without anything learnt from nothing to three times the forecast.
    pub(crate) fn around(&self, forecast: f32, factor: f32) -> (f32, f32) {
        let at = self.bins.partition_point(|(upper, _, _)| *upper < forecast);
        let (low, high) = self.bins.get(at).map_or((0.0, 3.0), |(_, low, high)| (*low, *high));
        let low = (1.0 - (1.0 - low) * factor).clamp(0.0, 1.0);
        let high = (1.0 + (high - 1.0) * factor).max(1.0);
        (forecast * low, forecast * high)
    }
}

/// Intervals of ranks, by predicted rank.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RankIntervals {
    /// (last predicted rank in the bin, best, worst) as multiples of the predicted rank.
    bins: Vec<(u32, f32, f32)>,
}

/// Last ranks of the bins.
const RANK_BINS: [u32; 9] = [1, 2, 3, 5, 10, 20, 50, 100, u32::MAX];

impl RankIntervals {
    /// Fits pairs of predicted and true rank.
    pub(crate) fn fit(pairs: &[(u32, u32)]) -> Self {
        let mut bins = Vec::new();
        let mut first = 1;
        for last in RANK_BINS {
            let in_bin = pairs.iter().filter(|(predicted, _)| (first..=last).contains(predicted));
            let mut multiples: Vec<f32> = in_bin.map(|(predicted, actual)| *actual as f32 / *predicted as f32).collect();
            multiples.sort_by(f32::total_cmp);
            if multiples.len() >= 20 {
                bins.push((last, quantile(&multiples, TAIL), quantile(&multiples, 1.0 - TAIL)));
            }
            first = last.saturating_add(1);
        }
        Self { bins }
    }

    /// Best and worst rank of an item predicted at `rank` in a list of `size`.
    pub(crate) fn around(&self, rank: u32, size: u32, factor: f32) -> (u32, u32) {
        let at = self.bins.partition_point(|(last, _, _)| *last < rank).min(self.bins.len().saturating_sub(1));
        let (best, worst) = self.bins.get(at).map_or((0.3, 4.0), |(_, best, worst)| (*best, *worst));
        let best = (rank as f32 * best / factor).floor().max(1.0) as u32;
        let worst = (rank as f32 * worst * factor).ceil() as u32;
        (best.min(rank), worst.max(rank).min(size.max(rank)))
    }
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[f32], share: f64) -> f32 {
    let at = (share * (sorted.len() as f64 - 1.0)).clamp(0.0, sorted.len() as f64 - 1.0);
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_of_ten_lie_inside() {
        let pairs: Vec<(f32, f32)> =
            (0..4000_u64).map(|i| (10.0 + (i % 50) as f32, (10.0 + (i % 50) as f32) * ((i * 7919) % 2000) as f32 / 1000.0)).collect();
        let fitted = AmountIntervals::fit(pairs.clone());
        let inside = pairs.iter().filter(|(forecast, actual)| {
            let (low, high) = fitted.around(*forecast, 1.0);
            low <= *actual && *actual <= high
        });
        let share = inside.count() as f64 / pairs.len() as f64;
        assert!((share - 0.8).abs() < 0.02, "{share}");
    }

    #[test]
    fn intervals_hold_their_forecast_even_when_nothing_was_learnt() {
        let (low, high) = AmountIntervals::default().around(10.0, 2.0);
        assert!(low <= 10.0 && high >= 10.0);
        assert_eq!(RankIntervals::default().around(1, 1, 1.0), (1, 1));
    }
}
