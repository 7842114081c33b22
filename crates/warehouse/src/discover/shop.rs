//! Currency, time zone and country of the shop, as far as its database tells them. What nothing tells is a default, and
//! says so.

use std::collections::BTreeSet;

use sellcast_domain::Currency;

use super::catalogue::{Catalogue, Family};
use super::error::DiscoverError;
use super::platforms;
use super::proposal::{Guess, ShopGuess};
use super::words::CURRENCY;

/// Countries whose holidays are built in: zone, country, currency. The first zone of a country stands for it.
const COUNTRIES: [(&str, &str, &str); 26] = [
    ("Europe/Berlin", "DE", "EUR"),
    ("America/New_York", "US", "USD"),
    ("America/Chicago", "US", "USD"),
    ("America/Denver", "US", "USD"),
    ("America/Los_Angeles", "US", "USD"),
    ("Europe/London", "GB", "GBP"),
    ("Europe/Paris", "FR", "EUR"),
    ("Europe/Madrid", "ES", "EUR"),
    ("Europe/Rome", "IT", "EUR"),
    ("Europe/Amsterdam", "NL", "EUR"),
    ("Europe/Warsaw", "PL", "PLN"),
    ("Europe/Stockholm", "SE", "SEK"),
    ("Australia/Sydney", "AU", "AUD"),
    ("Australia/Melbourne", "AU", "AUD"),
    ("Australia/Brisbane", "AU", "AUD"),
    ("America/Sao_Paulo", "BR", "BRL"),
    ("America/Toronto", "CA", "CAD"),
    ("America/Vancouver", "CA", "CAD"),
    ("Asia/Kolkata", "IN", "INR"),
    ("Asia/Tokyo", "JP", "JPY"),
    ("America/Mexico_City", "MX", "MXN"),
    ("US/Eastern", "US", "USD"),
    ("US/Pacific", "US", "USD"),
    ("US/Central", "US", "USD"),
    ("Asia/Calcutta", "IN", "INR"),
    ("Japan", "JP", "JPY"),
];

/// What a person said about the shop.
#[derive(Clone, Debug, Default)]
pub struct ShopAnswers {
    /// ISO 4217.
    pub currency: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// ISO 3166 alpha-2; empty for none.
    pub country: Option<String>,
}

impl ShopAnswers {
    /// Is everything that was said possible?
    pub(super) fn check(&self) -> Result<(), DiscoverError> {
        let wrong = |value: &str, what: String| Err(DiscoverError::WrongAnswer { what, value: value.to_owned() });
        match (&self.currency, &self.time_zone, &self.country) {
            (Some(code), ..) if Currency::try_from(code.clone()).is_err() => {
                wrong(code, "currency; write three capitals such as `USD`".to_owned())
            }
            (_, Some(zone), _) if zone.parse::<chrono_tz::Tz>().is_err() => {
                wrong(zone, "time zone; write an IANA name such as `Europe/Berlin`".to_owned())
            }
            (.., Some(country)) if !country.is_empty() && COUNTRIES.iter().all(|(_, known, _)| known != country) => {
                let known: BTreeSet<&str> = COUNTRIES.iter().map(|(_, country, _)| *country).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                wrong(country, format!("country whose holidays are built in; write one of {known}, or leave it empty"))
            }
            _ => Ok(()),
        }
    }
}

/// What the database tells, behind what a person said.
pub(super) fn guess(catalogue: &Catalogue, answers: &ShopAnswers) -> ShopGuess {
    let given = |value: &Option<String>| value.clone().map(|value| Guess { value, reason: "as you said".to_owned(), is_default: false });
    let set = |name: &str| {
        let value = catalogue.setting(name)?.split(':').next()?.to_owned();
        Some(Guess { value, reason: format!("the shop's setting `{name}`"), is_default: false })
    };
    let is_zone = |guess: &Guess| guess.value.parse::<chrono_tz::Tz>().is_ok();
    let time_zone = given(&answers.time_zone).or_else(|| set(platforms::TIME_ZONE).filter(is_zone)).unwrap_or_else(|| time_zone(catalogue));
    let by_zone = COUNTRIES.iter().find(|(zone, ..)| *zone == time_zone.value);
    // Only countries whose holidays are built in can be named.
    let is_known = |guess: &Guess| COUNTRIES.iter().any(|(_, country, _)| *country == guess.value);
    let country = given(&answers.country).or_else(|| set(platforms::COUNTRY).filter(is_known)).unwrap_or_else(|| match by_zone {
        Some((zone, country, _)) => Guess { value: (*country).to_owned(), reason: format!("the time zone is {zone}"), is_default: false },
        None => Guess { value: String::new(), reason: "nothing tells it: no public holidays".to_owned(), is_default: true },
    });
    let by_country = COUNTRIES.iter().find(|(_, code, _)| *code == country.value);
    let currency =
        given(&answers.currency).or_else(|| set(platforms::CURRENCY)).or_else(|| currency(catalogue)).unwrap_or_else(|| match by_country {
            Some((_, country, currency)) => {
                Guess { value: (*currency).to_owned(), reason: format!("the country is {country}"), is_default: false }
            }
            None => Guess { value: "USD".to_owned(), reason: "nothing tells it".to_owned(), is_default: true },
        });
    ShopGuess { currency, time_zone, country }
}

fn time_zone(catalogue: &Catalogue) -> Guess {
    let is_utc = |zone: &str| {
        ["utc", "etc/utc", "gmt", "system", "+00:00", "universal", "zulu", "etc/gmt", "etc/uct", "uct"]
            .contains(&zone.to_lowercase().as_str())
    };
    match &catalogue.time_zone {
        Some(zone) if !is_utc(zone) && zone.parse::<chrono_tz::Tz>().is_ok() => {
            Guess { value: zone.clone(), reason: "the database is set to it".to_owned(), is_default: false }
        }
        Some(zone) => Guess {
            value: "UTC".to_owned(),
            reason: format!("the database is set to {zone}, which need not be where the shop is"),
            is_default: true,
        },
        None => Guess { value: "UTC".to_owned(), reason: "nothing tells it".to_owned(), is_default: true },
    }
}

/// The most frequent value of a column called like a currency.
fn currency(catalogue: &Catalogue) -> Option<Guess> {
    let is_code = |value: &&String| value.len() == 3 && value.bytes().all(|letter| letter.is_ascii_alphabetic());
    let columns = catalogue.tables.iter().flat_map(|table| table.columns.iter().map(move |column| (table, column)));
    let named = columns.filter(|(_, column)| column.family == Family::Text && CURRENCY.fit(&column.name, &[]) >= 0.4);
    let mut found = named.filter_map(|(table, column)| Some((table, column, column.values.first().filter(is_code)?)));
    found.next().map(|(table, column, value)| Guess {
        value: value.to_uppercase(),
        reason: format!("the most frequent value of `{}.{}`", table.name, column.name),
        is_default: false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::small::{catalogue, table, with_values};
    use super::*;

    #[test]
    fn a_zone_tells_country_and_currency_unless_the_tables_know_better() {
        let mut shop =
            catalogue(vec![with_values(table("orders", &[("id", "bigint"), ("currency", "text")]), "currency", &["chf", "EUR"])]);
        shop.time_zone = Some("Europe/Berlin".into());
        let guessed = guess(&shop, &ShopAnswers::default());
        assert_eq!(
            (guessed.time_zone.value.as_str(), guessed.country.value.as_str(), guessed.currency.value.as_str()),
            ("Europe/Berlin", "DE", "CHF")
        );
        shop.tables.clear();
        assert_eq!(guess(&shop, &ShopAnswers::default()).currency.value, "EUR");
        let said = ShopAnswers { country: Some("JP".into()), ..ShopAnswers::default() };
        assert_eq!(guess(&shop, &said).currency.value, "JPY");
    }

    #[test]
    fn what_cannot_be_is_refused_with_an_example() {
        let said = |currency: Option<&str>, zone: Option<&str>, country: Option<&str>| ShopAnswers {
            currency: currency.map(str::to_owned),
            time_zone: zone.map(str::to_owned),
            country: country.map(str::to_owned),
        };
        assert!(said(Some("EUR"), Some("Europe/Berlin"), Some("")).check().is_ok());
        for (wrong, word) in [
            (said(Some("euro"), None, None), "`USD`"),
            (said(None, Some("Berlin"), None), "IANA"),
            (said(None, None, Some("XX")), "AU, BR"),
        ] {
            assert!(wrong.check().expect_err(word).to_string().contains(word), "{wrong:?}");
        }
    }

    #[test]
    fn what_the_shop_s_software_is_set_to_comes_first() {
        let mut shop = catalogue(Vec::new());
        shop.time_zone = Some("America/New_York".into());
        let settings = [("woocommerce_currency", "PLN"), ("timezone_string", "Europe/Warsaw"), ("woocommerce_default_country", "PL:PL-MZ")];
        shop.settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let guessed = guess(&shop, &ShopAnswers::default());
        assert_eq!(
            (guessed.time_zone.value.as_str(), guessed.country.value.as_str(), guessed.currency.value.as_str()),
            ("Europe/Warsaw", "PL", "PLN")
        );
        shop.settings[1].1.clear();
        assert_eq!(
            guess(&shop, &ShopAnswers::default()).time_zone.value,
            "America/New_York",
            "WordPress leaves it empty for a plain offset"
        );
    }

    #[test]
    fn what_nothing_tells_is_marked_as_a_default() {
        let mut shop = catalogue(Vec::new());
        for zone in [None, Some("Etc/UTC".to_owned()), Some("SYSTEM".to_owned())] {
            shop.time_zone = zone;
            let guessed = guess(&shop, &ShopAnswers::default());
            assert!(guessed.time_zone.is_default && guessed.country.is_default && guessed.currency.is_default, "{guessed:?}");
            assert_eq!((guessed.time_zone.value.as_str(), guessed.country.value.as_str()), ("UTC", ""));
        }
    }
}
