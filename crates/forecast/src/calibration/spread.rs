//! How the truth spreads around a forecast: the predictive distribution of a product's amount, as multiples of its expected
//! amount, by the number of units expected. Nearly every product that sells seldom sells nothing or several times its
//! expectation; what sells daily stays near it. So products are binned by expected units, and each bin keeps the empirical
//! quantiles of what came (split conformal prediction in Mondrian bins; Vovk et al., 2005).

use serde::{Deserialize, Serialize};

/// Quantiles kept of each bin: from 0 to 1 in steps of 1 / (GRID - 1).
const GRID: usize = 81;
/// Fewest forecasts in a bin, and most bins.
const PER_BIN: usize = 250;
const BINS: usize = 32;

/// A past forecast with its truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// Expected units.
    pub(crate) units: f32,
    /// Expected amount.
    pub(crate) expected: f32,
    /// What came.
    pub(crate) actual: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bin {
    /// Most expected units of its forecasts.
    upper: f32,
    /// Rising multiples of the expected amount.
    multiples: Vec<f32>,
}

/// Predictive distributions by expected units, with the levels at which intervals hold what they promise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    bins: Vec<Bin>,
    /// Level of the quantiles that gave a coverage of 80 and of 95 % so far.
    levels: [f32; 2],
}

/// Promised coverages.
const PROMISED: [f32; 2] = [0.8, 0.95];

impl Spread {
    /// Fits past forecasts, period by period (oldest first). The levels are learnt walking forward: each period is covered by
    /// what the periods before it taught, and the level moves against the error (adaptive conformal inference; Gibbs & Candès,
    /// 2021).
    pub(crate) fn fit(periods: &[Vec<Past>]) -> Self {
        let mut levels = PROMISED;
        for at in periods.len().div_ceil(2)..periods.len() {
            let earlier = Self { bins: bins(periods[..at].iter().flatten()), levels };
            if earlier.bins.is_empty() {
                continue;
            }
            for (level, promised) in PROMISED.into_iter().enumerate() {
                let covered = earlier.coverage(&periods[at], level);
                levels[level] = (levels[level] + 0.5 * (promised - covered)).clamp(promised - 0.3, (promised + 0.15).min(0.995));
            }
        }
        let mut spread = Self { bins: bins(periods.iter().flatten()), levels };
        // Products that hardly ever sell are covered by "nothing" far too often; the others make up for it.
        for (level, promised) in PROMISED.into_iter().enumerate() {
            let all: Vec<Past> = periods.iter().flatten().copied().collect();
            let (mut low, mut high) = (promised - 0.3, (promised + 0.15).min(0.995));
            for _ in 0..12 {
                let middle = f32::midpoint(low, high);
                spread.levels[level] = middle;
                if spread.coverage(&all, level) < promised { low = middle } else { high = middle }
            }
            // Half what fits all periods, half what the latest ones asked for.
            spread.levels[level] = f32::midpoint(f32::midpoint(low, high), levels[level]);
        }
        spread
    }

    /// Share of `past` inside its intervals of a level.
    fn coverage(&self, past: &[Past], level: usize) -> f32 {
        let inside = past.iter().filter(|past| {
            let (low, high) = self.interval(past.units, past.expected, past.expected, level, 1.0);
            low - 0.005 <= past.actual && past.actual <= high + 0.005
        });
        inside.count() as f32 / past.len().max(1) as f32
    }

    /// The amount that stays unexceeded with probability `share`.
    pub(crate) fn quantile(&self, units: f32, expected: f32, share: f32) -> f32 {
        self.bin(units).map_or(expected, |bin| at(&bin.multiples, share) * expected)
    }

    /// The shortest interval of a level (0: 80 %, 1: 95 %), widened by `factor` around `amount`, which it always holds. Without
    /// anything learnt, from nothing to three times the expected amount.
    pub(crate) fn interval(&self, units: f32, expected: f32, amount: f32, level: usize, factor: f32) -> (f32, f32) {
        let (low, high) = match self.bin(units) {
            None => (0.0, 3.0 * expected),
            Some(bin) => {
                let inside = self.levels[level].clamp(0.0, 0.995);
                let ends = (0..=4_u8).map(|tail| {
                    let below = (1.0 - inside) * f32::from(tail) / 8.0;
                    let low = if tail == 0 { 0.0 } else { at(&bin.multiples, below) };
                    (low, at(&bin.multiples, below + inside))
                });
                let shortest = ends.min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0))).unwrap_or((0.0, 3.0));
                (shortest.0 * expected, shortest.1 * expected)
            }
        };
        let (low, high) = (low.min(amount), high.max(amount));
        ((amount - (amount - low) * factor).max(0.0), amount + (high - amount) * factor)
    }

    /// Whether anything was learnt.
    pub(crate) fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    fn bin(&self, units: f32) -> Option<&Bin> {
        let found = self.bins.partition_point(|bin| bin.upper < units);
        self.bins.get(found.min(self.bins.len().saturating_sub(1)))
    }
}

fn bins<'a>(past: impl Iterator<Item = &'a Past>) -> Vec<Bin> {
    let mut sorted: Vec<&Past> = past.filter(|past| past.expected > 0.0 && past.units.is_finite()).collect();
    sorted.sort_by(|a, b| a.units.total_cmp(&b.units));
    let count = (sorted.len() / PER_BIN).clamp(usize::from(!sorted.is_empty()), BINS);
    (0..count)
        .map(|bin| {
            let slice = &sorted[bin * sorted.len() / count..(bin + 1) * sorted.len() / count];
            let mut multiples: Vec<f32> = slice.iter().map(|past| (past.actual / past.expected).max(0.0)).collect();
            multiples.sort_by(f32::total_cmp);
            let upper = if bin + 1 == count { f32::INFINITY } else { slice[slice.len() - 1].units };
            Bin { upper, multiples: (0..GRID).map(|step| at(&multiples, step as f32 / (GRID - 1) as f32)).collect() }
        })
        .collect()
}

/// The value below which `share` of sorted values lie, linear between neighbours.
fn at(sorted: &[f32], share: f32) -> f32 {
    let at = share.clamp(0.0, 1.0) * (sorted.len() as f32 - 1.0);
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - at.floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number from 0 to 1 that looks random.
    fn lot(seed: u64) -> f32 {
        let mixed = (seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// Half of the products sell one time in two, the others steadily between half and one and a half of what is expected.
    fn period(seed: u64) -> Vec<Past> {
        (0..2_000_u64)
            .map(|i| {
                let draw = lot(seed * 10_000 + i);
                if i % 2 == 0 {
                    Past { units: 0.5, expected: 2.0, actual: if draw < 0.5 { 0.0 } else { 8.0 * (draw - 0.5) + 2.0 } }
                } else {
                    Past { units: 30.0, expected: 60.0, actual: 30.0 + 60.0 * draw }
                }
            })
            .collect()
    }

    #[test]
    fn intervals_of_steady_and_sporadic_products_hold_what_they_promise() {
        let spread = Spread::fit(&(0..6).map(period).collect::<Vec<_>>());
        let fresh = period(99);
        for (level, promised) in PROMISED.into_iter().enumerate() {
            for sporadic in [true, false] {
                let part: Vec<Past> = fresh.iter().filter(|past| (past.units < 1.0) == sporadic).copied().collect();
                let covered = spread.coverage(&part, level);
                assert!((covered - promised).abs() < 0.05, "{covered} of {promised}, sporadic: {sporadic}");
            }
        }
        let (low, high) = spread.interval(30.0, 60.0, 60.0, 0, 1.0);
        assert!(low > 30.0 && high < 95.0, "steady products get a narrow interval: {low} to {high}");
    }

    #[test]
    fn nothing_learnt_says_so_by_a_wide_interval_that_holds_the_forecast() {
        let (low, high) = Spread::default().interval(1.0, 10.0, 12.0, 0, 2.0);
        assert!(low <= 0.0 && high >= 30.0);
    }
}
