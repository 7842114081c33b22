//! The weeks ahead, read off the published frames: the week itself, then what the month adds to it, then
//! what the quarter adds to the month, each spread evenly over its weeks.

use sellcast_domain::{CategoryId, Interval, Money, Problem, ProductId, TimeFrame};

use super::view::View;
use crate::charts::Stretch;
use crate::state::AppState;

/// The frames that the chart is made of; longer ones would squeeze the history.
const FRAMES: [TimeFrame; 3] = [TimeFrame::Week, TimeFrame::Month, TimeFrame::Quarter];

/// One frame's forecast of the charted thing.
#[derive(Clone, Copy, Debug)]
struct Known {
    weeks: f64,
    amount: Money,
    interval: Interval,
}

/// The weeks ahead of a category.
pub(super) async fn of_category(state: &AppState, view: &View, id: CategoryId) -> Result<Vec<Stretch>, Problem> {
    let mut known = Vec::new();
    for frame in FRAMES {
        if let Ok(document) = state.forecasts().document(&view.edition, frame).await
            && let Some(category) = document.category(id)
        {
            let weeks = document.document.period().days() as f64 / 7.0;
            known.push(Known { weeks, amount: category.predicted_sales_amount, interval: category.interval });
        }
    }
    Ok(stretches(&known))
}

/// The weeks ahead of a product, as far as it is among the first 100 of the frames.
pub(super) async fn of_product(state: &AppState, view: &View, category: CategoryId, id: ProductId) -> Result<Vec<Stretch>, Problem> {
    let mut known = Vec::new();
    for frame in FRAMES {
        if let Ok(document) = state.forecasts().document(&view.edition, frame).await
            && let Some(product) = document.product(category, id)
        {
            let weeks = document.document.period().days() as f64 / 7.0;
            known.push(Known { weeks, amount: product.predicted_amount, interval: product.interval });
        }
    }
    Ok(stretches(&known))
}

fn stretches(known: &[Known]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut weeks_before, mut amount_before) = (0.0, 0.0);
    for frame in known {
        let weeks = frame.weeks - weeks_before;
        let amount = frame.amount.to_f64();
        // Frames are forecast apart: where a longer one says less than a shorter one, nothing is left for its rest.
        let expected = ((amount - amount_before) / weeks).max(0.0);
        // The error of a sum is spread over its weeks as if they erred together: the frames do not say how much of it
        // would cancel out. A week further ahead is never surer than a nearer one.
        let nearer = stretches.last().map_or((0.0, 0.0), |stretch| (stretch.expected - stretch.low, stretch.high - stretch.expected));
        let below = ((amount - frame.interval.low.to_f64()) / frame.weeks).max(nearer.0);
        let above = ((frame.interval.high.to_f64() - amount) / frame.weeks).max(nearer.1);
        stretches.push(Stretch { weeks, expected, low: (expected - below).max(0.0), high: expected + above });
        (weeks_before, amount_before) = (frame.weeks, amount.max(amount_before));
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(weeks: f64, amount: i64, low: i64, high: i64) -> Known {
        let money = |units: i64| Money::from_cents(units * 100);
        Known { weeks, amount: money(amount), interval: Interval { low: money(low), high: money(high) } }
    }

    #[test]
    fn the_month_adds_what_the_week_leaves() {
        let ahead = stretches(&[known(1.0, 100, 80, 130), known(4.0, 520, 360, 600)]);
        assert_eq!(ahead[0], Stretch { weeks: 1.0, expected: 100.0, low: 80.0, high: 130.0 });
        assert_eq!(
            ahead[1],
            Stretch { weeks: 3.0, expected: 140.0, low: 100.0, high: 170.0 },
            "as unsure as the month below, as the week above"
        );
    }

    #[test]
    fn frames_that_contradict_each_other_give_nothing_negative() {
        let ahead = stretches(&[known(1.0, 100, 80, 130), known(4.0, 60, 10, 90)]);
        assert!(ahead.iter().all(|stretch| stretch.expected >= 0.0 && stretch.low >= 0.0 && stretch.high >= stretch.expected));
    }
}
