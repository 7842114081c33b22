//! The tables of the shop's database: what a small shop would have, third normal form, money as decimal text, times as
//! ISO text in UTC. `changes` is filled by triggers and feeds the stream; personal data never enters it.

/// Tables, without indexes and triggers: both come after the history is loaded.
///
/// `order_lines.product_id` has no foreign key on purpose: the tills of the source sold 17 articles that its catalogue
/// lacks, as shops do.
pub(crate) const TABLES: &str = "
create table categories (
  category_id integer primary key,
  name text not null,
  description text,
  parent_category_id integer references categories (category_id),
  created_at text not null,
  updated_at text not null
);
create table products (
  product_id integer primary key,
  name text not null,
  category_id integer not null references categories (category_id),
  description text,
  brand text,
  current_price text,
  created_at text not null,
  updated_at text not null
);
create table customers (
  customer_id integer primary key,
  name text not null,
  email text not null,
  customer_segment text,
  created_at text not null,
  last_login text,
  updated_at text not null
);
create table orders (
  order_id integer primary key,
  customer_id integer not null references customers (customer_id),
  store_id integer not null,
  ordered_at text not null,
  created_at text not null,
  updated_at text not null
);
create table order_lines (
  line_id integer primary key,
  order_id integer not null references orders (order_id),
  product_id integer not null,
  quantity numeric not null,
  unit_price text not null,
  total_price text not null,
  discount text not null,
  created_at text not null,
  updated_at text not null
);
create table promotions (
  promotion_id integer primary key,
  product_id integer not null references products (product_id),
  starts_on text not null,
  ends_on text not null,
  kind text not null check (kind in ('display', 'mailer')),
  strength integer not null,
  announced_at text not null,
  created_at text not null,
  updated_at text not null
);
create table changes (
  change_id integer primary key autoincrement,
  table_name text not null,
  row_id integer not null,
  op text not null check (op in ('insert', 'update', 'delete')),
  row text not null,
  changed_at text not null
);
";

/// What the shop's own queries and a reader of changes look rows up by.
pub(crate) const INDEXES: &str = "
create index categories_by_parent on categories (parent_category_id);
create index products_by_category on products (category_id);
create index products_by_update on products (updated_at);
create unique index customers_by_email on customers (email);
create index orders_by_time on orders (ordered_at);
create index orders_by_customer on orders (customer_id);
create index order_lines_by_order on order_lines (order_id);
create index order_lines_by_product on order_lines (product_id);
create index order_lines_by_update on order_lines (updated_at);
create index promotions_by_product on promotions (product_id, starts_on);
create index promotions_by_update on promotions (updated_at);
";

/// Tables whose changes are recorded, with their key and columns.
const RECORDED: [(&str, &str, &[&str]); 5] = [
    ("categories", "category_id", &["category_id", "name", "description", "parent_category_id", "created_at", "updated_at"]),
    ("products", "product_id", &["product_id", "name", "category_id", "description", "brand", "current_price", "created_at", "updated_at"]),
    ("orders", "order_id", &["order_id", "customer_id", "store_id", "ordered_at", "created_at", "updated_at"]),
    (
        "order_lines",
        "line_id",
        &["line_id", "order_id", "product_id", "quantity", "unit_price", "total_price", "discount", "created_at", "updated_at"],
    ),
    (
        "promotions",
        "promotion_id",
        &["promotion_id", "product_id", "starts_on", "ends_on", "kind", "strength", "announced_at", "created_at", "updated_at"],
    ),
];

/// Triggers that write each insert, update and delete into `changes`, the whole row as JSON. A row's own `updated_at` is
/// the time of the change; a deleted row has none, so the database's clock is taken.
pub(crate) fn triggers() -> String {
    let mut sql = String::new();
    for (table, key, columns) in RECORDED {
        for (op, row, time) in [
            ("insert", "new", "new.updated_at"),
            ("update", "new", "new.updated_at"),
            ("delete", "old", "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"),
        ] {
            let json = columns.iter().map(|column| format!("'{column}', {row}.{column}")).collect::<Vec<_>>().join(", ");
            sql.push_str(&format!(
                "create trigger {table}_{op} after {op} on {table} begin
                   insert into changes (table_name, row_id, op, row, changed_at) values ('{table}', {row}.{key}, '{op}', json_object({json}), {time});
                 end;\n"
            ));
        }
    }
    sql
}
