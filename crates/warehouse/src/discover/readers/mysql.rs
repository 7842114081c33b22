//! The catalogue of MySQL and MariaDB, by the information schema. It shows only what the user may read.

use super::{Tables, column, text};
use crate::discover::catalogue::{Catalogue, Dialect, ForeignKey, Table};
use crate::error::SourceError;
use crate::sources::Reader;

const TABLES: &str = "
select cast(table_name as char), cast(table_type as char), cast(table_rows as char)
from information_schema.tables where table_schema = database() order by table_name";

const COLUMNS: &str = "
select cast(table_name as char), cast(column_name as char), cast(column_type as char), cast(is_nullable as char)
from information_schema.columns where table_schema = database() order by table_name, ordinal_position";

const UNIQUE: &str = "
select cast(table_name as char), cast(index_name as char), cast(column_name as char)
from information_schema.statistics where table_schema = database() and non_unique = 0 and column_name is not null
order by table_name, index_name, seq_in_index";

const FOREIGN: &str = "
select cast(k.table_name as char), cast(k.column_name as char), cast(k.referenced_table_name as char), cast(k.referenced_column_name as char)
from information_schema.key_column_usage k
where k.table_schema = database() and k.referenced_table_schema = k.table_schema
  and (select count(*) from information_schema.key_column_usage o
       where o.table_schema = k.table_schema and o.table_name = k.table_name and o.constraint_name = k.constraint_name) = 1";

pub(super) async fn read(reader: &mut Reader) -> Result<Catalogue, SourceError> {
    let mut tables = Tables::new();
    for row in reader.texts(TABLES).await? {
        let name = text(&row, 0);
        let is_view = text(&row, 1).contains("VIEW");
        let table = Table { name: name.clone(), is_view, readable: true, rows: text(&row, 2).parse().ok(), ..Table::default() };
        tables.insert((None, name), table);
    }
    for row in reader.texts(COLUMNS).await? {
        let Some(table) = tables.get_mut(&(None, text(&row, 0))) else { continue };
        let mut found = column(text(&row, 1), text(&row, 2), text(&row, 3) == "YES");
        found.values = enum_labels(&found.type_name);
        table.columns.push(found);
    }
    let mut last = (String::new(), String::new());
    for row in reader.texts(UNIQUE).await? {
        let Some(table) = tables.get_mut(&(None, text(&row, 0))) else { continue };
        let index = (text(&row, 0), text(&row, 1));
        if index.1 == "PRIMARY" {
            table.primary_key.push(text(&row, 2));
            continue;
        }
        if index != last {
            table.unique.push(Vec::new());
        }
        last = index;
        if let Some(columns) = table.unique.last_mut() {
            columns.push(text(&row, 2));
        }
    }
    for row in reader.texts(FOREIGN).await? {
        let Some(table) = tables.get_mut(&(None, text(&row, 0))) else { continue };
        let key = ForeignKey { column: text(&row, 1), table: (None, text(&row, 2)), references: Some(text(&row, 3)) };
        table.foreign_keys.push(key);
    }
    let zone = "select if(@@global.time_zone = 'SYSTEM', @@system_time_zone, @@global.time_zone)";
    let time_zone = reader.texts(zone).await?.first().map(|row| text(row, 0));
    Ok(Catalogue { dialect: Dialect::Mysql, tables: tables.into_values().collect(), time_zone, settings: Vec::new() })
}

/// The labels of `enum('a','b')`.
fn enum_labels(type_name: &str) -> Vec<String> {
    let list = type_name.strip_prefix("enum('").and_then(|list| list.strip_suffix("')"));
    list.map(|list| list.split("','").map(|label| label.replace("''", "'")).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_out_of_the_type() {
        assert_eq!(enum_labels("enum('new','it''s done')"), ["new", "it's done"]);
        assert!(enum_labels("varchar(20)").is_empty());
    }
}
