//! The shop's category tree: department -> product category -> product type. Ids depend on the catalogue alone, so every
//! shop made from it has the same.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::data::CatalogueRow;
use crate::names::{Names, lower_first};

/// First id of the product categories; departments have the ids below.
const FIRST_CATEGORY: i64 = 101;
/// First id of the product types.
const FIRST_TYPE: i64 = 1_001;

/// A category of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) category_id: i64,
    pub(crate) parent_id: Option<i64>,
    pub(crate) name: String,
    /// The source's label.
    pub(crate) label: String,
}

/// Product category as the source names it; products without one belong to their department's `Other`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Middle {
    Named(String),
    OtherOf(String),
}

impl Middle {
    fn of(row: &CatalogueRow) -> Self {
        row.category.clone().map_or_else(|| Self::OtherOf(row.department.clone()), Self::Named)
    }
}

/// The tree and the place of each product in it.
pub(crate) struct Tree {
    /// Parents before children.
    pub(crate) categories: Vec<Category>,
    leaves: HashMap<(Middle, Option<String>), i64>,
}

impl Tree {
    /// Builds the tree of a catalogue. A product category that several departments carry is one node, below the
    /// department with most of its products; a department that keeps no category is left out.
    pub(crate) fn of(catalogue: &[CatalogueRow], names: &Names) -> Self {
        let mut department_sizes: BTreeMap<&str, usize> = BTreeMap::new();
        let mut carriers: BTreeMap<Middle, BTreeMap<&str, usize>> = BTreeMap::new();
        let mut kinds: BTreeMap<Middle, BTreeSet<Option<String>>> = BTreeMap::new();
        for row in catalogue {
            *department_sizes.entry(&row.department).or_default() += 1;
            *carriers.entry(Middle::of(row)).or_default().entry(&row.department).or_default() += 1;
            kinds.entry(Middle::of(row)).or_default().insert(row.kind.clone());
        }
        let department_ids: BTreeMap<&str, i64> = department_sizes.keys().copied().zip(1..).collect();
        let home = |carriers: &BTreeMap<&str, usize>| {
            let best = carriers.iter().max_by_key(|(department, count)| (**count, department_sizes[**department], Reverse(**department)));
            best.map_or("", |(department, _)| *department).to_owned()
        };
        let parents: BTreeMap<&Middle, String> = carriers.iter().map(|(middle, carriers)| (middle, home(carriers))).collect();
        let used: BTreeSet<&str> = parents.values().map(String::as_str).collect();

        let mut categories: Vec<Category> = Vec::with_capacity(4_500);
        for (label, id) in department_ids.iter().filter(|(label, _)| used.contains(*label)) {
            categories.push(Category { category_id: *id, parent_id: None, name: names.department(label), label: (*label).to_owned() });
        }
        let middle_ids: BTreeMap<&Middle, i64> = carriers.keys().zip(FIRST_CATEGORY..).collect();
        for (middle, id) in &middle_ids {
            let (name, label) = match middle {
                Middle::Named(label) => (names.category(label), label.clone()),
                Middle::OtherOf(department) => (format!("Other {}", lower_first(&names.department(department))), String::new()),
            };
            let parent_id = department_ids.get(parents[middle].as_str()).copied();
            categories.push(Category { category_id: *id, parent_id, name, label });
        }
        let mut leaves = HashMap::with_capacity(4_000);
        let mut next_id = FIRST_TYPE;
        for (middle, kinds) in &kinds {
            let parent_id = middle_ids[middle];
            let parent_name =
                &categories.iter().find(|category| category.category_id == parent_id).map_or("", |category| &category.name).to_owned();
            for kind in kinds {
                let category_label = if let Middle::Named(label) = middle { Some(label.as_str()) } else { None };
                let name = kind.as_deref().map_or_else(|| other(parent_name), |kind| names.kind(category_label, kind));
                categories.push(Category {
                    category_id: next_id,
                    parent_id: Some(parent_id),
                    name,
                    label: kind.clone().unwrap_or_default(),
                });
                leaves.insert((middle.clone(), kind.clone()), next_id);
                next_id += 1;
            }
        }
        Self { categories, leaves }
    }

    /// The type-level category of a product.
    pub(crate) fn leaf_of(&self, row: &CatalogueRow) -> i64 {
        self.leaves[&(Middle::of(row), row.kind.clone())]
    }
}

fn other(parent_name: &str) -> String {
    if parent_name.starts_with("Other ") { parent_name.to_owned() } else { format!("Other {}", lower_first(parent_name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(product_id: i64, department: &str, category: Option<&str>, kind: Option<&str>) -> CatalogueRow {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        CatalogueRow {
            product_id,
            manufacturer_id: 1,
            department: department.into(),
            private_label: false,
            category: owned(category),
            kind: owned(kind),
            size: None,
        }
    }

    #[test]
    fn a_category_of_two_departments_is_one_node_below_the_larger_carrier() {
        let catalogue = [
            row(1, "SEAFOOD", Some("SOUP"), Some("CUPS")),
            row(2, "GROCERY", Some("SOUP"), Some("CUPS")),
            row(3, "GROCERY", Some("SOUP"), None),
            row(4, "CHEF SHOPPE", None, None),
        ];
        let tree = Tree::of(&catalogue, &Names::built_in());
        let named: Vec<_> =
            tree.categories.iter().map(|category| (category.category_id, category.parent_id, category.name.as_str())).collect();
        assert_eq!(
            named,
            [
                (1, None, "Chef's shop"),
                (2, None, "Grocery"),
                (101, Some(2), "Soup"),
                (102, Some(1), "Other chef's shop"),
                (1_001, Some(101), "Other soup"),
                (1_002, Some(101), "Soup, cups"),
                (1_003, Some(102), "Other chef's shop"),
            ]
        );
        assert_eq!(tree.leaf_of(&catalogue[0]), tree.leaf_of(&catalogue[1]));
    }
}
