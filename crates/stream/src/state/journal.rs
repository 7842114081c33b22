//! What changed in a shard, as bytes: enough to make its book and its windows again. Whole numbers of variable length,
//! some 25 bytes for a sale.

use sellcast_domain::window::{Arrival, EventTime, Held, Quantity, SaleBook, SaleFact, Version};
use sellcast_domain::{CategoryId, Money, ProductId, SaleId};

const SALE: u8 = 0;
const DELETED: u8 = 1;
const HANDED_OVER: u8 = 2;
const HOME: u8 = 3;
const NO_HOME: u8 = 4;
const EMPTIED: u8 = 5;

/// Rows of a piece of a whole journal, about a megabyte.
const PIECE: usize = 40_000;

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
    /// Each piece has rows from everywhere in the book's map. In the map's own order they would fill the new one from
    /// its beginning to its end while that grows, with ever longer searches for a free place (ten million rows took minutes).
    pub(crate) fn whole(book: &SaleBook) -> Vec<Self> {
        let mut homes = vec![Self::default(); 1 + book.homes().count() / PIECE];
        homes[0].emptied(book.emptied_at());
        for (product, category, version) in book.homes() {
            let place = product.get().unsigned_abs() as usize % homes.len();
            homes[place].home(product, category, version);
        }
        let mut rows = vec![Self::default(); 1 + book.len() / PIECE];
        for (sale, version, row) in book.rows() {
            let place = sale.get().unsigned_abs() as usize % rows.len();
            rows[place].row(sale, version, &row);
        }
        homes.append(&mut rows);
        homes
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
pub(crate) fn replay(bytes: &[u8], book: &mut SaleBook) -> Result<(), Damaged> {
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
                book.offer(sale, version, Held::Sale(fact), Arrival::InTime);
            }
            DELETED => {
                let (sale, version, at) = (SaleId::from(reader.signed()?), reader.version()?, reader.time()?);
                book.offer(sale, version, Held::Deleted(at), Arrival::InTime);
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
