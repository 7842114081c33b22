//! `fact_sales`: sale lines judged, compared with what is there, and merged by key. New and changed rows get the run's
//! time as known time; unchanged ones are not written again.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use chrono::NaiveDate;
use datafusion::prelude::SessionContext;
use sellcast_domain::ShopDay;

use super::{LAST_PRODUCTS, Origin, Run, any_differs, collect, count, instant_sql, is_empty, rule, shop_day_sql};
use crate::entity::{Entity, ROW_REF};
use crate::error::{Computing, WarehouseError};
use crate::fail_point::fail_point;
use crate::lake::{MatchedUpdate, MergeClauses, in_memory, materialise};
use crate::layout::{DIM_CATEGORY, DIM_PRODUCT, FACT_SALES};
use crate::quarantine::{REASON, RULE, rejects_of};
use crate::staging::Staged;

/// Loads a chunk of sale lines. A key that an earlier chunk of the run brought is not changed by a later one.
pub(crate) async fn load(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let tables = [DIM_CATEGORY.name, DIM_PRODUCT.name, FACT_SALES.name];
    let context = run.context(Entity::Transactions, rows, cursor, &tables).await?;
    let good = judge(run, &context).await?;
    run.store_rejects().await?;
    if good == 0 {
        return Ok(());
    }
    normalise(run, &context).await?;
    let (mut written, mut contradicting) = (good, 0);
    if is_empty(&context, FACT_SALES.name).await? {
        context.register_table("fresh", context.table_provider("normal").await.computing("sales")?).computing("sales")?;
    } else {
        written = compare(run, &context).await?;
        contradicting = set_aside_contradictions(run, &context).await?;
        written -= contradicting;
    }
    run.earlier_sales.extend(collect(&context, "select sale_id from normal").await?);
    run.counts(Entity::Transactions).loaded += written;
    run.counts(Entity::Transactions).unchanged += good - written - contradicting;
    if written == 0 {
        return Ok(());
    }
    let days = touched_days(&context).await?;
    run.journal.touching(days.clone(), run.now).await?;
    run.touched.extend(days);
    fail_point("before_facts");
    write(run, &context).await?;
    fail_point("after_facts");
    Ok(())
}

async fn judge(run: &mut Run<'_>, context: &SessionContext) -> Result<u64, WarehouseError> {
    let tomorrow = instant_sql(run.now + chrono::Duration::days(1));
    let rules = [
        rule("unknown_product", "p.product_id is null", "concat('product ', cast(s.product_id as varchar), ' is not among the products')"),
        rule(
            "unknown_category",
            "s.category_id is not null and c.category_id is null",
            "concat('category ', cast(s.category_id as varchar), ' is not among the categories')",
        ),
        rule("negative_price", "s.unit_price < 0", "concat('its unit price is ', cast(s.unit_price as varchar))"),
        rule("zero_quantity", "s.quantity = 0", "'its quantity is zero'"),
        rule("future_date", format!("s.occurred_at > {tomorrow}"), "concat('it is dated ', cast(s.occurred_at as varchar))"),
    ];
    let from = format!(
        "from staged s left join {LAST_PRODUCTS} p on s.product_id = p.product_id
         left join dim_category c on s.category_id = c.category_id"
    );
    run.judge(context, Entity::Transactions, &from, &rules).await
}

/// Good rows as `fact_sales` has them, in the table `normal`.
async fn normalise(run: &Run<'_>, context: &SessionContext) -> Result<(), WarehouseError> {
    let known_at = match run.origin {
        Origin::History => "g.occurred_at".to_owned(),
        Origin::Source | Origin::Quarantine => format!("greatest({}, g.occurred_at)", run.now_sql()),
    };
    let day = shop_day_sql("g.occurred_at", run.settings);
    let normal = format!(
        "select sale_id, product_id, category_id, customer_id, date_id, quantity, unit_price, total_price, occurred_at, known_at,
                discount, is_return, substr(cast(date_id as varchar), 1, 7) as month, given_category_id
         from (select g.sale_id, g.product_id, coalesce(g.category_id, p.category_id) as category_id, g.customer_id,
                      {day} as date_id, g.quantity, g.unit_price,
                      coalesce(g.total_price, cast(g.quantity * g.unit_price as decimal(18, 2))) as total_price,
                      g.occurred_at, {known_at} as known_at, coalesce(g.discount, cast(0 as decimal(18, 2))) as discount,
                      g.quantity < 0 as is_return, g.category_id as given_category_id
               from good g join {LAST_PRODUCTS} p on g.product_id = p.product_id)"
    );
    materialise(context, "normal", &normal).await.map(drop)
}

/// Rows that are new or differ from what is stored, in the table `fresh` with the stored day; how many they are.
async fn compare(run: &Run<'_>, context: &SessionContext) -> Result<u64, WarehouseError> {
    let compared = ["product_id", "customer_id", "quantity", "unit_price", "total_price", "occurred_at", "discount"];
    let differs = any_differs("n", "f", &compared);
    // A category that the source does not give follows the product; the product's moving does not change old sales.
    let moved = "n.given_category_id is not null and n.given_category_id is distinct from f.category_id";
    let wanted = match run.origin {
        Origin::Quarantine => "f.sale_id is null".to_owned(),
        Origin::History | Origin::Source => format!("f.sale_id is null or {differs} or ({moved})"),
    };
    let fresh =
        format!("select n.*, f.date_id as stored_date_id from normal n left join fact_sales f on n.sale_id = f.sale_id where {wanted}");
    materialise(context, "fresh", &fresh).await
}

/// Takes rows out of `fresh` whose key an earlier chunk of this run brought with other content. Without this the two would
/// overwrite each other at every run.
async fn set_aside_contradictions(run: &mut Run<'_>, context: &SessionContext) -> Result<u64, WarehouseError> {
    let Some(schema) = run.earlier_sales.first().map(RecordBatch::schema) else { return Ok(0) };
    context.register_table("earlier", in_memory(context, schema, run.earlier_sales.clone())?).computing("sales")?;
    let entity = Entity::Transactions;
    let columns = entity.columns().iter().map(|column| format!("g.{}", column.name)).collect::<Vec<_>>().join(", ");
    let contradicting = format!(
        "select {columns}, g.{ROW_REF}, '{}' as {RULE}, 'another row of the same key was read before it' as {REASON}
         from good g left semi join fresh f on g.sale_id = f.sale_id left semi join earlier e on g.sale_id = e.sale_id",
        entity.duplicate_rule()
    );
    let rejects = rejects_of(entity, &collect(context, &contradicting).await?)?;
    let count = rejects.len() as u64;
    if count > 0 {
        run.reject(rejects);
        run.store_rejects().await?;
        materialise(context, "fresh", "select f.* from fresh f left anti join earlier e on f.sale_id = e.sale_id").await?;
    }
    Ok(count)
}

async fn touched_days(context: &SessionContext) -> Result<BTreeSet<NaiveDate>, WarehouseError> {
    let mut days = BTreeSet::new();
    let stored = has_stored(context).await?;
    for column in ["date_id", "stored_date_id"].iter().take(if stored { 2 } else { 1 }) {
        for batch in collect(context, &format!("select distinct {column} from fresh where {column} is not null")).await? {
            let column = batch.column(0).as_primitive::<Date32Type>();
            days.extend(column.values().iter().map(|day| ShopDay::from_epoch_days(*day).date()));
        }
    }
    Ok(days)
}

async fn has_stored(context: &SessionContext) -> Result<bool, WarehouseError> {
    let fresh = context.table("fresh").await.computing("sales")?;
    Ok(fresh.schema().has_column_with_unqualified_name("stored_date_id"))
}

async fn write(run: &Run<'_>, context: &SessionContext) -> Result<(), WarehouseError> {
    let columns = FACT_SALES.column_names();
    let list = columns.join(", ");
    // Within a month by category, so that file statistics tell which files a category is in.
    let fresh =
        context.sql(&format!("select {list} from fresh order by month, category_id, product_id, date_id")).await.computing("sales")?;
    let changed =
        if has_stored(context).await? { count(context, "select count(*) from fresh where stored_date_id is not null").await? } else { 0 };
    if changed == 0 {
        return run.lake.append(FACT_SALES.name, fresh, FACT_SALES.partition_by).await.map(drop);
    }
    // Only the months that hold a changed row can match; naming them keeps all other files out of the merge.
    let months =
        collect(context, "select distinct substr(cast(stored_date_id as varchar), 1, 7) from fresh where stored_date_id is not null")
            .await?;
    let months: BTreeSet<String> = months
        .iter()
        .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let months = months.iter().map(|month| format!("'{month}'")).collect::<Vec<_>>().join(", ");
    let clauses = MergeClauses { update: vec![MatchedUpdate::all(None, &columns)], insert: Some((None, &columns)), delete: false };
    run.lake.merge(FACT_SALES.name, fresh, &format!("t.sale_id = s.sale_id and t.month in ({months})"), clauses).await.map(drop)
}
