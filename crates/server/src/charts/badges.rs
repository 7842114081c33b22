//! The badges of the tables: how sure, how it moved, how large against the leader.

use super::{Svg, escaped};
use crate::wording::percent;

/// How sure a place in its list is: a filled badge whose title says what it means.
pub(crate) fn sure(probability: f64, top_k: u32, of: &str) -> Svg {
    let level = if probability >= 0.7 {
        "hi"
    } else if probability >= 0.45 {
        "mid"
    } else {
        "lo"
    };
    let said = percent(probability);
    let about = format!("{said} sure to be among the top {top_k} {of}: of forecasts called {said}, about {said} came true");
    let width = (probability * 100.0).clamp(0.0, 100.0);
    Svg(format!(
        "<span class=\"conf {level}\" title=\"{}\"><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{width:.0}\" height=\"1\"/></svg><b>{said}</b></span>",
        escaped(&about)
    ))
}

/// How a rank changed against the period before.
pub(crate) fn moved(rank: u32, previous: Option<u32>, before: &str) -> Svg {
    let Some(previous) = previous else {
        return Svg(format!("<span class=\"mv new\" title=\"nothing sold {}\">new</span>", escaped(before)));
    };
    let was = format!("rank {previous} {}", escaped(before));
    Svg(match previous.cmp(&rank) {
        std::cmp::Ordering::Greater => {
            format!(
                "<span class=\"mv up\" title=\"{was}\"><span aria-hidden=\"true\">▲</span><span class=\"sr\">up</span> {}</span>",
                previous - rank
            )
        }
        std::cmp::Ordering::Less => {
            format!(
                "<span class=\"mv down\" title=\"{was}\"><span aria-hidden=\"true\">▼</span><span class=\"sr\">down</span> {}</span>",
                rank - previous
            )
        }
        std::cmp::Ordering::Equal => {
            format!("<span class=\"mv flat\" title=\"{was}\"><span aria-hidden=\"true\">—</span><span class=\"sr\">unchanged</span></span>")
        }
    })
}

/// Demand against the leader's, in five steps.
pub(crate) fn demand(amount: f64, leader: f64) -> Svg {
    let share = if leader > 0.0 { (amount / leader * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    let step = demand_step(share);
    Svg(format!(
        "<span class=\"demand\" title=\"{step} demand: {share:.0} % of the leader\"><svg viewBox=\"0 0 100 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect width=\"{share:.1}\" height=\"1\"/></svg><span class=\"sr\">{step}, {share:.0} % of the leader</span></span>"
    ))
}

fn demand_step(share: f64) -> &'static str {
    match share.round() as u32 {
        51.. => "very high",
        21..=50 => "high",
        11..=20 => "medium",
        6..=10 => "low",
        _ => "very low",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_falls_into_five_steps() {
        for (share, step) in [(100.0, "very high"), (50.0, "high"), (20.4, "medium"), (10.0, "low"), (5.0, "very low"), (0.0, "very low")] {
            assert_eq!(demand_step(share), step, "{share}");
        }
    }

    #[test]
    fn a_move_is_said_with_its_direction() {
        assert!(moved(2, Some(5), "last week").to_string().contains("up</span> 3"));
        assert!(moved(5, Some(2), "last week").to_string().contains("down</span> 3"));
        assert!(moved(5, Some(5), "last week").to_string().contains("unchanged"));
        assert!(moved(5, None, "last week").to_string().contains("new"));
    }

    #[test]
    fn foreign_text_cannot_leave_its_attribute() {
        let badge = sure(0.5, 5, "\"><script>alert(1)</script>").to_string();
        assert!(!badge.contains("<script>"), "{badge}");
    }
}
