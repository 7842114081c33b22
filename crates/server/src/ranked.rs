//! A category's products in the order of their ranks, those that are known in full and those beyond the first 100 alike. In a live
//! forecast both kinds stand between each other.

use sellcast_domain::{ContinuedProduct, ProductPrediction};

/// A product of either kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ranked<'a> {
    First(&'a ProductPrediction),
    Continued(&'a ContinuedProduct),
}

impl Ranked<'_> {
    fn rank(&self) -> u32 {
        match self {
            Self::First(product) => product.rank,
            Self::Continued(product) => product.rank,
        }
    }
}

/// Both lists as one, by rank.
pub(crate) fn ranked<'a>(first: &'a [ProductPrediction], rest: &'a [ContinuedProduct]) -> Vec<Ranked<'a>> {
    let mut all: Vec<Ranked<'a>> = first.iter().map(Ranked::First).chain(rest.iter().map(Ranked::Continued)).collect();
    all.sort_by_key(Ranked::rank);
    all
}
