//! Dates, periods, shares and amounts in plain words, the same on every page. Numbers are rounded here for
//! the APIs too, so that both say the same.

use chrono::Datelike;
use sellcast_domain::{Period, ShopDay, TimeFrame};

/// A share with four decimals.
pub(crate) fn round_share(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// A quantity with two decimals.
pub(crate) fn round_quantity(quantity: f64) -> f64 {
    (quantity * 100.0).round() / 100.0
}

/// `Monday 4 December 2017`.
pub(crate) fn day_long(day: ShopDay) -> String {
    day.date().format("%A %-d %B %Y").to_string()
}

/// `Monday 4 December`.
pub(crate) fn day_named(day: ShopDay) -> String {
    day.date().format("%A %-d %B").to_string()
}

/// `4 December`.
pub(crate) fn day_plain(day: ShopDay) -> String {
    day.date().format("%-d %B").to_string()
}

/// `4 Dec`, with the year when it is not that of `near`; never broken over two lines.
pub(crate) fn day_short(day: ShopDay, near: ShopDay) -> String {
    let pattern = if day.date().year() == near.date().year() { "%-d\u{a0}%b" } else { "%-d\u{a0}%b\u{a0}%Y" };
    day.date().format(pattern).to_string()
}

/// A frame's name on its switch.
pub(crate) const fn frame_label(frame: TimeFrame) -> &'static str {
    match frame {
        TimeFrame::Day => "Day",
        TimeFrame::Week => "Week",
        TimeFrame::Month => "Month",
        TimeFrame::Quarter => "Quarter",
        TimeFrame::HalfYear => "Half-year",
        TimeFrame::Year => "Year",
    }
}

/// A frame's name within a sentence.
pub(crate) const fn frame_word(frame: TimeFrame) -> &'static str {
    match frame {
        TimeFrame::Day => "day",
        TimeFrame::Week => "week",
        TimeFrame::Month => "month",
        TimeFrame::Quarter => "quarter",
        TimeFrame::HalfYear => "half-year",
        TimeFrame::Year => "year",
    }
}

/// What came before the period: `last week`.
pub(crate) const fn before(frame: TimeFrame) -> &'static str {
    match frame {
        TimeFrame::Day => "the day before",
        TimeFrame::Week => "last week",
        TimeFrame::Month => "last month",
        TimeFrame::Quarter => "last quarter",
        TimeFrame::HalfYear => "the last half-year",
        TimeFrame::Year => "last year",
    }
}

/// The period as a heading: `Week of 4 December`.
pub(crate) fn heading(period: Period) -> String {
    match period.frame() {
        TimeFrame::Day => day_named(period.start()),
        TimeFrame::Week => format!("Week of {}", day_plain(period.start())),
        frame => format!("{} from {}", frame_label(frame), day_plain(period.start())),
    }
}

/// The period within a sentence: `from 4 December to Sunday 10 December`.
pub(crate) fn span(period: Period) -> String {
    let last = period.last_day();
    if period.start() == last {
        return format!("on {}", day_named(last));
    }
    let last = if last.date().year() == period.start().date().year() { day_named(last) } else { day_long(last) };
    format!("from {} to {last}", day_plain(period.start()))
}

/// A probability in whole per cent that never claims certainty: `93 %`, `over 99 %`, `under 1 %`.
pub(crate) fn percent(share: f64) -> String {
    match (share * 100.0).round() {
        whole if whole >= 100.0 => "over 99 %".to_owned(),
        whole if whole < 1.0 => "under 1 %".to_owned(),
        whole => format!("{whole} %"),
    }
}

/// A measured share in whole per cent.
pub(crate) fn measured_percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A change with its sign: `+4.2 %`, `−11 %`; nothing to compare with gives `None`.
pub(crate) fn change(now: f64, before: f64) -> Option<String> {
    if before <= 0.0 || !now.is_finite() {
        return None;
    }
    let change = (now / before - 1.0) * 100.0;
    let size = change.abs();
    let digits = if size < 10.0 { format!("{size:.1}") } else { format!("{size:.0}") };
    let sign = if digits == "0.0" {
        "±"
    } else if change < 0.0 {
        "−"
    } else {
        "+"
    };
    Some(format!("{sign}{digits} %"))
}

/// Units that people can count: one decimal below ten, whole above.
pub(crate) fn units(quantity: f64) -> String {
    let shown = if quantity < 9.95 { format!("{quantity:.1}") } else { group(quantity.round() as u64) };
    let shown = shown.strip_suffix(".0").unwrap_or(&shown);
    format!("{shown} {}", if shown == "1" { "unit" } else { "units" })
}

/// A whole number with its thousands separated.
pub(crate) fn group(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_as_people_say_them() {
        let start = "2017-12-04".parse().expect("a day");
        for (frame, title, sentence) in [
            (TimeFrame::Day, "Monday 4 December", "on Monday 4 December"),
            (TimeFrame::Week, "Week of 4 December", "from 4 December to Sunday 10 December"),
            (TimeFrame::Month, "Month from 4 December", "from 4 December to Wednesday 3 January 2018"),
        ] {
            assert_eq!(heading(Period::starting(frame, start)), title);
            assert_eq!(span(Period::starting(frame, start)), sentence);
        }
    }

    #[test]
    fn a_forecast_is_never_certain() {
        assert_eq!([percent(0.9999), percent(0.934), percent(0.001)], ["over 99 %", "93 %", "under 1 %"]);
    }

    #[test]
    fn changes_carry_their_sign() {
        assert_eq!(change(104.2, 100.0).as_deref(), Some("+4.2 %"));
        assert_eq!(change(85.0, 100.0).as_deref(), Some("−15 %"));
        assert_eq!(change(100.01, 100.0).as_deref(), Some("±0.0 %"));
        assert_eq!(change(1.0, 0.0), None);
    }

    #[test]
    fn units_are_counted() {
        assert_eq!([units(1.0), units(0.42), units(1234.6)], ["1 unit", "0.4 units", "1,235 units"]);
    }
}
