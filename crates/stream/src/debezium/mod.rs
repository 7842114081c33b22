//! Debezium's change events in JSON, with or without their schema, become canonical ones.
//!
//! PostgreSQL and MySQL connectors are known; columns are found by the names of the mapping, so that a new column
//! changes nothing and a lost one makes a dead letter with its name.

mod columns;
mod envelope;
mod scan;
mod tokens;

use columns::Columns;
pub use columns::{ProductColumns, SaleColumns};
use envelope::{Envelope, EnvelopeSeed, Row, RowSeed, Source};
use sellcast_domain::window::{EventTime, Held, Quantity, SaleFact, Version};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId, SaleId};
use serde::de::DeserializeSeed;

use crate::event::{Before, Change, Entity, Poison, SaleChange};
use crate::scalar::Scalar;

/// Places of the columns of a sale.
const SALE: usize = 0;
const PRODUCT: usize = 1;
const CUSTOMER: usize = 2;
const QUANTITY: usize = 3;
const PRICE: usize = 4;
const TOTAL: usize = 5;
const TIME: usize = 6;
/// Places of the columns of a product.
const PRODUCT_KEY: usize = 0;
const CATEGORY: usize = 1;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowOp {
    /// It was read as it stands.
    Read,
    /// It was inserted or changed.
    Write,
    /// It was deleted.
    Delete,
}

/// Decodes the events of one table.
#[derive(Clone, Debug)]
pub struct Decoder {
    columns: Columns,
}

impl Decoder {
    /// For the table of sales.
    pub fn sales(columns: &SaleColumns) -> Self {
        Self { columns: Columns::sales(columns) }
    }

    /// For the table of products.
    pub fn products(columns: &ProductColumns) -> Self {
        Self { columns: Columns::products(columns) }
    }

    /// Which table.
    pub fn entity(&self) -> Entity {
        self.columns.entity
    }

    /// What the bytes of an event say. An empty value is a tombstone.
    ///
    /// # Errors
    /// When the event cannot be understood: it is a dead letter.
    pub fn decode(&self, bytes: &[u8]) -> Result<Change, Poison> {
        if bytes.is_empty() {
            return Ok(Change::Nothing);
        }
        if let Some(envelope) = scan::envelope(bytes, &self.columns) {
            return self.change(&envelope);
        }
        self.read(bytes)?.map_or(Ok(Change::Nothing), |envelope| self.change(&envelope))
    }

    /// The envelope in any JSON that has one, or what is wrong with it.
    fn read<'a>(&self, bytes: &'a [u8]) -> Result<Option<Envelope<'a>>, Poison> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let envelope = EnvelopeSeed(&self.columns).deserialize(&mut json).map_err(|error| Poison::Format(without_values(&error)))?;
        json.end().map_err(|error| Poison::Format(without_values(&error)))?;
        Ok(envelope)
    }

    /// What a row says that another source than Debezium wrote as a JSON object of the mapping's columns.
    ///
    /// # Errors
    /// When the row cannot be understood: it is a dead letter.
    pub(crate) fn row(&self, op: RowOp, position: u64, json: &str) -> Result<Change, Poison> {
        let mut reader = serde_json::Deserializer::from_str(json);
        let row = RowSeed(&self.columns).deserialize(&mut reader).map_err(|error| Poison::Format(without_values(&error)))?;
        let source = Some(Source { lsn: Some(position), ..Source::default() });
        let (before, after, op) = match op {
            RowOp::Read => (None, row, b'r'),
            RowOp::Write => (None, row, b'c'),
            RowOp::Delete => (row, None, b'd'),
        };
        self.change(&Envelope { before, after, source, op })
    }

    fn change(&self, envelope: &Envelope<'_>) -> Result<Change, Poison> {
        match self.columns.entity {
            Entity::Sales => self.sale(envelope),
            Entity::Products => self.product(envelope),
        }
    }

    fn sale(&self, envelope: &Envelope<'_>) -> Result<Change, Poison> {
        let Envelope { before, after, source, op } = envelope;
        let op = *op;
        let (position, row) = match op {
            b'c' | b'u' | b'r' | b'd' | b't' => position(source.as_ref())?,
            // A message, a transaction's mark, a heartbeat or a change of the schema.
            _ => return self.unknown(op, before.is_some() || after.is_some()),
        };
        if op == b't' {
            return Ok(Change::Emptied { entity: Entity::Sales, position });
        }
        let told = match before.as_ref().map(|row| row[PRODUCT].key()) {
            Some(Some(product)) => Before::Product(ProductId::from(product)),
            _ if matches!(op, b'u' | b'd') => Before::Untold,
            _ => Before::Nothing,
        };
        if op == b'd' {
            let before = before.as_ref().ok_or_else(|| Poison::Missing("before".to_owned()))?;
            let at = before[TIME].time().or_else(|| written_at(source.as_ref()));
            let at = at.ok_or_else(|| self.value(TIME, &before[TIME], "a time"))?;
            let sale = SaleId::from(self.key(before, SALE)?);
            let version = Version::deleted(position, row);
            return Ok(Change::Sale(SaleChange { sale, version, row: Held::Deleted(at), is_snapshot: false, before: told }));
        }
        let after = after.as_ref().ok_or_else(|| Poison::Missing("after".to_owned()))?;
        let fact = self.fact(after)?;
        Ok(Change::Sale(SaleChange {
            sale: SaleId::from(self.key(after, SALE)?),
            version: Version::written(position, row),
            row: Held::Sale(fact),
            is_snapshot: op == b'r',
            before: told,
        }))
    }

    fn fact(&self, row: &Row<'_>) -> Result<SaleFact, Poison> {
        let number = |place: usize, scale| row[place].scaled(scale).ok_or_else(|| self.value(place, &row[place], "a decimal number"));
        let quantity = Quantity::from_thousandths(number(QUANTITY, 3)?);
        let amount = if row[TOTAL].is_nothing() {
            quantity.times(Money::from_cents(number(PRICE, 2)?))
        } else {
            Money::from_cents(number(TOTAL, 2)?)
        };
        Ok(SaleFact {
            product: ProductId::from(self.key(row, PRODUCT)?),
            customer: SaleFact::customer_mark(CustomerId::from(self.key(row, CUSTOMER)?)),
            occurred_at: row[TIME].time().ok_or_else(|| self.value(TIME, &row[TIME], "a time between 1970 and 2106"))?,
            quantity,
            amount,
        })
    }

    fn product(&self, envelope: &Envelope<'_>) -> Result<Change, Poison> {
        let Envelope { before, after, source, op } = envelope;
        let op = *op;
        let (position, row) = match op {
            b'c' | b'u' | b'r' | b'd' | b't' => position(source.as_ref())?,
            _ => return self.unknown(op, before.is_some() || after.is_some()),
        };
        match op {
            b't' => Ok(Change::Emptied { entity: Entity::Products, position }),
            b'd' => {
                let before = before.as_ref().ok_or_else(|| Poison::Missing("before".to_owned()))?;
                let product = ProductId::from(self.key(before, PRODUCT_KEY)?);
                Ok(Change::Product { product, category: None, version: Version::deleted(position, row) })
            }
            _ => {
                let after = after.as_ref().ok_or_else(|| Poison::Missing("after".to_owned()))?;
                let product = ProductId::from(self.key(after, PRODUCT_KEY)?);
                let category = match &after[CATEGORY] {
                    Scalar::Null => None,
                    _ => Some(CategoryId::from(self.key(after, CATEGORY)?)),
                };
                Ok(Change::Product { product, category, version: Version::written(position, row) })
            }
        }
    }

    /// An envelope whose operation is none of a row's: fine unless it has rows.
    fn unknown(&self, op: u8, has_rows: bool) -> Result<Change, Poison> {
        if !has_rows {
            return Ok(Change::Nothing);
        }
        Err(if op == 0 { Poison::Missing("op".to_owned()) } else { Poison::Format(format!("operation `{}`", char::from(op))) })
    }

    fn key(&self, row: &Row<'_>, place: usize) -> Result<i64, Poison> {
        row[place].key().ok_or_else(|| self.value(place, &row[place], "a 64-bit whole number"))
    }

    fn value(&self, place: usize, found: &Scalar<'_>, expected: &'static str) -> Poison {
        let column = self.columns.name(place).to_owned();
        if *found == Scalar::Absent { Poison::Missing(column) } else { Poison::Value { column, found: found.kind(), expected } }
    }
}

/// Position and row of an event: the log sequence number of PostgreSQL, or file, offset and row of MySQL's binary log.
fn position(source: Option<&Source<'_>>) -> Result<(u64, u32), Poison> {
    let source = source.ok_or(Poison::Position)?;
    if let Some(lsn) = source.lsn {
        return Ok((lsn, 0));
    }
    let (Some(file), Some(offset)) = (&source.file, source.pos) else { return Err(Poison::Position) };
    let number: u64 = file.rsplit('.').next().and_then(|number| number.parse().ok()).ok_or(Poison::Position)?;
    // A binary log is 1 GB at most unless one transaction is larger; 40 bits hold a terabyte of it.
    Ok((number << 40 | (offset & ((1 << 40) - 1)), source.row.unwrap_or(0)))
}

fn written_at(source: Option<&Source<'_>>) -> Option<EventTime> {
    EventTime::try_from(source?.ts_ms? / 1000).ok()
}

/// The position of an error, without the text that serde quotes: logs and dead letters' reasons hold no values.
fn without_values(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not JSON",
        _ => "it has another shape",
    };
    format!("{kind} at byte {}", error.column())
}
