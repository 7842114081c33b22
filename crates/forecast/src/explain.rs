//! Why: the boosted model's TreeSHAP contributions, gathered by theme and told in plain words with what they add to the
//! forecast against the product's usual period.

use std::collections::{BTreeMap, HashMap};

use sellcast_domain::{Driver, Money, ProductId};
use sellcast_features::{CALENDAR_FEATURES, Definitions};

use crate::amounts::money;
use crate::error::ForecastError;
use crate::forecaster::{Forecaster, FrameForecast};
use crate::models::baseline::start;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Most drivers that a product shows.
const MOST: usize = 5;
/// A smaller effect is not worth a line.
const LEAST_CENTS: i64 = 50;

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
                (effect.cents().abs() >= LEAST_CENTS).then(|| Driver { reason: words(theme, value > 0.0, strength), effect })
            })
            .collect();
        drivers.sort_by_key(|driver| -driver.effect.cents().abs());
        drivers.truncate(MOST);
        drivers
    });
    Ok(told.collect())
}

impl Forecaster<'_> {
    /// Drivers of the chosen rows of a forecast: those of the models, and of new products what the launches of similar ones
    /// (`similar`, in words) add to what the models said.
    pub(crate) fn drivers(
        &self,
        models: &FrameModels,
        frame: &FrameForecast,
        rows: &Rows,
        similar: &HashMap<ProductId, String>,
        chosen: &[usize],
    ) -> Result<HashMap<usize, Vec<Driver>>, ForecastError> {
        let forecast = &frame.forecast;
        let shares = frame.learned.launch_shares(forecast);
        let said: Vec<f32> = forecast.amount.iter().zip(&shares).map(|(amount, share)| amount * (1.0 - share)).collect();
        // The models say nothing of a product that never sold.
        let sold: Vec<usize> = chosen.iter().copied().filter(|row| !forecast.launches.is_unsold(*row)).collect();
        let told = drivers(models, &self.definitions, rows, &said, &sold)?;
        let mut all: HashMap<usize, Vec<Driver>> = sold.into_iter().zip(told).collect();
        for row in chosen {
            let effect = money(f64::from(forecast.amount[*row] - said[*row]));
            if let Some(similar) = similar.get(&forecast.products[*row]).filter(|_| effect.cents().abs() >= LEAST_CENTS) {
                let drivers = all.entry(*row).or_default();
                drivers.truncate(MOST - 1);
                drivers.push(Driver { reason: similar.clone(), effect });
                drivers.sort_by_key(|driver| -driver.effect.cents().abs());
            }
        }
        Ok(all)
    }
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
        ("planned promotions", true) => "planned promotions lift it".into(),
        ("planned promotions", false) => "no promotion planned to lift it".into(),
        ("sales without promotions", true) => "sells well without promotions".into(),
        ("sales without promotions", false) => "sells little without promotions".into(),
        ("its customers", true) => "bought by many customers".into(),
        ("its customers", false) => "bought by few customers".into(),
        ("customers who come back", true) => "its customers come back for it".into(),
        ("customers who come back", false) => "its customers seldom come back".into(),
        ("trend", true) => "selling faster lately".into(),
        ("trend", false) => "slowing down lately".into(),
        ("its category", true) => "its category is strong".into(),
        ("its category", false) => "its category is weak".into(),
        ("its department", true) => "its department is strong".into(),
        ("its department", false) => "its department is weak".into(),
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
