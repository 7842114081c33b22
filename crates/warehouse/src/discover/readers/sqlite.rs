//! SQLite's catalogue, by its schema table and pragma functions.

use super::{Tables, column, text};
use crate::discover::catalogue::{Catalogue, Dialect, ForeignKey, Table};
use crate::error::SourceError;
use crate::sources::Reader;

/// Rows are counted up to here.
const MOST_COUNTED: u32 = 1_000_000;

pub(super) async fn read(reader: &mut Reader) -> Result<Catalogue, SourceError> {
    let mut tables = Tables::new();
    let sql = "select name, type from sqlite_schema where type in ('table', 'view') and name not like 'sqlite\\_%' escape '\\'";
    for row in reader.texts(sql).await? {
        let name = text(&row, 0);
        let table = Table { name: name.clone(), is_view: text(&row, 1) == "view", readable: true, ..Table::default() };
        tables.insert((None, name), table);
    }
    for table in tables.values_mut() {
        // A view over a table that is gone has no columns to tell.
        table.readable = fill(reader, table).await.is_ok();
    }
    Ok(Catalogue { dialect: Dialect::Sqlite, tables: tables.into_values().collect(), time_zone: None, settings: Vec::new() })
}

async fn fill(reader: &mut Reader, table: &mut Table) -> Result<(), SourceError> {
    let name = Dialect::Sqlite.text(&table.name);
    let columns = format!("select name, type, cast(\"notnull\" as text), cast(pk as text) from pragma_table_info({name}) order by cid");
    let mut key: Vec<(u32, String)> = Vec::new();
    for row in reader.texts(&columns).await? {
        let place = text(&row, 3).parse::<u32>().unwrap_or_default();
        if place > 0 {
            key.push((place, text(&row, 0)));
        }
        table.columns.push(column(text(&row, 0), text(&row, 1), text(&row, 2) == "0" && place == 0));
    }
    key.sort();
    table.primary_key = key.into_iter().map(|(_, name)| name).collect();
    let keys = format!(
        "select \"from\", \"table\", \"to\" from pragma_foreign_key_list({name}) f
         where (select count(*) from pragma_foreign_key_list({name}) g where g.id = f.id) = 1"
    );
    for row in reader.texts(&keys).await? {
        let references = row.get(2).cloned().flatten();
        table.foreign_keys.push(ForeignKey { column: text(&row, 0), table: (None, text(&row, 1)), references });
    }
    let unique = format!(
        "select i.name, c.name from pragma_index_list({name}) i join pragma_index_info(i.name) c
         where i.\"unique\" = 1 and not i.partial and c.name is not null order by i.seq, c.seqno"
    );
    let mut last = String::new();
    for row in reader.texts(&unique).await? {
        if text(&row, 0) != last {
            last = text(&row, 0);
            table.unique.push(Vec::new());
        }
        if let Some(columns) = table.unique.last_mut() {
            columns.push(text(&row, 1));
        }
    }
    let count = format!("select cast(count(*) as text) from (select 1 from {} limit {MOST_COUNTED})", Dialect::Sqlite.table(table));
    table.rows = reader.texts(&count).await?.first().and_then(|row| text(row, 0).parse().ok());
    Ok(())
}
