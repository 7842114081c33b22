//! SQL in the source's own dialect: names quoted where they must be, and queries laid out so that a person can go on
//! with them.

use std::fmt::Write as _;

use super::catalogue::{Column, Dialect, Family, Table};

/// Words that one of the three databases does not take for a name, of those that shops use as one.
const RESERVED: [&str; 46] = [
    "all",
    "and",
    "any",
    "as",
    "asc",
    "by",
    "case",
    "check",
    "column",
    "condition",
    "cross",
    "current_date",
    "default",
    "desc",
    "end",
    "for",
    "from",
    "group",
    "groups",
    "having",
    "in",
    "index",
    "is",
    "join",
    "key",
    "keys",
    "lead",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "option",
    "or",
    "order",
    "primary",
    "rank",
    "range",
    "references",
    "select",
    "system",
    "table",
    "to",
    "union",
    "user",
    "when",
];

impl Dialect {
    /// A name as this dialect writes it.
    pub(super) fn name(self, name: &str) -> String {
        let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
            && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && !RESERVED.contains(&name.to_lowercase().as_str())
            // PostgreSQL reads an unquoted name as lower case.
            && (self != Self::Postgres || name.to_lowercase() == name);
        match self {
            _ if plain => name.to_owned(),
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
        }
    }

    /// A table's name.
    pub(super) fn table(self, table: &Table) -> String {
        match &table.schema {
            Some(schema) => format!("{}.{}", self.name(schema), self.name(&table.name)),
            None => self.name(&table.name),
        }
    }

    /// `alias.column`.
    pub(super) fn column(self, alias: &str, column: &str) -> String {
        format!("{alias}.{}", self.name(column))
    }

    /// A text constant.
    pub(super) fn text(self, text: &str) -> String {
        let text = text.replace('\'', "''");
        // MySQL takes a backslash for an escape.
        format!("'{}'", if self == Self::Mysql { text.replace('\\', "\\\\") } else { text })
    }

    /// An expression as text.
    pub(super) fn as_text(self, expression: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("cast({expression} as text)"),
            Self::Mysql => format!("cast({expression} as char)"),
        }
    }

    /// Texts in a row.
    pub(super) fn concat(self, parts: &[String]) -> String {
        match self {
            Self::Sqlite | Self::Postgres => parts.join(" || "),
            Self::Mysql => format!("concat({})", parts.join(", ")),
        }
    }

    /// A key in a form that the reader takes: numbers as they are, everything else as text that is hashed.
    pub(super) fn key(self, alias: &str, column: &Column) -> Key {
        let expression = self.column(alias, &column.name);
        match column.family {
            Family::Integer => Key { expression, is_text: false },
            Family::Decimal if column.type_name.to_lowercase().ends_with(",0)") => Key { expression, is_text: false },
            Family::Bytes => Key {
                expression: if self == Self::Postgres {
                    format!("encode({expression}, 'hex')")
                } else {
                    format!("lower(hex({expression}))")
                },
                is_text: true,
            },
            Family::Text => Key { expression, is_text: true },
            _ => Key { expression: self.as_text(&expression), is_text: true },
        }
    }

    /// Text out of a column: of a JSON document with one text a language, the English one or the first.
    pub(super) fn plain_text(self, alias: &str, column: &Column) -> String {
        let name = self.column(alias, &column.name);
        match (column.family, self) {
            (Family::Json, Self::Postgres) => {
                format!("coalesce({name} ->> 'en_US', (select t.value from jsonb_each_text({name}::jsonb) t order by t.key limit 1))")
            }
            (Family::Json, Self::Mysql) => format!("json_unquote(json_extract(json_extract({name}, '$.*'), '$[0]'))"),
            _ => name,
        }
    }
}

/// A key's expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) expression: String,
    pub(super) is_text: bool,
}

/// A query in parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) columns: Vec<(&'static str, String)>,
    pub(super) from: String,
    pub(super) joins: Vec<String>,
    pub(super) conditions: Vec<String>,
    /// A whole further query, for a row that no table has.
    pub(super) union: Option<String>,
}

impl Query {
    pub(super) fn write(&self) -> String {
        let aliased = |(name, expression): &(&'static str, String)| match expression.rsplit_once('.') {
            Some((_, last)) if last == *name && expression.split('.').count() == 2 => expression.clone(),
            _ => format!("{expression} as {name}"),
        };
        let columns: Vec<String> = self.columns.iter().map(aliased).collect();
        let mut sql = format!("select {}\nfrom {}", columns.join(",\n       "), self.from);
        for join in &self.joins {
            let _ = write!(sql, "\n{join}");
        }
        for (at, condition) in self.conditions.iter().enumerate() {
            let _ = write!(sql, "\n{} {condition}", if at == 0 { "where" } else { "  and" });
        }
        if let Some(union) = &self.union {
            let _ = write!(sql, "\nunion all\n{union}");
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_the_dialect_wants_it() {
        assert_eq!(Dialect::Postgres.name("orders"), "orders");
        assert_eq!(Dialect::Postgres.name("order"), "\"order\"");
        assert_eq!(Dialect::Postgres.name("OrderId"), "\"OrderId\"");
        assert_eq!(Dialect::Sqlite.name("OrderId"), "OrderId");
        assert_eq!(Dialect::Mysql.name("größe`"), "`größe```");
        assert_eq!(Dialect::Mysql.text("it's \\"), "'it''s \\\\'");
    }

    #[test]
    fn a_query_names_a_column_only_where_its_name_differs() {
        let query = Query {
            columns: vec![("sale_id", "l.id".into()), ("quantity", "l.quantity".into()), ("unit_price", "round(l.a / l.b, 2)".into())],
            from: "order_lines l".into(),
            joins: vec!["join orders o on o.id = l.order_id".into()],
            conditions: vec!["o.paid = 1".into(), "l.id > 0".into()],
            union: None,
        };
        assert_eq!(
            query.write(),
            "select l.id as sale_id,\n       l.quantity,\n       round(l.a / l.b, 2) as unit_price\nfrom order_lines l\n\
             join orders o on o.id = l.order_id\nwhere o.paid = 1\n  and l.id > 0"
        );
    }
}
