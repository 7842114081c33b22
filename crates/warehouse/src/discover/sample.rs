//! The first rows of a proposed query, as text. What tells persons is masked before anything else sees it.

use super::catalogue::Dialect;
use super::error::DiscoverError;
use super::proposal::{EntityProposal, Sample};
use crate::entity::{ColumnKind, Entity};
use crate::sources::Reader;

/// Rows that are shown.
const ROWS: usize = 5;

/// Runs the query of `entity` for its first rows.
pub(super) async fn rows(reader: &mut Reader, dialect: Dialect, entity: &EntityProposal) -> Result<Sample, DiscoverError> {
    let columns: Vec<String> = entity.columns.iter().map(|column| dialect.as_text(&dialect.column("mapped", column.column))).collect();
    let sql = format!("select {} from (\n{}\n) as mapped limit {ROWS}", columns.join(", "), entity.sql);
    let rows = reader.texts(&sql).await;
    let mut rows = rows.map_err(|source| DiscoverError::Query { entity: entity.entity, sql: entity.sql.clone(), source })?;
    for (at, column) in entity.columns.iter().enumerate() {
        // A customer's key that is text may be an e-mail address.
        let is_key = column.column == "customer_id" && entity.text_keys.contains(&"customer_id");
        if is_key || is_secret(entity.entity, column.column) {
            for value in rows.iter_mut().filter_map(|row| row.get_mut(at)).flatten() {
                *value = masked(value);
            }
        }
    }
    Ok(Sample { columns: entity.columns.iter().map(|column| column.column.to_owned()).collect(), rows })
}

fn is_secret(entity: &str, column: &str) -> bool {
    Entity::named(entity).and_then(|entity| entity.column(column)).is_some_and(|column| column.kind == ColumnKind::Secret)
}

/// The first letter and as many marks for every text, so that not even its length is told.
fn masked(text: &str) -> String {
    text.trim().chars().next().map_or_else(String::new, |first| format!("{first}***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_persons_are_masked() {
        assert!(is_secret("customers", "email") && is_secret("customers", "name") && !is_secret("products", "name"));
        assert_eq!(masked("ada@example.org"), "a***");
        assert_eq!(masked("Ünal"), "Ü***");
        assert_eq!(masked(""), "");
    }
}
