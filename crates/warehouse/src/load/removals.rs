//! What the source no longer has. Its keys are read beside its rows and compared with the warehouse's: all of them for an
//! entity that is read whole, those of the lag window for sale lines read by cursor, and all from time to time.
//! Sales and customers are removed, products end. Categories stay, for sales refer to them; older table versions keep all.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::prelude::SessionContext;
use sellcast_domain::ShopDay;

use super::{Run, collect, conjunction, count, instant_sql};
use crate::entity::Entity;
use crate::error::{Computing, WarehouseError};
use crate::fail_point::fail_point;
use crate::lake::{Lake, MatchedUpdate, MergeClauses, in_memory, materialise};
use crate::layout::{DIM_CUSTOMER, DIM_EVENT, DIM_PRODUCT, FACT_PROMOTIONS, FACT_SALES};

/// So many rows may always vanish; of more, only a half.
const FEW: u64 = 100;

/// Which rows of the warehouse must be in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    All,
    /// Sale lines that occurred since.
    Since(DateTime<Utc>),
}

/// How much may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caution {
    /// A source that suddenly lacks most of its rows is broken, not emptied: nothing is removed and the record says so.
    Usual,
    /// Somebody asked for the comparison.
    Waived,
}

/// Removes the rows of `entity` whose keys are not among `keys`, batches of the entity's key columns.
pub(crate) async fn remove(
    run: &mut Run<'_>,
    entity: Entity,
    keys: Vec<RecordBatch>,
    compared: Compared,
    caution: Caution,
) -> Result<(), WarehouseError> {
    let Some((table, rows)) = compared_rows(entity, compared) else { return Ok(()) };
    let what = "rows that the source no longer has";
    let context = Lake::context()?;
    run.lake.register(&context, table).await?;
    let Some(schema) = keys.first().map(RecordBatch::schema) else { return Ok(()) };
    context.register_table("present", in_memory(&context, schema, keys)?).computing(what)?;
    let same = |left: &str, right: &str| conjunction(entity.key().iter().map(|column| format!("{left}.{column} = {right}.{column}")));
    let gone = materialise(&context, "gone", &format!("select w.* from ({rows}) w left anti join present p on {}", same("w", "p"))).await?;
    if gone == 0 {
        return Ok(());
    }
    let (had, has) =
        (count(&context, &format!("select count(*) from ({rows})")).await?, count(&context, "select count(*) from present").await?);
    if caution == Caution::Usual && (has == 0 || (gone > FEW && gone * 2 > had)) {
        run.notes.push(format!(
            "`{}`: the source lacks {gone} of {had} rows that were there before; they are kept. If they are meant to go, run `sellcast ingest --compare-keys`",
            entity.name()
        ));
        return Ok(());
    }
    run.counts(entity).removed += gone;
    if entity == Entity::Transactions {
        let days = days(&context).await?;
        run.journal.touching(days.clone(), run.now).await?;
        run.touched.extend(days);
    }
    fail_point("before_removals");
    let (on, clauses) = removal(run, entity, &context, &same("t", "s")).await?;
    run.lake.merge(table, context.table("gone").await.computing(what)?, &on, clauses).await?;
    fail_point("after_removals");
    Ok(())
}

/// The table of an entity and the rows of it that are compared; `None` where nothing is removed.
fn compared_rows(entity: Entity, compared: Compared) -> Option<(&'static str, String)> {
    Some(match entity {
        Entity::Categories => return None,
        Entity::Products => (DIM_PRODUCT.name, "select product_id from dim_product where is_current".to_owned()),
        Entity::Customers => (DIM_CUSTOMER.name, "select customer_id from dim_customer".to_owned()),
        Entity::Promotions => (FACT_PROMOTIONS.name, "select product_id, starts_on, ends_on, kind from fact_promotions".to_owned()),
        Entity::Events => (DIM_EVENT.name, "select name, date from dim_event".to_owned()),
        Entity::Transactions => {
            let since = match compared {
                Compared::All => String::new(),
                // The shop's day may be the day before; its month prunes the partitions.
                Compared::Since(since) => format!(
                    "where month >= '{}' and occurred_at > {}",
                    (since - chrono::Duration::days(1)).format("%Y-%m"),
                    instant_sql(since)
                ),
            };
            (FACT_SALES.name, format!("select sale_id, date_id, month from fact_sales {since}"))
        }
    })
}

/// The condition and the clauses of the merge that removes the table `gone`.
async fn removal(
    run: &Run<'_>,
    entity: Entity,
    context: &SessionContext,
    same: &str,
) -> Result<(String, MergeClauses<'static>), WarehouseError> {
    Ok(match entity {
        Entity::Products => {
            let end = vec![("valid_to".to_owned(), run.now_sql()), ("is_current".to_owned(), "false".to_owned())];
            let clauses = MergeClauses { update: vec![MatchedUpdate { when: None, set: end }], ..MergeClauses::default() };
            (format!("{same} and t.is_current"), clauses)
        }
        Entity::Transactions => {
            let batches = collect(context, "select distinct month from gone").await?;
            let months: BTreeSet<String> = batches
                .iter()
                .flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten().map(|month| format!("'{month}'")))
                .collect();
            let months = months.into_iter().collect::<Vec<_>>().join(", ");
            (format!("{same} and t.month in ({months})"), MergeClauses { delete: true, ..MergeClauses::default() })
        }
        _ => (same.to_owned(), MergeClauses { delete: true, ..MergeClauses::default() }),
    })
}

async fn days(context: &SessionContext) -> Result<BTreeSet<NaiveDate>, WarehouseError> {
    let batches = collect(context, "select distinct date_id from gone where date_id is not null").await?;
    let days = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Date32Type>().values().to_vec());
    Ok(days.map(|day| ShopDay::from_epoch_days(day).date()).collect())
}
