//! What a live forecast needs of the warehouse: which categories count under which forecast one, and how the sales of each spread
//! over the hours of the week.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use sellcast_domain::{CategoryId, SalesProfile, ShopDay};
use sellcast_warehouse::Warehouse;

use crate::error::{Context, FeatureError};

/// Days from which profiles are learnt.
const DAYS: i64 = 56;
/// A category is taken to sell as the whole shop does until it has sold this many lines itself.
const LINES_OF_SHOP: f64 = 200.0;

/// How the shop's categories sell over the week.
#[derive(Clone, Debug)]
pub struct SellingHours {
    /// Each category with the one at the forecast level that its sales count under.
    pub groups: Vec<(CategoryId, CategoryId)>,
    shop: Arc<SalesProfile>,
    categories: HashMap<CategoryId, Arc<SalesProfile>>,
}

impl Default for SellingHours {
    fn default() -> Self {
        Self { groups: Vec::new(), shop: Arc::new(SalesProfile::uniform()), categories: HashMap::new() }
    }
}

impl SellingHours {
    /// Learns from the eight weeks before `as_of`.
    ///
    /// # Errors
    /// When the warehouse cannot be read.
    pub async fn read(warehouse: &Warehouse, as_of: ShopDay) -> Result<Self, FeatureError> {
        let session = warehouse.session().await?;
        let groups =
            "select category_id, forecast_category_id from dim_category where not is_excluded and forecast_category_id is not null";
        let mut hours = Self::default();
        for batch in
            session.sql(groups).await.while_computing("forecast categories")?.collect().await.while_computing("forecast categories")?
        {
            let (category, group) =
                (batch["category_id"].as_primitive::<Int64Type>(), batch["forecast_category_id"].as_primitive::<Int64Type>());
            hours.groups.extend((0..batch.num_rows()).map(|row| (category.value(row).into(), group.value(row).into())));
        }
        let what = || "sales by hour of the week";
        let batches = session.sql(&sql(warehouse, as_of)).await.while_computing(what())?.collect().await.while_computing(what())?;
        let mut sold: HashMap<CategoryId, [f64; 168]> = HashMap::new();
        let (mut shop, mut lines, mut amount) = ([0.0; 168], 0.0, 0.0);
        for batch in &batches {
            let number = |name: &str| batch[name].as_primitive::<Float64Type>();
            let (category, hour) = (batch["category_id"].as_primitive::<Int64Type>(), batch["hour"].as_primitive::<Int64Type>());
            let (amounts, counts) = (number("amount"), number("lines"));
            for row in 0..batch.num_rows() {
                let place = usize::try_from(hour.value(row)).unwrap_or_default().min(167);
                sold.entry(category.value(row).into()).or_insert([0.0; 168])[place] += amounts.value(row);
                shop[place] += amounts.value(row);
                (lines, amount) = (lines + counts.value(row), amount + amounts.value(row));
            }
        }
        let a_line = if lines > 0.0 { (amount / lines).max(0.0) } else { 0.0 };
        hours.shop = Arc::new(SalesProfile::learnt(&shop, &SalesProfile::uniform(), LINES_OF_SHOP * a_line));
        let learnt = |sold: [f64; 168]| Arc::new(SalesProfile::learnt(&sold, &hours.shop, LINES_OF_SHOP * a_line));
        hours.categories = sold.into_iter().map(|(category, sold)| (category, learnt(sold))).collect();
        Ok(hours)
    }

    /// The profile of a forecast category; the whole shop's for one that has not sold.
    pub fn of(&self, category: CategoryId) -> Arc<SalesProfile> {
        self.categories.get(&category).unwrap_or(&self.shop).clone()
    }
}

fn sql(warehouse: &Warehouse, as_of: ShopDay) -> String {
    r#"
    select category_id, (dow + 6) % 7 * 24 + hour as hour, sum(amount) as amount, cast(count(*) as double) as lines from (
      select c.forecast_category_id as category_id, cast(f.total_price as double) as amount,
             cast(date_part('dow', to_local_time(arrow_cast(f.occurred_at, 'Timestamp(Microsecond, Some("ZONE"))'))) as bigint) as dow,
             cast(date_part('hour', to_local_time(arrow_cast(f.occurred_at, 'Timestamp(Microsecond, Some("ZONE"))'))) as bigint) as hour
      from fact_sales f join dim_category c on f.category_id = c.category_id
      where not c.is_excluded and c.forecast_category_id is not null and f.month >= 'MONTH'
        and cast(f.date_id as int) >= FIRST and cast(f.date_id as int) < AS_OF)
    group by category_id, dow, hour"#
        .replace("ZONE", warehouse.settings().time_zone.name())
        .replace("MONTH", &(as_of - DAYS).date().format("%Y-%m").to_string())
        .replace("FIRST", &(as_of - DAYS).epoch_days().to_string())
        .replace("AS_OF", &as_of.epoch_days().to_string())
}
