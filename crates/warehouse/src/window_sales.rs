//! The sales of the last days as windows see them, for comparison with those of the stream: the digests of all tiles, and the rows of
//! those that differ. Sales are read batch by batch, so that only tiles and wanted rows are in memory.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use chrono::{DateTime, Duration, Utc};
use futures::TryStreamExt;
use sellcast_domain::window::{BatchRow, BatchTile, Differing, Digests, EventTime, Quantity, SaleFact};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId, SaleId};

use crate::error::{Computing, WarehouseError};
use crate::warehouse::Warehouse;

/// Of an hour.
const SECONDS: u32 = 3600;

impl Warehouse {
    /// The tiles of all sales from an instant on, each by the category that its products are in now, without their rows.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn tiles_since(&self, since: EventTime) -> Result<Vec<BatchTile>, WarehouseError> {
        let mut digests = Digests::default();
        self.each_sale_since(since, "true", |row| digests.add(&row)).await?;
        Ok(digests.into_tiles())
    }

    /// Tiles that differ, with their rows, and those of their sales that happened after the compared time.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn rows_since(&self, since: EventTime, differing: &Differing) -> Result<Vec<BatchTile>, WarehouseError> {
        let mut rows = Vec::new();
        let take = |row: BatchRow| {
            if differing.wants(&row) {
                rows.push(row);
            }
        };
        self.each_sale_since(since, &condition(differing), take).await?;
        Ok(differing.tiles(rows))
    }

    async fn each_sale_since(&self, since: EventTime, condition: &str, mut visit: impl FnMut(BatchRow)) -> Result<(), WarehouseError> {
        let instant = DateTime::<Utc>::from_timestamp(since.seconds().into(), 0).unwrap_or_default();
        // The shop's day may be the day before; its month prunes the partitions.
        let month = (instant - Duration::days(1)).format("%Y-%m");
        let sql = format!(
            "select * from (
                 select f.sale_id, f.product_id, coalesce(f.customer_id, 0), cast(f.quantity * 1000 as bigint),
                        cast(f.total_price * 100 as bigint), floor(date_part('epoch', f.occurred_at)) as instant, p.category_id as category_id
                 from fact_sales f left join dim_product p on p.product_id = f.product_id and p.is_current
                 where f.month >= '{month}')
             where instant >= {} and ({condition})",
            since.seconds()
        );
        let what = "the last days' sales";
        let mut batches = self.session().await?.sql(&sql).await.computing(what)?.execute_stream().await.computing(what)?;
        while let Some(batch) = batches.try_next().await.computing(what)? {
            rows(&batch, &mut visit);
        }
        Ok(())
    }
}

/// What the wanted rows have in common, in SQL.
fn condition(differing: &Differing) -> String {
    let list = |values: &mut dyn Iterator<Item = i64>| values.map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    let mut hours: Vec<i64> = differing.places.iter().map(|place| place.hour.into()).collect();
    hours.dedup();
    let categories: BTreeSet<CategoryId> = differing.places.iter().filter_map(|place| place.category).collect();
    let mut of_categories = "category_id is null".to_owned();
    if !categories.is_empty() {
        of_categories += &format!(" or category_id in ({})", list(&mut categories.iter().map(|category| category.get())));
    }
    format!(
        "instant >= {} or (floor(instant / {SECONDS}) in ({}) and ({of_categories}))",
        u64::from(differing.until_hour) * u64::from(SECONDS),
        list(&mut hours.into_iter())
    )
}

fn rows(batch: &RecordBatch, visit: &mut impl FnMut(BatchRow)) {
    let [sale, product, customer, quantity, cents] = [0, 1, 2, 3, 4].map(|column| batch.column(column).as_primitive::<Int64Type>());
    let (at, category) = (batch.column(5).as_primitive::<Float64Type>(), batch.column(6).as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let Ok(occurred_at) = EventTime::try_from(at.value(row) as i64) else { continue };
        let fact = SaleFact {
            product: ProductId::from(product.value(row)),
            customer: SaleFact::customer_mark(CustomerId::from(customer.value(row))),
            occurred_at,
            quantity: Quantity::from_thousandths(quantity.value(row)),
            amount: Money::from_cents(cents.value(row)),
        };
        let category = category.is_valid(row).then(|| CategoryId::from(category.value(row)));
        visit(BatchRow { sale: SaleId::from(sale.value(row)), fact, category });
    }
}
