//! Reads the Parquet files of the demo (made by `scripts/demo-data.sh`) with DataFusion: the catalogue, the households,
//! the sales in time order, and the promotions as the shop announces them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono_tz::Tz;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use futures::{Stream, StreamExt, TryStreamExt};

/// The time zone that the shop's days are counted in.
pub const SHOP_ZONE: Tz = chrono_tz::America::New_York;

/// A display counts as a promotion of the shop when at least this many of the 112 reporting stores put it up: below
/// that it is one store's own idea, which no plan announces. Mailers are printed for all, each is kept.
const LEAST_DISPLAY_STORES: u8 = 5;
/// Promotions begin on Mondays and are announced on the Wednesday before, at noon UTC (morning in New York). The source
/// says nothing about it; mailers go to print about then.
const ANNOUNCED_SECONDS_BEFORE: i64 = 5 * 86_400 - 43_200;

/// Whether a line is gasoline recorded in thousandths of a gallon: those cost far less than a dime, a gallon far more.
const GASOLINE: &str = "p.product_type like 'GASOLINE%' and t.sales_value_cents < 10 * t.quantity";

/// One line of a receipt, as the till wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sale {
    pub(crate) line_id: i64,
    pub(crate) order_id: i64,
    pub(crate) customer_id: i64,
    pub(crate) store_id: i64,
    pub(crate) product_id: i64,
    /// Pieces x 1000; gasoline is sold by the gallon and recorded in thousandths.
    pub(crate) quantity_thousandths: i64,
    pub(crate) total_cents: i64,
    pub(crate) discount_cents: i64,
    /// Seconds since 1970, UTC.
    pub(crate) sold_at: i64,
}

impl Sale {
    /// Price paid for one piece, to the nearest cent; of a line without quantity, its total.
    pub(crate) fn unit_cents(&self) -> i64 {
        match self.quantity_thousandths {
            0 => self.total_cents,
            quantity => (2_000 * self.total_cents + quantity) / (2 * quantity),
        }
    }
}

/// A product in one week's display or mailer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promotion {
    pub(crate) promotion_id: i64,
    pub(crate) product_id: i64,
    /// Days since 1970 of its Monday.
    pub(crate) starts_on: i64,
    pub(crate) is_mailer: bool,
    pub(crate) stores: i64,
}

impl Promotion {
    /// Seconds since 1970 from which it is known.
    pub(crate) fn announced_at(&self) -> i64 {
        self.starts_on * 86_400 - ANNOUNCED_SECONDS_BEFORE
    }
}

/// A product as the source's catalogue has it.
#[derive(Clone, Debug)]
pub(crate) struct CatalogueRow {
    pub(crate) product_id: i64,
    pub(crate) manufacturer_id: i64,
    pub(crate) department: String,
    pub(crate) private_label: bool,
    pub(crate) category: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) size: Option<String>,
}

/// A household; most have no demographics.
#[derive(Clone, Debug)]
pub(crate) struct Household {
    pub(crate) household_id: i64,
    pub(crate) age: Option<String>,
    pub(crate) composition: Option<String>,
    /// Seconds since 1970 of the last purchase before the asked instant.
    pub(crate) last_purchase: Option<i64>,
}

/// The folder with the demo's Parquet files: `SELLCAST_DEMO_DATA`, else `data/complete-journey` beside the working
/// folder, the binary or the sources it was built from.
///
/// # Errors
/// When none of these holds the files.
pub fn data_folder() -> Result<PathBuf> {
    let inside = Path::new("data").join("complete-journey");
    let named = env::var_os("SELLCAST_DEMO_DATA").map(PathBuf::from);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&inside);
    let beside = env::current_exe().ok().into_iter().flat_map(|exe| exe.ancestors().map(|folder| folder.join(&inside)).collect::<Vec<_>>());
    let mut places: Vec<PathBuf> = named.into_iter().collect();
    if places.is_empty() {
        places = [inside.clone(), sources].into_iter().chain(beside).collect();
    }
    let found = places.iter().find(|place| place.join("transactions.parquet").is_file()).cloned();
    found.with_context(|| {
        format!("no demo data in `{}`: name its folder in SELLCAST_DEMO_DATA, or make it with scripts/demo-data.sh", places[0].display())
    })
}

/// The opened files.
pub(crate) struct DemoData {
    context: SessionContext,
}

impl DemoData {
    /// Opens the files in `folder`.
    pub(crate) async fn open(folder: &Path) -> Result<Self> {
        let config = SessionConfig::new().set_bool("datafusion.execution.parquet.schema_force_view_types", false);
        let context = SessionContext::new_with_config(config);
        for table in ["transactions", "products", "households", "promotions"] {
            let file = folder.join(format!("{table}.parquet"));
            ensure!(file.is_file(), "no demo data at `{}`: make it with scripts/demo-data.sh", file.display());
            let path = file.to_str().with_context(|| format!("the path `{}` is not UTF-8: move the demo data", file.display()))?;
            context.register_parquet(table, path, ParquetReadOptions::default()).await.with_context(|| format!("cannot read `{path}`"))?;
        }
        Ok(Self { context })
    }

    async fn query(&self, sql: &str) -> Result<SendableRecordBatchStream> {
        Ok(self.context.sql(sql).await.with_context(|| format!("cannot plan {sql}"))?.execute_stream().await?)
    }

    async fn collect<T>(&self, sql: &str, row: impl Fn(&RecordBatch, usize) -> T) -> Result<Vec<T>> {
        let batches: Vec<RecordBatch> = self.query(sql).await?.try_collect().await?;
        Ok(batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|at| row(batch, at)).collect::<Vec<_>>()).collect())
    }

    /// The catalogue by product id.
    pub(crate) async fn catalogue(&self) -> Result<Vec<CatalogueRow>> {
        let sql = "select cast(product_id as bigint) as id, cast(manufacturer_id as bigint) as maker, department, brand, product_category, product_type, package_size
                   from products order by id";
        self.collect(sql, |batch, at| CatalogueRow {
            product_id: integer(batch, 0, at),
            manufacturer_id: integer(batch, 1, at),
            department: text(batch, 2, at).unwrap_or_default(),
            private_label: text(batch, 3, at).as_deref() == Some("Private"),
            category: text(batch, 4, at),
            kind: text(batch, 5, at),
            size: text(batch, 6, at),
        })
        .await
    }

    /// Every household that ever buys, by id, with its last purchase before `until` (seconds since 1970).
    pub(crate) async fn households(&self, until: i64) -> Result<Vec<Household>> {
        let sql = format!(
            "select cast(t.household_id as bigint) as id, max(h.age) as age, max(h.household_comp) as composition,
                    max(case when cast(t.sold_at as bigint) < {until}000 then cast(t.sold_at as bigint) end) / 1000 as last_purchase
             from transactions t left join households h on h.household_id = t.household_id group by t.household_id order by id"
        );
        self.collect(&sql, |batch, at| Household {
            household_id: integer(batch, 0, at),
            age: text(batch, 1, at),
            composition: text(batch, 2, at),
            last_purchase: optional_integer(batch, 3, at),
        })
        .await
    }

    /// Median price paid for one piece, in cents, of each product that was sold before `until` (seconds since 1970).
    pub(crate) async fn median_prices(&self, until: i64) -> Result<Vec<(i64, i64)>> {
        let sql = format!(
            "select cast(product_id as bigint) as id, cast(round(median(cents)) as bigint) as price from (
               select t.product_id, cast(t.sales_value_cents as double) / case when {GASOLINE}
                      then t.quantity / 1000.0 else t.quantity end as cents
               from transactions t left join products p on p.product_id = t.product_id
               where t.quantity > 0 and t.sales_value_cents > 0 and cast(t.sold_at as bigint) < {until}000)
             group by product_id"
        );
        self.collect(&sql, |batch, at| (integer(batch, 0, at), integer(batch, 1, at))).await
    }

    /// Sales after line `after_line` and before `until` (seconds since 1970), in time order. Lines of one receipt follow
    /// each other.
    pub(crate) async fn sales(&self, after_line: i64, until: i64) -> Result<impl Stream<Item = Result<Vec<Sale>>> + use<>> {
        let sql = format!(
            "select cast(t.line_id as bigint) as id, t.basket_id, cast(t.household_id as bigint) as household, cast(t.store_id as bigint) as store,
                    cast(t.product_id as bigint) as product,
                    cast(case when {GASOLINE} then t.quantity else 1000 * t.quantity end as bigint) as quantity,
                    cast(t.sales_value_cents as bigint) as total,
                    cast(t.retail_disc_cents + t.coupon_disc_cents + t.coupon_match_disc_cents as bigint) as discount,
                    cast(t.sold_at as bigint) / 1000 as at
             from transactions t left join products p on p.product_id = t.product_id
             where t.line_id > {after_line} and cast(t.sold_at as bigint) < {until}000 order by id"
        );
        let stream = self.query(&sql).await?;
        Ok(stream.map(|batch| {
            let batch = batch?;
            let column = |index: usize| batch.column(index).as_primitive::<Int64Type>().values().as_ref();
            let columns: [&[i64]; 9] = std::array::from_fn(column);
            let sale = |at: usize| Sale {
                line_id: columns[0][at],
                order_id: columns[1][at],
                customer_id: columns[2][at],
                store_id: columns[3][at],
                product_id: columns[4][at],
                quantity_thousandths: columns[5][at],
                total_cents: columns[6][at],
                discount_cents: columns[7][at],
                sold_at: columns[8][at],
            };
            Ok((0..batch.num_rows()).map(sale).collect())
        }))
    }

    /// Promotions after `after_id` that are announced before `until` (seconds since 1970), in order of announcement.
    pub(crate) async fn promotions(&self, after_id: i64, until: i64) -> Result<Vec<Promotion>> {
        let sql = format!(
            "select * from (
               select cast(row_number() over (order by week_start, product_id, kind) as bigint) as promotion_id, cast(product_id as bigint) as product_id,
                      cast(cast(week_start as integer) as bigint) as starts_on, kind, cast(stores as bigint) as stores
               from (select week_start, product_id, 1 as kind, display_stores as stores from promotions where display_stores >= {LEAST_DISPLAY_STORES}
                     union all select week_start, product_id, 2, mailer_stores from promotions where mailer_stores > 0))
             where promotion_id > {after_id} and starts_on * 86400 - {ANNOUNCED_SECONDS_BEFORE} < {until} order by promotion_id"
        );
        let kind_of = |batch: &RecordBatch, at: usize| batch.column(3).as_primitive::<Int64Type>().value(at);
        self.collect(&sql, |batch, at| Promotion {
            promotion_id: integer(batch, 0, at),
            product_id: integer(batch, 1, at),
            starts_on: integer(batch, 2, at),
            is_mailer: kind_of(batch, at) == 2,
            stores: integer(batch, 4, at),
        })
        .await
    }
}

fn integer(batch: &RecordBatch, column: usize, row: usize) -> i64 {
    batch.column(column).as_primitive::<Int64Type>().value(row)
}

fn optional_integer(batch: &RecordBatch, column: usize, row: usize) -> Option<i64> {
    batch.column(column).is_valid(row).then(|| integer(batch, column, row))
}

fn text(batch: &RecordBatch, column: usize, row: usize) -> Option<String> {
    let values = batch.column(column).as_string::<i32>();
    values.is_valid(row).then(|| values.value(row).to_owned())
}
