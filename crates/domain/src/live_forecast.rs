//! The forecast of a period that runs: what was sold so far and what is expected of the rest.
//!
//! The batch forecast is the prior. Sales come at its rate times an unknown factor that is Gamma distributed with mean 1; the
//! forecast's interval says how much the factor may differ from 1, after what chance alone does to so many sales. Counting
//! sales updates the factor as counts do (Gamma-Poisson; Gelman et al., Bayesian Data Analysis, 2.6). Where sales scatter more
//! than counts do, by the index of dispersion of [`Course`], so many lines are as good as one independent purchase (quasi-Poisson;
//! McCullagh and Nelder, Generalized Linear Models, 9.2). The batch forecast itself is never changed.

use crate::window::Sums;
use crate::{Course, Interval, Money, Outlook};

/// Standard deviations from one end of an 80 % interval to the other.
const WIDTH_80: f64 = 2.563;
/// The factor's variance is at least this: no forecast is so sure that sales could teach it nothing.
const LEAST_VARIANCE: f64 = 1e-4;
/// Fewer expected sales than this are not told apart.
const LEAST_SALES: f64 = 1e-6;

/// What the batch forecast says of a period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Amount.
    pub amount: Money,
    /// Units.
    pub quantity: f64,
    /// 80 % interval of the amount.
    pub interval: Interval,
}

/// What a running period comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LiveForecast {
    /// Sold so far and the expected rest.
    pub amount: Money,
    /// The same in units.
    pub quantity: f64,
    /// 80 % interval of the amount; never below what is sold.
    pub interval: Interval,
    /// Sold so far.
    pub sold: Money,
    /// How wide the interval is against the batch forecast's: 1 at the beginning, 0 at the end.
    pub width: f64,
    /// What the period could come to when it began.
    pub before: Outlook,
    /// What it can come to now.
    pub now: Outlook,
}

/// The rest of a period before it is rounded.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Amount in cents.
    cents: f64,
    quantity: f64,
    width: f64,
    /// Independent purchases.
    purchases: f64,
    /// Shape of the distribution of their common factor.
    shape: f64,
    before: Outlook,
}

impl Expected {
    /// The forecast when the period has come so far and `sold` is what came.
    pub fn live(&self, sold: Sums, course: Course) -> LiveForecast {
        let rest = self.rest(sold, course);
        self.with(sold, rest, Money::from_cents(rest.cents.round() as i64))
    }

    /// The forecasts of the parts of a whole: each learns from its own sales, and what they expect of the rest is brought to what
    /// the whole expects of it, in the proportion in which the batch forecasts of parts and whole stand. What makes the whole
    /// scatter beyond chance is taken to be common to its parts, and so to be less of what the smaller ones scatter (as in a
    /// beta-binomial). `parts` are in the order of the result.
    pub fn live_parts(&self, sold: Sums, parts: &[(Self, Sums)], course: Course) -> Vec<LiveForecast> {
        let whole = self.rest(sold, course);
        let of_part = |part: &Self| {
            let share = (part.cents() / self.cents().max(1.0)).min(1.0);
            Course { dispersion: 1.0 + (course.dispersion - 1.0) * share, ..course }
        };
        let rests: Vec<Rest> = parts.iter().map(|(part, sold)| part.rest(*sold, of_part(part))).collect();
        let expected: f64 = parts.iter().map(|(part, _)| part.cents()).sum();
        let (own, wanted) = (rests.iter().map(|rest| rest.cents).sum::<f64>(), expected * whole.cents / self.cents().max(1.0));
        let factor = if own > 0.0 { wanted / own } else { 0.0 };
        // Cents are dealt out along the running sum, so that they add up.
        let (mut running, mut dealt) = (0.0, 0_i64);
        let mut live = Vec::with_capacity(parts.len());
        for ((part, sold), rest) in parts.iter().zip(rests) {
            running += rest.cents * factor;
            let cents = (running.round() as i64 - dealt).max(0);
            dealt += cents;
            let rest = Rest { quantity: rest.quantity * factor, purchases: rest.purchases * factor, ..rest };
            live.push(part.with(*sold, rest, Money::from_cents(cents)));
        }
        live
    }

    fn with(&self, sold: Sums, rest: Rest, rest_amount: Money) -> LiveForecast {
        let amount = sold.amount + rest_amount;
        let part = |money: Money| Money::from_cents((money.cents().max(0) as f64 * rest.width).round() as i64);
        let low = (amount - part(self.amount - self.interval.low)).max(sold.amount);
        let high = amount + part(self.interval.high - self.amount);
        LiveForecast {
            amount,
            quantity: sold.quantity.to_f64() + rest.quantity,
            interval: Interval { low, high },
            sold: sold.amount,
            width: rest.width,
            before: rest.before,
            now: Outlook::new(sold.amount.cents() as f64, rest.purchases, rest_amount.cents() as f64, rest.shape),
        }
    }

    fn rest(&self, sold: Sums, course: Course) -> Rest {
        let left = 1.0 - course.elapsed.clamp(0.0, 1.0);
        let mean = self.cents();
        if mean <= 0.0 {
            let (width, before) = (left.sqrt(), Outlook::default());
            return Rest { cents: 0.0, quantity: 0.0, width, purchases: 0.0, shape: 1.0, before };
        }
        // Units are bought several at a time, and lines come together; what counts as evidence is the independent purchase.
        let units = sold.quantity.to_f64().max(0.0);
        let a_line = if sold.transactions > 0 && units > 0.0 { units / f64::from(sold.transactions) } else { 1.0 };
        let each = a_line * course.dispersion.max(1.0);
        let (count, expected) = (units / each, (self.quantity / each).max(LEAST_SALES));
        let deviation = (self.interval.high - self.interval.low).cents().max(0) as f64 / WIDTH_80 / mean;
        let strength = 1.0 / (deviation * deviation - 1.0 / expected).max(LEAST_VARIANCE);
        let seen = expected * (1.0 - left);
        let rate = (strength + count) / (strength + seen);
        let variance = left * rate / expected + left * left * rate / (strength + seen);
        let width = (variance / (1.0 / expected + 1.0 / strength)).sqrt();
        Rest {
            cents: left * mean * rate,
            quantity: left * self.quantity.max(0.0) * rate,
            width,
            purchases: left * expected * rate,
            shape: strength + count,
            before: Outlook::new(0.0, expected, mean, strength),
        }
    }

    fn cents(&self) -> f64 {
        self.amount.cents().max(0) as f64
    }
}
