//! The three factors reported beside a confidence, each from 0 to 1: how well such forecasts came true lately, how much of the
//! history that the frame asks for is there, and how far the candidates agree.

use sellcast_domain::{CategoryId, ConfidenceFactors};

use crate::amounts::round;
use crate::candidates::disagreement;
use crate::learn::Learned;
use crate::ledger::ForecastPeriod;
use crate::rows::Rows;

/// Days of lags that a frame asks for beside two of its periods.
const LAG_DAYS: i64 = 56;
/// Days on sale after which a product's own history is complete: a quarter.
const COMPLETE_DAYS: f64 = 91.0;

/// The factors of one forecast.
pub(crate) struct Factors<'a> {
    learned: &'a Learned,
    forecast: &'a ForecastPeriod,
    disagreement: Vec<f32>,
    days_on_sale: Vec<f32>,
    completeness: f64,
}

impl<'a> Factors<'a> {
    /// Of a forecast made from `rows` by what was learnt before it.
    pub(crate) fn of(learned: &'a Learned, forecast: &'a ForecastPeriod, rows: &Rows) -> Self {
        let asked = LAG_DAYS + 2 * forecast.period.days();
        Self {
            learned,
            forecast,
            disagreement: disagreement(&forecast.candidates, learned.hedge.weights(), &forecast.amount),
            days_on_sale: rows.column("days_since_first_sale"),
            completeness: (rows.history_days as f64 / asked as f64).min(1.0),
        }
    }

    /// Of the product in a row.
    pub(crate) fn of_product(&self, row: usize) -> ConfidenceFactors {
        // One that never sold has next to no history, like one that was first sold yesterday.
        let days = f64::from(self.days_on_sale[row]);
        let known = if days.is_nan() { 0.1 } else { (days / COMPLETE_DAYS).clamp(0.1, 1.0) };
        let lately = self.learned.came_true(self.forecast.categories[row], self.forecast.rank[row]);
        self.factors(lately, known, self.disagreement[row])
    }

    /// Of a category with the given rows; its products agree as their amounts do.
    pub(crate) fn of_category(&self, category: CategoryId, rows: &[usize]) -> ConfidenceFactors {
        let amount: f32 = rows.iter().map(|row| self.forecast.amount[*row]).sum();
        let apart: f32 = rows.iter().map(|row| self.disagreement[*row] * self.forecast.amount[*row]).sum();
        self.factors(self.learned.accuracy(category), 1.0, apart / amount.max(0.01))
    }

    fn factors(&self, lately: f64, known: f64, disagreement: f32) -> ConfidenceFactors {
        ConfidenceFactors {
            historical_accuracy: round(lately),
            data_completeness: round(self.completeness * known),
            ensemble_agreement: round(1.0 / (1.0 + f64::from(disagreement))),
        }
    }
}
