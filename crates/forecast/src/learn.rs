//! Learning from forecasts whose periods have ended: the weights of the candidates, the confidence and the intervals.
//! A pure function of the scored periods, so that the same ledger gives the same numbers.

use std::collections::{BTreeMap, HashMap};

use sellcast_domain::{CategoryId, Origin, Stage, TopK};
use sellcast_features::Target;
use serde::{Deserialize, Serialize};

use crate::calibration::{AmountIntervals, ConfidenceModel, ListItems, RankIntervals};
use crate::candidates::{Candidates, disagreement};
use crate::hedge::Hedge;
use crate::ledger::ForecastPeriod;
use crate::metrics::{Scored, ranks};
use crate::rows::Rows;

/// What past periods teach about a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Weights of the candidates.
    pub hedge: Hedge,
    confidence: ConfidenceModel,
    amounts: AmountIntervals,
    ranks: RankIntervals,
    category_confidence: ConfidenceModel,
    category_amounts: AmountIntervals,
    category_ranks: RankIntervals,
    total_amounts: AmountIntervals,
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
        let hedge = Hedge::of_scored(scored, &joined);
        let mut learned = Self { periods: scored.len(), ..Self::ignorant(hedge) };
        learned.calibrate(scored, &joined);
        learned
    }

    /// Nothing learnt yet but the weights given.
    pub fn ignorant(hedge: Hedge) -> Self {
        Self {
            hedge,
            confidence: ConfidenceModel::default(),
            amounts: AmountIntervals::default(),
            ranks: RankIntervals::default(),
            category_confidence: ConfidenceModel::default(),
            category_amounts: AmountIntervals::default(),
            category_ranks: RankIntervals::default(),
            total_amounts: AmountIntervals::default(),
            accuracy: HashMap::new(),
            overall_accuracy: 0.0,
            periods: 0,
        }
    }

    /// Fits confidence and intervals to what the combination by today's weights would have said.
    fn calibrate(&mut self, scored: &[(ForecastPeriod, Target)], joined: &[Scored]) {
        let said: Vec<Combined> = scored.iter().map(|(forecast, _)| Combined::of(forecast, &self.hedge)).collect();
        let mut hits: Vec<Vec<bool>> = Vec::new();
        let (mut pairs, mut rank_pairs, mut totals) = (Vec::new(), Vec::new(), Vec::new());
        // In order, because sums of doubles depend on it.
        let mut errors: BTreeMap<CategoryId, (f64, f64)> = BTreeMap::new();
        for (((forecast, _), said), joined) in scored.iter().zip(&said).zip(joined) {
            let mut came_true = vec![false; forecast.len()];
            let mut total = (0.0_f64, 0.0_f64);
            for (category, range) in &joined.lists {
                let unsold = range.clone().filter(|at| joined.sold[*at]).count() as u32 + 1;
                let error = errors.entry(*category).or_default();
                for at in range.clone() {
                    let actual = joined.actual[at];
                    let amount = joined.rows[at].map_or(0.0, |row| f64::from(said.amount[row]));
                    error.0 += (amount - actual).abs();
                    error.1 += actual;
                    total = (total.0 + amount, total.1 + actual);
                    let Some(row) = joined.rows[at] else { continue };
                    let rank = said.rank[row];
                    came_true[row] = joined.actual_rank[at] <= TopK::holding(rank).get();
                    if rank <= 100 {
                        pairs.push((said.amount[row], actual as f32));
                        rank_pairs.push((rank, joined.actual_rank[at].min(unsold)));
                    }
                }
            }
            totals.push((total.0 as f32, total.1 as f32));
            hits.push(came_true);
        }
        let items: Vec<_> =
            scored.iter().zip(&said).zip(&hits).map(|(((forecast, _), said), hits)| (said.items(forecast), hits.as_slice())).collect();
        self.confidence = ConfidenceModel::fit(&items);
        self.amounts = AmountIntervals::fit(pairs);
        self.ranks = RankIntervals::fit(&rank_pairs);
        self.total_amounts = AmountIntervals::fit(totals);
        let (error, actual) = errors.values().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let accuracy = |(error, actual): (f64, f64)| (1.0 - error / actual.max(1e-9)).clamp(0.0, 1.0);
        self.overall_accuracy = accuracy((error, actual));
        self.accuracy = errors.into_iter().map(|(category, sums)| (category, accuracy(sums))).collect();
        self.calibrate_categories(scored, &said);
    }

    fn calibrate_categories(&mut self, scored: &[(ForecastPeriod, Target)], said: &[Combined]) {
        let (mut pairs, mut rank_pairs) = (Vec::new(), Vec::new());
        let sums: Vec<CategorySums> =
            scored.iter().zip(said).map(|((forecast, _), said)| CategorySums::of(forecast, &said.amount)).collect();
        let mut hits = Vec::new();
        for (sums, (_, target)) in sums.iter().zip(scored) {
            let joined = Scored::categories(&sums.categories, target);
            let mut came_true = vec![false; sums.categories.len()];
            for at in 0..joined.ids.len() {
                let Some(row) = joined.rows[at] else { continue };
                pairs.push((sums.amounts[row], joined.actual[at] as f32));
                if joined.sold[at] {
                    rank_pairs.push((sums.ranks[row], joined.actual_rank[at]));
                }
                came_true[row] = joined.actual_rank[at] <= TopK::holding(sums.ranks[row]).get();
            }
            hits.push(came_true);
        }
        let items: Vec<_> = sums.iter().zip(&hits).map(|(sums, hits)| (sums.items(), hits.as_slice())).collect();
        self.category_confidence = ConfidenceModel::fit(&items);
        self.category_amounts = AmountIntervals::fit(pairs);
        self.category_ranks = RankIntervals::fit(&rank_pairs);
    }

    /// The published forecast from the candidates.
    pub(crate) fn forecast(&self, rows: &Rows, candidates: Candidates, origin: Origin, stage: Stage) -> ForecastPeriod {
        let mut amount = self.hedge.combine(&candidates.amounts, &rows.categories);
        amount.iter_mut().for_each(|value| *value = value.max(0.0));
        let mut forecast = ForecastPeriod {
            period: rows.period,
            origin,
            stage,
            products: rows.products.clone(),
            categories: rows.categories.clone(),
            rank: ranks(&rows.categories, &amount),
            low: Vec::new(),
            high: Vec::new(),
            confidence: Vec::new(),
            category_confidence: Vec::new(),
            amount,
            quantity: candidates.quantity,
            membership: candidates.membership,
            activity: candidates.activity,
            candidates: candidates.amounts,
        };
        self.complete(&mut forecast, 1.0);
        forecast
    }

    /// Fills in confidence and intervals, these widened by `factor`.
    pub(crate) fn complete(&self, forecast: &mut ForecastPeriod, factor: f32) {
        (forecast.low, forecast.high) = forecast.amount.iter().map(|amount| self.amounts.around(*amount, factor)).unzip();
        let said = Combined {
            disagreement: disagreement(&forecast.candidates, self.hedge.weights(), &forecast.amount),
            amount: forecast.amount.clone(),
            rank: forecast.rank.clone(),
        };
        forecast.confidence = self.confidence.apply(said.items(forecast));
        forecast.category_confidence = self.category_confidences(forecast);
    }

    /// The confidence of each row's category.
    pub(crate) fn category_confidences(&self, forecast: &ForecastPeriod) -> Vec<f32> {
        let by_category: HashMap<CategoryId, f32> =
            self.categories(forecast, 1.0).into_iter().map(|c| (c.category, c.confidence)).collect();
        forecast.categories.iter().map(|category| by_category.get(category).copied().unwrap_or(0.0)).collect()
    }

    /// 80 % interval of a product's amount.
    pub(crate) fn amount_interval(&self, amount: f32, factor: f32) -> (f32, f32) {
        self.amounts.around(amount, factor)
    }

    /// 80 % interval of a product's rank.
    pub(crate) fn rank_interval(&self, rank: u32, size: u32, factor: f32) -> (u32, u32) {
        self.ranks.around(rank, size, factor)
    }

    /// Interval of the whole shop's amount.
    pub(crate) fn total_interval(&self, total: f32, factor: f32) -> (f32, f32) {
        self.total_amounts.around(total, factor)
    }

    /// 1 - WAPE of the category lately; that of the whole shop where it has no scores of its own.
    pub(crate) fn accuracy(&self, category: CategoryId) -> f64 {
        self.accuracy.get(&category).copied().unwrap_or(self.overall_accuracy)
    }

    /// The categories' forecasts, by rank.
    pub(crate) fn categories(&self, forecast: &ForecastPeriod, factor: f32) -> Vec<CategoryForecast> {
        let sums = CategorySums::of(forecast, &forecast.amount);
        let confidence = self.category_confidence.apply(sums.items());
        let size = sums.categories.len() as u32;
        let mut all: Vec<_> = (0..sums.categories.len())
            .map(|at| {
                let (low, high) = self.category_amounts.around(sums.amounts[at], factor);
                CategoryForecast {
                    category: sums.categories[at],
                    amount: sums.amounts[at],
                    low,
                    high,
                    confidence: confidence[at],
                    rank: sums.ranks[at],
                    rank_interval: self.category_ranks.around(sums.ranks[at], size, factor),
                }
            })
            .collect();
        all.sort_by_key(|category| category.rank);
        all
    }
}

/// What the combination says, as far as calibration needs it.
struct Combined {
    amount: Vec<f32>,
    rank: Vec<u32>,
    disagreement: Vec<f32>,
}

impl Combined {
    fn of(forecast: &ForecastPeriod, hedge: &Hedge) -> Self {
        let amount = hedge.combine(&forecast.candidates, &forecast.categories);
        let disagreement = disagreement(&forecast.candidates, hedge.weights(), &amount);
        Self { rank: ranks(&forecast.categories, &amount), disagreement, amount }
    }

    fn items<'a>(&'a self, forecast: &'a ForecastPeriod) -> ListItems<'a, CategoryId> {
        ListItems {
            lists: &forecast.categories,
            amounts: &self.amount,
            ranks: &self.rank,
            activity: &forecast.activity,
            membership: &forecast.membership,
            disagreement: &self.disagreement,
        }
    }
}

/// Products' forecasts summed by category, the categories forming one list.
pub(crate) struct CategorySums {
    pub(crate) categories: Vec<CategoryId>,
    pub(crate) amounts: Vec<f32>,
    pub(crate) ranks: Vec<u32>,
    activity: Vec<f32>,
    list: Vec<u8>,
    unknown: Vec<f32>,
}

impl CategorySums {
    pub(crate) fn of(forecast: &ForecastPeriod, amounts: &[f32]) -> Self {
        let mut sums: BTreeMap<CategoryId, (f64, f64)> = BTreeMap::new();
        for ((category, amount), activity) in forecast.categories.iter().zip(amounts).zip(&forecast.activity) {
            let sum = sums.entry(*category).or_default();
            sum.0 += f64::from(*amount);
            sum.1 += f64::from(*activity);
        }
        let amounts: Vec<f32> = sums.values().map(|sum| sum.0 as f32).collect();
        let list = vec![0; amounts.len()];
        Self {
            categories: sums.keys().copied().collect(),
            ranks: ranks(&list, &amounts),
            activity: sums.values().map(|sum| sum.1 as f32).collect(),
            unknown: vec![f32::NAN; amounts.len()],
            amounts,
            list,
        }
    }

    fn items(&self) -> ListItems<'_, u8> {
        ListItems {
            lists: &self.list,
            amounts: &self.amounts,
            ranks: &self.ranks,
            activity: &self.activity,
            membership: &self.unknown,
            disagreement: &self.unknown,
        }
    }
}
