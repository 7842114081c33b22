//! Compares a book with what the warehouse loaded from the same source, and says what must change so that they agree.
//!
//! It takes two steps, so that neither side hands all rows over: first the digests of all tiles are compared, then the rows of those
//! that differ. Nothing is changed here: whoever keeps the book applies the repairs and journals them like any other change. A
//! repaired row stands just above the version that was held, so that every later event of the source outdoes it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use serde::Serialize;

use super::{Entry, Held, SaleBook, grouped};
use crate::window::{BatchRow, BatchTile, CategoryHour, Digests, EventTime, SaleFact, Sums, Version};
use crate::{CategoryId, ProductId, SaleId};

/// Rows that may differ whatever their share.
const FEW: usize = 100;

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

/// Tiles whose digests differ: their rows are to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Which.
    pub places: BTreeSet<CategoryHour>,
    /// The sales that the book has there: the warehouse may have them in hours that are not compared.
    pub held: HashSet<SaleId>,
    /// The first hour that is too young to be compared.
    pub until_hour: u32,
}

impl Differing {
    /// Whether a row of the warehouse is needed.
    pub fn wants(&self, row: &BatchRow) -> bool {
        self.places.contains(&row.place()) || self.held.contains(&row.sale)
    }

    /// The tiles with the rows that were wanted of them, also where there are none.
    pub fn tiles(&self, rows: impl IntoIterator<Item = BatchRow>) -> Vec<BatchTile> {
        let mut of_places: BTreeMap<CategoryHour, Vec<BatchRow>> = self.places.iter().map(|place| (*place, Vec::new())).collect();
        for row in rows {
            of_places.entry(row.place()).or_default().push(row);
        }
        of_places.into_iter().map(|(place, rows)| BatchTile::with_rows(place, rows)).collect()
    }
}

/// A tile that is not the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferingTile {
    /// Which.
    pub place: CategoryHour,
    /// The category whose windows and forecast it is summed into.
    pub group: Option<CategoryId>,
    /// What the stream had.
    pub stream: Sums,
    /// What the warehouse has.
    pub warehouse: Sums,
    /// Why: rows by cause. A row that is in two tiles counts in both.
    pub causes: BTreeMap<RepairCause, usize>,
    /// Rows that the stream changed since the warehouse was read.
    pub left_alone: usize,
}

/// What was compared and what must change.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Tiles of the warehouse that were compared.
    pub tiles: usize,
    /// Present when only digests were compared and not all are the same: what to compare next.
    pub wanted: Option<Differing>,
    /// The tiles that differ, with the causes, by time.
    pub differing: Vec<DifferingTile>,
    /// What makes them agree.
    pub repairs: Vec<Repair>,
    /// Differing rows and products that were left alone because the stream changed them since the warehouse was read.
    pub left_alone: usize,
    /// True when so much differs that the two cannot be of the same shop; then nothing is to be repaired.
    pub is_strange: bool,
}

impl SaleBook {
    /// Compares the whole hours from `from` to `until` with the warehouse's tiles.
    ///
    /// Tiles without rows must be all of that time; [`Comparison::wanted`] then says which are to be given again with their rows.
    /// Of tiles with rows, only these are compared. `touched` says which sales and products the stream changed since before the
    /// warehouse was read, `is_late` which sales came too late.
    pub fn compare(
        &self,
        batch: &[BatchTile],
        [from, until]: [EventTime; 2],
        touched: &(HashSet<SaleId>, HashSet<ProductId>),
        is_late: impl Fn(SaleId) -> bool,
    ) -> Comparison {
        let first = from.max(self.board.begins_at()).seconds().div_ceil(3600);
        let hours = first..until.min(self.board.head()).seconds() / 3600;
        if batch.iter().all(|tile| tile.rows.is_none()) {
            self.compare_digests(batch, hours)
        } else {
            self.compare_rows(batch, &hours, touched, is_late)
        }
    }

    fn compare_digests(&self, batch: &[BatchTile], hours: Range<u32>) -> Comparison {
        let theirs: HashMap<CategoryHour, &BatchTile> =
            batch.iter().filter(|tile| hours.contains(&tile.place.hour)).map(|tile| (tile.place, tile)).collect();
        let mut ours = Digests::default();
        self.rows_within(&hours).for_each(|row| ours.add(&row));
        let places: BTreeSet<CategoryHour> = ours
            .places()
            .chain(theirs.keys().copied())
            .filter(|place| ours.of(*place) != theirs.get(place).map(|tile| tile.digest).unwrap_or_default())
            .collect();
        let wanted = (!places.is_empty()).then(|| {
            let held = self.rows_within(&hours).filter(|row| places.contains(&row.place())).map(|row| row.sale).collect();
            Differing { places, held, until_hour: hours.end }
        });
        Comparison { tiles: theirs.len(), wanted, ..Comparison::default() }
    }

    fn compare_rows(
        &self,
        batch: &[BatchTile],
        hours: &Range<u32>,
        touched: &(HashSet<SaleId>, HashSet<ProductId>),
        is_late: impl Fn(SaleId) -> bool,
    ) -> Comparison {
        let tiles = || batch.iter().filter(|tile| hours.contains(&tile.place.hour));
        let mut of_book: HashMap<CategoryHour, Vec<BatchRow>> = tiles().map(|tile| (tile.place, Vec::new())).collect();
        let mut held = 0_usize;
        for row in self.rows_within(hours) {
            held += 1;
            if let Some(rows) = of_book.get_mut(&row.place()) {
                rows.push(row);
            }
        }
        // Also those in hours that are not compared: a sale that was moved there has changed and is not gone.
        let of_batch: HashMap<SaleId, &BatchRow> = batch.iter().flat_map(rows_of).map(|row| (row.sale, row)).collect();
        let mut findings = Findings { compared: tiles().count(), ..Findings::default() };
        let (mut theirs_differing, mut ours_differing): (Vec<BatchRow>, Vec<BatchRow>) = Default::default();
        for theirs in tiles() {
            let ours = BatchTile::with_rows(theirs.place, of_book.remove(&theirs.place).unwrap_or_default());
            // The stream may have told of it since.
            if ours.digest != theirs.digest {
                findings.tiles.insert(theirs.place, self.differing_tile(&ours, theirs));
                theirs_differing.extend(rows_of(theirs).copied());
                ours_differing.extend(ours.rows.into_iter().flatten());
            }
        }
        let mut moved: BTreeMap<ProductId, Option<CategoryId>> = BTreeMap::new();
        for theirs in &theirs_differing {
            let ours = self.row(theirs.sale);
            let places = [Some(theirs.place()), ours.map(|row| row.place())];
            let cause = match ours {
                Some(ours) if is_same(&ours.fact, &theirs.fact) => None,
                Some(_) => Some(RepairCause::Changed),
                None if is_late(theirs.sale) => Some(RepairCause::Late),
                None => Some(RepairCause::Missed),
            };
            if let Some(cause) = cause {
                let repair = self.row_repair(theirs.sale, theirs.fact.product, Held::Sale(theirs.fact), cause);
                findings.row(repair, places, touched.0.contains(&theirs.sale));
            }
            if self.home(theirs.fact.product).0 != theirs.category {
                moved.insert(theirs.fact.product, theirs.category);
                findings.note(places, (!touched.1.contains(&theirs.fact.product)).then_some(RepairCause::Moved));
            }
        }
        for ours in &ours_differing {
            let theirs = of_batch.get(&ours.sale);
            if theirs.is_some_and(|theirs| findings.tiles.contains_key(&theirs.place())) {
                continue;
            }
            let repair = match theirs {
                Some(theirs) => self.row_repair(ours.sale, theirs.fact.product, Held::Sale(theirs.fact), RepairCause::Changed),
                None => self.row_repair(ours.sale, ours.fact.product, Held::Deleted(ours.fact.occurred_at), RepairCause::Retracted),
            };
            // A product that came here since brought sales that were not asked for.
            let is_touched = touched.0.contains(&ours.sale) || touched.1.contains(&ours.fact.product);
            findings.row(repair, [Some(ours.place()), None], is_touched);
        }
        for (product, category) in moved {
            let version = above(self.home(product).1, true);
            findings.repair(Repair::Home { product, category, version }, touched.1.contains(&product));
        }
        let of_both = held.max((held + theirs_differing.len()).saturating_sub(ours_differing.len()));
        findings.finish(of_both)
    }

    /// The sales in some hours, in no order.
    fn rows_within<'a>(&'a self, hours: &'a Range<u32>) -> impl Iterator<Item = BatchRow> + 'a {
        let is_within = |entry: &Entry| hours.contains(&(entry.at.seconds() / 3600));
        self.sales.iter().filter(move |(_, entry)| is_within(entry)).filter_map(|(sale, entry)| self.batch_row(SaleId::from(*sale), entry))
    }

    fn row(&self, sale: SaleId) -> Option<BatchRow> {
        self.batch_row(sale, self.sales.get(&sale.get())?)
    }

    fn batch_row(&self, sale: SaleId, entry: &Entry) -> Option<BatchRow> {
        let fact = entry.sale()?;
        Some(BatchRow { sale, fact, category: self.home(fact.product).0 })
    }

    fn row_repair(&self, sale: SaleId, product: ProductId, row: Held, cause: RepairCause) -> Repair {
        let version = match self.sales.get(&sale.get()) {
            Some(held) => above(held.version(), matches!(row, Held::Sale(_))),
            None => Version::from_parts(self.emptied_at, 1),
        };
        Repair::Row { sale, version, row, product, cause }
    }

    fn differing_tile(&self, ours: &BatchTile, theirs: &BatchTile) -> DifferingTile {
        let sums = |tile| rows_of(tile).fold(Sums::NONE, |sums, row| sums + row.fact.sums());
        DifferingTile {
            place: theirs.place,
            group: grouped(&self.groups, theirs.place.category),
            stream: sums(ours),
            warehouse: sums(theirs),
            causes: BTreeMap::new(),
            left_alone: 0,
        }
    }
}

/// What a comparison of rows comes to.
#[derive(Default)]
struct Findings {
    compared: usize,
    tiles: BTreeMap<CategoryHour, DifferingTile>,
    repairs: Vec<Repair>,
    left_alone: usize,
}

impl Findings {
    /// A row that differs, in the tiles that it is in.
    fn row(&mut self, repair: Repair, places: [Option<CategoryHour>; 2], is_touched: bool) {
        self.note(places, (!is_touched).then_some(repair.cause()));
        self.repair(repair, is_touched);
    }

    /// Counts a cause, or that something is left alone.
    fn note(&mut self, [one, other]: [Option<CategoryHour>; 2], cause: Option<RepairCause>) {
        for place in one.into_iter().chain(other.filter(|_| other != one)) {
            let Some(tile) = self.tiles.get_mut(&place) else { continue };
            match cause {
                Some(cause) => *tile.causes.entry(cause).or_default() += 1,
                None => tile.left_alone += 1,
            }
        }
    }

    fn repair(&mut self, repair: Repair, is_touched: bool) {
        if is_touched {
            self.left_alone += 1;
        } else {
            self.repairs.push(repair);
        }
    }

    /// `rows` is how many the side with more of them has in the compared time.
    fn finish(mut self, rows: usize) -> Comparison {
        // Rows come in no order; reports and journals have one.
        self.repairs.sort_by_key(|repair| match repair {
            Repair::Row { sale, .. } => (0, sale.get()),
            Repair::Home { product, .. } => (1, product.get()),
        });
        Comparison {
            tiles: self.compared,
            wanted: None,
            is_strange: self.repairs.len() > FEW && self.repairs.len() * 2 > rows,
            differing: self.tiles.into_values().collect(),
            repairs: self.repairs,
            left_alone: self.left_alone,
        }
    }
}

fn rows_of(tile: &BatchTile) -> impl Iterator<Item = &BatchRow> {
    tile.rows.iter().flatten()
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
