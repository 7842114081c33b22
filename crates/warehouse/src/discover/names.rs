//! Where products and categories have their names: in their own table, or in one beside it that holds a row for each
//! language (`product_lang`, `category_translation`).

use super::catalogue::Column;
use super::draft::{Draft, is_text};
use super::scope::{Link, Scope};
use super::words::{LANGUAGE, NAME, TRANSLATIONS};

/// A column of names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'a> {
    Own(&'a Column, f64),
    /// The link from the table of translations, its name and its language.
    Translated(&'a Link, &'a Column, Option<&'a Column>),
}

/// The names of a table's rows, if it has any.
pub(super) fn names_of<'a>(scope: &'a Scope<'_>, at: usize) -> Option<Names<'a>> {
    if let Some((column, fit)) = scope.best(at, &NAME, is_text) {
        return Some(Names::Own(column, fit));
    }
    let translations = scope.links.iter().filter(|link| link.to == at && link.from != at && scope.table(link.from).readable);
    translations.filter(|link| scope.named(link.from, &TRANSLATIONS) >= 0.4).find_map(|link| {
        let (name, _) = scope.best(link.from, &NAME, is_text)?;
        let language = scope.best(link.from, &LANGUAGE, |column| column.name != link.column).map(|(column, _)| column);
        Some(Names::Translated(link, name, language))
    })
}

impl Names<'_> {
    /// Adds them to a query whose table is called `alias`.
    pub(super) fn add(&self, scope: &Scope<'_>, alias: &str, draft: &mut Draft) {
        match self {
            Self::Own(column, fit) => draft.add_text("name", alias, column, *fit),
            Self::Translated(link, name, language) => {
                let dialect = draft.dialect;
                let table = scope.table(link.from);
                let on = format!("{} = {}", dialect.column("t", &link.column), dialect.column(alias, &link.key));
                let first = language.unwrap_or(name);
                let expression = format!(
                    "(select {} from {} t where {on} order by {} limit 1)",
                    dialect.column("t", &name.name),
                    dialect.table(table),
                    dialect.column("t", &first.name)
                );
                draft.add("name", expression, 0.7, Some(format!("`{}` has one for each language; the first is taken", table.full_name())));
            }
        }
    }

    /// Is it this column of the table itself?
    pub(super) fn is(&self, column: &Column) -> bool {
        matches!(self, Self::Own(own, _) if own.name == column.name)
    }
}
