//! What a reason adds to a forecast or takes from it, as a bar on the scale of the strongest one.

use super::Svg;

/// The bar of an effect; the text beside it says the amount.
pub(crate) fn effect(effect: f64, strongest: f64) -> Svg {
    let share = if strongest > 0.0 { (effect.abs() / strongest * 100.0).clamp(2.0, 100.0) } else { 2.0 };
    let direction = if effect < 0.0 { "neg" } else { "pos" };
    Svg(format!(
        "<svg class=\"effect {direction}\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{share:.0}\" height=\"10\" rx=\"2\"/></svg>"
    ))
}
