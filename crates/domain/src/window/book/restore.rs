//! Makes a book again from the journal of its changes, in any number of rows: first what is held, without windows, then
//! all windows at once from what is held at the end. The sales of a product then come one after the other, so that its
//! tiles are looked up once and not for each of them, and what was changed or deleted since is never added.

use std::collections::hash_map::Entry as Place;

use super::{Entry, Held, Home, SaleBook, StandingCounts, windowed};
use crate::window::fact::{EventTime, SaleFact, Version};
use crate::window::hash::mix;
use crate::{CategoryId, ProductId, SaleId};

/// Rows whose sales are sorted at a time: 128 MB for a while, and one way through all rows for each.
const BATCH: usize = 1 << 22;

/// A book that is being made again.
#[derive(Debug)]
pub struct BookRestore(SaleBook);

impl BookRestore {
    /// An empty one whose windows end at `head`; see [`SaleBook::new`] for `slack_minutes`.
    pub fn new(slack_minutes: u32, head: EventTime) -> Self {
        let mut book = SaleBook::new(slack_minutes);
        book.board.advance(head);
        Self(book)
    }

    /// Makes room. A map that grows while it is filled is copied again and again.
    pub fn expect(&mut self, rows: usize, homes: usize) {
        self.0.sales.reserve(rows);
        self.0.homes.reserve(homes);
    }

    /// A version of a row that was held once, as [`SaleBook::offer`] takes it.
    pub fn row(&mut self, sale: SaleId, version: Version, row: Held) {
        let book = &mut self.0;
        let mut entry = Entry::new(version, row);
        if entry.position < book.emptied_at {
            return;
        }
        let begins_at = book.board.begins_at();
        match book.sales.entry(sale.get()) {
            Place::Occupied(mut held) => {
                let held = held.get_mut();
                if entry.version() <= held.version() {
                    return;
                }
                entry = entry.after(held, begins_at);
                *held = entry;
            }
            Place::Vacant(_) if entry.at < begins_at => return,
            Place::Vacant(place) => {
                place.insert(entry);
            }
        }
        if entry.sale().is_some() {
            book.board.advance(entry.at);
        }
    }

    /// A sale was handed over to another book, see [`SaleBook::hand_over`].
    pub fn hand_over(&mut self, sale: SaleId) {
        if let Some(entry) = self.0.sales.get_mut(&sale.get()) {
            *entry = Entry::new(entry.version(), Held::Deleted(entry.at));
        }
    }

    /// Where a product was, see [`SaleBook::place`].
    pub fn place(&mut self, product: ProductId, category: Option<CategoryId>, version: Version) {
        let home = self.0.homes.entry(product.get()).or_default();
        if version > home.version {
            *home = Home { category, version };
        }
    }

    /// The table was emptied, see [`SaleBook::empty`].
    pub fn empty(&mut self, position: u64) {
        if position > self.0.emptied_at {
            self.0.emptied_at = position;
            self.0.sales.retain(|_, entry| entry.position >= position);
        }
    }

    /// The book with its windows. It goes on counting from `counts`.
    pub fn finish(self, counts: StandingCounts) -> SaleBook {
        let mut book = self.0;
        book.counts = counts;
        book.advance(book.board.head());
        let batches = 1 + (book.sales.len() / BATCH) as u64;
        let mut sales: Vec<SaleFact> = Vec::new();
        for batch in 0..batches {
            let is_in = |entry: &&Entry| mix(entry.product as u64) % batches == batch;
            sales.clear();
            sales.extend(book.sales.values().filter(is_in).filter_map(Entry::sale));
            sales.sort_unstable_by_key(|fact| (fact.product, fact.occurred_at));
            let of_products = sales.chunk_by(|fact, next| fact.product == next.product);
            let mut runs: Vec<(Option<CategoryId>, &[SaleFact])> =
                of_products.map(|run| (windowed(&book.homes, &book.groups, run[0].product), run)).collect();
            // Products of a category one after the other find its tiles where the processor still has them.
            runs.sort_unstable_by_key(|(category, _)| *category);
            for (category, run) in runs {
                book.board.add_product(run, category);
            }
        }
        book
    }
}
