//! Money as whole cents, so that sums are exact; the currency is the shop's and stands once in the generation.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount of the shop's currency in cents. Serialised as a JSON number with two decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(i64);

/// A number that is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("`{0}` is not an amount of money: it must be finite and below 70 trillion")]
pub struct InvalidMoney(pub f64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From whole cents.
    pub const fn from_cents(cents: i64) -> Self {
        Self(cents)
    }

    /// Whole cents.
    pub const fn cents(self) -> i64 {
        self.0
    }

    /// In units of the currency, for arithmetic that is not exact anyway (forecasts, ratios).
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl TryFrom<f64> for Money {
    type Error = InvalidMoney;
    /// Rounds to the nearest cent, halves away from zero.
    fn try_from(units: f64) -> Result<Self, InvalidMoney> {
        if units.is_finite() && units.abs() < 7.0e13 { Ok(Self((units * 100.0).round() as i64)) } else { Err(InvalidMoney(units)) }
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}
impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl Neg for Money {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    /// Plain decimal with two places and no currency sign: `1234.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_survive_the_way_through_json() {
        for cents in [0, 1, -1, 10, 1999, -250_001, 6_999_999_999_999_999] {
            let money = Money::from_cents(cents);
            let json = serde_json::to_string(&money).expect("a number");
            assert_eq!(serde_json::from_str::<Money>(&json).expect("the same number"), money, "{json}");
        }
    }

    #[test]
    fn shows_two_places_and_the_sign() {
        assert_eq!(Money::from_cents(-5).to_string(), "-0.05");
        assert_eq!(Money::from_cents(123_450).to_string(), "1234.50");
    }

    #[test]
    fn infinity_is_no_money() {
        assert!(Money::try_from(f64::INFINITY).is_err());
    }
}
