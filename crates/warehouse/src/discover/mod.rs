//! From the URL of a shop's database to a mapping: the catalogue is read, the tables of sales, products, categories,
//! customers and promotions are found by names, keys and types, and each entity gets a query with its reasons.
//!
//! Everything between the catalogue and the proposal is pure; only the readers and the samples ask the database.

mod catalogue;
mod draft;
mod error;
mod goods;
mod names;
mod people;
mod platforms;
mod proposal;
mod readers;
mod sales;
mod sample;
mod scope;
mod shop;
#[cfg(test)]
mod small;
mod sql;
mod status;
mod words;

use std::path::Path;

use self::catalogue::Catalogue;
pub use self::catalogue::Dialect;
pub use self::error::{DiscoverError, Seen};
use self::proposal::choose;
pub use self::proposal::{Alternative, ColumnProposal, EntityProposal, Guess, Proposal, Sample, ShopGuess};
use self::sales::Sales;
use self::scope::Scope;
pub use self::shop::ShopAnswers;
use crate::sources::Reader;

/// What a person said, so that it need not be found out.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Entity and the table to take for it.
    pub tables: Vec<(String, String)>,
    /// About the shop.
    pub shop: ShopAnswers,
}

impl Answers {
    fn table(&self, entity: &str) -> Option<&str> {
        self.tables.iter().rev().find(|(named, _)| named == entity).map(|(_, table)| table.as_str())
    }
}

/// A database that has been looked at.
pub struct Discovery {
    reader: Reader,
    catalogue: Catalogue,
}

impl Discovery {
    /// Opens the database at `url` and reads its catalogue; a relative path counts from `base_dir`. Reading rights suffice.
    ///
    /// # Errors
    /// When it cannot be reached, is no database, holds no table or none that may be read.
    pub async fn open(url: &str, base_dir: &Path) -> Result<Self, DiscoverError> {
        let mut reader = Reader::open(url, base_dir).await?;
        let dialect = readers::dialect(&reader).ok_or(DiscoverError::NotADatabase)?;
        let catalogue = readers::read(&mut reader, dialect).await?;
        if catalogue.tables.is_empty() {
            return Err(DiscoverError::Empty);
        }
        if catalogue.tables.iter().all(|table| !table.readable) {
            return Err(DiscoverError::NoRights(catalogue.tables.len()));
        }
        Ok(Self { reader, catalogue })
    }

    /// A mapping of its tables, with five rows of each entity.
    ///
    /// # Errors
    /// When no table looks like sales, an answer names a table that cannot be used, or a proposed query fails.
    pub async fn propose(&mut self, answers: &Answers) -> Result<Proposal, DiscoverError> {
        let mut proposal = propose(&self.catalogue, answers)?;
        for entity in &mut proposal.entities {
            entity.sample = Some(sample::rows(&mut self.reader, self.catalogue.dialect, entity).await?);
        }
        Ok(proposal)
    }
}

/// The mapping that a catalogue suggests.
fn propose(catalogue: &Catalogue, answers: &Answers) -> Result<Proposal, DiscoverError> {
    answers.shop.check()?;
    for (entity, table) in &answers.tables {
        if !["transactions", "products", "categories", "customers", "promotions"].contains(&entity.as_str()) {
            return Err(DiscoverError::NoSuchEntity(entity.clone()));
        }
        if !catalogue.tables.iter().any(|known| proposal::is_named(&known.full_name(), table)) {
            return Err(DiscoverError::NoSuchTable { table: table.clone(), seen: Seen::of(catalogue) });
        }
    }
    let platform = platforms::recognise(catalogue);
    let whole = platform
        .as_ref()
        .filter(|_| answers.tables.is_empty())
        .and_then(|(platform, prefix)| platforms::mapping(catalogue, *platform, prefix));
    let entities = match whole {
        Some(entities) => entities,
        None => general(catalogue, answers, platform.as_ref().map(|(platform, _)| platform))?,
    };
    Ok(Proposal {
        dialect: catalogue.dialect,
        platform: platform.map(|(platform, _)| platform.name),
        shop: shop::guess(catalogue, &answers.shop),
        entities,
    })
}

fn general(catalogue: &Catalogue, answers: &Answers, platform: Option<&platforms::Platform>) -> Result<Vec<EntityProposal>, DiscoverError> {
    let scope = Scope::of(catalogue);
    let name = |at: usize| scope.table(at).full_name();
    let unfit = |entity: &str, why: &str| {
        let table = answers.table(entity).unwrap_or_default().to_owned();
        DiscoverError::Unfit { entity: entity.to_owned(), table, why: why.to_owned() }
    };
    let found = sales::candidates(&scope, answers.table("products"));
    if found.is_empty() {
        return Err(match answers.table("products") {
            Some(_) => unfit("products", "no table of sale lines refers to it"),
            None => DiscoverError::NoSales(Seen::of(catalogue)),
        });
    }
    let chosen = choose(found, answers.table("transactions"), |sales: &Sales| name(sales.line), |sales| sales.score);
    let Some((sales, other_sales)) = chosen else {
        return Err(unfit("transactions", "it lacks a reference to products, a quantity or a price, or a time"));
    };
    let products = sales.product.table();
    let category_table = |found: &goods::Categories| name(found.source.table(products));
    let candidates = goods::category_candidates(&scope, products);
    let chosen = choose(candidates, answers.table("categories"), category_table, |found| found.score);
    let Some((categories, other_categories)) = chosen else {
        return Err(unfit("categories", "nothing leads from the products to it"));
    };
    let mut entities = vec![
        goods::categories(&scope, products, &categories).finish(category_table(&categories), categories.score, other_categories),
        goods::products(&scope, &sales.product, &categories).finish(name(products), sales.score, Vec::new()),
    ];
    if let Some(link) = sales.customer.as_ref().and_then(|customer| customer.link.as_ref()) {
        entities.push(people::customers(&scope, link).finish(name(link.to), link.score, Vec::new()));
    }
    if let Some(asked) = answers.table("customers")
        && !entities.iter().any(|entity| entity.entity == "customers" && proposal::is_named(&entity.table, asked))
    {
        return Err(unfit("customers", "the sales do not refer to it, or to another one more clearly; change the two queries by hand"));
    }
    entities.push(sales::draft(&scope, &sales, platform).finish(name(sales.line), sales.score, other_sales));
    let candidates = people::promotion_candidates(&scope, products);
    let chosen = choose(candidates, answers.table("promotions"), |(link, _)| name(link.from), |(_, score)| *score);
    match chosen {
        Some(((link, score), others)) => entities.push(people::promotions(&scope, &link).finish(name(link.from), score, others)),
        None if answers.table("promotions").is_some() => return Err(unfit("promotions", "it lacks a product, a first or a last day")),
        None => {}
    }
    Ok(entities)
}

#[cfg(test)]
mod tests;
