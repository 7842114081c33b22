//! Baselines: what anyone would write in a spreadsheet. They need no training, so they serve the first page, and they
//! are what every model must beat.

use sellcast_domain::TimeFrame;

use crate::rows::Rows;

/// A named forecast of amounts, one per row.
pub(crate) type Named = (&'static str, Vec<f64>);

/// The baselines that the history supports, amounts per period.
pub(crate) fn baselines(rows: &Rows) -> Vec<Named> {
    let days = rows.period.days() as f64;
    let weeks = days / 7.0;
    let scaled = |name: &str, factor: f64| -> Vec<f64> { rows.column(name).iter().map(|v| (f64::from(*v) * factor).max(0.0)).collect() };
    let (mean_4w, mean_26w) = (scaled("mean_4w", weeks), scaled("mean_26w", weeks));
    let half: Vec<f64> = mean_4w.iter().zip(&mean_26w).map(|(a, b)| (a + b) / 2.0).collect();
    let last_period = match rows.period.frame() {
        TimeFrame::Day => scaled("amount_1d", 1.0),
        TimeFrame::Week => scaled("week_1", 1.0),
        TimeFrame::Month => scaled("mean_4w", weeks),
        TimeFrame::Quarter => scaled("amount_91d", days / 91.0),
        TimeFrame::HalfYear => scaled("amount_182d", days / 182.0),
        TimeFrame::Year => scaled("amount_364d", days / 364.0),
    };
    let mut all = vec![
        ("last_period", last_period),
        ("mean_4w", mean_4w),
        ("mean_8w", scaled("mean_8w", weeks)),
        ("mean_26w", mean_26w),
        ("half_4w_half_26w", half),
    ];
    if rows.period.frame() == TimeFrame::Day {
        all.push(("same_weekday", scaled("same_weekday_13w", 1.0 / 13.0)));
    }
    if rows.history_days >= 364 {
        let seasonal = match rows.period.frame() {
            TimeFrame::Day | TimeFrame::Week => Some(scaled("last_year_week", weeks)),
            TimeFrame::Month => Some(scaled("last_year_month", days / 30.0)),
            TimeFrame::Quarter => Some(scaled("last_year_quarter", days / 91.0)),
            TimeFrame::HalfYear | TimeFrame::Year => None,
        };
        all.extend(seasonal.map(|seasonal| ("last_year", seasonal)));
    }
    all
}

/// A steady expectation per row and period, never zero: where boosting starts from.
pub(crate) fn start(rows: &Rows) -> Vec<f64> {
    let weeks = rows.period.days() as f64 / 7.0;
    let (short, middle, long) = (rows.column("mean_4w"), rows.column("mean_13w"), rows.column("mean_26w"));
    (0..rows.len())
        .map(|row| {
            let blend =
                f64::from(short[row]).max(0.0) * 0.35 + f64::from(middle[row]).max(0.0) * 0.35 + f64::from(long[row]).max(0.0) * 0.3;
            weeks * (blend + 0.02)
        })
        .collect()
}
