//! Products and their categories. A category may be a table of its own, reached directly or through a table between the
//! two, a text in the products, or nothing at all.

use super::catalogue::{Column, Family, Table};
use super::draft::{Draft, is_number, is_text, is_time};
use super::names::{Names, names_of};
use super::sales::{ProductPath, matching};
use super::scope::{Link, Scope};
use super::words::{BRAND, CATEGORY, CODE, CREATED_AT, DESCRIPTION, LIST_PRICE, NAME, PARENT, PRICE_LIST, UPDATED_AT, key_stem};

/// Shown for products without a category.
const UNCATEGORISED: &str = "Uncategorised";

/// Where a product's category comes from.
#[derive(Clone, Debug)]
pub(super) struct Categories {
    pub(super) source: CategorySource,
    pub(super) score: f64,
}

#[derive(Clone, Debug)]
pub(super) enum CategorySource {
    /// A column of the products.
    Link(Link),
    /// A table between products and categories: its link to the product, its link to the category.
    Between(Link, Link),
    /// A text of the products.
    Text(String),
    /// One category for everything.
    All,
}

impl CategorySource {
    /// The table that the categories are read from.
    pub(super) fn table(&self, products: usize) -> usize {
        match self {
            Self::Link(link) | Self::Between(_, link) => link.to,
            Self::Text(_) | Self::All => products,
        }
    }
}

/// Where the categories may come from.
pub(super) fn category_candidates(scope: &Scope<'_>, products: usize) -> Vec<Categories> {
    let has_name = |at: usize| scope.table(at).readable && names_of(scope, at).is_some();
    let named = |link: &Link| scope.named(link.to, &CATEGORY).max(0.8 * CATEGORY.fit_words(&key_stem(&link.column), &[]));
    let mut found = Vec::new();
    for link in scope.links_of(products).filter(|link| link.to != products && named(link) >= 0.4 && has_name(link.to)) {
        let score = 0.7 * named(link) + 0.3 * link.score;
        found.push(Categories { source: CategorySource::Link(link.clone()), score });
    }
    for to_product in scope.links.iter().filter(|link| link.to == products && link.from != products && scope.table(link.from).readable) {
        let onward = scope.links_of(to_product.from).filter(|link| link.to != products && link.to != link.from);
        for link in onward.filter(|link| scope.named(link.to, &CATEGORY) >= 0.4 && has_name(link.to)) {
            let score = 0.9 * (0.7 * named(link) + 0.15 * link.score + 0.15 * to_product.score);
            found.push(Categories { source: CategorySource::Between(to_product.clone(), link.clone()), score });
        }
    }
    let linked: Vec<&str> = scope.links_of(products).map(|link| link.column.as_str()).collect();
    let text = |column: &Column| column.family == Family::Text && !linked.contains(&column.name.as_str());
    if let Some((column, fit)) = scope.best(products, &CATEGORY, text) {
        found.push(Categories { source: CategorySource::Text(column.name.clone()), score: 0.6 * fit });
    }
    found.push(Categories { source: CategorySource::All, score: 0.1 });
    found
}

/// The query of the categories.
pub(super) fn categories(scope: &Scope<'_>, products: usize, categories: &Categories) -> Draft {
    let dialect = scope.catalogue.dialect;
    let (link, between) = match &categories.source {
        CategorySource::Link(link) => (link, None),
        CategorySource::Between(to_product, link) => (link, Some(to_product)),
        CategorySource::Text(column) => return distinct_texts(scope, products, column),
        CategorySource::All => return one_for_all(scope),
    };
    let table = scope.table(link.to);
    let mut draft = Draft::new("categories", dialect, format!("{} c", dialect.table(table)));
    match between {
        None => draft.because(format!("products refer to `{}` by `{}`", table.full_name(), link.column)),
        Some(to_product) => draft.because(format!(
            "`{}` joins products and `{}`; of several categories a product gets the newest, which is usually the narrowest",
            scope.table(to_product.from).full_name(),
            table.full_name()
        )),
    }
    let Some(key) = table.column(&link.key) else { return draft };
    draft.add_key("category_id", dialect.key("c", key), 1.0);
    if let Some(names) = names_of(scope, link.to) {
        names.add(scope, "c", &mut draft);
        if let Some((description, fit)) = scope.best(link.to, &DESCRIPTION, |column| is_text(column) && !names.is(column)) {
            draft.add_text("description", "c", description, fit);
        }
    }
    if let Some((parent, declared)) = parent(scope, link.to, key) {
        let mut own = matching(dialect, "c", parent, key);
        if !declared && !own.is_text {
            own.expression = format!("nullif({}, 0)", own.expression);
        }
        draft.add_key("parent_category_id", own, 0.9);
        draft.because(format!("`{}` makes them a tree", parent.name));
    }
    if let Some(without) = without_category(scope, products, &categories.source) {
        let nothing = |(column, _): &(&'static str, String)| match *column {
            "category_id" => uncategorised_key(&draft.text_keys),
            "name" => format!("'{UNCATEGORISED}'"),
            _ => "null".to_owned(),
        };
        let columns: Vec<String> = draft.query.columns.iter().map(nothing).collect();
        let from = if dialect == super::Dialect::Mysql { " from dual" } else { "" };
        draft.query.union = Some(format!("select {}{from} where exists ({without})", columns.join(", ")));
        draft.because(format!("products without a category fall into `{UNCATEGORISED}`"));
    }
    draft
}

fn uncategorised_key(text_keys: &[&str]) -> String {
    if text_keys.contains(&"category_id") { "'none'".to_owned() } else { "0".to_owned() }
}

fn distinct_texts(scope: &Scope<'_>, products: usize, column: &str) -> Draft {
    let dialect = scope.catalogue.dialect;
    let table = scope.table(products);
    let mut draft = Draft::new("categories", dialect, format!("{} p", dialect.table(table)));
    draft.because(format!("there is no table of categories; the values of `{}.{column}` are the categories", table.name));
    let value = text_category(scope, column);
    draft.columns.push(super::proposal::ColumnProposal {
        column: "category_id",
        from: value.clone(),
        score: 0.7,
        reason: Some("text, which the reader turns into a number by a hash".to_owned()),
    });
    draft.text_keys.push("category_id");
    draft.query.columns.push(("category_id", format!("distinct {value}")));
    draft.add("name", value, 0.7, None);
    draft
}

fn text_category(scope: &Scope<'_>, column: &str) -> String {
    let name = scope.catalogue.dialect.column("p", column);
    format!("coalesce(nullif(trim({name}), ''), '{UNCATEGORISED}')")
}

fn one_for_all(scope: &Scope<'_>) -> Draft {
    let from = "(select 1 as category_id) c".to_owned();
    let mut draft = Draft::new("categories", scope.catalogue.dialect, from);
    draft.because("nothing tells categories: all products are in one; name a better column in both queries if there is one");
    draft.add("category_id", "c.category_id".to_owned(), 0.1, None);
    draft.add("name", "'All products'".to_owned(), 0.1, None);
    draft
}

fn parent<'a>(scope: &Scope<'a>, at: usize, key: &Column) -> Option<(&'a Column, bool)> {
    let table = scope.table(at);
    let own = scope.links_of(at).find(|link| link.to == at && link.declared).and_then(|link| table.column(&link.column));
    let named = || scope.best(at, &PARENT, |column| column.family.may_refer_to(key.family)).map(|(column, _)| column);
    own.map(|column| (column, true)).or_else(|| named().map(|column| (column, false)))
}

/// A query for products that no category has; `None` where there cannot be any.
fn without_category(scope: &Scope<'_>, products: usize, source: &CategorySource) -> Option<String> {
    let dialect = scope.catalogue.dialect;
    let table = scope.table(products);
    let from = format!("select 1 from {} p where", dialect.table(table));
    match source {
        CategorySource::Link(link) if table.column(&link.column).is_some_and(|column| column.nullable) => {
            Some(format!("{from} {} is null", dialect.column("p", &link.column)))
        }
        CategorySource::Between(to_product, _) => {
            let on = format!("{} = {}", dialect.column("x", &to_product.column), dialect.column("p", &to_product.key));
            Some(format!("{from} not exists (select 1 from {} x where {on})", dialect.table(scope.table(to_product.from))))
        }
        _ => None,
    }
}

/// The query of the products.
pub(super) fn products(scope: &Scope<'_>, path: &ProductPath, categories: &Categories) -> Draft {
    let dialect = scope.catalogue.dialect;
    let at = path.table();
    let table = scope.table(at);
    let mut draft = Draft::new("products", dialect, format!("{} p", dialect.table(table)));
    let rows = table.rows.map_or_else(String::new, |rows| format!(" (about {rows} rows)"));
    draft.because(format!("the sale lines refer to `{}`{rows}", table.full_name()));
    let Some(key) = table.column(&path.climb.as_ref().unwrap_or(&path.link).key) else { return draft };
    let own_key = dialect.key("p", key);
    draft.add_key("product_id", own_key.clone(), 1.0);
    let names = names_of(scope, at).or_else(|| scope.best(at, &CODE, is_text).map(|(column, fit)| Names::Own(column, fit)));
    if let Some(names) = names {
        names.add(scope, "p", &mut draft);
    }
    add_category(scope, at, categories, &mut draft);
    let is_other = |column: &Column| is_text(column) && !names.is_some_and(|names| names.is(column));
    match scope.best(at, &DESCRIPTION, is_other) {
        Some((description, fit)) => draft.add_text("description", "p", description, fit),
        // A hashed key tells a person nothing: its text stays in sight.
        None if own_key.is_text => draft.add("description", own_key.expression, 0.5, Some("the key's text".to_owned())),
        None => {}
    }
    add_brand(scope, at, &mut draft);
    add_price(scope, path, &mut draft);
    if let Some((created, fit)) = scope.best(at, &CREATED_AT, is_time) {
        draft.add_time("created_at", "p", created, fit);
    }
    if let Some((updated, fit)) = scope.best(at, &UPDATED_AT, is_time) {
        draft.add_time("updated_at", "p", updated, fit);
        if matches!(categories.source, CategorySource::Between(..)) {
            draft.because("read whole at each run: a new category of a product does not touch its own row");
        } else {
            draft.cursor = Some("updated_at");
            draft.because(format!("`{}` grows with each change: later runs read only what is new", updated.name));
        }
    }
    draft
}

fn add_category(scope: &Scope<'_>, at: usize, categories: &Categories, draft: &mut Draft) {
    let (dialect, table) = (draft.dialect, scope.table(at));
    match &categories.source {
        CategorySource::Link(link) => {
            let (Some(column), Some(key)) = (table.column(&link.column), scope.table(link.to).column(&link.key)) else { return };
            let mut own = matching(dialect, "p", column, key);
            if column.nullable {
                let nothing = if own.is_text { "'none'" } else { "0" };
                own.expression = format!("coalesce({}, {nothing})", own.expression);
            }
            draft.add_key("category_id", own, categories.score);
        }
        CategorySource::Between(to_product, link) => {
            let (Some(column), Some(key)) = (scope.table(link.from).column(&link.column), scope.table(link.to).column(&link.key)) else {
                return;
            };
            let mut own = matching(dialect, "x", column, key);
            let nothing = if own.is_text { "'none'" } else { "0" };
            let on = format!("{} = {}", dialect.column("x", &to_product.column), dialect.column("p", &to_product.key));
            let between = dialect.table(scope.table(link.from));
            own.expression = format!("coalesce((select max({}) from {between} x where {on}), {nothing})", own.expression);
            draft.add_key("category_id", own, categories.score);
        }
        CategorySource::Text(column) => {
            let key = super::sql::Key { expression: text_category(scope, column), is_text: true };
            draft.add_key("category_id", key, categories.score);
        }
        CategorySource::All => draft.add("category_id", "1".to_owned(), categories.score, Some("one category for all".to_owned())),
    }
}

fn add_brand(scope: &Scope<'_>, at: usize, draft: &mut Draft) {
    let dialect = draft.dialect;
    if let Some((brand, fit)) = scope.best(at, &BRAND, is_text) {
        return draft.add_text("brand", "p", brand, fit);
    }
    let linked = scope.links_of(at).filter(|link| link.to != at && BRAND.fit_words(&key_stem(&link.column), &[]) >= 0.6);
    for link in linked {
        if let Some((name, fit)) = scope.best(link.to, &NAME, is_text).filter(|_| scope.table(link.to).readable) {
            let on = format!("{} = {}", dialect.column("b", &link.key), dialect.column("p", &link.column));
            draft.query.joins.push(format!("left join {} b on {on}", dialect.table(scope.table(link.to))));
            return draft.add_text("brand", "b", name, fit);
        }
    }
}

fn add_price(scope: &Scope<'_>, path: &ProductPath, draft: &mut Draft) {
    let at = path.table();
    if let Some((price, fit)) = scope.best(at, &LIST_PRICE, is_number) {
        return draft.add_money("current_price", "p", price, fit);
    }
    let dialect = draft.dialect;
    let variant = path.climb.as_ref().map(|climb| climb.from);
    if let (Some(climb), Some((price, fit))) = (&path.climb, variant.and_then(|variant| scope.best(variant, &LIST_PRICE, is_number))) {
        let on = format!("{} = {}", dialect.column("x", &climb.column), dialect.column("p", &climb.key));
        let lowest = super::draft::money(dialect, "x", price).0;
        let expression = format!("(select min({lowest}) from {} x where {on})", dialect.table(scope.table(climb.from)));
        return draft.add("current_price", expression, fit, Some("the lowest price of its variants".to_owned()));
    }
    // A table of prices that refers to the product or to its variants.
    for link in scope.links.iter().filter(|link| scope.named(link.from, &PRICE_LIST) >= 0.6 && scope.table(link.from).readable) {
        let Some((price, fit)) = scope.best(link.from, &LIST_PRICE, is_number) else { continue };
        let (lowest, table) = (super::draft::money(dialect, "x", price).0, scope.table(link.from));
        let expression = if link.to == at {
            let on = format!("{} = {}", dialect.column("x", &link.column), dialect.column("p", &link.key));
            format!("(select min({lowest}) from {} x where {on})", dialect.table(table))
        } else if let Some(climb) = path.climb.as_ref().filter(|climb| climb.from == link.to) {
            variant_price(scope, &lowest, table, link, climb)
        } else {
            continue;
        };
        return draft.add("current_price", expression, fit, Some(format!("the lowest price in `{}`", table.name)));
    }
}

fn variant_price(scope: &Scope<'_>, lowest: &str, prices: &Table, link: &Link, climb: &Link) -> String {
    let dialect = scope.catalogue.dialect;
    let to_variant = format!("{} = {}", dialect.column("y", &link.key), dialect.column("x", &link.column));
    let to_product = format!("{} = {}", dialect.column("y", &climb.column), dialect.column("p", &climb.key));
    let (prices, variants) = (dialect.table(prices), dialect.table(scope.table(climb.from)));
    format!("(select min({lowest}) from {prices} x join {variants} y on {to_variant} where {to_product})")
}
