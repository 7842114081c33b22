//! Digests of tiles: what a book holds of a category's hour and what the warehouse has of it are compared by the sum of a 64-bit
//! hash of each row. The order of rows does not matter, and errors that cancel out in quantity and amount do not cancel here.
//!
//! They are made when the two sides are compared, by the same function on both, and not kept beside the windows' tiles: a comparison
//! is one way through the held rows after an ingest, where a kept checksum would cost each event a hash, each tile eight bytes and
//! each product that moves a way through its tiles.

use std::collections::HashMap;

use super::fact::SaleFact;
use super::hash::mix;
use crate::{CategoryId, SaleId};

/// A sale as the warehouse has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// Which row.
    pub sale: SaleId,
    /// What was sold.
    pub fact: SaleFact,
    /// The category its product is in now.
    pub category: Option<CategoryId>,
}

impl BatchRow {
    /// The tile it belongs to.
    pub const fn place(&self) -> CategoryHour {
        CategoryHour { hour: self.fact.occurred_at.seconds() / 3600, category: self.category }
    }

    /// A hash of all that both sides know. Customers are left out: the warehouse may know them by other numbers.
    fn hash(&self) -> u64 {
        let fact = &self.fact;
        let when = u64::from(fact.occurred_at.seconds()) << 1 | u64::from(self.category.is_some());
        let category = self.category.map_or(0, CategoryId::get);
        let values = [self.sale.get(), fact.product.get(), category, fact.quantity.thousandths(), fact.amount.cents()];
        values.iter().fold(mix(when), |hash, value| mix(hash ^ *value as u64))
    }
}

/// An hour of a category, or of the products that are in none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CategoryHour {
    /// Hours since 1970.
    pub hour: u32,
    /// The category its products are in themselves, whatever it is summed into.
    pub category: Option<CategoryId>,
}

/// What a tile's rows come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    rows: u64,
    checksum: u64,
}

impl Digest {
    /// Adds a row.
    pub fn add(&mut self, row: &BatchRow) {
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(row.hash());
    }
}

/// Digests by tile; a tile without rows is not there.
#[derive(Clone, Debug, Default)]
pub struct Digests(HashMap<CategoryHour, Digest>);

impl Digests {
    /// Adds a row to its tile.
    pub fn add(&mut self, row: &BatchRow) {
        self.0.entry(row.place()).or_default().add(row);
    }

    /// The tiles, in no order.
    pub fn into_tiles(self) -> Vec<BatchTile> {
        self.0.into_iter().map(|(place, digest)| BatchTile { place, digest, rows: None }).collect()
    }

    pub(super) fn of(&self, place: CategoryHour) -> Digest {
        self.0.get(&place).copied().unwrap_or_default()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = CategoryHour> + '_ {
        self.0.keys().copied()
    }
}

/// A tile as the warehouse has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchTile {
    /// Which.
    pub place: CategoryHour,
    /// What its rows come to.
    pub digest: Digest,
    /// Its rows, once they were asked for.
    pub rows: Option<Vec<BatchRow>>,
}

impl BatchTile {
    /// A tile with its rows.
    pub fn with_rows(place: CategoryHour, rows: Vec<BatchRow>) -> Self {
        let mut digest = Digest::default();
        rows.iter().for_each(|row| digest.add(row));
        Self { place, digest, rows: Some(rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{EventTime, Quantity};
    use crate::{Money, ProductId};

    fn row(sale: i64, product: i64, thousandths: i64, cents: i64) -> BatchRow {
        let occurred_at = EventTime::try_from(1_500_000_000).expect("a time");
        let (quantity, amount) = (Quantity::from_thousandths(thousandths), Money::from_cents(cents));
        let fact = SaleFact { product: ProductId::from(product), customer: 0, occurred_at, quantity, amount };
        BatchRow { sale: SaleId::from(sale), fact, category: Some(CategoryId::from(1)) }
    }

    fn digest(rows: &[BatchRow]) -> Digest {
        BatchTile::with_rows(row(0, 0, 0, 0).place(), rows.to_vec()).digest
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let rows = [row(1, 1, 1_000, 100), row(2, 1, 1_000, 200)];
        assert_eq!(digest(&rows), digest(&[rows[1], rows[0]]));
        for other in [
            // The sums are the same.
            [row(1, 1, 1_000, 150), row(2, 1, 1_000, 150)],
            [row(1, 1, 1_000, 200), row(2, 1, 1_000, 100)],
            [row(1, 1, 2_000, 100), row(2, 1, 0, 200)],
            [row(1, 2, 1_000, 100), row(2, 1, 1_000, 200)],
            [row(3, 1, 1_000, 100), row(2, 1, 1_000, 200)],
            [BatchRow { category: None, ..rows[0] }, rows[1]],
        ] {
            assert_ne!(digest(&rows), digest(&other), "{other:?}");
        }
        assert_ne!(digest(&rows[..1]), digest(&[rows[0], rows[0]]));
    }

    #[test]
    fn a_customer_does_not_matter() {
        let mut other = row(1, 1, 1_000, 100);
        other.fact.customer = 9;
        assert_eq!(digest(&[other]), digest(&[row(1, 1, 1_000, 100)]));
    }
}
