//! A book that missed changes against the warehouse: what differs is found, told with its cause and repaired, once.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use sellcast_domain::window::{
    Arrival, BatchRow, BatchTile, CategoryHour, Comparison, Digests, EventTime, Held, Quantity, Repair, RepairCause, SaleBook, SaleFact,
    TileWidth, Version, WindowBoard, WindowKey,
};
use sellcast_domain::{CategoryId, Money, ProductId, SaleId};

const START: i64 = 1_500_000_000;
const SLACK_MINUTES: u32 = 70;

fn at(seconds: i64) -> EventTime {
    EventTime::try_from(START + seconds).expect("a time")
}

fn fact(product: i64, quantity: i64, cents: i64, seconds: i64) -> SaleFact {
    SaleFact {
        product: ProductId::from(product),
        customer: 7,
        occurred_at: at(seconds),
        quantity: Quantity::from_thousandths(quantity * 1000),
        amount: Money::from_cents(cents),
    }
}

fn batch(sales: &BTreeMap<i64, SaleFact>, homes: &BTreeMap<i64, i64>) -> Vec<BatchRow> {
    let category = |fact: &SaleFact| homes.get(&fact.product.get()).copied().map(CategoryId::from);
    sales.iter().map(|(sale, fact)| BatchRow { sale: SaleId::from(*sale), fact: *fact, category: category(fact) }).collect()
}

fn repair(book: &mut SaleBook, found: &Comparison) {
    for repair in &found.repairs {
        match *repair {
            Repair::Row { sale, version, row, .. } => drop(book.offer(sale, version, row, Arrival::InTime)),
            Repair::Home { product, category, version } => drop(book.place(product, category, version)),
        }
    }
}

fn nothing() -> (HashSet<SaleId>, HashSet<ProductId>) {
    Default::default()
}

/// What a warehouse with these rows tells in the two steps.
fn compare(
    book: &SaleBook,
    rows: &[BatchRow],
    range: [EventTime; 2],
    touched: &(HashSet<SaleId>, HashSet<ProductId>),
    is_late: impl Fn(SaleId) -> bool + Copy,
) -> Comparison {
    let digests = book.compare(&tiles(rows), range, touched, is_late);
    assert_eq!((digests.repairs.len(), digests.differing.len()), (0, 0), "digests have no rows");
    let Some(wanted) = &digests.wanted else { return digests };
    let found = book.compare(&wanted.tiles(rows.iter().copied().filter(|row| wanted.wants(row))), range, touched, is_late);
    assert_eq!(found.wanted, None);
    found
}

fn tiles(rows: &[BatchRow]) -> Vec<BatchTile> {
    let mut digests = Digests::default();
    rows.iter().for_each(|row| digests.add(row));
    digests.into_tiles()
}

fn held(book: &SaleBook) -> Vec<BatchRow> {
    let row = |(sale, _, row)| match row {
        Held::Sale(fact) => Some(BatchRow { sale, fact, category: book.home(fact.product).0 }),
        Held::Deleted(_) => None,
    };
    book.rows().filter_map(row).collect()
}

/// The tiles that are not the same on both sides, by the rows themselves.
fn unequal(book: &SaleBook, rows: &[BatchRow], [from, until]: [EventTime; 2]) -> Vec<CategoryHour> {
    let hours = from.seconds().div_ceil(3600)..until.seconds() / 3600;
    let mut sides: BTreeMap<CategoryHour, [BTreeMap<SaleId, BatchRow>; 2]> = BTreeMap::new();
    for (side, rows) in [held(book), rows.to_vec()].into_iter().enumerate() {
        for mut row in rows.into_iter().filter(|row| hours.contains(&row.place().hour)) {
            row.fact.customer = 0;
            sides.entry(row.place()).or_default()[side].insert(row.sale, row);
        }
    }
    sides.into_iter().filter(|(_, [ours, theirs])| ours != theirs).map(|(place, _)| place).collect()
}

proptest! {
    #[test]
    fn a_book_that_missed_changes_agrees_after_one_repair(
        steps in prop::collection::vec((0..10_u8, 0..60_i64, 0..6_i64, 1..5_i64, 1..5_000_i64, 0..9_000_i64, prop::bool::weighted(0.2)), 1..200),
    ) {
        let (mut sales, mut homes, mut book) = (BTreeMap::<i64, SaleFact>::new(), BTreeMap::new(), SaleBook::new(SLACK_MINUTES));
        let mut now = 0;
        for (place, (kind, sale, product, quantity, cents, pause, is_missed)) in steps.into_iter().enumerate() {
            now += pause;
            let position = place as u64 + 1;
            match kind {
                0 => {
                    homes.insert(product, quantity);
                    if !is_missed {
                        book.place(ProductId::from(product), Some(CategoryId::from(quantity)), Version::written(position, 0));
                    }
                }
                1 => {
                    if let Some(old) = sales.remove(&sale) && !is_missed {
                        book.offer(SaleId::from(sale), Version::deleted(position, 0), Held::Deleted(old.occurred_at), Arrival::InTime);
                    }
                }
                _ => {
                    let row = fact(product, quantity, cents, now);
                    sales.insert(sale, row);
                    if !is_missed {
                        book.offer(SaleId::from(sale), Version::written(position, 0), Held::Sale(row), Arrival::InTime);
                    }
                }
            }
        }
        book.advance(at(now + 3_600));
        let (from, until) = (book.board().begins_at(), at(now + 3_600));
        let rows = batch(&sales, &homes);
        let found = compare(&book, &rows, [from, until], &nothing(), |_| false);
        prop_assert!(!found.is_strange);
        // Exactly the tiles that differ are told, each with a cause, and what is repaired is in one of them.
        let expected = unequal(&book, &rows, [from, until]);
        prop_assert_eq!(found.differing.iter().map(|tile| tile.place).collect::<Vec<_>>(), expected.clone());
        for tile in &found.differing {
            prop_assert!(tile.causes.values().sum::<usize>() > 0, "{:?}", tile);
        }
        let before = held(&book);
        let of_sale = |rows: &[BatchRow], sale: SaleId| rows.iter().find(|row| row.sale == sale).map(BatchRow::place);
        for repair in &found.repairs {
            let is_in = |place: Option<CategoryHour>| place.is_some_and(|place| expected.contains(&place));
            match repair {
                Repair::Row { sale, .. } => prop_assert!(is_in(of_sale(&before, *sale)) || is_in(of_sale(&rows, *sale))),
                Repair::Home { product, .. } => {
                    let mut places = rows.iter().filter(|row| row.fact.product == *product).map(BatchRow::place);
                    prop_assert!(places.any(|place| expected.contains(&place)));
                }
            }
        }
        repair(&mut book, &found);
        prop_assert_eq!(unequal(&book, &rows, [from, until]), vec![]);
        let again = compare(&book, &rows, [from, until], &nothing(), |_| false);
        prop_assert_eq!(again.repairs, vec![]);
        prop_assert!(again.wanted.is_none() && again.differing.is_empty());
        let whole = WindowBoard::of_batch(rows.iter().map(|sale| (sale.fact, sale.category)), book.board().head(), SLACK_MINUTES);
        let last = until.seconds() / 3600;
        for key in whole.keys().chain(book.board().keys()) {
            let tiles = |board: &WindowBoard| board.tiles(key, TileWidth::Hour).iter().copied().filter(|tile| tile.number < last).collect::<Vec<_>>();
            prop_assert_eq!(tiles(book.board()), tiles(&whole));
        }
    }
}

/// A book of five sales in five hours, and a warehouse that says otherwise of four of them.
fn differing() -> (SaleBook, Vec<BatchRow>) {
    let mut book = SaleBook::new(SLACK_MINUTES);
    let homes = BTreeMap::from([(1, 10), (2, 20)]);
    for product in [1, 2] {
        book.place(ProductId::from(product), Some(CategoryId::from(10 * product)), Version::written(1, 0));
    }
    let mut sales: BTreeMap<i64, SaleFact> = (0..5).map(|hour| (hour, fact(1 + hour % 2, 1, 100, hour * 3_600))).collect();
    for (sale, fact) in sales.iter().filter(|(sale, _)| **sale != 0) {
        book.offer(SaleId::from(*sale), Version::written(5, 0), Held::Sale(*fact), Arrival::InTime);
    }
    book.advance(at(9 * 3_600));
    sales.remove(&1);
    sales.insert(2, fact(1, 1, 250, 2 * 3_600));
    sales.insert(9, fact(2, 1, 70, 5 * 3_600));
    let mut rows = batch(&sales, &homes);
    for row in rows.iter_mut().filter(|row| row.fact.product == ProductId::from(2)) {
        row.category = Some(CategoryId::from(30));
    }
    (book, rows)
}

#[test]
fn each_difference_has_its_cause_and_a_later_event_outdoes_the_repair() {
    let (mut book, rows) = differing();
    let range = [book.board().begins_at(), at(9 * 3_600)];
    let found = compare(&book, &rows, range, &nothing(), |sale| sale == SaleId::from(9));
    let mut causes: Vec<(RepairCause, i64)> = found.repairs.iter().map(|repair| (repair.cause(), repair.product().get())).collect();
    causes.sort_unstable();
    let expected =
        [(RepairCause::Late, 2), (RepairCause::Missed, 1), (RepairCause::Retracted, 2), (RepairCause::Changed, 1), (RepairCause::Moved, 2)];
    assert_eq!(causes, expected, "{found:?}");
    repair(&mut book, &found);
    let week = |book: &SaleBook, category: i64| {
        book.board().window(WindowKey::Category(CategoryId::from(category)), sellcast_domain::window::WindowSpan::Week).amount_cents
    };
    assert_eq!((week(&book, 10), week(&book, 20), week(&book, 30)), (100 + 250 + 100, 0, 100 + 70));
    // What the source says later counts, also of rows that were repaired.
    for sale in [0, 1, 2, 9] {
        book.offer(SaleId::from(sale), Version::deleted(6, 0), Held::Deleted(at(0)), Arrival::InTime);
    }
    assert_eq!((week(&book, 10), week(&book, 30)), (100, 100));
}

#[test]
fn each_tile_that_differs_tells_its_causes_and_what_both_sides_have() {
    let (book, rows) = differing();
    let found = compare(&book, &rows, [book.board().begins_at(), at(9 * 3_600)], &nothing(), |sale| sale == SaleId::from(9));
    let hour_of = |tile: &CategoryHour| tile.hour - START as u32 / 3600;
    let told: Vec<_> = found
        .differing
        .iter()
        .map(|tile| {
            let causes: Vec<_> = tile.causes.iter().map(|(cause, rows)| (*cause, *rows)).collect();
            let amounts = [tile.stream, tile.warehouse].map(|sums| sums.amount.cents());
            (hour_of(&tile.place), tile.place.category.map_or(0, CategoryId::get), causes, amounts)
        })
        .collect();
    let expected = [
        (0, 10, vec![(RepairCause::Missed, 1)], [0, 100]),
        (1, 20, vec![(RepairCause::Retracted, 1)], [100, 0]),
        (2, 10, vec![(RepairCause::Changed, 1)], [100, 250]),
        (3, 20, vec![(RepairCause::Moved, 1)], [100, 0]),
        (3, 30, vec![(RepairCause::Moved, 1)], [0, 100]),
        (5, 30, vec![(RepairCause::Late, 1), (RepairCause::Moved, 1)], [0, 70]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn errors_that_cancel_out_in_the_sums_are_found() {
    let mut book = SaleBook::new(SLACK_MINUTES);
    for (sale, cents) in [(1, 100), (2, 200)] {
        book.offer(SaleId::from(sale), Version::written(5, 0), Held::Sale(fact(1, 1, cents, 60)), Arrival::InTime);
    }
    book.advance(at(9 * 3_600));
    let range = [book.board().begins_at(), at(9 * 3_600)];
    let sales = BTreeMap::from([(1, fact(1, 1, 160, 60)), (2, fact(1, 1, 140, 60))]);
    let rows = batch(&sales, &BTreeMap::new());
    let found = compare(&book, &rows, range, &nothing(), |_| false);
    assert_eq!(found.differing.len(), 1, "{found:?}");
    assert_eq!(found.differing[0].stream, found.differing[0].warehouse);
    assert_eq!(found.differing[0].causes, BTreeMap::from([(RepairCause::Changed, 2)]));
    repair(&mut book, &found);
    assert!(compare(&book, &rows, range, &nothing(), |_| false).wanted.is_none());
}

#[test]
fn a_product_that_the_stream_moved_between_the_two_steps_keeps_its_sales() {
    let (mut book, rows) = differing();
    let range = [book.board().begins_at(), at(9 * 3_600)];
    let wanted = book.compare(&tiles(&rows), range, &nothing(), |_| false).wanted.expect("tiles that differ");
    // Its sales come to a category whose hours are compared; the warehouse's are elsewhere and were not asked for.
    book.place(ProductId::from(3), Some(CategoryId::from(10)), Version::written(7, 0));
    book.offer(SaleId::from(50), Version::written(2, 0), Held::Sale(fact(3, 1, 100, 0)), Arrival::InTime);
    let touched = (HashSet::new(), HashSet::from([ProductId::from(3)]));
    let of_wanted = wanted.tiles(rows.iter().copied().filter(|row| wanted.wants(row)));
    let found = book.compare(&of_wanted, range, &touched, |_| false);
    assert_eq!(found.left_alone, 1, "{found:?}");
    let is_it = |repair: &Repair| matches!(repair, Repair::Row { sale, .. } if *sale == SaleId::from(50));
    assert!(!found.repairs.iter().any(is_it), "{found:?}");
}

#[test]
fn what_the_stream_changed_meanwhile_is_left_alone() {
    let (book, rows) = differing();
    let touched = (HashSet::from([1, 2].map(SaleId::from)), HashSet::from([ProductId::from(2)]));
    let found = compare(&book, &rows, [book.board().begins_at(), at(9 * 3_600)], &touched, |_| false);
    assert_eq!((found.repairs.len(), found.left_alone), (2, 3), "{found:?}");
}

#[test]
fn a_sale_that_was_moved_out_of_the_compared_hours_has_changed_and_is_not_gone() {
    let (mut book, mut rows) = differing();
    let moved = rows.iter_mut().find(|row| row.sale == SaleId::from(4)).expect("the sale");
    moved.fact = fact(1, 1, 100, 8 * 3_600 + 60);
    let found = compare(&book, &rows, [book.board().begins_at(), at(8 * 3_600)], &nothing(), |_| false);
    let causes: Vec<RepairCause> = found
        .repairs
        .iter()
        .filter(|repair| matches!(repair, Repair::Row { sale, .. } if *sale == SaleId::from(4)))
        .map(Repair::cause)
        .collect();
    assert_eq!(causes, [RepairCause::Changed], "{found:?}");
    repair(&mut book, &found);
    let hours: Vec<u32> =
        book.board().tiles(WindowKey::Product(ProductId::from(1)), TileWidth::Hour).iter().map(|tile| tile.number).collect();
    assert!(hours.contains(&(at(8 * 3_600 + 60).seconds() / 3600)) && !hours.contains(&(at(4 * 3_600).seconds() / 3600)), "{hours:?}");
}

#[test]
fn a_warehouse_of_another_shop_is_not_taken_for_the_truth() {
    let mut book = SaleBook::new(SLACK_MINUTES);
    for sale in 0..300 {
        book.offer(SaleId::from(sale), Version::written(5, 0), Held::Sale(fact(1, 1, 100, sale)), Arrival::InTime);
    }
    book.advance(at(9 * 3_600));
    let sales: BTreeMap<i64, SaleFact> = (1_000..1_300).map(|sale| (sale, fact(2, 1, 100, sale))).collect();
    let found = compare(&book, &batch(&sales, &BTreeMap::new()), [book.board().begins_at(), at(9 * 3_600)], &nothing(), |_| false);
    assert!(found.is_strange);
}
