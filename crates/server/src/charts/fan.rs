//! Weekly sales and the forecast that continues them, with its 80 % band. The weeks ahead are read off the
//! published frames: the week itself, then what the month adds to it, then what the quarter adds to the month.

use sellcast_domain::ShopDay;

use super::{Svg, escaped, path};
use crate::wording::day_plain;

const LEFT: f64 = 52.0;
const TOP: f64 = 12.0;

/// A drawing for one width of screens; the style shows the one that fits.
struct Sheet {
    class: &'static str,
    right: f64,
    bottom: f64,
    /// Weeks of history shown.
    weeks: usize,
}

const BROAD: Sheet = Sheet { class: "broad", right: 850.0, bottom: 240.0, weeks: 52 };
const NARROW: Sheet = Sheet { class: "narrow", right: 372.0, bottom: 190.0, weeks: 26 };

/// A stretch of weeks with the same expectation a week.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// How many weeks, in parts.
    pub(crate) weeks: f64,
    /// Expected each week.
    pub(crate) expected: f64,
    /// Lower and upper end of a single week.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// What the chart shows.
pub(crate) struct Fan<'a> {
    /// First day of each week of history.
    pub(crate) week_starts: &'a [ShopDay],
    /// Sold in each.
    pub(crate) sold: &'a [f64],
    /// What is forecast, nearest first.
    pub(crate) ahead: &'a [Stretch],
    /// How an amount is written.
    pub(crate) show: &'a dyn Fn(f64) -> String,
}

impl Fan<'_> {
    /// Draws it, once for broad and once for narrow screens.
    pub(crate) fn draw(&self) -> Svg {
        let Svg(broad) = self.draw_on(&BROAD);
        let Svg(narrow) = self.draw_on(&NARROW);
        Svg(broad + &narrow)
    }

    fn draw_on(&self, sheet: &Sheet) -> Svg {
        let (right, bottom) = (sheet.right, sheet.bottom);
        let from = self.sold.len().min(self.week_starts.len()).saturating_sub(sheet.weeks);
        let (sold, starts) = (&self.sold[from..], &self.week_starts[from..]);
        if sold.len() < 2 {
            return Svg::default();
        }
        let weeks_ahead: f64 = self.ahead.iter().map(|stretch| stretch.weeks).sum();
        let most = sold.iter().copied().chain(self.ahead.iter().map(|stretch| stretch.high)).fold(1.0, f64::max);
        let (step, top) = ticks(most);
        // A week stands at its middle; today is the end of the last one.
        let scale = (right - LEFT) / (sold.len() as f64 + weeks_ahead);
        let x = |weeks: f64| LEFT + weeks * scale;
        let y = |amount: f64| bottom - amount.max(0.0) / top * (bottom - TOP);
        let today = sold.len() as f64;
        let history: Vec<(f64, f64)> = sold.iter().enumerate().map(|(week, amount)| (x(week as f64 + 0.5), y(*amount))).collect();
        let mut expected = vec![history[history.len() - 1]];
        let (mut upper, mut lower) = (expected.clone(), expected.clone());
        let mut weeks = today;
        for stretch in self.ahead {
            let middle = x(weeks + stretch.weeks / 2.0);
            weeks += stretch.weeks;
            expected.push((middle, y(stretch.expected)));
            upper.push((middle, y(stretch.high)));
            lower.push((middle, y(stretch.low)));
        }
        if let Some(last) = self.ahead.last() {
            expected.push((x(weeks), y(last.expected)));
            upper.push((x(weeks), y(last.high)));
            lower.push((x(weeks), y(last.low)));
        }
        let mut drawn = String::new();
        for line in 0..=((top / step).round() as usize) {
            let amount = line as f64 * step;
            drawn.push_str(&format!(
                "<path class=\"grid\" d=\"M{LEFT},{0:.1}H{right}\"/><text class=\"ax\" x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{3}</text>",
                y(amount),
                LEFT - 7.0,
                y(amount) + 4.0,
                escaped(&(self.show)(amount)),
            ));
        }
        drawn.push_str(&months(starts, &x, bottom + 18.0));
        if !self.ahead.is_empty() {
            let band = path(upper.iter().copied().chain(lower.iter().rev().copied()));
            drawn.push_str(&format!("<path class=\"band\" d=\"{band}Z\"/><path class=\"fcl\" d=\"{}\"/>", path(expected)));
        }
        drawn.push_str(&format!("<path class=\"hist\" d=\"{}\"/>", path(history)));
        let now = x(today);
        drawn.push_str(&format!(
            "<path class=\"now\" d=\"M{now:.1},{TOP}V{bottom}\"/><text class=\"today\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">today</text>",
            now - 6.0,
            TOP + 10.0
        ));
        Svg(format!(
            "<svg class=\"fan {}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{drawn}</svg>",
            sheet.class,
            right + 10.0,
            bottom + 28.0,
            escaped(&self.words(sold, starts))
        ))
    }

    fn words(&self, sold: &[f64], starts: &[ShopDay]) -> String {
        let last = sold.last().copied().unwrap_or_default();
        let first_day = starts.first().map(|day| day_plain(*day)).unwrap_or_default();
        let history = format!("Weekly sales since {first_day}, {} in the last week", (self.show)(last));
        match self.ahead.first() {
            Some(next) => format!(
                "{history}; forecast for the next one {}, 80 % between {} and {}",
                (self.show)(next.expected),
                (self.show)(next.low),
                (self.show)(next.high)
            ),
            None => history,
        }
    }
}

/// Month names under the weeks in which they begin, as many as there is room for.
fn months(starts: &[ShopDay], x: &dyn Fn(f64) -> f64, y: f64) -> String {
    let mut drawn = String::new();
    let mut last_place = f64::NEG_INFINITY;
    for (week, start) in starts.iter().enumerate() {
        let first_of_month = (0..7).map(|day| *start + day).find(|day| day.date().format("%d").to_string() == "01");
        let place = x(week as f64);
        if let Some(day) = first_of_month
            && place - last_place > 48.0
        {
            last_place = place;
            let name = day.date().format("%b").to_string();
            drawn.push_str(&format!("<text class=\"ax\" x=\"{place:.1}\" y=\"{y:.1}\">{name}</text>"));
        }
    }
    drawn
}

/// The distance between grid lines and the top of the scale: at most five lines at 1, 2 or 5 times a power of ten.
fn ticks(most: f64) -> (f64, f64) {
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| most / step <= 5.0).unwrap_or(10.0 * power);
    (step, (most / step).ceil() * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_stand_at_round_amounts() {
        for (most, step, top) in [(430.0, 100.0, 500.0), (99.0, 20.0, 100.0), (7.0, 2.0, 8.0), (1.0, 0.2, 1.0)] {
            let (found_step, found_top) = ticks(most);
            assert!((found_step - step).abs() < 1e-9 && (found_top - top).abs() < 1e-9, "{most}: {found_step} {found_top}");
        }
    }

    #[test]
    fn a_product_that_never_sold_is_drawn_without_infinities() {
        let day: ShopDay = "2017-01-02".parse().expect("a day");
        let starts: Vec<ShopDay> = (0..10).map(|week| day + week * 7).collect();
        let fan = Fan { week_starts: &starts, sold: &[0.0; 10], ahead: &[], show: &|amount| format!("${amount}") };
        let drawn = fan.draw().to_string();
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}
