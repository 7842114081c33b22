//! How likely each item of a list is to be among its best when the running period is over.
//!
//! What an item's sales come to is what it sold and purchases to come: none with the probability that a negative binomial count is zero,
//! and otherwise a Gamma distributed amount with the same mean and variance. Of a list, the K-th best amount is taken to be where K items
//! are expected above it; an item's chance is that of being above. The chances so add up to K, or to all that may sell. They need the
//! amounts to be independent and leave out what else the published chances know, so those are moved by what the sales did to the odds
//! since the period began and not replaced.

use crate::TopK;

/// Coefficient of variation of what a purchase comes to, squared: units and prices differ.
const SPREAD: f64 = 0.5;
/// Probabilities are kept this far from 0 and 1 where odds are taken.
const SURE: f64 = 1e-6;
/// An amount, in cents, that whatever sells comes to.
const SOMETHING: f64 = 0.5;
/// Amounts that are tried first, and at most so many between two of them.
const TRIED: usize = 12;
const BETWEEN: usize = 24;
/// So many items more or less than the list has are near enough.
const NEAR: f64 = 0.01;
/// An item whose chance moves by less between two amounts is not looked at again between them.
const STEADY: f64 = 1e-7;

/// What an item's sales of a period may come to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Sold so far, in cents.
    sold: f64,
    /// Probability that more is bought.
    more: f64,
    /// What is bought if there is more: its mean in cents, and the shape of its distribution.
    mean: f64,
    shape: f64,
}

impl Outlook {
    /// `sold` cents so far; `purchases` of `cents` together expected, with a common factor that is Gamma distributed with this shape.
    pub fn new(sold: f64, purchases: f64, cents: f64, shape: f64) -> Self {
        if purchases <= SURE * SURE || cents <= 0.0 {
            return Self { sold, ..Self::default() };
        }
        let more = 1.0 - (1.0 + purchases / shape).powf(-shape);
        let square = cents * cents * ((1.0 + SPREAD) / purchases + 1.0 / shape + 1.0);
        let mean = cents / more;
        let variance = (square / more - mean * mean).max(mean * mean * SURE);
        Self { sold, more, mean, shape: mean * mean / variance }
    }

    /// Probability of more than so many cents. The Gamma distribution's tail is that of a normal one for its cube root (Wilson and
    /// Hilferty, 1931).
    fn above(&self, cents: f64) -> f64 {
        let missing = cents - self.sold;
        if missing <= 0.0 {
            return 1.0;
        }
        if self.more <= 0.0 || missing <= SOMETHING {
            return self.more;
        }
        let ninth = 1.0 / (9.0 * self.shape);
        self.more * normal_tail(((missing / self.mean).cbrt() - 1.0 + ninth) / ninth.sqrt())
    }

    /// More than it seldom comes to.
    fn most(&self) -> f64 {
        self.sold + self.mean * (1.0 + 5.0 / self.shape.sqrt().max(0.2))
    }
}

/// Each item's chance of each list of [`TopK::ALL`].
pub fn chances(items: &[Outlook]) -> Vec<[f64; TopK::ALL.len()]> {
    let mut chances = vec![[0.0; TopK::ALL.len()]; items.len()];
    let most = items.iter().map(Outlook::most).fold(SOMETHING, f64::max);
    let step = (most / SOMETHING).powf(1.0 / (TRIED - 1) as f64);
    let amounts: Vec<f64> = (0..TRIED).map(|at| SOMETHING * step.powi(at as i32)).collect();
    let tried: Vec<Vec<f64>> = amounts.iter().map(|amount| items.iter().map(|item| item.above(*amount)).collect()).collect();
    let expected: Vec<f64> = tried.iter().map(|above| above.iter().sum()).collect();
    for (list, k) in TopK::ALL.into_iter().enumerate() {
        let wanted = f64::from(k.get());
        let below = expected.iter().rposition(|expected| *expected > wanted);
        let Some(below) = below.filter(|below| below + 1 < TRIED) else {
            // There is room for all that sell.
            let all = if below.is_none() { 0 } else { TRIED - 1 };
            chances.iter_mut().zip(&tried[all]).for_each(|(chance, above)| chance[list] = *above);
            continue;
        };
        let (low, high) = (&tried[below], &tried[below + 1]);
        let open: Vec<usize> = (0..items.len()).filter(|item| low[*item] - high[*item] > STEADY).collect();
        let settled = expected[below] - open.iter().map(|item| low[*item]).sum::<f64>();
        let (mut from, mut to) = ((amounts[below], expected[below]), (amounts[below + 1], expected[below + 1]));
        for _ in 0..BETWEEN {
            if wanted - to.1 < NEAR {
                break;
            }
            let share = ((from.1 - wanted) / (from.1 - to.1)).clamp(0.1, 0.9);
            let between = from.0 * (to.0 / from.0).powf(share);
            let above = settled + open.iter().map(|item| items[*item].above(between)).sum::<f64>();
            if above > wanted { from = (between, above) } else { to = (between, above) }
        }
        chances.iter_mut().zip(high).for_each(|(chance, above)| chance[list] = *above);
        for item in open {
            chances[item][list] = items[item].above(to.0);
        }
    }
    chances
}

/// A published chance, moved by what the sales did to the odds: `before` is the chance by outlooks when the period began, `now` that by
/// outlooks now. Without a published one, that of now.
pub fn moved_chance(published: Option<f64>, before: f64, now: f64) -> f64 {
    let odds = |chance: f64| {
        let chance = chance.clamp(SURE, 1.0 - SURE);
        (chance / (1.0 - chance)).ln()
    };
    match published {
        None => now.clamp(0.0, 1.0),
        Some(published) => 1.0 / (1.0 + (odds(before) - odds(published) - odds(now)).exp()),
    }
}

/// Probability that a standard normal variable exceeds `z` (Abramowitz and Stegun, 26.2.17; within 1e-7).
fn normal_tail(z: f64) -> f64 {
    if z.abs() > 8.0 {
        return if z > 0.0 { 0.0 } else { 1.0 };
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() * 0.398_942_280_401_432_7 * series;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_add_up_to_the_length_of_the_list_or_to_all_that_may_sell() {
        let items: Vec<Outlook> = (1..=60).map(|n| Outlook::new(0.0, 20.0 / f64::from(n), 6_000.0 / f64::from(n), 10.0)).collect();
        let chances = chances(&items);
        for (list, k) in TopK::ALL.into_iter().enumerate() {
            let sum: f64 = chances.iter().map(|chance| chance[list]).sum();
            let sells: f64 = items.iter().map(|item| item.more).sum();
            assert!((sum - f64::from(k.get()).min(sells)).abs() < 0.01, "{k:?}: {sum}");
        }
        assert!(chances.is_sorted_by(|better, worse| better[0] >= worse[0]));
        assert!(chances.iter().all(|chance| chance.is_sorted()), "a longer list holds more");
    }

    #[test]
    fn when_nothing_more_can_come_the_order_is_certain() {
        let items: Vec<Outlook> = (0..40).map(|n| Outlook::new(f64::from(n * 7 % 40) * 100.0, 0.0, 0.0, 1.0)).collect();
        let chances = chances(&items);
        let is_in = |list: usize| chances.iter().filter(|chance| chance[list] == 1.0).count();
        // The one that sold nothing is in no list.
        assert_eq!([is_in(0), is_in(1), is_in(2), is_in(3)], [5, 10, 20, 39]);
        assert!(chances.iter().flatten().all(|chance| *chance == 0.0 || *chance == 1.0));
    }

    #[test]
    fn a_published_chance_moves_with_the_odds_and_stays_where_nothing_has_happened() {
        assert!((moved_chance(Some(0.7), 0.4, 0.4) - 0.7).abs() < 1e-9);
        assert!(moved_chance(Some(0.7), 0.4, 0.6) > 0.8);
        assert!(moved_chance(Some(0.99), 0.4, 0.0) < 0.001 && moved_chance(Some(0.01), 0.4, 1.0) > 0.99);
        assert_eq!(moved_chance(None, 0.4, 0.3), 0.3);
    }

    #[test]
    fn the_tail_is_that_of_the_tables() {
        for (z, tail) in [(0.0, 0.5), (1.0, 0.158_655_3), (1.96, 0.024_997_9), (-1.281_551_6, 0.9), (9.0, 0.0)] {
            assert!((normal_tail(z) - tail).abs() < 2e-7, "{z}: {}", normal_tail(z));
        }
    }
}
