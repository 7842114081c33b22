//! The table of sale lines: what a shop's forecasts are made of. It refers to a product, has a quantity and a price, and
//! its time and customer stand beside it or in the header of its order.

use super::catalogue::{Catalogue, Column, Dialect, Family};
use super::draft::{Draft, fits, is_number, is_time};
use super::names::names_of;
use super::platforms::Platform;
use super::scope::{Link, Scope};
use super::sql::Key;
use super::status;
use super::words::{
    CATEGORY, CODE, CREATED_AT, CUSTOMER, Concept, DELETED_AT, DISCOUNT, EMAIL, LINE, LINE_TOTAL, ORDER, ORDERED_AT, OTHER_TABLE, PRODUCT,
    QUANTITY, UNIT_PRICE, UPDATED_AT, VARIANT, key_stem,
};

/// What all marks of a table of sale lines add up to.
const FULL_MARKS: f64 = 12.0;
/// Below this nothing looks like sales.
const LEAST_MARKS: f64 = 5.5;

/// A table of sale lines and what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Sales {
    pub(super) line: usize,
    pub(super) header: Option<Link>,
    pub(super) product: ProductPath,
    pub(super) customer: Option<Customer>,
    pub(super) score: f64,
}

/// From a sale line to its product, perhaps by way of a variant.
#[derive(Clone, Debug)]
pub(super) struct ProductPath {
    pub(super) link: Link,
    /// From the variant to its product.
    pub(super) climb: Option<Link>,
    score: f64,
}

/// Who bought.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    /// Is the column in the order's header?
    in_header: bool,
    column: String,
    /// The customers' table, if there is one.
    pub(super) link: Option<Link>,
}

impl ProductPath {
    /// The table of the products.
    pub(super) fn table(&self) -> usize {
        self.climb.as_ref().unwrap_or(&self.link).to
    }

    fn is_on(&self, table: usize) -> bool {
        self.link.to == table || self.table() == table
    }
}

/// Tables that may hold the sale lines.
pub(super) fn candidates(scope: &Scope<'_>, products: Option<&str>) -> Vec<Sales> {
    scope.tables().filter_map(|line| candidate(scope, line, products)).collect()
}

fn candidate(scope: &Scope<'_>, line: usize, products: Option<&str>) -> Option<Sales> {
    let product = product_path(scope, line, products)?;
    let header = header(scope, line, &product);
    let own_time = scope.best(line, &ORDERED_AT, is_time).map_or(0.0, |(_, fit)| fit);
    let header_time = header.as_ref().and_then(|header| scope.best(header.to, &ORDERED_AT, is_time)).map_or(0.0, |(_, fit)| fit);
    if own_time.max(header_time) == 0.0 {
        return None;
    }
    let quantity = scope.best(line, &QUANTITY, is_number).map_or(0.0, |(_, fit)| fit);
    let price = scope.best(line, &UNIT_PRICE, is_number).map_or(0.0, |(_, fit)| fit);
    let total = scope.best(line, &LINE_TOTAL, is_number).map_or(0.0, |(_, fit)| fit);
    if quantity == 0.0 && price.max(total) == 0.0 {
        return None;
    }
    let table = scope.table(line);
    let (is_line, is_order) = (scope.named(line, &LINE), scope.named(line, &ORDER));
    let named = if is_line.min(is_order) > 0.0 { 1.0 } else { is_order.max(is_line) * 0.7 };
    let order_named = header.as_ref().map_or(0.0, |header| scope.named(header.to, &ORDER));
    let customer = customer(scope, line, header.as_ref());
    let mut marks = 2.0 * named + 3.0 * product.score + 2.0 * quantity + 2.0 * price.max(total);
    marks += if header.is_some() { 1.0 + order_named } else { own_time };
    marks += if customer.is_some() { 1.0 } else { 0.0 };
    let names = [Some(line), header.as_ref().map(|header| header.to)];
    // A table of something else, or its header is.
    let other = names.into_iter().flatten().map(|at| scope.named(at, &OTHER_TABLE)).fold(0.0, f64::max);
    marks -= 4.0 * other;
    marks -= if table.rows == Some(0) { 3.0 } else { 0.0 };
    marks -= if table.is_view { 0.5 } else { 0.0 };
    (marks >= LEAST_MARKS).then(|| Sales { line, header, product, customer, score: marks / FULL_MARKS })
}

fn product_path(scope: &Scope<'_>, line: usize, pinned: Option<&str>) -> Option<ProductPath> {
    let named_text = |at: usize| names_of(scope, at).is_some();
    let is_asked = |at: usize| pinned.is_some_and(|pinned| super::proposal::is_named(&scope.table(at).full_name(), pinned));
    let mut paths = Vec::new();
    for link in scope.links_of(line).filter(|link| link.to != line && scope.table(link.to).readable) {
        let is_variant = scope.named(link.to, &VARIANT) >= 0.6 || !named_text(link.to);
        let climbs = scope.links_of(link.to).filter(|climb| {
            is_variant
                && !is_asked(link.to)
                && climb.to != link.to
                && climb.to != line
                && scope.named(climb.to, &PRODUCT) >= 0.4
                && named_text(climb.to)
        });
        let climb = climbs.max_by(|left, right| scope.named(left.to, &PRODUCT).total_cmp(&scope.named(right.to, &PRODUCT))).cloned();
        let at = climb.as_ref().map_or(link.to, |climb| climb.to);
        let named = scope.named(at, &PRODUCT).max(PRODUCT.fit_words(&key_stem(&link.column), &[])).max(by_place(scope, line, at));
        let told = named_text(at) || scope.best(at, &CODE, super::draft::is_text).is_some();
        let is_wanted = pinned.is_none() || is_asked(at);
        if is_wanted && told && (named >= 0.4 || pinned.is_some()) {
            let score = 0.5 * named + 0.2 * f64::from(u8::from(named_text(at))) + 0.3 * link.score;
            paths.push(ProductPath { link: link.clone(), climb, score });
        }
    }
    paths.into_iter().max_by(|left, right| left.score.total_cmp(&right.score))
}

/// What clear lines of an order refer to is sold, whatever it is called (`track`, `book`), unless it is called something
/// else.
fn by_place(scope: &Scope<'_>, line: usize, at: usize) -> f64 {
    let is_line = scope.named(line, &LINE).min(scope.named(line, &ORDER)) >= 0.4;
    let others: [&Concept; 5] = [&CUSTOMER, &ORDER, &CATEGORY, &LINE, &OTHER_TABLE];
    if is_line && others.iter().all(|other| scope.named(at, other) < 0.4) { 0.4 } else { 0.0 }
}

fn header(scope: &Scope<'_>, line: usize, product: &ProductPath) -> Option<Link> {
    let others = scope.links_of(line).filter(|link| link.to != line && !product.is_on(link.to) && scope.table(link.to).readable);
    let scored = others.filter_map(|link| {
        let (_, time) = scope.best(link.to, &ORDERED_AT, is_time)?;
        let named = scope.named(link.to, &ORDER).max(0.9 * ORDER.fit_words(&key_stem(&link.column), &[]));
        (named >= 0.4).then_some((named + 0.3 * link.score + 0.2 * time, link))
    });
    scored.max_by(|left, right| left.0.total_cmp(&right.0)).map(|(_, link)| link.clone())
}

fn customer(scope: &Scope<'_>, line: usize, header: Option<&Link>) -> Option<Customer> {
    let places: Vec<(usize, bool)> = header.map(|header| (header.to, true)).into_iter().chain([(line, false)]).collect();
    let linked = places.iter().flat_map(|(at, in_header)| scope.links_of(*at).map(move |link| (link, *in_header))).filter_map(
        |(link, in_header)| {
            let (table, column) = (scope.named(link.to, &CUSTOMER), CUSTOMER.fit_words(&key_stem(&link.column), &[]));
            let score = 0.5 * table + 0.4 * column + 0.1 * link.score;
            (table >= 0.4 && scope.table(link.to).readable).then_some((score, in_header, link))
        },
    );
    // Of equal ones the first counts: `bill_to` usually stands before `ship_to`.
    let linked =
        linked.fold(None, |best: Option<(f64, bool, &Link)>, next| if best.is_none_or(|best| next.0 > best.0) { Some(next) } else { best });
    if let Some((_, in_header, link)) = linked {
        return Some(Customer { in_header, column: link.column.clone(), link: Some(link.clone()) });
    }
    places.iter().find_map(|(at, in_header)| {
        let is_key = |column: &Column| matches!(column.family, Family::Integer | Family::Text | Family::Uuid);
        let keys = scope.table(*at).columns.iter().filter(|column| is_key(column));
        let best = keys.map(|column| (column, CUSTOMER.fit_words(&key_stem(&column.name), &[]))).filter(|(_, fit)| *fit >= 0.7);
        let best = best.max_by(|left, right| left.1.total_cmp(&right.1)).map(|(column, _)| column);
        let column = best.or_else(|| scope.best(*at, &EMAIL, |column| column.family == Family::Text).map(|(column, _)| column))?;
        Some(Customer { in_header: *in_header, column: column.name.clone(), link: None })
    })
}

/// The query of the transactions.
pub(super) fn draft(scope: &Scope<'_>, sales: &Sales, platform: Option<&Platform>) -> Draft {
    let Catalogue { dialect, .. } = *scope.catalogue;
    let line = scope.table(sales.line);
    let mut draft = Draft::new("transactions", dialect, format!("{} l", dialect.table(line)));
    told(scope, sales, &mut draft);
    let path = &sales.product;
    add_sale_key(scope, sales, &mut draft);
    let product_key = scope.table(path.table()).column(&path.climb.as_ref().unwrap_or(&path.link).key);
    let (alias, column) = match &path.climb {
        Some(climb) => ("v", scope.table(path.link.to).column(&climb.column)),
        None => ("l", line.column(&path.link.column)),
    };
    if let (Some(column), Some(key)) = (column, product_key) {
        draft.add_key("product_id", matching(dialect, alias, column, key), path.link.score);
    }
    add_customer(scope, sales, &mut draft);
    add_amounts(scope, sales, platform, &mut draft);
    let header = sales.header.as_ref();
    let timed = header.and_then(|header| scope.best(header.to, &ORDERED_AT, is_time)).map(|found| ("o", found));
    let (alias, (time, fit)) = match timed.or_else(|| scope.best(sales.line, &ORDERED_AT, is_time).map(|found| ("l", found))) {
        Some(found) => found,
        None => return draft,
    };
    draft.add_time("occurred_at", alias, time, fit);
    let zoned = time.type_name.to_lowercase().contains("with time zone") || time.type_name.to_lowercase() == "timestamptz";
    if !zoned && time.family != Family::Integer {
        draft.because(format!("the times of `{}` carry no zone and are read as UTC", time.name));
    }
    if let Some(header) = header {
        let on = format!("{} = {}", dialect.column("o", &header.key), dialect.column("l", &header.column));
        draft.query.joins.push(format!("join {} o on {on}", dialect.table(scope.table(header.to))));
    }
    if let Some(climb) = &path.climb {
        let on = format!("{} = {}", dialect.column("v", &path.link.key), dialect.column("l", &path.link.column));
        // A left join, so that a line of an unknown variant goes to quarantine and is not lost.
        draft.query.joins.push(format!("left join {} v on {on}", dialect.table(scope.table(climb.from))));
    }
    let filtered = add_conditions(scope, sales, (alias, time), &mut draft);
    add_cursor(scope, sales, filtered, &mut draft);
    draft
}

fn told(scope: &Scope<'_>, sales: &Sales, draft: &mut Draft) {
    let how = |link: &Link| if link.declared { "a foreign key" } else { "by its name and type" };
    let line = scope.table(sales.line);
    let rows = line.rows.map_or_else(String::new, |rows| format!(", about {rows} rows"));
    draft.because(format!("`{}` holds the sale lines{rows}", line.full_name()));
    let link = &sales.product.link;
    draft.because(format!("`{}` refers to `{}` ({})", link.column, scope.table(link.to).full_name(), how(link)));
    if let Some(climb) = &sales.product.climb {
        draft.because(format!(
            "`{}` are variants; `{}` leads on to `{}`, which is what is forecast",
            scope.table(climb.from).full_name(),
            climb.column,
            scope.table(climb.to).full_name()
        ));
    }
    if let Some(header) = &sales.header {
        draft.because(format!(
            "time and customer stand in `{}`, by `{}` ({})",
            scope.table(header.to).full_name(),
            header.column,
            how(header)
        ));
    }
}

/// `column` in the form of the key that it refers to: what is text there is text here.
pub(super) fn matching(dialect: Dialect, alias: &str, column: &Column, key: &Column) -> Key {
    let own = dialect.key(alias, column);
    match dialect.key("", key).is_text {
        true if !own.is_text => Key { expression: dialect.as_text(&own.expression), is_text: true },
        is_text => Key { is_text, ..own },
    }
}

fn add_sale_key(scope: &Scope<'_>, sales: &Sales, draft: &mut Draft) {
    let (line, dialect) = (scope.table(sales.line), draft.dialect);
    if let Some(key) = line.key() {
        return draft.add_key("sale_id", dialect.key("l", key), 1.0);
    }
    let mut parts = line.primary_key.clone();
    if parts.is_empty() {
        let time = || scope.best(sales.line, &ORDERED_AT, is_time).map(|(column, _)| column.name.clone());
        parts.extend(sales.header.as_ref().map(|header| header.column.clone()).or_else(time));
        parts.push(sales.product.link.column.clone());
        parts.extend(sales.customer.as_ref().filter(|customer| !customer.in_header).map(|customer| customer.column.clone()));
        draft.because(format!(
            "`{}` has no key: a line is told by {}; two equal ones would count once",
            line.full_name(),
            parts.iter().map(|part| format!("`{part}`")).collect::<Vec<_>>().join(", ")
        ));
    }
    let texts: Vec<String> = parts.iter().map(|part| format!("coalesce({}, '')", dialect.as_text(&dialect.column("l", part)))).collect();
    let expression = dialect.concat(&texts.join("\u{1f}'-'\u{1f}").split('\u{1f}').map(str::to_owned).collect::<Vec<_>>());
    draft.add_key("sale_id", Key { expression, is_text: true }, 0.6);
}

fn add_customer(scope: &Scope<'_>, sales: &Sales, draft: &mut Draft) {
    let found = sales.customer.as_ref().and_then(|customer| {
        let at = if customer.in_header { sales.header.as_ref()?.to } else { sales.line };
        Some((customer, scope.table(at).column(&customer.column)?))
    });
    let Some((customer, column)) = found else {
        draft.add("customer_id", "null".to_owned(), 0.0, Some("no column tells who bought".to_owned()));
        return draft.because("no column tells who bought: forecasts do without");
    };
    let alias = if customer.in_header { "o" } else { "l" };
    let key = customer.link.as_ref().and_then(|link| scope.table(link.to).column(&link.key));
    let key = match key {
        Some(key) => matching(draft.dialect, alias, column, key),
        None => draft.dialect.key(alias, column),
    };
    draft.add_key("customer_id", key, 0.8);
    if customer.link.is_none() {
        draft.because(format!("there is no table of customers; `{}` tells them apart", column.name));
    }
}

fn add_amounts(scope: &Scope<'_>, sales: &Sales, platform: Option<&Platform>, draft: &mut Draft) {
    let dialect = draft.dialect;
    let quantity = scope.best(sales.line, &QUANTITY, is_number);
    let price = scope.best(sales.line, &UNIT_PRICE, is_number);
    let total = scope.best(sales.line, &LINE_TOTAL, |column| is_number(column) && price.is_none_or(|(price, _)| price.name != column.name));
    let quantity_name = quantity.map(|(column, _)| dialect.column("l", &column.name));
    match quantity {
        Some((column, fit)) => draft.add("quantity", dialect.column("l", &column.name), fit, None),
        None => {
            draft.add("quantity", "1".to_owned(), 0.3, Some("no column of a quantity: each line is one piece".to_owned()));
            draft.because("no column of a quantity: each line counts as one piece");
        }
    }
    let amount = total.map(|(column, _)| super::draft::money(dialect, "l", column).0);
    match (price, &amount) {
        (Some((column, fit)), _) => draft.add_money("unit_price", "l", column, fit),
        (None, Some(amount)) => {
            let quantity = quantity_name.clone().unwrap_or_else(|| "1".to_owned());
            let expression = format!("round({} / nullif({quantity}, 0), 2)", decimal(dialect, amount));
            draft.add("unit_price", expression, 0.6, Some("the line's total by its quantity".to_owned()));
        }
        (None, None) => {
            draft.add("unit_price", "0".to_owned(), 0.0, Some("no column of a price".to_owned()));
            draft.because("no column of a price: forecasts would be of quantities alone; name one in the query");
        }
    }
    if let Some((column, fit)) = total {
        draft.add_money("total_price", "l", column, fit);
    }
    let Some((column, fit)) = scope.best(sales.line, &DISCOUNT, is_number) else { return };
    let is_percent = platform.is_some_and(|platform| platform.discount_is_percent);
    let share = match (is_percent, is_share(column)) {
        (false, false) => return draft.add_money("discount", "l", column, fit),
        (true, _) => format!("{} / 100", dialect.column("l", &column.name)),
        (false, true) => dialect.column("l", &column.name),
    };
    let (Some((price, _)), Some(quantity)) = (price, quantity_name) else { return };
    let whole = format!("{} * {quantity}", decimal(dialect, &dialect.column("l", &price.name)));
    let why = if is_percent { "the column is a percentage" } else { "the column is a share of the price" };
    draft.add("discount", format!("round({whole} * {share}, 2)"), fit, Some(why.to_owned()));
    if total.is_none() {
        draft.add(
            "total_price",
            format!("round({whole} * (1 - {share}), 2)"),
            fit,
            Some("price times quantity less the discount".to_owned()),
        );
    }
}

/// Are its values shares such as 0.15?
fn is_share(column: &Column) -> bool {
    let values: Vec<f64> = column.sample.iter().filter_map(|value| value.trim().parse().ok()).collect();
    values.iter().all(|value| (0.0..1.0).contains(value)) && values.iter().any(|value| *value > 0.0)
}

/// A number that is divided and rounded exactly.
fn decimal(dialect: Dialect, expression: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("cast({expression} as real)"),
        Dialect::Postgres => format!("({expression})::numeric"),
        Dialect::Mysql => expression.to_owned(),
    }
}

/// Leaves out what is no sale; the table whose changes decide on that.
fn add_conditions(scope: &Scope<'_>, sales: &Sales, time: (&str, &Column), draft: &mut Draft) -> Option<usize> {
    let dialect = draft.dialect;
    if let Some(column) = scope.table(sales.line).column(&sales.product.link.column)
        && column.nullable
    {
        draft.query.conditions.push(format!("{} is not null", dialect.column("l", &column.name)));
        draft.because(format!("lines without `{}` (notes, shipping) are left out", column.name));
    }
    let (alias, column) = time;
    if column.nullable && !fits(&CREATED_AT, column) {
        draft.query.conditions.push(format!("{} is not null", dialect.column(alias, &column.name)));
        draft.because(format!("orders without `{}` are not finished and are left out", column.name));
    }
    let mut places = vec![("l", sales.line)];
    places.extend(sales.header.as_ref().map(|header| ("o", header.to)));
    for (alias, at) in &places {
        if let Some((column, _)) = scope.best(*at, &DELETED_AT, |column| is_time(column) || column.nullable) {
            draft.query.conditions.push(format!("{} is null", dialect.column(alias, &column.name)));
            draft.because(format!("rows with `{}` are deleted and left out", column.name));
        }
    }
    // The header's status decides; a line's own one only where no header has any.
    places.iter().rev().find_map(|(alias, at)| status::filter(scope, alias, *at, draft).then_some(*at))
}

fn add_cursor(scope: &Scope<'_>, sales: &Sales, filtered: Option<usize>, draft: &mut Draft) {
    let own = scope.best(sales.line, &UPDATED_AT, is_time).map(|found| ("l", sales.line, found));
    let header = sales.header.as_ref().and_then(|header| Some(("o", header.to, scope.best(header.to, &UPDATED_AT, is_time)?)));
    // Where the header decides what is a sale, its changes matter more than the line's.
    let found = if filtered.is_some() && filtered == header.map(|(_, at, _)| at) { header.or(own) } else { own.or(header) };
    let Some((alias, at, (column, fit))) = found else {
        return draft.because("no column tells when a row changed: sales are read whole at each run");
    };
    draft.add_time("updated_at", alias, column, fit);
    draft.cursor = Some("updated_at");
    draft.because(format!("`{}.{}` grows with each change: later runs read only what is new", scope.table(at).name, column.name));
}
