//! Learning from forecasts whose periods have ended: the weights of the candidates, the confidence and the intervals.
//! A pure function of the scored periods, so that the same ledger gives the same numbers.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use sellcast_domain::{CategoryId, Origin, Stage, TopK};
use sellcast_features::Target;
use serde::{Deserialize, Serialize};

use crate::calibration::{AmountIntervals, Call, CameTrue, ConfidenceModel, Of, Past, RankIntervals, Spread, Totals, confidences};
use crate::candidates::Candidates;
use crate::cold_start::LaunchWeights;
use crate::combined::{CategorySums, Combined, candidate_sums, plain};
use crate::guard::limited;
use crate::hedge::Hedge;
use crate::ledger::ForecastPeriod;
use crate::metrics::Scored;
use crate::rows::Rows;
use crate::sharpness::{Sharpening, sharpness};

/// Periods after which weights and sums are known well enough to judge the next one by them.
const LEAST_WALKED: usize = 3;

/// What past periods teach about a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Weights of the candidates.
    pub hedge: Hedge,
    /// How much launch curves count for new products.
    pub(crate) launches: LaunchWeights,
    /// What is known of the categories' sums.
    totals: Totals,
    /// How the truth lies around the expected amounts.
    spread: Spread,
    /// How far the amounts go from the expectation (0) to the category's common quantile (1).
    sharpness: f32,
    confidence: ConfidenceModel,
    category_confidence: ConfidenceModel,
    category_amounts: AmountIntervals,
    category_ranks: RankIntervals,
    total_amounts: AmountIntervals,
    came_true: CameTrue,
    /// 1 - WAPE of each category over the scored periods, at least 0.
    accuracy: HashMap<CategoryId, f64>,
    overall_accuracy: f64,
    /// Number of scored periods behind all this.
    pub periods: usize,
}

/// A category's forecast: the sum of its products', with what was learnt about such sums.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CategoryForecast {
    pub(crate) category: CategoryId,
    pub(crate) amount: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) confidence: f32,
    pub(crate) rank: u32,
    pub(crate) rank_interval: (u32, u32),
}

impl Learned {
    /// Learns from forecasts in the order of their as_of, each with the truth of its period.
    pub fn from_scored(scored: &[(ForecastPeriod, Target)]) -> Self {
        let joined: Vec<Scored> = scored.iter().map(|(forecast, target)| Scored::products(forecast, target, None)).collect();
        let walked = Hedge::walk(scored, &joined);
        let hedge = walked.last().cloned().unwrap_or_else(|| Hedge::even([]));
        let mut learned = Self { periods: scored.len(), ..Self::ignorant(hedge) };
        learned.calibrate(scored, &joined, &walked);
        learned
    }

    /// Nothing learnt yet but the weights given.
    pub fn ignorant(hedge: Hedge) -> Self {
        Self {
            hedge,
            launches: LaunchWeights::default(),
            totals: Totals::default(),
            spread: Spread::default(),
            sharpness: 0.0,
            confidence: ConfidenceModel::default(),
            category_confidence: ConfidenceModel::default(),
            category_amounts: AmountIntervals::default(),
            category_ranks: RankIntervals::default(),
            total_amounts: AmountIntervals::default(),
            came_true: CameTrue::default(),
            accuracy: HashMap::new(),
            overall_accuracy: 0.0,
            periods: 0,
        }
    }

    /// Fits confidence and intervals to what the combination would have said of each period by what it knew before it.
    fn calibrate(&mut self, scored: &[(ForecastPeriod, Target)], joined: &[Scored], walked: &[Hedge]) {
        let said = self.refine(scored, joined, walked);
        let mut came: Vec<Vec<u32>> = Vec::new();
        let mut totals = Vec::new();
        // In order, because sums of doubles depend on it.
        let mut errors: BTreeMap<CategoryId, (f64, f64)> = BTreeMap::new();
        for (((forecast, _), said), joined) in scored.iter().zip(&said).zip(joined) {
            let mut ranks = vec![u32::MAX; forecast.len()];
            let mut total = (0.0_f64, 0.0_f64);
            for (category, range) in &joined.lists {
                let error = errors.entry(*category).or_default();
                for at in range.clone() {
                    let actual = joined.actual[at];
                    let amount = joined.rows[at].map_or(0.0, |row| f64::from(said.amount[row]));
                    error.0 += (amount - actual).abs();
                    error.1 += actual;
                    total = (total.0 + amount, total.1 + actual);
                    if let Some(row) = joined.rows[at] {
                        ranks[row] = joined.actual_rank[at];
                    }
                }
            }
            totals.push((total.0 as f32, total.1 as f32));
            came.push(ranks);
        }
        self.learn_confidence(scored, &said, &came);
        self.total_amounts = AmountIntervals::fit(totals);
        let (error, actual) = errors.values().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let accuracy = |(error, actual): (f64, f64)| (1.0 - error / actual.max(1e-9)).clamp(0.0, 1.0);
        self.overall_accuracy = accuracy((error, actual));
        self.accuracy = errors.into_iter().map(|(category, sums)| (category, accuracy(sums))).collect();
        self.calibrate_categories(scored, &said);
    }

    /// Fits confidence to the ranks that came, by row of each period.
    fn learn_confidence(&mut self, scored: &[(ForecastPeriod, Target)], said: &[Combined], came: &[Vec<u32>]) {
        let calls: Vec<Vec<Call>> = (scored.iter().zip(said).zip(came))
            .map(|(((forecast, _), said), came)| {
                let ranks = said.rank.iter().zip(came);
                forecast.categories.iter().zip(ranks).map(|(category, (said, came))| Call { category: *category, said: *said, came: *came })
            })
            .map(Iterator::collect)
            .collect();
        self.came_true = CameTrue::learn(calls.iter().flatten());
        let lately: Vec<_> = (CameTrue::without_each(&calls).iter().zip(scored))
            .map(|(others, (forecast, _))| others.log_odds(&forecast.categories))
            .collect();
        let items: Vec<_> = (scored.iter().zip(said).zip(&lately).zip(came))
            .map(|((((forecast, _), said), lately), came)| (said.items(forecast, lately), came.as_slice()))
            .collect();
        self.confidence = ConfidenceModel::fit(&items);
    }

    /// Learns sums, spread and sharpness, and says what the combination would have said of the scored periods by them.
    fn refine(&mut self, scored: &[(ForecastPeriod, Target)], joined: &[Scored], walked: &[Hedge]) -> Vec<Combined> {
        let truth = |target: &Target| {
            let mut sums = BTreeMap::new();
            let ordered: BTreeMap<_, _> = target.rows.iter().collect();
            ordered.values().for_each(|row| *sums.entry(row.category).or_default() += row.amount);
            sums
        };
        let periods: Vec<_> =
            scored.iter().map(|(forecast, target)| (candidate_sums(&forecast.candidates, &forecast.categories), truth(target))).collect();
        self.totals = Totals::learn(&periods);
        self.launches = self.launch_weights(scored);
        let said: Vec<Combined> = scored
            .par_iter()
            .enumerate()
            .map(|(at, (forecast, _))| {
                let launches = (&forecast.launches, &self.launches);
                let combine =
                    |hedge: &Hedge, totals: &Totals| Combined::of(&forecast.candidates, &forecast.categories, hedge, launches, totals);
                // Weights that had seen a period would make its errors look smaller than those of the next one.
                if at < LEAST_WALKED { combine(&self.hedge, &self.totals) } else { combine(&walked[at], &Totals::learn(&periods[..at])) }
            })
            .collect();
        let past: Vec<Vec<Past>> = scored
            .par_iter()
            .zip(&said)
            .map(|((forecast, target), said)| {
                // What documents show in full; the rest follows the rarest of them.
                let shown = (0..forecast.len()).filter(|row| said.rank[*row] <= 100);
                let actual = |row: usize| target.rows.get(&forecast.products[row]).map_or(0.0, |truth| truth.amount as f32);
                shown
                    .map(|row| Past {
                        category: forecast.categories[row],
                        age: forecast.age[row],
                        units: forecast.units[row],
                        expected: said.expected[row],
                        actual: actual(row),
                    })
                    .collect()
            })
            .collect();
        let period = |at: usize| scored[at].0.period;
        self.spread = Spread::fit(&past, |at| (0..at).filter(|before| period(*before).last_day() < period(at).start()).count());
        let sharp: Vec<Vec<f32>> = scored
            .par_iter()
            .zip(&said)
            .map(|((forecast, _), said)| said.sharp(&self.spread, &forecast.categories, &forecast.units))
            .collect();
        let periods: Vec<_> = said
            .iter()
            .zip(&sharp)
            .zip(joined)
            .map(|((said, sharp), scored)| Sharpening { expected: &said.expected, sharp, scored })
            .collect();
        self.sharpness = sharpness(&periods);
        let sharpened = said.into_par_iter().zip(&sharp).zip(scored);
        sharpened
            .map(|((said, sharp), (forecast, _))| {
                let mut said = said.sharpened(sharp, self.sharpness, &forecast.categories);
                said.simulate(&self.spread, &forecast.products, &forecast.categories, &forecast.units);
                said
            })
            .collect()
    }

    fn launch_weights(&self, scored: &[(ForecastPeriod, Target)]) -> LaunchWeights {
        let expected: Vec<Vec<f32>> =
            scored.iter().map(|(forecast, _)| plain(&forecast.candidates, &forecast.categories, &self.hedge)).collect();
        LaunchWeights::learn(scored.iter().zip(&expected).map(|((forecast, target), expected)| {
            let actual = forecast.products.iter().map(|product| target.rows.get(product).map_or(0.0, |truth| truth.amount as f32));
            (&forecast.launches, expected.as_slice(), actual.collect())
        }))
    }

    /// The share of each row's amount that launch curves brought, negative where they took some away.
    pub(crate) fn launch_shares(&self, forecast: &ForecastPeriod) -> Vec<f32> {
        let usual = plain(&forecast.candidates, &forecast.categories, &self.hedge);
        let mut mixed = usual.clone();
        self.launches.mix(&mut mixed, &forecast.launches);
        usual.iter().zip(&mixed).map(|(usual, mixed)| if *mixed > 0.0 { 1.0 - usual / mixed } else { 0.0 }).collect()
    }

    fn calibrate_categories(&mut self, scored: &[(ForecastPeriod, Target)], said: &[Combined]) {
        let (mut pairs, mut rank_pairs) = (Vec::new(), Vec::new());
        let sums: Vec<CategorySums> =
            scored.iter().zip(said).map(|((forecast, _), said)| CategorySums::of(forecast, &said.amount)).collect();
        let mut came = Vec::new();
        for (sums, (_, target)) in sums.iter().zip(scored) {
            let joined = Scored::categories(&sums.categories, target);
            let mut ranks = vec![u32::MAX; sums.categories.len()];
            for at in 0..joined.ids.len() {
                let Some(row) = joined.rows[at] else { continue };
                pairs.push((sums.amounts[row], joined.actual[at] as f32));
                if joined.sold[at] {
                    rank_pairs.push((sums.ranks[row], joined.actual_rank[at]));
                }
                ranks[row] = joined.actual_rank[at];
            }
            came.push(ranks);
        }
        let items: Vec<_> = sums.iter().zip(&came).map(|(sums, came)| (sums.items(), came.as_slice())).collect();
        self.category_confidence = ConfidenceModel::fit(&items);
        self.category_amounts = AmountIntervals::fit(pairs);
        self.category_ranks = RankIntervals::fit(&rank_pairs);
    }

    /// The published forecast from the candidates.
    pub(crate) fn forecast(&self, rows: &Rows, candidates: Candidates, origin: Origin, stage: Stage) -> ForecastPeriod {
        let mut said = Combined::of(&candidates.amounts, &rows.categories, &self.hedge, (&rows.launches, &self.launches), &self.totals);
        if self.sharpness > 0.0 {
            let sharp = said.sharp(&self.spread, &rows.categories, &candidates.quantity);
            said = said.sharpened(&sharp, self.sharpness, &rows.categories);
        }
        let mut said = limited(said, rows);
        said.simulate(&self.spread, &rows.products, &rows.categories, &candidates.quantity);
        // Units follow the amounts at the product's price.
        let mut usual = plain(&candidates.amounts, &rows.categories, &self.hedge);
        (0..rows.len()).filter(|row| rows.launches.is_unsold(*row)).for_each(|row| usual[row] = rows.launches.amount[row]);
        let quantity =
            (0..rows.len()).map(|row| candidates.quantity[row] * if usual[row] > 0.0 { said.amount[row] / usual[row] } else { 1.0 });
        let mut forecast = ForecastPeriod {
            period: rows.period,
            origin,
            stage,
            products: rows.products.clone(),
            categories: rows.categories.clone(),
            rank: said.rank.clone(),
            rank_interval: said.simulated.intervals.clone(),
            low: Vec::new(),
            high: Vec::new(),
            wide: Vec::new(),
            chances: Vec::new(),
            confidence: Vec::new(),
            category_confidence: Vec::new(),
            amount: said.amount.clone(),
            quantity: quantity.collect(),
            units: candidates.quantity,
            membership: candidates.membership,
            activity: candidates.activity,
            age: rows.column("days_since_first_sale"),
            candidates: candidates.amounts,
            launches: rows.launches.clone(),
        };
        self.finish(&mut forecast, &said, 1.0);
        forecast
    }

    /// Fills in confidence and intervals of amounts that were not made here, widened by `factor`.
    pub(crate) fn complete(&self, forecast: &mut ForecastPeriod, factor: f32) {
        let amount = forecast.amount.clone();
        let mut said = Combined::published(amount.clone(), amount, &forecast.categories, &forecast.candidates, &self.hedge);
        said.simulate(&self.spread, &forecast.products, &forecast.categories, &forecast.units);
        forecast.rank_interval.clone_from(&said.simulated.intervals);
        self.finish(forecast, &said, factor);
    }

    fn finish(&self, forecast: &mut ForecastPeriod, said: &Combined, factor: f32) {
        let around = |row: usize, level: usize| {
            let of =
                Of { category: forecast.categories[row], age: forecast.age[row], units: forecast.units[row], expected: said.expected[row] };
            self.spread.interval(of, said.amount[row], level, factor)
        };
        let (low, high): (Vec<f32>, Vec<f32>) = (0..forecast.len()).map(|row| around(row, 0)).unzip();
        // A level of its own may fall short of the narrower one in a category that taught little.
        let wide = (0..forecast.len()).map(|row| around(row, 1)).zip(low.iter().zip(&high));
        forecast.wide = wide.map(|(wide, (low, high))| (wide.0.min(*low), wide.1.max(*high))).collect();
        (forecast.low, forecast.high) = (low, high);
        self.be_sure(forecast, said);
    }

    /// Fills in the chances.
    fn be_sure(&self, forecast: &mut ForecastPeriod, said: &Combined) {
        let lately = self.came_true.log_odds(&forecast.categories);
        forecast.chances = self.confidence.apply(said.items(forecast, &lately));
        forecast.confidence = confidences(&forecast.chances, &said.rank);
        forecast.category_confidence = self.category_confidences(forecast, 1.0);
    }

    /// Ranks, and how sure they are, after amounts were moved.
    pub(crate) fn rank_again(&self, forecast: &mut ForecastPeriod) {
        let amount = forecast.amount.clone();
        let mut said = Combined::published(amount.clone(), amount, &forecast.categories, &forecast.candidates, &self.hedge);
        said.simulate(&self.spread, &forecast.products, &forecast.categories, &forecast.units);
        forecast.rank.clone_from(&said.rank);
        forecast.rank_interval.clone_from(&said.simulated.intervals);
        self.be_sure(forecast, &said);
    }

    /// The confidence of each row's category, see [`Learned::categories`].
    pub(crate) fn category_confidences(&self, forecast: &ForecastPeriod, factor: f32) -> Vec<f32> {
        let by_category: HashMap<CategoryId, f32> =
            self.categories(forecast, factor).into_iter().map(|c| (c.category, c.confidence)).collect();
        forecast.categories.iter().map(|category| by_category.get(category).copied().unwrap_or(0.0)).collect()
    }

    /// Interval of the whole shop's amount.
    pub(crate) fn total_interval(&self, total: f32, factor: f32) -> (f32, f32) {
        self.total_amounts.around(total, factor)
    }

    /// Of the products that were lately forecast into the same list of the category, the share that was in it.
    pub(crate) fn came_true(&self, category: CategoryId, rank: u32) -> f64 {
        self.came_true.share(category, rank)
    }

    /// 1 - WAPE of the category lately; that of the whole shop where it has no scores of its own.
    pub(crate) fn accuracy(&self, category: CategoryId) -> f64 {
        self.accuracy.get(&category).copied().unwrap_or(self.overall_accuracy)
    }

    /// The categories' forecasts, by rank, with intervals widened by `factor` and as much less certainty: towards the chance of
    /// an order by lot.
    pub(crate) fn categories(&self, forecast: &ForecastPeriod, factor: f32) -> Vec<CategoryForecast> {
        let sums = CategorySums::of(forecast, &forecast.amount);
        let confidence = confidences(&self.category_confidence.apply(sums.items()), &sums.ranks);
        let size = sums.categories.len() as u32;
        let less_sure = |at: usize| {
            let by_lot = (TopK::holding(sums.ranks[at]).get() as f32 / size as f32).min(1.0);
            by_lot + (confidence[at] - by_lot) / factor.max(1.0)
        };
        let mut all: Vec<_> = (0..sums.categories.len())
            .map(|at| {
                let (low, high) = self.category_amounts.around(sums.amounts[at], factor);
                CategoryForecast {
                    category: sums.categories[at],
                    amount: sums.amounts[at],
                    low,
                    high,
                    confidence: less_sure(at),
                    rank: sums.ranks[at],
                    rank_interval: self.category_ranks.around(sums.ranks[at], size, factor),
                }
            })
            .collect();
        all.sort_by_key(|category| category.rank);
        all
    }
}
