//! The canonical inputs: which entities there are, which columns each has, and what a column holds.
//! A mapping's query may give any subset that includes the required ones, under these names.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// A kind of input. The order is the loading order: each one refers only to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Entity {
    Categories,
    Products,
    Customers,
    Transactions,
    Promotions,
    Events,
}

/// What a column holds, and so how its values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// 64-bit id.
    Key,
    Text,
    /// Personal text, kept as a keyed hash only.
    Secret,
    /// Two decimals.
    Money,
    /// Three decimals.
    Quantity,
    Real,
    /// UTC, microseconds.
    Instant,
    Day,
}

/// How far a column may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Must be mapped, and no row may lack it.
    Required,
    /// Must be mapped; single rows may lack it.
    Mapped,
    Optional,
}

/// A canonical column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
    pub(crate) presence: Presence,
}

const fn required(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind, presence: Presence::Required }
}

const fn optional(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind, presence: Presence::Optional }
}

/// Number of the row within its reading, carried through validation so that a verdict finds its row again.
pub(crate) const ROW_REF: &str = "row_ref";

impl Entity {
    pub(crate) const ALL: [Self; 6] =
        [Self::Categories, Self::Products, Self::Customers, Self::Transactions, Self::Promotions, Self::Events];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Categories => "categories",
            Self::Products => "products",
            Self::Customers => "customers",
            Self::Transactions => "transactions",
            Self::Promotions => "promotions",
            Self::Events => "events",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }

    /// Every column a mapping may give. `created_at` and `updated_at` are allowed everywhere: they serve as cursors.
    pub(crate) const fn columns(self) -> &'static [Column] {
        use ColumnKind::{Day, Instant, Key, Money, Quantity, Real, Secret, Text};
        match self {
            Self::Categories => {
                &const {
                    [
                        required("category_id", Key),
                        required("name", Text),
                        optional("description", Text),
                        optional("parent_category_id", Key),
                        optional("created_at", Instant),
                        optional("updated_at", Instant),
                    ]
                }
            }
            Self::Products => {
                &const {
                    [
                        required("product_id", Key),
                        required("name", Text),
                        required("category_id", Key),
                        optional("description", Text),
                        optional("brand", Text),
                        optional("current_price", Money),
                        optional("created_at", Instant),
                        optional("updated_at", Instant),
                    ]
                }
            }
            Self::Customers => {
                &const {
                    [
                        required("customer_id", Key),
                        optional("name", Secret),
                        optional("email", Secret),
                        optional("created_at", Instant),
                        optional("last_login", Instant),
                        optional("customer_segment", Text),
                        optional("updated_at", Instant),
                    ]
                }
            }
            Self::Transactions => {
                &const {
                    [
                        required("sale_id", Key),
                        required("product_id", Key),
                        Column { name: "customer_id", kind: Key, presence: Presence::Mapped },
                        required("quantity", Quantity),
                        required("unit_price", Money),
                        required("occurred_at", Instant),
                        optional("total_price", Money),
                        optional("discount", Money),
                        optional("category_id", Key),
                        optional("created_at", Instant),
                        optional("updated_at", Instant),
                    ]
                }
            }
            Self::Promotions => {
                &const {
                    [
                        required("product_id", Key),
                        required("starts_on", Day),
                        required("ends_on", Day),
                        required("kind", Text),
                        optional("strength", Real),
                        optional("announced_at", Instant),
                        optional("created_at", Instant),
                        optional("updated_at", Instant),
                    ]
                }
            }
            Self::Events => {
                &const {
                    [
                        required("name", Text),
                        required("date", Day),
                        optional("kind", Text),
                        optional("created_at", Instant),
                        optional("updated_at", Instant),
                    ]
                }
            }
        }
    }

    pub(crate) fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|column| column.name == name)
    }

    /// Its key, where it is one column.
    pub(crate) fn single_key(self) -> Option<&'static str> {
        match self.key() {
            [key] => Some(key),
            _ => None,
        }
    }

    /// The columns that tell one row from another.
    pub(crate) const fn key(self) -> &'static [&'static str] {
        match self {
            Self::Categories => &["category_id"],
            Self::Products => &["product_id"],
            Self::Customers => &["customer_id"],
            Self::Transactions => &["sale_id"],
            Self::Promotions => &["product_id", "starts_on", "ends_on", "kind"],
            Self::Events => &["name", "date"],
        }
    }

    /// The quarantine rule for a row that contradicts another one of the same key.
    pub(crate) const fn duplicate_rule(self) -> &'static str {
        match self {
            Self::Categories => "duplicate_category_id",
            Self::Products => "duplicate_product_id",
            Self::Customers => "duplicate_customer_id",
            Self::Transactions => "duplicate_sale_id",
            Self::Promotions => "duplicate_promotion",
            Self::Events => "duplicate_event",
        }
    }

    /// Shape of a staged batch: every canonical column, unmapped ones null, and the row's number.
    pub(crate) fn staged_schema(self) -> SchemaRef {
        let mut fields: Vec<Field> = self.columns().iter().map(|column| Field::new(column.name, column.kind.arrow(), true)).collect();
        fields.push(Field::new(ROW_REF, DataType::Int64, false));
        Arc::new(Schema::new(fields))
    }
}

impl ColumnKind {
    pub(crate) fn arrow(self) -> DataType {
        match self {
            Self::Key => DataType::Int64,
            Self::Text | Self::Secret => DataType::Utf8,
            Self::Money => DataType::Decimal128(18, 2),
            Self::Quantity => DataType::Decimal128(18, 3),
            Self::Real => DataType::Float64,
            Self::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Day => DataType::Date32,
        }
    }

    /// What a value should look like, for messages.
    pub(crate) const fn due(self) -> &'static str {
        match self {
            Self::Key => "a whole number",
            Self::Text | Self::Secret => "text",
            Self::Money => "an amount such as `12.99`",
            Self::Quantity | Self::Real => "a number",
            Self::Instant => "a time such as `2017-12-01 10:22:33` (UTC) or unix seconds",
            Self::Day => "a day such as `2017-12-01`",
        }
    }
}
