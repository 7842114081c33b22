//! Windows against a batch over the same sales: whatever the order, however often, however much was taken back.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sellcast_domain::window::{
    BookRestore, EventTime, Held, Outcome, Quantity, SaleBook, SaleFact, Sums, TileWidth, Version, Watermark, WatermarkSettings,
    WindowBoard, WindowKey, WindowSpan, differing_tiles,
};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId, SaleId};

const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };
const SLACK_MINUTES: u32 = 70;
const START: i64 = 1_500_000_000;

fn at(seconds: i64) -> EventTime {
    EventTime::try_from(START + seconds).expect("a time")
}

fn fact(product: i64, customer: i64, quantity: i64, cents: i64, seconds: i64) -> SaleFact {
    SaleFact {
        product: ProductId::from(product),
        customer: SaleFact::customer_mark(CustomerId::from(customer)),
        occurred_at: at(seconds),
        quantity: Quantity::from_thousandths(quantity * 1000),
        amount: Money::from_cents(cents),
    }
}

/// A change of the shop's tables.
#[derive(Clone, Debug)]
enum Change {
    Sale { sale: i64, version: Version, row: Held },
    Product { product: i64, category: Option<i64>, version: Version },
}

/// What the shop's tables hold in the end, and the changes that led there with the second of each.
#[derive(Clone, Debug, Default)]
struct Shop {
    sales: BTreeMap<i64, SaleFact>,
    homes: BTreeMap<i64, Option<i64>>,
    changes: Vec<(i64, Change)>,
}

impl Shop {
    fn head(&self) -> EventTime {
        let times = self.changes.iter().filter_map(|(_, change)| match change {
            Change::Sale { row: Held::Sale(fact), .. } => Some(fact.occurred_at),
            _ => None,
        });
        times.max().unwrap_or_default()
    }

    fn batch(&self) -> WindowBoard {
        let category = |fact: &SaleFact| self.homes.get(&fact.product.get()).copied().flatten().map(CategoryId::from);
        WindowBoard::of_batch(self.sales.values().map(|fact| (*fact, category(fact))), self.head(), SLACK_MINUTES)
    }
}

/// A shop of six products in three categories whose rows are written, changed and deleted.
fn shop() -> impl Strategy<Value = Shop> {
    let step = (0..10_u8, any::<prop::sample::Index>(), 0..6_i64, 0..20_i64, -2..6_i64, -500..5_000_i64, 0..3_000_i64);
    // Some gaps are so long that all windows pass.
    prop::collection::vec((step, prop::bool::weighted(0.01)), 1..250).prop_map(|steps| {
        let mut shop = Shop::default();
        let (mut now, mut position) = (0, 0);
        for ((kind, which, product, customer, quantity, cents, pause), is_long) in steps {
            now += if is_long { pause * 300 } else { pause };
            position += 1;
            let known: Option<i64> =
                (!shop.sales.is_empty()).then(|| *shop.sales.keys().nth(which.index(shop.sales.len())).expect("a sale"));
            let change = match (kind, known) {
                (0, _) => {
                    let category = (cents % 4 != 0).then_some(customer % 3);
                    shop.homes.insert(product, category);
                    Change::Product { product, category, version: Version::written(position, 0) }
                }
                (1, Some(sale)) => {
                    let old = shop.sales.remove(&sale).expect("the sale");
                    Change::Sale { sale, version: Version::deleted(position, 0), row: Held::Deleted(old.occurred_at) }
                }
                (2 | 3, Some(sale)) => {
                    let row = SaleFact { occurred_at: shop.sales[&sale].occurred_at, ..fact(product, customer, quantity, cents, 0) };
                    shop.sales.insert(sale, row);
                    Change::Sale { sale, version: Version::written(position, 0), row: Held::Sale(row) }
                }
                _ => {
                    let row = fact(product, customer, quantity, cents, now);
                    shop.sales.insert(position as i64, row);
                    Change::Sale { sale: position as i64, version: Version::written(position, 0), row: Held::Sale(row) }
                }
            };
            shop.changes.push((now, change));
        }
        shop
    })
}

/// A reader of changes: the watermark judges, the book keeps.
struct Reader {
    book: SaleBook,
    watermark: Watermark,
}

impl Reader {
    fn new() -> Self {
        Self { book: SaleBook::new(SLACK_MINUTES), watermark: Watermark::default() }
    }

    fn read(&mut self, change: &Change, is_snapshot: bool) {
        match change {
            Change::Product { product, category, version } => {
                self.book.place(ProductId::from(*product), category.map(CategoryId::from), *version);
            }
            Change::Sale { sale, version, row } => {
                let when = match row {
                    Held::Sale(fact) => fact.occurred_at,
                    Held::Deleted(at) => *at,
                };
                let arrival = self.watermark.observe(when, is_snapshot, SETTINGS);
                self.book.offer(SaleId::from(*sale), *version, *row, arrival);
                self.book.advance(self.watermark.head());
            }
        }
    }

    /// Compares tiles, windows and customers with those of the batch.
    fn check(&mut self, shop: &Shop) {
        self.book.advance(shop.head());
        let (stream, batch) = (self.book.board(), shop.batch());
        assert_eq!(differing_tiles(stream, &batch), []);
        for key in batch.keys().chain(stream.keys()) {
            for span in WindowSpan::ALL {
                assert_eq!(stream.window(key, span), batch.window(key, span), "{key:?} {span}");
                assert_eq!(Some(stream.window(key, span)), stream.window_at(key, span, stream.head()), "{key:?} {span}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn windows_equal_a_batch_after_inserts_updates_deletes_and_moves(shop in shop()) {
        let mut reader = Reader::new();
        for (_, change) in &shop.changes {
            reader.read(change, false);
        }
        prop_assert_eq!(reader.book.counts().late, 0);
        reader.check(&shop);
    }

    #[test]
    fn any_order_within_the_bound_and_any_duplicates_give_the_same(
        (shop, jitter) in shop().prop_flat_map(|shop| {
            let size = shop.changes.len();
            (Just(shop), prop::collection::vec((0..=i64::from(SETTINGS.lateness_seconds), 0..3_usize), size))
        })
    ) {
        let mut deliveries: Vec<(i64, &Change)> = Vec::new();
        for ((now, change), (delay, repeats)) in shop.changes.iter().zip(&jitter) {
            deliveries.push((now + delay, change));
            // A duplicate may come whenever it likes: the sale is known or out of all windows by then.
            for repeat in 0..*repeats {
                deliveries.push((now + delay + 10_000 * repeat as i64, change));
            }
        }
        deliveries.sort_by_key(|(when, _)| *when);
        let mut reader = Reader::new();
        for (_, change) in deliveries {
            reader.read(change, false);
        }
        prop_assert_eq!(reader.book.counts().late, 0);
        reader.check(&shop);
    }

    #[test]
    fn a_second_snapshot_repairs_what_was_missed_and_changes_nothing_else(shop in shop(), missed in prop::collection::vec(any::<bool>(), 250)) {
        let mut reader = Reader::new();
        for ((_, change), is_missed) in shop.changes.iter().zip(&missed) {
            // A deletion that is missed cannot be told by a snapshot, which lacks the row.
            if !*is_missed || matches!(change, Change::Sale { row: Held::Deleted(_), .. }) {
                reader.read(change, false);
            }
        }
        for (product, category) in &shop.homes {
            reader.read(&Change::Product { product: *product, category: *category, version: Version::written(9_000, 0) }, true);
        }
        for (sale, row) in &shop.sales {
            reader.read(&Change::Sale { sale: *sale, version: Version::written(9_000, 0), row: Held::Sale(*row) }, true);
        }
        reader.check(&shop);
    }

    #[test]
    fn grouped_categories_have_the_windows_of_their_group(shop in shop(), when in any::<prop::sample::Index>()) {
        let groups = || [0, 1].map(|category| (CategoryId::from(category), CategoryId::from(100)));
        let mut reader = Reader::new();
        let begins_at = when.index(shop.changes.len());
        for (number, (_, change)) in shop.changes.iter().enumerate() {
            if number == begins_at {
                reader.book.regroup(groups());
            }
            reader.read(change, false);
        }
        let grouped = |home: &Option<i64>| home.map(|category| if category < 2 { 100 } else { category });
        reader.check(&Shop { homes: shop.homes.iter().map(|(product, home)| (*product, grouped(home))).collect(), ..shop.clone() });
        reader.book.regroup([]);
        reader.check(&shop);
    }

    #[test]
    fn what_was_sold_since_an_instant_is_a_batch_from_there(shop in shop(), back in 0..600_000_u32) {
        let mut reader = Reader::new();
        for (_, change) in &shop.changes {
            reader.read(change, false);
        }
        for since in [shop.head().earlier(back), EventTime::try_from(i64::from(shop.head().earlier(back).seconds() / 3600 * 3600)).expect("a time")] {
            let keys: Vec<WindowKey> = reader.book.board().keys().collect();
            let Some(sold) = reader.book.sold_since(&keys, since) else { continue };
            for (key, sold) in keys.iter().zip(sold) {
                let within = |fact: &&SaleFact| fact.occurred_at >= since && match key {
                    WindowKey::Product(product) => fact.product == *product,
                    WindowKey::Category(category) => shop.homes.get(&fact.product.get()).copied().flatten() == Some(category.get()),
                };
                let expected = shop.sales.values().filter(within).fold(Sums::NONE, |sum, fact| sum + fact.sums());
                prop_assert_eq!(sold, expected);
            }
        }
    }

    #[test]
    fn a_book_made_again_from_its_changes_has_the_same_windows_and_goes_on(shop in shop(), when in any::<prop::sample::Index>()) {
        let (before, after) = shop.changes.split_at(when.index(shop.changes.len()));
        let mut reader = Reader::new();
        for (_, change) in before {
            reader.read(change, false);
        }
        let mut restore = BookRestore::new(SLACK_MINUTES, reader.book.board().head());
        restore.expect(reader.book.len(), 6);
        for (_, change) in before {
            match change {
                Change::Product { product, category, version } => {
                    restore.place(ProductId::from(*product), category.map(CategoryId::from), *version);
                }
                Change::Sale { sale, version, row } => restore.row(SaleId::from(*sale), *version, *row),
            }
        }
        let mut again = Reader { book: restore.finish(reader.book.counts()), watermark: reader.watermark };
        prop_assert_eq!(again.book.counts(), reader.book.counts());
        prop_assert_eq!(differing_tiles(again.book.board(), reader.book.board()), []);
        for (_, change) in after {
            again.read(change, false);
        }
        again.check(&shop);
    }

    #[test]
    fn products_taken_by_another_book_leave_nothing_behind_and_are_whole_there(shop in shop()) {
        let mut reader = Reader::new();
        for (_, change) in &shop.changes {
            reader.read(change, false);
        }
        let mut other = SaleBook::new(SLACK_MINUTES);
        for product in 0..6 {
            let (category, version) = reader.book.home(ProductId::from(product));
            other.place(ProductId::from(product), category, version);
        }
        for (sale, version, row) in reader.book.take(|product| product.get() % 2 == 1) {
            prop_assert_eq!(other.offer(sale, version, Held::Sale(row), sellcast_domain::window::Arrival::InTime), Outcome::Applied);
        }
        let half = |odd| Shop { sales: shop.sales.iter().filter(|(_, fact)| (fact.product.get() % 2 == 1) == odd).map(|(sale, fact)| (*sale, *fact)).collect(), ..shop.clone() };
        reader.check(&half(false));
        Reader { book: other, watermark: reader.watermark }.check(&half(true));
    }
}

#[test]
fn a_sale_later_than_the_bound_is_counted_and_left_out_but_a_late_change_of_a_known_one_counts() {
    let mut reader = Reader::new();
    let read = |reader: &mut Reader, sale, position, row| {
        reader.read(&Change::Sale { sale, version: Version::written(position, 0), row: Held::Sale(row) }, false);
    };
    read(&mut reader, 1, 1, fact(1, 1, 1, 100, 0));
    read(&mut reader, 2, 2, fact(1, 1, 1, 100, 5_000));
    read(&mut reader, 3, 3, fact(1, 1, 1, 100, 100));
    read(&mut reader, 1, 4, fact(1, 1, 1, 700, 0));
    let counts = reader.book.counts();
    assert_eq!((counts.applied, counts.late), (3, 1));
    let week = reader.book.board().window(WindowKey::Product(ProductId::from(1)), WindowSpan::Week);
    assert_eq!((week.amount_cents, week.transactions), (800, 2));
}

#[test]
fn an_emptied_table_leaves_what_was_written_after() {
    let mut reader = Reader::new();
    for (sale, position) in [(1, 10), (2, 30)] {
        reader.read(
            &Change::Sale { sale, version: Version::written(position, 0), row: Held::Sale(fact(1, sale, 1, 100, position as i64)) },
            false,
        );
    }
    reader.book.empty(20);
    reader.read(&Change::Sale { sale: 3, version: Version::written(15, 0), row: Held::Sale(fact(1, 3, 1, 100, 15)) }, false);
    let day = reader.book.board().window(WindowKey::Product(ProductId::from(1)), WindowSpan::Day);
    assert_eq!((day.transactions, day.customers.estimate), (1, 1));
}

#[test]
fn a_wrong_tile_is_found_by_its_checksum() {
    let sales: Vec<_> = (0..500).map(|n| (fact(n % 7, n, 1, 100 + n, n * 600), Some(CategoryId::from(n % 2)))).collect();
    let head = sales.last().expect("sales").0.occurred_at;
    let batch = WindowBoard::of_batch(sales.clone(), head, SLACK_MINUTES);
    let mut other = WindowBoard::of_batch(sales.clone(), head, SLACK_MINUTES);
    assert_eq!(differing_tiles(&batch, &other), []);
    let (wrong, category) = sales[450];
    other.retract(&wrong, category);
    other.add(&SaleFact { amount: wrong.amount + Money::from_cents(1), ..wrong }, category);
    let found = differing_tiles(&batch, &other);
    let hour = wrong.occurred_at.seconds() / 3600;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|tile| tile.width == TileWidth::Hour && tile.number == hour), "{found:?}");
}

#[test]
fn a_window_slides_by_its_tile_and_past_ones_can_be_read_while_their_tiles_are_kept() {
    let mut board = WindowBoard::new(SLACK_MINUTES);
    let product = WindowKey::Product(ProductId::from(1));
    // START is 40 minutes past an hour.
    for minute in 0..200 {
        board.add(&fact(1, minute, 1, 100, minute * 60), None);
    }
    assert_eq!(board.window(product, WindowSpan::Hour).transactions, 60);
    assert_eq!(board.window(product, WindowSpan::SixHours).transactions, 200);
    assert_eq!(board.window_at(product, WindowSpan::Hour, at(150 * 60)).expect("kept").transactions, 60);
    assert_eq!(board.window_at(product, WindowSpan::Hour, at(10 * 60)), None);
    board.advance(at(200 * 60 + 30 * 60));
    assert_eq!(board.window(product, WindowSpan::Hour).transactions, 29);
    board.advance(at(10 * 24 * 3600));
    assert_eq!(board.window(product, WindowSpan::Week).transactions, 0);
    assert!(board.expire());
    assert_eq!(board.keys().count(), 0);
}

#[test]
fn a_product_with_a_sample_takes_its_customers_along_within_the_error_that_is_told() {
    let (product, [from, to]) = (ProductId::from(1), [1, 2].map(CategoryId::from));
    let mut sales: Vec<(SaleFact, Option<CategoryId>)> = (0..3_000).map(|n| (fact(1, n, 1, 100, n), Some(from))).collect();
    sales.extend((3_000..3_500).map(|n| (fact(2, n, 1, 100, n), Some(from))));
    sales.extend((4_000..4_500).map(|n| (fact(3, n, 1, 100, n), Some(to))));
    let mut board = WindowBoard::of_batch(sales, at(4_500), SLACK_MINUTES);
    let customers = |board: &WindowBoard, category| board.window(WindowKey::Category(category), WindowSpan::Week).customers;
    assert_eq!((customers(&board, from).estimate, customers(&board, from).standard_error), (3_500, 0.0));
    board.move_product(product, Some(from), Some(to));
    for (category, truth) in [(from, 500.0), (to, 3_500.0)] {
        let found = customers(&board, category);
        let error = (found.estimate as f64 - truth).abs();
        assert!(found.standard_error > 0.0 && error < 4.0 * found.standard_error, "{truth}: {found:?}");
    }
}
