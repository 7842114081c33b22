//! Four shops with the same sales in the tables of four makers: 120 days, 60 products in six categories, some orders that
//! came to nothing.

use std::fmt::Write as _;

use sellcast_domain::ShopDay;

pub(super) const PRODUCTS: i64 = 60;
pub(super) const CATEGORIES: i64 = 6;
const CUSTOMERS: i64 = 40;
const DAYS: i64 = 120;
const ORDERS_A_DAY: i64 = 12;
/// Rows of one insert.
const ROWS: usize = 500;

struct Order {
    id: i64,
    customer: i64,
    at: String,
    cancelled: bool,
    lines: Vec<Line>,
}

struct Line {
    id: i64,
    product: i64,
    quantity: i64,
    cents: i64,
}

/// What must reach the warehouse.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sold {
    pub(super) lines: i64,
    pub(super) cents: i64,
}

pub(super) fn sold() -> Sold {
    let orders = orders();
    let lines: Vec<&Line> = orders.iter().filter(|order| !order.cancelled).flat_map(|order| &order.lines).collect();
    Sold { lines: lines.len() as i64, cents: lines.iter().map(|line| line.quantity * line.cents).sum() }
}

fn orders() -> Vec<Order> {
    // Knuth's MMIX generator: enough for a test, and the same everywhere.
    let mut state = 7_u64;
    let mut below = |end: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % end.unsigned_abs()) as i64
    };
    let first: ShopDay = "2017-01-02".parse().expect("a day");
    let (mut orders, mut line_id) = (Vec::new(), 0);
    for day in 0..DAYS {
        for number in 0..ORDERS_A_DAY {
            let id = day * ORDERS_A_DAY + number + 1;
            let at = format!("{} {:02}:{:02}:{:02}", first + day, 8 + number, below(60), below(60));
            let mut lines: Vec<Line> = Vec::new();
            for _ in 0..=below(3) {
                // Few products sell often.
                let product = 1 + below(PRODUCTS) * below(PRODUCTS) / PRODUCTS;
                if lines.iter().all(|line| line.product != product) {
                    line_id += 1;
                    lines.push(Line { id: line_id, product, quantity: 1 + below(3), cents: 299 + product * 131 % 4000 });
                }
            }
            orders.push(Order { id, customer: 1 + below(CUSTOMERS), at, cancelled: below(20) == 0, lines });
        }
    }
    orders
}

/// Inserts, a table at a time.
struct Inserts(String);

impl Inserts {
    fn add(&mut self, table_and_columns: &str, rows: impl IntoIterator<Item = String>) {
        let rows: Vec<String> = rows.into_iter().collect();
        for rows in rows.chunks(ROWS) {
            let values = rows.iter().map(|row| format!("({row})")).collect::<Vec<_>>().join(",\n");
            let _ = writeln!(self.0, "insert into {table_and_columns} values\n{values};");
        }
    }
}

fn money(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn category_of(product: i64) -> i64 {
    1 + product % CATEGORIES
}

fn all_lines(orders: &[Order]) -> impl Iterator<Item = (&Order, &Line)> {
    orders.iter().flat_map(|order| order.lines.iter().map(move |line| (order, line)))
}

const OPENED: &str = "'2016-12-01 09:00:00'";

pub(super) fn woocommerce() -> String {
    let (orders, mut sql) = (orders(), Inserts(include_str!("woocommerce.sql").to_owned()));
    let settings = [("woocommerce_currency", "PLN"), ("timezone_string", "Europe/Warsaw"), ("woocommerce_default_country", "PL:PL-MZ")];
    sql.add("wp_options (option_name, option_value)", settings.map(|(name, value)| format!("'{name}', '{value}'")));
    sql.add("wp_terms (term_id, name, slug)", (1..=CATEGORIES + 1).map(|id| format!("{id}, 'Shelf {id}', 'shelf-{id}'")));
    let taxonomy = |id| if id > CATEGORIES { "product_tag" } else { "product_cat" };
    sql.add(
        "wp_term_taxonomy (term_taxonomy_id, term_id, taxonomy, description, parent)",
        (1..=CATEGORIES + 1).map(|id| format!("{}, {id}, '{}', '', 0", id + 100, taxonomy(id))),
    );
    let posts =
        (1..=PRODUCTS).map(|id| format!("{}, {OPENED}, {OPENED}, '', 'Thing {id}', 'publish', {OPENED}, {OPENED}, 'product'", id + 1000));
    let columns =
        "wp_posts (ID, post_date, post_date_gmt, post_content, post_title, post_status, post_modified, post_modified_gmt, post_type)";
    sql.add(columns, posts);
    sql.add(columns, [format!("1, {OPENED}, {OPENED}, '', 'Hello world', 'publish', {OPENED}, {OPENED}, 'post'")]);
    sql.add("wp_postmeta (post_id, meta_key, meta_value)", (1..=PRODUCTS).map(|id| format!("{}, '_sku', 'T-{id}'", id + 1000)));
    let shelves = (1..=PRODUCTS).map(|id| format!("{}, {}", id + 1000, category_of(id) + 100));
    let tags = (1..=PRODUCTS).filter(|id| id % 2 == 0).map(|id| format!("{}, {}", id + 1000, CATEGORIES + 101));
    sql.add("wp_term_relationships (object_id, term_taxonomy_id)", shelves.chain(tags));
    sql.add(
        "wp_wc_product_meta_lookup (product_id, sku, min_price, max_price)",
        (1..=PRODUCTS).map(|id| format!("{}, 'T-{id}', {price}, {price}", id + 1000, price = money(299 + id * 131 % 4000))),
    );
    sql.add(
        "wp_wc_customer_lookup (customer_id, username, first_name, last_name, email, date_registered)",
        (1..=CUSTOMERS).map(|id| format!("{id}, 'user{id}', 'Given{id}', 'Family{id}', 'person.{id}@example.com', {OPENED}")),
    );
    let status = |order: &Order| if order.cancelled { "wc-cancelled" } else { "wc-completed" };
    sql.add(
        "wp_wc_order_stats (order_id, date_created, date_created_gmt, status, customer_id)",
        orders.iter().map(|order| format!("{}, '{at}', '{at}', '{}', {}", order.id, status(order), order.customer, at = order.at)),
    );
    sql.add(
        "wp_wc_order_product_lookup (order_item_id, order_id, product_id, variation_id, customer_id, date_created, product_qty, product_net_revenue)",
        all_lines(&orders).map(|(order, line)| {
            let total = money(line.cents * line.quantity);
            format!("{}, {}, {}, 0, {}, '{}', {}, {total}", line.id, order.id, line.product + 1000, order.customer, order.at, line.quantity)
        }),
    );
    sql.0
}

pub(super) fn spree() -> String {
    let (orders, mut sql) = (orders(), Inserts(include_str!("spree.sql").to_owned()));
    sql.add("spree_taxonomies (id, name)", ["1, 'Categories'".to_owned()]);
    let taxons = (1..=CATEGORIES).map(|id| format!("{}, 1, 'Shelf {id}', 1", id + 1));
    sql.add("spree_taxons (id, parent_id, name, taxonomy_id)", ["1, null, 'Categories', 1".to_owned()].into_iter().chain(taxons));
    sql.add(
        "spree_products (id, name, description, available_on, created_at, updated_at)",
        (1..=PRODUCTS).map(|id| format!("{id}, 'Thing {id}', 'A thing.', {OPENED}, {OPENED}, {OPENED}")),
    );
    // A master variant each, and a second size.
    let variants = (1..=PRODUCTS).flat_map(|id| [(id * 10, "true", id), (id * 10 + 1, "false", id)]);
    sql.add(
        "spree_variants (id, sku, is_master, product_id, updated_at, created_at)",
        variants.clone().map(|(id, master, product)| format!("{id}, 'T-{id}', {master}, {product}, {OPENED}, {OPENED}")),
    );
    sql.add(
        "spree_prices (variant_id, amount, currency, created_at, updated_at)",
        variants.map(|(id, _, product)| format!("{id}, {}, 'GBP', {OPENED}, {OPENED}", money(299 + product * 131 % 4000))),
    );
    sql.add("spree_products_taxons (product_id, taxon_id)", (1..=PRODUCTS).map(|id| format!("{id}, {}", category_of(id) + 1)));
    sql.add(
        "spree_users (id, email, login, created_at, updated_at)",
        (1..=CUSTOMERS).map(|id| format!("{id}, 'person.{id}@example.com', 'person{id}', {OPENED}, {OPENED}")),
    );
    let state = |order: &Order| if order.cancelled { "canceled" } else { "complete" };
    let placed = orders.iter().map(|order| {
        let (id, at) = (order.id, &order.at);
        format!(
            "{id}, 'R{id}', '{}', {}, '{at}', 'person.{}@example.com', 'GBP', '{at}', '{at}'",
            state(order),
            order.customer,
            order.customer
        )
    });
    let carts = (0..30).map(|cart| format!("{}, 'R9{cart}', 'cart', null, null, null, 'GBP', {OPENED}, {OPENED}", 900_000 + cart));
    sql.add("spree_orders (id, number, state, user_id, completed_at, email, currency, created_at, updated_at)", placed.chain(carts));
    let lines = all_lines(&orders).map(|(order, line)| {
        let variant = line.product * 10 + line.id % 2;
        format!("{}, {variant}, {}, {}, {}, '{at}', '{at}', 'GBP'", line.id, order.id, line.quantity, money(line.cents), at = order.at)
    });
    let in_carts = (0..30).map(|cart| format!("{}, 10, {}, 1, 4.30, {OPENED}, {OPENED}, 'GBP'", 900_000 + cart, 900_000 + cart));
    sql.add("spree_line_items (id, variant_id, order_id, quantity, price, created_at, updated_at, currency)", lines.chain(in_carts));
    sql.add("spree_stock_items (variant_id, count_on_hand, created_at)", (1..=PRODUCTS).map(|id| format!("{}, 5, {OPENED}", id * 10)));
    sql.0
}

pub(super) fn odoo() -> String {
    let (orders, mut sql) = (orders(), Inserts(include_str!("odoo.sql").to_owned()));
    sql.add("res_users (id, login, active)", ["1, 'admin', true".to_owned()]);
    sql.add(
        "res_partner (id, name, email, active, create_uid, create_date, write_uid, write_date)",
        (1..=CUSTOMERS).map(|id| format!("{id}, 'Given Family{id}', 'person.{id}@example.com', true, 1, {OPENED}, 1, {OPENED}")),
    );
    let categories = (1..=CATEGORIES).map(|id| format!("{}, 1, 'Shelf {id}', 'All / Shelf {id}', {OPENED}, {OPENED}", id + 1));
    let root = [format!("1, null, 'All', 'All', {OPENED}, {OPENED}")];
    sql.add("product_category (id, parent_id, name, complete_name, create_date, write_date)", root.into_iter().chain(categories));
    sql.add(
        "product_template (id, name, type, categ_id, list_price, sale_ok, active, create_date, write_date)",
        (1..=PRODUCTS).map(|id| {
            let price = money(299 + id * 131 % 4000);
            format!(
                "{id}, '{{\"en_US\": \"Thing {id}\", \"de_DE\": \"Ding {id}\"}}', 'consu', {}, {price}, true, true, {OPENED}, {OPENED}",
                category_of(id) + 1
            )
        }),
    );
    sql.add(
        "product_product (id, product_tmpl_id, default_code, active, create_date, write_date)",
        (1..=PRODUCTS).map(|id| format!("{}, {id}, 'T-{id}', true, {OPENED}, {OPENED}", id + 500)),
    );
    let state = |order: &Order| if order.cancelled { ["cancel", "draft", "sent"][order.id as usize % 3] } else { "sale" };
    sql.add(
        "sale_order (id, name, state, partner_id, partner_invoice_id, partner_shipping_id, user_id, date_order, create_uid, create_date, write_date)",
        orders.iter().map(|order| {
            let (id, at, who) = (order.id, &order.at, order.customer);
            format!("{id}, 'S{id:05}', '{}', {who}, {who}, {who}, 1, '{at}', 1, '{at}', '{at}'", state(order))
        }),
    );
    let lines = all_lines(&orders).map(|(order, line)| {
        let (price, total) = (money(line.cents), money(line.cents * line.quantity));
        let start = format!("{}, {}, {}, {}, 'Thing', null, '{}'", line.id, order.id, line.product + 500, order.customer, state(order));
        format!("{start}, {}, {price}, 0, {total}, {total}, '{at}', '{at}'", line.quantity, at = order.at)
    });
    let notes = (1..=20).map(|order| {
        format!("{}, {order}, null, null, 'Please ring twice', 'line_note', 'sale', 0, 0, 0, 0, 0, {OPENED}, {OPENED}", 900_000 + order)
    });
    sql.add(
        "sale_order_line (id, order_id, product_id, order_partner_id, name, display_type, state, product_uom_qty, price_unit, discount, price_subtotal, price_total, create_date, write_date)",
        lines.chain(notes),
    );
    sql.add(
        "purchase_order_line (product_id, partner_id, name, product_qty, price_unit, price_total, date_order)",
        (1..=PRODUCTS).map(|id| format!("{}, 1, 'Thing', 100, 1.00, 100.00, {OPENED}", id + 500)),
    );
    sql.add(
        "stock_move (product_id, product_uom_qty, price_unit, date, state, sale_line_id)",
        all_lines(&orders)
            .map(|(order, line)| format!("{}, {}, 0, '{}', 'done', {}", line.product + 500, line.quantity, order.at, line.id)),
    );
    sql.0
}

pub(super) fn artikel() -> String {
    let (orders, mut sql) = (orders(), Inserts(include_str!("artikel.sql").to_owned()));
    sql.add("kunden", (1..=CUSTOMERS).map(|id| format!("{id}, 'Vorname{id}', 'Nachname{id}', 'person.{id}@example.com', '2016-12-01'")));
    sql.add(
        "artikel",
        (1..=PRODUCTS).map(|id| {
            let (price, group) = (money(299 + id * 131 % 4000), category_of(id));
            format!("'A-{id:04}', 'Ding {id}', 'Regal {group}', 'Marke {}', {price}, 1.00, {OPENED}", id % 4)
        }),
    );
    let status = |order: &Order| if order.cancelled { "storniert" } else { ["bezahlt", "versandt"][order.id as usize % 2] };
    sql.add(
        "bestellungen",
        orders.iter().map(|order| format!("{}, {}, '{at}', '{}', '{at}'", order.id, order.customer, status(order), at = order.at)),
    );
    sql.add(
        "bestellpositionen",
        orders.iter().flat_map(|order| {
            order.lines.iter().zip(1..).map(|(line, place)| {
                let (price, total) = (money(line.cents), money(line.cents * line.quantity));
                format!("{}, {place}, 'A-{:04}', {}, {price}, {total}", order.id, line.product, line.quantity)
            })
        }),
    );
    sql.add("lieferanten", ["1, 'Großhandel', 'Hamburg'".to_owned()]);
    sql.0
}
