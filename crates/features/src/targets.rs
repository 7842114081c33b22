//! The truth that a forecast is scored on: what each product really sold in a period.

use std::collections::HashMap;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use sellcast_domain::{CategoryId, Period, ProductId, ShopDay};

use crate::error::{Context, FeatureError};
use crate::panel::Panel;

/// What one product sold in a period. Returns lower the sums, so they may be negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetRow {
    /// Forecast-level category.
    pub category: CategoryId,
    /// Sales, in units of the currency.
    pub amount: f64,
    /// Units.
    pub quantity: f64,
}

/// Every product that sold in a stretch of days, by id.
#[derive(Clone, Debug)]
pub struct Target {
    /// The products that sold.
    pub rows: HashMap<ProductId, TargetRow>,
}

impl Target {
    /// Reads the truth of `period`; for training, only as far as it was known before `known_before` began.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load(panel: &Panel, period: Period, known_before: Option<ShopDay>) -> Result<Self, FeatureError> {
        Self::between(panel, period.start(), period.last_day(), known_before).await
    }

    /// The same for any stretch of days, both ends included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn between(panel: &Panel, first: ShopDay, last: ShopDay, known_before: Option<ShopDay>) -> Result<Self, FeatureError> {
        let known = known_before.map_or(i32::MAX, |day| day.epoch_days());
        let sql = format!(
            "select product_id, category_id, sum(amount) as amount, sum(quantity) as quantity from panel \
             where day between {} and {} and visible_from <= {known} group by product_id, category_id",
            first.epoch_days(),
            last.epoch_days(),
        );
        let what = || format!("sales from {first} to {last}");
        let batches = panel.context.sql(&sql).await.while_computing(what())?.collect().await.while_computing(what())?;
        let mut rows = HashMap::new();
        for batch in &batches {
            let id = |name: &str| batch[name].as_primitive::<Int64Type>();
            let number = |name: &str| batch[name].as_primitive::<Float64Type>();
            let (products, categories, amounts, quantities) = (id("product_id"), id("category_id"), number("amount"), number("quantity"));
            for row in 0..batch.num_rows() {
                let target =
                    TargetRow { category: categories.value(row).into(), amount: amounts.value(row), quantity: quantities.value(row) };
                rows.insert(ProductId::from(products.value(row)), target);
            }
        }
        Ok(Self { rows })
    }
}
