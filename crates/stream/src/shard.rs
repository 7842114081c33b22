//! The windows of one share of the categories, and the journal of what changed in them since it was last saved.
//!
//! A sale whose product is in a category of another share is handed on, and so are all sales of a product that moves
//! there; both go by versions, so that handing on twice does no harm.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use chrono::{DateTime, Utc};
use sellcast_domain::window::{
    Arrival, BatchTile, BookRestore, Comparison, EventTime, Held, Outcome, Repair, SaleBook, TileWidth, Version, WatermarkSettings,
    WindowKey,
};
use sellcast_domain::{CategoryId, ProductId, SaleId};
use serde::{Deserialize, Serialize};

use crate::event::{Change, Entity, SaleChange};
use crate::message::{Message, SaleMessage, Share, Target};
use crate::state::{Journal, StateError, StateFile};
use crate::touched::Touched;

/// Late sales whose ids are remembered.
const LATE_REMEMBERED: usize = 10_000;

/// A sale that came later than the bound and was left to the batch side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateSale {
    /// Which row.
    pub sale: SaleId,
    /// Which version of it.
    pub version: Version,
    /// When it happened.
    pub occurred_at: EventTime,
}

/// The windows of one share of the categories.
#[derive(Debug)]
pub struct Shard {
    share: Share,
    settings: WatermarkSettings,
    book: SaleBook,
    journal: Journal,
    late: Vec<LateSale>,
    /// The newest sales that came late, to tell the cause when the warehouse has them.
    late_ids: VecDeque<SaleId>,
    touched: Touched,
    /// Products that moved to another share and whose sales are still here.
    leaving: HashSet<ProductId>,
}

impl Shard {
    /// An empty share.
    pub fn new(share: Share, settings: WatermarkSettings) -> Self {
        let book = SaleBook::new(slack_minutes(settings));
        Self {
            share,
            settings,
            book,
            journal: Journal::default(),
            late: Vec::new(),
            late_ids: VecDeque::new(),
            touched: Touched::new(now()),
            leaving: HashSet::new(),
        }
    }

    /// Reads the windows that a worker saved at `path` and does not keep at the moment.
    ///
    /// # Errors
    /// When a worker keeps them, or they cannot be read.
    pub fn load(path: &Path, share: Share, settings: WatermarkSettings) -> Result<Self, StateError> {
        let (mut state, meta) = StateFile::open(path)?;
        let mut shard = Self::new(share, settings);
        state.restore(&mut shard, &meta)?;
        Ok(shard)
    }

    /// The sales and the windows.
    pub fn book(&self) -> &SaleBook {
        &self.book
    }

    pub(crate) fn book_mut(&mut self) -> &mut SaleBook {
        &mut self.book
    }

    /// A book to make again what was saved, with windows that end at `head`.
    pub(crate) fn restore(&self, head: EventTime) -> BookRestore {
        BookRestore::new(slack_minutes(self.settings), head)
    }

    /// Goes on with a book that was made again.
    pub(crate) fn go_on(&mut self, book: SaleBook) {
        self.book = book;
    }

    /// Remembers which sales came late, the oldest first: the newest of them are told apart from missed ones.
    pub(crate) fn remember_late(&mut self, late: impl IntoIterator<Item = LateSale>) {
        self.late_ids.extend(late.into_iter().map(|late| late.sale));
        let spare = self.late_ids.len().saturating_sub(LATE_REMEMBERED);
        self.late_ids.drain(..spare);
    }

    /// Takes what changed since the last time, to be saved.
    pub(crate) fn take_journal(&mut self) -> (Journal, Vec<LateSale>) {
        self.touched.tick(now(), self.book.len());
        (std::mem::take(&mut self.journal), std::mem::take(&mut self.late))
    }

    /// Puts late sales back that could not be saved.
    pub(crate) fn put_back(&mut self, late: Vec<LateSale>) {
        self.late.splice(0..0, late);
    }

    /// Follows a change directly: only for a shard that has all categories.
    pub fn follow(&mut self, change: Change, arrival: Arrival) {
        debug_assert_eq!(self.share, Share::WHOLE);
        match change {
            Change::Sale(SaleChange { sale, version, row, .. }) => {
                self.offer(sale, version, row, arrival);
            }
            Change::Product { product, category, version } => self.place(product, category, version),
            Change::Emptied { entity: Entity::Sales, position } => self.empty(position),
            Change::Emptied { entity: Entity::Products, position } => {
                let emptied: Vec<ProductId> =
                    self.book.homes().filter(|(_, _, version)| version.parts().0 < position).map(|(product, ..)| product).collect();
                for product in emptied {
                    self.place(product, None, Version::deleted(position, 0));
                }
            }
            Change::Nothing => {}
        }
    }

    /// Follows a message; what belongs to another share goes to `out`.
    pub fn receive(&mut self, message: Message, out: &mut Vec<(Target, Message)>) {
        match message {
            Message::Sale(sale) => {
                if sale.home > self.book.home(sale.product).1 {
                    self.place(sale.product, sale.category, sale.home);
                }
                let (category, home) = self.book.home(sale.product);
                if self.share.has(category) {
                    self.offer(sale.sale, sale.version, sale.row(), sale.arrival);
                } else {
                    // An older version may be here, of another product, and nobody else need know.
                    let (position, rank) = sale.version.parts();
                    self.offer(sale.sale, Version::from_parts(position, rank & !1), Held::Deleted(sale.occurred_at), Arrival::InTime);
                    out.push((Target::Category(category), Message::Sale(SaleMessage { category, home, ..sale })));
                }
            }
            Message::Deleted { sale, version, at } => self.offer(sale, version, Held::Deleted(at), Arrival::InTime),
            Message::Product { product, category, version } => self.place(product, category, version),
            Message::Emptied { position } => self.empty(position),
            Message::Clock { head, .. } => self.advance(head),
            Message::Level { .. } => {}
        }
    }

    /// Hands on the sales of the products that moved to another share; to be called before the state is saved.
    pub fn settle(&mut self, out: &mut Vec<(Target, Message)>) {
        if self.leaving.is_empty() {
            return;
        }
        let leaving: HashSet<ProductId> =
            std::mem::take(&mut self.leaving).into_iter().filter(|product| !self.share.has(self.book.home(*product).0)).collect();
        for (sale, version, fact) in self.book.take(|product| leaving.contains(&product)) {
            self.journal.handed_over(sale);
            let home = self.book.home(fact.product);
            out.push((Target::Category(home.0), Message::Sale(SaleMessage::new(sale, version, &fact, home, Arrival::InTime))));
        }
    }

    /// Moves the head of time.
    pub fn advance(&mut self, head: EventTime) {
        self.book.advance(head);
    }

    /// Compares the whole hours from `from` to `until` with the tiles that the warehouse has of that time, and those that differ once
    /// more with their rows, see [`SaleBook::compare`]. What changed since the shop began to be read into the warehouse, `read_at` by
    /// the machine's clock, is left alone; `None` where that is not known. Only for a shard that has all categories.
    pub fn compare(&self, batch: &[BatchTile], [from, until]: [EventTime; 2], read_at: DateTime<Utc>) -> Option<Comparison> {
        debug_assert_eq!(self.share, Share::WHOLE);
        let touched = self.touched.since(read_at.timestamp())?;
        let late: HashSet<SaleId> = self.late_ids.iter().copied().collect();
        Some(self.book.compare(batch, [from, until], &touched, |sale| late.contains(&sale)))
    }

    /// Makes what a comparison found, but for what changed since `read_at`. A comparison that wants rows is not at its end, and
    /// nothing is done.
    pub fn repair(&mut self, comparison: &mut Comparison, read_at: DateTime<Utc>) {
        if comparison.wanted.is_some() {
            return;
        }
        let Some((sales, products)) = self.touched.since(read_at.timestamp()) else {
            comparison.left_alone += comparison.repairs.len();
            comparison.repairs.clear();
            return;
        };
        let found = comparison.repairs.len();
        comparison.repairs.retain(|repair| match repair {
            Repair::Row { sale, .. } => !sales.contains(sale),
            Repair::Home { product, .. } => !products.contains(product),
        });
        comparison.left_alone += found - comparison.repairs.len();
        if comparison.is_strange {
            return;
        }
        for repair in &comparison.repairs {
            match *repair {
                Repair::Row { sale, version, row, .. } => self.offer(sale, version, row, Arrival::InTime),
                Repair::Home { product, category, version } => self.place(product, category, version),
            }
        }
    }

    fn offer(&mut self, sale: SaleId, version: Version, row: Held, arrival: Arrival) {
        match self.book.offer(sale, version, row, arrival) {
            Outcome::Applied => {
                self.journal.row(sale, version, &row);
                if self.share == Share::WHOLE {
                    self.touched.sale(sale);
                }
            }
            Outcome::Late => {
                if let Held::Sale(fact) = row {
                    let late = LateSale { sale, version, occurred_at: fact.occurred_at };
                    self.remember_late([late]);
                    self.late.push(late);
                }
            }
            Outcome::Known | Outcome::Past | Outcome::Future => {}
        }
    }

    fn place(&mut self, product: ProductId, category: Option<CategoryId>, version: Version) {
        if !self.book.place(product, category, version) {
            return;
        }
        self.journal.home(product, category, version);
        if self.share == Share::WHOLE {
            self.touched.product(product);
        }
        if !self.share.has(category) && !self.book.board().tiles(WindowKey::Product(product), TileWidth::Hour).is_empty() {
            self.leaving.insert(product);
        }
    }

    fn empty(&mut self, position: u64) {
        self.book.empty(position);
        self.journal.emptied(position);
    }
}

/// How much longer than windows need tiles are kept: an hour more than the lateness, because the head moves within its tile.
fn slack_minutes(settings: WatermarkSettings) -> u32 {
    settings.lateness_seconds / 60 + 60
}

/// The machine's clock.
fn now() -> i64 {
    Utc::now().timestamp()
}
