//! Names, brands and prices of products and the tree of categories, as the newest ingest left them.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use sellcast_domain::{CategoryId, Money, ProductId};

use crate::error::ForecastError;
use crate::forecaster::Forecaster;

/// Names and the like, as of the newest ingest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) products: HashMap<ProductId, Product>,
    pub(crate) by_category: BTreeMap<CategoryId, Vec<ProductId>>,
    pub(crate) categories: HashMap<CategoryId, (String, Vec<String>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) name: String,
    pub(crate) brand: Option<String>,
    pub(crate) price: Option<Money>,
}

impl Catalogue {
    pub(crate) async fn load(forecaster: &Forecaster<'_>) -> Result<Self, ForecastError> {
        let session = forecaster.warehouse.session().await?;
        let mut catalogue = Self::default();
        let sql = "select category_id, cast(name as varchar) as name, parent_category_id from dim_category";
        let mut parents: HashMap<CategoryId, CategoryId> = HashMap::new();
        let mut names: HashMap<CategoryId, String> = HashMap::new();
        for batch in session.sql(sql).await?.collect().await? {
            let (ids, parent) = (batch["category_id"].as_primitive::<Int64Type>(), batch["parent_category_id"].as_primitive::<Int64Type>());
            for (row, name) in text(&batch["name"])?.into_iter().enumerate() {
                let id = CategoryId::from(ids.value(row));
                names.insert(id, name.unwrap_or_default());
                if parent.is_valid(row) {
                    parents.insert(id, parent.value(row).into());
                }
            }
        }
        for (id, name) in &names {
            let (mut path, mut at) = (Vec::new(), *id);
            while let Some(parent) = parents.get(&at).filter(|_| path.len() < 32) {
                path.insert(0, names.get(parent).cloned().unwrap_or_default());
                at = *parent;
            }
            catalogue.categories.insert(*id, (name.clone(), path));
        }
        let sql = r"select p.product_id, cast(p.name as varchar) as name, cast(p.brand as varchar) as brand,
                    cast(p.current_price as double) as price, c.forecast_category_id as category
                    from dim_product p join dim_category c on p.category_id = c.category_id
                    where p.is_current and not c.is_excluded and c.forecast_category_id is not null order by p.product_id";
        for batch in session.sql(sql).await?.collect().await? {
            let id = |name: &str| batch[name].as_primitive::<Int64Type>();
            let (ids, categories, prices) = (id("product_id"), id("category"), batch["price"].as_primitive::<Float64Type>());
            let (names, brands) = (text(&batch["name"])?, text(&batch["brand"])?);
            for row in 0..batch.num_rows() {
                let price = prices.is_valid(row).then(|| prices.value(row)).and_then(|p| Money::try_from(p).ok());
                let product =
                    Product { name: names[row].clone().unwrap_or_default(), brand: brands[row].clone().filter(|b| !b.is_empty()), price };
                catalogue.products.insert(ids.value(row).into(), product);
                catalogue.by_category.entry(categories.value(row).into()).or_default().push(ids.value(row).into());
            }
        }
        Ok(catalogue)
    }
}

fn text(column: &arrow::array::ArrayRef) -> Result<Vec<Option<String>>, ForecastError> {
    let column = arrow::compute::cast(column, &DataType::Utf8).map_err(datafusion::error::DataFusionError::from)?;
    Ok(column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect())
}
