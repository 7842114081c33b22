//! The leak guard: a feature may not change when everything that was not known at its as_of is taken away.

use sellcast_domain::ShopDay;

use crate::compute::FeatureSet;
use crate::definitions::Definitions;
use crate::error::FeatureError;
use crate::panel::Panel;

/// Computes the features at `as_of` twice, from the whole panel and from one that physically ends there, and compares
/// every value. Run before each training and back-test at an origin that has later rows.
///
/// # Errors
/// [`FeatureError::Leak`] names the first feature that differs.
pub async fn check_for_leaks(panel: &Panel, definitions: &Definitions, as_of: ShopDay) -> Result<(), FeatureError> {
    let panels = vec![(panel.clone(), as_of), (panel.truncated(as_of).await?, as_of)];
    let batches = FeatureSet::side_by_side(panels, definitions).await?;
    let set = |at: usize| FeatureSet::from_batch(&batches[at], definitions, as_of);
    let (whole, hidden) = (set(0)?, set(1)?);
    if whole.products != hidden.products {
        return Err(FeatureError::Leak { feature: "the list of products".into(), as_of, products: whole.len().abs_diff(hidden.len()) });
    }
    for (at, feature) in whole.names.iter().enumerate() {
        // Sums of doubles may differ in the last bits with the order of rows; a leak differs by far more.
        let differs = |a: f32, b: f32| a.is_nan() != b.is_nan() || (a - b).abs() > 1e-3 * (1.0 + a.abs().max(b.abs()));
        let products = (0..whole.len()).filter(|&row| differs(whole.row(row)[at], hidden.row(row)[at])).count();
        if products > 0 {
            return Err(FeatureError::Leak { feature: feature.clone(), as_of, products });
        }
    }
    Ok(())
}
