//! Ranks by simulation: many draws of every product's amount from its predictive distribution, ranked within the category.
//! What moves a whole category alike does not move its ranks, so the draws of its products are independent given that.
//! From the draws come the interval of a rank and the probability of being in the list.

use sellcast_domain::{CategoryId, ProductId, TopK};

use crate::calibration::point::rows_of;
use crate::calibration::spread::Spread;

/// Draws per product: the standard error of a probability is at most .07, and the confidence model smooths it further.
const DRAWS: u64 = 48;
/// Products per category that take part, by predicted rank: what is below has no place in the lists shown.
const TAKE_PART: usize = 130;
/// Share of draws below, and above, the interval.
const TAIL: f64 = 0.1;

/// What is simulated, rows in parallel.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) products: &'a [ProductId],
    pub(crate) categories: &'a [CategoryId],
    pub(crate) expected: &'a [f32],
    pub(crate) units: &'a [f32],
    pub(crate) ranks: &'a [u32],
}

/// What the draws say of each row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Simulated {
    /// Best and worst rank in eight of ten draws.
    pub(crate) intervals: Vec<(u32, u32)>,
    /// Log-odds of being in the list of each length of [`TopK::ALL`].
    pub(crate) log_odds: [Vec<f32>; 5],
}

/// Draws; the same products, expectations and spread give the same draws.
pub(crate) fn simulate(spread: &Spread, field: Field<'_>) -> Simulated {
    let rows = field.products.len();
    let mut simulated = Simulated {
        intervals: field.ranks.iter().map(|rank| (*rank, *rank)).collect(),
        log_odds: std::array::from_fn(|_| vec![f32::NAN; rows]),
    };
    if spread.is_empty() {
        return simulated;
    }
    simulated.log_odds.iter_mut().for_each(|log_odds| log_odds.fill(log_odds_of(0)));
    for mut list in rows_of(field.categories).into_values() {
        list.sort_by_key(|row| field.ranks[*row]);
        list.truncate(TAKE_PART);
        let mut drawn = vec![vec![0_u32; DRAWS as usize]; list.len()];
        let around: Vec<_> = list.iter().map(|row| spread.around(field.units[*row], field.expected[*row])).collect();
        let mut order: Vec<u64> = Vec::with_capacity(list.len());
        for draw in 0..DRAWS {
            order.clear();
            let amounts = list.iter().zip(&around).map(|(row, around)| around.quantile(lot(field.products[*row], draw)));
            order.extend(amounts.zip(0..).map(|(amount, at): (f32, u32)| place(amount, at)));
            // Of those that sold nothing, the one expected to sell more comes first.
            order.sort_unstable();
            for (rank, place) in order.iter().enumerate() {
                drawn[(place & u64::from(u32::MAX)) as usize][draw as usize] = rank as u32 + 1;
            }
        }
        for (row, ranks) in list.iter().zip(&mut drawn) {
            ranks.sort_unstable();
            let at = |share: f64| ranks[((DRAWS - 1) as f64 * share).round() as usize];
            let rank = field.ranks[*row];
            simulated.intervals[*row] = (at(TAIL).min(rank), at(1.0 - TAIL).max(rank));
            for k in TopK::ALL {
                simulated.log_odds[k.index()][*row] = log_odds_of(ranks.partition_point(|drawn| *drawn <= k.get()));
            }
        }
    }
    simulated
}

/// A number that sorts larger amounts first, as `f32::total_cmp` has them, and of equal ones the first.
fn place(amount: f32, at: u32) -> u64 {
    let bits = amount.to_bits();
    let falling = if amount.is_sign_negative() { bits } else { !(bits | 1 << 31) };
    u64::from(falling) << 32 | u64::from(at)
}

fn log_odds_of(hits: usize) -> f32 {
    let chance = (hits as f64 + 0.5) / (DRAWS as f64 + 1.0);
    (chance / (1.0 - chance)).ln() as f32
}

/// A number from 0 to 1 that depends on product and draw alone (the finaliser of SplitMix64; Steele et al., 2014).
fn lot(product: ProductId, draw: u64) -> f32 {
    let mut mixed = (product.get() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(draw.wrapping_mul(0xD1B5_4A32_D192_ED03));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::spread::Past;

    #[test]
    fn places_are_in_the_order_of_the_amounts() {
        let amounts = [7.5, 7.5, 3.0, f32::MIN_POSITIVE, 0.0, 0.0, -0.0, -2.0, -30.0];
        let mut places: Vec<u64> = amounts.into_iter().zip(0..).map(|(amount, at)| place(amount, at)).collect();
        places.reverse();
        places.sort_unstable();
        assert_eq!(places.iter().map(|place| *place as u32).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn a_steady_leader_has_a_narrow_interval_and_a_crowd_a_wide_one() {
        let past: Vec<Past> = (0..4_000)
            .map(|i| Past {
                category: CategoryId::from(1),
                age: 300.0,
                units: 20.0,
                expected: 40.0,
                actual: 40.0 * (0.7 + 0.6 * (i % 1_000) as f32 / 1_000.0),
            })
            .collect();
        let spread = Spread::fit(&[past.clone(), past], |at| at);
        let products: Vec<ProductId> = (1..=30).map(ProductId::from).collect();
        let categories = vec![CategoryId::from(1); 30];
        let expected: Vec<f32> = (0..30_u8).map(|i| if i == 0 { 200.0 } else { 40.0 - f32::from(i) / 10.0 }).collect();
        let ranks: Vec<u32> = (1..=30).collect();
        let field = Field { products: &products, categories: &categories, expected: &expected, units: &[20.0; 30], ranks: &ranks };
        let simulated = simulate(&spread, field);
        assert_eq!(simulated.intervals[0], (1, 1));
        let (best, worst) = simulated.intervals[14];
        assert!(best <= 8 && worst >= 22, "{best} to {worst}");
        let five = &simulated.log_odds[0];
        assert!(five[0] > 4.0 && five[4] < 0.0, "{:?}", &five[..6]);
        assert!(simulated.log_odds[2][4] > five[4], "a longer list is easier to be in");
    }
}
