//! Learning the weights from scored periods: the losses of every candidate in the whole shop and in each group of
//! categories, and what the combination lost by the weights that it had.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use sellcast_domain::CategoryId;
use sellcast_features::Target;

use crate::hedge::{Hedge, Loss, PeriodLosses};
use crate::ledger::ForecastPeriod;
use crate::metrics::{Said, Scored, Tally};

impl Hedge {
    /// Weights learnt from forecasts in the order of their as_of, each with its truth; `joined` runs in parallel.
    pub(crate) fn of_scored(scored: &[(ForecastPeriod, Target)], joined: &[Scored]) -> Self {
        Self::walk(scored, joined).pop().unwrap_or_else(|| Self::even([]))
    }

    /// The even weights before any of the scored periods, then those after each: the last ones have learnt from all.
    pub(crate) fn walk(scored: &[(ForecastPeriod, Target)], joined: &[Scored]) -> Vec<Self> {
        let mut sales: BTreeMap<CategoryId, f64> = BTreeMap::new();
        for joined in joined {
            for (category, range) in &joined.lists {
                *sales.entry(*category).or_default() += joined.actual[range.clone()].iter().sum::<f64>();
            }
        }
        // All that took part in any of them: a dear model takes part in some periods only.
        let models: BTreeSet<&String> = scored.iter().flat_map(|(forecast, _)| forecast.candidates.keys()).collect();
        let mut hedge = Self::grouped(models.into_iter().cloned(), &sales);
        let mut walked = vec![hedge.clone()];
        for ((forecast, _), joined) in scored.iter().zip(joined) {
            let losses = hedge.losses(forecast, joined);
            hedge.learn(&losses);
            walked.push(hedge.clone());
        }
        walked
    }

    fn losses(&self, forecast: &ForecastPeriod, joined: &Scored) -> PeriodLosses {
        let parts: Vec<Scored> = (0..Self::group_count()).map(|group| joined.only(|category| self.group_of(category) == group)).collect();
        let tallies = |values: &[f32]| -> Vec<Tally> {
            let tally = |part: &Scored| {
                let mut tally = Tally::default();
                tally.add(part, Said { amount: values, published: None });
                tally
            };
            parts.iter().map(tally).collect()
        };
        let whole = |tallies: &[Tally]| {
            let mut whole = Tally::default();
            tallies.iter().for_each(|tally| whole.merge(tally));
            whole
        };
        let loss = |tally: &Tally| Loss { loss: tally.loss(), wape: tally.metrics().wape.unwrap_or(f64::NAN) };
        let by_model: BTreeMap<&String, Vec<Tally>> =
            forecast.candidates.par_iter().map(|(model, values)| (model, tallies(values))).collect();
        let group = |at: usize| -> BTreeMap<String, Loss> {
            // A group in which nothing sold says nothing.
            let told = by_model.iter().filter(|(_, tallies)| tallies[at].has_sales());
            told.map(|(model, tallies)| ((*model).clone(), loss(&tallies[at]))).collect()
        };
        let combined = self.combine(&forecast.candidates, &forecast.categories);
        PeriodLosses {
            period_start: forecast.period.start(),
            frame: crate::fallback::name(forecast.period.frame()),
            models: by_model.iter().map(|(model, tallies)| ((*model).clone(), loss(&whole(tallies)))).collect(),
            groups: (0..Self::group_count()).map(group).collect(),
            combined: whole(&tallies(&combined)).loss(),
        }
    }
}
