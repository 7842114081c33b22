//! The shop's currency: its ISO 4217 code and how amounts in it are written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Money;

/// An ISO 4217 code such as `USD`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(String);

impl TryFrom<String> for Currency {
    type Error = String;
    fn try_from(code: String) -> Result<Self, String> {
        if code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(Self(code))
        } else {
            Err(format!("`{code}` is not a currency code: three capital letters are due, such as `USD`"))
        }
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Currency {
    /// The sign before the amount (`$`), or the code and a space where no sign is usual.
    pub fn sign(&self) -> String {
        match self.0.as_str() {
            "USD" | "CAD" | "AUD" | "MXN" => "$".into(),
            "EUR" => "€".into(),
            "GBP" => "£".into(),
            "JPY" => "¥".into(),
            "INR" => "₹".into(),
            _ => format!("{} ", self.0),
        }
    }

    /// An amount for people: sign, thousands separated, cents only below 100 (`$3,790`, `$4.29`).
    pub fn show(&self, amount: Money) -> String {
        let sign = self.sign();
        let minus = if amount.cents() < 0 { "−" } else { "" };
        let cents = amount.cents().unsigned_abs();
        if cents < 10_000 && !cents.is_multiple_of(100) {
            return format!("{minus}{sign}{}.{:02}", cents / 100, cents % 100);
        }
        let digits = ((cents + 50) / 100).to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        format!("{minus}{sign}{grouped}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let usd = Currency::try_from("USD".to_owned()).expect("a code");
        assert_eq!(usd.show(Money::from_cents(379_012)), "$3,790");
        assert_eq!(usd.show(Money::from_cents(429)), "$4.29");
        assert_eq!(usd.show(Money::from_cents(400)), "$4");
        assert_eq!(usd.show(Money::from_cents(-123_456_789)), "−$1,234,568");
        assert!(Currency::try_from("usd".to_owned()).is_err());
    }
}
