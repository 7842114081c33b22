//! Models that only put the products of a category in order: a boosted classification of membership in the true top ten,
//! and LambdaMART (Burges, "From RankNet to LambdaRank to LambdaMART", 2010). Their order becomes amounts by dealing out
//! the sorted amounts of a reference forecast, so that they can be weighed like any other candidate.

use std::collections::BTreeMap;

use hessboost::config::GrowPolicy;
use hessboost::objective::LambdaRank;
use hessboost::prelude::{
    BoostedModel, DMatrix, HessboostError, Iterations, ModelFormat, Objective, RegLoss, TrainingParams, TreeMethod, train,
};
use sellcast_domain::CategoryId;

use crate::error::ForecastError;
use crate::models::boosted::{BoostSettings, Table, decode, importance, other_features};
use crate::rows::{TrainingRows, column};

/// Only products near the list teach anything about making it: by their rank of the last quarter.
const NEAR: f32 = 60.0;
/// Gains of the order, from the share of the category's best amount: the library's gain is `2^label - 1`, so this label
/// makes it proportional to the amount, in steps.
const TOP_GAIN: f32 = 31.0;

/// What a ranker learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// Whether a product is in the true top ten.
    TopTen,
    /// The order of a category's products, the amounts as gains.
    Order,
}

/// A fitted ranker.
#[derive(Clone, Debug)]
pub(crate) struct Ranker {
    name: String,
    names: Vec<String>,
    model: BoostedModel,
}

impl Ranker {
    /// Fits the products near the top of their category; `None` if there are none, or if they teach nothing because all
    /// of them, or none, made the list.
    pub(crate) fn fit(name: &str, lesson: Lesson, rows: &TrainingRows, settings: BoostSettings) -> Result<Option<Self>, ForecastError> {
        let (near, groups) = near_the_top(rows);
        let hits = near.ranks.iter().filter(|rank| **rank <= 10).count();
        if hits == 0 || hits == near.len() {
            return Ok(None);
        }
        let labels = match lesson {
            Lesson::TopTen => near.ranks.iter().map(|rank| f32::from(u8::from(*rank <= 10))).collect(),
            Lesson::Order => gains(&near.amounts, &groups),
        };
        let failed = |source| ForecastError::Boosting { step: "train", model: name.to_owned(), source };
        let width = near.names.len();
        let margins: Vec<f32> = near.starts.iter().map(|start| start.max(1e-3).ln()).collect();
        let matrix = DMatrix::from_dense_shared(near.values, labels.len(), width, f32::NAN).and_then(|matrix| matrix.with_labels(&labels));
        let params = TrainingParams::builder()
            .tree_method(TreeMethod::Hist)
            .grow_policy(GrowPolicy::LossGuide)
            .unlimited_depth()
            .max_leaves(settings.leaves)
            .max_bin(128)
            .lambda(5.0)
            .subsample(0.5)
            .colsample_bytree(0.3)
            .seed(settings.seed);
        let (matrix, params) = match lesson {
            Lesson::TopTen => {
                (matrix, params.objective(Objective::BinaryLogistic(RegLoss::default())).eta(0.07).min_child_weight(settings.leaf_weight))
            }
            // The order begins as the plain mean has it.
            Lesson::Order => (
                matrix.and_then(|matrix| matrix.with_group_sizes(&groups)).and_then(|matrix| matrix.with_base_margin(&margins)),
                params.objective(Objective::RankNdcg(LambdaRank::default())).eta(0.1).min_child_weight(0.1),
            ),
        };
        let model = train(&params.build().map_err(failed)?, &matrix.map_err(failed)?, settings.rounds).map_err(failed)?;
        Ok(Some(Self { name: name.to_owned(), names: near.names, model }))
    }

    /// A score for each row, higher for a better place. Products far from the top, of which it learnt nothing, all get
    /// the lowest.
    pub(crate) fn score<'a>(&self, table: impl Into<Table<'a>>, starts: &[f64]) -> Result<Vec<f32>, ForecastError> {
        let table = table.into();
        if table.names != self.names {
            return Err(other_features(&self.name));
        }
        let margins: Vec<f32> = starts.iter().map(|start| start.max(1e-3).ln() as f32).collect();
        let mut matrix = DMatrix::from_dense(table.values, starts.len(), self.names.len()).map_err(|source| self.failed(source))?;
        if self.is_order() {
            matrix = matrix.with_base_margin(&margins).map_err(|source| self.failed(source))?;
        }
        let scores = self.model.predict(&matrix, Iterations::Best).map_err(|source| self.failed(source))?;
        let rank = column(table.names, table.values, "rank_13w");
        Ok(scores.as_slice().iter().zip(rank).map(|(score, rank)| if rank <= NEAR { *score } else { f32::NEG_INFINITY }).collect())
    }

    fn is_order(&self) -> bool {
        self.model.objective().name().starts_with("rank")
    }

    /// The model as bytes.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, ForecastError> {
        self.model.encode(ModelFormat::Binary).map_err(|source| self.failed(source))
    }

    /// Reads what [`Ranker::encode`] wrote for the same features.
    pub(crate) fn decode(name: &str, names: Vec<String>, bytes: &[u8]) -> Result<Self, ForecastError> {
        let model = decode(name, &names, bytes)?;
        Ok(Self { name: name.to_owned(), names, model })
    }

    /// Total gain of each feature, largest first.
    pub(crate) fn importance(&self) -> Vec<(String, f64)> {
        importance(&self.model, &self.names)
    }

    fn failed(&self, source: HessboostError) -> ForecastError {
        ForecastError::Boosting { step: "apply", model: self.name.clone(), source }
    }
}

/// Deals the `reference` amounts of each category out in the order of `scores`: the best score gets the highest amount.
/// Equal scores keep the order of the reference.
pub(crate) fn deal(categories: &[CategoryId], scores: &[f32], reference: &[f32]) -> Vec<f32> {
    let mut by_category: BTreeMap<CategoryId, Vec<usize>> = BTreeMap::new();
    categories.iter().enumerate().for_each(|(row, category)| by_category.entry(*category).or_default().push(row));
    let mut dealt = vec![0.0; scores.len()];
    for rows in by_category.into_values() {
        let mut by_amount = rows.clone();
        by_amount.sort_by(|a, b| reference[*b].total_cmp(&reference[*a]).then(a.cmp(b)));
        let mut by_score = by_amount.clone();
        by_score.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        by_score.into_iter().zip(by_amount).for_each(|(to, from)| dealt[to] = reference[from]);
    }
    dealt
}

/// The rows near the top, ordered by origin and category, and the sizes of these groups.
fn near_the_top(rows: &TrainingRows) -> (TrainingRows, Vec<usize>) {
    let rank = rows.column("rank_13w");
    let mut chosen: Vec<usize> = (0..rows.len()).filter(|row| rank[*row] <= NEAR).collect();
    let group = |row: &usize| (rows.origins[*row], rows.categories[*row]);
    chosen.sort_by(|a, b| group(a).cmp(&group(b)).then(a.cmp(b)));
    let sizes = chosen.chunk_by(|a, b| group(a) == group(b)).map(<[usize]>::len).collect();
    (rows.select(&chosen), sizes)
}

/// Labels from 0 to 5 whose gains follow each amount's share of its group's best.
fn gains(amounts: &[f32], groups: &[usize]) -> Vec<f32> {
    let mut labels = Vec::with_capacity(amounts.len());
    let mut from = 0;
    for size in groups {
        let group = &amounts[from..from + size];
        let best = group.iter().copied().fold(0.0_f32, f32::max);
        labels.extend(group.iter().map(|amount| if best > 0.0 { (1.0 + TOP_GAIN * amount.max(0.0) / best).log2().round() } else { 0.0 }));
        from += size;
    }
    labels
}
