//! Calendar features of a target period: the same for every product, known for ever.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Date32Type;
use chrono::Datelike;
use sellcast_domain::{Period, ShopDay};
use sellcast_warehouse::Warehouse;

use crate::error::{Context, FeatureError};

/// Names, in the order of [`Calendar::features`].
pub const CALENDAR_FEATURES: [&str; 22] = [
    "day_of_week",
    "week_of_year_sin",
    "week_of_year_cos",
    "month_sin",
    "month_cos",
    "weekend_days",
    "holidays_in_period",
    "days_to_next_holiday",
    "days_since_last_holiday",
    "days_in_period",
    "holiday_1",
    "holiday_2",
    "holiday_3",
    "holiday_4",
    "holiday_5",
    "holiday_6",
    "holiday_7",
    "holiday_8",
    "holiday_9",
    "holiday_10",
    "holiday_11",
    "holiday_12",
];

/// Features that do not depend on a holiday's name.
const UNNAMED: usize = 10;
/// Named holidays that have a feature of their own.
const NAMED: usize = CALENDAR_FEATURES.len() - UNNAMED;
/// Days before and after a holiday in which shopping may be for it.
const REACH: i64 = 30;

/// The shop's holidays and named events, from `dim_date`.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    holidays: BTreeMap<ShopDay, String>,
    /// The days of each holiday that has a feature, in the order of the features.
    named: Vec<Vec<ShopDay>>,
}

impl Calendar {
    /// Reads `dim_date`.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn load(warehouse: &Warehouse) -> Result<Self, FeatureError> {
        let session = warehouse.session().await?;
        let what = "holidays";
        let frame = session
            .sql("select date_id, cast(holiday_name as varchar) as name from dim_date where is_holiday")
            .await
            .while_computing(what)?;
        let mut holidays = BTreeMap::new();
        for batch in frame.collect().await.while_computing(what)? {
            let days = batch["date_id"].as_primitive::<Date32Type>();
            let names = arrow::compute::cast(&batch["name"], &arrow::datatypes::DataType::Utf8)
                .map_err(|error| FeatureError::Engine { what: what.into(), source: error.into() })?;
            let names = names.as_string::<i32>();
            for row in 0..batch.num_rows() {
                let name = if names.is_valid(row) { names.value(row) } else { "holiday" };
                holidays.insert(ShopDay::from_epoch_days(days.value(row)), name.to_owned());
            }
        }
        Ok(Self::of(holidays))
    }

    /// The most frequent names get a feature each, in the order in which they come in a year; of equally frequent ones
    /// those later in the year, where most shops have their season.
    fn of(holidays: BTreeMap<ShopDay, String>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<ShopDay>> = BTreeMap::new();
        for (day, name) in &holidays {
            by_name.entry(name).or_default().push(*day);
        }
        let mut named: Vec<Vec<ShopDay>> = by_name.into_values().collect();
        let in_year = |days: &[ShopDay]| days.first().map(|day| day.date().ordinal());
        named.sort_by_key(|days| std::cmp::Reverse((days.len(), in_year(days))));
        named.truncate(NAMED);
        named.sort_by_key(|days| in_year(days));
        Self { holidays, named }
    }

    /// Name of the holiday on `day`.
    pub fn holiday(&self, day: ShopDay) -> Option<&str> {
        self.holidays.get(&day).map(String::as_str)
    }

    /// The holidays within a period, in order.
    pub fn holidays_in(&self, period: Period) -> impl Iterator<Item = (ShopDay, &str)> {
        self.holidays.range(period.start()..=period.last_day()).map(|(day, name)| (*day, name.as_str()))
    }

    /// Lead and lag of a named holiday: days from `start` to the next one if it is near, else minus the days since the last
    /// one if that is near, else one more than counts as near.
    fn distance(days: &[ShopDay], start: ShopDay) -> i64 {
        let at = days.partition_point(|day| *day < start);
        let ahead = days.get(at).map(|day| day.days_since(start)).filter(|lead| *lead <= REACH);
        let behind = || at.checked_sub(1).map(|last| start.days_since(days[last])).filter(|lag| *lag <= REACH).map(|lag| -lag);
        ahead.or_else(behind).unwrap_or(REACH + 1)
    }

    /// Values for a target period, as [`CALENDAR_FEATURES`] names them. Distances to the nearest holidays are capped at 60
    /// days.
    pub fn features(&self, period: Period) -> [f32; CALENDAR_FEATURES.len()] {
        let start = period.start();
        let date = start.date();
        let week = TAU * f64::from(date.iso_week().week()) / 52.1775;
        let month = TAU * f64::from(date.month()) / 12.0;
        let weekend = (0..period.days()).filter(|offset| (start + *offset).weekday().num_days_from_monday() >= 5).count();
        let next = self.holidays.range(start..).next().map_or(60, |(day, _)| day.days_since(start).min(60));
        let last = self.holidays.range(..start).next_back().map_or(60, |(day, _)| start.days_since(*day).min(60));
        let unnamed: [f32; UNNAMED] = [
            date.weekday().number_from_monday() as f32,
            week.sin() as f32,
            week.cos() as f32,
            month.sin() as f32,
            month.cos() as f32,
            weekend as f32,
            self.holidays_in(period).count() as f32,
            next as f32,
            last as f32,
            period.days() as f32,
        ];
        std::array::from_fn(|at| match (unnamed.get(at), self.named.get(at.saturating_sub(UNNAMED))) {
            (Some(value), _) => *value,
            (None, Some(days)) => Self::distance(days, start) as f32,
            (None, None) => (REACH + 1) as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sellcast_domain::TimeFrame;

    #[test]
    fn a_week_before_christmas_looks_ahead() {
        let christmas: ShopDay = "2017-12-25".parse().expect("a day");
        let calendar = Calendar::of([(christmas, "Christmas".to_owned())].into());
        let week = calendar.features(Period::starting(TimeFrame::Week, christmas - 7));
        let at = |name: &str| week[CALENDAR_FEATURES.iter().position(|n| *n == name).expect("a feature")];
        assert_eq!(at("days_to_next_holiday"), 7.0);
        assert_eq!(at("days_since_last_holiday"), 60.0);
        assert_eq!(at("holidays_in_period"), 0.0);
        assert_eq!(at("weekend_days"), 2.0);
        assert_eq!(at("day_of_week"), 1.0);
        assert_eq!((at("holiday_1"), at("holiday_2")), (7.0, 31.0));
    }

    #[test]
    fn named_holidays_have_a_lead_and_a_lag_in_the_order_of_the_year() {
        let day = |text: &str| text.parse::<ShopDay>().expect("a day");
        let rare: Vec<_> = (1..=12).map(|month| (day(&format!("2017-{month:02}-20")), format!("Fair {month}"))).collect();
        let yearly = [("2017-12-25", "Christmas"), ("2018-12-25", "Christmas"), ("2017-07-04", "Summer"), ("2018-07-04", "Summer")];
        let days = yearly.iter().map(|(date, name)| (day(date), (*name).to_owned())).chain(rare).collect();
        let calendar = Calendar::of(days);
        // The two yearly ones and the last ten of the twelve fairs: Mar, Apr, May, Jun, Summer, Jul, ..., Dec, Christmas.
        let at = |start: &str| {
            let values = calendar.features(Period::starting(TimeFrame::Week, day(start)));
            values[UNNAMED..].iter().map(|value| *value as i64).collect::<Vec<_>>()
        };
        assert_eq!(at("2017-07-10"), [31, 31, 31, -20, -6, 10, 31, 31, 31, 31, 31, 31]);
        assert_eq!(at("2018-12-20"), [31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 5]);
        assert_eq!(at("2018-01-10")[10..], [-21, -16]);
    }
}
