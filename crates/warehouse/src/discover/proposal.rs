//! What `init` proposes: for each entity a table, a query and the reasons for both, in words that a shop's people
//! understand; and what the database tells about the shop.

use serde::Serialize;

use super::catalogue::Dialect;

/// A mapping of the shop's tables, with its reasons.
#[derive(Clone, Debug, Serialize)]
pub struct Proposal {
    /// The kind of database.
    pub dialect: Dialect,
    /// The shop software, where its tables are known.
    pub platform: Option<&'static str>,
    /// What is to be known about the shop itself.
    pub shop: ShopGuess,
    /// In loading order.
    pub entities: Vec<EntityProposal>,
}

/// Currency, time zone and country as far as the database tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShopGuess {
    /// ISO 4217.
    pub currency: Guess,
    /// IANA name.
    pub time_zone: Guess,
    /// ISO 3166 alpha-2; empty for none.
    pub country: Guess,
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Guess {
    /// The value.
    pub value: String,
    /// Why this one.
    pub reason: String,
    /// Nothing told it: a person should look.
    pub is_default: bool,
}

/// One entity's query and its reasons.
#[derive(Clone, Debug, Serialize)]
pub struct EntityProposal {
    /// Name of the entity, such as `products`.
    pub entity: &'static str,
    /// The table it comes from.
    pub table: String,
    /// How sure the choice is, from 0 to 1.
    pub score: f64,
    /// Why, in plain words.
    pub reasons: Vec<String>,
    /// Each column of the query.
    pub columns: Vec<ColumnProposal>,
    /// The query in the source's own dialect.
    pub sql: String,
    /// The canonical column that grows with each change, if there is one.
    pub cursor: Option<&'static str>,
    /// Columns whose text becomes a number by a hash.
    pub text_keys: Vec<&'static str>,
    /// Other tables it may be, best first.
    pub alternatives: Vec<Alternative>,
    /// Its first rows, as text, personal data masked.
    pub sample: Option<Sample>,
}

/// One column of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnProposal {
    /// Canonical name.
    pub column: &'static str,
    /// What the query takes for it.
    pub from: String,
    /// How well the name fits, from 0 to 1.
    pub score: f64,
    /// Why, where it is more than the name.
    pub reason: Option<String>,
}

/// Another table that may hold an entity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alternative {
    /// The table.
    pub table: String,
    /// How sure the choice would be.
    pub score: f64,
}

/// Rows of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, `None` for null.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A table that is less likely than this share of the best one's score is not worth a word.
const WORTH_A_WORD: f64 = 0.7;
/// Another table counts as almost as good from this share of the best one's score on.
const CLOSE: f64 = 0.92;

impl EntityProposal {
    /// Other tables that are almost as likely: a person should choose.
    pub fn rivals(&self) -> impl Iterator<Item = &Alternative> {
        self.alternatives.iter().filter(|other| other.score >= CLOSE * self.score)
    }
}

/// Of candidates the one that was asked for or else the best, and the others.
pub(super) fn choose<T>(
    mut candidates: Vec<T>,
    pinned: Option<&str>,
    table: impl Fn(&T) -> String,
    score: impl Fn(&T) -> f64,
) -> Option<(T, Vec<Alternative>)> {
    candidates.sort_by(|left, right| score(right).total_cmp(&score(left)));
    let is_pinned = |candidate: &T| pinned.is_some_and(|pinned| is_named(&table(candidate), pinned));
    let at = if pinned.is_some() { candidates.iter().position(is_pinned)? } else { 0 };
    if candidates.is_empty() {
        return None;
    }
    let chosen = candidates.remove(at);
    let mut others: Vec<Alternative> = Vec::new();
    for other in &candidates {
        let (name, likely) = (table(other), score(other));
        let is_new = name != table(&chosen) && others.iter().all(|known| known.table != name);
        if pinned.is_none() && is_new && likely >= WORTH_A_WORD * score(&chosen) {
            others.push(Alternative { table: name, score: likely });
        }
    }
    Some((chosen, others))
}

/// Is it the table `asked`, with or without its schema?
pub(super) fn is_named(full_name: &str, asked: &str) -> bool {
    full_name.eq_ignore_ascii_case(asked) || full_name.rsplit('.').next().is_some_and(|name| name.eq_ignore_ascii_case(asked))
}
