//! The form on a product's page that asks what another price or promotion would do, and its answer. It is a plain form;
//! the script exchanges the page's content without leaving it.

use sellcast_domain::{Money, ProductId, PromotionKind, WhatIfAnswer, WhatIfOutcome, WhatIfPromotion, WhatIfQuestion};

use super::view::View;
use crate::charts::{self, Svg};
use crate::query::Parameters;
use crate::state::AppState;
use crate::what_if::{MOST_STRENGTH, PRICES, STRENGTHS, ask, price};
use crate::wording::units;

/// Reasons of an answer that are shown.
const REASONS: usize = 4;

/// The form as it was filled in.
pub(super) struct Form {
    price: String,
    kind: String,
    strength: String,
}

/// The form with its answer.
pub(super) struct Asked {
    pub(super) action: String,
    pub(super) price: String,
    pub(super) kind: String,
    pub(super) strength: String,
    /// Value and words of each kind of promotion.
    pub(super) kinds: [(&'static str, &'static str); 2],
    pub(super) problem: Option<String>,
    pub(super) answer: Option<Told>,
}

/// An answer as shown.
pub(super) struct Told {
    pub(super) rows: [Row; 2],
    pub(super) drivers: Vec<Reason>,
    pub(super) notes: Vec<String>,
}

pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) amount: String,
    pub(super) units: String,
    pub(super) rank: u32,
}

pub(super) struct Reason {
    pub(super) reason: String,
    pub(super) bar: Svg,
    pub(super) effect: String,
}

impl Form {
    pub(super) fn read(parameters: &Parameters) -> Self {
        let text = |name: &str| parameters.text(name).unwrap_or_default().trim().chars().take(20).collect();
        Self { price: text("price"), kind: text("kind"), strength: text("strength") }
    }

    /// The form for a product of the newest forecast, answered if something is asked; nothing where nobody answers or a past
    /// forecast is shown.
    pub(super) async fn answered(self, state: &AppState, view: &View, product: ProductId) -> Option<Asked> {
        state.what_if()?;
        let newest = state.forecasts().current().is_some_and(|current| current.generation.generation_id == view.edition.id());
        if !newest {
            return None;
        }
        let mut asked = Asked {
            action: format!("/products/{product}"),
            price: self.price.clone(),
            kind: self.kind.clone(),
            strength: self.strength.clone(),
            kinds: [("display", "on display"), ("mailer", "in the mailer")],
            problem: None,
            answer: None,
        };
        match self.question(view, product) {
            Ok(None) => {}
            Ok(Some(question)) => match ask(state, question).await {
                Ok(answer) => asked.answer = Some(told(view, answer)),
                Err(problem) => asked.problem = Some(problem.detail),
            },
            Err(problem) => asked.problem = Some(problem),
        }
        Some(asked)
    }

    fn question(&self, view: &View, product_id: ProductId) -> Result<Option<WhatIfQuestion>, String> {
        let another = match self.price.as_str() {
            "" => None,
            text => Some(text.parse().ok().and_then(price).ok_or_else(|| format!("“{text}” is no price: {PRICES}."))?),
        };
        let promotion = match self.kind.as_str() {
            "" => None,
            kind => {
                let kind: PromotionKind = kind.parse().map_err(|_| format!("“{kind}” is no kind of promotion: display or mailer."))?;
                // A promotion of unsaid strength is asked for as soon as its strength is.
                if self.strength.is_empty() {
                    return Ok(None);
                }
                let strength = self.strength.parse().ok().filter(|strength| (0.0..=MOST_STRENGTH).contains(strength));
                let strength = strength.ok_or_else(|| format!("“{}” is no strength: {STRENGTHS}.", self.strength))?;
                Some(WhatIfPromotion { kind, strength })
            }
        };
        let asks = another.is_some() || promotion.is_some();
        Ok(asks.then(|| WhatIfQuestion { product_id, time_frame: view.time_frame(), price: another, promotion }))
    }
}

fn told(view: &View, answer: WhatIfAnswer) -> Told {
    let row = |label, outcome: WhatIfOutcome| Row {
        label,
        amount: view.show(outcome.amount),
        units: units(outcome.quantity).replace(" units", "").replace(" unit", ""),
        rank: outcome.rank,
    };
    let effect = |money: Option<Money>| money.unwrap_or(Money::ZERO);
    let differences: Vec<(String, Money)> =
        answer.drivers.into_iter().take(REASONS).map(|driver| (driver.reason, effect(driver.changed) - effect(driver.published))).collect();
    let strongest = differences.iter().map(|(_, difference)| difference.to_f64().abs()).fold(0.0, f64::max);
    let reason = |(reason, difference): (String, Money)| Reason {
        reason,
        bar: charts::effect(difference.to_f64(), strongest),
        effect: format!("{}{}", if difference < Money::ZERO { "" } else { "+" }, view.show(difference)),
    };
    Told {
        rows: [row("As published", answer.published), row("With the change", answer.changed)],
        drivers: differences.into_iter().map(reason).collect(),
        notes: answer.notes,
    }
}
