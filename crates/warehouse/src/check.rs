//! Does the mapping fit the source? Asked by `sellcast check`, and before a run writes anything. Every fault is found at
//! once, each with its mend; so are changes in the source since the last run.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use crate::entity::{Entity, Presence};
use crate::error::SourceError;
use crate::journal::SourceShape;
use crate::mapping::{EntityMapping, SourceMapping};
use crate::sources::{Reader, SourceColumn};

/// A fault in the source mapping, or a change in the source that the mapping does not expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingFault {
    /// The entity whose mapping is at fault; `source` where it is the connection.
    pub entity: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for MappingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.entity, self.message)
    }
}

/// Open sources by address, and what their queries look like.
#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) readers: HashMap<String, Reader>,
    pub(crate) shapes: BTreeMap<Entity, SourceShape>,
    pub(crate) changes: Vec<String>,
    pub(crate) faults: Vec<MappingFault>,
}

impl Survey {
    /// Opens every source and describes every query; compares with `remembered` shapes of the last run.
    pub(crate) async fn take(mapping: &SourceMapping, base_dir: &Path, remembered: &BTreeMap<String, SourceShape>) -> Self {
        let mut survey = Self::default();
        let mut unreachable: HashSet<&str> = HashSet::new();
        for (entity, query, url) in mapping.mapped() {
            let Some(url) = url else {
                survey.fault(entity.name(), "it has no source: set `url` for it or for the whole mapping".to_owned());
                continue;
            };
            if unreachable.contains(url) {
                continue;
            }
            if !survey.readers.contains_key(url) {
                match Reader::open(url, base_dir).await {
                    Ok(reader) => drop(survey.readers.insert(url.to_owned(), reader)),
                    Err(error) => {
                        survey.fault("source", chain(&error));
                        unreachable.insert(url);
                        continue;
                    }
                }
            }
            let Some(reader) = survey.readers.get_mut(url) else { continue };
            match reader.describe(&query.sql).await {
                Ok(columns) => survey.compare(entity, query, &columns, remembered.get(entity.name())),
                Err(error) => survey.fault(entity.name(), refused(entity, query, &error, remembered.get(entity.name()))),
            }
        }
        survey
    }

    fn fault(&mut self, entity: &str, message: String) {
        self.faults.push(MappingFault { entity: entity.to_owned(), message });
    }

    fn compare(&mut self, entity: Entity, query: &EntityMapping, columns: &[SourceColumn], remembered: Option<&SourceShape>) {
        let shape = SourceShape {
            sql: query.sql.clone(),
            columns: columns.iter().map(|column| (column.name.clone(), column.type_name.clone())).collect(),
        };
        // A query that was edited is a wish, not a surprise: only under the same query is a difference the source's.
        let before = remembered.filter(|remembered| remembered.sql == shape.sql);
        for (name, old) in before.iter().flat_map(|before| &before.columns) {
            match shape.columns.get(name) {
                None => self.fault(
                    entity.name(),
                    format!("the source no longer has the column `{name}`; bring it back, or name its replacement in `sql`"),
                ),
                Some(new) if new != old => self.fault(
                    entity.name(),
                    format!("the type of the column `{name}` changed from `{old}` to `{new}`; if the values still mean the same, write `cast({name} as ...)` in `sql`"),
                ),
                Some(_) => {}
            }
        }
        for name in shape.columns.keys() {
            let new_in_source = before.is_some_and(|before| !before.columns.contains_key(name));
            let known_in_source = before.is_some_and(|before| before.columns.contains_key(name));
            match entity.column(name) {
                Some(_) if new_in_source => {
                    self.changes.push(format!("`{}`: the source added the column `{name}`, which is now loaded", entity.name()))
                }
                Some(_) => {}
                None if new_in_source => {
                    self.changes.push(format!(
                        "`{}`: the source added the column `{name}`, which has no canonical name and is left out",
                        entity.name()
                    ));
                }
                None if known_in_source => {}
                None => self.fault(entity.name(), format!("there is no canonical column `{name}`; {}", nearest(entity, name))),
            }
        }
        for column in columns.iter().filter(|column| !column.readable && entity.column(&column.name).is_some()) {
            let unreadable = SourceError::Unreadable { column: column.name.clone(), type_name: column.type_name.clone() };
            self.fault(entity.name(), unreadable.to_string());
        }
        for column in entity.columns().iter().filter(|column| column.presence != Presence::Optional) {
            let gone_before = before.is_some_and(|before| before.columns.contains_key(column.name));
            if !shape.columns.contains_key(column.name) && !gone_before {
                self.fault(
                    entity.name(),
                    format!("the query gives no column `{0}`, which is due; name one of its columns `... as {0}`", column.name),
                );
            }
        }
        if let Some(cursor) = &query.cursor {
            let kind = entity.column(cursor).map(|column| column.kind);
            if !shape.columns.contains_key(cursor) {
                self.fault(
                    entity.name(),
                    format!("the cursor `{cursor}` is not among the query's columns; add it to `sql` or choose another"),
                );
            } else if kind != Some(crate::entity::ColumnKind::Instant) {
                self.fault(entity.name(), format!("the cursor `{cursor}` is not a time; use `updated_at`, `created_at` or `occurred_at`"));
            }
        }
        self.shapes.insert(entity, shape);
    }
}

/// The source refuses the query: told with what the source used to have, where that names the culprit.
fn refused(entity: Entity, query: &EntityMapping, error: &SourceError, remembered: Option<&SourceShape>) -> String {
    let told = chain(error);
    if remembered.is_some_and(|remembered| remembered.sql == query.sql) {
        return format!("the source of `{}` has changed since the last run: {told}", entity.name());
    }
    told
}

fn nearest(entity: Entity, name: &str) -> String {
    let mut near: Vec<(usize, &str)> = entity.columns().iter().map(|column| (distance(name, column.name), column.name)).collect();
    near.sort_unstable();
    let near: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    format!("the nearest ones are {}; rename it with `as`, or leave it out of `sql`", near.join(", "))
}

/// Levenshtein's edit distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (to_at, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[to_at + 1];
            row[to_at + 1] = substituted.min(row[to_at] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_column_is_answered_with_the_nearest_ones() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(nearest(Entity::Transactions, "qty_sold").len() > 10);
        assert!(nearest(Entity::Transactions, "quantiti").starts_with("the nearest ones are `quantity`"));
        assert!(
            nearest(Entity::Products, "price").contains("`current_price`")
                || nearest(Entity::Products, "curent_price").contains("`current_price`")
        );
    }
}
