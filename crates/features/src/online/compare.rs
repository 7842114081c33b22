//! Whether what is online is what the offline store holds.

use std::fmt;

use sellcast_domain::ProductId;

use super::{OnlineRead, OnlineRow, OnlineSet};
use crate::compute::FeatureSet;

/// A product whose features online are not those offline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which product.
    pub product: ProductId,
    /// In what they differ.
    pub cause: DifferenceCause,
}

/// In what two rows differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferenceCause {
    /// Online is a set of another day or of other definitions.
    Stale(OnlineSet),
    /// Offline has it, online does not.
    Missing,
    /// Online has it, offline does not.
    Extra,
    /// It is in another category.
    Category,
    /// There are more features or fewer.
    Width,
    /// This feature has another value; the first of them.
    Value(String),
}

impl DifferenceCause {
    /// One word for it, as metrics tell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stale(_) => "stale",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Category => "category",
            Self::Width => "width",
            Self::Value(_) => "value",
        }
    }
}

impl fmt::Display for DifferenceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale(set) => write!(f, "stale (online are {} under definitions {})", set.as_of, set.version),
            Self::Value(feature) => write!(f, "value of `{feature}`"),
            other => f.write_str(other.name()),
        }
    }
}

impl OnlineRead {
    /// Where the rows of `products`, which were asked for in this order, are not those of the offline set.
    pub fn differences(&self, products: &[ProductId], offline: &FeatureSet) -> Vec<Difference> {
        let expected = OnlineSet::of(offline);
        if (&self.set.version, self.set.as_of) != (&expected.version, expected.as_of) {
            let cause = DifferenceCause::Stale(self.set.clone());
            return products.iter().map(|product| Difference { product: *product, cause: cause.clone() }).collect();
        }
        let compared = products.iter().zip(&self.rows);
        compared
            .filter_map(|(product, online)| {
                let offline_row = offline.products.binary_search(product).ok();
                Some(Difference { product: *product, cause: cause(online.as_ref(), offline, offline_row)? })
            })
            .collect()
    }
}

fn cause(online: Option<&OnlineRow>, offline: &FeatureSet, row: Option<usize>) -> Option<DifferenceCause> {
    let (online, row) = match (online, row) {
        (Some(online), Some(row)) => (online, row),
        (None, None) => return None,
        (None, Some(_)) => return Some(DifferenceCause::Missing),
        (Some(_), None) => return Some(DifferenceCause::Extra),
    };
    if online.category != offline.categories[row] {
        return Some(DifferenceCause::Category);
    }
    if online.values.len() != offline.names.len() {
        return Some(DifferenceCause::Width);
    }
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let differing = online.values.iter().zip(offline.row(row)).position(|pair| !same(pair))?;
    Some(DifferenceCause::Value(offline.names[differing].clone()))
}
