//! The guard rail: no amount goes beyond a stated multiple of what the product sold in the best comparable stretch of its
//! own history, promotions that are planned included. Models extrapolate, histories are damaged, and a list led by an absurd
//! amount helps nobody. What is cut says so on its page.

use sellcast_domain::TimeFrame;

use crate::combined::Combined;
use crate::metrics::ranks;
use crate::rows::Rows;

/// How many times its best comparable stretch a product may be expected to sell.
const MULTIPLE: f32 = 4.0;

/// The most that a product may be expected to sell, and the stretch that it goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Limit {
    amount: f32,
    stretch: &'static str,
}

/// The limit of each row: [`MULTIPLE`] times its best stretch, scaled to the period, and one mean sale on top. `None` for a
/// product that never sold, which has no history to hold it against.
fn limits(rows: &Rows) -> Vec<Option<Limit>> {
    let days = rows.period.days() as f32;
    let weeks = days / 7.0;
    let mut stretches = vec![
        ("best week of the last eight", weeks, rows.column("best_week_8w")),
        ("mean week of the last half-year", weeks, rows.column("mean_26w")),
        ("mean week of the last year", weeks, rows.column("mean_52w")),
    ];
    let (length, name) = match rows.period.frame() {
        TimeFrame::Day | TimeFrame::Week => (7.0, "last_year_week"),
        TimeFrame::Month => (30.0, "last_year_month"),
        _ => (91.0, "last_year_quarter"),
    };
    stretches.push(("sales at this time last year", days / length, rows.column(name)));
    if rows.period.frame() == TimeFrame::Day {
        // A day may hold what else a week does.
        stretches.push(("sales of the day before", 1.0, rows.column("amount_1d")));
        stretches.push(("mean sales on this weekday", 0.25, rows.column("same_weekday_4w")));
    }
    stretches.push(("mean week without promotions, raised by what the planned ones are worth", weeks, promoted_week(rows)));
    let (known, quarter, half, sales) = (
        rows.column("days_since_first_sale"),
        rows.column("amount_per_sale"),
        rows.column("amount_182d"),
        rows.column("transactions_182d"),
    );
    let limit = |row: usize| {
        // Written so that a missing age counts as never sold.
        if known[row] >= 1.0 {
            let best = stretches.iter().map(|(stretch, factor, column)| (factor * column[row], *stretch));
            let (best, stretch) =
                best.filter(|(amount, _)| *amount > 0.0).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, "net sales of the last year"));
            let sale = [quarter[row], half[row] / sales[row]].into_iter().find(|sale| sale.is_finite() && *sale > 0.0).unwrap_or(0.0);
            Some(Limit { amount: MULTIPLE * best + sale, stretch })
        } else {
            None
        }
    };
    (0..rows.len()).map(limit).collect()
}

/// The mean week without promotions, the larger one of eight and of 26, times what a product's planned promotions are worth in this
/// shop (those of the next month for longer frames); 0 where none is planned. A product that is promoted for the first time may sell
/// many times its best week.
fn promoted_week(rows: &Rows) -> Vec<f32> {
    let lift = rows.column(match rows.period.frame() {
        TimeFrame::Day => "planned_lift_day",
        TimeFrame::Week => "planned_lift_week",
        _ => "planned_lift_month",
    });
    let plain = rows.column("plain_8w").into_iter().zip(rows.column("plain_26w")).map(|(short, long)| short.max(long));
    plain.zip(lift).map(|(plain, lift)| if lift > 0.0 { plain * (1.0 + lift) } else { 0.0 }).collect()
}

/// Cuts amounts that go beyond their limits and ranks what is left.
pub(crate) fn limited(mut said: Combined, rows: &Rows) -> Combined {
    let mut cut = 0_usize;
    for (row, limit) in limits(rows).into_iter().enumerate() {
        let Some(limit) = limit else { continue };
        // An amount that is no number is cut too.
        if said.amount[row].is_nan() || said.amount[row] > limit.amount {
            said.amount[row] = limit.amount;
            cut += 1;
        }
        said.expected[row] = said.expected[row].min(limit.amount);
    }
    if cut > 0 {
        tracing::debug!(cut, of = rows.len(), period = %rows.period.start(), "amounts beyond a multiple of their history");
        said.rank = ranks(&rows.categories, &said.amount);
    }
    said
}

/// What is said of the rows whose amounts were cut.
pub(crate) fn reasons(rows: &Rows, amounts: &[f32]) -> Vec<Option<String>> {
    let reason = |(limit, amount): (Option<Limit>, &f32)| {
        let limit = limit.filter(|limit| limit.amount > 0.0 && (amount - limit.amount).abs() <= 1e-5 * limit.amount)?;
        Some(format!("limited to {MULTIPLE} times its {}", limit.stretch))
    };
    limits(rows).into_iter().zip(amounts).map(reason).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sellcast_domain::{CategoryId, Origin, Period, ShopDay, Stage};

    use super::*;
    use crate::candidates::Candidates;
    use crate::cold_start::Launches;
    use crate::hedge::Hedge;
    use crate::learn::Learned;

    const NAMES: [&str; 16] = [
        "days_since_first_sale",
        "best_week_8w",
        "mean_26w",
        "mean_52w",
        "last_year_week",
        "last_year_month",
        "amount_per_sale",
        "amount_182d",
        "transactions_182d",
        "amount_1d",
        "same_weekday_4w",
        "plain_8w",
        "plain_26w",
        "planned_lift_day",
        "planned_lift_week",
        "planned_lift_month",
    ];

    /// A steady product, one that sold best a year ago, one that sold seldom and long ago, one that never sold, one whose every
    /// sale was returned, and two that sell alike, the second with its first promotion planned.
    fn rows(frame: TimeFrame) -> Rows {
        let missing = f32::NAN;
        let products = [
            [300.0, 70.0, 50.0, 50.0, 40.0, 160.0, 5.0, 1_300.0, 260.0, 10.0, 40.0, 50.0, 50.0, 0.0, 0.0, 0.0],
            [364.0, 10.0, 10.0, 20.0, 140.0, 600.0, 2.0, 260.0, 130.0, 0.0, 8.0, 10.0, 20.0, -0.5, -0.5, -0.5],
            [300.0, 0.0, 0.5, 0.25, 0.0, 0.0, missing, 13.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0],
            [missing, 0.0, 0.0, 0.0, 0.0, 0.0, missing, 0.0, 0.0, 0.0, 0.0, missing, missing, 0.0, 0.0, 0.0],
            [20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [300.0, 20.0, 10.0, 10.0, 0.0, 0.0, 5.0, 260.0, 52.0, 0.0, 0.0, 12.0, 10.0, 0.0, 0.0, 0.0],
            [300.0, 20.0, 10.0, 10.0, 0.0, 0.0, 5.0, 260.0, 52.0, 0.0, 0.0, 12.0, 10.0, 6.0, 9.0, 2.0],
        ];
        let as_of: ShopDay = "2017-06-05".parse().expect("a day");
        Rows {
            period: Period::starting(frame, as_of),
            products: (1..=products.len() as i64).map(Into::into).collect(),
            categories: vec![CategoryId::from(1); products.len()],
            names: NAMES.map(str::to_owned).to_vec(),
            values: products.concat(),
            history_days: 364,
            launches: Launches::default(),
            unsold_units: Vec::new(),
        }
    }

    fn forecast(rows: &Rows, said: &[f32]) -> crate::ledger::ForecastPeriod {
        let candidates = Candidates {
            amounts: BTreeMap::from([("eager".to_owned(), said.to_vec())]),
            quantity: said.iter().map(|amount| amount / 5.0).collect(),
            membership: vec![f32::NAN; said.len()],
            activity: vec![1.0; said.len()],
        };
        Learned::ignorant(Hedge::even(["eager".to_owned()])).forecast(rows, candidates, Origin::Published, Stage::Models)
    }

    #[test]
    fn what_explodes_is_cut_to_a_multiple_of_its_own_best_and_ranked_after() {
        let rows = rows(TimeFrame::Week);
        let made = forecast(&rows, &[1e7, 400.0, 1e9, 77.0, 5.0, 3.0, 2.0]);
        assert_eq!(made.amount, [285.0, 400.0, 15.0, 77.0, 0.0, 3.0, 2.0]);
        assert_eq!(made.rank, [2, 1, 4, 3, 7, 5, 6], "ranks follow what is left");
        assert!((made.quantity[0] - 57.0).abs() < 1e-3, "units follow the amount: {}", made.quantity[0]);
        for row in 0..made.len() {
            assert!(made.low[row] <= made.amount[row] && made.amount[row] <= made.high[row], "row {row}");
        }
        assert!(made.high[0] <= 3.001 * 285.0, "a range goes by what was left: {}", made.high[0]);
        let reasons = reasons(&rows, &made.amount);
        assert_eq!(reasons[0].as_deref(), Some("limited to 4 times its best week of the last eight"));
        assert_eq!(reasons[2].as_deref(), Some("limited to 4 times its mean week of the last half-year"));
        assert_eq!([&reasons[1], &reasons[3], &reasons[4]], [&None; 3], "nothing is said where nothing was cut, or all of it");
    }

    #[test]
    fn a_first_promotion_may_sell_what_promotions_are_worth_in_this_shop() {
        let rows = rows(TimeFrame::Week);
        let made = forecast(&rows, &[0.0, 0.0, 0.0, 0.0, 0.0, 400.0, 400.0]);
        assert_eq!(made.amount[5..], [85.0, 400.0]);
        let made = forecast(&rows, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e7]);
        assert_eq!(made.amount[6], 485.0, "four times a week of twelve, ten times as good, and one sale");
        let reason = reasons(&rows, &made.amount)[6].clone();
        assert_eq!(
            reason.as_deref(),
            Some("limited to 4 times its mean week without promotions, raised by what the planned ones are worth")
        );
    }

    #[test]
    fn the_best_stretch_is_scaled_to_the_period() {
        let month = rows(TimeFrame::Month);
        let weeks = month.period.days() as f32 / 7.0;
        let made = forecast(&month, &[1e7; 7]);
        assert!((made.amount[0] - (4.0 * 70.0 * weeks + 5.0)).abs() < 0.01, "{}", made.amount[0]);
        assert!((made.amount[1] - (4.0 * 600.0 * weeks * 7.0 / 30.0 + 2.0)).abs() < 0.01, "last year's month: {}", made.amount[1]);
        assert!((made.amount[6] - (4.0 * 12.0 * 3.0 * weeks + 5.0)).abs() < 0.01, "the month's promotions: {}", made.amount[6]);
        let day = rows(TimeFrame::Day);
        let made = forecast(&day, &[1e7; 7]);
        assert_eq!(made.amount[0], 45.0, "a day as the best one of its weekday, not a seventh of a week");
        assert!((made.amount[6] - (4.0 * 12.0 + 5.0)).abs() < 0.01, "a seventh of seven times a week of twelve: {}", made.amount[6]);
        assert_eq!(reasons(&day, &made.amount)[1].as_deref(), Some("limited to 4 times its sales at this time last year"));
    }

    #[test]
    fn amounts_within_their_limits_stay_bit_for_bit() {
        let rows = rows(TimeFrame::Week);
        let said = [280.0, 12.5, 0.03, 4.0, 0.0, 1.0, 2.0];
        assert_eq!(forecast(&rows, &said).amount, said);
    }
}
