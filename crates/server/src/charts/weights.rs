//! Weights of models over the scored periods: one column a period, each model a stretch of it.

use super::{Svg, escaped};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 6.0;
/// Widest that a column gets.
const WIDEST: f64 = 54.0;

/// Columns of shares; `names` are the stretches from below, each column has a share for each.
pub(crate) fn weights(names: &[String], columns: &[(String, Vec<f64>)]) -> Svg {
    if columns.is_empty() {
        return Svg::default();
    }
    let step = (WIDTH - LEFT) / columns.len() as f64;
    let width = (step * 0.78).min(WIDEST);
    let bottom = HEIGHT - BOTTOM;
    let scale = bottom - TOP;
    let mut drawn = String::new();
    for share in [0.0, 0.5, 1.0] {
        let y = bottom - share * scale;
        drawn.push_str(&format!(
            "<path class=\"grid\" d=\"M{LEFT},{y:.1}H{WIDTH}\"/><text class=\"ax\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            LEFT - 6.0,
            y + 4.0,
            share * 100.0
        ));
    }
    // As many dates as there is room for.
    let every = (56.0 / step).ceil().max(1.0) as usize;
    for (at, (label, shares)) in columns.iter().enumerate() {
        let x = LEFT + at as f64 * step + (step - width) / 2.0;
        let mut y = bottom;
        for (name, (share, model)) in names.iter().zip(shares.iter().zip(0..)) {
            let height = share.clamp(0.0, 1.0) * scale;
            y -= height;
            let words = format!("{label}: {name} {:.0} %", share * 100.0);
            drawn.push_str(&format!(
                "<rect class=\"w{model}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
                escaped(&words)
            ));
        }
        if (columns.len() - 1 - at).is_multiple_of(every) {
            let middle = x + width / 2.0;
            drawn.push_str(&format!(
                "<text class=\"ax\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                HEIGHT - 6.0,
                escaped(label)
            ));
        }
    }
    let last = &columns[columns.len() - 1];
    let now: Vec<String> = names.iter().zip(&last.1).map(|(name, share)| format!("{name} {:.0} %", share * 100.0)).collect();
    let words = format!("Weights over {} periods; after the last, {}: {}", columns.len(), last.0, now.join(", "));
    Svg(format!("<svg class=\"weights\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{drawn}</svg>", escaped(&words)))
}

/// The colour of a stretch, for a legend.
pub(crate) fn swatch(model: usize) -> Svg {
    Svg(format!(
        "<svg class=\"swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\"><rect class=\"w{model}\" width=\"12\" height=\"12\" rx=\"3\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_filled_from_below_and_names_are_escaped() {
        let drawn = weights(&["a<b".to_owned(), "c".to_owned()], &[("4 Dec".to_owned(), vec![0.25, 0.75])]).to_string();
        assert!(drawn.contains("a&lt;b 25 %") && !drawn.contains("a<b"), "{drawn}");
        assert!(drawn.contains("height=\"37.5\"") && drawn.contains("height=\"112.5\""), "{drawn}");
        assert_eq!(weights(&[], &[]), Svg::default());
    }
}
