//! What if a product had another price or promotion: the question and the answer. The published forecast stays as it is.

use serde::{Deserialize, Serialize};

use crate::{CategoryId, Driver, GenerationId, Money, ProductId, ShopDay, TimeFrame};

/// How a product is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionKind {
    /// Shown on a display in stores.
    Display,
    /// In the mailer, or any other kind of promotion.
    Mailer,
}

impl PromotionKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Display, Self::Mailer];

    /// Its name in APIs and features.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Display => "display",
            Self::Mailer => "mailer",
        }
    }
}

/// No kind of promotion has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of promotion: use display or mailer")]
pub struct InvalidPromotionKind(String);

impl std::str::FromStr for PromotionKind {
    type Err = InvalidPromotionKind;

    fn from_str(text: &str) -> Result<Self, InvalidPromotionKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| InvalidPromotionKind(text.to_owned()))
    }
}

/// A promotion over the whole period, in place of what is planned of its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIfPromotion {
    /// Its kind.
    pub kind: PromotionKind,
    /// As the shop measures it (stores, for displays and mailers of the demo); 0 takes a planned one away.
    pub strength: f64,
}

/// What is asked about a product of the newest forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIfQuestion {
    /// The product.
    pub product_id: ProductId,
    /// The forecast that is asked about.
    pub time_frame: TimeFrame,
    /// Another price.
    pub price: Option<Money>,
    /// Another promotion.
    pub promotion: Option<WhatIfPromotion>,
}

/// A product's forecast, as far as it may change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WhatIfOutcome {
    /// Expected sales.
    pub amount: Money,
    /// Expected units.
    pub quantity: f64,
    /// Rank in its category.
    pub rank: u32,
}

/// A reason that counts differently under the change.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedDriver {
    /// In plain words.
    pub reason: String,
    /// What it adds as published; nothing if it is new.
    pub published: Option<Money>,
    /// What it adds under the change; nothing if it is gone.
    pub changed: Option<Money>,
}

/// The answer: the published forecast and the one under the change.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIfAnswer {
    /// The forecast that was asked about.
    pub generation_id: GenerationId,
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub product_name: String,
    /// Its category.
    pub category_id: CategoryId,
    /// The frame.
    pub time_frame: TimeFrame,
    /// First day of the period.
    pub period_start: ShopDay,
    /// Last day of the period.
    pub period_end: ShopDay,
    /// As published.
    pub published: WhatIfOutcome,
    /// Under the change.
    pub changed: WhatIfOutcome,
    /// Reasons that count differently.
    pub drivers: Vec<ChangedDriver>,
    /// What to know about the answer.
    pub notes: Vec<String>,
}

impl WhatIfAnswer {
    /// The reasons of two lists that differ, those that changed most first.
    pub fn changed_drivers(published: &[Driver], changed: &[Driver]) -> Vec<ChangedDriver> {
        let effect = |list: &[Driver], reason: &str| list.iter().find(|driver| driver.reason == reason).map(|driver| driver.effect);
        let mut reasons: Vec<&str> = published.iter().chain(changed).map(|driver| driver.reason.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        reasons.retain(|reason| seen.insert(*reason));
        let mut differing: Vec<ChangedDriver> = reasons
            .into_iter()
            .map(|reason| ChangedDriver {
                reason: reason.to_owned(),
                published: effect(published, reason),
                changed: effect(changed, reason),
            })
            .filter(|driver| driver.published != driver.changed)
            .collect();
        let cents = |money: Option<Money>| money.map_or(0, Money::cents);
        differing.sort_by_key(|driver| -(cents(driver.changed) - cents(driver.published)).abs());
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_that_differ_are_told_and_the_largest_change_first() {
        let driver = |reason: &str, cents: i64| Driver { reason: reason.to_owned(), effect: Money::from_cents(cents) };
        let published = [driver("not on display", -200), driver("strong recent weeks", 500), driver("its price helps", 90)];
        let changed = [driver("on display in 40 stores", 4_000), driver("strong recent weeks", 500), driver("its price helps", 120)];
        let told = WhatIfAnswer::changed_drivers(&published, &changed);
        assert_eq!(
            told.iter().map(|driver| driver.reason.as_str()).collect::<Vec<_>>(),
            ["on display in 40 stores", "not on display", "its price helps"]
        );
        assert_eq!((told[0].published, told[1].changed), (None, None));
    }
}
