//! What the stream changed lately: a comparison with a warehouse that was read meanwhile leaves it alone.

use std::collections::{HashSet, VecDeque};

use sellcast_domain::{ProductId, SaleId};

/// Changes that are remembered at least.
const FEWEST: usize = 1_000_000;
/// Of the rows that are held, one in so many is remembered as changed where that is more.
const SHARE: usize = 4;
/// A stretch is at least so many seconds long.
const STRETCH: i64 = 5;
/// Stretches that are remembered at most: a day or more.
const MOST: usize = 20_000;

/// Changed sales and products in stretches of time, the oldest first. Seconds of the machine's clock since 1970.
#[derive(Debug)]
pub(crate) struct Touched {
    stretches: VecDeque<Stretch>,
    sales: usize,
}

#[derive(Debug)]
struct Stretch {
    began: i64,
    sales: Vec<SaleId>,
    products: Vec<ProductId>,
}

impl Stretch {
    fn new(began: i64) -> Self {
        Self { began, sales: Vec::new(), products: Vec::new() }
    }
}

impl Touched {
    /// Nothing is known of the time before `now`.
    pub(crate) fn new(now: i64) -> Self {
        Self { stretches: VecDeque::from([Stretch::new(now)]), sales: 0 }
    }

    pub(crate) fn sale(&mut self, sale: SaleId) {
        if let Some(newest) = self.stretches.back_mut() {
            newest.sales.push(sale);
            self.sales += 1;
        }
    }

    pub(crate) fn product(&mut self, product: ProductId) {
        if let Some(newest) = self.stretches.back_mut() {
            newest.products.push(product);
        }
    }

    /// Tells the time, and forgets the oldest changes where they are too many for a book that holds so many rows.
    pub(crate) fn tick(&mut self, now: i64, held: usize) {
        let is_due = |newest: &Stretch| newest.began + STRETCH <= now && !(newest.sales.is_empty() && newest.products.is_empty());
        if self.stretches.back().is_none_or(is_due) {
            self.stretches.push_back(Stretch::new(now));
        }
        while self.stretches.len() > 1 && (self.sales > FEWEST.max(held / SHARE) || self.stretches.len() > MOST) {
            self.sales -= self.stretches.pop_front().map_or(0, |oldest| oldest.sales.len());
        }
    }

    /// What changed from `since` on, and perhaps a little before; `None` where that is no longer known, or was before this began.
    pub(crate) fn since(&self, since: i64) -> Option<(HashSet<SaleId>, HashSet<ProductId>)> {
        let first = self.stretches.iter().rposition(|stretch| stretch.began <= since)?;
        let stretches = || self.stretches.range(first..);
        let sales = stretches().flat_map(|stretch| stretch.sales.iter().copied()).collect();
        Some((sales, stretches().flat_map(|stretch| stretch.products.iter().copied()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sales(touched: &Touched, since: i64) -> Option<usize> {
        touched.since(since).map(|(sales, _)| sales.len())
    }

    #[test]
    fn everything_since_an_instant_is_known_and_nothing_of_the_time_before_the_beginning() {
        let mut touched = Touched::new(100);
        for second in 100..120_i64 {
            touched.sale(SaleId::from(second));
            touched.product(ProductId::from(second));
            touched.tick(second + 1, 0);
        }
        assert_eq!(sales(&touched, 99), None);
        assert_eq!(sales(&touched, 100), Some(20));
        // Five seconds are told apart no further.
        assert_eq!((sales(&touched, 104), sales(&touched, 105), sales(&touched, 109)), (Some(20), Some(15), Some(15)));
        assert_eq!(touched.since(110).expect("known").1, (110..120).map(ProductId::from).collect());
        // A stretch without changes goes on.
        (120..1_000).for_each(|second| touched.tick(second, 0));
        assert_eq!((sales(&touched, 500), touched.stretches.len()), (Some(0), 5));
        touched.sale(SaleId::from(1));
        assert_eq!(sales(&touched, 2_000), Some(1));
    }

    #[test]
    fn the_oldest_are_forgotten_where_they_are_many_for_what_is_held() {
        let mut touched = Touched::new(0);
        for step in 1..=30_i64 {
            (0..100_000).for_each(|n| touched.sale(SaleId::from(step * 100_000 + n)));
            touched.tick(step * STRETCH, 8_000_000);
        }
        assert_eq!(sales(&touched, 0), None);
        assert_eq!(sales(&touched, 10 * STRETCH), Some(2_000_000));
        touched.tick(30 * STRETCH, 0);
        assert_eq!((sales(&touched, 19 * STRETCH), sales(&touched, 20 * STRETCH)), (None, Some(1_000_000)));
    }

    #[test]
    fn stretches_are_so_many_and_no_more() {
        let mut touched = Touched::new(0);
        for step in 1..=30_000_i64 {
            touched.sale(SaleId::from(step));
            touched.tick(step * STRETCH, 0);
        }
        assert_eq!(touched.stretches.len(), MOST);
        assert_eq!(sales(&touched, 30_000 * STRETCH), Some(0));
    }
}
