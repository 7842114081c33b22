//! The products of the shop: names that tell one from another, made from type, size, maker and brand. The name of a
//! product depends on the catalogue alone, never on what was sold.

use std::collections::HashMap;

use crate::data::CatalogueRow;
use crate::names::Names;
use crate::tree::Tree;

/// A product as the shop lists it.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub(crate) product_id: i64,
    pub(crate) category_id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) brand: String,
}

/// Names every product of the catalogue. Products of one type that are called alike get the maker's number, and if that
/// does not tell them apart, a number of their own in order of their ids.
pub(crate) fn products(catalogue: &[CatalogueRow], tree: &Tree, names: &Names) -> Vec<Product> {
    let plain: Vec<String> = catalogue.iter().map(|row| called(row, names, None)).collect();
    let by_maker: Vec<String> = catalogue.iter().map(|row| called(row, names, Some(row.manufacturer_id))).collect();
    let leaves: Vec<i64> = catalogue.iter().map(|row| tree.leaf_of(row)).collect();
    let plain_counts = counts(&leaves, &plain);
    let maker_counts = counts(&leaves, &by_maker);
    let mut numbers: HashMap<(i64, &str), u32> = HashMap::new();
    let mut listed = Vec::with_capacity(catalogue.len());
    for (at, row) in catalogue.iter().enumerate() {
        let name = if plain_counts[&(leaves[at], plain[at].as_str())] == 1 {
            plain[at].clone()
        } else if maker_counts[&(leaves[at], by_maker[at].as_str())] == 1 {
            by_maker[at].clone()
        } else {
            let number = numbers.entry((leaves[at], by_maker[at].as_str())).or_default();
            *number += 1;
            format!("{}, no. {number}", by_maker[at])
        };
        listed.push(Product {
            product_id: row.product_id,
            category_id: leaves[at],
            name,
            description: description(row),
            brand: brand(row),
        });
    }
    listed
}

fn counts<'a>(leaves: &[i64], names: &'a [String]) -> HashMap<(i64, &'a str), u32> {
    let mut counts = HashMap::with_capacity(names.len());
    for (leaf, name) in leaves.iter().zip(names) {
        *counts.entry((*leaf, name.as_str())).or_default() += 1;
    }
    counts
}

/// `Ground coffee, 39 oz (store brand)`; with the maker, who is always the shop for its own brand, `... by maker 69`.
fn called(row: &CatalogueRow, names: &Names, maker: Option<i64>) -> String {
    let mut name = match &row.kind {
        Some(kind) => names.kind(row.category.as_deref(), kind),
        None => match &row.category {
            Some(category) => names.category(category),
            None => format!("{} item", names.department(&row.department)),
        },
    };
    if let Some(size) = row.size.as_deref().and_then(Names::size) {
        name = format!("{name}, {size}");
    }
    match maker {
        _ if row.private_label => format!("{name} (store brand)"),
        Some(maker) => format!("{name} by maker {maker}"),
        None => name,
    }
}

/// The source's own labels, for whoever looks for them.
fn description(row: &CatalogueRow) -> String {
    let parts = [Some(row.department.as_str()), row.category.as_deref(), row.kind.as_deref(), row.size.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" / ")
}

/// The source hides brands; makers stand in for them.
fn brand(row: &CatalogueRow) -> String {
    if row.private_label { "Store brand".to_owned() } else { format!("Maker {}", row.manufacturer_id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(product_id: i64, manufacturer_id: i64, private_label: bool, size: &str) -> CatalogueRow {
        let label = |text: &str| Some(text.to_owned());
        CatalogueRow {
            product_id,
            manufacturer_id,
            department: "GROCERY".into(),
            private_label,
            category: label("COFFEE"),
            kind: label("GROUND COFFEE"),
            size: label(size),
        }
    }

    #[test]
    fn siblings_are_told_apart_by_maker_and_then_by_number() {
        let catalogue = [
            row(1, 7, false, "39 OZ"),
            row(2, 7, false, "12 OZ"),
            row(3, 8, false, "12 OZ"),
            row(4, 8, false, "10 OZ"),
            row(5, 8, false, "10 OZ"),
            row(6, 69, true, "39 OZ"),
        ];
        let names = Names::built_in();
        let listed = products(&catalogue, &Tree::of(&catalogue, &names), &names);
        let called: Vec<_> = listed.iter().map(|product| product.name.as_str()).collect();
        assert_eq!(
            called,
            [
                "Ground coffee, 39 oz",
                "Ground coffee, 12 oz by maker 7",
                "Ground coffee, 12 oz by maker 8",
                "Ground coffee, 10 oz by maker 8, no. 1",
                "Ground coffee, 10 oz by maker 8, no. 2",
                "Ground coffee, 39 oz (store brand)",
            ]
        );
    }
}
