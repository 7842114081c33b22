//! The catalogue made ready for judging: tables by their bare words (without a prefix that all of them share) and every
//! link between two tables, declared as a foreign key or told by the names and types of columns.

use super::catalogue::{Catalogue, Column, Table};
use super::words::{self, CATEGORY, CUSTOMER, Concept, ORDER, PRODUCT, VARIANT, key_stem, same_word, tokens};

/// A shared first word counts as a prefix from this many tables on.
const LEAST_PREFIXED: usize = 3;

/// The catalogue with what its names and keys tell.
pub(super) struct Scope<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// Words of each table's name, by its place in the catalogue.
    bare: Vec<Vec<String>>,
    pub(super) links: Vec<Link>,
}

/// A column that refers to another table's key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) column: String,
    pub(super) to: usize,
    pub(super) key: String,
    pub(super) declared: bool,
    /// How sure it is, from 0 to 1.
    pub(super) score: f64,
}

impl<'a> Scope<'a> {
    pub(super) fn of(catalogue: &'a Catalogue) -> Self {
        let names: Vec<Vec<String>> = catalogue.tables.iter().map(|table| tokens(&table.name)).collect();
        let mut scope = Self { catalogue, bare: without_prefix(names), links: Vec::new() };
        for (from, table) in catalogue.tables.iter().enumerate() {
            for column in &table.columns {
                let link = scope.declared(from, column).or_else(|| scope.inferred(from, column));
                scope.links.extend(link);
            }
        }
        scope
    }

    pub(super) fn table(&self, at: usize) -> &'a Table {
        &self.catalogue.tables[at]
    }

    /// How well the table's name fits.
    pub(super) fn named(&self, at: usize, concept: &Concept) -> f64 {
        concept.fit_words(&self.bare[at], &[])
    }

    /// Places of the tables that may be read.
    pub(super) fn tables(&self) -> impl Iterator<Item = usize> {
        (0..self.catalogue.tables.len()).filter(|at| self.catalogue.tables[*at].readable)
    }

    /// Links of a table to others, and to itself.
    pub(super) fn links_of(&self, from: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.from == from)
    }

    /// The column that fits best among those that `allowed` lets pass, with how well it fits.
    pub(super) fn best(&self, at: usize, concept: &Concept, allowed: impl Fn(&Column) -> bool) -> Option<(&'a Column, f64)> {
        let columns = self.table(at).columns.iter().filter(|column| allowed(column));
        let fits = columns.map(|column| (column, concept.fit(&column.name, &self.bare[at]))).filter(|(_, fit)| *fit >= 0.4);
        // Of equal ones the first counts, as the table's makers put it first.
        fits.fold(None, |best: Option<(&Column, f64)>, next| if best.is_none_or(|best| next.1 > best.1) { Some(next) } else { best })
    }

    fn declared(&self, from: usize, column: &Column) -> Option<Link> {
        let table = self.table(from);
        let key = table.foreign_keys.iter().find(|key| key.column == column.name)?;
        let to = self.catalogue.tables.iter().position(|other| (&other.schema, &other.name) == (&key.table.0, &key.table.1))?;
        let target = key.references.clone().or_else(|| self.table(to).key().map(|key| key.name.clone()))?;
        Some(Link { from, column: column.name.clone(), to, key: target, declared: true, score: 1.0 })
    }

    fn inferred(&self, from: usize, column: &Column) -> Option<Link> {
        let table = self.table(from);
        if table.primary_key.as_slice() == [column.name.as_str()] && is_plain_key(&column.name) {
            return None;
        }
        let stem = key_stem(&column.name);
        let all = tokens(&column.name);
        let mut best: Option<Link> = None;
        for (to, other) in self.catalogue.tables.iter().enumerate() {
            let Some(key) = other.key() else { continue };
            if to == from || !column.family.may_refer_to(key.family) {
                continue;
            }
            let score = self.resemblance(&column.name, &stem, all.len() > stem.len(), to, &key.name);
            if score > 0.0 && best.as_ref().is_none_or(|best| score > best.score) {
                best = Some(Link { from, column: column.name.clone(), to, key: key.name.clone(), declared: false, score });
            }
        }
        best
    }

    /// How much a column looks like a reference to the table `to`.
    fn resemblance(&self, column: &str, stem: &[String], marked: bool, to: usize, key: &str) -> f64 {
        if column.eq_ignore_ascii_case(key) && !is_plain_key(column) {
            return 0.9;
        }
        if stem.is_empty() {
            return 0.0;
        }
        let name = &self.bare[to];
        // `fkKunde`, `kunde_id` and `kunde` are clear, an unmarked `position` is not.
        let sure = if marked { 0.9 } else { 0.7 };
        if same_words(stem, name) {
            return sure;
        }
        if name.len() > stem.len() && same_words(stem, &name[name.len() - stem.len()..]) && self.is_only_one(stem) {
            return sure - 0.2;
        }
        let concepts: [&Concept; 5] = [&PRODUCT, &CUSTOMER, &ORDER, &CATEGORY, &VARIANT];
        let alike = concepts.iter().map(|concept| concept.fit_words(stem, &[]).min(concept.fit_words(name, &[])));
        let alike = alike.fold(0.0, f64::max);
        if alike >= 0.75 && marked { 0.5 } else { 0.0 }
    }

    /// Does the name of one table alone end with these words?
    fn is_only_one(&self, stem: &[String]) -> bool {
        let ends = |name: &&Vec<String>| name.len() >= stem.len() && same_words(stem, &name[name.len() - stem.len()..]);
        self.bare.iter().filter(ends).count() == 1
    }
}

fn is_plain_key(name: &str) -> bool {
    words::key_stem(name).is_empty() || name.eq_ignore_ascii_case("name")
}

fn same_words(left: &[String], right: &[String]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_word(left, right))
}

/// Names without the first word, where most tables share it (`wp_`, `spree_`).
fn without_prefix(names: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let first = |name: &Vec<String>| (name.len() > 1).then(|| name[0].clone());
    let shared = |prefix: &String| names.iter().filter(|name| name.len() > 1 && name[0] == *prefix).count();
    let Some(prefix) = names.iter().filter_map(first).max_by_key(|prefix| (shared(prefix), std::cmp::Reverse(prefix.clone()))) else {
        return names;
    };
    let count = shared(&prefix);
    let is_word =
        [&PRODUCT, &CUSTOMER, &ORDER, &CATEGORY].iter().any(|concept| concept.fit_words(std::slice::from_ref(&prefix), &[]) > 0.0);
    if count < LEAST_PREFIXED || count * 10 < names.len() * 6 || is_word {
        return names;
    }
    let strip = |mut name: Vec<String>| {
        if name.len() > 1 && name[0] == prefix {
            name.remove(0);
        }
        name
    };
    names.into_iter().map(strip).collect()
}

#[cfg(test)]
mod tests {
    use super::super::small::{catalogue, refers, table};
    use super::*;

    fn linked(scope: &Scope<'_>, from: &str, column: &str) -> Option<(String, bool)> {
        let found = scope.links.iter().find(|link| scope.table(link.from).name == from && link.column == column)?;
        Some((scope.table(found.to).name.clone(), found.declared))
    }

    #[test]
    fn links_are_found_by_foreign_key_or_by_name_and_type() {
        let shop = catalogue(vec![
            table("spree_orders", &[("id", "bigint"), ("user_id", "bigint"), ("number", "text")]),
            table("spree_line_items", &[("id", "bigint"), ("variant_id", "bigint"), ("order_id", "bigint")]),
            table("spree_variants", &[("id", "bigint"), ("product_id", "bigint"), ("sku", "text")]),
            table("spree_products", &[("id", "bigint"), ("name", "text")]),
            refers(table("spree_users", &[("id", "bigint"), ("bill_to", "bigint")]), "bill_to", "spree_orders"),
        ]);
        let scope = Scope::of(&shop);
        assert_eq!(scope.bare[1], ["line", "items"]);
        assert_eq!(linked(&scope, "spree_line_items", "variant_id"), Some(("spree_variants".into(), false)));
        assert_eq!(linked(&scope, "spree_line_items", "order_id"), Some(("spree_orders".into(), false)));
        assert_eq!(linked(&scope, "spree_variants", "product_id"), Some(("spree_products".into(), false)));
        assert_eq!(linked(&scope, "spree_users", "bill_to"), Some(("spree_orders".into(), true)));
        assert_eq!(linked(&scope, "spree_orders", "number"), None, "text cannot refer to a number");
    }

    #[test]
    fn german_keys_and_keys_of_the_same_name_link_too() {
        let shop = catalogue(vec![
            table("kunden", &[("kundennr", "text"), ("name", "text")]),
            table("bestellungen", &[("id", "integer"), ("kundennr", "text"), ("artikel", "integer")]),
            table("artikel", &[("id", "integer"), ("bezeichnung", "text")]),
        ]);
        let mut shop = shop;
        shop.tables[0].primary_key = vec!["kundennr".into()];
        let scope = Scope::of(&shop);
        assert_eq!(linked(&scope, "bestellungen", "kundennr"), Some(("kunden".into(), false)));
        assert_eq!(linked(&scope, "bestellungen", "artikel"), Some(("artikel".into(), false)));
    }
}
