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
pub const CALENDAR_FEATURES: [&str; 10] = [
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
];

/// The shop's holidays and named events, from `dim_date`.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    holidays: BTreeMap<ShopDay, String>,
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
        Ok(Self { holidays })
    }

    /// Name of the holiday on `day`.
    pub fn holiday(&self, day: ShopDay) -> Option<&str> {
        self.holidays.get(&day).map(String::as_str)
    }

    /// The holidays within a period, in order.
    pub fn holidays_in(&self, period: Period) -> impl Iterator<Item = (ShopDay, &str)> {
        self.holidays.range(period.start()..=period.last_day()).map(|(day, name)| (*day, name.as_str()))
    }

    /// Values for a target period, as [`CALENDAR_FEATURES`] names them. Distances to holidays are capped at 60 days.
    pub fn features(&self, period: Period) -> [f32; CALENDAR_FEATURES.len()] {
        let start = period.start();
        let date = start.date();
        let week = TAU * f64::from(date.iso_week().week()) / 52.1775;
        let month = TAU * f64::from(date.month()) / 12.0;
        let weekend = (0..period.days()).filter(|offset| (start + *offset).weekday().num_days_from_monday() >= 5).count();
        let next = self.holidays.range(start..).next().map_or(60, |(day, _)| day.days_since(start).min(60));
        let last = self.holidays.range(..start).next_back().map_or(60, |(day, _)| start.days_since(*day).min(60));
        [
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
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sellcast_domain::TimeFrame;

    #[test]
    fn a_week_before_christmas_looks_ahead() {
        let christmas: ShopDay = "2017-12-25".parse().expect("a day");
        let calendar = Calendar { holidays: [(christmas, "Christmas".to_owned())].into() };
        let week = calendar.features(Period::starting(TimeFrame::Week, christmas - 7));
        let at = |name: &str| week[CALENDAR_FEATURES.iter().position(|n| *n == name).expect("a feature")];
        assert_eq!(at("days_to_next_holiday"), 7.0);
        assert_eq!(at("days_since_last_holiday"), 60.0);
        assert_eq!(at("holidays_in_period"), 0.0);
        assert_eq!(at("weekend_days"), 2.0);
        assert_eq!(at("day_of_week"), 1.0);
    }
}
