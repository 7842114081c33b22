//! What changed in a shard, as bytes: enough to make its book and its windows again. Whole numbers of variable length,
//! some 25 bytes for a sale.

use sellcast_domain::window::{BookRestore, EventTime, Held, Quantity, SaleBook, SaleFact, Version};
use sellcast_domain::{CategoryId, Money, ProductId, SaleId};

const SALE: u8 = 0;
const DELETED: u8 = 1;
const HANDED_OVER: u8 = 2;
const HOME: u8 = 3;
const NO_HOME: u8 = 4;
const EMPTIED: u8 = 5;

/// Bytes of a piece of a whole journal: with what redb adds it fills a megabyte, and redb rounds up to a power of two.
const PIECE: usize = (1 << 20) - 2048;

/// How much a whole journal holds: the room to make before it is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) rows: u64,
    pub(crate) homes: u64,
}

impl Room {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.rows) | u128::from(self.homes) << 64).to_le_bytes()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let both = u128::from_le_bytes(bytes.try_into().ok()?);
        Some(Self { rows: both as u64, homes: (both >> 64) as u64 })
    }
}

/// Changes of a book in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Vec<u8>);

/// The bytes are no journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal breaks off or holds what no version of sellcast wrote")]
pub struct Damaged;

impl Journal {
    /// All that a book holds, as if it had just come, in pieces to be replayed in their order.
    ///
    /// Rows stand in the order of the book's map. That fills a map of their final size from its beginning to its end, which
    /// is the quickest way; in one that must grow meanwhile it makes ever longer searches for a free place, so that
    /// whoever replays them makes room for [`Room`] first.
    pub(crate) fn whole<E>(book: &SaleBook, mut piece: impl FnMut(&Self) -> Result<(), E>) -> Result<Room, E> {
        let mut journal = Self(Vec::with_capacity(1 << 20));
        journal.emptied(book.emptied_at());
        let mut room = Room::default();
        for (product, category, version) in book.homes() {
            journal.home(product, category, version);
            room.homes += 1;
            journal.pass_on(PIECE, &mut piece)?;
        }
        for (sale, version, row) in book.rows() {
            journal.row(sale, version, &row);
            room.rows += 1;
            journal.pass_on(PIECE, &mut piece)?;
        }
        journal.pass_on(1, &mut piece)?;
        Ok(room)
    }

    fn pass_on<E>(&mut self, least: usize, piece: &mut impl FnMut(&Self) -> Result<(), E>) -> Result<(), E> {
        if self.0.len() >= least {
            piece(self)?;
            self.0.clear();
        }
        Ok(())
    }

    pub(crate) fn row(&mut self, sale: SaleId, version: Version, row: &Held) {
        let (position, rank) = version.parts();
        match row {
            Held::Sale(fact) => {
                self.0.push(SALE);
                self.signed(sale.get());
                self.number(position);
                self.number(rank.into());
                self.number(fact.occurred_at.seconds().into());
                self.signed(fact.product.get());
                self.signed(fact.quantity.thousandths());
                self.signed(fact.amount.cents());
                self.number(fact.customer.into());
            }
            Held::Deleted(at) => {
                self.0.push(DELETED);
                self.signed(sale.get());
                self.number(position);
                self.number(rank.into());
                self.number(at.seconds().into());
            }
        }
    }

    pub(crate) fn handed_over(&mut self, sale: SaleId) {
        self.0.push(HANDED_OVER);
        self.signed(sale.get());
    }

    pub(crate) fn home(&mut self, product: ProductId, category: Option<CategoryId>, version: Version) {
        self.0.push(if category.is_some() { HOME } else { NO_HOME });
        self.signed(product.get());
        if let Some(category) = category {
            self.signed(category.get());
        }
        let (position, rank) = version.parts();
        self.number(position);
        self.number(rank.into());
    }

    pub(crate) fn emptied(&mut self, position: u64) {
        if position > 0 {
            self.0.push(EMPTIED);
            self.number(position);
        }
    }

    /// Adds what changed after what this one has.
    pub(super) fn append(&mut self, later: Self) {
        if self.0.is_empty() {
            self.0 = later.0;
        } else {
            self.0.extend_from_slice(&later.0);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63) as u64);
    }
}

/// Makes the changes again.
pub(crate) fn replay(bytes: &[u8], book: &mut BookRestore) -> Result<(), Damaged> {
    let mut reader = Reader(bytes);
    while let Some((kind, rest)) = reader.0.split_first() {
        reader.0 = rest;
        match *kind {
            SALE => {
                let (sale, version, occurred_at) = (SaleId::from(reader.signed()?), reader.version()?, reader.time()?);
                let fact = SaleFact {
                    occurred_at,
                    product: ProductId::from(reader.signed()?),
                    quantity: Quantity::from_thousandths(reader.signed()?),
                    amount: Money::from_cents(reader.signed()?),
                    customer: reader.small()?,
                };
                book.row(sale, version, Held::Sale(fact));
            }
            DELETED => {
                let (sale, version, at) = (SaleId::from(reader.signed()?), reader.version()?, reader.time()?);
                book.row(sale, version, Held::Deleted(at));
            }
            HANDED_OVER => book.hand_over(SaleId::from(reader.signed()?)),
            HOME | NO_HOME => {
                let product = ProductId::from(reader.signed()?);
                let category = if *kind == HOME { Some(CategoryId::from(reader.signed()?)) } else { None };
                book.place(product, category, reader.version()?);
            }
            EMPTIED => book.empty(reader.number()?),
            _ => return Err(Damaged),
        }
    }
    Ok(())
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Damaged)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged)
    }

    fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn small(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.number()?).map_err(|_| Damaged)
    }

    fn time(&mut self) -> Result<EventTime, Damaged> {
        EventTime::try_from(i64::from(self.small()?)).map_err(|_| Damaged)
    }

    fn version(&mut self) -> Result<Version, Damaged> {
        Ok(Version::from_parts(self.number()?, self.small()?))
    }
}
