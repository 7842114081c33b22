//! The reading side of one source: counts what its events do, judges sales by the source's time, and addresses them
//! to the shards that keep their windows.

use sellcast_domain::window::{Arrival, EventTime, Held, Version, Watermark, WatermarkSettings};
use serde::{Deserialize, Serialize};

use crate::dimension::Dimension;
use crate::event::{Before, Change, Entity, Poison, SaleChange};
use crate::message::{Message, SaleMessage, Target};

/// What the events of a source were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeCounts {
    /// Rows of a snapshot.
    pub snapshot: u64,
    /// New or changed rows.
    pub written: u64,
    /// Deleted rows.
    pub deleted: u64,
    /// Rows of products.
    pub products: u64,
    /// Tables that were emptied.
    pub emptied: u64,
    /// Tombstones, heartbeats and changes of the schema.
    pub nothing: u64,
    /// Changes that do not say which product the row had before (`replica identity full` is missing).
    pub untold: u64,
    /// Dead letters.
    pub poison: u64,
}

impl ChangeCounts {
    /// Each of them with its name.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("snapshot", self.snapshot),
            ("written", self.written),
            ("deleted", self.deleted),
            ("products", self.products),
            ("emptied", self.emptied),
            ("nothing", self.nothing),
            ("untold", self.untold),
            ("poison", self.poison),
        ]
    }
}

impl std::ops::AddAssign for ChangeCounts {
    fn add_assign(&mut self, other: Self) {
        self.snapshot += other.snapshot;
        self.written += other.written;
        self.deleted += other.deleted;
        self.products += other.products;
        self.emptied += other.emptied;
        self.nothing += other.nothing;
        self.untold += other.untold;
        self.poison += other.poison;
    }
}

/// The reading side of one source.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    settings: WatermarkSettings,
    watermark: Watermark,
    counts: ChangeCounts,
}

impl Intake {
    /// A source of which nothing is read yet.
    pub fn new(settings: WatermarkSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// A source that was read before.
    pub fn resume(settings: WatermarkSettings, watermark: Watermark, counts: ChangeCounts) -> Self {
        Self { settings, watermark, counts }
    }

    /// What its events were.
    pub fn counts(&self) -> ChangeCounts {
        self.counts
    }

    /// How far its time has come.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// Passes the wall clock in; `is_idle` says that the source has nothing more to give at the moment.
    pub fn tick(&mut self, wall: EventTime, is_idle: bool) {
        self.watermark.tick(wall, is_idle, self.settings);
    }

    /// Counts a decoded event and judges when it came.
    ///
    /// # Errors
    /// When it is a dead letter.
    pub fn judge(&mut self, decoded: Result<Change, Poison>) -> Result<(Change, Arrival), Poison> {
        let change = decoded.inspect_err(|_| self.counts.poison += 1)?;
        let counts = &mut self.counts;
        let mut arrival = Arrival::InTime;
        match &change {
            Change::Sale(SaleChange { row, is_snapshot, before, .. }) => {
                counts.untold += u64::from(*before == Before::Untold);
                match row {
                    Held::Sale(fact) => {
                        // Only a new sale can be late: the shard that has the old version may be another one.
                        let cannot_be_late = *is_snapshot || *before != Before::Nothing;
                        arrival = self.watermark.observe(fact.occurred_at, cannot_be_late, self.settings);
                        if arrival == Arrival::Future {
                            counts.poison += 1;
                            return Err(Poison::Future);
                        }
                        *if *is_snapshot { &mut counts.snapshot } else { &mut counts.written } += 1;
                    }
                    Held::Deleted(_) => counts.deleted += 1,
                }
            }
            Change::Product { .. } => counts.products += 1,
            Change::Emptied { .. } => counts.emptied += 1,
            Change::Nothing => counts.nothing += 1,
        }
        Ok((change, arrival))
    }

    /// Judges a dead letter that is understood after all. It cannot be late: its time was lost when it could not be read.
    ///
    /// # Errors
    /// When it is still from the future.
    pub fn judge_again(&mut self, change: Change) -> Result<(Change, Arrival), Poison> {
        if let Change::Sale(SaleChange { row: Held::Sale(fact), .. }) = &change
            && self.watermark.observe(fact.occurred_at, true, self.settings) == Arrival::Future
        {
            return Err(Poison::Future);
        }
        Ok((change, Arrival::InTime))
    }
}

/// The messages that tell a change to the shards, with the category of each sale's product.
///
/// `dimension` follows the change if it is one of products.
pub fn address(change: Change, arrival: Arrival, dimension: &mut Dimension, out: &mut Vec<(Target, Message)>) {
    match change {
        Change::Sale(change) => address_sale(change, arrival, dimension, out),
        Change::Product { product, category, version } => {
            dimension.place(product, category, version);
            out.push((Target::All, Message::Product { product, category, version }));
        }
        Change::Emptied { entity: Entity::Sales, position } => out.push((Target::All, Message::Emptied { position })),
        Change::Emptied { entity: Entity::Products, position } => {
            for product in dimension.before(position) {
                address(Change::Product { product, category: None, version: Version::deleted(position, 0) }, arrival, dimension, out);
            }
        }
        Change::Nothing => {}
    }
}

fn address_sale(change: SaleChange, arrival: Arrival, dimension: &Dimension, out: &mut Vec<(Target, Message)>) {
    let SaleChange { sale, version, row, before, .. } = change;
    let at = match &row {
        Held::Sale(fact) => fact.occurred_at,
        Held::Deleted(at) => *at,
    };
    let (position, rank) = version.parts();
    // What is gone is told to everyone who may have it: while a product moves, the shard that has its sales is not always the
    // one that this side or the next believes.
    let gone = Message::Deleted { sale, version: Version::from_parts(position, rank & !1), at };
    let Held::Sale(fact) = row else {
        out.push((Target::All, gone));
        return;
    };
    let home = dimension.home(fact.product);
    out.push((Target::Category(home.0), Message::Sale(SaleMessage::new(sale, version, &fact, home, arrival))));
    let may_be_elsewhere = match before {
        Before::Product(product) => product != fact.product,
        Before::Untold => true,
        Before::Nothing => false,
    };
    if may_be_elsewhere {
        out.push((Target::AllBut(home.0), gone));
    }
}
