//! Thirteen weeks of sales and the week that is forecast, as small as a word.

use super::{Svg, escaped, path};

const WIDTH: f64 = 110.0;
const HEIGHT: f64 = 28.0;
const EDGE: f64 = 4.0;
/// Weeks shown.
const WEEKS: usize = 13;

/// The last weeks of `sold`, then `forecast` when there is one.
pub(crate) fn spark(sold: &[f64], forecast: Option<f64>, words: &str) -> Svg {
    let sold = &sold[sold.len().saturating_sub(WEEKS)..];
    if sold.len() < 2 {
        return Svg::default();
    }
    let values: Vec<f64> = sold.iter().copied().chain(forecast).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // The week to come has its place even when it is not forecast, so that rows line up.
    let step = (WIDTH - 2.0 * EDGE) / sold.len() as f64;
    let scale = if high > low { (HEIGHT - 2.0 * EDGE) / (high - low) } else { 0.0 };
    let flat = if high > low { 0.0 } else { (HEIGHT - 2.0 * EDGE) / 2.0 };
    let point = |(place, value): (usize, &f64)| (EDGE + place as f64 * step, HEIGHT - EDGE - flat - (value - low) * scale);
    let points: Vec<(f64, f64)> = values.iter().enumerate().map(point).collect();
    let history = path(points[..sold.len()].iter().copied());
    let mut ahead = String::new();
    if forecast.is_some()
        && let [.., last, next] = points.as_slice()
    {
        ahead = format!("<path class=\"fc\" d=\"{}\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\"/>", path([*last, *next]), next.0, next.1);
    }
    Svg(format!(
        "<svg class=\"spark\" viewBox=\"0 0 110 28\" role=\"img\" aria-label=\"{words}\"><title>{words}</title><path d=\"{history}\"/>{ahead}</svg>",
        words = escaped(words)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_history_is_drawn_in_the_middle() {
        let drawn = spark(&[3.0; 13], Some(3.0), "flat").to_string();
        assert!(drawn.contains("M4.0,14.0L"), "{drawn}");
        assert!(!drawn.contains("NaN"), "{drawn}");
    }

    #[test]
    fn one_week_is_no_line() {
        assert_eq!(spark(&[3.0], Some(4.0), "short"), Svg::default());
    }
}
