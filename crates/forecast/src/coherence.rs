//! Sums that agree over time. All frames of one as_of begin on the same day, so the day is part of the week, the week of the
//! month and so on: the forecasts agree if and only if what a longer frame adds to a shorter one is not negative. The nearest
//! such forecasts, each weighted by how sure it is, are an isotonic regression over the frames: the projection of minimum-trace
//! reconciliation (Wickramasuriya et al., 2019) with a diagonal covariance onto non-negative parts, product by product.
//! Categories are sums of products and so agree as well.

use crate::forecaster::FrameForecast;

/// Makes the frames of one as_of agree; `frames` from the shortest to the longest, with the same rows. Returns how many amounts
/// were moved.
pub(crate) fn nest(frames: &mut [FrameForecast]) -> usize {
    let rows = frames.first().map_or(0, |frame| frame.forecast.len());
    let mut moved = vec![0; frames.len()];
    let mut values = vec![(0.0, 0.0); frames.len()];
    for row in 0..rows {
        for (value, frame) in values.iter_mut().zip(frames.iter()) {
            let forecast = &frame.forecast;
            let width = f64::from(forecast.high[row] - forecast.low[row]).max(0.01);
            *value = (f64::from(forecast.amount[row]), 1.0 / (width * width));
        }
        if values.windows(2).all(|pair| pair[0].0 <= pair[1].0) {
            continue;
        }
        for ((at, frame), amount) in frames.iter_mut().enumerate().zip(isotonic(&values)) {
            let forecast = &mut frame.forecast;
            let amount = amount as f32;
            if (forecast.amount[row] - amount).abs() > 1e-6 {
                moved[at] += 1;
                if forecast.amount[row] > 0.0 {
                    forecast.quantity[row] *= amount / forecast.amount[row];
                }
                forecast.amount[row] = amount;
                forecast.low[row] = forecast.low[row].min(amount);
                forecast.high[row] = forecast.high[row].max(amount);
                if let Some(wide) = forecast.wide.get_mut(row) {
                    *wide = (wide.0.min(amount), wide.1.max(amount));
                }
            }
        }
    }
    for (frame, moved) in frames.iter_mut().zip(&moved) {
        if *moved > 0 {
            frame.learned.rank_again(&mut frame.forecast);
        }
    }
    moved.into_iter().sum()
}

/// The rising values nearest to `values` (value, weight) in weighted squares, by pooling adjacent violators.
fn isotonic(values: &[(f64, f64)]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (value, weight) in values {
        pools.push((*value, *weight, 1));
        while let [.., before, last] = &pools[..] {
            if before.0 <= last.0 {
                break;
            }
            let weight = before.1 + last.1;
            let merged = ((before.0 * before.1 + last.0 * last.1) / weight, weight, before.2 + last.2);
            pools.truncate(pools.len() - 2);
            pools.push(merged);
        }
    }
    pools.into_iter().flat_map(|(value, _, count)| std::iter::repeat_n(value, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_below_its_day_meets_it_nearer_to_the_surer_one() {
        let agreed = isotonic(&[(3.0, 1.0), (2.0, 3.0), (10.0, 1.0)]);
        assert_eq!(agreed, [2.25, 2.25, 10.0]);
        assert_eq!(isotonic(&[(1.0, 1.0), (2.0, 1.0)]), [1.0, 2.0]);
    }
}
