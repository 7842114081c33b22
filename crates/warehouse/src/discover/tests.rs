//! The general path on shops that were not made for it, written in the shapes that their makers publish.

use super::small::{catalogue, refers, table, with_values};
use super::*;

fn proposed(catalogue: &Catalogue, answers: &Answers) -> Proposal {
    propose(catalogue, answers).unwrap_or_else(|error| panic!("{error}"))
}

fn entity<'a>(proposal: &'a Proposal, name: &str) -> &'a EntityProposal {
    proposal.entities.iter().find(|entity| entity.entity == name).unwrap_or_else(|| panic!("no `{name}` in {proposal:?}"))
}

#[track_caller]
fn takes(entity: &EntityProposal, columns: &[(&str, &str)]) {
    for (column, from) in columns {
        let found = entity.columns.iter().find(|found| found.column == *column);
        assert_eq!(found.map(|found| found.from.as_str()), Some(*from), "`{column}` in:\n{}", entity.sql);
    }
}

fn nullable(mut table: catalogue::Table, names: &[&str]) -> catalogue::Table {
    for column in table.columns.iter_mut().filter(|column| names.contains(&column.name.as_str())) {
        column.nullable = true;
    }
    table
}

fn spree() -> Catalogue {
    let orders = [
        ("id", "bigint"),
        ("number", "character varying"),
        ("item_total", "numeric(10,2)"),
        ("total", "numeric(10,2)"),
        ("state", "character varying"),
        ("user_id", "bigint"),
        ("completed_at", "timestamp without time zone"),
        ("payment_state", "character varying"),
        ("email", "character varying"),
        ("currency", "character varying"),
        ("created_at", "timestamp without time zone"),
        ("updated_at", "timestamp without time zone"),
    ];
    let lines = [
        ("id", "bigint"),
        ("variant_id", "bigint"),
        ("order_id", "bigint"),
        ("quantity", "integer"),
        ("price", "numeric(10,2)"),
        ("currency", "character varying"),
        ("cost_price", "numeric(10,2)"),
        ("adjustment_total", "numeric(10,2)"),
        ("promo_total", "numeric(10,2)"),
        ("created_at", "timestamp without time zone"),
        ("updated_at", "timestamp without time zone"),
    ];
    catalogue(vec![
        with_values(
            nullable(table("spree_orders", &orders), &["completed_at", "user_id", "state"]),
            "state",
            &["complete", "cart", "canceled"],
        ),
        table("spree_line_items", &lines),
        table("spree_variants", &[("id", "bigint"), ("sku", "character varying"), ("product_id", "bigint"), ("is_master", "boolean")]),
        table(
            "spree_products",
            &[
                ("id", "bigint"),
                ("name", "character varying"),
                ("description", "text"),
                ("slug", "character varying"),
                ("meta_title", "character varying"),
                ("available_on", "timestamp without time zone"),
                ("created_at", "timestamp without time zone"),
                ("updated_at", "timestamp without time zone"),
            ],
        ),
        table(
            "spree_prices",
            &[("id", "bigint"), ("variant_id", "bigint"), ("amount", "numeric(10,2)"), ("currency", "character varying")],
        ),
        table("spree_taxonomies", &[("id", "bigint"), ("name", "character varying")]),
        nullable(
            table(
                "spree_taxons",
                &[
                    ("id", "bigint"),
                    ("parent_id", "bigint"),
                    ("name", "character varying"),
                    ("taxonomy_id", "bigint"),
                    ("permalink", "character varying"),
                ],
            ),
            &["parent_id"],
        ),
        table("spree_products_taxons", &[("id", "bigint"), ("product_id", "bigint"), ("taxon_id", "bigint"), ("position", "integer")]),
        table(
            "spree_users",
            &[
                ("id", "bigint"),
                ("email", "character varying"),
                ("login", "character varying"),
                ("created_at", "timestamp without time zone"),
                ("last_sign_in_at", "timestamp without time zone"),
            ],
        ),
        table("spree_return_items", &[("id", "bigint"), ("line_item_id", "bigint"), ("created_at", "timestamp without time zone")]),
        table(
            "spree_stock_items",
            &[("id", "bigint"), ("variant_id", "bigint"), ("count_on_hand", "integer"), ("created_at", "timestamp without time zone")],
        ),
    ])
}

#[test]
fn spree_is_seen_through_without_a_single_foreign_key() {
    let proposal = proposed(&spree(), &Answers::default());
    assert_eq!(proposal.platform, Some("Spree"));
    let sales = entity(&proposal, "transactions");
    assert_eq!((sales.table.as_str(), sales.cursor), ("spree_line_items", Some("updated_at")));
    takes(
        sales,
        &[
            ("sale_id", "l.id"),
            ("product_id", "v.product_id"),
            ("customer_id", "o.user_id"),
            ("quantity", "l.quantity"),
            ("unit_price", "l.price"),
            ("occurred_at", "o.completed_at"),
            ("updated_at", "o.updated_at"),
        ],
    );
    assert!(sales.sql.contains("o.state not in ('cart', 'canceled')") && sales.sql.contains("o.completed_at is not null"), "{}", sales.sql);
    assert!(sales.sql.contains("left join spree_variants v on v.id = l.variant_id"), "{}", sales.sql);
    let products = entity(&proposal, "products");
    assert_eq!(products.table, "spree_products");
    takes(products, &[("name", "p.name"), ("description", "p.description")]);
    assert!(products.sql.contains("(select max(x.taxon_id) from spree_products_taxons x where x.product_id = p.id)"), "{}", products.sql);
    assert!(
        products.sql.contains("select min(x.amount) from spree_prices x join spree_variants y on y.id = x.variant_id"),
        "{}",
        products.sql
    );
    let categories = entity(&proposal, "categories");
    assert_eq!(categories.table, "spree_taxons");
    takes(categories, &[("parent_category_id", "nullif(c.parent_id, 0)")]);
    assert!(categories.sql.contains("select 0, 'Uncategorised', null where exists"), "{}", categories.sql);
    let customers = entity(&proposal, "customers");
    assert_eq!(customers.table, "spree_users");
    takes(customers, &[("email", "k.email"), ("last_login", "k.last_sign_in_at")]);
}

#[test]
fn variants_are_products_where_a_person_says_so() {
    let answers = Answers { tables: vec![("products".into(), "spree_variants".into())], ..Answers::default() };
    let proposal = proposed(&spree(), &answers);
    takes(entity(&proposal, "transactions"), &[("product_id", "l.variant_id")]);
    takes(entity(&proposal, "products"), &[("product_id", "p.id"), ("name", "p.sku")]);
}

fn odoo() -> Catalogue {
    let times = [
        ("create_date", "timestamp without time zone"),
        ("write_date", "timestamp without time zone"),
        ("create_uid", "integer"),
        ("write_uid", "integer"),
    ];
    let timed = |name: &str, columns: &[(&str, &str)]| {
        let mut table = table(name, &[columns, &times].concat());
        for (column, to) in [("create_uid", "res_users"), ("write_uid", "res_users")] {
            table = refers(table, column, to);
        }
        table
    };
    let order = timed(
        "sale_order",
        &[
            ("id", "integer"),
            ("name", "character varying"),
            ("state", "character varying"),
            ("date_order", "timestamp without time zone"),
            ("partner_id", "integer"),
            ("partner_invoice_id", "integer"),
            ("user_id", "integer"),
            ("amount_total", "numeric"),
            ("commitment_date", "timestamp without time zone"),
        ],
    );
    let order = refers(refers(refers(order, "partner_id", "res_partner"), "partner_invoice_id", "res_partner"), "user_id", "res_users");
    let line = timed(
        "sale_order_line",
        &[
            ("id", "integer"),
            ("order_id", "integer"),
            ("product_id", "integer"),
            ("name", "text"),
            ("product_uom_qty", "numeric"),
            ("qty_delivered", "numeric"),
            ("price_unit", "numeric"),
            ("price_subtotal", "numeric"),
            ("price_tax", "double precision"),
            ("price_total", "numeric"),
            ("discount", "numeric"),
            ("order_partner_id", "integer"),
            ("state", "character varying"),
            ("display_type", "character varying"),
        ],
    );
    let line = refers(refers(refers(line, "order_id", "sale_order"), "product_id", "product_product"), "order_partner_id", "res_partner");
    let purchase = timed(
        "purchase_order_line",
        &[
            ("id", "integer"),
            ("order_id", "integer"),
            ("product_id", "integer"),
            ("product_qty", "numeric"),
            ("price_unit", "numeric"),
            ("partner_id", "integer"),
            ("date_order", "timestamp without time zone"),
        ],
    );
    let purchase = refers(refers(purchase, "product_id", "product_product"), "partner_id", "res_partner");
    let template = timed(
        "product_template",
        &[
            ("id", "integer"),
            ("name", "jsonb"),
            ("description_sale", "jsonb"),
            ("list_price", "numeric"),
            ("categ_id", "integer"),
            ("type", "character varying"),
        ],
    );
    let product = timed(
        "product_product",
        &[("id", "integer"), ("product_tmpl_id", "integer"), ("default_code", "character varying"), ("barcode", "character varying")],
    );
    let category = timed(
        "product_category",
        &[
            ("id", "integer"),
            ("parent_id", "integer"),
            ("name", "character varying"),
            ("complete_name", "character varying"),
            ("parent_path", "character varying"),
        ],
    );
    catalogue(vec![
        with_values(order, "state", &["sale", "draft", "sent", "cancel"]),
        with_values(nullable(line, &["product_id", "discount", "display_type"]), "state", &["sale", "draft", "sent", "cancel"]),
        purchase,
        refers(template, "categ_id", "product_category"),
        refers(product, "product_tmpl_id", "product_template"),
        refers(nullable(category, &["parent_id"]), "parent_id", "product_category"),
        timed("res_partner", &[("id", "integer"), ("name", "character varying"), ("email", "character varying"), ("parent_id", "integer")]),
        timed("res_users", &[("id", "integer"), ("login", "character varying"), ("partner_id", "integer")]),
    ])
}

#[test]
fn odoo_s_variants_lead_to_templates_and_its_discount_is_a_percentage() {
    let proposal = proposed(&odoo(), &Answers::default());
    assert_eq!(proposal.platform, Some("Odoo"));
    let sales = entity(&proposal, "transactions");
    assert_eq!(sales.table, "sale_order_line");
    takes(
        sales,
        &[
            ("product_id", "v.product_tmpl_id"),
            ("customer_id", "o.partner_id"),
            ("quantity", "l.product_uom_qty"),
            ("unit_price", "l.price_unit"),
            ("occurred_at", "o.date_order"),
            ("discount", "round((l.price_unit)::numeric * l.product_uom_qty * l.discount / 100, 2)"),
        ],
    );
    assert!(sales.sql.contains("l.product_id is not null"), "{}", sales.sql);
    assert!(sales.sql.contains("o.state not in ('draft', 'sent', 'cancel')"), "{}", sales.sql);
    let products = entity(&proposal, "products");
    assert_eq!(products.table, "product_template");
    takes(products, &[("category_id", "p.categ_id"), ("current_price", "p.list_price"), ("updated_at", "p.write_date")]);
    assert!(products.sql.contains("p.name ->> 'en_US'"), "{}", products.sql);
    let categories = entity(&proposal, "categories");
    takes(categories, &[("name", "c.name"), ("parent_category_id", "c.parent_id")]);
    assert_eq!(entity(&proposal, "customers").table, "res_partner");
}

fn german() -> Catalogue {
    let lines = [
        ("id", "INTEGER"),
        ("bestellung_id", "INTEGER"),
        ("artikelnr", "TEXT"),
        ("menge", "INTEGER"),
        ("einzelpreis", "REAL"),
        ("gesamtpreis", "REAL"),
    ];
    let orders =
        [("id", "INTEGER"), ("kundennr", "INTEGER"), ("bestelldatum", "DATETIME"), ("status", "TEXT"), ("geaendert_am", "DATETIME")];
    let mut articles = table(
        "artikel",
        &[
            ("artikelnr", "TEXT"),
            ("bezeichnung", "TEXT"),
            ("warengruppe", "TEXT"),
            ("marke", "TEXT"),
            ("preis", "REAL"),
            ("einkaufspreis", "REAL"),
        ],
    );
    articles.primary_key = vec!["artikelnr".into()];
    let mut customers =
        table("kunden", &[("kundennr", "INTEGER"), ("vorname", "TEXT"), ("nachname", "TEXT"), ("email", "TEXT"), ("kunde_seit", "DATE")]);
    customers.primary_key = vec!["kundennr".into()];
    let mut shop = catalogue(vec![
        articles,
        customers,
        with_values(table("bestellungen", &orders), "status", &["bezahlt", "versandt", "storniert"]),
        table("bestellpositionen", &lines),
        table("lieferanten", &[("id", "INTEGER"), ("name", "TEXT")]),
    ]);
    shop.dialect = Dialect::Sqlite;
    shop
}

#[test]
fn a_german_shop_with_text_keys_and_categories_as_text_is_understood() {
    let proposal = proposed(&german(), &Answers::default());
    let sales = entity(&proposal, "transactions");
    assert_eq!((sales.table.as_str(), sales.text_keys.as_slice()), ("bestellpositionen", ["product_id"].as_slice()));
    takes(
        sales,
        &[
            ("product_id", "l.artikelnr"),
            ("customer_id", "o.kundennr"),
            ("quantity", "l.menge"),
            ("unit_price", "l.einzelpreis"),
            ("total_price", "l.gesamtpreis"),
            ("occurred_at", "o.bestelldatum"),
            ("updated_at", "o.geaendert_am"),
        ],
    );
    assert!(sales.sql.contains("o.status not in ('storniert')"), "{}", sales.sql);
    let products = entity(&proposal, "products");
    assert_eq!(products.text_keys, ["product_id", "category_id"]);
    takes(products, &[("name", "p.bezeichnung"), ("description", "p.artikelnr"), ("brand", "p.marke"), ("current_price", "p.preis")]);
    let categories = entity(&proposal, "categories");
    assert!(
        categories.sql.starts_with("select distinct coalesce(nullif(trim(p.warengruppe), ''), 'Uncategorised') as category_id"),
        "{}",
        categories.sql
    );
    assert_eq!(categories.text_keys, ["category_id"]);
    takes(
        entity(&proposal, "customers"),
        &[("name", "coalesce(k.vorname, '') || ' ' || coalesce(k.nachname, '')"), ("created_at", "k.kunde_seit")],
    );
}

fn keyed(mut table: catalogue::Table, key: &[&str]) -> catalogue::Table {
    table.primary_key = key.iter().map(|column| (*column).to_owned()).collect();
    table
}

#[test]
fn names_stand_in_tables_of_translations_and_links_are_told_by_keys_of_one_name() {
    let mut prestashop = catalogue(vec![
        keyed(
            table(
                "ps_orders",
                &[
                    ("id_order", "int"),
                    ("id_customer", "int"),
                    ("id_cart", "int"),
                    ("current_state", "int"),
                    ("total_paid", "decimal(20,6)"),
                    ("date_add", "datetime"),
                    ("date_upd", "datetime"),
                    ("invoice_date", "datetime"),
                ],
            ),
            &["id_order"],
        ),
        keyed(
            table(
                "ps_order_detail",
                &[
                    ("id_order_detail", "int"),
                    ("id_order", "int"),
                    ("product_id", "int"),
                    ("product_name", "text"),
                    ("product_quantity", "int"),
                    ("product_quantity_refunded", "int"),
                    ("product_price", "decimal(20,6)"),
                    ("unit_price_tax_incl", "decimal(20,6)"),
                    ("total_price_tax_incl", "decimal(20,6)"),
                    ("reduction_percent", "decimal(5,2)"),
                ],
            ),
            &["id_order_detail"],
        ),
        keyed(
            table(
                "ps_product",
                &[
                    ("id_product", "int"),
                    ("id_manufacturer", "int"),
                    ("price", "decimal(20,6)"),
                    ("wholesale_price", "decimal(20,6)"),
                    ("reference", "varchar(64)"),
                ],
            ),
            &["id_product"],
        ),
        keyed(
            table("ps_product_lang", &[("id_product", "int"), ("id_lang", "int"), ("description", "text"), ("name", "varchar(128)")]),
            &["id_product", "id_lang"],
        ),
        keyed(table("ps_category", &[("id_category", "int"), ("id_parent", "int"), ("date_add", "datetime")]), &["id_category"]),
        keyed(
            table("ps_category_lang", &[("id_category", "int"), ("id_lang", "int"), ("name", "varchar(128)")]),
            &["id_category", "id_lang"],
        ),
        keyed(
            table("ps_category_product", &[("id_category", "int"), ("id_product", "int"), ("position", "int")]),
            &["id_category", "id_product"],
        ),
        keyed(
            table(
                "ps_customer",
                &[("id_customer", "int"), ("firstname", "varchar(255)"), ("lastname", "varchar(255)"), ("email", "varchar(255)")],
            ),
            &["id_customer"],
        ),
        keyed(table("ps_manufacturer", &[("id_manufacturer", "int"), ("name", "varchar(64)")]), &["id_manufacturer"]),
        keyed(
            table("ps_cart_product", &[("id_cart", "int"), ("id_product", "int"), ("quantity", "int"), ("date_add", "datetime")]),
            &["id_cart", "id_product"],
        ),
    ]);
    prestashop.dialect = Dialect::Mysql;
    let proposal = proposed(&prestashop, &Answers::default());
    takes(
        entity(&proposal, "transactions"),
        &[
            ("sale_id", "l.id_order_detail"),
            ("product_id", "l.product_id"),
            ("customer_id", "o.id_customer"),
            ("quantity", "l.product_quantity"),
            ("unit_price", "l.unit_price_tax_incl"),
            ("total_price", "l.total_price_tax_incl"),
            ("occurred_at", "o.date_add"),
        ],
    );
    takes(
        entity(&proposal, "products"),
        &[
            ("name", "(select t.name from ps_product_lang t where t.id_product = p.id_product order by t.id_lang limit 1)"),
            ("brand", "b.name"),
            ("current_price", "p.price"),
        ],
    );
    takes(
        entity(&proposal, "categories"),
        &[
            ("name", "(select t.name from ps_category_lang t where t.id_category = c.id_category order by t.id_lang limit 1)"),
            ("parent_category_id", "nullif(c.id_parent, 0)"),
        ],
    );
    takes(entity(&proposal, "customers"), &[("name", "concat(coalesce(k.firstname, ''), ' ', coalesce(k.lastname, ''))")]);
}

#[test]
fn what_lines_of_an_order_refer_to_is_sold_whatever_it_is_called() {
    let mut details = keyed(
        table(
            "Order Details",
            &[("OrderID", "INTEGER"), ("TrackID", "INTEGER"), ("UnitPrice", "NUMERIC"), ("Quantity", "INTEGER"), ("Discount", "REAL")],
        ),
        &["OrderID", "TrackID"],
    );
    details.columns[4].sample = vec!["0.0".into(), "0.15".into()];
    let shop = catalogue(vec![
        keyed(table("Genre", &[("GenreID", "INTEGER"), ("GenreName", "TEXT")]), &["GenreID"]),
        keyed(table("Track", &[("TrackID", "INTEGER"), ("Name", "TEXT"), ("GenreID", "INTEGER")]), &["TrackID"]),
        keyed(
            table("Orders", &[("OrderID", "INTEGER"), ("CustomerID", "TEXT"), ("OrderDate", "DATETIME"), ("ShippedDate", "DATETIME")]),
            &["OrderID"],
        ),
        keyed(table("Customers", &[("CustomerID", "TEXT"), ("CompanyName", "TEXT")]), &["CustomerID"]),
        details,
    ]);
    let proposal = proposed(&shop, &Answers::default());
    assert_eq!(entity(&proposal, "products").table, "Track");
    takes(entity(&proposal, "categories"), &[("name", "c.\"GenreName\"")]);
    let sales = entity(&proposal, "transactions");
    takes(
        sales,
        &[
            ("occurred_at", "o.\"OrderDate\""),
            ("discount", "round((l.\"UnitPrice\")::numeric * l.\"Quantity\" * l.\"Discount\", 2)"),
            ("total_price", "round((l.\"UnitPrice\")::numeric * l.\"Quantity\" * (1 - l.\"Discount\"), 2)"),
        ],
    );
    assert_eq!(sales.text_keys, ["sale_id", "customer_id"]);
    assert!(sales.sql.contains("from \"Order Details\" l\njoin \"Orders\" o"), "{}", sales.sql);
}

#[test]
fn a_plain_table_of_sales_needs_no_header_no_customers_and_no_categories() {
    let shop = catalogue(vec![
        table(
            "sales",
            &[("product_id", "bigint"), ("sold_at", "timestamp with time zone"), ("qty", "integer"), ("amount_cents", "integer")],
        ),
        table("items", &[("id", "bigint"), ("title", "text")]),
    ]);
    let proposal = proposed(&shop, &Answers::default());
    let sales = entity(&proposal, "transactions");
    takes(
        sales,
        &[
            ("sale_id", "coalesce(cast(l.sold_at as text), '') || '-' || coalesce(cast(l.product_id as text), '')"),
            ("customer_id", "null"),
            ("quantity", "l.qty"),
            ("unit_price", "round((l.amount_cents / 100.0)::numeric / nullif(l.qty, 0), 2)"),
            ("total_price", "l.amount_cents / 100.0"),
        ],
    );
    assert_eq!((sales.text_keys.as_slice(), sales.cursor), (["sale_id"].as_slice(), None));
    takes(entity(&proposal, "categories"), &[("name", "'All products'")]);
    assert!(!proposal.entities.iter().any(|entity| entity.entity == "customers"));
}

#[test]
fn a_person_s_choice_of_a_table_counts_and_an_unfit_one_is_told() {
    let mut shop = german();
    shop.tables.push(table("rechnungen", &[("id", "INTEGER"), ("kundennr", "INTEGER"), ("rechnungsdatum", "DATETIME")]));
    shop.tables.push(table(
        "rechnungspositionen",
        &[("id", "INTEGER"), ("rechnung_id", "INTEGER"), ("artikelnr", "TEXT"), ("menge", "INTEGER"), ("einzelpreis", "REAL")],
    ));
    let best = proposed(&shop, &Answers::default());
    let rivals: Vec<&str> = entity(&best, "transactions").rivals().map(|rival| rival.table.as_str()).collect();
    assert_eq!(
        (entity(&best, "transactions").table.as_str(), rivals.as_slice()),
        ("bestellpositionen", ["rechnungspositionen"].as_slice())
    );
    let pinned = |entity: &str, table: &str| Answers { tables: vec![(entity.into(), table.into())], ..Answers::default() };
    let other = proposed(&shop, &pinned("transactions", "rechnungspositionen"));
    takes(entity(&other, "transactions"), &[("occurred_at", "o.rechnungsdatum")]);
    for (answers, words) in [
        (pinned("transactions", "lieferanten"), "cannot be used for `transactions`"),
        (pinned("transactions", "nowhere"), "bestellpositionen: id, bestellung_id"),
        (pinned("sales", "artikel"), "`sales` is no entity"),
        (pinned("customers", "lieferanten"), "cannot be used for `customers`"),
    ] {
        let error = propose(&shop, &answers).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_database_without_sales_is_told_what_was_looked_for_and_seen() {
    let shop = catalogue(vec![
        table("posts", &[("id", "bigint"), ("title", "text"), ("created_at", "date")]),
        table("comments", &[("id", "bigint"), ("post_id", "bigint")]),
    ]);
    let error = propose(&shop, &Answers::default()).expect_err("no sales").to_string();
    for words in ["product_id", "a quantity or a price", "posts: id, title, created_at", "--table transactions=TABLE"] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
}
