//! The sales of the last days as windows see them, for comparison with those of the stream.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use chrono::{DateTime, Duration, Utc};
use sellcast_domain::window::{BatchSale, EventTime, Quantity, SaleFact};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId, SaleId};

use crate::error::{Computing, WarehouseError};
use crate::warehouse::Warehouse;

impl Warehouse {
    /// Every sale from an instant on, with the category that its product is in now.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn sales_since(&self, since: EventTime) -> Result<Vec<BatchSale>, WarehouseError> {
        let instant = DateTime::<Utc>::from_timestamp(since.seconds().into(), 0).unwrap_or_default();
        // The shop's day may be the day before; its month prunes the partitions.
        let month = (instant - Duration::days(1)).format("%Y-%m");
        let sql = format!(
            "select f.sale_id, f.product_id, coalesce(f.customer_id, 0), cast(f.quantity * 1000 as bigint), cast(f.total_price * 100 as bigint),
                    floor(date_part('epoch', f.occurred_at)), p.category_id
             from fact_sales f left join dim_product p on p.product_id = f.product_id and p.is_current
             where f.month >= '{month}' and date_part('epoch', f.occurred_at) >= {}",
            since.seconds()
        );
        let session = self.session().await?;
        let batches = session.sql(&sql).await.computing("the last days' sales")?.collect().await.computing("the last days' sales")?;
        let mut sales = Vec::new();
        for batch in &batches {
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
                sales.push(BatchSale { sale: SaleId::from(sale.value(row)), fact, category });
            }
        }
        Ok(sales)
    }
}
