//! The 80 % range of a forecast on a scale that the whole table shares.

use super::{Svg, escaped};

const WIDTH: f64 = 120.0;

/// A range with its expectation, on a scale from 0 to `top`.
pub(crate) fn whisker(low: f64, middle: f64, high: f64, top: f64, words: &str) -> Svg {
    let place = |value: f64| if top > 0.0 { (value / top * WIDTH).clamp(0.0, WIDTH) } else { 0.0 };
    let (from, at, to) = (place(low), place(middle).clamp(1.5, WIDTH - 1.5), place(high));
    Svg(format!(
        "<svg class=\"whisk\" viewBox=\"0 0 120 12\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>\
         <path d=\"M0,6H120\"/><rect class=\"range\" x=\"{from:.1}\" y=\"3\" width=\"{:.1}\" height=\"6\" rx=\"3\"/>\
         <rect class=\"mid\" x=\"{:.1}\" y=\"0\" width=\"2.5\" height=\"12\" rx=\"1\"/></svg>",
        (to - from).max(3.0),
        at - 1.25,
        words = escaped(words),
    ))
}
