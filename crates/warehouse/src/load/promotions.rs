//! `fact_promotions`: what is promoted when, and since when that was known. Without a cursor the source's list is the
//! whole truth and a promotion that vanished from it is withdrawn; with one, rows are merged by key.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{Date32Type, Field, Schema};
use datafusion::prelude::SessionContext;
use sellcast_domain::ShopDay;

use super::{Origin, Run, any_differs, collect, count, rule};
use crate::entity::{ColumnKind, Entity};
use crate::error::{Computing, WarehouseError};
use crate::lake::{MatchedUpdate, MergeClauses, in_memory, materialise};
use crate::layout::{DIM_PRODUCT, FACT_PROMOTIONS};
use crate::staging::Staged;

/// Loads the promotions.
pub(crate) async fn load(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let context = run.context(Entity::Promotions, rows, cursor, &[DIM_PRODUCT.name, FACT_PROMOTIONS.name]).await?;
    let rules = [
        rule("unknown_product", "p.product_id is null", "concat('product ', cast(s.product_id as varchar), ' is not among the products')"),
        rule("ends_before_start", "s.ends_on < s.starts_on", "concat('it ends on ', cast(s.ends_on as varchar), ', before it starts')"),
    ];
    let from = "from staged s left join (select product_id from dim_product where is_current) p on s.product_id = p.product_id";
    let good = run.judge(&context, Entity::Promotions, from, &rules).await?;
    day_starts(run, &context).await?;
    let normal = "select g.product_id, g.starts_on, g.ends_on, g.kind, coalesce(g.strength, 1.0) as strength,
                         coalesce(g.announced_at, d.at) as announced_at
                  from good g left join day_starts d on g.starts_on = d.day";
    materialise(&context, "normal", normal).await?;
    let known_at = match run.origin {
        Origin::History => "n.announced_at".to_owned(),
        Origin::Source | Origin::Quarantine => run.now_sql(),
    };
    let key = "n.product_id = f.product_id and n.starts_on = f.starts_on and n.ends_on = f.ends_on and n.kind = f.kind";
    let differs = any_differs("n", "f", &["strength", "announced_at"]);
    let compared = format!(
        "select n.*, case when f.product_id is null or {differs}
                          then {known_at} else f.known_at end as known_at,
                f.product_id is null as is_new,
                f.product_id is not null and ({differs}) as is_changed
         from normal n left join fact_promotions f on {key}"
    );
    materialise(&context, "compared", &compared).await?;
    let new = count(&context, "select count(*) from compared where is_new").await?;
    let changed =
        if run.origin == Origin::Quarantine { 0 } else { count(&context, "select count(*) from compared where is_changed").await? };
    run.counts(Entity::Promotions).loaded += new + changed;
    run.counts(Entity::Promotions).unchanged += good - new - changed;
    run.store_rejects().await?;
    let columns = FACT_PROMOTIONS.column_names();
    let (list, what) = (columns.join(", "), "promotions");
    let stored = count(&context, "select count(*) from fact_promotions").await?;
    let whole_list = cursor.is_none() && run.origin != Origin::Quarantine;
    let withdrawn = whole_list && stored + new > good;
    if new + changed == 0 && !withdrawn {
        return Ok(());
    }
    if whole_list || stored == 0 {
        let rows = context.sql(&format!("select {list} from compared order by starts_on, product_id")).await.computing(what)?;
        return run.lake.replace(FACT_PROMOTIONS.name, None, rows, FACT_PROMOTIONS.partition_by).await.map(drop);
    }
    let wanted = if run.origin == Origin::Quarantine { "is_new" } else { "is_new or is_changed" };
    let rows = context.sql(&format!("select {list} from compared where {wanted}")).await.computing(what)?;
    let on = "t.product_id = s.product_id and t.starts_on = s.starts_on and t.ends_on = s.ends_on and t.kind = s.kind";
    let clauses = MergeClauses {
        update: vec![MatchedUpdate::all(None, &["strength", "announced_at", "known_at"])],
        insert: Some((None, &columns)),
        delete: false,
    };
    run.lake.merge(FACT_PROMOTIONS.name, rows, on, clauses).await.map(drop)
}

/// The table `day_starts`: a promotion that nobody announced counts as announced when its first day begins.
async fn day_starts(run: &Run<'_>, context: &SessionContext) -> Result<(), WarehouseError> {
    let days = collect(context, "select distinct starts_on from good where announced_at is null").await?;
    let days: Vec<i32> = days.iter().flat_map(|batch| batch.column(0).as_primitive::<Date32Type>().values().to_vec()).collect();
    let starts = days.iter().map(|day| ShopDay::from_epoch_days(*day).starts_at(run.settings.time_zone).timestamp_micros());
    let schema =
        Arc::new(Schema::new(vec![Field::new("day", ColumnKind::Day.arrow(), true), Field::new("at", ColumnKind::Instant.arrow(), true)]));
    let starts = TimestampMicrosecondArray::from_iter_values(starts).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![Arc::new(Date32Array::from(days)), Arc::new(starts)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).computing("promotions")?;
    context.register_table("day_starts", in_memory(context, schema, vec![batch])?).computing("promotions").map(drop)
}
