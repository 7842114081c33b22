//! Why no mapping can be proposed, with what was looked for and what was seen.

use std::fmt;

use super::catalogue::Catalogue;
use crate::error::SourceError;

/// More tables than these are not listed.
const MOST_LISTED: usize = 40;

/// A database cannot be looked at, or holds no sales that are recognised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// It cannot be reached or read.
    #[error("cannot look at the database")]
    Source(#[from] SourceError),
    /// The address is that of files.
    #[error("`init` looks at databases; map files by hand (docs/configuration.md shows how)")]
    NotADatabase,
    /// It holds nothing.
    #[error(
        "the database holds no tables that this user may see; check its name in the URL, and grant the user `select` on the shop's tables"
    )]
    Empty,
    /// It holds tables, but none for this user.
    #[error(
        "the database holds {0} tables, but this user may read none of them; grant it `select` on the shop's tables (docs/init.md shows how)"
    )]
    NoRights(usize),
    /// Nothing looks like sales.
    #[error(
        "no table looks like sales; looked for one with a reference to a table of products (by a foreign key or by a name like \
         `product_id`), with a quantity or a price, and with a time of its own or in the header of its order. The tables seen are:\n{0}\n\
         say which one it is with `--table transactions=TABLE`, or write the queries by hand (docs/configuration.md shows how)"
    )]
    NoSales(Seen),
    /// `--table` names no entity.
    #[error("`{0}` is no entity; say `--table ENTITY=TABLE` with one of transactions, products, categories, customers, promotions")]
    NoSuchEntity(String),
    /// `--table` names no table.
    #[error("there is no table `{table}`; the tables seen are:\n{seen}")]
    NoSuchTable {
        /// What was asked for.
        table: String,
        /// What there is.
        seen: Seen,
    },
    /// `--table` names a table that cannot hold the entity.
    #[error("`{table}` cannot be used for `{entity}`: {why}")]
    Unfit {
        /// The entity.
        entity: String,
        /// The table.
        table: String,
        /// Why not.
        why: String,
    },
    /// What a person said about the shop cannot be.
    #[error("`{value}` is no {what}")]
    WrongAnswer {
        /// What it was to be, with an example.
        what: String,
        /// What was said.
        value: String,
    },
    /// A proposed query fails.
    #[error("the query proposed for `{entity}` fails:\n{sql}")]
    Query {
        /// The entity.
        entity: &'static str,
        /// The query.
        sql: String,
        /// Why.
        #[source]
        source: SourceError,
    },
}

/// The tables of a database, for a person to choose from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen(Vec<String>);

impl Seen {
    pub(super) fn of(catalogue: &Catalogue) -> Self {
        let line = |table: &super::catalogue::Table| {
            let columns: Vec<&str> = table.columns.iter().take(8).map(|column| column.name.as_str()).collect();
            let more = if table.columns.len() > 8 { ", ..." } else { "" };
            let note = if table.readable { "" } else { " (no right to read it)" };
            format!("{}{note}: {}{more}", table.full_name(), columns.join(", "))
        };
        Self(catalogue.tables.iter().map(line).collect())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = self.0.iter().take(MOST_LISTED).map(|line| format!("  {line}")).collect();
        f.write_str(&shown.join("\n"))?;
        match self.0.len().checked_sub(MOST_LISTED) {
            Some(more) if more > 0 => write!(f, "\n  and {more} more"),
            _ => Ok(()),
        }
    }
}
