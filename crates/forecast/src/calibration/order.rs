//! The head of a list stays in the order of the expected amounts when these are moved to a common quantile. What sells seldom but
//! dear may be expected to sell the most, and still be nothing at any quantile below its chance; a list that gains by the amounts
//! it holds goes by the expectation.

/// Products of a category whose order is kept: the list that is looked at first. Further down, amounts go by their quantile, which
/// errs less.
const HEAD: usize = 10;

/// Makes the amounts of the [`HEAD`] rows with the highest expectation fall in its order, and lets none of the others exceed them, by
/// the least change with the same sum (pool adjacent violators; Ayer et al., 1955).
pub(super) fn keep_order(rows: &[usize], expected: &[f32], amounts: &mut [f32]) {
    let falling = |by: &[f32], a: usize, b: usize| by[b].total_cmp(&by[a]).then(a.cmp(&b));
    let mut order = rows.to_vec();
    order.sort_by(|a, b| falling(expected, *a, *b));
    if let Some(rest) = order.get_mut(HEAD..) {
        rest.sort_by(|a, b| falling(amounts, *a, *b));
    }
    // Sum and size of each pool.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for row in &order {
        pools.push((f64::from(amounts[*row]), 1));
        while let [.., (above, of), (below, like)] = pools[..] {
            if above * like as f64 >= below * of as f64 {
                break;
            }
            pools.truncate(pools.len() - 2);
            pools.push((above + below, of + like));
        }
    }
    let mut rest = order.iter();
    for (sum, size) in pools {
        // A row by itself is left as it is, to the last bit.
        let pool = rest.by_ref().take(size);
        if size > 1 {
            pool.for_each(|row| amounts[*row] = (sum / size as f64) as f32);
        } else {
            pool.for_each(drop);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_falls_with_the_expectation_and_the_sum_stays() {
        let expected: Vec<f32> = (0..30_u8).map(|at| 60.0 - f32::from(at)).collect();
        // The first sells one dear thing now and then; so does the twelfth, further down.
        let mut amounts = expected.clone();
        amounts[0] = 0.0;
        amounts[11] = 0.0;
        let sum: f32 = amounts.iter().sum();
        let rows: Vec<usize> = (0..30).collect();
        keep_order(&rows, &expected, &mut amounts);
        assert!((amounts.iter().sum::<f32>() - sum).abs() < 1e-3);
        assert!(amounts[..HEAD].is_sorted_by(|a, b| a >= b), "{amounts:?}");
        assert!(amounts[HEAD..].iter().all(|amount| *amount <= amounts[HEAD - 1]), "{amounts:?}");
        assert!(amounts[11].abs() < 1e-6, "below the head an amount is what its quantile says: {amounts:?}");
        assert_eq!(&amounts[12..], &expected[12..]);
    }

    #[test]
    fn what_falls_already_is_left_alone_and_so_are_other_rows() {
        let expected = [5.0, 4.0, 3.0, 9.0];
        let mut amounts = [7.0, 2.0, 1.0, 0.5];
        keep_order(&[0, 1, 2], &expected, &mut amounts);
        assert_eq!(amounts, [7.0, 2.0, 1.0, 0.5]);
        keep_order(&[], &expected, &mut amounts);
        assert_eq!(amounts, [7.0, 2.0, 1.0, 0.5]);
    }
}
