//! How sales spread over the hours of a week, and how unevenly they come around that.
//!
//! Sales do not come one by one: a basket holds several lines, a line costs more or less than the mean, customers come in waves. The
//! index of dispersion (Cox and Lewis, The Statistical Analysis of Series of Events, 1966) says how many times more sums scatter
//! than a Poisson process of such lines would. It is measured twice: of hours around their day's sum, which is what matters while a day
//! runs, and of days around their week's, which is what matters in longer periods.

use std::ops::AddAssign;

use chrono::{DateTime, Timelike, Utc};
use chrono_tz::Tz;

use crate::{Period, ShopDay, TimeFrame};

/// Hours of a day.
const DAY: usize = 24;
/// Hours of a week.
const WEEK: usize = 7 * DAY;

/// What was sold in each hour of some days in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct HourlySales {
    first: ShopDay,
    days: Vec<[f64; DAY]>,
    lines: f64,
}

/// How sales spread over the hours of a week, Monday's first hour first, and how they scatter around that.
#[derive(Clone, Debug, PartialEq)]
pub struct SalesProfile {
    shares: Box<[f64; WEEK]>,
    dispersion: Dispersion,
}

/// Indexes of dispersion of amounts, in terms of lines: 1 when independent lines of one price come by chance alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispersion {
    /// Of hours within their day.
    pub of_hours: f64,
    /// Of days within their week.
    pub of_days: f64,
}

/// How far a running period has come in its sales.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// The share of the period's sales that should have come: 0 to 1.
    pub elapsed: f64,
    /// Index of dispersion of what comes, at least 1.
    pub dispersion: f64,
}

/// Squared deviations from a profile beside those of single lines: what [`Dispersion`] is the quotient of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scatter {
    of_hours: (f64, f64),
    of_days: (f64, f64),
}

impl HourlySales {
    /// Nothing sold in so many days.
    pub fn none(first: ShopDay, days: usize) -> Self {
        Self { first, days: vec![[0.0; DAY]; days], lines: 0.0 }
    }

    /// Counts what so many lines came to in an hour of the shop's clock. Days outside and hours beyond 23 are left out.
    pub fn add(&mut self, day: ShopDay, hour: usize, amount: f64, lines: f64) {
        let place = usize::try_from(day.days_since(self.first)).ok();
        if let Some(of_hour) = place.and_then(|place| self.days.get_mut(place)?.get_mut(hour)) {
            *of_hour += amount;
            self.lines += lines;
        }
    }

    /// What a line comes to; 0 when returns prevail.
    fn a_line(&self) -> f64 {
        let amount: f64 = self.days.iter().flatten().sum();
        if self.lines > 0.0 { (amount / self.lines).max(0.0) } else { 0.0 }
    }

    fn weekday(&self, place: usize) -> usize {
        (self.first.weekday().num_days_from_monday() as usize + place) % 7
    }
}

impl AddAssign<&Self> for HourlySales {
    /// Adds the sales of the same days.
    fn add_assign(&mut self, other: &Self) {
        for (mine, other) in self.days.iter_mut().flatten().zip(other.days.iter().flatten()) {
            *mine += other;
        }
        self.lines += other.lines;
    }
}

impl Dispersion {
    /// Independent lines of one price.
    pub const POISSON: Self = Self { of_hours: 1.0, of_days: 1.0 };
}

impl SalesProfile {
    /// Every hour sells the same, by chance alone.
    pub fn uniform() -> Self {
        Self { shares: Box::new([1.0 / WEEK as f64; WEEK]), dispersion: Dispersion::POISSON }
    }

    /// Learnt from what was sold, drawn towards another profile as if `lines` more had been sold as that one says. Hours of the
    /// week in which returns prevailed count as nothing. The dispersion is the other's.
    pub fn learnt(sold: &HourlySales, towards: &Self, lines: f64) -> Self {
        let mut of_week = [0.0; WEEK];
        for (place, day) in sold.days.iter().enumerate() {
            let midnight = sold.weekday(place) * DAY;
            of_week[midnight..midnight + DAY].iter_mut().zip(day).for_each(|(sum, amount)| *sum += amount);
        }
        let strength = lines.max(0.0) * sold.a_line();
        let drawn: [f64; WEEK] = std::array::from_fn(|hour| of_week[hour].max(0.0) + strength * towards.shares[hour]);
        let sum: f64 = drawn.iter().sum();
        let shares = if sum > 0.0 && sum.is_finite() { Box::new(drawn.map(|hour| hour / sum)) } else { towards.shares.clone() };
        Self { shares, dispersion: towards.dispersion }
    }

    /// The same hours with another dispersion.
    pub fn dispersed(self, dispersion: Dispersion) -> Self {
        Self { dispersion, ..self }
    }

    /// How far a period has come at `now`.
    pub fn course(&self, period: Period, now: DateTime<Utc>, zone: Tz) -> Course {
        let dispersion = match period.frame() {
            TimeFrame::Day => self.dispersion.of_hours,
            _ => self.dispersion.of_days,
        };
        Course { elapsed: self.elapsed(period, now, zone), dispersion: dispersion.max(1.0) }
    }

    /// The share of what a period sells that is sold by `now`: 0 before it, 1 after it.
    pub fn elapsed(&self, period: Period, now: DateTime<Utc>, zone: Tz) -> f64 {
        let (first, last, today) = (period.start(), period.last_day(), ShopDay::of(now, zone));
        if now <= first.starts_at(zone) {
            return 0.0;
        }
        if today > last {
            return 1.0;
        }
        let of_days = |days: i64| (0..days).map(|number| self.of_day(first + number).iter().sum::<f64>()).sum::<f64>();
        let whole = of_days(period.days());
        if whole <= 0.0 {
            let spent = (now - first.starts_at(zone)).as_seconds_f64();
            return spent / ((last + 1).starts_at(zone) - first.starts_at(zone)).as_seconds_f64();
        }
        let local = now.with_timezone(&zone);
        let (hours, hour) = (self.of_day(ShopDay::of(now, zone)), local.hour() as usize);
        let of_hour = f64::from(local.minute() * 60 + local.second()) / 3600.0;
        let so_far = of_days(today.days_since(first)) + hours[..hour].iter().sum::<f64>() + hours[hour] * of_hour;
        (so_far / whole).clamp(0.0, 1.0)
    }

    fn of_day(&self, day: ShopDay) -> &[f64] {
        self.of_weekday(day.weekday().num_days_from_monday() as usize)
    }

    fn of_weekday(&self, weekday: usize) -> &[f64] {
        &self.shares[weekday * DAY..(weekday + 1) * DAY]
    }
}

impl Scatter {
    /// How sales scatter around a profile that was learnt from them.
    pub fn of(sold: &HourlySales, profile: &SalesProfile) -> Self {
        let mut scatter = Self::default();
        let (a_line, weeks) = (sold.a_line(), sold.days.len() / 7);
        // From one week nothing can be told: the profile is that week.
        if a_line <= 0.0 || weeks < 2 {
            return scatter;
        }
        // The profile took a share of the deviations, as a mean of so many values does.
        let freed = weeks as f64 / (weeks - 1) as f64;
        let mut add = |of: fn(&mut Self) -> &mut (f64, f64), amounts: &[f64], shares: &[f64]| {
            let (amount, share) = (amounts.iter().sum::<f64>() / a_line, shares.iter().sum::<f64>());
            if amount <= 0.0 || share <= 0.0 {
                return;
            }
            let (squares, by_chance) = of(&mut scatter);
            for (sold, expected) in amounts.iter().zip(shares) {
                let part = expected / share;
                *squares += freed * (sold / a_line - amount * part).powi(2);
                *by_chance += amount * part * (1.0 - part);
            }
        };
        for (place, day) in sold.days.iter().enumerate() {
            add(|scatter| &mut scatter.of_hours, day, profile.of_weekday(sold.weekday(place)));
        }
        let of_days: Vec<f64> = sold.days.iter().map(|day| day.iter().sum()).collect();
        let shares: [f64; 7] = std::array::from_fn(|place| profile.of_weekday(sold.weekday(place)).iter().sum());
        for week in of_days.chunks_exact(7) {
            add(|scatter| &mut scatter.of_days, week, &shares);
        }
        scatter
    }

    /// The indexes, drawn towards others as if `lines` lines had scattered as those say.
    pub fn dispersion(&self, towards: Dispersion, lines: f64) -> Dispersion {
        let drawn = |(squares, by_chance): (f64, f64), towards: f64| {
            let index = (squares + lines * towards) / (by_chance + lines);
            if index.is_finite() { index.max(1.0) } else { towards }
        };
        Dispersion { of_hours: drawn(self.of_hours, towards.of_hours), of_days: drawn(self.of_days, towards.of_days) }
    }
}

impl AddAssign for Scatter {
    fn add_assign(&mut self, other: Self) {
        for (mine, other) in [(&mut self.of_hours, other.of_hours), (&mut self.of_days, other.of_days)] {
            mine.0 += other.0;
            mine.1 += other.1;
        }
    }
}
