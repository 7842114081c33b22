//! The feature sets that were read last: one training asks for most of those that the one before asked for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use sellcast_domain::ShopDay;
use sellcast_features::FeatureSet;

/// Bytes of features that are kept at most.
const MOST_BYTES: usize = 384 << 20;

/// Sets within a bound of memory, the longest not asked for first.
#[derive(Default)]
pub(crate) struct KeptSets(Mutex<VecDeque<Arc<FeatureSet>>>);

impl KeptSets {
    pub(crate) fn get(&self, day: ShopDay) -> Option<Arc<FeatureSet>> {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = sets.iter().position(|set| set.as_of == day)?;
        let set = sets.remove(at)?;
        sets.push_back(set.clone());
        Some(set)
    }

    pub(crate) fn put(&self, set: &Arc<FeatureSet>) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.retain(|kept| kept.as_of != set.as_of);
        sets.push_back(set.clone());
        let mut bytes: usize = sets.iter().map(|set| size_of_val(&*set.values)).sum();
        while bytes > MOST_BYTES
            && let Some(oldest) = sets.pop_front()
        {
            bytes -= size_of_val(&*oldest.values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(day: i32, bytes: usize) -> Arc<FeatureSet> {
        Arc::new(FeatureSet {
            as_of: ShopDay::from_epoch_days(day),
            version: String::new(),
            products: Vec::new(),
            categories: Vec::new(),
            names: Vec::new(),
            values: vec![0.0; bytes / 4],
        })
    }

    #[test]
    fn what_was_not_asked_for_longest_makes_room() {
        let kept = KeptSets::default();
        let third = MOST_BYTES / 3;
        (1..=3).for_each(|day| kept.put(&set(day, third)));
        let has = |day: i32| kept.get(ShopDay::from_epoch_days(day)).is_some();
        assert!(has(2) && has(3) && has(1), "they fit, and the second is now the oldest");
        kept.put(&set(4, third));
        assert!(!has(2) && has(1) && has(3) && has(4));
        kept.put(&set(5, 2 * MOST_BYTES));
        assert!(!has(5), "what is too large alone is not kept");
    }
}
