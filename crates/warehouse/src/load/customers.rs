//! `dim_customer`: pseudonyms only; a changed customer is overwritten, no history is kept of persons.

use super::{Origin, Run, any_differs, count, is_empty};
use crate::entity::Entity;
use crate::error::{Computing, WarehouseError};
use crate::lake::{MatchedUpdate, MergeClauses, materialise};
use crate::layout::DIM_CUSTOMER;
use crate::staging::Staged;

/// Loads the customers.
pub(crate) async fn load(run: &mut Run<'_>, rows: Vec<Staged>, cursor: Option<&str>) -> Result<(), WarehouseError> {
    let context = run.context(Entity::Customers, rows, cursor, &[DIM_CUSTOMER.name]).await?;
    let columns = DIM_CUSTOMER.column_names();
    let list = columns.iter().map(|column| format!("s.{column}")).collect::<Vec<_>>().join(", ");
    let differs = any_differs("s", "c", &columns[1..]);
    let condition = match run.origin {
        Origin::Quarantine => "c.customer_id is null".to_owned(),
        Origin::History | Origin::Source => format!("c.customer_id is null or {differs}"),
    };
    let changes = format!("select {list} from staged s left join dim_customer c on s.customer_id = c.customer_id where {condition}");
    let changed = materialise(&context, "changes", &changes).await?;
    let good = count(&context, "select count(*) from staged").await?;
    run.counts(Entity::Customers).loaded += changed;
    run.counts(Entity::Customers).unchanged += good - changed;
    run.store_rejects().await?;
    if changed == 0 {
        return Ok(());
    }
    let rows = context.table("changes").await.computing("customers")?;
    if is_empty(&context, DIM_CUSTOMER.name).await? {
        return run.lake.append(DIM_CUSTOMER.name, rows, DIM_CUSTOMER.partition_by).await.map(drop);
    }
    let clauses = MergeClauses { update: vec![MatchedUpdate::all(None, &columns[1..])], insert: Some((None, &columns)), delete: false };
    run.lake.merge(DIM_CUSTOMER.name, rows, "t.customer_id = s.customer_id", clauses).await.map(drop)
}
