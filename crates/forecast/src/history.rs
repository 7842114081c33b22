//! Weekly sales for the charts of a generation.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use sellcast_domain::{CategoryHistory, CategoryId, PredictionDocument, ProductHistory, ProductId, ShopDay};

use crate::amounts::money;
use crate::error::ForecastError;
use crate::forecaster::Forecaster;

/// Weeks of history in charts.
const WEEKS: i64 = 52;

/// Weekly amounts of products.
type ByProduct = BTreeMap<ProductId, Vec<f64>>;

impl Forecaster<'_> {
    /// Weekly sales of every category and of every product that some frame shows in full.
    pub(crate) async fn histories(
        &self,
        as_of: ShopDay,
        predictions: &[PredictionDocument],
    ) -> Result<Vec<CategoryHistory>, ForecastError> {
        let shown: std::collections::HashSet<ProductId> =
            predictions.iter().flat_map(|p| &p.categories).flat_map(|c| &c.top_products).map(|product| product.product_id).collect();
        let weeks = (self.panel.history_days(as_of) / 7).clamp(1, WEEKS);
        let day = as_of.epoch_days();
        let sql = format!(
            "select category_id, product_id, cast(({day} - 1 - day) / 7 as int) as week, sum(amount) as amount from panel \
             where visible_from <= {day} and day < {day} and day >= {day} - {} group by 1, 2, 3",
            weeks * 7
        );
        let mut sums: BTreeMap<CategoryId, (Vec<f64>, ByProduct)> = BTreeMap::new();
        for batch in self.panel.context().sql(&sql).await?.collect().await? {
            let id = |name: &str| batch[name].as_primitive::<Int64Type>();
            let (categories, products, week, amounts) = (
                id("category_id"),
                id("product_id"),
                batch["week"].as_primitive::<Int32Type>(),
                batch["amount"].as_primitive::<Float64Type>(),
            );
            for row in 0..batch.num_rows() {
                let at = (weeks - 1) as usize - (week.value(row) as usize).min(weeks as usize - 1);
                let category = sums.entry(categories.value(row).into()).or_insert_with(|| (vec![0.0; weeks as usize], ByProduct::new()));
                category.0[at] += amounts.value(row);
                let product = ProductId::from(products.value(row));
                if shown.contains(&product) {
                    category.1.entry(product).or_insert_with(|| vec![0.0; weeks as usize])[at] += amounts.value(row);
                }
            }
        }
        let amounts = |values: Vec<f64>| values.into_iter().map(money).collect::<Vec<_>>();
        Ok(sums
            .into_iter()
            .map(|(category_id, (total, products))| CategoryHistory {
                category_id,
                week_starts: (0..weeks).map(|week| as_of - 7 * (weeks - week)).collect(),
                amounts: amounts(total),
                products: products
                    .into_iter()
                    .map(|(product_id, values)| ProductHistory { product_id, amounts: amounts(values) })
                    .collect(),
            })
            .collect())
    }
}
