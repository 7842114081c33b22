//! The mirror's tables: how they are made in PostgreSQL, and the SQL that reads their rows from SQLite and merges them.

/// A table on both sides.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Rows of `t` in SQLite, and what its columns need beside them.
    from: &'static str,
    /// The key first.
    columns: &'static [Column],
    changes: Changes,
}

/// A column of PostgreSQL and where SQLite has it.
enum Column {
    /// Of the same name, without characters that `COPY` reads otherwise.
    Plain(&'static str),
    /// Of the same name, with any text.
    Words(&'static str),
    /// Another expression.
    As(&'static str, &'static str),
}

/// How rows that changed are found.
enum Changes {
    /// Triggers note them.
    Recorded,
    /// So are those of the table itself, and those of `orders` concern its rows too.
    RecordedWithOrders,
    /// By `updated_at`.
    Dated,
}

use Column::{As, Plain, Words};

/// Parents before children.
pub(super) const TABLES: [Table; 6] = [
    Table {
        name: "categories",
        from: "categories t",
        columns: &[
            Plain("category_id"),
            Words("name"),
            Words("description"),
            Plain("parent_category_id"),
            Plain("created_at"),
            Plain("updated_at"),
        ],
        changes: Changes::Recorded,
    },
    Table {
        name: "products",
        from: "products t",
        columns: &[
            Plain("product_id"),
            Words("name"),
            Plain("category_id"),
            Words("description"),
            Words("brand"),
            Plain("current_price"),
            Plain("created_at"),
            Plain("updated_at"),
        ],
        changes: Changes::Recorded,
    },
    Table {
        name: "customers",
        from: "customers t",
        columns: &[
            Plain("customer_id"),
            Words("name"),
            Words("email"),
            Words("customer_segment"),
            Plain("created_at"),
            Plain("last_login"),
            Plain("updated_at"),
        ],
        changes: Changes::Dated,
    },
    Table {
        name: "orders",
        from: "orders t",
        columns: &[
            Plain("order_id"),
            Plain("customer_id"),
            Plain("store_id"),
            Plain("ordered_at"),
            Plain("created_at"),
            Plain("updated_at"),
        ],
        changes: Changes::Recorded,
    },
    Table {
        name: "order_lines",
        from: "order_lines t join orders o on o.order_id = t.order_id",
        columns: &[
            Plain("line_id"),
            Plain("order_id"),
            Plain("product_id"),
            As("customer_id", "o.customer_id"),
            Plain("quantity"),
            Plain("unit_price"),
            Plain("total_price"),
            Plain("discount"),
            As("sold_at", "o.ordered_at"),
            Plain("created_at"),
            Plain("updated_at"),
        ],
        changes: Changes::RecordedWithOrders,
    },
    Table {
        name: "promotions",
        from: "promotions t",
        columns: &[
            Plain("promotion_id"),
            Plain("product_id"),
            Plain("starts_on"),
            Plain("ends_on"),
            Words("kind"),
            Plain("strength"),
            Plain("announced_at"),
            Plain("created_at"),
            Plain("updated_at"),
        ],
        changes: Changes::Recorded,
    },
];

/// Tables without keys and indexes, which are made faster when the rows are there. `mirror_position` has one row: the shop's
/// newest change that is in the tables.
pub(super) const CREATE: &str = "
create table public.categories (
  category_id integer not null,
  name text not null,
  description text,
  parent_category_id integer,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create table public.products (
  product_id integer not null,
  name text not null,
  category_id integer not null,
  description text,
  brand text,
  current_price numeric(12, 2),
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create table public.customers (
  customer_id integer not null,
  name text not null,
  email text not null,
  customer_segment text,
  created_at timestamptz not null,
  last_login timestamptz,
  updated_at timestamptz not null
);
create table public.orders (
  order_id bigint not null,
  customer_id integer not null,
  store_id integer not null,
  ordered_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create table public.order_lines (
  line_id bigint not null,
  order_id bigint not null,
  product_id integer not null,
  customer_id integer not null,
  quantity numeric(12, 3) not null,
  unit_price numeric(12, 2) not null,
  total_price numeric(12, 2) not null,
  discount numeric(12, 2) not null,
  sold_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create table public.promotions (
  promotion_id bigint not null,
  product_id integer not null,
  starts_on date not null,
  ends_on date not null,
  kind text not null check (kind in ('display', 'mailer')),
  strength integer not null,
  announced_at timestamptz not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);
create table public.mirror_position (
  only_one boolean primary key default true check (only_one),
  change_id bigint not null,
  mirrored_at timestamptz not null default now()
);
";

/// As in the SQLite shop `order_lines.product_id` refers to nothing: the tills sold articles that the catalogue lacks. A change of
/// a line or product carries the whole row as it was, which Debezium's readers need.
pub(super) const KEYS: &str = "
alter table categories add primary key (category_id);
alter table products add primary key (product_id);
alter table customers add primary key (customer_id);
alter table orders add primary key (order_id);
alter table order_lines add primary key (line_id);
alter table promotions add primary key (promotion_id);
alter table categories add foreign key (parent_category_id) references categories;
alter table products add foreign key (category_id) references categories;
alter table orders add foreign key (customer_id) references customers;
alter table order_lines add foreign key (order_id) references orders, add foreign key (customer_id) references customers;
alter table promotions add foreign key (product_id) references products;
alter table order_lines replica identity full;
alter table products replica identity full;
create index categories_by_update on categories (updated_at);
create index categories_by_parent on categories (parent_category_id);
create index products_by_update on products (updated_at);
create index products_by_category on products (category_id);
create index customers_by_update on customers (updated_at);
create unique index customers_by_email on customers (email);
create index orders_by_update on orders (updated_at);
create index orders_by_time on orders (ordered_at);
create index orders_by_customer on orders (customer_id);
create index order_lines_by_update on order_lines (updated_at);
create index order_lines_by_time on order_lines (sold_at);
create index order_lines_by_order on order_lines (order_id);
create index order_lines_by_product on order_lines (product_id);
create index promotions_by_update on promotions (updated_at);
create index promotions_by_product on promotions (product_id, starts_on);
analyze categories, products, customers, orders, order_lines, promotions;
";

/// The newest `updated_at` of the mirror's customers, as the shop writes times.
pub(super) const NEWEST_CUSTOMER: &str =
    r#"select to_char(max(updated_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') from customers"#;

impl Column {
    fn name(&self) -> &'static str {
        match self {
            Plain(name) | Words(name) | As(name, _) => name,
        }
    }

    /// Its value in a line of `COPY`, in SQLite's SQL.
    fn value(&self) -> String {
        let text = match self {
            Plain(name) => format!("t.{name}"),
            As(_, value) => (*value).to_owned(),
            // The backslash first: the others put some in.
            Words(name) => [("char(9)", "t"), ("char(10)", "n"), ("char(13)", "r")]
                .iter()
                .fold(format!(r"replace(t.{name}, '\', '\\')"), |text, (found, letter)| format!(r"replace({text}, {found}, '\{letter}')")),
        };
        format!(r"coalesce({text}, '\N')")
    }
}

impl Table {
    fn key(&self) -> &'static str {
        self.columns.first().map_or("", Column::name)
    }

    /// Whether the shop's list of changes tells of it.
    pub(super) fn is_recorded(&self) -> bool {
        !matches!(self.changes, Changes::Dated)
    }

    pub(super) fn column_list(&self) -> String {
        self.names("")
    }

    fn names(&self, before: &str) -> String {
        self.columns.iter().map(|column| format!("{before}{}", column.name())).collect::<Vec<_>>().join(", ")
    }

    /// Every row as a line of `COPY`. SQLite.
    pub(super) fn every_line(&self) -> String {
        let line = self.columns.iter().map(Column::value).collect::<Vec<_>>().join(" || char(9) || ");
        format!("select {line} from {}", self.from)
    }

    /// The rows that changes ?1 (without) to ?2 (with) concern, or those with an `updated_at` from ?1 on. SQLite.
    pub(super) fn changed_lines(&self) -> String {
        let (lines, key, name) = (self.every_line(), self.key(), self.name);
        let rows = |table: &str| format!("select row_id from changes where table_name = '{table}' and change_id > ?1 and change_id <= ?2");
        match self.changes {
            Changes::Recorded => format!("{lines} where t.{key} in ({})", rows(name)),
            Changes::RecordedWithOrders => {
                format!("{lines} where t.{key} in ({} union select {key} from {name} where order_id in ({}))", rows(name), rows("orders"))
            }
            Changes::Dated => format!("{lines} where t.updated_at >= ?1"),
        }
    }

    /// The keys of rows that changes ?1 (without) to ?2 (with) removed. SQLite.
    pub(super) fn gone(&self) -> String {
        let (key, name) = (self.key(), self.name);
        format!(
            "select distinct row_id from changes
             where table_name = '{name}' and op = 'delete' and change_id > ?1 and change_id <= ?2
               and not exists (select 1 from {name} t where t.{key} = row_id)"
        )
    }

    /// A table for changed rows on their way. PostgreSQL.
    pub(super) fn stage(&self) -> String {
        format!("create temporary table {} (like public.{}) on commit drop", self.staged(), self.name)
    }

    pub(super) fn staged(&self) -> String {
        format!("staged_{}", self.name)
    }

    /// Writes the staged rows, leaving alone what is as it was. PostgreSQL.
    pub(super) fn merge(&self) -> String {
        let (name, staged, key, columns) = (self.name, self.staged(), self.key(), self.column_list());
        let own = self.names(&format!("{name}."));
        let new = self.names("excluded.");
        format!(
            "insert into {name} ({columns}) select {columns} from {staged}
             on conflict ({key}) do update set ({columns}) = row({new}) where row({own}) is distinct from row({new})"
        )
    }

    /// Removes the rows whose keys are in $1. PostgreSQL.
    pub(super) fn remove(&self) -> String {
        format!("delete from {} where {} = any($1::bigint[])", self.name, self.key())
    }
}
