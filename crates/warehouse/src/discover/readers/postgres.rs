//! PostgreSQL's catalogue, by its system tables: they show every table, readable or not, and cost nothing.

use super::{SEPARATOR, Tables, column, text};
use crate::discover::catalogue::{Catalogue, Dialect, ForeignKey, Table};
use crate::error::SourceError;
use crate::sources::Reader;

const TABLES: &str = "
select n.nspname::text, c.relname::text, (c.relkind in ('v', 'm'))::text,
       (has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select'))::text,
       case when c.reltuples >= 0 and c.relkind <> 'v' then c.reltuples::bigint::text end,
       (n.nspname = any (current_schemas(false)))::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
order by 1, 2";

const COLUMNS: &str = "
select n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
       (select string_agg(e.enumlabel::text, chr(31) order by e.enumsortorder) from pg_enum e where e.enumtypid = a.atttypid)
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'
order by c.oid, a.attnum";

const KEYS: &str = "
select n.nspname::text, c.relname::text, k.contype::text, own.names, fn.nspname::text, f.relname::text, other.names
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_class f on f.oid = k.confrelid left join pg_namespace fn on fn.oid = f.relnamespace
cross join lateral (
    select string_agg(a.attname::text, chr(31) order by p.place) as names
    from unnest(k.conkey) with ordinality p (number, place) join pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.number) own
cross join lateral (
    select string_agg(a.attname::text, chr(31) order by p.place) as names
    from unnest(k.confkey) with ordinality p (number, place) join pg_attribute a on a.attrelid = k.confrelid and a.attnum = p.number) other
where k.contype in ('p', 'u', 'f') and n.nspname not in ('pg_catalog', 'information_schema')
order by c.oid, k.oid";

/// The session's own zone is ours. A zone set for the database counts; else the server's, which its log shares.
const TIME_ZONE: &str = "
select coalesce(
    (select split_part(c, '=', 2) from pg_db_role_setting s cross join unnest(s.setconfig) c
     where s.setrole = 0 and s.setdatabase = (select oid from pg_database where datname = current_database()) and lower(c) like 'timezone=%' limit 1),
    current_setting('log_timezone'))";

pub(super) async fn read(reader: &mut Reader) -> Result<Catalogue, SourceError> {
    let mut tables = Tables::new();
    // A schema on the search path needs no name before its tables; the first table of a name wins.
    for row in reader.texts(TABLES).await? {
        let table = Table {
            schema: (text(&row, 5) != "true").then(|| text(&row, 0)),
            name: text(&row, 1),
            is_view: text(&row, 2) == "true",
            readable: text(&row, 3) == "true",
            rows: text(&row, 4).parse().ok(),
            ..Table::default()
        };
        tables.insert((Some(text(&row, 0)), text(&row, 1)), table);
    }
    for row in reader.texts(COLUMNS).await? {
        let Some(table) = tables.get_mut(&(Some(text(&row, 0)), text(&row, 1))) else { continue };
        let mut found = column(text(&row, 2), text(&row, 3), text(&row, 4) != "true");
        found.values = row.get(5).cloned().flatten().map(|labels| labels.split(SEPARATOR).map(str::to_owned).collect()).unwrap_or_default();
        table.columns.push(found);
    }
    let shown = |schema: &str, name: &str, tables: &Tables| {
        tables.get(&(Some(schema.to_owned()), name.to_owned())).map(|table| (table.schema.clone(), table.name.clone()))
    };
    for row in reader.texts(KEYS).await? {
        let columns: Vec<String> = text(&row, 3).split(SEPARATOR).map(str::to_owned).collect();
        let target = shown(&text(&row, 4), &text(&row, 5), &tables);
        let Some(table) = tables.get_mut(&(Some(text(&row, 0)), text(&row, 1))) else { continue };
        match (text(&row, 2).as_str(), columns.as_slice(), target) {
            ("p", ..) => table.primary_key = columns,
            ("u", ..) => table.unique.push(columns),
            ("f", [only], Some(target)) => {
                table.foreign_keys.push(ForeignKey { column: only.clone(), table: target, references: Some(text(&row, 6)) });
            }
            _ => {}
        }
    }
    let zone = reader.texts(TIME_ZONE).await?;
    let time_zone = zone.first().map(|row| text(row, 0));
    Ok(Catalogue { dialect: Dialect::Postgres, tables: tables.into_values().collect(), time_zone, settings: Vec::new() })
}
