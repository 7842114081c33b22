//! The configuration that `sellcast demo` writes for its shop: the same file a shop's own people would write.

use std::path::PathBuf;

/// Categories that the demo leaves out of forecasts: fuel, coupons, deposits, donations, gift cards and the rest that is
/// sold over the till but is no goods. Names as they stand in `categories`; each takes its subtree along.
pub const NOT_GOODS: [&str; 6] =
    ["Fuel", "Miscellaneous", "Coupons", "Donations and adjustments", "Charitable contributions", "Bottle deposits"];

/// `sellcast.toml` for a shop database that stands beside it as `shop.db`.
pub fn demo_config() -> String {
    let source = source(
        "sqlite:shop.db",
        "select l.line_id as sale_id, l.product_id, o.customer_id, l.quantity, l.unit_price, l.total_price, l.discount,
       o.ordered_at as occurred_at, l.updated_at
from order_lines l join orders o using (order_id)",
    );
    format!(
        r#"{head}
# Sales as they come: the triggers of the shop note each change.
[stream]
# The replay writes half an hour of sales at once.
lateness_seconds = 3600
poll_milliseconds = 250

[stream.outbox]
newest = "select coalesce(max(change_id), 0) from changes"
changes = """
select c.change_id as position, 'sales' as entity, c.op,
       json_object('sale_id', c.row_id, 'product_id', c.row ->> 'product_id', 'customer_id', o.customer_id,
                   'quantity', c.row ->> 'quantity', 'total_price', c.row ->> 'total_price', 'occurred_at', o.ordered_at) as row
from changes c join orders o on o.order_id = c.row ->> 'order_id'
where c.table_name = 'order_lines' and c.change_id >= ?1
union all
select change_id, 'products', op, json_object('product_id', row_id, 'category_id', row ->> 'category_id')
from changes where table_name = 'products' and change_id >= ?1
order by position limit ?2
"""
snapshot = """
select 'products' as entity, json_object('product_id', product_id, 'category_id', category_id) as row from products
union all
select 'sales', json_object('sale_id', line_id, 'product_id', product_id, 'customer_id', customer_id,
                            'quantity', quantity, 'total_price', total_price, 'occurred_at', ordered_at)
from orders join order_lines using (order_id)
where ordered_at >= (select strftime('%Y-%m-%dT%H:%M:%SZ', max(ordered_at), '-9 days') from orders)
"""

{source}"#,
        head = head()
    )
}

/// Where the servers of the full demo are.
#[derive(Clone, Debug)]
pub struct FullDemoServices {
    /// The shop's PostgreSQL database, which a [`crate::Mirror`] fills.
    pub shop: String,
    /// The PostgreSQL database of the model registry and the jobs.
    pub metadata: String,
    /// Kafka's brokers.
    pub brokers: String,
    /// Cassandra's keyspace.
    pub predictions: String,
    /// Redis.
    pub features: String,
    /// Bucket and prefix of the warehouse.
    pub warehouse: String,
    /// What the workers of the stream share.
    pub state_folder: PathBuf,
}

/// `sellcast.toml` of the demo on real servers, the same for each of its processes. Debezium's topics are `shop.public.<table>`.
pub fn full_demo_config(services: &FullDemoServices) -> String {
    let source = source(
        &services.shop,
        "select line_id as sale_id, product_id, customer_id, quantity, unit_price, total_price, discount, sold_at as occurred_at, updated_at
from order_lines",
    );
    format!(
        r#"{head}
# Sales as they come: Debezium's topics.
[stream]
# The replay writes half an hour of sales at once.
lateness_seconds = 3600

[stream.kafka]
brokers = {brokers}
sales_topic = "shop.public.order_lines"
products_topic = "shop.public.products"
state_folder = {state_folder}
# Processes of `sellcast stream` do the work.
worker = false

[stream.kafka.sales]
sale_id = "line_id"
occurred_at = "sold_at"

[stream.kafka.products]
product_id = "product_id"

[store]
predictions = {predictions}
metadata = {metadata}
warehouse = {warehouse}
features = {features}

{source}"#,
        head = head(),
        brokers = quoted(&services.brokers),
        state_folder = quoted(&services.state_folder.to_string_lossy()),
        predictions = quoted(&services.predictions),
        metadata = quoted(&services.metadata),
        warehouse = quoted(&services.warehouse),
        features = quoted(&services.features),
    )
}

/// The shop itself and what is forecast.
fn head() -> String {
    let excluded = NOT_GOODS.map(|name| format!("\"{name}\"")).join(", ");
    format!(
        r#"# The demo shop: The Complete Journey, a year of a grocery chain's sales (see data/complete-journey/ATTRIBUTION.md).

[shop]
name = "Complete Journey"
currency = "USD"
time_zone = "America/New_York"
country = "US"
# The data is of 2017: the shop's clock stands at its newest forecast.
clock = "data"

[forecast]
# Departments are level 1, product categories level 2, product types level 3.
level = 2
# Sold over the till, but no goods.
exclude = [{excluded}]
"#
    )
}

/// The mapping. All but the sales is the same SQL in SQLite and PostgreSQL.
fn source(url: &str, transactions: &str) -> String {
    format!(
        r#"[source]
url = {url}
# Rows committed late are found if they are not later than this.
lag_hours = 72

[source.categories]
sql = """
select category_id, name, parent_category_id, description
from categories
"""

[source.products]
sql = """
select product_id, name, category_id, description, brand, current_price, created_at, updated_at
from products
"""
cursor = "updated_at"

[source.customers]
sql = """
select customer_id, name, email, customer_segment, created_at, last_login
from customers
"""

[source.transactions]
sql = """
{transactions}
"""
cursor = "updated_at"

[source.promotions]
sql = """
select product_id, starts_on, ends_on, kind, strength, announced_at, updated_at
from promotions
"""
cursor = "updated_at"
"#,
        url = quoted(url)
    )
}

/// A TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
