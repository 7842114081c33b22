//! The star schema: every table the ingest fills, its columns and its partitions. Columns are nullable throughout and
//! no table feature beyond the basic protocol is used, so that any Delta reader can open them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A table of the star schema.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Type)],
    pub(crate) partition_by: &'static [&'static str],
}

/// The few types the tables use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Id,
    Int,
    Text,
    Money,
    Quantity,
    Real,
    Day,
    Instant,
    Flag,
}

impl Type {
    fn arrow(self) -> DataType {
        match self {
            Self::Id => DataType::Int64,
            Self::Int => DataType::Int32,
            Self::Text => DataType::Utf8,
            Self::Money => DataType::Decimal128(18, 2),
            Self::Quantity => DataType::Decimal128(18, 3),
            Self::Real => DataType::Float64,
            Self::Day => DataType::Date32,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Flag => DataType::Boolean,
        }
    }
}

impl Layout {
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(|(name, kind)| Field::new(*name, kind.arrow(), true)).collect::<Vec<_>>()))
    }

    pub(crate) fn column_names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }
}

use Type::{Day, Flag, Id, Instant, Int, Money, Quantity, Real, Text};

pub(crate) const DIM_CATEGORY: Layout = Layout {
    name: "dim_category",
    columns: &[
        ("category_id", Id),
        ("name", Text),
        ("description", Text),
        ("parent_category_id", Id),
        ("level", Int),
        ("category_path", Text),
        ("forecast_category_id", Id),
        ("is_excluded", Flag),
    ],
    partition_by: &[],
};

pub(crate) const DIM_PRODUCT: Layout = Layout {
    name: "dim_product",
    columns: &[
        ("product_id", Id),
        ("name", Text),
        ("description", Text),
        ("current_price", Money),
        ("category_id", Id),
        ("created_at", Instant),
        ("updated_at", Instant),
        ("brand", Text),
        ("valid_from", Instant),
        ("valid_to", Instant),
        ("is_current", Flag),
    ],
    partition_by: &[],
};

pub(crate) const DIM_CUSTOMER: Layout = Layout {
    name: "dim_customer",
    columns: &[
        ("customer_id", Id),
        ("name", Text),
        ("email", Text),
        ("created_at", Instant),
        ("last_login", Instant),
        ("customer_segment", Text),
    ],
    partition_by: &[],
};

pub(crate) const DIM_DATE: Layout = Layout {
    name: "dim_date",
    columns: &[
        ("date_id", Day),
        ("day", Int),
        ("month", Int),
        ("quarter", Int),
        ("year", Int),
        ("day_of_week", Int),
        ("is_weekend", Flag),
        ("is_holiday", Flag),
        ("iso_year", Int),
        ("iso_week", Int),
        ("holiday_name", Text),
    ],
    partition_by: &[],
};

pub(crate) const FACT_SALES: Layout = Layout {
    name: "fact_sales",
    columns: &[
        ("sale_id", Id),
        ("product_id", Id),
        ("category_id", Id),
        ("customer_id", Id),
        ("date_id", Day),
        ("quantity", Quantity),
        ("unit_price", Money),
        ("total_price", Money),
        ("occurred_at", Instant),
        ("known_at", Instant),
        ("discount", Money),
        ("is_return", Flag),
        ("month", Text),
    ],
    partition_by: &["month"],
};

pub(crate) const FACT_PROMOTIONS: Layout = Layout {
    name: "fact_promotions",
    columns: &[
        ("product_id", Id),
        ("starts_on", Day),
        ("ends_on", Day),
        ("kind", Text),
        ("strength", Real),
        ("announced_at", Instant),
        ("known_at", Instant),
    ],
    partition_by: &[],
};

/// Days of note that the source names; `dim_date` is made from them and from the country's holidays.
pub(crate) const DIM_EVENT: Layout =
    Layout { name: "dim_event", columns: &[("name", Text), ("date", Day), ("kind", Text)], partition_by: &[] };

pub(crate) const QUARANTINE: Layout = Layout {
    name: "quarantine",
    columns: &[
        ("run_id", Text),
        ("entity", Text),
        ("rule", Text),
        ("reason", Text),
        ("row_json", Text),
        ("quarantined_at", Instant),
        ("resolved", Flag),
        ("resolved_run", Text),
    ],
    partition_by: &[],
};

pub(crate) const INGEST_RUNS: Layout = Layout {
    name: "ingest_runs",
    columns: &[("run_id", Text), ("status", Text), ("recorded_at", Instant), ("record", Text)],
    partition_by: &[],
};

/// Every fixed table; the aggregates add theirs.
pub(crate) const TABLES: [&Layout; 9] =
    [&DIM_CATEGORY, &DIM_PRODUCT, &DIM_CUSTOMER, &DIM_DATE, &DIM_EVENT, &FACT_SALES, &FACT_PROMOTIONS, &QUARANTINE, &INGEST_RUNS];
