//! Champion against challenger: both forecast the same past periods in the shadow, none of which either was trained on,
//! and their losses are compared category by category.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sellcast_domain::{CategoryId, Duel, Period, ShopDay, TimeFrame};
use sellcast_features::Target;

use crate::error::ForecastError;
use crate::forecaster::{Forecaster, memory};
use crate::hedge::Hedge;
use crate::ledger::{ForecastPeriod, Ledger};
use crate::metrics::{Said, Scored, Tally, top_categories};
use crate::paired::below_zero;
use crate::plan::FramePlan;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Categories compared, those that sold most in the period, as in the back-test.
const CATEGORIES: usize = 100;

/// Losses by period and category.
pub(crate) type Losses = BTreeMap<(ShopDay, CategoryId), f64>;

/// Compares losses of the first with those of the second over the pairs that both have.
pub(crate) fn compare(first: &Losses, second: &Losses) -> Duel {
    let pairs: Vec<(ShopDay, f64, f64)> = first
        .iter()
        .filter_map(|(key, loss)| Some((key.0, *loss, *second.get(key)?)))
        .filter(|(_, a, b)| a.is_finite() && b.is_finite())
        .collect();
    let mean = |value: &dyn Fn(&(ShopDay, f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / pairs.len().max(1) as f64;
    let differences: Vec<f64> = pairs.iter().map(|(_, a, b)| a - b).collect();
    let decided = differences.iter().filter(|difference| **difference != 0.0).count().max(1) as f64;
    let mut periods: Vec<ShopDay> = pairs.iter().map(|(day, _, _)| *day).collect();
    periods.dedup();
    Duel {
        challenger_loss: mean(&|pair| pair.1),
        champion_loss: mean(&|pair| pair.2),
        pairs: pairs.len() as u64,
        won: differences.iter().filter(|difference| **difference < 0.0).count() as f64 / decided,
        p_value: below_zero(&differences),
        periods,
    }
}

/// The loss (WAPE and lost NDCG) of amounts in each of the largest categories of a period.
pub(crate) fn category_losses(forecast: &ForecastPeriod, amounts: &[f32], target: &Target) -> Losses {
    let mut sales: BTreeMap<CategoryId, f64> = BTreeMap::new();
    for row in target.rows.values() {
        *sales.entry(row.category).or_default() += row.amount;
    }
    sales.retain(|_, amount| *amount > 0.0);
    let wanted: HashSet<CategoryId> = top_categories(&sales, CATEGORIES);
    let joined = Scored::products(forecast, target, Some(&wanted));
    let mut losses = Losses::new();
    for (category, _) in &joined.lists {
        let mut tally = Tally::default();
        tally.add(&joined.only(|of| of == *category), Said { amount: amounts, published: None });
        losses.insert((forecast.period.start(), *category), tally.whole_loss());
    }
    losses
}

/// Of `days`, newest first, those whose periods do not overlap: a sale that counted twice would make a result look surer
/// than it is. At most as many as weights are learnt from.
fn apart(frame: TimeFrame, days: impl Iterator<Item = ShopDay>) -> Vec<ShopDay> {
    let mut chosen: Vec<ShopDay> = Vec::new();
    for day in days {
        if chosen.len() < memory(frame).0 && chosen.last().is_none_or(|later| Period::starting(frame, day).last_day() < *later) {
            chosen.push(day);
        }
    }
    chosen
}

impl FrameModels {
    /// Whether the other was trained by the same settings on the same features, whichever dear model was chosen for each.
    pub fn same_recipe(&self, other: &Self) -> bool {
        let (a, b) = (&self.facts, &other.facts);
        (&a.definitions_version, a.rounds, a.seed, a.always()) == (&b.definitions_version, b.rounds, b.seed, b.always())
    }
}

impl Forecaster<'_> {
    /// The days of ended forecasts in the ledger, from `since` on, that do not overlap, newest first: periods that
    /// models trained as of `since` have not seen.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn unseen(&self, frame: TimeFrame, since: ShopDay, as_of: ShopDay) -> Result<Vec<ShopDay>, ForecastError> {
        let ended = Ledger::new(self.warehouse).ended(frame, as_of).await?;
        Ok(apart(frame, ended.into_iter().map(|(day, _)| day).filter(|day| *day >= since)))
    }

    /// Past origins from `since` on whose periods ended before `as_of` and do not overlap, oldest first, by the grid of the
    /// frame's training.
    pub fn held_out(&self, frame: TimeFrame, since: ShopDay, as_of: ShopDay) -> Vec<ShopDay> {
        let Some(plan) = FramePlan::new(frame, self.panel.first_day(), as_of) else { return Vec::new() };
        let mut days = apart(frame, plan.training.into_iter().filter(|day| *day >= since));
        days.reverse();
        days
    }

    /// Trains `frame` as of an earlier day, by today's settings, for a comparison on what came since; `None` when the
    /// history before that day cannot train it.
    ///
    /// # Errors
    /// When features cannot be had or a model cannot be fitted.
    pub async fn trial(&self, frame: TimeFrame, as_of: ShopDay, now: DateTime<Utc>) -> Result<Option<FrameModels>, ForecastError> {
        let Some(plan) = FramePlan::new(frame, self.panel.first_day(), as_of) else { return Ok(None) };
        self.fit(frame, &plan.training, as_of, now).await.map(Some)
    }

    /// Lets both forecast the periods that begin on `days`, combined by the weights that the ledger teaches, and compares
    /// their losses by category. Dear models stay out of it: they are chosen for a training, not by it. `None` when no period has
    /// ended.
    ///
    /// # Errors
    /// When features or the ledger cannot be read.
    pub async fn duel(
        &self,
        challenger: &FrameModels,
        champion: &FrameModels,
        days: &[ShopDay],
        as_of: ShopDay,
        now: DateTime<Utc>,
    ) -> Result<Option<Duel>, ForecastError> {
        let frame = champion.frame;
        let (challenger, champion) = (&challenger.without_dear(), &champion.without_dear());
        let scored = self.scored(frame, as_of).await?;
        let hedge = tokio::task::block_in_place(|| {
            let joined: Vec<Scored> = scored.iter().map(|(forecast, target)| Scored::products(forecast, target, None)).collect();
            Hedge::of_scored(&scored, &joined)
        });
        drop(scored);
        let (mut ours, mut theirs) = (Losses::new(), Losses::new());
        for forecast in self.hindcast(frame, days, None, now).await? {
            let day = forecast.period.start();
            if forecast.period.last_day() >= as_of {
                continue;
            }
            let target = Target::load(&self.panel, forecast.period, Some(as_of)).await?;
            let set = self.set(day, now).await?;
            let rows = Rows::new(&set, frame, &self.calendar, self.panel.first_day());
            for (models, losses) in [(challenger, &mut ours), (champion, &mut theirs)] {
                let candidates = self.candidates(&rows, Some(models)).await?;
                // Without any weights learnt yet all models count the same.
                let even = Hedge::even(candidates.amounts.keys().cloned());
                let hedge = if hedge.weights().is_empty() { &even } else { &hedge };
                let amounts = hedge.combine(&candidates.amounts, &rows.categories);
                losses.extend(tokio::task::block_in_place(|| category_losses(&forecast, &amounts, &target)));
            }
        }
        Ok((!ours.is_empty()).then(|| compare(&ours, &theirs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(list: impl Iterator<Item = f64>) -> Losses {
        list.enumerate().map(|(at, loss)| ((ShopDay::from_epoch_days(17_000), CategoryId::from(at as i64)), loss)).collect()
    }

    #[test]
    fn a_clear_winner_wins_and_a_tie_does_not() {
        let champion = losses((0..60).map(|i| 1.0 + f64::from(i % 7) / 10.0));
        let better = losses((0..60).map(|i| 0.95 + f64::from(i % 7) / 10.0));
        let duel = compare(&better, &champion);
        assert!(duel.p_value < 0.001 && duel.won > 0.99 && duel.pairs == 60, "{duel:?}");
        assert!(compare(&champion, &better).p_value > 0.999);
        assert_eq!(compare(&champion, &champion).p_value, 1.0);
    }

    #[test]
    fn compared_periods_do_not_overlap() {
        let newest: ShopDay = "2017-12-04".parse().expect("a day");
        let weekly = || (0..20).map(move |week| newest - 7 * week);
        let months = apart(TimeFrame::Month, weekly());
        assert!(months.windows(2).all(|pair| Period::starting(TimeFrame::Month, pair[1]).last_day() < pair[0]), "{months:?}");
        assert_eq!((months[0], months[1]), (newest, newest - 35));
        assert_eq!(apart(TimeFrame::Week, weekly()).len(), 8);
        assert_eq!(apart(TimeFrame::Day, weekly()).len(), 7);
    }

    #[test]
    fn only_pairs_that_both_have_are_compared() {
        let duel = compare(&losses([1.0, f64::NAN, 3.0].into_iter()), &losses([1.0, 2.0, 3.0, 4.0].into_iter()));
        assert_eq!((duel.pairs, duel.challenger_loss, duel.periods.len()), (2, 2.0, 1));
    }
}
