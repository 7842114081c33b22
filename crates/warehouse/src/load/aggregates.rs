//! The aggregate tables by day, ISO week, month, quarter and year. Each is partitioned by its period (days by month), so
//! refreshing a period replaces its partition and touches nothing else; a refresh of every period is a full rebuild by
//! the same query, which is why the two cannot differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::error::{Computing, WarehouseError};
use crate::lake::Lake;
use crate::layout::FACT_SALES;

/// Beyond so many periods one full rewrite is cheaper than naming each.
const MOST_PERIODS_NAMED: usize = 100;

/// What must be refreshed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    Everything,
    Days(BTreeSet<NaiveDate>),
}

/// An aggregate table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Daily,
    Weekly,
    Monthly,
    Quarterly,
    Yearly,
}

/// The part of a table that is replaced at once: its partition and the days it covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slice {
    /// SQL that is true for its rows in the aggregate table.
    predicate: String,
    first: NaiveDate,
    last: NaiveDate,
}

impl Frame {
    pub(crate) const ALL: [Self; 5] = [Self::Daily, Self::Weekly, Self::Monthly, Self::Quarterly, Self::Yearly];

    pub(crate) const fn table(self) -> &'static str {
        match self {
            Self::Daily => "agg_sales_daily",
            Self::Weekly => "agg_sales_weekly",
            Self::Monthly => "agg_sales_monthly",
            Self::Quarterly => "agg_sales_quarterly",
            Self::Yearly => "agg_sales_yearly",
        }
    }

    pub(crate) const fn partition_by(self) -> &'static [&'static str] {
        match self {
            Self::Daily => &["month"],
            Self::Weekly => &["iso_year", "iso_week"],
            Self::Monthly => &["year", "month"],
            Self::Quarterly => &["year", "quarter"],
            Self::Yearly => &["year"],
        }
    }

    /// Columns that name the period: name, type, SQL over its first day, `start_date`.
    const fn period(self) -> &'static [(&'static str, DataType, &'static str)] {
        const YEAR: (&str, DataType, &str) = ("year", DataType::Int32, "cast(date_part('year', start_date) as int)");
        match self {
            Self::Daily => &const { [("date_id", DataType::Date32, "start_date")] },
            Self::Weekly => {
                &const {
                    [
                        // The Thursday of a week is always in its ISO year.
                        ("iso_year", DataType::Int32, "cast(date_part('year', start_date + interval '3 days') as int)"),
                        ("iso_week", DataType::Int32, "cast(date_part('week', start_date) as int)"),
                    ]
                }
            }
            Self::Monthly => &const { [YEAR, ("month", DataType::Int32, "cast(date_part('month', start_date) as int)")] },
            Self::Quarterly => &const { [YEAR, ("quarter", DataType::Int32, "cast(date_part('quarter', start_date) as int)")] },
            Self::Yearly => &const { [YEAR] },
        }
    }

    /// First day of the period of a sale and last day of the period that begins on `start_date`, in SQL.
    const fn bounds(self) -> (&'static str, &'static str) {
        match self {
            Self::Daily => ("date_id", "start_date"),
            Self::Weekly => ("date_trunc('week', date_id)", "start_date + interval '6 days'"),
            Self::Monthly => ("date_trunc('month', date_id)", "start_date + interval '1 month' - interval '1 day'"),
            Self::Quarterly => ("date_trunc('quarter', date_id)", "start_date + interval '3 months' - interval '1 day'"),
            Self::Yearly => ("date_trunc('year', date_id)", "start_date + interval '1 year' - interval '1 day'"),
        }
    }

    pub(crate) fn schema(self) -> SchemaRef {
        let mut fields: Vec<Field> = self.period().iter().map(|(name, kind, _)| Field::new(*name, kind.clone(), true)).collect();
        fields.extend([
            Field::new("category_id", DataType::Int64, true),
            Field::new("product_id", DataType::Int64, true),
            Field::new("total_quantity", DataType::Decimal128(18, 3), true),
            Field::new("total_amount", DataType::Decimal128(18, 2), true),
            Field::new("num_transactions", DataType::Int64, true),
            Field::new("avg_unit_price", DataType::Decimal128(18, 2), true),
            Field::new("start_date", DataType::Date32, true),
            Field::new("end_date", DataType::Date32, true),
        ]);
        if self == Self::Daily {
            fields.push(Field::new("month", DataType::Utf8, true));
        }
        Arc::new(Schema::new(fields))
    }

    /// The rows of the table, over the sales that `filter` lets through.
    fn query(self, filter: &str) -> String {
        let keys = self.period().iter().map(|(name, _, sql)| format!("{sql} as {name}")).collect::<Vec<_>>().join(", ");
        let (start, end) = self.bounds();
        let month = if self == Self::Daily { ", substr(cast(start_date as varchar), 1, 7) as month" } else { "" };
        format!(
            "select {keys}, category_id, product_id,
                    cast(total_quantity as decimal(18, 3)) as total_quantity, cast(total_amount as decimal(18, 2)) as total_amount,
                    num_transactions, cast(avg_unit_price as decimal(18, 2)) as avg_unit_price,
                    start_date, cast({end} as date) as end_date{month}
             from (select cast({start} as date) as start_date, category_id, product_id, sum(quantity) as total_quantity,
                          sum(total_price) as total_amount, count(*) as num_transactions, avg(unit_price) as avg_unit_price
                   from fact_sales {filter}
                   group by cast({start} as date), category_id, product_id)
             order by start_date, category_id, product_id"
        )
    }

    fn slice(self, day: NaiveDate) -> Slice {
        let (first, next, predicate) = match self {
            Self::Daily => {
                let first = day.with_day(1);
                (
                    first,
                    first.and_then(|first| first.checked_add_months(chrono::Months::new(1))),
                    format!("month = '{}'", day.format("%Y-%m")),
                )
            }
            Self::Weekly => {
                let week = day.iso_week();
                let first = NaiveDate::from_isoywd_opt(week.year(), week.week(), Weekday::Mon);
                let next = first.and_then(|first| first.checked_add_days(Days::new(7)));
                (first, next, format!("iso_year = {} and iso_week = {}", week.year(), week.week()))
            }
            Self::Monthly => {
                let first = day.with_day(1);
                let next = first.and_then(|first| first.checked_add_months(chrono::Months::new(1)));
                (first, next, format!("year = {} and month = {}", day.year(), day.month()))
            }
            Self::Quarterly => {
                let quarter = day.month0() / 3;
                let first = NaiveDate::from_ymd_opt(day.year(), quarter * 3 + 1, 1);
                let next = first.and_then(|first| first.checked_add_months(chrono::Months::new(3)));
                (first, next, format!("year = {} and quarter = {}", day.year(), quarter + 1))
            }
            Self::Yearly => {
                let first = NaiveDate::from_ymd_opt(day.year(), 1, 1);
                (first, NaiveDate::from_ymd_opt(day.year() + 1, 1, 1), format!("year = {}", day.year()))
            }
        };
        let last = next.and_then(|next| next.pred_opt());
        Slice { predicate, first: first.unwrap_or(day), last: last.unwrap_or(day) }
    }
}

/// Refreshes every aggregate table for what was touched.
pub(crate) async fn refresh(lake: &Lake, touched: &Touched) -> Result<(), WarehouseError> {
    if matches!(touched, Touched::Days(days) if days.is_empty()) {
        return Ok(());
    }
    let context = Lake::context()?;
    lake.register(&context, FACT_SALES.name).await?;
    for frame in Frame::ALL {
        let slices: Option<BTreeMap<String, Slice>> = match touched {
            Touched::Everything => None,
            Touched::Days(days) => Some(days.iter().map(|day| frame.slice(*day)).map(|slice| (slice.predicate.clone(), slice)).collect()),
        };
        let (predicate, filter) = match slices.filter(|slices| slices.len() <= MOST_PERIODS_NAMED) {
            None => (None, String::new()),
            Some(slices) => (Some(disjunction(slices.values().map(|slice| slice.predicate.clone()))), filter(slices.values())),
        };
        let rows = context.sql(&frame.query(&filter)).await.computing(frame.table())?;
        lake.replace(frame.table(), predicate.as_deref(), rows, frame.partition_by()).await?;
    }
    Ok(())
}

/// Sales on the days of the slices, with their months named so that only those partitions are read.
fn filter<'a>(slices: impl Iterator<Item = &'a Slice> + Clone) -> String {
    let days = disjunction(slices.clone().map(|slice| format!("date_id between date '{}' and date '{}'", slice.first, slice.last)));
    let months: BTreeSet<String> = slices
        .flat_map(|slice| slice.first.iter_days().take_while(|day| *day <= slice.last).map(|day| format!("'{}'", day.format("%Y-%m"))))
        .collect();
    format!("where month in ({}) and ({days})", months.into_iter().collect::<Vec<_>>().join(", "))
}

fn disjunction(terms: impl Iterator<Item = String>) -> String {
    terms.map(|term| format!("({term})")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_covers_its_period_and_names_its_partition() {
        let day: NaiveDate = "2017-12-31".parse().expect("a day");
        let expected = [
            ("month = '2017-12'", "2017-12-01", "2017-12-31"),
            ("iso_year = 2017 and iso_week = 52", "2017-12-25", "2017-12-31"),
            ("year = 2017 and month = 12", "2017-12-01", "2017-12-31"),
            ("year = 2017 and quarter = 4", "2017-10-01", "2017-12-31"),
            ("year = 2017", "2017-01-01", "2017-12-31"),
        ];
        for (frame, (predicate, first, last)) in Frame::ALL.into_iter().zip(expected) {
            let slice = frame.slice(day);
            assert_eq!(
                (slice.predicate.as_str(), slice.first.to_string().as_str(), slice.last.to_string().as_str()),
                (predicate, first, last)
            );
        }
    }

    #[test]
    fn the_filter_names_every_month_that_a_week_reaches_into() {
        let slice = Frame::Weekly.slice("2018-01-01".parse().expect("a day"));
        let week = Frame::Weekly.slice("2017-11-30".parse().expect("a day"));
        let text = filter([slice, week].iter());
        assert!(text.contains("month in ('2017-11', '2017-12', '2018-01')"), "{text}");
    }
}
