//! How far the expected amounts go towards their category's common quantile.

use rayon::prelude::*;

use crate::calibration::mix;
use crate::metrics::{Said, Scored, Tally};

/// The share of the common quantile is at most this: what is left of the expectation keeps the order of products whose quantile is
/// nothing.
const SHARPEST: f32 = 0.95;

/// Steps from no sharpening to the most.
const STEPS: u8 = 10;

/// A period's expected amounts, the same at the common quantile, and the truth.
pub(crate) struct Sharpening<'a> {
    pub(crate) expected: &'a [f32],
    pub(crate) sharp: &'a [f32],
    pub(crate) scored: &'a Scored,
}

/// How far to go: where the loss that the weights are learnt from is least. A curve with a flat bottom moves its least point for
/// next to nothing, so this is the mean of the least points with each period left out once; 0 for less than two periods.
pub(crate) fn sharpness(periods: &[Sharpening<'_>]) -> f32 {
    let share = |step: u8| SHARPEST * f32::from(step) / f32::from(STEPS);
    let tally = |period: &Sharpening<'_>, step: u8| {
        let mut tally = Tally::default();
        let amount = mix(period.expected, period.sharp, share(step));
        tally.add(period.scored, Said { amount: &amount, published: None });
        tally
    };
    let by_step: Vec<Vec<Tally>> =
        (0..=STEPS).into_par_iter().map(|step| periods.iter().map(|period| tally(period, step)).collect()).collect();
    let least_without = |left_out: usize| {
        let loss = |step: &u8| {
            let mut kept = Tally::default();
            let others = by_step[usize::from(*step)].iter().enumerate().filter(|(at, _)| *at != left_out);
            others.for_each(|(_, tally)| kept.merge(tally));
            kept.loss()
        };
        (0..=STEPS).min_by(|a, b| loss(a).total_cmp(&loss(b))).map_or(0.0, share)
    };
    let chosen = (0..periods.len()).map(least_without).sum::<f32>() / periods.len().max(1) as f32;
    tracing::debug!(sharpness = chosen, periods = periods.len(), "how far amounts go to the common quantile");
    chosen
}

#[cfg(test)]
mod tests {
    use sellcast_domain::CategoryId;

    use super::*;

    /// One list of products with these true amounts, in the order of their ids.
    fn scored(actual: &[f64]) -> Scored {
        let rows = actual.len();
        let mut order: Vec<usize> = (0..rows).filter(|at| actual[*at] > 0.0).collect();
        order.sort_by(|a, b| actual[*b].total_cmp(&actual[*a]));
        let mut actual_rank = vec![u32::MAX; rows];
        order.iter().enumerate().for_each(|(rank, at)| actual_rank[*at] = rank as u32 + 1);
        Scored {
            rows: (0..rows).map(Some).collect(),
            ids: (0..rows as i64).collect(),
            actual: actual.to_vec(),
            sold: actual.iter().map(|amount| *amount > 0.0).collect(),
            actual_rank,
            lists: vec![(CategoryId::from(1), 0..rows)],
        }
    }

    fn chosen(sharp: &[f32], truths: &[[f64; 4]]) -> f32 {
        let scored: Vec<Scored> = truths.iter().map(|truth| scored(truth)).collect();
        let periods: Vec<_> = scored.iter().map(|scored| Sharpening { expected: &[8.0, 2.0, 2.0, 2.0], sharp, scored }).collect();
        sharpness(&periods)
    }

    const SELDOM: [[f64; 4]; 3] = [[14.0, 0.0, 0.0, 0.0], [15.0, 0.0, 0.0, 0.0], [14.0, 5.0, 0.0, 0.0]];

    #[test]
    fn amounts_that_seldom_come_are_sharpened_as_far_as_may_be() {
        assert!((chosen(&[14.0, 0.0, 0.0, 0.0], &SELDOM) - SHARPEST).abs() < 1e-6);
    }

    #[test]
    fn what_loses_the_order_is_left_alone_and_one_period_teaches_nothing() {
        assert!(chosen(&[0.0, 14.0, 0.0, 0.0], &SELDOM) < 1e-6, "the best product would be the last");
        assert!(chosen(&[14.0, 0.0, 0.0, 0.0], &SELDOM[..1]) < 1e-6);
    }
}
