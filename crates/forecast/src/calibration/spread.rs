//! How the truth spreads around a forecast: the predictive distribution of a product's amount, as multiples of its expected
//! amount, by the number of units expected. Nearly every product that sells seldom sells nothing or several times its
//! expectation; what sells daily stays near it. So products are binned by expected units, and each bin keeps the empirical
//! quantiles of what came (split conformal prediction in Mondrian bins; Vovk et al., 2005).

use sellcast_domain::CategoryId;
use serde::{Deserialize, Serialize};

use crate::calibration::levels::{ByGroup, Coverage, Misses, PROMISED, tried};
use crate::metrics::holds;

/// Quantiles kept of each bin: from 0 to 1 in steps of 1 / (GRID - 1).
const GRID: usize = 81;
/// Newest periods by which the levels are checked walking forward.
const CHECKED: usize = 4;
/// Fewest forecasts in a bin, and most bins.
const PER_BIN: usize = 250;
const BINS: usize = 32;

/// A past forecast with its truth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// Its category.
    pub(crate) category: CategoryId,
    /// Days since its first sale, or NaN.
    pub(crate) age: f32,
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
    levels: ByGroup,
}

impl Spread {
    /// Fits past forecasts, period by period (oldest first). What hardly ever sells is covered by "nothing" more often than
    /// promised; the level of a category's other intervals makes up for it. Walking forward over the newest periods shows by
    /// how much such levels miss what they promise on periods they have not seen, in the shop, in each category and by age,
    /// and the promise is moved against that (adaptive conformal inference; Gibbs & Candès, 2021). `ended` says how many of the
    /// periods had ended when the one at a place began: months that are forecast every week overlap, and one that is nearly the same
    /// is hardly missed.
    pub(crate) fn fit(periods: &[Vec<Past>], ended: impl Fn(usize) -> usize) -> Self {
        let walked = periods.len().saturating_sub(1).min(CHECKED);
        let mut missed = Misses::default();
        for at in periods.len() - walked..periods.len() {
            let known = &periods[..ended(at)];
            if !known.is_empty() {
                missed.add(&Self::at_levels(known, &ByGroup::even(PROMISED)), known, &periods[at]);
            }
        }
        Self::at_levels(periods, &missed.asked())
    }

    /// With the levels at which `asked` of the given forecasts are covered.
    fn at_levels(periods: &[Vec<Past>], asked: &ByGroup) -> Self {
        let mut spread = Self { bins: bins(periods.iter().flatten()), levels: ByGroup::even(PROMISED) };
        let mut coverage = Coverage::default();
        let ends = tried().map(|level| spread.bins.iter().map(|bin| ends(bin, level)).collect::<Vec<_>>());
        for past in periods.iter().flatten().filter(|_| !spread.is_empty()) {
            let bin = spread.found(past.units);
            let inside = ends.each_ref().map(|ends| {
                let (low, high) = ends[bin];
                holds((low.min(1.0) * past.expected, high.max(1.0) * past.expected), f64::from(past.actual))
            });
            coverage.count(past, inside);
        }
        spread.levels = coverage.levels(asked);
        spread
    }

    /// Whether the interval of each level holds a past truth.
    pub(super) fn held(&self, past: &Past) -> [bool; 2] {
        let of = Of { category: past.category, age: past.age, units: past.units, expected: past.expected };
        [0, 1].map(|at| holds(self.interval(of, past.expected, at, 1.0), f64::from(past.actual)))
    }

    /// The distribution of a product of which so many units and that amount are expected.
    pub(crate) fn around(&self, units: f32, expected: f32) -> Around<'_> {
        Around { bin: self.bin(units), expected }
    }

    /// The shortest interval of a level (0: 80 %, 1: 95 %), widened by `factor` around `amount`, which it always holds. Without
    /// anything learnt, from nothing to three times the expected amount.
    pub(crate) fn interval(&self, of: Of, amount: f32, level: usize, factor: f32) -> (f32, f32) {
        let inside = self.levels.of(of.category, of.age, level);
        let (low, high) = self.bin(of.units).map_or((0.0, 3.0), |bin| ends(bin, inside));
        let (low, high) = ((low * of.expected).min(amount), (high * of.expected).max(amount));
        ((amount - (amount - low) * factor).max(0.0), amount + (high - amount) * factor)
    }

    /// Whether anything was learnt.
    pub(crate) fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    fn found(&self, units: f32) -> usize {
        self.bins.partition_point(|bin| bin.upper < units).min(self.bins.len().saturating_sub(1))
    }

    fn bin(&self, units: f32) -> Option<&Bin> {
        self.bins.get(self.found(units))
    }
}

/// The predictive distribution of one product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around<'a> {
    bin: Option<&'a Bin>,
    expected: f32,
}

impl Around<'_> {
    /// The amount that stays unexceeded with probability `share`.
    pub(crate) fn quantile(self, share: f32) -> f32 {
        self.bin.map_or(self.expected, |bin| at(&bin.multiples, share) * self.expected)
    }
}

/// What an interval is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of {
    pub(crate) category: CategoryId,
    /// Days since its first sale, or NaN.
    pub(crate) age: f32,
    /// Expected units.
    pub(crate) units: f32,
    /// Expected amount.
    pub(crate) expected: f32,
}

/// The shortest stretch of multiples that holds `level` of them, with at most half of the rest below.
fn ends(bin: &Bin, level: f32) -> (f32, f32) {
    let level = level.clamp(0.0, 0.995);
    let stretch = |tail: u8| {
        let below = (1.0 - level) * f32::from(tail) / 8.0;
        let low = if tail == 0 { 0.0 } else { at(&bin.multiples, below) };
        (low, at(&bin.multiples, below + level))
    };
    let shortest = (0..=4_u8).map(stretch).min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
    shortest.unwrap_or((0.0, 3.0))
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
                let category = CategoryId::from(1);
                let draw = lot(seed * 10_000 + i);
                if i % 2 == 0 {
                    Past {
                        category,
                        age: 300.0,
                        units: 0.5,
                        expected: 2.0,
                        actual: if draw < 0.5 { 0.0 } else { 8.0 * (draw - 0.5) + 2.0 },
                    }
                } else {
                    Past { category, age: 300.0, units: 30.0, expected: 60.0, actual: 30.0 + 60.0 * draw }
                }
            })
            .collect()
    }

    #[test]
    fn intervals_of_steady_and_sporadic_products_hold_what_they_promise() {
        let spread = Spread::fit(&(0..6).map(period).collect::<Vec<_>>(), |at| at);
        let fresh = period(99);
        for (level, promised) in PROMISED.into_iter().enumerate() {
            for sporadic in [true, false] {
                let part: Vec<Past> = fresh.iter().filter(|past| (past.units < 1.0) == sporadic).copied().collect();
                let covered = part.iter().filter(|past| spread.held(past)[level]).count() as f32 / part.len() as f32;
                assert!((covered - promised).abs() < 0.05, "{covered} of {promised}, sporadic: {sporadic}");
            }
        }
        let steady = Of { category: CategoryId::from(1), age: 300.0, units: 30.0, expected: 60.0 };
        let (low, high) = spread.interval(steady, 60.0, 0, 1.0);
        assert!(low > 30.0 && high < 95.0, "steady products get a narrow interval: {low} to {high}");
    }

    #[test]
    fn what_overlaps_a_period_does_not_vouch_for_it() {
        // The last three, nearly one and the same, lie further from what was expected than those before.
        let further = |past: &Past| Past { actual: past.expected + 1.15 * (past.actual - past.expected), ..*past };
        let steadily = |seed: u64| period(seed).into_iter().filter(|past| past.units > 1.0);
        let calm: Vec<Vec<Past>> = (0..3).map(|seed| steadily(seed).collect()).collect();
        let wild = || steadily(3).map(|past| further(&past)).collect::<Vec<_>>();
        let periods = [&calm[..], &[wild(), wild(), wild()]].concat();
        let steady = Of { category: CategoryId::from(1), age: 300.0, units: 30.0, expected: 60.0 };
        let width = |spread: &Spread| {
            let (low, high) = spread.interval(steady, 60.0, 0, 1.0);
            high - low
        };
        let (all, ended) = (Spread::fit(&periods, |at| at), Spread::fit(&periods, |at| at.min(3)));
        assert!(width(&ended) > 1.01 * width(&all), "{} and {}", width(&ended), width(&all));
    }

    #[test]
    fn nothing_learnt_says_so_by_a_wide_interval_that_holds_the_forecast() {
        let of = Of { category: CategoryId::from(1), age: 300.0, units: 1.0, expected: 10.0 };
        let (low, high) = Spread::default().interval(of, 12.0, 0, 2.0);
        assert!(low <= 0.0 && high >= 30.0);
    }
}
