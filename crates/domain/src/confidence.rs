//! What a confidence score means: the probability of being among the top K, and which K is meant.

use serde::{Deserialize, Serialize};

/// A list length that confidence is stated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TopK(u32);

impl TopK {
    /// Every list length, shortest first.
    pub const ALL: [Self; 5] = [Self(5), Self(10), Self(20), Self(50), Self(100)];

    /// The shortest list that holds `rank` (from 1); the longest one for ranks beyond it.
    pub fn holding(rank: u32) -> Self {
        Self::ALL.into_iter().find(|k| rank <= k.0).unwrap_or(Self(100))
    }

    /// Its length.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Its place in [`TopK::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|k| *k == self).unwrap_or(Self::ALL.len() - 1)
    }
}

/// The three factors reported beside a confidence score, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceFactors {
    /// How well such forecasts of this frame came true lately. Of a product: of those that were forecast into the same list (the
    /// shortest that holds its rank) of its category, the share that was in it. Of a category: 1 - WAPE of its products, at least 0.
    pub historical_accuracy: f64,
    /// How much of the history that the frame asks for is there.
    pub data_completeness: f64,
    /// How far the candidate models agree on this forecast.
    pub ensemble_agreement: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_belongs_to_the_shortest_list_that_holds_it() {
        for (rank, k) in [(1, 5), (5, 5), (6, 10), (20, 20), (21, 50), (100, 100), (5000, 100)] {
            assert_eq!(TopK::holding(rank).get(), k, "rank {rank}");
        }
    }
}
