//! How much each feature matters to each model, and how steady that is from one training to the next.

use std::collections::BTreeMap;

use serde::Serialize;

/// One feature's importance in one model over the trainings of a back-test.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureImportance {
    /// The feature.
    pub feature: String,
    /// Mean of its rank among the features, from 1.
    pub rank: f64,
    /// Standard deviation of the rank over the trainings.
    pub rank_deviation: f64,
    /// Mean of its share of the model's whole gain.
    pub gain: f64,
    /// Standard deviation of the share.
    pub gain_deviation: f64,
}

/// Importance of the features by model, training by training.
#[derive(Clone, Debug, Default)]
pub(crate) struct Importances {
    /// Model, feature, and (rank, share) of each training that used it.
    seen: BTreeMap<String, BTreeMap<String, Vec<(f64, f64)>>>,
    trainings: BTreeMap<String, usize>,
}

impl Importances {
    /// Adds one training: of each model the features, strongest first.
    pub(crate) fn add(&mut self, training: &BTreeMap<String, Vec<(String, f64)>>) {
        for (model, features) in training {
            *self.trainings.entry(model.clone()).or_default() += 1;
            let total = features.iter().map(|(_, gain)| gain).sum::<f64>().max(f64::MIN_POSITIVE);
            let of_model = self.seen.entry(model.clone()).or_default();
            for (at, (feature, gain)) in features.iter().enumerate() {
                of_model.entry(feature.clone()).or_default().push((at as f64 + 1.0, gain / total));
            }
        }
    }

    /// Mean and deviation by model, the highest mean share first. A training that did not use a feature counts with no
    /// share and the last rank.
    pub(crate) fn stability(self) -> BTreeMap<String, Vec<FeatureImportance>> {
        let trainings = self.trainings;
        let of_model = |(model, features): (String, BTreeMap<String, Vec<(f64, f64)>>)| {
            let (count, last) = (trainings[&model], features.len() as f64);
            let mut told: Vec<_> = features
                .into_iter()
                .map(|(feature, mut seen)| {
                    seen.resize(count, (last, 0.0));
                    let (rank, rank_deviation) = moments(seen.iter().map(|one| one.0));
                    let (gain, gain_deviation) = moments(seen.iter().map(|one| one.1));
                    FeatureImportance { feature, rank, rank_deviation, gain, gain_deviation }
                })
                .collect();
            told.sort_by(|a, b| b.gain.total_cmp(&a.gain).then_with(|| a.feature.cmp(&b.feature)));
            (model, told)
        };
        self.seen.into_iter().map(of_model).collect()
    }
}

fn moments(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    (mean, (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_comes_and_goes_is_less_steady() {
        let training = |features: &[(&str, f64)]| {
            BTreeMap::from([("gbm_amount".to_owned(), features.iter().map(|(name, gain)| ((*name).to_owned(), *gain)).collect::<Vec<_>>())])
        };
        let mut importances = Importances::default();
        importances.add(&training(&[("price", 6.0), ("week_1", 4.0)]));
        importances.add(&training(&[("price", 10.0)]));
        let told = importances.stability().remove("gbm_amount").expect("the model");
        assert_eq!(told[0], FeatureImportance { feature: "price".into(), rank: 1.0, rank_deviation: 0.0, gain: 0.8, gain_deviation: 0.2 });
        assert_eq!((told[1].rank, told[1].gain), (2.0, 0.2));
        assert!((told[1].gain_deviation - 0.2).abs() < 1e-12);
    }
}
