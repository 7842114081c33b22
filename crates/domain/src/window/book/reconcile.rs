//! Compares a book with what the warehouse loaded from the same source, and says what must change so that they agree.
//!
//! Hours are compared by the checksums of their tiles; rows are looked at only where those differ. Nothing is changed here:
//! whoever keeps the book applies the repairs and journals them like any other change. A repaired row stands just above the
//! version that was held, so that every later event of the source outdoes it.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::{Held, SaleBook, grouped};
use crate::window::{EventTime, SaleFact, TileDifference, TileWidth, Version, WindowBoard, WindowKey, differing_tiles};
use crate::{CategoryId, ProductId, SaleId};

/// Minutes that keep every tile of a batch: the caller chose what is in it.
const EVERYTHING: u32 = 1_000_000;
/// Rows that may differ whatever their share.
const FEW: usize = 100;

/// A sale as the warehouse has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSale {
    /// Which row.
    pub sale: SaleId,
    /// What was sold.
    pub fact: SaleFact,
    /// The category its product is in now.
    pub category: Option<CategoryId>,
}

/// Why a book was not what the warehouse says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairCause {
    /// The sale came later than the bound and was left to the batch side.
    Late,
    /// The stream never told of the sale.
    Missed,
    /// The sale is gone, and the stream did not say so.
    Retracted,
    /// Product, time, quantity or amount are others.
    Changed,
    /// The product is in another category.
    Moved,
}

impl RepairCause {
    /// All causes.
    pub const ALL: [Self; 5] = [Self::Late, Self::Missed, Self::Retracted, Self::Changed, Self::Moved];

    /// As answers and metrics write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Missed => "missed",
            Self::Retracted => "retracted",
            Self::Changed => "changed",
            Self::Moved => "moved",
        }
    }
}

/// One change that makes a book agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// A row, to be offered in time.
    Row {
        /// Which.
        sale: SaleId,
        /// Above what is held, below what comes.
        version: Version,
        /// What to hold.
        row: Held,
        /// The product whose windows change.
        product: ProductId,
        /// Why.
        cause: RepairCause,
    },
    /// A product, to be placed.
    Home {
        /// Which.
        product: ProductId,
        /// Where it is.
        category: Option<CategoryId>,
        /// Above what is held, below what comes.
        version: Version,
    },
}

impl Repair {
    /// Why.
    pub const fn cause(&self) -> RepairCause {
        match self {
            Self::Row { cause, .. } => *cause,
            Self::Home { .. } => RepairCause::Moved,
        }
    }

    /// The product whose windows change.
    pub const fn product(&self) -> ProductId {
        match self {
            Self::Row { product, .. } | Self::Home { product, .. } => *product,
        }
    }
}

/// What was compared and what must change.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Hour tiles of the warehouse within the compared time.
    pub tiles: usize,
    /// Those that differ, of products and of categories.
    pub differing: Vec<TileDifference>,
    /// What makes them agree.
    pub repairs: Vec<Repair>,
    /// Differing rows and products that were left alone because the stream changed them since the warehouse was read.
    pub left_alone: usize,
    /// True when so much differs that the two cannot be of the same shop; then nothing is to be repaired.
    pub is_strange: bool,
}

impl SaleBook {
    /// Compares the whole hours from `from` to `until` with the warehouse's sales, of which `batch` holds all of that time.
    ///
    /// `touched` says which sales and products the stream changed while the warehouse was read, `is_late` which sales came too late.
    pub fn compare(
        &self,
        batch: &[BatchSale],
        [from, until]: [EventTime; 2],
        touched: &(HashSet<SaleId>, HashSet<ProductId>),
        is_late: impl Fn(SaleId) -> bool,
    ) -> Comparison {
        let first = from.max(self.board.begins_at()).seconds().div_ceil(3600);
        let last = until.min(self.board.head()).seconds() / 3600;
        let is_within = |at: EventTime| (first..last).contains(&(at.seconds() / 3600));
        let of_batch: HashMap<SaleId, &BatchSale> =
            batch.iter().filter(|sale| is_within(sale.fact.occurred_at)).map(|sale| (sale.sale, sale)).collect();
        let facts = of_batch.values().map(|sale| (sale.fact, grouped(&self.groups, sale.category)));
        let theirs = WindowBoard::of_batch(facts, self.board.head(), EVERYTHING);
        let tiles = theirs.keys().map(|key| theirs.tiles(key, TileWidth::Hour).len()).sum();
        let all = differing_tiles(&self.board, &theirs).into_iter();
        let differing = all.filter(|tile| tile.width == TileWidth::Hour && (first..last).contains(&tile.number)).collect();
        let mut comparison = Comparison { tiles, differing, ..Comparison::default() };
        if comparison.differing.is_empty() {
            return comparison;
        }
        let tiles: HashSet<(ProductId, u32)> = comparison
            .differing
            .iter()
            .filter_map(|tile| match tile.key {
                WindowKey::Product(product) => Some((product, tile.number)),
                WindowKey::Category(_) => None,
            })
            .collect();
        let is_differing = |fact: &SaleFact| tiles.contains(&(fact.product, fact.occurred_at.seconds() / 3600));
        // A sale that was moved out of the compared hours has changed and is not gone.
        let outside: HashMap<SaleId, &BatchSale> =
            batch.iter().filter(|sale| !is_within(sale.fact.occurred_at)).map(|sale| (sale.sale, sale)).collect();
        self.compare_rows([&of_batch, &outside], touched, is_differing, is_late, &mut comparison);
        self.compare_homes(&of_batch, touched, &mut comparison);
        let held = self.sales.values().filter_map(super::Entry::sale).filter(|fact| is_within(fact.occurred_at)).count();
        comparison.is_strange = comparison.repairs.len() > FEW && comparison.repairs.len() * 2 > held.max(of_batch.len());
        comparison
    }

    fn compare_rows(
        &self,
        [of_batch, outside]: [&HashMap<SaleId, &BatchSale>; 2],
        touched: &(HashSet<SaleId>, HashSet<ProductId>),
        is_differing: impl Fn(&SaleFact) -> bool,
        is_late: impl Fn(SaleId) -> bool,
        comparison: &mut Comparison,
    ) {
        let mut repair = |sale: SaleId, product: ProductId, row: Held, cause: RepairCause| {
            if touched.0.contains(&sale) {
                comparison.left_alone += 1;
                return;
            }
            let version = match self.sales.get(&sale.get()) {
                Some(held) => above(held.version(), matches!(row, Held::Sale(_))),
                None => Version::from_parts(self.emptied_at, 1),
            };
            comparison.repairs.push(Repair::Row { sale, version, row, product, cause });
        };
        for (sale, theirs) in of_batch.iter().filter(|(_, theirs)| is_differing(&theirs.fact)) {
            let ours = self.sales.get(&sale.get()).and_then(super::Entry::sale);
            let cause = match ours {
                Some(ours) if is_same(&ours, &theirs.fact) => continue,
                Some(_) => RepairCause::Changed,
                None if is_late(*sale) => RepairCause::Late,
                None => RepairCause::Missed,
            };
            repair(*sale, theirs.fact.product, Held::Sale(theirs.fact), cause);
        }
        for (sale, entry) in &self.sales {
            let sale = SaleId::from(*sale);
            if let Some(fact) = entry.sale().filter(|fact| is_differing(fact) && !of_batch.contains_key(&sale)) {
                match outside.get(&sale) {
                    Some(theirs) => repair(sale, theirs.fact.product, Held::Sale(theirs.fact), RepairCause::Changed),
                    None => repair(sale, fact.product, Held::Deleted(fact.occurred_at), RepairCause::Retracted),
                }
            }
        }
        // The maps have no order; reports and journals have one.
        comparison.repairs.sort_by_key(|repair| match repair {
            Repair::Row { sale, .. } => (0, sale.get()),
            Repair::Home { product, .. } => (1, product.get()),
        });
    }

    fn compare_homes(
        &self,
        of_batch: &HashMap<SaleId, &BatchSale>,
        touched: &(HashSet<SaleId>, HashSet<ProductId>),
        comparison: &mut Comparison,
    ) {
        let homes: BTreeSet<(ProductId, Option<CategoryId>)> = of_batch.values().map(|sale| (sale.fact.product, sale.category)).collect();
        for (product, category) in homes {
            let (ours, version) = self.home(product);
            if ours == category {
                continue;
            }
            if touched.1.contains(&product) {
                comparison.left_alone += 1;
                continue;
            }
            comparison.repairs.push(Repair::Home { product, category, version: above(version, true) });
        }
    }
}

/// The least version above one, of a row or of a deletion.
fn above(version: Version, is_row: bool) -> Version {
    let (position, rank) = version.parts();
    Version::from_parts(position, (rank & !1).saturating_add(2) | u32::from(is_row))
}

/// Customers are left out: the warehouse may know them by other numbers.
fn is_same(one: &SaleFact, other: &SaleFact) -> bool {
    let values = |fact: &SaleFact| (fact.product, fact.occurred_at, fact.quantity, fact.amount);
    values(one) == values(other)
}
