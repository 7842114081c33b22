//! Why: the boosted model's TreeSHAP contributions, gathered by theme and told in plain words with what they add to the
//! forecast against the product's usual period.

use std::collections::BTreeMap;

use sellcast_domain::{Driver, Money};
use sellcast_features::{CALENDAR_FEATURES, Definitions};

use crate::error::ForecastError;
use crate::models::baseline::start;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Most drivers that a product shows.
const MOST: usize = 5;

/// Drivers of the chosen rows, strongest first. `amounts` are the published ones.
///
/// The trees add up on the logarithm; the logarithmic mean of usual and forecast amount turns their sum into money so
/// that all effects together are the difference (logarithmic mean Divisia decomposition; Ang 2004).
pub(crate) fn drivers(
    models: &FrameModels,
    definitions: &Definitions,
    rows: &Rows,
    amounts: &[f32],
    chosen: &[usize],
) -> Result<Vec<Vec<Driver>>, ForecastError> {
    let themes: BTreeMap<&str, &'static str> = definitions.features().iter().map(|d| (d.name.as_str(), d.theme)).collect();
    let theme_of: Vec<&'static str> = rows
        .names
        .iter()
        .map(|name| {
            themes.get(name.as_str()).copied().unwrap_or(if CALENDAR_FEATURES.contains(&name.as_str()) {
                "the time of year"
            } else {
                "other"
            })
        })
        .collect();
    let usual = start(rows);
    let contributions = models.amount()?.contributions(rows, chosen)?;
    let column = |name: &str| rows.column(name);
    let (display, mailer) = (column("display_next_week"), column("mailer_next_week"));
    let told = chosen.iter().zip(contributions).map(|(&row, contributions)| {
        let mut by_theme: BTreeMap<&'static str, f64> = BTreeMap::new();
        for (theme, value) in theme_of.iter().zip(&contributions) {
            *by_theme.entry(theme).or_default() += f64::from(*value);
        }
        let (from, to) = (usual[row].max(0.01), f64::from(amounts[row]).max(0.01));
        let mean = if (to / from).ln().abs() < 1e-6 { to } else { (to - from) / (to / from).ln() };
        let mut drivers: Vec<_> = by_theme
            .into_iter()
            .filter_map(|(theme, value)| {
                let effect = Money::try_from(mean * value).ok()?;
                let strength = match theme {
                    "on display" => display[row],
                    "in the mailer" => mailer[row],
                    _ => 0.0,
                };
                (effect.cents().abs() >= 50).then(|| Driver { reason: words(theme, value > 0.0, strength), effect })
            })
            .collect();
        drivers.sort_by_key(|driver| -driver.effect.cents().abs());
        drivers.truncate(MOST);
        drivers
    });
    Ok(told.collect())
}

fn words(theme: &str, up: bool, strength: f32) -> String {
    let stores = strength.round() as i64;
    match (theme, up) {
        ("on display", _) if stores > 0 => format!("on display in {stores} stores"),
        ("on display", _) => "not on display".into(),
        ("in the mailer", _) if stores > 0 => format!("in the mailer of {stores} stores"),
        ("in the mailer", _) => "not in the mailer".into(),
        ("recent sales", true) => "strong recent weeks".into(),
        ("recent sales", false) => "weak recent weeks".into(),
        ("sales of the last months", true) => "sold well over the last months".into(),
        ("sales of the last months", false) => "sold little over the last months".into(),
        ("how often it sells", true) => "bought often".into(),
        ("how often it sells", false) => "bought seldom".into(),
        ("how steadily it sells", true) => "steady seller".into(),
        ("how steadily it sells", false) => "sells unsteadily".into(),
        ("this weekday's sales", true) => "a good weekday for it".into(),
        ("this weekday's sales", false) => "a weak weekday for it".into(),
        ("this time last year", true) => "sold well at this time last year".into(),
        ("this time last year", false) => "sold little at this time last year".into(),
        ("time on sale", _) => "how long it has been on sale".into(),
        ("price", true) => "its price helps".into(),
        ("price", false) => "its price holds it back".into(),
        ("past promotions", true) => "responds to promotions like these".into(),
        ("past promotions", false) => "its last promotion is over".into(),
        ("trend", true) => "selling faster lately".into(),
        ("trend", false) => "slowing down lately".into(),
        ("its category", true) => "its category is strong".into(),
        ("its category", false) => "its category is weak".into(),
        ("its place in the category", true) => "its place in the category".into(),
        ("its place in the category", false) => "far from the top of its category".into(),
        ("rivals' promotions", true) => "few rivals on promotion".into(),
        ("rivals' promotions", false) => "rivals on promotion".into(),
        ("brand", true) => "its brand sells well".into(),
        ("brand", false) => "its brand sells little".into(),
        ("the whole shop's sales", true) => "the whole shop is busy".into(),
        ("the whole shop's sales", false) => "the whole shop is quiet".into(),
        ("the time of year", true) => "the time of year".into(),
        ("the time of year", false) => "not its time of year".into(),
        (other, _) => other.to_owned(),
    }
}
