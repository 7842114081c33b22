//! The sales that windows may still need, by id, with the version of their row; and the category of each product.
//!
//! The newest version of a row is what counts, whichever came first: duplicates and second snapshots find it already
//! there, updates and deletions retract what they replace, and an old version that comes late is left alone. Deleted
//! sales are remembered until their time is over, or an old version could bring them back.

mod reconcile;
mod restore;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

pub use reconcile::{Comparison, Differing, DifferingTile, Repair, RepairCause};
pub use restore::BookRestore;
use serde::{Deserialize, Serialize};

use super::board::WindowBoard;
use super::fact::{EventTime, SaleFact, Version};
use super::hash::IdMap;
use super::span::WindowKey;
use super::sums::{Quantity, Sums};
use super::watermark::Arrival;
use crate::{CategoryId, Money, ProductId, SaleId};

/// What a version of a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A sale.
    Sale(SaleFact),
    /// It was deleted; the time says until when that must be remembered.
    Deleted(EventTime),
}

/// What became of a row that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the newest version, and the windows follow it.
    Applied,
    /// This version or a newer one is known.
    Known,
    /// A sale that nobody knew, later than the bound: left to the batch side.
    Late,
    /// From before all windows.
    Past,
    /// From ahead of the wall clock.
    Future,
}

/// How many rows came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingCounts {
    /// Newest versions.
    pub applied: u64,
    /// Duplicates and old versions.
    pub known: u64,
    /// Unknown sales later than the bound.
    pub late: u64,
    /// Sales before all windows.
    pub past: u64,
    /// Sales ahead of the wall clock.
    pub future: u64,
    /// Products that changed their category.
    pub moved: u64,
}

impl std::ops::AddAssign for StandingCounts {
    fn add_assign(&mut self, other: Self) {
        self.applied += other.applied;
        self.known += other.known;
        self.late += other.late;
        self.past += other.past;
        self.future += other.future;
        self.moved += other.moved;
    }
}

/// One held row, kept small: there is one for each sale of the last days.
#[derive(Clone, Copy, Debug)]
struct Entry {
    position: u64,
    rank: u32,
    at: EventTime,
    product: i64,
    quantity: i64,
    cents: i64,
    customer: u32,
}

impl Entry {
    fn new(version: Version, row: Held) -> Self {
        let (position, rank) = version.parts();
        match row {
            Held::Sale(fact) => Self {
                position,
                rank: rank | 1,
                at: fact.occurred_at,
                product: fact.product.get(),
                quantity: fact.quantity.thousandths(),
                cents: fact.amount.cents(),
                customer: fact.customer,
            },
            Held::Deleted(at) => Self { position, rank: rank & !1, at, product: 0, quantity: 0, cents: 0, customer: 0 },
        }
    }

    fn version(&self) -> Version {
        Version::from_parts(self.position, self.rank)
    }

    /// What is held when this comes in place of an older version: a deletion, and a row that moved out of all windows, is
    /// remembered for as long as the version before would be taken, if it came again.
    fn after(self, older: &Self, begins_at: EventTime) -> Self {
        if self.rank & 1 == 1 && self.at >= begins_at {
            return self;
        }
        Self::new(self.version(), Held::Deleted(self.at.max(older.at)))
    }

    fn sale(&self) -> Option<SaleFact> {
        (self.rank & 1 == 1).then(|| SaleFact {
            product: ProductId::from(self.product),
            customer: self.customer,
            occurred_at: self.at,
            quantity: Quantity::from_thousandths(self.quantity),
            amount: Money::from_cents(self.cents),
        })
    }
}

/// Where a product is, since which version of its row.
#[derive(Clone, Copy, Debug, Default)]
struct Home {
    category: Option<CategoryId>,
    version: Version,
}

/// Sales, homes of products, and the windows they make.
#[derive(Debug, Default)]
pub struct SaleBook {
    sales: IdMap<i64, Entry>,
    homes: IdMap<i64, Home>,
    /// The category whose windows a category's sales are in, where that is another one.
    groups: IdMap<i64, i64>,
    board: WindowBoard,
    emptied_at: u64,
    counts: StandingCounts,
}

impl SaleBook {
    /// An empty book; sales are held `slack_minutes` longer than the windows need.
    pub fn new(slack_minutes: u32) -> Self {
        Self { board: WindowBoard::new(slack_minutes), ..Self::default() }
    }

    /// The windows.
    pub fn board(&self) -> &WindowBoard {
        &self.board
    }

    /// What the rows offered so far came to.
    pub fn counts(&self) -> StandingCounts {
        self.counts
    }

    /// Offers a version of a sale's row.
    pub fn offer(&mut self, sale: SaleId, version: Version, row: Held, arrival: Arrival) -> Outcome {
        let outcome = self.settle(sale, version, row, arrival);
        let counts = &mut self.counts;
        *match outcome {
            Outcome::Applied => &mut counts.applied,
            Outcome::Known => &mut counts.known,
            Outcome::Late => &mut counts.late,
            Outcome::Past => &mut counts.past,
            Outcome::Future => &mut counts.future,
        } += 1;
        outcome
    }

    /// Looks at what rows that will be offered next need, and changes nothing. Memory is far away: asked for many rows at
    /// once it answers in the time of a few, where [`SaleBook::offer`] would wait for each. A few dozen rows are best.
    pub fn look_ahead(&self, rows: impl Iterator<Item = (SaleId, ProductId)> + Clone) {
        let known = rows.clone().filter(|(sale, _)| self.sales.contains_key(&sale.get())).count();
        let seen = self.board.look_ahead(rows.map(|(_, product)| (product, windowed(&self.homes, &self.groups, product))));
        std::hint::black_box((known, seen));
    }

    fn settle(&mut self, sale: SaleId, version: Version, row: Held, arrival: Arrival) -> Outcome {
        let entry = Entry::new(version, row);
        if entry.position < self.emptied_at {
            return Outcome::Known;
        }
        if arrival == Arrival::Future {
            return Outcome::Future;
        }
        let begins_at = self.board.begins_at();
        match self.sales.entry(sale.get()) {
            Place::Occupied(mut held) => {
                let held = held.get_mut();
                if entry.version() <= held.version() {
                    return Outcome::Known;
                }
                let entry = entry.after(held, begins_at);
                let old = std::mem::replace(held, entry).sale();
                // The head moves first: then both are judged by the same windows.
                if let Some(new) = entry.sale() {
                    self.board.advance(new.occurred_at);
                }
                for (fact, adds) in [(old, false), (entry.sale(), true)] {
                    let Some(fact) = fact else { continue };
                    let category = windowed(&self.homes, &self.groups, fact.product);
                    if adds { self.board.add(&fact, category) } else { self.board.retract(&fact, category) }
                }
            }
            Place::Vacant(_) if entry.at < begins_at => return Outcome::Past,
            Place::Vacant(place) => {
                if let Some(fact) = entry.sale() {
                    if arrival == Arrival::Late {
                        return Outcome::Late;
                    }
                    let category = windowed(&self.homes, &self.groups, fact.product);
                    self.board.add(&fact, category);
                }
                place.insert(entry);
            }
        }
        Outcome::Applied
    }

    /// Says which category a product is in, as of a version of its row. Its windows move with it. False when a newer
    /// version is known.
    pub fn place(&mut self, product: ProductId, category: Option<CategoryId>, version: Version) -> bool {
        let home = self.homes.entry(product.get()).or_default();
        if version <= home.version {
            return false;
        }
        let old = std::mem::replace(home, Home { category, version }).category;
        if old != category {
            self.counts.moved += u64::from(old.is_some());
            self.board.move_product(product, grouped(&self.groups, old), grouped(&self.groups, category));
        }
        true
    }

    /// Says which categories are summed into others: each with the one whose windows its sales are in, such as its ancestor
    /// at the level that is forecast. A category that is not named has windows of its own. Windows move accordingly.
    pub fn regroup(&mut self, groups: impl IntoIterator<Item = (CategoryId, CategoryId)>) {
        let groups: IdMap<i64, i64> = groups.into_iter().map(|(category, group)| (category.get(), group.get())).collect();
        for (product, home) in &self.homes {
            let (from, to) = (grouped(&self.groups, home.category), grouped(&groups, home.category));
            if from != to {
                self.board.move_product(ProductId::from(*product), from, to);
            }
        }
        self.groups = groups;
    }

    /// What was sold under each key from an instant on, or `None` when tiles do not reach back to it.
    pub fn sold_since(&self, keys: &[WindowKey], since: EventTime) -> Option<Vec<Sums>> {
        if since < self.board.begins_at() {
            return None;
        }
        let first_hour = since.seconds().div_ceil(3600);
        let mut sold: Vec<Sums> = keys.iter().map(|key| self.board.sold_from_hour(*key, first_hour)).collect();
        if !since.seconds().is_multiple_of(3600) {
            // Days of some zones begin within an hour: what came after that is found among the rows.
            let places: HashMap<WindowKey, usize> = keys.iter().enumerate().map(|(place, key)| (*key, place)).collect();
            let within = |at: EventTime| at >= since && at.seconds() < first_hour * 3600;
            for fact in self.sales.values().filter(|entry| within(entry.at)).filter_map(Entry::sale) {
                let category = windowed(&self.homes, &self.groups, fact.product).map(WindowKey::Category);
                for key in category.into_iter().chain([WindowKey::Product(fact.product)]) {
                    if let Some(place) = places.get(&key) {
                        sold[*place] += fact.sums();
                    }
                }
            }
        }
        Some(sold)
    }

    /// The category of a product and since which version of its row.
    pub fn home(&self, product: ProductId) -> (Option<CategoryId>, Version) {
        self.homes.get(&product.get()).map_or((None, Version::NONE), |home| (home.category, home.version))
    }

    /// Hands all sales of some products over to another book. That they are not here any more is remembered like a
    /// deletion: or an old version that comes late, perhaps of another product, would be taken for the newest.
    pub fn take(&mut self, is_taken: impl Fn(ProductId) -> bool) -> Vec<(SaleId, Version, SaleFact)> {
        let mut taken = Vec::new();
        let begins_at = self.board.begins_at();
        for (sale, entry) in &mut self.sales {
            if let Some(fact) = entry.sale().filter(|fact| fact.occurred_at >= begins_at && is_taken(fact.product)) {
                taken.push((SaleId::from(*sale), entry.version(), fact));
                *entry = Entry::new(entry.version(), Held::Deleted(fact.occurred_at));
            }
        }
        for (_, _, fact) in &taken {
            let category = windowed(&self.homes, &self.groups, fact.product);
            self.board.retract(fact, category);
        }
        taken
    }

    /// Remembers that a sale was handed over, as [`SaleBook::take`] did.
    pub fn hand_over(&mut self, sale: SaleId) {
        let Some(entry) = self.sales.get_mut(&sale.get()) else { return };
        if let Some(fact) = entry.sale() {
            *entry = Entry::new(entry.version(), Held::Deleted(fact.occurred_at));
            let category = windowed(&self.homes, &self.groups, fact.product);
            self.board.retract(&fact, category);
        }
    }

    /// The table was emptied at `position`: nothing from before counts any more.
    pub fn empty(&mut self, position: u64) {
        if position <= self.emptied_at {
            return;
        }
        self.emptied_at = position;
        let emptied: Vec<i64> = self.sales.iter().filter(|(_, entry)| entry.position < position).map(|(sale, _)| *sale).collect();
        for sale in emptied {
            self.hand_over(SaleId::from(sale));
            // What `emptied_at` says need not be remembered row by row.
            self.sales.remove(&sale);
        }
    }

    /// Where the table was last emptied; 0 if never.
    pub fn emptied_at(&self) -> u64 {
        self.emptied_at
    }

    /// Moves the head of time, and drops what no window needs any more.
    pub fn advance(&mut self, to: EventTime) {
        self.board.advance(to);
        if self.board.expire() {
            let begins_at = self.board.begins_at();
            self.sales.retain(|_, entry| entry.at >= begins_at);
        }
    }

    /// Every held row with its version, deleted ones too, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (SaleId, Version, Held)> + '_ {
        self.sales.iter().map(|(sale, entry)| {
            let row = entry.sale().map_or(Held::Deleted(entry.at), Held::Sale);
            (SaleId::from(*sale), entry.version(), row)
        })
    }

    /// Every product's category with the version that said so, in no order.
    pub fn homes(&self) -> impl Iterator<Item = (ProductId, Option<CategoryId>, Version)> + '_ {
        self.homes.iter().map(|(product, home)| (ProductId::from(*product), home.category, home.version))
    }

    /// How many rows are held.
    pub fn len(&self) -> usize {
        self.sales.len()
    }

    /// True when no row is held.
    pub fn is_empty(&self) -> bool {
        self.sales.is_empty()
    }

    /// Bytes of rows, homes and windows, with the maps' spare room where it is known.
    pub fn bytes(&self) -> usize {
        self.sales.capacity() * size_of::<(i64, Entry)>() + self.homes.capacity() * size_of::<(i64, Home)>() + self.board.bytes()
    }
}

/// The category whose windows a product is in.
fn windowed(homes: &IdMap<i64, Home>, groups: &IdMap<i64, i64>, product: ProductId) -> Option<CategoryId> {
    grouped(groups, homes.get(&product.get()).and_then(|home| home.category))
}

fn grouped(groups: &IdMap<i64, i64>, category: Option<CategoryId>) -> Option<CategoryId> {
    category.map(|category| groups.get(&category.get()).map_or(category, |group| CategoryId::from(*group)))
}
