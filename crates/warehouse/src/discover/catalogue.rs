//! What a database says about itself: tables, columns, keys, sizes. Plain data that the readers fill and the proposal is
//! made from, so that everything between the two runs without a database.

use serde::Serialize;

/// The kind of database, and so the dialect of the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// A database's tables and views.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    pub(crate) dialect: Dialect,
    pub(crate) tables: Vec<Table>,
    /// The time zone that the database is set to, if it has one.
    pub(crate) time_zone: Option<String>,
    /// Settings of the shop software, by their names there.
    pub(crate) settings: Vec<(String, String)>,
}

/// A table or a view.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Left out where the name alone finds the table.
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) is_view: bool,
    /// May the user read it?
    pub(crate) readable: bool,
    /// An estimate; `None` where the database has none.
    pub(crate) rows: Option<u64>,
    pub(crate) columns: Vec<Column>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    /// Columns of each unique index.
    pub(crate) unique: Vec<Vec<String>>,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The type as the database writes it.
    pub(crate) type_name: String,
    pub(crate) family: Family,
    pub(crate) nullable: bool,
    /// A few values, as text.
    pub(crate) sample: Vec<String>,
    /// The values that occur, the most frequent first; only of columns that look like a status or a currency.
    pub(crate) values: Vec<String>,
}

/// A foreign key of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignKey {
    pub(crate) column: String,
    /// Schema and name of the other table.
    pub(crate) table: (Option<String>, String),
    /// The column referred to; `None` for the other table's key.
    pub(crate) references: Option<String>,
}

/// What a type holds, whatever the database calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Integer,
    Decimal,
    Text,
    Json,
    Time,
    Day,
    Uuid,
    Bytes,
    Other,
}

impl Catalogue {
    /// A setting of the shop software, unless it is empty.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }
}

impl Family {
    /// The family of a type by its name in any of the three databases.
    pub(crate) fn of(type_name: &str) -> Self {
        let name = type_name.to_lowercase();
        let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
        if name == "tinyint(1)" || begins(&["bool", "bit", "interval", "point", "tsvector", "_", "array"]) || name.ends_with("[]") {
            Self::Other
        } else if begins(&["int", "bigint", "smallint", "tinyint", "mediumint", "serial", "bigserial", "year", "oid", "unsigned"]) {
            Self::Integer
        } else if begins(&["num", "dec", "double", "float", "real", "money"]) {
            Self::Decimal
        } else if begins(&["timestamp", "datetime"]) {
            Self::Time
        } else if name == "date" {
            Self::Day
        } else if begins(&["json"]) {
            Self::Json
        } else if name == "uuid" {
            Self::Uuid
        } else if begins(&["blob", "bytea", "binary", "varbinary", "longblob", "tinyblob", "mediumblob"]) {
            Self::Bytes
        } else if begins(&[
            "char",
            "varchar",
            "text",
            "clob",
            "tinytext",
            "mediumtext",
            "longtext",
            "enum",
            "nchar",
            "nvarchar",
            "citext",
            "set(",
        ]) {
            Self::Text
        } else {
            Self::Other
        }
    }

    /// Can a column of this family refer to a key of that one?
    pub(crate) fn may_refer_to(self, key: Self) -> bool {
        let text_like = |family| matches!(family, Self::Text | Self::Uuid | Self::Bytes);
        let number_like = |family| matches!(family, Self::Integer | Self::Decimal);
        (number_like(self) && number_like(key)) || (text_like(self) && text_like(key))
    }
}

impl Table {
    /// `schema.name`, or the name alone.
    pub(crate) fn full_name(&self) -> String {
        self.schema.as_ref().map_or_else(|| self.name.clone(), |schema| format!("{schema}.{}", self.name))
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The one column that tells rows apart: the primary key, a unique index, or a column that is named like one.
    pub(crate) fn key(&self) -> Option<&Column> {
        let single = |columns: &Vec<String>| if let [only] = columns.as_slice() { self.column(only) } else { None };
        if !self.primary_key.is_empty() {
            return single(&self.primary_key);
        }
        self.unique.iter().find_map(single).or_else(|| self.columns.iter().find(|column| column.name.eq_ignore_ascii_case("id")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_three_databases_fall_into_one_set_of_families() {
        for (type_name, family) in [
            ("bigint(20) unsigned", Family::Integer),
            ("INTEGER", Family::Integer),
            ("numeric(10,2)", Family::Decimal),
            ("double precision", Family::Decimal),
            ("character varying(255)", Family::Text),
            ("enum('a','b')", Family::Text),
            ("timestamp without time zone", Family::Time),
            ("datetime", Family::Time),
            ("date", Family::Day),
            ("jsonb", Family::Json),
            ("binary(16)", Family::Bytes),
            ("interval", Family::Other),
            ("tinyint(1)", Family::Other),
            ("integer[]", Family::Other),
        ] {
            assert_eq!(Family::of(type_name), family, "{type_name}");
        }
    }
}
