//! Said and came true: one circle for forecasts of about the same confidence, as large as they are many.

use sellcast_domain::ReliabilityBin;

use super::{Svg, escaped};

const LEFT: f64 = 54.0;
const TOP: f64 = 8.0;
const SIDE: f64 = 160.0;

/// The reliability diagram.
pub(crate) fn reliability(bins: &[ReliabilityBin]) -> Svg {
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1) as f64;
    let mut circles = String::new();
    let mut words = Vec::new();
    for bin in bins.iter().filter(|bin| bin.count > 0) {
        let (x, y) = (LEFT + bin.said * SIDE, TOP + (1.0 - bin.came_true) * SIDE);
        // The area, not the radius, stands for the number.
        let radius = 2.0 + 4.0 * (bin.count as f64 / most).sqrt();
        let text = format!("called {:.0} %: {:.0} % of {} came true", bin.said * 100.0, bin.came_true * 100.0, bin.count);
        circles.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>{}</title></circle>", escaped(&text)));
        words.push(text);
    }
    let bottom = TOP + SIDE;
    let right = LEFT + SIDE;
    let (middle_x, middle_y) = (LEFT + SIDE / 2.0, TOP + SIDE / 2.0);
    let words = if words.is_empty() { "nothing scored yet".to_owned() } else { words.join("; ") };
    Svg(format!(
        "<svg class=\"rel\" viewBox=\"0 0 236 206\" role=\"img\" aria-label=\"{}\">\
         <path class=\"grid\" d=\"M{LEFT},{bottom}H{right}M{LEFT},{middle_y}H{right}M{LEFT},{TOP}H{right}M{LEFT},{bottom}V{TOP}M{middle_x},{bottom}V{TOP}M{right},{bottom}V{TOP}\"/>\
         <path class=\"diag\" d=\"M{LEFT},{bottom}L{right},{TOP}\"/>{circles}\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">100 %</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">50 %</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">0 %</text>\
         <text x=\"{LEFT}\" y=\"184\" text-anchor=\"middle\">0 %</text><text x=\"{middle_x}\" y=\"184\" text-anchor=\"middle\">50 %</text><text x=\"{right}\" y=\"184\" text-anchor=\"middle\">100 %</text>\
         <text x=\"{middle_x}\" y=\"202\" text-anchor=\"middle\">said</text><text class=\"turned\" x=\"-{middle_y}\" y=\"10\" text-anchor=\"middle\" transform=\"rotate(-90)\">came true</text></svg>",
        escaped(&words),
        LEFT - 6.0,
        TOP + 4.0,
        LEFT - 6.0,
        middle_y + 4.0,
        LEFT - 6.0,
        bottom + 4.0,
    ))
}
