//! `dim_product` with its history (SCD 2): a change of name, description, price, category or brand closes the current
//! version and opens a new one, in one merge.

use chrono::DateTime;

use super::{Origin, Run, any_differs, count, instant_sql, is_empty, rule};
use crate::entity::Entity;
use crate::error::{Computing, WarehouseError};
use crate::lake::{MatchedUpdate, MergeClauses, materialise};
use crate::layout::{DIM_CATEGORY, DIM_PRODUCT};
use crate::staging::Staged;

/// Columns whose change opens a new version.
const TRACKED: [&str; 5] = ["name", "description", "current_price", "category_id", "brand"];

/// Loads the products.
pub(crate) async fn load(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let context = run.context(Entity::Products, rows, cursor, &[DIM_CATEGORY.name, DIM_PRODUCT.name]).await?;
    let rules = [
        rule(
            "unknown_category",
            "c.category_id is null",
            "concat('category ', cast(s.category_id as varchar), ' is not among the categories')",
        ),
        rule("negative_price", "s.current_price < 0", "concat('its price is ', cast(s.current_price as varchar))"),
    ];
    let good =
        run.judge(&context, Entity::Products, "from staged s left join dim_category c on s.category_id = c.category_id", &rules).await?;
    if good == 0 {
        return Ok(());
    }
    let (changed, touched) = (any_differs("g", "p", &TRACKED), any_differs("g", "p", &["created_at", "updated_at"]));
    let first_known = match run.origin {
        Origin::History => instant_sql(DateTime::UNIX_EPOCH),
        Origin::Source | Origin::Quarantine => run.now_sql(),
    };
    let changes = format!(
        "select g.product_id, g.name, g.description, g.current_price, g.category_id, g.created_at, g.updated_at, g.brand,
                case when p.product_id is null and ended.product_id is null then coalesce(g.created_at, {first_known})
                     else {now} end as valid_from,
                arrow_cast(null, 'Timestamp(Microsecond, Some(\"UTC\"))') as valid_to, true as is_current,
                case when p.product_id is null then 'new'
                     when {changed} then 'changed'
                     when {touched} then 'touched'
                     else 'same' end as change
         from good g left join (select * from dim_product where is_current) p on g.product_id = p.product_id
         left join (select distinct product_id from dim_product where not is_current) ended on g.product_id = ended.product_id",
        now = run.now_sql()
    );
    materialise(&context, "changes", &changes).await?;
    let wanted = match run.origin {
        Origin::Quarantine => "change = 'new'",
        Origin::History | Origin::Source => "change <> 'same'",
    };
    let loaded = count(&context, "select count(*) from changes where change in ('new', 'changed')").await?;
    let superseded =
        if run.origin == Origin::Quarantine { count(&context, "select count(*) from changes where change = 'changed'").await? } else { 0 };
    run.counts(Entity::Products).loaded += loaded - superseded;
    run.counts(Entity::Products).unchanged += good - (loaded - superseded);
    run.store_rejects().await?;
    let columns = DIM_PRODUCT.column_names();
    let (list, what) = (columns.join(", "), "products");
    if is_empty(&context, DIM_PRODUCT.name).await? {
        let rows = context.sql(&format!("select {list} from changes")).await.computing(what)?;
        return run.lake.append(DIM_PRODUCT.name, rows, DIM_PRODUCT.partition_by).await.map(drop);
    }
    // A row that closes or touches the current version finds it by its key; one that opens a version has none to find.
    let source = format!(
        "select product_id as merge_key, change, {list} from changes where {wanted} and change <> 'new'
         union all
         select cast(null as bigint) as merge_key, 'open' as change, {list} from changes where {wanted} and change in ('new', 'changed')"
    );
    if materialise(&context, "source_rows", &source).await? == 0 {
        return Ok(());
    }
    let close = vec![("valid_to".to_owned(), "s.valid_from".to_owned()), ("is_current".to_owned(), "false".to_owned())];
    let touch = MatchedUpdate::all(Some("s.change = 'touched'"), &["created_at", "updated_at"]);
    let clauses = MergeClauses {
        update: vec![MatchedUpdate { when: Some("s.change = 'changed'"), set: close }, touch],
        insert: Some((Some("s.change = 'open'"), &columns)),
        delete: false,
    };
    let rows = context.table("source_rows").await.computing(what)?;
    run.lake.merge(DIM_PRODUCT.name, rows, "t.product_id = s.merge_key and t.is_current", clauses).await.map(drop)
}
