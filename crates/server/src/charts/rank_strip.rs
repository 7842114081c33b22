//! Where a product may rank: its 80 % interval of ranks on a strip from the first place on.

use super::{Svg, escaped};

const WIDTH: f64 = 360.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = 346.0;

/// The interval `best..=worst` around `rank`, among `of` competitors.
pub(crate) fn rank_strip(rank: u32, best: u32, worst: u32, previous: Option<u32>, of: u32) -> Svg {
    let furthest = worst.max(rank).max(previous.unwrap_or(1)).max(5);
    // A little room beyond the worst rank, so that the strip shows where the interval ends.
    let end = (furthest + furthest / 5 + 1).min(of.max(furthest)).max(2);
    let x = |rank: u32| LEFT + f64::from(rank - 1) / f64::from(end - 1) * (RIGHT - LEFT);
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].into_iter().find(|step| end / step <= 9).unwrap_or(10_000);
    let mut drawn = String::new();
    let marks = std::iter::once(1).chain((1..=end / step).map(|mark| mark * step).filter(|mark| *mark > 1));
    for mark in marks {
        drawn.push_str(&format!(
            "<path class=\"grid\" d=\"M{0:.1},18V52\"/><text class=\"ax\" x=\"{0:.1}\" y=\"70\" text-anchor=\"middle\">{mark}</text>",
            x(mark)
        ));
    }
    let (from, to) = (x(best) - 6.0, x(worst) + 6.0);
    drawn.push_str(&format!("<rect class=\"band\" x=\"{from:.1}\" y=\"25\" width=\"{:.1}\" height=\"20\" rx=\"10\"/>", to - from));
    if let Some(previous) = previous {
        drawn.push_str(&format!("<circle class=\"before\" cx=\"{:.1}\" cy=\"35\" r=\"5\"/>", x(previous)));
    }
    drawn.push_str(&format!("<circle class=\"rank\" cx=\"{:.1}\" cy=\"35\" r=\"7\"/>", x(rank)));
    let was = previous.map(|previous| format!(", rank {previous} before")).unwrap_or_default();
    let words = format!("Rank {rank}, 80 % between {best} and {worst}{was}");
    Svg(format!("<svg class=\"strip\" viewBox=\"0 0 {WIDTH} 78\" role=\"img\" aria-label=\"{}\">{drawn}</svg>", escaped(&words)))
}
