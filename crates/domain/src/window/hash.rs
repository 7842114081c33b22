//! A hash of ids for the maps of the kernel, which look up two of them for each sale: one multiplication and a fold in
//! place of SipHash. Ids come from the shop's own database, not from strangers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Spreads the bits of a number (a multiplication to 128 bits, folded, twice).
pub(super) const fn mix(value: u64) -> u64 {
    fold(fold(value ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93), 0xa076_1d64_78bd_642f)
}

const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product as u64) ^ ((product >> 64) as u64) ^ a
}

/// Hashes one integer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0 ^ u64::from(*byte));
        }
    }
    #[inline]
    fn write_i64(&mut self, value: i64) {
        // Eight ids in a row are neighbours in a map: sales mostly come in the order of their ids, and then seven of eight
        // find their place in the processor's cache. The high bits, by which a map tells neighbours apart, differ too.
        let within = value as u64 & 7;
        self.0 = fold(self.0 ^ (value as u64 >> 3) ^ 0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93) ^ within ^ (within << 60);
    }
}

/// A map by ids.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;
