//! The tiles, running windows and customers of one product or category.

use super::distinct::{CustomerSample, DistinctCustomers};
use super::fact::SaleFact;
use super::span::{TileWidth, WindowSpan};
use super::sums::Sums;
use super::tiles::{Tile, TileSeries};

/// The oldest tiles that are kept, and the minute in which the windows end now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frontier {
    pub(super) head: u32,
    pub(super) first_minute: u32,
    pub(super) first_hour: u32,
}

impl Frontier {
    /// Tiles are kept for the longest window of their width and `slack_minutes` beyond.
    pub(super) const fn at(head: u32, slack_minutes: u32) -> Self {
        let behind = head.saturating_sub(slack_minutes);
        Self { head, first_minute: WindowSpan::Hour.range(behind).0, first_hour: WindowSpan::Week.range(behind).0 }
    }

    pub(super) const fn first(self, width: TileWidth) -> u32 {
        match width {
            TileWidth::Minute => self.first_minute,
            TileWidth::Hour => self.first_hour,
        }
    }
}

/// What is kept for one key.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySeries {
    minutes: TileSeries,
    hours: TileSeries,
    /// The windows that end at `head`, kept up to date by what enters them; what leaves them is taken off once an hour and
    /// when they are read, so that a sale need not look for it.
    windows: [Sums; 4],
    head: u32,
    customers: CustomerSample,
}

impl KeySeries {
    /// Adds sums at a minute that is not before the oldest kept hour nor after the head.
    pub(super) fn add(&mut self, minute: u32, sums: Sums, frontier: Frontier) {
        if self.head / 60 != frontier.head / 60 {
            self.roll(frontier);
        }
        self.add_tile(TileWidth::Minute, minute, sums, frontier);
        self.add_tile(TileWidth::Hour, minute / 60, sums, frontier);
    }

    /// Adds sales that are not after the head; those before the oldest kept hour are left out.
    pub(super) fn add_sales(&mut self, sales: &[SaleFact], limit: usize, frontier: Frontier) {
        for fact in sales {
            let minute = fact.occurred_at.minute();
            if minute / 60 >= frontier.first_hour {
                self.add(minute, fact.sums(), frontier);
                self.add_customer(minute, fact.customer, limit, frontier);
            }
        }
    }

    /// Something of each part of the series itself, and of the newest entries of its lists: reading brings them near.
    pub(super) fn own_lines(&self) -> u32 {
        self.head ^ self.windows[0].transactions as u32 ^ self.windows[3].transactions as u32 ^ u32::from(self.minutes.is_empty())
    }

    pub(super) fn newest_lines(&self) -> u32 {
        self.minutes.newest() ^ self.hours.newest() ^ self.customers.newest()
    }

    /// Makes room for this many purchases.
    pub(super) fn make_room(&mut self, purchases: usize) {
        self.customers.make_room(purchases);
    }

    /// Adds all that another series has, customers included.
    pub(super) fn add_all(&mut self, other: &Self, limit: usize, frontier: Frontier) {
        self.add_tiles(other, |sums| sums, frontier);
        self.customers.thin_to(&other.customers);
        for (minute, customer) in other.customers.purchases() {
            self.add_customer(minute, customer, limit, frontier);
        }
    }

    /// Takes away all that another series has, customers included.
    pub(super) fn retract_all(&mut self, other: &Self, frontier: Frontier) {
        self.add_tiles(other, |sums| -sums, frontier);
        self.customers.thin_to(&other.customers);
        for (minute, customer) in other.customers.purchases() {
            self.retract_customer(minute, customer);
        }
    }

    fn add_tiles(&mut self, other: &Self, signed: impl Fn(Sums) -> Sums, frontier: Frontier) {
        self.roll(frontier);
        for width in [TileWidth::Minute, TileWidth::Hour] {
            for tile in other.kept(width, frontier) {
                self.add_tile(width, tile.number, signed(tile.sums), frontier);
            }
        }
    }

    fn add_tile(&mut self, width: TileWidth, number: u32, sums: Sums, frontier: Frontier) {
        if number < frontier.first(width) {
            return;
        }
        match width {
            TileWidth::Minute => self.minutes.add(number, sums),
            TileWidth::Hour => self.hours.add(number, sums),
        }
        // Up to what they began with at their own head: later heads take it off again.
        for (window, span) in self.windows.iter_mut().zip(WindowSpan::ALL) {
            if span.tile() == width && number >= span.range(self.head).0 {
                *window += sums;
            }
        }
    }

    /// Brings the windows to the head and drops tiles that are behind all of them.
    fn roll(&mut self, frontier: Frontier) {
        self.windows = self.windows_at(frontier.head);
        self.head = frontier.head;
        self.minutes.drop_before(frontier.first_minute);
        self.hours.drop_before(frontier.first_hour);
    }

    pub(super) fn add_customer(&mut self, minute: u32, customer: u32, limit: usize, frontier: Frontier) {
        self.customers.add(minute, customer, limit, frontier.first_hour * 60);
    }

    pub(super) fn retract_customer(&mut self, minute: u32, customer: u32) {
        self.customers.retract(minute, customer);
    }

    /// The windows that end at `head`, which is not before the series' own: those at hand less the tiles that left since.
    pub(super) fn windows_at(&self, head: u32) -> [Sums; 4] {
        let mut windows = self.windows;
        if head == self.head {
            return windows;
        }
        for (window, span) in windows.iter_mut().zip(WindowSpan::ALL) {
            let ((old_first, _), (first, _)) = (span.range(self.head), span.range(head));
            if first > old_first {
                *window -= self.tiles(span.tile()).sum(old_first, first - 1);
            }
        }
        windows
    }

    /// A window from its tiles, whichever they are.
    pub(super) fn window(&self, span: WindowSpan, minute: u32) -> Sums {
        let (first, last) = span.range(minute);
        self.tiles(span.tile()).sum(first, last)
    }

    /// What was sold from an hour on.
    pub(super) fn sold_from_hour(&self, first: u32) -> Sums {
        self.hours.from(first).iter().fold(Sums::NONE, |sum, tile| sum + tile.sums)
    }

    pub(super) fn customers(&self, span: WindowSpan, minute: u32) -> DistinctCustomers {
        let (first, last) = span.range(minute);
        let minutes = span.tile().minutes();
        self.customers.distinct(first * minutes, last * minutes + minutes - 1)
    }

    pub(super) fn kept(&self, width: TileWidth, frontier: Frontier) -> &[Tile] {
        self.tiles(width).from(frontier.first(width))
    }

    /// Drops what no window needs; true when nothing is left.
    pub(super) fn expire(&mut self, frontier: Frontier) -> bool {
        self.roll(frontier);
        self.customers.drop_before(frontier.first_hour * 60);
        self.minutes.is_empty() && self.hours.is_empty() && self.customers.is_empty()
    }

    /// Bytes, its own and those on the heap.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.minutes.heap_bytes() + self.hours.heap_bytes() + self.customers.heap_bytes()
    }

    fn tiles(&self, width: TileWidth) -> &TileSeries {
        match width {
            TileWidth::Minute => &self.minutes,
            TileWidth::Hour => &self.hours,
        }
    }
}
