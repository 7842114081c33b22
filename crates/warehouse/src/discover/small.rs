//! For tests: catalogues written by hand, in few words.

use super::catalogue::{Catalogue, Column, Dialect, Family, ForeignKey, Table};

pub(super) fn catalogue(tables: Vec<Table>) -> Catalogue {
    Catalogue { dialect: Dialect::Postgres, tables, time_zone: None, settings: Vec::new() }
}

/// A table whose key is `id`, if it has one.
pub(super) fn table(name: &str, columns: &[(&str, &str)]) -> Table {
    let column = |(name, type_name): &(&str, &str)| Column {
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        family: Family::of(type_name),
        nullable: false,
        sample: Vec::new(),
        values: Vec::new(),
    };
    let columns: Vec<Column> = columns.iter().map(column).collect();
    let primary_key = columns.iter().filter(|column| column.name == "id").map(|column| column.name.clone()).collect();
    Table { name: name.to_owned(), readable: true, rows: Some(1000), columns, primary_key, ..Table::default() }
}

pub(super) fn refers(mut table: Table, column: &str, to: &str) -> Table {
    table.foreign_keys.push(ForeignKey { column: column.to_owned(), table: (None, to.to_owned()), references: None });
    table
}

pub(super) fn with_values(mut table: Table, column: &str, values: &[&str]) -> Table {
    for found in table.columns.iter_mut().filter(|found| found.name == column) {
        found.values = values.iter().map(|value| (*value).to_owned()).collect();
    }
    table
}
