//! Cold start: products that never sold, or were first sold less than four weeks ago, are forecast beside the models from the
//! launches of similar products, which are named. How much that counts is learnt by age ([`LaunchWeights`]).
//!
//! Only what was known at as_of is looked at: the catalogue's rows of that day, sales visible then and promotions announced
//! then. A catalogue's price is left out, because it may have come with the first sale.

mod curves;
mod history;
mod similar;
mod told;
mod weights;

use std::collections::BTreeMap;

use sellcast_domain::{CategoryId, ProductId, ShopDay, TimeFrame};
use sellcast_features::{FeatureSet, Panel};

use crate::error::ForecastError;
use crate::forecaster::Forecaster;
use crate::rows::Rows;
use curves::{Curves, LIKELY, YOUNG_DAYS, chances};
use history::{Newcomer, Newcomers};
pub(crate) use told::Teller;
pub(crate) use weights::LaunchWeights;

/// What launch curves say of the rows of a forecast. Empty where none was drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launches {
    /// Expected amount of each row; NaN for products that are not new.
    pub amount: Vec<f32>,
    /// Days since the first sale, 0 for products that never sold; NaN for products that are not new.
    pub age: Vec<f32>,
}

impl Launches {
    /// Whether the row is of a product that never sold.
    pub(crate) fn is_unsold(&self, row: usize) -> bool {
        self.age.get(row).is_some_and(|age| *age == 0.0)
    }
}

/// A product that never sold and takes part in a forecast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsold<'a> {
    newcomer: &'a Newcomer,
    pub(crate) amount: f32,
    pub(crate) units: f32,
}

impl Unsold<'_> {
    pub(crate) fn product(&self) -> ProductId {
        self.newcomer.id
    }

    pub(crate) fn category(&self) -> CategoryId {
        self.newcomer.category
    }
}

/// What is known of new products at one as_of.
#[derive(Clone, Debug)]
pub(crate) struct ColdStart {
    newcomers: Newcomers,
    /// Chance of a first sale within the week.
    chances: BTreeMap<ProductId, f64>,
}

impl ColdStart {
    pub(crate) async fn load(panel: &Panel, as_of: ShopDay) -> Result<Self, ForecastError> {
        let newcomers = Newcomers::load(panel, as_of).await?;
        let chances = chances(&newcomers);
        Ok(Self { newcomers, chances })
    }

    /// Adds what launch curves say, and a row for each product that never sold and more likely than not will within a week.
    pub(crate) fn extend(&self, rows: Rows) -> Rows {
        let mut curves = Curves::new(&self.newcomers, rows.period.days() as i32);
        let mut launches = Launches { amount: vec![f32::NAN; rows.len()], age: vec![f32::NAN; rows.len()] };
        for (row, product) in rows.products.iter().enumerate() {
            let Some(newcomer) = self.newcomers.get(*product) else { continue };
            let Some(age) = self.young(newcomer) else { continue };
            if let Some(amount) = curves.amount(newcomer) {
                (launches.amount[row], launches.age[row]) = (amount as f32, age as f32);
            }
        }
        let likely = self.newcomers.all.iter().filter_map(|newcomer| {
            let chance = self.chances.get(&newcomer.id).copied().filter(|chance| *chance >= LIKELY)?;
            let amount = (chance * curves.amount(newcomer).unwrap_or(0.0)) as f32;
            Some(Unsold { newcomer, amount, units: amount / curves.price(newcomer) })
        });
        let likely: Vec<Unsold<'_>> = likely.collect();
        rows.with_launches(launches, &likely)
    }

    /// Days since the first sale of a product that is young.
    fn young(&self, newcomer: &Newcomer) -> Option<i32> {
        let age = self.newcomers.as_of - newcomer.first?;
        (1..=YOUNG_DAYS).contains(&age).then_some(age)
    }
}

impl Forecaster<'_> {
    /// The rows of a feature set for one frame, with what launch curves say of new products.
    pub(crate) async fn rows(&self, set: &FeatureSet, frame: TimeFrame) -> Result<Rows, ForecastError> {
        let cold = ColdStart::load(&self.panel, set.as_of).await?;
        let rows = Rows::new(set, frame, &self.calendar, self.panel.first_day());
        Ok(tokio::task::block_in_place(|| cold.extend(rows)))
    }
}
