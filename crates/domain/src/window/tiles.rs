//! The tiles of one key and one width, in order of time, without the empty ones.

use super::sums::Sums;

/// The sums of one minute or one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its number since 1970, in tiles of its width.
    pub number: u32,
    /// What was sold in it.
    pub sums: Sums,
}

/// Tiles in order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct TileSeries(Vec<Tile>);

impl TileSeries {
    /// Adds to a tile, and drops it when nothing is left in it.
    pub(super) fn add(&mut self, number: u32, sums: Sums) {
        // Nearly every sale belongs to the newest tile.
        let place = match self.0.last() {
            Some(last) if last.number == number => self.0.len() - 1,
            Some(last) if last.number > number => self.0.partition_point(|tile| tile.number < number),
            _ => self.0.len(),
        };
        match self.0.get_mut(place) {
            Some(tile) if tile.number == number => {
                tile.sums += sums;
                if tile.sums.is_none() {
                    self.0.remove(place);
                }
            }
            _ => self.0.insert(place, Tile { number, sums }),
        }
    }

    /// The sum of the tiles from `first` up to and including `last`.
    pub(super) fn sum(&self, first: u32, last: u32) -> Sums {
        self.from(first).iter().take_while(|tile| tile.number <= last).fold(Sums::NONE, |sum, tile| sum + tile.sums)
    }

    /// Drops tiles before `first` once they are a good part of all, so that each tile is moved a few times at most.
    pub(super) fn drop_before(&mut self, first: u32) {
        // One look tells whether a quarter is stale; this is asked for nearly each sale.
        if self.0.get(self.0.len().div_ceil(4).saturating_sub(1)).is_none_or(|tile| tile.number >= first) {
            return;
        }
        let stale = self.0.partition_point(|tile| tile.number < first);
        self.0.drain(..stale);
        if self.0.capacity() > 4 * self.0.len() {
            self.0.shrink_to(2 * self.0.len());
        }
    }

    /// The tiles from `first` on.
    pub(super) fn from(&self, first: u32) -> &[Tile] {
        // Mostly all or none of them.
        match (self.0.first(), self.0.last()) {
            (Some(oldest), _) if oldest.number >= first => &self.0,
            (_, Some(newest)) if newest.number >= first => &self.0[self.0.partition_point(|tile| tile.number < first)..],
            _ => &[],
        }
    }

    /// The number of the newest tile, or 0.
    pub(super) fn newest(&self) -> u32 {
        self.0.last().map_or(0, |tile| tile.number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<Tile>()
    }
}
