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
        Ok(Some(Self { definitions, calendar, first_day: as_of - oldest as i64, set }))
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
        change(&self.set.names, &mut changed, question, self.set.as_of);
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
fn change(names: &[String], values: &mut [f32], question: &WhatIfQuestion, as_of: ShopDay) {
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
        if let (Some(relative), Some(before)) = (at("price_in_category"), usual.or(recent)) {
            values[relative] *= price / before;
        }
    }
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
        change(&names, &mut values, &question, "2017-12-04".parse().expect("a day"));
        assert_eq!(values, [60.0, 60.0, 14.0, 90.0, 3.0, 3.0, 4.0, 0.75, 1.125, 77.0]);
    }
}
