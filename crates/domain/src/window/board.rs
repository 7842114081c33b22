//! All windows of a shop, or of the share of it that one worker has: tiles by product and by category, and where the
//! head of time stands.

use serde::Serialize;

use super::distinct::DistinctCustomers;
use super::fact::{EventTime, SaleFact};
use super::hash::IdMap;
use super::series::{Frontier, KeySeries};
use super::span::{TileWidth, WindowKey, WindowSpan};
use super::sums::Sums;
use super::tiles::Tile;
use crate::{CategoryId, ProductId};

/// Purchases that the sample of a product holds: exact below, 4 to 7 % standard error above.
const PRODUCT_SAMPLE: usize = 512;
/// The same for a category: 1.6 to 2.6 %.
const CATEGORY_SAMPLE: usize = 4096;

/// One window's values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WindowValue {
    /// Which window.
    pub span: WindowSpan,
    /// Where it begins, inclusive.
    pub start: EventTime,
    /// Where it ends, exclusive: the end of the tile in which its instant lies.
    pub end: EventTime,
    /// Quantity sold in thousandths, less returns.
    pub quantity_thousandths: i64,
    /// Amount in cents, less returns.
    pub amount_cents: i64,
    /// Lines of sales.
    pub transactions: i32,
    /// Amount by quantity, in units of the currency.
    pub average_unit_price: Option<f64>,
    /// Different customers.
    pub customers: DistinctCustomers,
}

/// The windows.
#[derive(Debug, Default)]
pub struct WindowBoard {
    products: IdMap<i64, Box<KeySeries>>,
    categories: IdMap<i64, Box<KeySeries>>,
    slack_minutes: u32,
    head: u32,
    expired_at: u32,
}

impl WindowBoard {
    /// Empty windows whose tiles are kept `slack_minutes` longer than the windows need, for sales that come late.
    pub fn new(slack_minutes: u32) -> Self {
        Self { slack_minutes, ..Self::default() }
    }

    /// The windows of a batch of sales with the categories of their products, ending at `head`: what a stream of the
    /// same sales comes to.
    pub fn of_batch(sales: impl IntoIterator<Item = (SaleFact, Option<CategoryId>)>, head: EventTime, slack_minutes: u32) -> Self {
        let mut board = Self::new(slack_minutes);
        board.advance(head);
        for (fact, category) in sales {
            if fact.occurred_at <= head {
                board.add(&fact, category);
            }
        }
        board
    }

    /// Moves the head of time; it never goes back.
    pub fn advance(&mut self, to: EventTime) {
        self.head = self.head.max(to.minute());
    }

    /// The minute in which the windows end.
    pub fn head(&self) -> EventTime {
        EventTime::try_from(i64::from(self.head) * 60).unwrap_or_default()
    }

    /// Sales before this instant are in no window any more.
    pub fn begins_at(&self) -> EventTime {
        EventTime::try_from(i64::from(self.frontier().first_hour) * 3600).unwrap_or_default()
    }

    /// Adds a sale. One that is later than the head moves it; one before [`WindowBoard::begins_at`] is nowhere.
    pub fn add(&mut self, fact: &SaleFact, category: Option<CategoryId>) {
        self.advance(fact.occurred_at);
        self.change(fact, category, fact.sums(), true);
    }

    /// Adds sales of one product in the order of their times, none after the head: [`WindowBoard::add`] for each of them, with
    /// one search for the product.
    pub(super) fn add_product(&mut self, sales: &[SaleFact], category: Option<CategoryId>) {
        let Some(first) = sales.first() else { return };
        let frontier = self.frontier();
        let product = self.products.entry(first.product.get()).or_default();
        product.make_room(sales.len().min(PRODUCT_SAMPLE));
        product.add_sales(sales, PRODUCT_SAMPLE, frontier);
        if let Some(category) = category {
            self.categories.entry(category.get()).or_default().add_sales(sales, CATEGORY_SAMPLE, frontier);
        }
    }

    /// Looks at the series of some products and categories, see [`super::SaleBook::look_ahead`]: first at all of them, then
    /// at their tiles.
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = (ProductId, Option<CategoryId>)>) -> u32 {
        let of_both = |(product, category): (ProductId, Option<CategoryId>)| {
            [Some(WindowKey::Product(product)), category.map(WindowKey::Category)].map(|key| self.series(key?))
        };
        let series: Vec<&KeySeries> = keys.flat_map(of_both).flatten().collect();
        let own = series.iter().fold(0, |seen, series| seen ^ series.own_lines());
        series.iter().fold(own, |seen, series| seen ^ series.newest_lines())
    }

    /// Takes a sale away that was added, with the same category.
    pub fn retract(&mut self, fact: &SaleFact, category: Option<CategoryId>) {
        self.change(fact, category, -fact.sums(), false);
    }

    /// Moves what a product has in the windows of one category to those of another. Of a product whose customers are a
    /// sample, those outside the sample stay where they were counted until they leave the windows.
    pub fn move_product(&mut self, product: ProductId, from: Option<CategoryId>, to: Option<CategoryId>) {
        let frontier = self.frontier();
        let Some(moving) = self.products.get(&product.get()) else { return };
        if let Some(series) = from.and_then(|category| self.categories.get_mut(&category.get())) {
            series.retract_all(moving, frontier);
        }
        if let Some(category) = to {
            self.categories.entry(category.get()).or_default().add_all(moving, CATEGORY_SAMPLE, frontier);
        }
    }

    /// The window of a key that ends now. A key without sales has one, with nothing in it.
    pub fn window(&self, key: WindowKey, span: WindowSpan) -> WindowValue {
        let series = self.series(key);
        let sums = series.map_or(Sums::NONE, |series| series.windows_at(self.head)[span as usize]);
        value(span, self.head, sums, series)
    }

    /// The window of a key that ends with the tile of `at`, or `None` when tiles of it are no longer kept.
    pub fn window_at(&self, key: WindowKey, span: WindowSpan, at: EventTime) -> Option<WindowValue> {
        let (first, _) = span.range(at.minute());
        if first < self.frontier().first(span.tile()) {
            return None;
        }
        let series = self.series(key);
        let sums = series.map_or(Sums::NONE, |series| series.window(span, at.minute()));
        Some(value(span, at.minute(), sums, series))
    }

    /// The tiles of a key that are not empty, in order.
    pub fn tiles(&self, key: WindowKey, width: TileWidth) -> &[Tile] {
        self.series(key).map_or(&[], |series| series.kept(width, self.frontier()))
    }

    /// What was sold under a key from an hour on.
    pub(super) fn sold_from_hour(&self, key: WindowKey, first: u32) -> Sums {
        self.series(key).map_or(Sums::NONE, |series| series.sold_from_hour(first))
    }

    /// The number of the oldest tile that is kept.
    pub fn oldest_tile(&self, width: TileWidth) -> u32 {
        self.frontier().first(width)
    }

    /// Every key that has sales, in no order.
    pub fn keys(&self) -> impl Iterator<Item = WindowKey> + '_ {
        let products = self.products.keys().map(|id| WindowKey::Product(ProductId::from(*id)));
        products.chain(self.categories.keys().map(|id| WindowKey::Category(CategoryId::from(*id))))
    }

    /// Drops what no window needs any more, once per hour of the head; cheap to call often. True when it did.
    pub fn expire(&mut self) -> bool {
        if self.head / 60 == self.expired_at / 60 {
            return false;
        }
        self.expired_at = self.head;
        let frontier = self.frontier();
        self.products.retain(|_, series| !series.expire(frontier));
        self.categories.retain(|_, series| !series.expire(frontier));
        true
    }

    /// Bytes of all windows, without the maps' spare room.
    pub fn bytes(&self) -> usize {
        let entry = size_of::<(i64, usize)>();
        self.products.values().chain(self.categories.values()).map(|series| series.bytes() + entry).sum()
    }

    fn change(&mut self, fact: &SaleFact, category: Option<CategoryId>, sums: Sums, adds: bool) {
        let frontier = self.frontier();
        let minute = fact.occurred_at.minute();
        if minute / 60 < frontier.first_hour {
            return;
        }
        let change = |series: &mut KeySeries, limit: usize| {
            series.add(minute, sums, frontier);
            if adds {
                series.add_customer(minute, fact.customer, limit, frontier);
            } else {
                series.retract_customer(minute, fact.customer);
            }
        };
        change(self.products.entry(fact.product.get()).or_default(), PRODUCT_SAMPLE);
        if let Some(category) = category {
            change(self.categories.entry(category.get()).or_default(), CATEGORY_SAMPLE);
        }
    }

    fn frontier(&self) -> Frontier {
        Frontier::at(self.head, self.slack_minutes)
    }

    fn series(&self, key: WindowKey) -> Option<&KeySeries> {
        match key {
            WindowKey::Product(id) => self.products.get(&id.get()),
            WindowKey::Category(id) => self.categories.get(&id.get()),
        }
        .map(Box::as_ref)
    }
}

fn value(span: WindowSpan, minute: u32, sums: Sums, series: Option<&KeySeries>) -> WindowValue {
    let (first, last) = span.range(minute);
    let start_of = |tile: u32| EventTime::try_from(i64::from(tile) * i64::from(span.tile().minutes()) * 60).unwrap_or_default();
    WindowValue {
        span,
        start: start_of(first),
        end: start_of(last + 1),
        quantity_thousandths: sums.quantity.thousandths(),
        amount_cents: sums.amount.cents(),
        transactions: sums.transactions,
        average_unit_price: sums.average_unit_price(),
        customers: series.map_or(DistinctCustomers { estimate: 0, standard_error: 0.0 }, |series| series.customers(span, minute)),
    }
}
