//! Which tiles of two boards differ: the stream's against those of a batch over the same sales. Series are compared by
//! the checksums of their tiles, and only tiles that differ are told.

use std::collections::BTreeSet;

use super::board::WindowBoard;
use super::span::{TileWidth, WindowKey};
use super::sums::Sums;

/// A tile that is not the same on both boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileDifference {
    /// Whose.
    pub key: WindowKey,
    /// Minute or hour.
    pub width: TileWidth,
    /// Its number since 1970.
    pub number: u32,
    /// What the first board has.
    pub left: Sums,
    /// What the second board has.
    pub right: Sums,
}

/// The tiles that differ, by key and time. Tiles that only one board still keeps are left out.
pub fn differing_tiles(left: &WindowBoard, right: &WindowBoard) -> Vec<TileDifference> {
    let keys: BTreeSet<WindowKey> = left.keys().chain(right.keys()).collect();
    let mut differences = Vec::new();
    for key in keys {
        for width in [TileWidth::Minute, TileWidth::Hour] {
            compare(key, width, [left, right], &mut differences);
        }
    }
    differences
}

fn compare(key: WindowKey, width: TileWidth, boards: [&WindowBoard; 2], differences: &mut Vec<TileDifference>) {
    let [left, right] = boards.map(|board| board.tiles(key, width));
    let oldest = boards.map(|board| board.oldest_tile(width)).into_iter().fold(0, u32::max);
    let [mut left, mut right] = [left, right].map(|tiles| &tiles[tiles.partition_point(|tile| tile.number < oldest)..]);
    loop {
        let number = match (left.first(), right.first()) {
            (None, None) => return,
            (Some(tile), None) | (None, Some(tile)) => tile.number,
            (Some(one), Some(other)) => one.number.min(other.number),
        };
        let take = |tiles: &mut &[super::Tile]| match tiles.split_first() {
            Some((tile, rest)) if tile.number == number => {
                *tiles = rest;
                tile.sums
            }
            _ => Sums::NONE,
        };
        let (one, other) = (take(&mut left), take(&mut right));
        if one.checksum() != other.checksum() {
            differences.push(TileDifference { key, width, number, left: one, right: other });
        }
    }
}
