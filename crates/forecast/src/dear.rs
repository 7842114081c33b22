//! Models too dear to be trained and to forecast every period in the shadow: a bandit chooses one of them for each training, and
//! only that one forecasts until the next. When a period has ended it is scored as all others are; what the bandit knows is kept
//! with the version that it chose for.

use sellcast_domain::{DearModel, DearRecord, ShopDay, TimeFrame};
use serde::{Deserialize, Serialize};

use crate::bandit::Bandit;
use crate::forecaster::{ScoredPeriod, Settings};
use crate::hedge::Learner;
use crate::metrics::{Said, Scored, Tally};
use crate::models::kind::ModelKind;

/// The dear models of one frame, and what is known of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DearModels {
    bandit: Bandit,
    /// Last day of the newest period that was learnt from.
    learnt_until: Option<ShopDay>,
}

impl DearModels {
    /// The choice for the next training, after what `scored` periods show that `former` has not learnt from yet. `None` where
    /// no model is dear.
    pub(crate) fn next(former: Option<&Self>, settings: &Settings, frame: TimeFrame, scored: &[ScoredPeriod]) -> Option<Self> {
        let names: Vec<String> = settings.dear().map(|kind| kind.name().to_owned()).collect();
        if names.is_empty() {
            return None;
        }
        let mut next = match former {
            Some(former) => Self { bandit: former.bandit.clone().among(names), learnt_until: former.learnt_until },
            None => Self { bandit: Bandit::new(names, settings.seed ^ ((frame as u64) << 32)), learnt_until: None },
        };
        for (forecast, target) in scored {
            if next.learnt_until.is_some_and(|until| forecast.period.start() <= until) {
                continue;
            }
            let joined = Scored::products(forecast, target, None);
            let loss = |model: &str| {
                let amount = forecast.candidates.get(model)?;
                let mut tally = Tally::default();
                tally.add(&joined, Said { amount, published: None });
                Some(tally.loss())
            };
            // Against the model that always takes part, so that an easy period flatters nobody.
            let Some(usual) = loss(ModelKind::GbmAmount.name()) else { continue };
            let dear = settings.dear().filter_map(|kind| Some((kind.name().to_owned(), loss(kind.name())? - usual)));
            let losses: std::collections::BTreeMap<String, f64> = dear.collect();
            if !losses.is_empty() {
                next.bandit.learn(&losses);
                next.learnt_until = Some(forecast.period.last_day());
            }
        }
        Some(next)
    }

    /// The model that is trained and forecasts until the next choice.
    pub fn chosen(&self) -> Option<ModelKind> {
        self.bandit.chosen()?.parse().ok()
    }

    /// Reads what the registry keeps of a version; `None` if no model was dear then.
    pub fn of_version(facts: &serde_json::Value) -> Option<Self> {
        serde_json::from_value(facts.pointer("/facts/dear")?.clone()).ok()
    }

    /// For the pages.
    pub fn record(&self) -> DearRecord {
        let models = self.bandit.known().map(|(model, periods, loss)| DearModel { model: model.to_owned(), periods, loss });
        DearRecord { chosen: self.bandit.chosen().unwrap_or_default().to_owned(), models: models.collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use sellcast_domain::{CategoryId, Origin, Period, ProductId, Stage};
    use sellcast_features::{Target, TargetRow};

    use super::*;
    use crate::cold_start::Launches;
    use crate::ledger::ForecastPeriod;
    use crate::models::kind::ModelSet;

    fn settings() -> Settings {
        Settings { dear: ModelSet::CORE.with(ModelKind::Neural).with(ModelKind::Theta), ..Settings::default() }
    }

    /// A week in which ten products sold ten each and `model` said how much.
    fn week(number: i64, model: ModelKind, said: f32) -> ScoredPeriod {
        let start: ShopDay = "2017-06-05".parse().expect("a day");
        let products: Vec<ProductId> = (1..=10).map(ProductId::from).collect();
        let row = |product: &ProductId| (*product, TargetRow { category: CategoryId::from(1), amount: 10.0, quantity: 1.0 });
        let target = Target { rows: products.iter().map(row).collect::<HashMap<_, _>>() };
        let all = |value: f32| vec![value; products.len()];
        let forecast = ForecastPeriod {
            period: Period::starting(TimeFrame::Week, start + 7 * number),
            origin: Origin::Published,
            stage: Stage::Models,
            categories: vec![CategoryId::from(1); products.len()],
            candidates: BTreeMap::from([("gbm_amount".to_owned(), all(9.0)), (model.name().to_owned(), all(said))]),
            launches: Launches::default(),
            membership: all(f32::NAN),
            activity: all(1.0),
            age: all(300.0),
            wide: Vec::new(),
            chances: Vec::new(),
            amount: all(9.0),
            quantity: all(1.0),
            units: all(1.0),
            low: all(0.0),
            high: all(20.0),
            confidence: all(0.5),
            rank: (1..=10).collect(),
            rank_interval: Vec::new(),
            category_confidence: all(0.5),
            products,
        };
        (forecast, target)
    }

    #[test]
    fn without_dear_models_nothing_is_chosen() {
        assert_eq!(DearModels::next(None, &Settings::default(), TimeFrame::Week, &[]), None);
        let trained = Settings { models: settings().dear, ..settings() };
        assert_eq!(DearModels::next(None, &trained, TimeFrame::Week, &[]), None, "what is always trained is not dear");
    }

    #[test]
    fn the_better_one_is_chosen_more_often_and_each_period_counts_once() {
        let (mut state, mut chosen, mut weeks) = (None, Vec::new(), Vec::new());
        for number in 0..40 {
            let next = DearModels::next(state.as_ref(), &settings(), TimeFrame::Week, &weeks).expect("two are dear");
            let kind = next.chosen().expect("one of them");
            // Noise that does not depend on the model.
            let noise = (number % 3) as f32 * 0.2;
            weeks.push(week(number, kind, if kind == ModelKind::Neural { 9.5 } else { 8.0 } - noise));
            weeks.drain(..weeks.len().saturating_sub(8));
            chosen.push(kind);
            state = Some(next);
        }
        let state = DearModels::next(state.as_ref(), &settings(), TimeFrame::Week, &weeks).expect("two are dear");
        let record = state.record();
        assert_eq!(record.models.iter().map(|model| model.periods).sum::<u64>(), 40, "{record:?}");
        assert!(chosen.iter().filter(|kind| **kind == ModelKind::Neural).count() > 30, "{record:?}");
        let neural = record.models.iter().find(|model| model.model == "neural").expect("it is dear");
        assert!(neural.loss.expect("it was tried") < 0.0, "better than the usual model: {record:?}");
        assert_eq!(DearModels::next(Some(&state), &settings(), TimeFrame::Week, &weeks), Some(state), "nothing new, nothing learnt");
    }

    #[test]
    fn the_same_past_gives_the_same_choice_and_survives_the_registry() {
        let weeks = [week(0, ModelKind::Neural, 9.5), week(1, ModelKind::Theta, 7.0), week(2, ModelKind::Neural, 9.0)];
        let state = DearModels::next(None, &settings(), TimeFrame::Week, &weeks);
        assert_eq!(state, DearModels::next(None, &settings(), TimeFrame::Week, &weeks));
        let kept = serde_json::json!({ "facts": { "dear": state } });
        assert_eq!(DearModels::of_version(&kept), state);
        assert_eq!(DearModels::of_version(&serde_json::json!({ "facts": {} })), None);
    }

    #[test]
    fn a_model_that_is_no_longer_dear_is_forgotten_and_a_new_one_is_tried_next() {
        let weeks = [week(0, ModelKind::Neural, 9.5), week(1, ModelKind::Theta, 9.4)];
        let state = DearModels::next(None, &settings(), TimeFrame::Week, &weeks).expect("two are dear");
        let changed = Settings { dear: ModelSet::CORE.with(ModelKind::Neural).with(ModelKind::Tsb), ..settings() };
        let next = DearModels::next(Some(&state), &changed, TimeFrame::Week, &weeks).expect("two are dear");
        assert_eq!(next.chosen(), Some(ModelKind::Tsb));
        let known: Vec<_> = next.record().models.into_iter().map(|model| (model.model, model.periods)).collect();
        assert_eq!(known, [("neural".to_owned(), 1), ("tsb".to_owned(), 0)]);
    }
}
