//! The publications of a keyspace as a process knows them: an append-only list and the pointer, merged from each reading.
//! A reading from too few nodes may lack entries, so only a complete one moves the place from which the next goes on.

use std::collections::{BTreeMap, HashMap};

use sellcast_domain::{GenerationId, ShopDay};
use uuid::Uuid;

/// Digest of all that a generation holds; its documents are stored under it, so that no two contents ever mix.
pub(super) type Edition = [u8; 32];

/// A row of the table `published`; the first three are the pointer's, the same in every row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) head: i64,
    pub(super) current: Uuid,
    pub(super) current_as_of: i32,
    /// Grows by one with each publication.
    pub(super) revision: i64,
    pub(super) as_of: i32,
    pub(super) generation: Uuid,
    pub(super) edition: Edition,
}

/// What the pointer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) head: i64,
    pub(super) current: GenerationId,
    pub(super) as_of: ShopDay,
}

#[derive(Debug, Default)]
pub(in super::super) struct Catalog {
    pointer: Option<Pointer>,
    editions: HashMap<Uuid, Edition>,
    /// (day, revision) -> generation.
    by_day: BTreeMap<(i32, i64), Uuid>,
    complete_to: i64,
}

impl Catalog {
    /// Adds what was read from after [`Self::complete_to`] on. An older pointer than the known one is not believed.
    pub(super) fn merge(&mut self, rows: &[Row], is_complete: bool) {
        for row in rows {
            self.editions.insert(row.generation, row.edition);
            self.by_day.insert((row.as_of, row.revision), row.generation);
            if self.pointer.is_none_or(|known| known.head < row.head) {
                let as_of = ShopDay::from_epoch_days(row.current_as_of);
                self.pointer = Some(Pointer { head: row.head, current: GenerationId::from(row.current), as_of });
            }
        }
        if is_complete {
            self.complete_to = rows.iter().map(|row| row.revision).fold(self.complete_to, i64::max);
        }
    }

    /// Every entry up to this revision is known.
    pub(super) fn complete_to(&self) -> i64 {
        self.complete_to
    }

    pub(super) fn pointer(&self) -> Option<Pointer> {
        self.pointer
    }

    pub(super) fn edition(&self, generation: GenerationId) -> Option<Edition> {
        self.editions.get(&generation.uuid()).copied()
    }

    pub(super) fn holds(&self, edition: &Edition) -> bool {
        self.editions.values().any(|known| known == edition)
    }

    pub(in super::super) fn newest_for(&self, as_of: ShopDay) -> Option<GenerationId> {
        let day = as_of.epoch_days();
        self.by_day.range((day, 0)..=(day, i64::MAX)).next_back().map(|(_, generation)| GenerationId::from(*generation))
    }

    pub(in super::super) fn nearest(&self, day: ShopDay) -> Option<ShopDay> {
        let wanted = day.epoch_days();
        let before = self.by_day.range(..=(wanted, i64::MAX)).next_back().map(|((day, _), _)| *day);
        let after = self.by_day.range((wanted, 0)..).next().map(|((day, _), _)| *day);
        let nearest = match (before, after) {
            (Some(before), Some(after)) if i64::from(wanted) - i64::from(before) > i64::from(after) - i64::from(wanted) => Some(after),
            (before, after) => before.or(after),
        };
        nearest.map(ShopDay::from_epoch_days)
    }

    pub(in super::super) fn published_days(&self) -> Vec<ShopDay> {
        let mut days: Vec<ShopDay> = self.by_day.keys().map(|(day, _)| ShopDay::from_epoch_days(*day)).collect();
        days.dedup();
        days
    }

    /// Every published generation, oldest first.
    pub(in super::super) fn generations(&self) -> Vec<GenerationId> {
        self.by_day.values().map(|generation| GenerationId::from(*generation)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(head: i64, revision: i64) -> Row {
        let generation = Uuid::from_u128(revision as u128);
        Row {
            head,
            current: Uuid::from_u128(head as u128),
            current_as_of: 9,
            revision,
            as_of: 9,
            generation,
            edition: [revision as u8; 32],
        }
    }

    #[test]
    fn a_node_that_lags_behind_neither_moves_the_pointer_back_nor_hides_what_it_lacks() {
        let mut catalog = Catalog::default();
        catalog.merge(&[row(1, 1)], true);
        // One node alone has the third entry and lacks the second.
        catalog.merge(&[row(3, 3)], false);
        assert_eq!((catalog.complete_to(), catalog.pointer().map(|pointer| pointer.head)), (1, Some(3)));
        catalog.merge(&[row(2, 2)], false);
        assert_eq!(catalog.pointer().map(|pointer| pointer.head), Some(3));
        catalog.merge(&[row(3, 2), row(3, 3)], true);
        assert_eq!((catalog.complete_to(), catalog.generations().len()), (3, 3));
    }
}
