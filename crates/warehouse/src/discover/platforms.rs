//! Shop software whose tables are known. The general path finds most shops by their names and keys; what stands here is
//! what names cannot tell: a percentage called `discount`, or WooCommerce's products among its posts.

use super::catalogue::{Catalogue, Dialect};
use super::proposal::{ColumnProposal, EntityProposal};

/// A shop software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) name: &'static str,
    /// Tables, without a prefix, that only this software has together.
    marks: &'static [&'static str],
    pub(super) discount_is_percent: bool,
}

const PLATFORMS: [Platform; 3] = [
    Platform { name: "WooCommerce", marks: &["wc_order_product_lookup", "wc_order_stats", "posts"], discount_is_percent: false },
    Platform { name: "Odoo", marks: &["sale_order_line", "product_template", "res_partner"], discount_is_percent: true },
    Platform { name: "Spree", marks: &["spree_line_items", "spree_variants", "spree_orders"], discount_is_percent: false },
];

/// The software that the tables belong to, and the prefix of their names.
pub(super) fn recognise(catalogue: &Catalogue) -> Option<(Platform, String)> {
    let has = |name: &str| catalogue.tables.iter().any(|table| table.readable && table.name == name);
    PLATFORMS.into_iter().find_map(|platform| {
        let (first, others) = platform.marks.split_first()?;
        let prefixes = catalogue.tables.iter().filter_map(|table| table.name.strip_suffix(first));
        let mut complete = prefixes.filter(|prefix| others.iter().all(|name| has(&format!("{prefix}{name}"))));
        complete.next().map(|prefix| (platform, prefix.to_owned()))
    })
}

/// WooCommerce's own names for its currency, time zone and country.
pub(super) const CURRENCY: &str = "woocommerce_currency";
pub(super) const TIME_ZONE: &str = "timezone_string";
pub(super) const COUNTRY: &str = "woocommerce_default_country";

/// The query for what the software knows about the shop, name and value, where that is known.
pub(super) fn settings_query(catalogue: &Catalogue) -> Option<String> {
    let (platform, prefix) = recognise(catalogue)?;
    (platform.name == "WooCommerce").then(|| {
        format!("select option_name, option_value from {prefix}options where option_name in ('{CURRENCY}', '{TIME_ZONE}', '{COUNTRY}')")
    })
}

/// An entity of a software's own shape: entity, its main table, reasons, columns, and what follows the columns.
type Template = (&'static str, &'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

const WOOCOMMERCE: [Template; 4] = [
    (
        "categories",
        "terms",
        &[
            "the terms of the taxonomy `product_cat` are the shop's categories; `parent` makes them a tree",
            "products without one fall into `Uncategorised`",
        ],
        &[("category_id", "t.term_id"), ("name", "t.name"), ("parent_category_id", "nullif(tt.parent, 0)")],
        "from {p}terms t
join {p}term_taxonomy tt on tt.term_id = t.term_id
where tt.taxonomy = 'product_cat'
union all
select 0, 'Uncategorised', null from dual",
    ),
    (
        "products",
        "posts",
        &[
            "the posts of the type `product` are the shop's products; variations count for their product",
            "of several categories a product gets one below another category, and of those the newest",
        ],
        &[
            ("product_id", "p.ID"),
            ("name", "p.post_title"),
            (
                "category_id",
                "coalesce((select tt.term_id from {p}term_relationships r
                 join {p}term_taxonomy tt on tt.term_taxonomy_id = r.term_taxonomy_id
                 where r.object_id = p.ID and tt.taxonomy = 'product_cat'
                 order by tt.parent > 0 desc, tt.term_id desc limit 1), 0)",
            ),
            ("current_price", "m.min_price"),
        ],
        "from {p}posts p
left join {p}wc_product_meta_lookup m on m.product_id = p.ID
where p.post_type = 'product' and p.post_status <> 'auto-draft'",
    ),
    (
        "customers",
        "wc_customer_lookup",
        &[
            "WooCommerce keeps one row for each customer, guests included",
            "names and e-mail addresses become keyed hashes while they are read; nothing of them is kept",
        ],
        &[
            ("customer_id", "k.customer_id"),
            ("name", "concat(k.first_name, ' ', k.last_name)"),
            ("email", "k.email"),
            ("created_at", "k.date_registered"),
            ("last_login", "k.date_last_active"),
        ],
        "from {p}wc_customer_lookup k",
    ),
    (
        "transactions",
        "wc_order_product_lookup",
        &[
            "WooCommerce's own analytics count by these two tables: a line for each product of an order",
            "amounts are net of tax, shipping and coupons; a variation counts for its product",
            "orders that were cancelled, failed, not paid or thrown away are left out; refunds are lines of their own with a negative quantity",
            "the time is the one in UTC; no column tells when a row changed: sales are read whole at each run",
        ],
        &[
            ("sale_id", "l.order_item_id"),
            ("product_id", "l.product_id"),
            ("customer_id", "o.customer_id"),
            ("quantity", "l.product_qty"),
            ("unit_price", "round(l.product_net_revenue / l.product_qty, 2)"),
            ("total_price", "l.product_net_revenue"),
            ("discount", "l.coupon_amount"),
            ("occurred_at", "o.date_created_gmt"),
        ],
        "from {p}wc_order_product_lookup l
join {p}wc_order_stats o on o.order_id = l.order_id
where l.product_qty <> 0
  and o.status not in ('wc-cancelled', 'wc-failed', 'wc-pending', 'wc-checkout-draft', 'wc-auto-draft', 'trash', 'auto-draft')",
    ),
];

/// The whole mapping of a software whose tables the general path does not see through.
pub(super) fn mapping(catalogue: &Catalogue, platform: Platform, prefix: &str) -> Option<Vec<EntityProposal>> {
    let needs = ["terms", "term_taxonomy", "term_relationships", "wc_product_meta_lookup", "wc_customer_lookup"];
    let has = |name: &&str| catalogue.tables.iter().any(|table| table.readable && table.name.strip_prefix(prefix) == Some(*name));
    if platform.name != "WooCommerce" || catalogue.dialect != Dialect::Mysql || !needs.iter().all(has) {
        return None;
    }
    let filled = |text: &str| text.replace("{p}", prefix);
    let entity = |(entity, table, reasons, columns, rest): &Template| {
        let selected: Vec<String> = columns.iter().map(|(column, from)| format!("{} as {column}", filled(from))).collect();
        let column =
            |(column, from): &(&'static str, &'static str)| ColumnProposal { column, from: filled(from), score: 1.0, reason: None };
        EntityProposal {
            entity,
            table: format!("{prefix}{table}"),
            score: 1.0,
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            columns: columns.iter().map(column).collect(),
            sql: format!("select {}\n{}", selected.join(",\n       "), filled(rest)),
            cursor: None,
            text_keys: Vec::new(),
            alternatives: Vec::new(),
            sample: None,
        }
    };
    Some(WOOCOMMERCE.iter().map(entity).collect())
}
