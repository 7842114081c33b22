//! A rehearsal: forecasts of past origins as they would have been published, for the track record and the registry of a
//! new shop. Weights and calibration of each come from the other half of the periods, never from its own truth.

use std::collections::BTreeMap;

use sellcast_domain::ShopDay;
use sellcast_features::Target;

use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::learn::Learned;
use crate::ledger::ForecastPeriod;
use crate::metrics::{Said, Scored, Tally, ranks};

/// Forecasts of past periods, completed, with their metrics by model.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// For the ledger.
    pub forecasts: Vec<ForecastPeriod>,
    /// For the registry.
    pub metrics: serde_json::Value,
}

impl Forecaster<'_> {
    /// Completes the forecasts that a training made of earlier origins.
    ///
    /// # Errors
    /// When the truth cannot be read.
    pub async fn rehearse(&self, earlier: &[ForecastPeriod], as_of: ShopDay) -> Result<Rehearsal, ForecastError> {
        let scored = self.with_truth(earlier.to_vec(), as_of).await?;
        Ok(tokio::task::block_in_place(|| rehearse(&scored)))
    }
}

fn rehearse(scored: &[(ForecastPeriod, Target)]) -> Rehearsal {
    let half = |parity: usize| -> Vec<(ForecastPeriod, Target)> { scored.iter().skip(parity).step_by(2).cloned().collect() };
    // With a single period there is no other half: it is learnt from itself, and the sample is too small to tell anyway.
    let learned = [1, 0].map(|parity| Learned::from_scored(&if scored.len() > 1 { half(parity) } else { half(0) }));
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut forecasts = Vec::with_capacity(scored.len());
    for (at, (forecast, target)) in scored.iter().enumerate() {
        let learned = &learned[at % 2];
        let mut forecast = forecast.clone();
        forecast.amount = learned.hedge.combine(&forecast.candidates, &forecast.categories);
        forecast.rank = ranks(&forecast.categories, &forecast.amount);
        learned.complete(&mut forecast, 1.0);
        let joined = Scored::products(&forecast, target, None);
        let mut add = |name: &str, said: Said<'_>| tallies.entry(name.to_owned()).or_default().add(&joined, said);
        add("published", Said { amount: &forecast.amount, published: Some(&forecast) });
        for (name, amount) in &forecast.candidates {
            add(name, Said { amount, published: None });
        }
        forecasts.push(forecast);
    }
    let metrics: BTreeMap<String, _> = tallies.into_iter().map(|(name, tally)| (name, tally.metrics())).collect();
    Rehearsal { forecasts, metrics: serde_json::to_value(metrics).unwrap_or_default() }
}
