//! What a live forecast needs of the warehouse: which categories count under which forecast one, how the sales of each spread
//! over the hours of the week, and how much they scatter around that.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use sellcast_domain::{CategoryId, Dispersion, HourlySales, SalesProfile, Scatter, ShopDay};
use sellcast_warehouse::Warehouse;

use crate::error::{Context, FeatureError};

/// Days from which profiles are learnt.
const DAYS: i64 = 56;
/// A category is taken to sell as the whole shop does, and to scatter as all categories do, until it has sold this many lines itself.
const LINES_OF_SHOP: f64 = 200.0;

/// How the shop's categories sell over the week.
#[derive(Clone, Debug)]
pub struct SellingHours {
    /// Each category with the one at the forecast level that its sales count under.
    pub groups: Vec<(CategoryId, CategoryId)>,
    shop: Arc<SalesProfile>,
    /// For a category that has not sold.
    other: Arc<SalesProfile>,
    categories: HashMap<CategoryId, Arc<SalesProfile>>,
}

impl Default for SellingHours {
    fn default() -> Self {
        let uniform = Arc::new(SalesProfile::uniform());
        Self { groups: Vec::new(), shop: uniform.clone(), other: uniform, categories: HashMap::new() }
    }
}

impl SellingHours {
    /// Learns from the eight weeks before `as_of`.
    ///
    /// # Errors
    /// When the warehouse cannot be read.
    pub async fn read(warehouse: &Warehouse, as_of: ShopDay) -> Result<Self, FeatureError> {
        let session = warehouse.session().await?;
        let what = || "forecast categories";
        let groups =
            "select category_id, forecast_category_id from dim_category where not is_excluded and forecast_category_id is not null";
        let mut hours = Self::default();
        for batch in session.sql(groups).await.while_computing(what())?.collect().await.while_computing(what())? {
            let (category, group) =
                (batch["category_id"].as_primitive::<Int64Type>(), batch["forecast_category_id"].as_primitive::<Int64Type>());
            hours.groups.extend((0..batch.num_rows()).map(|row| (category.value(row).into(), group.value(row).into())));
        }
        let what = || "sales by hour";
        let batches = session.sql(&sql(warehouse, as_of)).await.while_computing(what())?.collect().await.while_computing(what())?;
        let none = || HourlySales::none(as_of - DAYS, DAYS as usize);
        let mut sold: HashMap<CategoryId, HourlySales> = HashMap::new();
        for batch in &batches {
            let number = |name: &str| batch[name].as_primitive::<Float64Type>();
            let (category, hour) = (batch["category_id"].as_primitive::<Int64Type>(), batch["hour"].as_primitive::<Int64Type>());
            let (day, amount, lines) = (batch["day"].as_primitive::<Int32Type>(), number("amount"), number("lines"));
            for row in 0..batch.num_rows() {
                let of_category = sold.entry(category.value(row).into()).or_insert_with(none);
                let hour = usize::try_from(hour.value(row)).unwrap_or_default();
                of_category.add(ShopDay::from_epoch_days(day.value(row)), hour, amount.value(row), lines.value(row));
            }
        }
        hours.learn(&sold, none());
        Ok(hours)
    }

    fn learn(&mut self, sold: &HashMap<CategoryId, HourlySales>, mut all: HourlySales) {
        sold.values().for_each(|sold| all += sold);
        let shop = SalesProfile::learnt(&all, &SalesProfile::uniform(), LINES_OF_SHOP);
        let learnt: Vec<(CategoryId, SalesProfile, Scatter)> = sold
            .iter()
            .map(|(category, sold)| {
                let profile = SalesProfile::learnt(sold, &shop, LINES_OF_SHOP);
                let scatter = Scatter::of(sold, &profile);
                (*category, profile, scatter)
            })
            .collect();
        let mut of_categories = Scatter::default();
        learnt.iter().for_each(|(_, _, scatter)| of_categories += *scatter);
        let common = of_categories.dispersion(Dispersion::POISSON, LINES_OF_SHOP);
        self.other = Arc::new(shop.clone().dispersed(common));
        let of_shop = Scatter::of(&all, &shop).dispersion(common, LINES_OF_SHOP);
        self.shop = Arc::new(shop.dispersed(of_shop));
        self.categories = learnt
            .into_iter()
            .map(|(category, profile, scatter)| (category, Arc::new(profile.dispersed(scatter.dispersion(common, LINES_OF_SHOP)))))
            .collect();
    }

    /// The profile of a forecast category; of the whole shop without one.
    pub fn of(&self, category: Option<CategoryId>) -> Arc<SalesProfile> {
        category.map_or(&self.shop, |category| self.categories.get(&category).unwrap_or(&self.other)).clone()
    }
}

fn sql(warehouse: &Warehouse, as_of: ShopDay) -> String {
    r#"
    select category_id, day, hour, sum(amount) as amount, cast(count(*) as double) as lines from (
      select c.forecast_category_id as category_id, cast(f.total_price as double) as amount, cast(f.date_id as int) as day,
             cast(date_part('hour', to_local_time(arrow_cast(f.occurred_at, 'Timestamp(Microsecond, Some("ZONE"))'))) as bigint) as hour
      from fact_sales f join dim_category c on f.category_id = c.category_id
      where not c.is_excluded and c.forecast_category_id is not null and f.month >= 'MONTH'
        and cast(f.date_id as int) >= FIRST and cast(f.date_id as int) < AS_OF)
    group by category_id, day, hour"#
        .replace("ZONE", warehouse.settings().time_zone.name())
        .replace("MONTH", &(as_of - DAYS).date().format("%Y-%m").to_string())
        .replace("FIRST", &(as_of - DAYS).epoch_days().to_string())
        .replace("AS_OF", &as_of.epoch_days().to_string())
}
