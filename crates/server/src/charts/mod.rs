//! Small SVG charts drawn on the server. Each has a text alternative; sizes and places are attributes, never
//! inline styles, so that the page's content policy can forbid those.

mod badges;
mod drivers;
mod fan;
mod rank_strip;
mod reliability;
mod spark;
mod weights;
mod whisker;

use std::fmt;

use askama::filters::HtmlSafe;

pub(crate) use badges::{demand, moved, sure};
pub(crate) use drivers::effect;
pub(crate) use fan::{Fan, Stretch};
pub(crate) use rank_strip::rank_strip;
pub(crate) use reliability::reliability;
pub(crate) use spark::spark;
pub(crate) use weights::{swatch, weights};
pub(crate) use whisker::whisker;

/// Markup that is safe to stand in a page as it is: made here, with every foreign text escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

/// Text as it may stand within an attribute or an element.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A polyline's path through points.
fn path(points: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        path.push(if path.is_empty() { 'M' } else { 'L' });
        path.push_str(&format!("{x:.1},{y:.1}"));
    }
    path
}
