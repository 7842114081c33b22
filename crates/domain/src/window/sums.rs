//! What a tile and a window sum: quantity, amount and transactions, all whole numbers, so that what was added can be
//! taken away again and the order of both does not matter.

use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use super::hash::mix;
use crate::Money;

/// A quantity in thousandths, as the warehouse's `decimal(18,3)` holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i64);

impl Quantity {
    /// From thousandths.
    pub const fn from_thousandths(thousandths: i64) -> Self {
        Self(thousandths)
    }

    /// Thousandths.
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// In whole units, for arithmetic that is not exact anyway.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// What this quantity costs at a price for one: rounded to the cent, halves away from zero, as the warehouse does.
    pub const fn times(self, unit_price: Money) -> Money {
        let thousandths_of_cents = self.0 as i128 * unit_price.cents() as i128;
        Money::from_cents(((thousandths_of_cents + 500 * thousandths_of_cents.signum()) / 1000) as i64)
    }
}

/// The sums of a tile or a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Quantity sold, less returns.
    pub quantity: Quantity,
    /// Amount, less returns.
    pub amount: Money,
    /// Lines of sales, returns included.
    pub transactions: i32,
}

impl Sums {
    /// Nothing.
    pub const NONE: Self = Self { quantity: Quantity(0), amount: Money::ZERO, transactions: 0 };

    /// True when nothing was summed, or all of it was taken away again.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Amount by quantity in units of the currency, where there is a quantity.
    pub fn average_unit_price(&self) -> Option<f64> {
        (self.quantity.0 != 0).then(|| self.amount.to_f64() / self.quantity.to_f64())
    }

    /// A checksum: equal sums have equal ones, different sums differ but for one case in 2^64.
    pub const fn checksum(&self) -> u64 {
        mix(mix(mix(self.quantity.0 as u64) ^ self.amount.cents() as u64) ^ self.transactions as u64)
    }
}

impl Add for Sums {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            quantity: Quantity(self.quantity.0 + other.quantity.0),
            amount: self.amount + other.amount,
            transactions: self.transactions + other.transactions,
        }
    }
}
impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl Neg for Sums {
    type Output = Self;
    fn neg(self) -> Self {
        Self { quantity: Quantity(-self.quantity.0), amount: -self.amount, transactions: -self.transactions }
    }
}
impl Sub for Sums {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}
impl SubAssign for Sums {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_costs_quantity_times_price_rounded_to_the_cent() {
        let check = |thousandths: i64, cents: i64, expected: i64| {
            assert_eq!(Quantity(thousandths).times(Money::from_cents(cents)).cents(), expected, "{thousandths} x {cents}");
        };
        check(3_000, 1_999, 5_997);
        check(500, 1, 1);
        check(-500, 1, -1);
        check(499, 1, 0);
        check(1_250, 333, 416);
    }

    #[test]
    fn checksums_tell_sums_apart() {
        let of = |quantity, cents, transactions| {
            Sums { quantity: Quantity(quantity), amount: Money::from_cents(cents), transactions }.checksum()
        };
        assert_ne!(of(1, 2, 3), of(2, 1, 3));
        assert_ne!(of(1, 2, 3), of(1, 3, 2));
        assert_ne!(of(0, 0, 0), of(0, 0, 1));
        assert_eq!(of(1, 2, 3), of(1, 2, 3));
    }
}
