//! The panel: every product's sales, customers and promotions by day, held in memory as the common ground of all feature
//! queries. Each row says from which day on it was visible, so that any past as_of can be answered.

use std::sync::Arc;

use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use sellcast_domain::ShopDay;
use sellcast_warehouse::Warehouse;

use crate::error::{Context, FeatureError};

/// Where a panel comes from; kept as lineage with everything computed from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PanelSource {
    /// Delta version of each warehouse table that was read.
    pub warehouse_versions: std::collections::BTreeMap<String, u64>,
}

/// Sales (`panel`), the same by customer (`customer_sales`), promotions (`promotions`), products (`products`) and the
/// parents of categories (`categories`) as tables of one query context.
///
/// Days are whole numbers since 1970-01-01. Sales and promotions lie in the order of their products, so that sums by product stay near
/// each other in memory. `panel` has one row per product, day and day of becoming visible,
/// `customer_sales` one per customer besides; sales without a customer are not in it. `products` says from which day on the
/// catalogue had each (`known_from`).
#[derive(Clone)]
pub struct Panel {
    pub(crate) context: SessionContext,
    source: PanelSource,
    first_day: ShopDay,
    last_day: ShopDay,
}

impl Panel {
    /// Reads the newest versions of the warehouse's tables.
    ///
    /// # Errors
    /// When a table cannot be read, or when nothing that could be forecast was ever sold.
    pub async fn load(warehouse: &Warehouse) -> Result<Self, FeatureError> {
        let session = warehouse.session().await?;
        let zone = warehouse.settings().time_zone.name();
        let context = SessionContext::new_with_config(session.copied_config());
        let promotions = if session.table_exist("fact_promotions").while_computing("promotions")? {
            r#"
            select product_id, kind, coalesce(cast(strength as double), 1.0) as strength,
                   cast(starts_on as int) as starts, cast(ends_on as int) as ends,
                   cast(cast(to_local_time(arrow_cast(coalesce(announced_at, known_at), 'Timestamp(Microsecond, Some("ZONE"))')) as date) as int) + 1 as visible_from
            from fact_promotions order by product_id, starts"#
                .replace("ZONE", zone)
        } else {
            "select cast(0 as bigint) as product_id, '' as kind, 0.0 as strength, 0 as starts, 0 as ends, 0 as visible_from where false"
                .to_owned()
        };
        materialise(&session, &context, "promotions", &promotions).await?;
        let products = r#"
            select product_id, forecast_category_id as category_id, brand, name, known_from from (
              select p.product_id, c.forecast_category_id, coalesce(p.brand, '') as brand, p.name,
                     row_number() over (partition by p.product_id order by p.valid_from desc) as version,
                     cast(cast(to_local_time(arrow_cast(min(p.valid_from) over (partition by p.product_id),
                                                        'Timestamp(Microsecond, Some("ZONE"))')) as date) as int) + 1 as known_from
              from dim_product p join dim_category c on p.category_id = c.category_id
              where not c.is_excluded and c.forecast_category_id is not null)
            where version = 1"#
            .replace("ZONE", zone);
        materialise(&session, &context, "products", &products).await?;
        materialise(&session, &context, "ended", &ended_sql(zone)).await?;
        let categories = "select category_id, parent_category_id as department_id from dim_category";
        materialise(&session, &context, "categories", categories).await?;
        materialise(&session, &context, "sales", &sales_sql(zone)).await?;
        materialise(&session, &context, "customer_sales", &customer_sales_sql(zone)).await?;
        materialise(&context, &context, "panel", PANEL).await?;
        context.deregister_table("sales").while_computing("the panel")?;
        Self::spanning(context, PanelSource { warehouse_versions: warehouse.versions().await? }).await
    }

    /// Over the tables of `context`.
    async fn spanning(context: SessionContext, source: PanelSource) -> Result<Self, FeatureError> {
        let what = "the panel's span";
        let frame = context.sql("select min(day) as first, max(day) as last from panel").await.while_computing(what)?;
        let bounds = frame.collect().await.while_computing(what)?;
        let at = |column: &str| -> Option<i32> {
            use arrow::array::{Array, AsArray};
            let array = bounds.first()?.column_by_name(column)?.as_primitive_opt::<arrow::datatypes::Int32Type>()?;
            (array.len() == 1 && array.is_valid(0)).then(|| array.value(0))
        };
        let (Some(first), Some(last)) = (at("first"), at("last")) else { return Err(FeatureError::NoSales) };
        Ok(Self { context, source, first_day: ShopDay::from_epoch_days(first), last_day: ShopDay::from_epoch_days(last) })
    }

    /// Over tables that a test wrote: `sales` with a column `customer_id`, `promotions`, `products` and `categories`.
    #[cfg(test)]
    pub(crate) async fn of_tables(context: SessionContext) -> Result<Self, FeatureError> {
        let by_customer = "select product_id, customer_id, day, visible_from, sum(amount) as amount from sales
             where customer_id is not null group by product_id, customer_id, day, visible_from";
        materialise(&context, &context, "customer_sales", by_customer).await?;
        materialise(&context, &context, "panel", PANEL).await?;
        Self::spanning(context, PanelSource::default()).await
    }

    /// Lineage.
    pub fn source(&self) -> &PanelSource {
        &self.source
    }

    /// First shop day with a sale.
    pub fn first_day(&self) -> ShopDay {
        self.first_day
    }

    /// Last shop day with a sale.
    pub fn last_day(&self) -> ShopDay {
        self.last_day
    }

    /// Days of history before `as_of`.
    pub fn history_days(&self, as_of: ShopDay) -> i64 {
        as_of.days_since(self.first_day).max(0)
    }

    /// For queries beyond the definitions (charts, truth); tables as described on [`Panel`].
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The same panel without any row that was not visible at `as_of`: what the leak guard compares with.
    pub(crate) async fn truncated(&self, as_of: ShopDay) -> Result<Self, FeatureError> {
        let context = SessionContext::new_with_config(self.context.copied_config());
        let day = as_of.epoch_days();
        for (table, dated) in TABLES {
            let known = match dated {
                Dated::Never => "true".to_owned(),
                Dated::Sales => format!("visible_from <= {day} and day < {day}"),
                Dated::Plans => format!("visible_from <= {day}"),
            };
            materialise(&self.context, &context, table, &format!("select * from {table} where {known}")).await?;
        }
        Ok(Self { context, ..self.clone() })
    }

    /// A context of its own with the panel's tables, for intermediate ones. Its queries run on as many cores.
    pub(crate) async fn scratch(&self, cores: usize) -> Result<SessionContext, FeatureError> {
        let context = SessionContext::new_with_config(self.context.copied_config().with_target_partitions(cores).with_batch_size(BATCH));
        for (table, _) in TABLES {
            let provider = self.context.table_provider(table).await.while_computing(table)?;
            context.register_table(table, provider).while_computing(table)?;
        }
        Ok(context)
    }
}

/// Rows a step of a query works on: as many as a large shop has products. A set has more than a hundred columns, and in batches of 8,192
/// rows each of its sorts merged them row by row.
const BATCH: usize = 65_536;

/// What of a table belongs to the past.
#[derive(Clone, Copy)]
enum Dated {
    /// Today's state is taken for all times: names and the tree.
    Never,
    /// Rows of days before, as far as they were visible.
    Sales,
    /// Whatever was visible, though it may lie ahead.
    Plans,
}

/// Every table of the panel. One that is not listed can be read by no definition.
const TABLES: [(&str, Dated); 6] = [
    ("panel", Dated::Sales),
    ("customer_sales", Dated::Sales),
    ("promotions", Dated::Plans),
    ("products", Dated::Never),
    ("ended", Dated::Never),
    ("categories", Dated::Never),
];

/// Sales with the promotions they were made under: the strengths of the promotions of the product that cover the day. One
/// that became known after the sale did is left out, or the past would change with it.
const PANEL: &str = r"
    select s.*, coalesce(p.display, 0.0) as display, coalesce(p.mailer, 0.0) as mailer
    from sales s left join (
      select s.product_id, s.day, s.visible_from,
             sum(p.strength) filter (where p.kind = 'display') as display,
             sum(p.strength) filter (where p.kind <> 'display') as mailer
      from (select distinct product_id, day, visible_from from sales) s
      join promotions p on p.product_id = s.product_id and s.day between p.starts and p.ends and p.visible_from <= s.visible_from
      group by s.product_id, s.day, s.visible_from) p
      on p.product_id = s.product_id and p.day = s.day and p.visible_from = s.visible_from
    order by s.product_id, s.category_id, s.day";

/// A line of sales. It becomes visible on the day after both its own day and the day it became known.
///
/// Amounts are rounded to the next 2^-20: sums of such doubles are exact up to thousands of millions, so that they do
/// not depend on the order in which threads add them up, and a forecast can be rebuilt bit for bit.
const LINES: &str = r#"
      select f.product_id, p.forecast_category_id as category_id, f.customer_id, cast(f.date_id as int) as day,
             greatest(cast(f.date_id as int),
                      cast(cast(to_local_time(arrow_cast(f.known_at, 'Timestamp(Microsecond, Some("ZONE"))')) as date) as int)) + 1 as visible_from,
             round(cast(f.total_price as double) * 1048576.0) / 1048576.0 as amount, round(cast(f.quantity as double) * 1048576.0) / 1048576.0 as quantity,
             1 as transactions, round(coalesce(cast(f.discount as double), 0.0) * 1048576.0) / 1048576.0 as discount
      from fact_sales f join dim_category p on f.category_id = p.category_id
      where not p.is_excluded and p.forecast_category_id is not null"#;

/// Products that the source has removed, and the first day that knows it.
fn ended_sql(zone: &str) -> String {
    r#"
    select product_id, cast(cast(to_local_time(arrow_cast(max(valid_to), 'Timestamp(Microsecond, Some("ZONE"))')) as date) as int) + 1 as ended_from
    from dim_product group by product_id having not bool_or(is_current)"#
        .replace("ZONE", zone)
}

/// Sales by product and day.
fn sales_sql(zone: &str) -> String {
    format!(
        "select product_id, category_id, day, visible_from, sum(amount) as amount, sum(quantity) as quantity,
                cast(sum(transactions) as double) as transactions, sum(discount) as discount
         from ({LINES}) group by product_id, category_id, day, visible_from"
    )
    .replace("ZONE", zone)
}

/// Sales by product, customer and day.
fn customer_sales_sql(zone: &str) -> String {
    format!(
        "select product_id, customer_id, day, visible_from, sum(amount) as amount
         from ({LINES}) where customer_id is not null group by product_id, customer_id, day, visible_from
         order by product_id, customer_id, day"
    )
    .replace("ZONE", zone)
}

/// Runs `sql` in `from` and registers the result in `into` as the table `name`.
pub(crate) async fn materialise(from: &SessionContext, into: &SessionContext, name: &str, sql: &str) -> Result<(), FeatureError> {
    let frame = from.sql(sql).await.while_computing(name)?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let partitions = frame.collect_partitioned().await.while_computing(name)?;
    let table = MemTable::try_new(schema, partitions).while_computing(name)?;
    into.register_table(name, Arc::new(table)).while_computing(name)?;
    Ok(())
}
