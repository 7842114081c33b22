//! The series of past sales that the smoothing and the intermittent-demand models forecast from: one per row, weekly
//! (daily for the day frame), counted back from as_of, with only what was visible then.

use std::collections::{BTreeMap, HashMap};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use sellcast_domain::{CategoryId, Period, TimeFrame};

use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::rows::Rows;

/// Weeks, or days for the day frame, that a series reaches back at most.
const MOST_WEEKS: i64 = 52;
const MOST_DAYS: i64 = 182;
/// Days of sales that a weekday's share is taken from.
const PROFILE_DAYS: usize = 91;

/// The series of all rows at one as_of.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Steps of each series.
    length: usize,
    /// Row-major, oldest first.
    amounts: Vec<f32>,
    /// Steps that the target period lasts (4.4 weeks for a month).
    pub(crate) horizon: f64,
    /// For daily series: what each category sells on the target's weekday against its mean day.
    weekday: Option<Weekday>,
}

/// Factors of every weekday by category, counted back from as_of: the day before it is the first.
#[derive(Clone, Debug)]
struct Weekday {
    factors: HashMap<CategoryId, [f64; 7]>,
}

impl Series {
    /// From `(row, steps back from as_of, amount)`; a category's weekday pattern comes from its sum.
    fn of(rows: &Rows, length: usize, cells: impl Iterator<Item = (usize, usize, f64)>) -> Self {
        let mut amounts = vec![0.0; rows.len() * length];
        for (row, back, amount) in cells {
            amounts[row * length + length - 1 - back] += amount as f32;
        }
        let daily = rows.period.frame() == TimeFrame::Day;
        let mut series = Self { length, amounts, horizon: if daily { 1.0 } else { rows.period.days() as f64 / 7.0 }, weekday: None };
        if daily {
            let factors = series.by_category(&rows.categories).into_iter().map(|(category, sums)| (category, weekday_factors(&sums)));
            series.weekday = Some(Weekday { factors: factors.collect() });
        }
        series
    }

    /// Made series, for tests.
    #[cfg(test)]
    pub(crate) fn weekly(length: usize, amounts: Vec<f32>) -> Self {
        Self { length, amounts, horizon: 1.0, weekday: None }
    }

    /// One row's past, oldest first.
    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.amounts[row * self.length..(row + 1) * self.length]
    }

    /// The sums of the categories' rows.
    pub(crate) fn by_category(&self, categories: &[CategoryId]) -> BTreeMap<CategoryId, Vec<f64>> {
        let mut sums: BTreeMap<CategoryId, Vec<f64>> = BTreeMap::new();
        for (row, category) in categories.iter().enumerate() {
            let sum = sums.entry(*category).or_insert_with(|| vec![0.0; self.length]);
            sum.iter_mut().zip(self.row(row)).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        sums
    }

    /// A series without its weekday pattern; a weekly one as it is.
    pub(crate) fn plain(&self, category: CategoryId, series: impl ExactSizeIterator<Item = f64>) -> Vec<f64> {
        let Some(factors) = self.factors(category) else { return series.collect() };
        let length = series.len();
        series.enumerate().map(|(at, value)| value / factors[(length - 1 - at) % 7]).collect()
    }

    /// What the category sells in the target period against its mean step: its weekday's factor for a day, else 1.
    pub(crate) fn target_factor(&self, category: CategoryId) -> f64 {
        // The day after the last one of the series is the weekday of six days before that last one.
        self.factors(category).map_or(1.0, |factors| factors[6])
    }

    fn factors(&self, category: CategoryId) -> Option<&[f64; 7]> {
        self.weekday.as_ref().and_then(|weekday| weekday.factors.get(&category))
    }
}

/// Each weekday's sales over the mean day's, drawn towards 1 where there is little to go by.
fn weekday_factors(daily: &[f64]) -> [f64; 7] {
    let mut sums = [0.0; 7];
    let mut counts = [0.0; 7];
    for (back, amount) in daily.iter().rev().take(PROFILE_DAYS).enumerate() {
        sums[back % 7] += amount.max(0.0);
        counts[back % 7] += 1.0;
    }
    let mean = sums.iter().sum::<f64>() / counts.iter().sum::<f64>().max(1.0);
    if mean <= 0.0 {
        return [1.0; 7];
    }
    // Two mean days stand for what is believed before any day is seen.
    std::array::from_fn(|day| ((sums[day] + 2.0 * mean) / ((counts[day] + 2.0) * mean)).max(0.05))
}

impl Forecaster<'_> {
    /// The series of `rows`, as known before their period began.
    pub(crate) async fn series(&self, rows: &Rows) -> Result<Series, ForecastError> {
        let as_of: Period = rows.period;
        let day = as_of.start().epoch_days();
        let (step, most) = if as_of.frame() == TimeFrame::Day { (1, MOST_DAYS) } else { (7, MOST_WEEKS) };
        let length = (rows.history_days / step).clamp(1, most);
        let sql = format!(
            "select product_id, category_id, cast(({day} - 1 - day) / {step} as int) as back, sum(amount) as amount from panel \
             where visible_from <= {day} and day < {day} and day >= {day} - {} group by 1, 2, 3 order by 1, 2, 3",
            length * step
        );
        let place: HashMap<(i64, i64), usize> =
            rows.products.iter().zip(&rows.categories).enumerate().map(|(row, (p, c))| ((p.get(), c.get()), row)).collect();
        let batches = self.panel.context().sql(&sql).await?.collect().await?;
        let cells = batches.iter().flat_map(|batch| {
            let id = |name: &str| batch[name].as_primitive::<Int64Type>();
            let (products, categories) = (id("product_id"), id("category_id"));
            let (back, amounts) = (batch["back"].as_primitive::<Int32Type>(), batch["amount"].as_primitive::<Float64Type>());
            let place = &place;
            (0..batch.num_rows()).filter_map(move |at| {
                let row = *place.get(&(products.value(at), categories.value(at)))?;
                Some((row, (back.value(at) as usize).min(length as usize - 1), amounts.value(at)))
            })
        });
        Ok(Series::of(rows, length as usize, cells))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weekday_pattern_is_taken_out_and_put_back_on_the_right_day() {
        // Ends on a Sunday that sells three times as much as the other days; the day to come is a Monday.
        let daily: Vec<f64> = (0..91).map(|day| if (90 - day) % 7 == 0 { 30.0 } else { 10.0 }).collect();
        let factors = weekday_factors(&daily);
        assert!(factors[0] > 2.0 && (factors[6] - factors[1]).abs() < 1e-9, "{factors:?}");
        let category = CategoryId::from(1);
        let weekday = Weekday { factors: [(category, factors)].into() };
        let series = Series { length: 91, amounts: Vec::new(), horizon: 1.0, weekday: Some(weekday) };
        let plain = series.plain(category, daily.iter().copied());
        let (least, most) = plain.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
        assert!(most / least < 1.3, "the pattern is gone: {least} to {most}");
        assert!(series.target_factor(category) < 1.0, "a Monday is one of the weak days");
    }
}
