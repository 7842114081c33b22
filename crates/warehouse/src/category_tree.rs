//! The category tree: levels, paths, which category each one is forecast under, and which are left out of forecasts.
//! Pure; the loader brings the rows and stores the result.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Without a configured level, the deepest one with at most this many members is forecast.
const MOST_FORECAST_CATEGORIES: usize = 2_000;

/// A category as the source gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CategoryRow {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) parent: Option<i64>,
}

/// A category in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) row: CategoryRow,
    /// Roots are level 1.
    pub(crate) level: i32,
    /// `GROCERY / SOFT DRINKS`.
    pub(crate) path: String,
    /// The category its sales are forecast under; `None` above the forecast level.
    pub(crate) forecast: Option<i64>,
    pub(crate) excluded: bool,
}

/// Why a category has no place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    UnknownParent(i64),
    Cycle,
}

/// The tree by id, and those that do not fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CategoryTree {
    pub(crate) categories: BTreeMap<i64, Category>,
    pub(crate) misfits: BTreeMap<i64, Misfit>,
}

impl CategoryTree {
    /// Builds the tree. Of several rows with one id the last counts.
    pub(crate) fn build(rows: impl IntoIterator<Item = CategoryRow>, forecast_level: Option<u32>, excluded: &[String]) -> Self {
        let rows: BTreeMap<i64, CategoryRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut tree = Self::default();
        for id in rows.keys() {
            tree.place(*id, &rows, excluded);
        }
        tree.mark_forecast_level(forecast_level);
        tree
    }

    /// Places `id` and its ancestors, without recursion: a tree may be deeper than a stack.
    fn place(&mut self, id: i64, rows: &BTreeMap<i64, CategoryRow>, excluded: &[String]) {
        let (mut chain, mut on_chain, mut at) = (Vec::new(), BTreeSet::new(), Some(id));
        let mut misfit = None;
        while let Some(current) = at {
            if self.categories.contains_key(&current) {
                break;
            }
            if self.misfits.contains_key(&current) {
                misfit = Some(Misfit::UnknownParent(current));
                break;
            }
            if !on_chain.insert(current) {
                misfit = Some(Misfit::Cycle);
                break;
            }
            let Some(row) = rows.get(&current) else {
                misfit = Some(Misfit::UnknownParent(current));
                break;
            };
            chain.push(current);
            at = row.parent;
        }
        if let Some(misfit) = misfit {
            // Only the last of the chain has the unknown parent itself; the others hang below a misfit.
            for (steps_down, member) in chain.iter().rev().enumerate() {
                let own = if steps_down == 0 || misfit == Misfit::Cycle {
                    misfit
                } else {
                    Misfit::UnknownParent(chain[chain.len() - steps_down])
                };
                self.misfits.insert(*member, own);
            }
            return;
        }
        for member in chain.into_iter().rev() {
            let row = rows[&member].clone();
            let parent = row.parent.and_then(|parent| self.categories.get(&parent));
            let named = |name: &String| name.trim().eq_ignore_ascii_case(&row.name) || name.trim() == row.id.to_string();
            let category = Category {
                level: parent.map_or(1, |parent| parent.level + 1),
                path: parent.map_or_else(|| row.name.clone(), |parent| format!("{} / {}", parent.path, row.name)),
                excluded: parent.is_some_and(|parent| parent.excluded) || excluded.iter().any(named),
                forecast: None,
                row,
            };
            self.categories.insert(member, category);
        }
    }

    fn mark_forecast_level(&mut self, configured: Option<u32>) {
        let mut members: BTreeMap<i32, usize> = BTreeMap::new();
        for category in self.categories.values() {
            *members.entry(category.level).or_default() += 1;
        }
        let deepest = members.iter().rev().find(|(_, count)| **count <= MOST_FORECAST_CATEGORIES).map_or(1, |(level, _)| *level);
        let level = configured.map_or(deepest, |level| i32::try_from(level).unwrap_or(i32::MAX).max(1));
        let parents: BTreeSet<i64> = self.categories.values().filter_map(|category| category.row.parent).collect();
        let mut by_level: Vec<(i32, i64)> = self.categories.values().map(|category| (category.level, category.row.id)).collect();
        by_level.sort_unstable();
        let mut forecast: HashMap<i64, i64> = HashMap::new();
        for (at, id) in by_level {
            let inherited = self.categories[&id].row.parent.and_then(|parent| forecast.get(&parent).copied());
            let own = (at == level || (at < level && !parents.contains(&id))).then_some(id);
            if let Some(target) = own.or(inherited) {
                forecast.insert(id, target);
            }
        }
        for (id, category) in &mut self.categories {
            category.forecast = forecast.get(id).copied();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, name: &str, parent: Option<i64>) -> CategoryRow {
        CategoryRow { id, name: name.into(), description: None, parent }
    }

    fn shop() -> Vec<CategoryRow> {
        vec![
            row(30, "COLA", Some(20)),
            row(20, "SOFT DRINKS", Some(10)),
            row(10, "GROCERY", None),
            row(11, "FUEL", None),
            row(21, "COUPONS", Some(10)),
            row(31, "PAPER", Some(21)),
        ]
    }

    #[test]
    fn levels_and_paths_come_from_the_root_whatever_the_order_of_rows() {
        let tree = CategoryTree::build(shop(), Some(2), &[]);
        let cola = &tree.categories[&30];
        assert_eq!((cola.level, cola.path.as_str(), cola.forecast), (3, "GROCERY / SOFT DRINKS / COLA", Some(20)));
        assert_eq!(tree.categories[&10].forecast, None, "above the forecast level");
        assert_eq!(tree.categories[&11].forecast, Some(11), "a leaf above the forecast level is its own");
        assert_eq!(tree.categories[&20].forecast, Some(20));
    }

    #[test]
    fn without_a_level_the_deepest_small_one_is_forecast() {
        assert_eq!(CategoryTree::build(shop(), None, &[]).categories[&30].forecast, Some(30));
        let wide = (0..MOST_FORECAST_CATEGORIES as i64 + 1).map(|at| row(1000 + at, "leaf", Some(10)));
        let tree = CategoryTree::build(wide.chain([row(10, "ROOT", None)]), None, &[]);
        assert_eq!(tree.categories[&1000].forecast, Some(10), "too many leaves: their parent");
    }

    #[test]
    fn a_flat_list_is_its_own_forecast_level() {
        let tree = CategoryTree::build([row(1, "A", None), row(2, "B", None)], None, &[]);
        assert!(tree.categories.values().all(|category| category.level == 1 && category.forecast == Some(category.row.id)));
    }

    #[test]
    fn exclusion_reaches_the_whole_subtree_by_name_or_id() {
        let tree = CategoryTree::build(shop(), None, &["coupons".into(), "11".into()]);
        let excluded: Vec<i64> = tree.categories.values().filter(|category| category.excluded).map(|category| category.row.id).collect();
        assert_eq!(excluded, [11, 21, 31]);
    }

    #[test]
    fn orphans_and_cycles_do_not_fit_and_spare_the_rest() {
        let tree = CategoryTree::build(
            [
                row(1, "ROOT", None),
                row(2, "ORPHAN", Some(99)),
                row(3, "BELOW", Some(2)),
                row(4, "A", Some(5)),
                row(5, "B", Some(4)),
                row(6, "SELF", Some(6)),
            ],
            None,
            &[],
        );
        assert_eq!(tree.categories.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(tree.misfits[&2], Misfit::UnknownParent(99));
        assert_eq!(tree.misfits[&3], Misfit::UnknownParent(2));
        assert_eq!((tree.misfits[&4], tree.misfits[&5], tree.misfits[&6]), (Misfit::Cycle, Misfit::Cycle, Misfit::Cycle));
    }
}
