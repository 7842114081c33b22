//! The feature definitions, version 1: each has a name, one SQL expression and the words a seller reads when it
//! drives a forecast. They are the only place where a feature is defined; training, forecasting and the offline
//! store all read them from here.
//!
//! Levels build on each other: `Sales` aggregates a product's visible sales (`age` = days before as_of, from 1),
//! `Promotion` its announced promotions (`starts`, `ends`, `strength`, `kind`), `Week` its weeks (`week` = 1 for the
//! last), `Customer` its customers, `Derived` combines those columns with aggregates over category, department, brand or
//! shop ([`over`]), and `Place` ranks products by them. [`stages`] says which tables they read. `{as_of}` and
//! `{history_weeks}` stand for numbers.

mod customers;
mod place;
mod price;
mod promotions;
mod sales;
mod stages;

use std::fmt::Write as _;

use crate::calendar::CALENDAR_FEATURES;

pub(crate) use stages::{STAGES, StageForm};

/// Where an expression is evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// An aggregate over one product's sales visible at as_of.
    Sales,
    /// An aggregate over one product's promotions announced before as_of.
    Promotion,
    /// An aggregate over one product's last 26 weeks: `week`, `amount`, `quantity`, strengths `display` and `mailer`,
    /// `lift` (what these were worth), `steady` (its usual week) and `promoted`. Missing counts as 0.
    Week,
    /// An aggregate over one product's customers of the last 364 days: `purchases`, `amount`, `first_age`, `last_age`,
    /// `repurchase`. Missing counts as 0.
    Customer,
    /// An expression over the aggregates of a product and of what it shares with others: `[sum(amount_91d) of category_id]`.
    Derived,
    /// A window function over the aggregates of products: their places in the category.
    Place,
    /// A query of its own with the columns `product_id` and the feature's name (point-in-time by its own care).
    Query,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Column name.
    pub name: String,
    /// Where it is evaluated.
    pub kind: DefinitionKind,
    /// The expression.
    pub sql: String,
    /// Theme under which a driver is told to the seller (`recent sales`); the reasons of one theme are added up.
    /// [`PART`] for a column that only other definitions use.
    pub theme: &'static str,
}

/// Theme of a column that is no feature itself.
pub const PART: &str = "";

/// A version of the whole set.
#[derive(Clone, Debug)]
pub struct Definitions {
    version: String,
    features: Vec<Definition>,
}

impl Definitions {
    /// The current set. Its version changes with any change of a definition, because it is a digest of them.
    pub fn current() -> Self {
        let mut features = Vec::new();
        let mut add = |kind: DefinitionKind, theme: &'static str, name: &str, sql: String| {
            features.push(Definition { name: name.to_owned(), kind, sql, theme });
        };
        sales::add(&mut add);
        promotions::add(&mut add);
        price::add(&mut add);
        customers::add(&mut add);
        place::add(&mut add);
        Self::of(features)
    }

    /// A set of the given features, for trying out new ones. The names of the calendar's features count for the version, as
    /// a model is trained on both.
    pub fn of(features: Vec<Definition>) -> Self {
        let mut text = stages::STAGES.map(|stage| stage.sql).join("\n") + &CALENDAR_FEATURES.join("\n");
        for feature in &features {
            let _ = writeln!(text, "{} {:?} {}", feature.name, feature.kind, feature.sql);
        }
        Self { version: format!("v1-{}", &digest(&text)[..8]), features }
    }

    /// `v1-` and a digest of every definition.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All of them with their parts; features in column order.
    pub fn features(&self) -> &[Definition] {
        &self.features
    }

    /// Names of the features in column order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().filter(|feature| feature.theme != PART).map(|feature| feature.name.as_str())
    }

    pub(crate) fn of_kind(&self, kind: &DefinitionKind) -> impl Iterator<Item = &Definition> {
        self.features.iter().filter(move |feature| feature.kind == *kind)
    }
}

/// FNV-1a with 64 bits, as hex: stable over releases, which the standard library's hasher does not promise.
fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

type Add<'a> = dyn FnMut(DefinitionKind, &'static str, &str, String) + 'a;

/// `a / b`, missing where `b` is 0.
fn ratio(a: &str, b: &str) -> String {
    format!("({a}) / nullif({b}, 0.0)")
}

/// `week_1 + ... + week_n` of the columns of weekly sales.
fn weeks(from: u32, to: u32) -> String {
    (from..=to).map(|week| format!("week_{week}")).collect::<Vec<_>>().join(" + ")
}

/// The sum of a column over products that share `by`.
fn over(what: &str, by: &str) -> String {
    format!("[sum({what}) of {by}]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_the_version_follows_the_content() {
        let current = Definitions::current();
        let names: HashSet<_> = current.names().collect();
        assert_eq!(names.len(), current.names().count());
        let columns: HashSet<_> = current.features().iter().map(|feature| &feature.name).collect();
        assert_eq!(columns.len(), current.features().len());
        assert!(columns.len() > names.len(), "parts are no features");
        let mut changed = current.features().to_vec();
        changed[0].sql.push(' ');
        assert_ne!(Definitions::of(changed).version(), current.version());
        assert_eq!(Definitions::current().version(), current.version());
    }
}
