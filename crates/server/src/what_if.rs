//! What-if questions. The server knows no models: whoever starts it gives it somebody who answers.

use std::future::Future;
use std::pin::Pin;

use sellcast_domain::{Problem, ProblemKind, WhatIfAnswer, WhatIfQuestion};

use crate::state::AppState;

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<WhatIfAnswer, Problem>> + Send + 'a>>;

/// Answers what-if questions about the newest forecast, which stays as it is.
pub trait WhatIf: Send + Sync {
    /// The answer, or what is wrong with the question.
    fn ask(&self, question: WhatIfQuestion) -> Answering<'_>;
}

/// Strengths beyond this are a mistake.
pub(crate) const MOST_STRENGTH: f64 = 1e6;
/// Prices beyond this are a mistake.
pub(crate) const MOST_PRICE: f64 = 1e7;
pub(crate) const PRICES: &str = "more than 0 and at most 10000000, with at most two decimals";
pub(crate) const STRENGTHS: &str = "0 to 1000000";

/// A price, if it is one.
pub(crate) fn price(value: f64) -> Option<sellcast_domain::Money> {
    let cents = value * 100.0;
    let whole = (cents - cents.round()).abs() < 1e-6;
    (value.is_finite() && value > 0.0 && value <= MOST_PRICE && whole && cents.round() >= 1.0)
        .then(|| sellcast_domain::Money::try_from(value).ok())
        .flatten()
}

/// Asks whoever answers.
pub(crate) async fn ask(state: &AppState, question: WhatIfQuestion) -> Result<WhatIfAnswer, Problem> {
    match state.what_if() {
        Some(answerer) => answerer.ask(question).await,
        None => Err(Problem::new(ProblemKind::NotFound, "this server answers no what-if questions; `sellcast serve` does")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_positive_and_whole_cents() {
        for (value, expected) in [
            (2.99, true),
            (0.01, true),
            (10_000_000.0, true),
            (0.0, false),
            (-1.0, false),
            (0.001, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
            (1e8, false),
        ] {
            assert_eq!(price(value).is_some(), expected, "{value}");
        }
    }
}
