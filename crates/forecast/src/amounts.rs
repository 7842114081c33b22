//! Numbers as documents hold them: money in cents, shares and units to three decimals.

use sellcast_domain::{Interval, Money};

/// To the cent. Sums of finite amounts are finite; anything else would be a bug in a model and is shown as nothing.
pub(crate) fn money(units: f64) -> Money {
    Money::try_from(units).unwrap_or(Money::ZERO)
}

/// An interval in cents that holds the amount though that was summed of rounded parts.
pub(crate) fn around(amount: Money, low: f32, high: f32) -> Interval {
    Interval { low: money(f64::from(low)).min(amount), high: money(f64::from(high)).max(amount) }
}

/// To three decimals, which is more than anyone reads.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
