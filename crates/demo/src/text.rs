//! How the shop writes amounts, times and days: text that sorts and sums exactly in any database.

use chrono::{DateTime, NaiveDate};

/// Cents as a decimal text, `1999` -> `19.99`.
pub(crate) fn money(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents.unsigned_abs() / 100, cents.unsigned_abs() % 100)
}

/// Seconds since 1970 as `2017-12-01T10:22:33Z`.
pub(crate) fn instant(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Days since 1970 as `2017-12-01`.
pub(crate) fn day(days: i64) -> String {
    DateTime::from_timestamp(days * 86_400, 0).map_or(NaiveDate::MIN, |at| at.date_naive()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_are_written_as_a_shop_stores_them() {
        assert_eq!(money(5), "0.05");
        assert_eq!(money(-1999), "-19.99");
        assert_eq!(instant(1_512_123_753), "2017-12-01T10:22:33Z");
        assert_eq!(day(17_500), "2017-11-30");
    }
}
