//! Computes one feature set: every product that sold within a year before as_of and that the shop still had, one row each.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Int64Type};
use datafusion::common::DataFusionError;
use datafusion::common::runtime::SpawnedTask;
use sellcast_domain::{CategoryId, ProductId, ShopDay};

use crate::among::Among;
use crate::definitions::{DefinitionKind, Definitions, PART, STAGES, StageForm};
use crate::error::{Context, FeatureError};
use crate::panel::{Panel, materialise};

/// Features of all active products at one as_of, ordered by product id. Missing values are NaN.
#[derive(Clone, Debug)]
pub struct FeatureSet {
    /// Known before this day began.
    pub as_of: ShopDay,
    /// Version of the definitions.
    pub version: String,
    /// One per row.
    pub products: Vec<ProductId>,
    /// Forecast-level category of each row.
    pub categories: Vec<CategoryId>,
    /// Column names.
    pub names: Vec<String>,
    /// Row-major, `products.len() x names.len()`.
    pub values: Vec<f32>,
}

impl FeatureSet {
    /// Computes the set from the panel.
    ///
    /// # Errors
    /// When the engine refuses a definition.
    pub async fn compute(panel: &Panel, definitions: &Definitions, as_of: ShopDay) -> Result<Self, FeatureError> {
        let batch = Self::compute_batch(panel, definitions, as_of, cores()).await?;
        Self::from_batch(&batch, definitions, as_of)
    }

    /// Sets of several panels or days, in their order. One on each core costs less than one after the other on all of them.
    pub(crate) async fn side_by_side(of: Vec<(Panel, ShopDay)>, definitions: &Definitions) -> Result<Vec<RecordBatch>, FeatureError> {
        let each = (cores() / of.len().max(1)).max(1);
        let start = |(panel, day): (Panel, ShopDay)| {
            let definitions = definitions.clone();
            (day, SpawnedTask::spawn(async move { Self::compute_batch(&panel, &definitions, day, each).await }))
        };
        let computing: Vec<_> = of.into_iter().map(start).collect();
        let mut batches = Vec::with_capacity(computing.len());
        for (day, computing) in computing {
            let ended = computing.join_unwind().await.map_err(|error| FeatureError::Engine {
                what: format!("features at {day}"),
                source: DataFusionError::ExecutionJoin(Box::new(error)),
            });
            batches.push(ended??);
        }
        Ok(batches)
    }

    /// The set as the engine gives it, on as many cores: `product_id`, `category_id` and the features, missing values null.
    async fn compute_batch(panel: &Panel, definitions: &Definitions, as_of: ShopDay, cores: usize) -> Result<RecordBatch, FeatureError> {
        let what = || format!("features at {as_of}");
        let fill = |sql: &str| {
            let history_weeks = (panel.history_days(as_of) as f64 / 7.0).max(1.0);
            sql.replace("{as_of}", &as_of.epoch_days().to_string()).replace("{history_weeks}", &format!("{history_weeks:.4}"))
        };
        let context = panel.scratch(cores).await?;
        for stage in &STAGES {
            let sql = fill(&stage.sql.replace("{sales}", &expressions(definitions, &DefinitionKind::Sales)));
            match stage.form {
                StageForm::Table => materialise(&context, &context, stage.name, &sql).await?,
                StageForm::View => {
                    let view = context.sql(&sql).await.while_computing(stage.name)?.into_view();
                    context.register_table(stage.name, view).while_computing(stage.name)?;
                }
            }
        }
        materialise(&context, &context, JOINED, &fill(&joined(definitions))).await?;
        let frame = context.sql(&fill(&features(definitions))).await.while_computing(what())?;
        let schema = std::sync::Arc::new(frame.schema().as_arrow().clone());
        let batches = frame.collect().await.while_computing(what())?;
        concat_batches(&schema, &batches).map_err(|error| FeatureError::Engine { what: what(), source: error.into() })
    }

    pub(crate) fn from_batch(batch: &RecordBatch, definitions: &Definitions, as_of: ShopDay) -> Result<Self, FeatureError> {
        let ids = |name: &str| -> Result<&[i64], FeatureError> {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
            column.map(|column| &column.values()[..]).ok_or_else(|| FeatureError::Column(name.to_owned()))
        };
        let products = ids("product_id")?.iter().copied().map(ProductId::from).collect();
        let categories = ids("category_id")?.iter().copied().map(CategoryId::from).collect();
        let names: Vec<String> = definitions.names().map(str::to_owned).collect();
        let (rows, columns) = (batch.num_rows(), names.len());
        let mut values = vec![f32::NAN; rows * columns];
        for (at, name) in names.iter().enumerate() {
            let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float32Type>());
            let column = column.ok_or_else(|| FeatureError::Column(name.clone()))?;
            for row in 0..rows {
                if column.is_valid(row) {
                    values[row * columns + at] = column.value(row);
                }
            }
        }
        Ok(Self { as_of, version: definitions.version().to_owned(), products, categories, names, values })
    }

    /// Number of products.
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether no product sold in the year before.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// One product's features.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..(row + 1) * self.names.len()]
    }

    /// One feature of every product; `None` if no feature has that name.
    pub fn column(&self, name: &str) -> Option<Vec<f32>> {
        let at = self.names.iter().position(|n| n == name)?;
        Some(self.values.iter().skip(at).step_by(self.names.len()).copied().collect())
    }

    /// Sum of a feature by category.
    pub fn by_category(&self, name: &str) -> BTreeMap<CategoryId, f64> {
        let mut sums = BTreeMap::new();
        for (category, value) in self.categories.iter().zip(self.column(name).unwrap_or_default()) {
            *sums.entry(*category).or_default() += f64::from(value);
        }
        sums
    }
}

/// The cores of this machine.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// `cast(... as double) as name, ...` of the definitions of one kind.
fn expressions(definitions: &Definitions, kind: &DefinitionKind) -> String {
    let columns: Vec<_> = definitions.of_kind(kind).map(|d| format!("cast({} as double) as {}", d.sql, d.name)).collect();
    columns.join(",\n             ")
}

/// The table of all aggregates of each product.
const JOINED: &str = "joined";

/// Its query over the stages.
fn joined(definitions: &Definitions) -> String {
    let list = |kind: DefinitionKind| expressions(definitions, &kind);
    let sales: String = definitions.of_kind(&DefinitionKind::Sales).map(|d| format!(", a.{0} as {0}", d.name)).collect();
    let or_default = |kind: DefinitionKind, table: &str| {
        // A product without promotions has none planned and none past; one without customers has none.
        let value = |name: &str| if name == "days_since_promotion" { "999.0" } else { "0.0" };
        definitions.of_kind(&kind).map(|d| format!(", coalesce({table}.{0}, {1}) as {0}", d.name, value(&d.name))).collect::<String>()
    };
    let queries: String = definitions
        .of_kind(&DefinitionKind::Query)
        .map(|d| format!("\n    left join ({}) q_{1} on q_{1}.product_id = a.product_id", d.sql, d.name))
        .collect();
    let query_columns: String = definitions.of_kind(&DefinitionKind::Query).map(|d| format!(", q_{0}.{0} as {0}", d.name)).collect();
    format!(
        r"
    with p as (
      select product_id,
             {promotions}
      from announced group by product_id),
    w as (
      select product_id,
             {weeks}
      from (select w.*, s.steady, s.first_week, w.display * l.display_lift + w.mailer * l.mailer_lift as lift
            from weeks w left join steady s on s.product_id = w.product_id cross join lifts l)
      group by product_id),
    c as (
      select product_id,
             {customers}
      from buyers group by product_id)
      select a.product_id as product_id, a.category_id as category_id, coalesce(d.brand, '') as brand,
             coalesce(t.department_id, -1) as department_id,
             l.display_lift, l.mailer_lift{sales}{promotion_names}{week_names}{customer_names}{query_columns}
      from sold a cross join lifts l left join p on p.product_id = a.product_id left join w on w.product_id = a.product_id
      left join c on c.product_id = a.product_id left join products d on d.product_id = a.product_id
      left join categories t on t.category_id = a.category_id{queries}
      left join ended e on e.product_id = a.product_id
      where e.ended_from is null or e.ended_from > {{as_of}}",
        promotions = list(DefinitionKind::Promotion),
        weeks = list(DefinitionKind::Week),
        customers = list(DefinitionKind::Customer),
        promotion_names = or_default(DefinitionKind::Promotion, "p"),
        week_names = or_default(DefinitionKind::Week, "w"),
        customer_names = or_default(DefinitionKind::Customer, "c"),
    )
}

/// The query of the features over [`JOINED`].
fn features(definitions: &Definitions) -> String {
    let mut among = Among::default();
    let features: Vec<_> = definitions.features().iter().filter(|d| d.theme != PART).collect();
    let finals: String = (features.iter())
        .map(|d| match d.kind {
            DefinitionKind::Derived => format!(", cast({} as float) as {}", among.resolve(&d.sql), d.name),
            DefinitionKind::Place => format!(", cast(p.{0} as float) as {0}", d.name),
            _ => format!(", cast(j.{0} as float) as {0}", d.name),
        })
        .collect();
    // Apart, because they sort: few columns instead of all.
    let places: String = definitions.of_kind(&DefinitionKind::Place).map(|d| format!(", {} as {}", d.sql, d.name)).collect();
    format!(
        "with places as (select product_id as of_product, category_id as of_category{places} from {JOINED}){queries}
         select j.product_id, j.category_id{finals}
         from {JOINED} j join places p on p.of_product = j.product_id and p.of_category = j.category_id{joins}
         order by j.product_id, j.category_id",
        queries = among.queries(JOINED),
        joins = among.joins("j"),
    )
}
