//! Customers and promotions: what a forecast is better with, and can do without.

use super::catalogue::Column;
use super::draft::{Draft, is_number, is_text, is_time};
use super::sales::matching;
use super::scope::{Link, Scope};
use super::words::{
    CREATED_AT, DISCOUNT, EMAIL, ENDS_ON, FIRST_NAME, KIND, LAST_LOGIN, LAST_NAME, NAME, OTHER_TABLE, PRODUCT, PROMOTION, SEGMENT,
    STARTS_ON, UPDATED_AT, key_stem,
};

/// The query of the customers, which the sales refer to by `link`.
pub(super) fn customers(scope: &Scope<'_>, link: &Link) -> Draft {
    let (dialect, at) = (scope.catalogue.dialect, link.to);
    let table = scope.table(at);
    let mut draft = Draft::new("customers", dialect, format!("{} k", dialect.table(table)));
    draft.because(format!("`{}.{}` refers to `{}`", scope.table(link.from).name, link.column, table.full_name()));
    draft.because("names and e-mail addresses become keyed hashes while they are read; nothing of them is kept");
    let Some(key) = table.column(&link.key) else { return draft };
    draft.add_key("customer_id", dialect.key("k", key), 1.0);
    let (first, last) = (scope.best(at, &FIRST_NAME, is_text), scope.best(at, &LAST_NAME, is_text));
    if let (Some((first, _)), Some((last, fit))) = (first, last) {
        let part = |column: &Column| format!("coalesce({}, '')", dialect.column("k", &column.name));
        draft.add("name", dialect.concat(&[part(first), "' '".to_owned(), part(last)]), fit, None);
    } else if let Some((name, fit)) = scope.best(at, &NAME, is_text) {
        draft.add_text("name", "k", name, fit);
    }
    if let Some((email, fit)) = scope.best(at, &EMAIL, is_text) {
        draft.add_text("email", "k", email, fit);
    }
    for (column, concept) in [("created_at", &CREATED_AT), ("last_login", &LAST_LOGIN)] {
        if let Some((found, fit)) = scope.best(at, concept, is_time) {
            draft.add_time(column, "k", found, fit);
        }
    }
    if let Some((segment, fit)) = scope.best(at, &SEGMENT, is_text) {
        draft.add_text("customer_segment", "k", segment, fit);
    }
    if let Some((updated, fit)) = scope.best(at, &UPDATED_AT, is_time) {
        draft.add_time("updated_at", "k", updated, fit);
        draft.cursor = Some("updated_at");
    }
    draft
}

/// A table of promotions, by its link to the products' table.
pub(super) fn promotion_candidates(scope: &Scope<'_>, products: usize) -> Vec<(Link, f64)> {
    let to_product = scope.links.iter().filter(|link| link.to == products && scope.table(link.from).readable);
    let scored = to_product.filter_map(|link| {
        let named = scope.named(link.from, &PROMOTION);
        let dated = scope.best(link.from, &STARTS_ON, is_time).is_some() && scope.best(link.from, &ENDS_ON, is_time).is_some();
        let is_other = scope.named(link.from, &OTHER_TABLE) > 0.0;
        let column = PRODUCT.fit_words(&key_stem(&link.column), &[]);
        (named >= 0.4 && dated && !is_other).then(|| (link.clone(), 0.7 * named + 0.2 * link.score + 0.1 * column))
    });
    scored.collect()
}

/// The query of the promotions.
pub(super) fn promotions(scope: &Scope<'_>, link: &Link) -> Draft {
    let (dialect, at) = (scope.catalogue.dialect, link.from);
    let table = scope.table(at);
    let mut draft = Draft::new("promotions", dialect, format!("{} a", dialect.table(table)));
    draft.because(format!("`{}` names products by `{}` and has a first and a last day", table.full_name(), link.column));
    if let (Some(column), Some(key)) = (table.column(&link.column), scope.table(link.to).column(&link.key)) {
        draft.add_key("product_id", matching(dialect, "a", column, key), link.score);
    }
    for (column, concept) in [("starts_on", &STARTS_ON), ("ends_on", &ENDS_ON)] {
        if let Some((found, fit)) = scope.best(at, concept, is_time) {
            draft.add_time(column, "a", found, fit);
        }
    }
    match scope.best(at, &KIND, is_text) {
        Some((kind, fit)) => draft.add_text("kind", "a", kind, fit),
        None => draft.add("kind", "'promotion'".to_owned(), 0.5, Some("no column tells kinds apart".to_owned())),
    }
    if let Some((strength, fit)) = scope.best(at, &DISCOUNT, is_number) {
        draft.add("strength", dialect.column("a", &strength.name), fit, None);
    }
    if let Some((announced, fit)) = scope.best(at, &CREATED_AT, is_time) {
        draft.add_time("announced_at", "a", announced, fit);
        draft.because(format!("`{}` tells since when a promotion was planned", announced.name));
    }
    draft
}
