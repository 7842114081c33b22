//! What the models would say of a product at another price or under another promotion: its features are changed as the
//! change would have made them, and the candidates forecast it once more.

use sellcast_domain::{Driver, Period, ShopDay, WhatIfQuestion};
use sellcast_features::{Calendar, Definitions, FeatureSet, OfflineStore};
use sellcast_warehouse::Warehouse;

use crate::candidates::Candidates;
use crate::error::ForecastError;
use crate::explain::drivers;
use crate::rows::Rows;
use crate::train::FrameModels;

/// Everything that questions about one generation need.
#[derive(Clone, Debug)]
pub struct WhatIfBasis {
    definitions: Definitions,
    calendar: Calendar,
    set: FeatureSet,
    first_day: ShopDay,
    /// What a unit of a display and of a mailer is worth in this shop, as the features say.
    lifts: [f64; 2],
}

/// How a change moves a product's forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Amount under the change over the amount as it is.
    pub amount_ratio: f64,
    /// Reasons as it is.
    pub drivers: Vec<Driver>,
    /// Reasons under the change.
    pub changed_drivers: Vec<Driver>,
}

impl WhatIfBasis {
    /// Reads what the offline store kept for forecasts from `as_of` on; `None` if it kept nothing.
    ///
    /// # Errors
    /// When the warehouse cannot be read.
    pub async fn load(warehouse: &Warehouse, as_of: ShopDay) -> Result<Option<Self>, ForecastError> {
        let definitions = Definitions::current();
        let Some(set) = OfflineStore::new(warehouse, &definitions).kept(as_of).await? else { return Ok(None) };
        let calendar = Calendar::load(warehouse).await?;
        // The longest-selling product's age stands for the history's; both count up to a year.
        let ages = set.column("days_since_first_sale").unwrap_or_default();
        let oldest = ages.into_iter().filter(|age| age.is_finite()).fold(1.0_f32, f32::max);
        Ok(Some(Self { definitions, calendar, first_day: as_of - oldest as i64, lifts: lifts(&set), set }))
    }

    /// The response to a change, each candidate weighing as published (`weights`: model and weight). `models` must read no
    /// history ([`FrameModels::without_history`]); candidates that do, or that are no models, stay as they are. `None` for a
    /// product without sales in the year before.
    ///
    /// # Errors
    /// When a model refuses the features.
    pub fn respond(
        &self,
        question: &WhatIfQuestion,
        published_amount: f64,
        models: &FrameModels,
        weights: &[(String, f64)],
    ) -> Result<Option<Response>, ForecastError> {
        let Some(row) = self.set.products.iter().position(|product| *product == question.product_id) else { return Ok(None) };
        let set = |values: Vec<f32>| FeatureSet {
            as_of: self.set.as_of,
            version: self.set.version.clone(),
            products: vec![self.set.products[row]],
            categories: vec![self.set.categories[row]],
            names: self.set.names.clone(),
            values,
        };
        let mut changed = self.set.row(row).to_vec();
        change(&self.set.names, &mut changed, question, self.set.as_of, self.lifts);
        let rows = |values: Vec<f32>| Rows::new(&set(values), question.time_frame, &self.calendar, self.first_day);
        let (as_it_is, changed) = (rows(self.set.row(row).to_vec()), rows(changed));
        let (before, after) = (Candidates::of(&as_it_is, Some(models), None)?, Candidates::of(&changed, Some(models), None)?);
        let combined = |candidates: &Candidates| -> (f64, f64) {
            let known = weights.iter().filter_map(|(model, weight)| Some((*weight, f64::from(candidates.amounts.get(model)?[0]))));
            known.fold((0.0, 0.0), |sum, (weight, amount)| (sum.0 + weight * amount, sum.1 + weight))
        };
        let ((after, answering), (before, _)) = (combined(&after), combined(&before));
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let share = if total > 0.0 { (answering / total).clamp(0.0, 1.0) } else { 0.0 };
        let ratio = if before > 1e-9 { (after / before).clamp(0.0, 1_000.0) } else { 1.0 };
        let amount_ratio = share * ratio + (1.0 - share);
        let told =
            |rows: &Rows, amount: f64| drivers(models, &self.definitions, rows, &[amount as f32], &[0]).map(|mut told| told.swap_remove(0));
        Ok(Some(Response {
            amount_ratio,
            drivers: told(&as_it_is, published_amount)?,
            changed_drivers: told(&changed, published_amount * amount_ratio)?,
        }))
    }

    /// Mean price of a unit lately, as the features know it.
    pub fn price(&self, product: sellcast_domain::ProductId) -> Option<f64> {
        let row = self.set.products.iter().position(|known| *known == product)?;
        let value = |name: &str| self.set.names.iter().position(|known| known == name).map(|at| f64::from(self.set.row(row)[at]));
        ["price_28d", "price_91d"].into_iter().filter_map(value).find(|price| price.is_finite() && *price > 0.0)
    }
}

/// Changes one product's features. A promotion covers the whole period, in place of what is planned of its kind. The
/// models know prices from sales: another price stands for one at which it has sold in the last four weeks.
fn change(names: &[String], values: &mut [f32], question: &WhatIfQuestion, as_of: ShopDay, lifts: [f64; 2]) {
    let at = |name: &str| names.iter().position(|known| known == name);
    if let Some(promotion) = question.promotion {
        let kind = promotion.kind.name();
        let days = Period::starting(question.time_frame, as_of).days() as f64;
        for (stretch, length) in [("day", 1.0), ("week", 7.0), ("month", 30.0)] {
            let Some(own) = at(&format!("{kind}_next_{stretch}")) else { continue };
            let mean = (promotion.strength * days.min(length) / length) as f32;
            let difference = mean - values[own];
            values[own] = mean;
            if let Some(all) = at(&format!("category_{kind}_next_{stretch}")) {
                values[all] = (values[all] + difference).max(0.0);
            }
            let strength = |kind: &str| at(&format!("{kind}_next_{stretch}")).map_or(0.0, |at| f64::from(values[at]));
            let lift = strength("display") * lifts[0] + strength("mailer") * lifts[1];
            if let Some(planned) = at(&format!("planned_lift_{stretch}")) {
                values[planned] = lift as f32;
            }
            if stretch == "week" {
                for weeks in ["8w", "26w"] {
                    if let (Some(planned), Some(plain)) = (at(&format!("planned_{weeks}")), at(&format!("plain_{weeks}"))) {
                        values[planned] = (f64::from(values[plain]) * (1.0 + lift).max(0.2)) as f32;
                    }
                }
            }
        }
    }
    if let Some(price) = question.price {
        let price = price.to_f64() as f32;
        let usual = at("price_91d").map(|at| values[at]).filter(|usual| usual.is_finite() && *usual > 0.0);
        let recent = at("price_28d").map(|at| values[at]).filter(|recent| recent.is_finite() && *recent > 0.0);
        if let Some(recent_price) = at("price_28d") {
            values[recent_price] = price;
        }
        if let (Some(change), Some(usual)) = (at("price_change"), usual) {
            values[change] = price / usual;
        }
        for (relative, before) in
            [("price_in_category", usual.or(recent)), ("price_against_usual", recent), ("last_price_against_usual", recent)]
        {
            if let (Some(relative), Some(before)) = (at(relative), before) {
                values[relative] *= price / before;
            }
        }
    }
}

/// The worth of a unit of each kind of promotion: the features tell it only as sums over both kinds (`planned_lift_week` =
/// display x worth + mailer x worth), so it is solved for by least squares. Nothing where no product has a promotion.
fn lifts(set: &FeatureSet) -> [f64; 2] {
    let told = [
        ("planned_lift_day", "next_day"),
        ("planned_lift_week", "next_week"),
        ("planned_lift_month", "next_month"),
        ("lift_last_week", "last_week"),
        ("lift_last_8w", "last_8w"),
    ];
    let (mut dd, mut dm, mut mm, mut dl, mut ml) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (lift, when) in told {
        let column = |name: String| set.column(&name);
        let (Some(lift), Some(display), Some(mailer)) =
            (set.column(lift), column(format!("display_{when}")), column(format!("mailer_{when}")))
        else {
            continue;
        };
        for ((lift, display), mailer) in lift.into_iter().zip(display).zip(mailer) {
            let (lift, display, mailer) = (f64::from(lift), f64::from(display), f64::from(mailer));
            if lift.is_finite() && display.is_finite() && mailer.is_finite() {
                dd += display * display;
                dm += display * mailer;
                mm += mailer * mailer;
                dl += display * lift;
                ml += mailer * lift;
            }
        }
    }
    let determinant = dd * mm - dm * dm;
    if determinant > 1e-9 * dd * mm && determinant > 0.0 {
        return [(dl * mm - ml * dm) / determinant, (ml * dd - dl * dm) / determinant];
    }
    // A single kind of promotion, or both always together: then neither can be told apart from the other.
    [if dd > 0.0 { dl / dd } else { 0.0 }, if mm > 0.0 && dd == 0.0 { ml / mm } else { 0.0 }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sellcast_domain::{Money, PromotionKind, TimeFrame, WhatIfPromotion};

    #[test]
    fn a_change_moves_the_features_that_it_would_have_moved_and_no_others() {
        let names: Vec<String> = [
            "mailer_next_day",
            "mailer_next_week",
            "mailer_next_month",
            "category_mailer_next_week",
            "display_next_week",
            "price_28d",
            "price_91d",
            "price_change",
            "price_in_category",
            "week_1",
        ]
        .map(str::to_owned)
        .to_vec();
        let mut values = vec![0.0, 10.0, 5.0, 40.0, 3.0, 2.0, 4.0, 0.5, 1.5, 77.0];
        let question = WhatIfQuestion {
            product_id: 1.into(),
            time_frame: TimeFrame::Week,
            price: Some(Money::from_cents(300)),
            promotion: Some(WhatIfPromotion { kind: PromotionKind::Mailer, strength: 60.0 }),
        };
        change(&names, &mut values, &question, "2017-12-04".parse().expect("a day"), [0.0, 0.0]);
        assert_eq!(values, [60.0, 60.0, 14.0, 90.0, 3.0, 3.0, 4.0, 0.75, 1.125, 77.0]);
    }

    fn set(names: &[&str], rows: &[&[f32]]) -> FeatureSet {
        FeatureSet {
            as_of: "2017-12-04".parse().expect("a day"),
            version: "test".to_owned(),
            products: (1..).take(rows.len()).map(|id: i64| id.into()).collect(),
            categories: vec![1.into(); rows.len()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            values: rows.concat(),
        }
    }

    #[test]
    fn the_worth_of_each_kind_of_promotion_is_read_from_the_features() {
        let names = ["display_next_week", "mailer_next_week", "planned_lift_week"];
        let both = lifts(&set(&names, &[&[10.0, 0.0, 0.5], &[0.0, 20.0, 0.4], &[10.0, 20.0, 0.9], &[0.0, 0.0, 0.0]]));
        assert!((both[0] - 0.05).abs() < 1e-6 && (both[1] - 0.02).abs() < 1e-6, "{both:?}");
        let mailers = lifts(&set(&names, &[&[0.0, 20.0, 0.4], &[0.0, 0.0, 0.0]]));
        assert!(mailers[0] == 0.0 && (mailers[1] - 0.02).abs() < 1e-6, "{mailers:?}");
        assert_eq!(lifts(&set(&names, &[&[0.0, 0.0, 0.0]])), [0.0, 0.0]);
    }

    #[test]
    fn a_planned_promotion_moves_what_is_expected_of_it() {
        let names = ["display_next_week", "mailer_next_week", "planned_lift_week", "plain_8w", "planned_8w"].map(str::to_owned);
        let mut values = vec![10.0, 0.0, 0.5, 100.0, 150.0];
        let question = WhatIfQuestion {
            product_id: 1.into(),
            time_frame: TimeFrame::Week,
            price: None,
            promotion: Some(WhatIfPromotion { kind: PromotionKind::Display, strength: 40.0 }),
        };
        change(&names, &mut values, &question, "2017-12-04".parse().expect("a day"), [0.05, 0.02]);
        assert_eq!(values, [40.0, 0.0, 2.0, 100.0, 300.0]);
    }
}
