//! A row of features as bytes: the category as eight bytes, then four per feature, little-endian. Every NaN is written as the
//! same one, so that equal rows are equal bytes.

use sellcast_domain::CategoryId;

use super::OnlineRow;

const CATEGORY: usize = size_of::<i64>();
const VALUE: usize = size_of::<f32>();

pub(super) fn encode(category: CategoryId, values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(CATEGORY + VALUE * values.len());
    bytes.extend_from_slice(&category.get().to_le_bytes());
    for value in values {
        let value = if value.is_nan() { f32::NAN } else { *value };
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// `None` when the bytes are no row.
pub(super) fn decode(bytes: &[u8]) -> Option<OnlineRow> {
    let (category, values) = bytes.split_first_chunk::<CATEGORY>()?;
    let (values, rest) = values.as_chunks::<VALUE>();
    rest.is_empty().then(|| OnlineRow {
        category: CategoryId::from(i64::from_le_bytes(*category)),
        values: values.iter().map(|value| f32::from_le_bytes(*value)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_comes_back_bit_for_bit(category in any::<i64>(), values in prop::collection::vec(any::<f32>(), 0..200)) {
            let bytes = encode(CategoryId::from(category), &values);
            let row = decode(&bytes).expect("a row");
            prop_assert_eq!(row.category.get(), category);
            prop_assert_eq!(row.values.len(), values.len());
            for (read, written) in row.values.iter().zip(&values) {
                prop_assert!(read.to_bits() == written.to_bits() || (read.is_nan() && written.is_nan()));
            }
            prop_assert_eq!(encode(row.category, &row.values), bytes);
        }

        #[test]
        fn damaged_bytes_are_no_row(cut in 1_usize..4) {
            let bytes = encode(CategoryId::from(1), &[1.0, 2.0]);
            prop_assert!(decode(&bytes[..bytes.len() - cut]).is_none());
            prop_assert!(decode(&bytes[..CATEGORY - cut]).is_none());
        }
    }
}
