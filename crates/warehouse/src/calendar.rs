//! The date dimension: every day of the shop's history and two years beyond now, with ISO weeks, public holidays of the
//! shop's country and the shop's own days of note.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{BooleanArray, Date32Array, Int32Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use chrono::{Datelike, NaiveDate};
use holidays::{Builder, Country};
use sellcast_domain::ShopDay;

use crate::error::WarehouseError;
use crate::layout::DIM_DATE;

/// Every country whose holidays are built in.
const COUNTRIES: &str = "AU, BR, CA, DE, ES, FR, GB, IN, IT, JP, MX, NL, PL, SE, US";

/// The name of each holiday between two days.
pub(crate) fn holidays(country: &str, first: NaiveDate, last: NaiveDate) -> Result<BTreeMap<NaiveDate, String>, WarehouseError> {
    if country.is_empty() {
        return Ok(BTreeMap::new());
    }
    let unknown = || WarehouseError::UnknownCountry(country.to_owned(), COUNTRIES.to_owned());
    let country = Country::from_str(&country.to_uppercase()).map_err(|_| unknown())?;
    let years = Builder::new().countries(&[country]).years(first.year()..last.year() + 1).build().map_err(|_| unknown())?;
    Ok(years.into_values().flat_map(std::collections::HashMap::into_values).flatten().map(|(date, holiday)| (date, holiday.name)).collect())
}

/// The rows of `dim_date` from `first` to `last`; `named` are holidays and events.
pub(crate) fn rows(first: NaiveDate, last: NaiveDate, named: &BTreeMap<NaiveDate, String>) -> Result<RecordBatch, ArrowError> {
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).collect();
    let ints = |of: fn(&NaiveDate) -> i32| -> Arc<Int32Array> { Arc::new(days.iter().map(of).map(Some).collect()) };
    let flags = |of: &dyn Fn(&NaiveDate) -> bool| -> Arc<BooleanArray> { Arc::new(days.iter().map(|day| Some(of(day))).collect()) };
    RecordBatch::try_new(
        DIM_DATE.schema(),
        vec![
            Arc::new(days.iter().map(|day| Some(ShopDay::from(*day).epoch_days())).collect::<Date32Array>()),
            ints(|day| day.day() as i32),
            ints(|day| day.month() as i32),
            ints(|day| day.month0() as i32 / 3 + 1),
            ints(Datelike::year),
            ints(|day| day.weekday().number_from_monday() as i32),
            flags(&|day| day.weekday().number_from_monday() > 5),
            flags(&|day| named.contains_key(day)),
            ints(|day| day.iso_week().year()),
            ints(|day| day.iso_week().week() as i32),
            Arc::new(days.iter().map(|day| named.get(day).map(String::as_str)).collect::<StringArray>()),
        ],
    )
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect("a day")
    }

    #[test]
    fn thanksgiving_is_a_holiday_in_the_united_states_and_not_in_germany() {
        let (first, last) = (day("2017-01-01"), day("2018-12-31"));
        let name = holidays("US", first, last).expect("built in")[&day("2017-11-23")].clone();
        assert!(name.contains("Thanksgiving"), "{name}");
        assert!(!holidays("de", first, last).expect("built in").contains_key(&day("2017-11-23")));
        assert!(holidays("", first, last).expect("none").is_empty());
        let error = holidays("XX", first, last).expect_err("unknown").to_string();
        assert!(error.contains("`XX`") && error.contains("US"), "{error}");
    }

    #[test]
    fn days_around_new_year_belong_to_the_right_iso_week() {
        let named = BTreeMap::from([(day("2018-01-01"), "New Year".to_owned())]);
        let rows = rows(day("2017-12-31"), day("2018-01-01"), &named).expect("rows");
        let ints = |name: &str| rows.column_by_name(name).expect(name).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(ints("iso_year"), [2017, 2018]);
        assert_eq!(ints("iso_week"), [52, 1]);
        assert_eq!(ints("day_of_week"), [7, 1]);
        assert_eq!(ints("quarter"), [4, 1]);
        assert_eq!(rows.column_by_name("is_holiday").expect("flags").as_boolean().values().iter().collect::<Vec<_>>(), [false, true]);
    }
}
