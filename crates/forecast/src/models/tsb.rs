//! Intermittent demand: the chance of a sale in a step and its size, each smoothed on its own (Teunter, Syntetos & Babai,
//! "Intermittent demand: linking forecasting to inventory obsolescence", 2011). Unlike Croston's method the chance falls
//! in every step without a sale, so that what nobody buys any more fades away.

use serde::{Deserialize, Serialize};

use crate::error::ForecastError;
use crate::rows::Rows;
use crate::series::Series;

/// Smoothing constants that are tried, the usual range.
const CONSTANTS: [f64; 6] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3];
/// Steps at the end of each series whose one-step errors choose the constants.
const JUDGED: usize = 13;
/// Rows that the choice looks at, evenly spread.
const MOST_ROWS: usize = 4_000;

/// The shop's smoothing constants: of the chance of a sale, and of its size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tsb {
    chance: f64,
    size: f64,
}

impl Tsb {
    /// Chooses the constants with the least squared error one step ahead over the sparse series, each measured in its own
    /// mean, so that dear products do not decide alone.
    pub(crate) fn fit(series: &Series, rows: usize) -> Self {
        let step = rows.div_ceil(MOST_ROWS).max(1);
        let sparse: Vec<Vec<f64>> = (0..rows)
            .step_by(step)
            .map(|row| series.row(row).iter().map(|v| f64::from(v.max(0.0))).collect::<Vec<_>>())
            .filter(|past| past.iter().filter(|v| **v > 0.0).count() * 2 <= past.len() && past.iter().any(|v| *v > 0.0))
            .collect();
        let mut best = (f64::INFINITY, Self { chance: 0.1, size: 0.1 });
        for chance in CONSTANTS {
            for size in CONSTANTS {
                let tsb = Self { chance, size };
                let error: f64 = sparse.iter().map(|past| tsb.error(past)).sum();
                if error < best.0 {
                    best = (error, tsb);
                }
            }
        }
        best.1
    }

    /// Expected amounts of the rows in their target period.
    pub(crate) fn predict(self, rows: &Rows, series: &Series) -> Vec<f32> {
        (0..rows.len())
            .map(|row| {
                let category = rows.categories[row];
                let past = series.plain(category, series.row(row).iter().map(|v| f64::from(v.max(0.0))));
                (self.rate(&past) * series.horizon * series.target_factor(category)) as f32
            })
            .collect()
    }

    /// Expected amount of the step after the series.
    fn rate(self, past: &[f64]) -> f64 {
        let mut state = State::of(past);
        past.iter().for_each(|amount| state.see(self, *amount));
        state.rate()
    }

    fn error(self, past: &[f64]) -> f64 {
        let mean = past.iter().sum::<f64>() / past.len() as f64;
        let judged_from = past.len().saturating_sub(JUDGED);
        let mut state = State::of(past);
        let mut error = 0.0;
        for (at, amount) in past.iter().enumerate() {
            if at >= judged_from {
                error += ((state.rate() - amount) / mean).powi(2);
            }
            state.see(self, *amount);
        }
        error
    }

    /// As bytes.
    pub(crate) fn encode(self) -> Result<Vec<u8>, ForecastError> {
        serde_json::to_vec(&self).map_err(|error| ForecastError::Model { model: "tsb".into(), reason: error.to_string() })
    }

    /// Reads what [`Tsb::encode`] wrote.
    pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Self, ForecastError> {
        serde_json::from_slice(bytes).map_err(|error| ForecastError::Model { model: name.to_owned(), reason: error.to_string() })
    }
}

/// The chance and the size as smoothed so far.
struct State {
    chance: f64,
    size: f64,
}

impl State {
    /// Begins with the share of steps with a sale in the first quarter of the series, and the first size seen.
    fn of(past: &[f64]) -> Self {
        let first = &past[..(past.len() / 4).max(1)];
        let sold = first.iter().filter(|v| **v > 0.0).count();
        Self { chance: sold as f64 / first.len() as f64, size: past.iter().copied().find(|v| *v > 0.0).unwrap_or(0.0) }
    }

    fn rate(&self) -> f64 {
        self.chance * self.size
    }

    fn see(&mut self, constants: Tsb, amount: f64) {
        let sold = f64::from(u8::from(amount > 0.0));
        self.chance += constants.chance * (sold - self.chance);
        if amount > 0.0 {
            self.size += constants.size * (amount - self.size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSB: Tsb = Tsb { chance: 0.2, size: 0.1 };

    #[test]
    fn a_product_that_nobody_buys_any_more_fades_away() {
        let mut past = vec![10.0; 26];
        let alive = TSB.rate(&past);
        past.extend([0.0; 26]);
        assert!((alive - 10.0).abs() < 1e-6, "{alive}");
        assert!(TSB.rate(&past) < 0.05, "{}", TSB.rate(&past));
    }

    #[test]
    fn every_fourth_week_a_sale_of_eight_is_two_a_week() {
        let past: Vec<f64> = (0..52).map(|week| if week % 4 == 1 { 8.0 } else { 0.0 }).collect();
        let rate = Tsb { chance: 0.05, size: 0.1 }.rate(&past);
        assert!((rate - 2.0).abs() < 0.3, "{rate}");
    }

    #[test]
    fn constants_follow_the_shop() {
        // Steady chances want slow constants, series that end for good want fast ones.
        let steady: Vec<f32> = (0..400_u32)
            .flat_map(|row| (0..52_u32).map(move |week| if (week * 7919 + row * 104_729) % 97 < 24 { 5.0 } else { 0.0 }))
            .collect();
        let dying: Vec<f32> = (0..400_u32)
            .flat_map(|row| (0..52_u32).map(move |week| if week < 40 + row % 9 && (week * 7919 + row) % 2 == 0 { 5.0 } else { 0.0 }))
            .collect();
        let (slow, fast) = (Tsb::fit(&Series::weekly(52, steady), 400), Tsb::fit(&Series::weekly(52, dying), 400));
        assert!(slow.chance < fast.chance, "{slow:?} {fast:?}");
    }
}
