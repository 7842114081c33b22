//! The embedded pipeline: state that survives, dead letters that come back.

use sellcast_domain::ProductId;
use sellcast_domain::window::{EventTime, WatermarkSettings, WindowKey, WindowSpan};
use sellcast_stream::{Decoder, Pipeline, ProductColumns, SaleColumns, StateError};
use sellcast_testkit::TestDir;

use crate::shop::{Sale, Tables, assert_same, time};

const SETTINGS: WatermarkSettings = WatermarkSettings { lateness_seconds: 600, idle_seconds: 60 };

struct Source {
    sales: Decoder,
    products: Decoder,
}

impl Source {
    fn new() -> Self {
        Self { sales: Decoder::sales(&SaleColumns::default()), products: Decoder::products(&ProductColumns::default()) }
    }

    fn read(&self, pipeline: &mut Pipeline, events: &[(bool, Vec<u8>)]) {
        for (position, (is_product, bytes)) in events.iter().enumerate() {
            let decoder = if *is_product { &self.products } else { &self.sales };
            pipeline.read("changes", position as i64, decoder.decode(bytes), || bytes.clone());
        }
    }
}

/// Some thousand changes, with updates, deletions and moves among them.
fn changes(tables: &mut Tables) -> Vec<(bool, Vec<u8>)> {
    let mut events = Vec::new();
    for n in 0..3_000_i64 {
        let sale = Sale { product: n % 13, customer: n % 57, quantity: n % 5 - 1, cents: n * 7 % 1_000 - 50, seconds: n * 40 };
        events.push((false, tables.write(n, sale)));
        match n % 11 {
            3 => events.push((false, tables.delete(n - 2))),
            5 => events.push((false, tables.write(n - 3, Sale { quantity: 9, cents: 999, ..tables.sales[&(n - 3)] }))),
            7 => events.push((true, tables.place(n % 13, n % 4))),
            _ => {}
        }
    }
    events
}

#[test]
fn windows_are_the_same_after_a_crash_at_any_event() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let mut tables = Tables::default();
    let events = changes(&mut tables);
    let source = Source::new();
    for (crash, saved_at) in [(1, 0), (700, 500), (2_500, 2_499), (3_500, 3_500)] {
        let path = dir.join(format!("{crash}.redb"));
        let mut pipeline = Pipeline::open(&path, SETTINGS)?;
        source.read(&mut pipeline, &events[..saved_at]);
        pipeline.save()?;
        source.read(&mut pipeline, &events[..crash]);
        // What came after the save is lost with the process.
        drop(pipeline);
        let mut pipeline = Pipeline::open(&path, SETTINGS)?;
        assert_eq!(pipeline.position("changes"), saved_at as i64);
        source.read(&mut pipeline, &events);
        assert_same(pipeline.book().board(), &tables.batch(tables.head()));
        pipeline.save()?;
        let counts = pipeline.book().counts();
        drop(pipeline);
        let pipeline = Pipeline::open(&path, SETTINGS)?;
        assert_same(pipeline.book().board(), &tables.batch(tables.head()));
        assert_eq!(pipeline.book().counts(), counts);
        assert_eq!(pipeline.counts("changes").poison, 0);
    }
    Ok(())
}

#[test]
fn events_in_bunches_mean_what_they_mean_one_by_one() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let (mut tables, source) = (Tables::default(), Source::new());
    let mut events = changes(&mut tables);
    events.insert(40, (false, b"{".to_vec()));
    let decode = |(is_product, bytes): &(bool, Vec<u8>)| if *is_product { &source.products } else { &source.sales }.decode(bytes);
    let mut pipeline = Pipeline::open(&dir.join("stream.redb"), SETTINGS)?;
    // The second time finds all of it known.
    for _ in 0..2 {
        pipeline.read_all("changes", (0..).zip(events.iter().map(decode)), |n| events[n].1.clone());
        assert_same(pipeline.book().board(), &tables.batch(tables.head()));
        assert_eq!(pipeline.position("changes"), events.len() as i64);
    }
    pipeline.save()?;
    let dead = pipeline.state().dead_letters()?;
    assert_eq!(dead.iter().map(|(_, letter)| (letter.position, letter.payload.as_slice())).collect::<Vec<_>>(), [(40, b"{".as_slice())]);
    Ok(())
}

#[test]
fn all_events_twice_and_two_snapshots_change_nothing() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let mut tables = Tables::default();
    let events = changes(&mut tables);
    let source = Source::new();
    let mut pipeline = Pipeline::open(&dir.join("state.redb"), SETTINGS)?;
    source.read(&mut pipeline, &events);
    for (name, again) in [("again", events.clone()), ("first", snapshot(&mut tables)), ("second", snapshot(&mut tables))] {
        for (position, (is_product, bytes)) in again.iter().enumerate() {
            let decoder = if *is_product { &source.products } else { &source.sales };
            pipeline.read(name, position as i64, decoder.decode(bytes), || bytes.clone());
        }
    }
    assert_same(pipeline.book().board(), &tables.batch(tables.head()));
    assert_eq!(pipeline.book().counts().late, 0);
    Ok(())
}

fn snapshot(tables: &mut Tables) -> Vec<(bool, Vec<u8>)> {
    tables.snapshot().into_iter().map(|event| (false, event)).collect()
}

#[test]
fn a_dead_letter_is_kept_whole_and_counts_once_it_is_understood() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let path = dir.join("state.redb");
    let mut tables = Tables::default();
    let sale = Sale { product: 1, customer: 1, quantity: 1, cents: 100, seconds: 0 };
    let good = tables.write(1, sale);
    let renamed = String::from_utf8(tables.write(2, sale))?.replace("occurred_at", "sold_at").into_bytes();
    let mut pipeline = Pipeline::open(&path, SETTINGS)?;
    let before = Decoder::sales(&SaleColumns::default());
    for (position, bytes) in [good, renamed.clone(), b"{broken".to_vec()].into_iter().enumerate() {
        pipeline.read("changes", position as i64, before.decode(&bytes), || bytes.clone());
    }
    pipeline.save()?;
    drop(pipeline);

    let mut pipeline = Pipeline::open(&path, SETTINGS)?;
    let letters = pipeline.state().dead_letters()?;
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].1.position, &letters[0].1.payload), (1, &renamed));
    assert!(letters[0].1.reason.contains("no `occurred_at`"), "{}", letters[0].1.reason);
    let week = |pipeline: &Pipeline| pipeline.book().board().window(WindowKey::Product(ProductId::from(1)), WindowSpan::Week);
    assert_eq!(week(&pipeline).transactions, 1);

    let after = Decoder::sales(&SaleColumns { occurred_at: "sold_at".to_owned(), ..SaleColumns::default() });
    assert_eq!(pipeline.replay_dead_letters("changes", |letter| after.decode(&letter.payload))?, 1);
    assert_eq!(week(&pipeline).transactions, 2);
    assert_eq!(pipeline.state().dead_letters()?.len(), 1);
    Ok(())
}

#[test]
fn a_late_sale_is_listed_and_one_from_the_future_is_a_dead_letter() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let mut pipeline = Pipeline::open(&dir.join("state.redb"), SETTINGS)?;
    let mut tables = Tables::default();
    let decoder = Decoder::sales(&SaleColumns::default());
    for (position, seconds) in [5_000, 4_399, 10_601].into_iter().enumerate() {
        let event = tables.write(position as i64, Sale { product: 1, customer: 1, quantity: 1, cents: 100, seconds });
        pipeline.read("changes", position as i64, decoder.decode(&event), || event.clone());
        pipeline.tick(time(10_000), false);
    }
    pipeline.save()?;
    let late = pipeline.state().late_sales()?;
    assert_eq!(late.iter().map(|sale| (sale.sale.get(), sale.occurred_at)).collect::<Vec<_>>(), [(1, time(4_399))]);
    assert_eq!(pipeline.book().counts().late, 1);
    let letters = pipeline.state().dead_letters()?;
    assert!(letters.len() == 1 && letters[0].1.reason.contains("ahead of the clock"), "{letters:?}");
    Ok(())
}

#[test]
fn an_idle_source_lets_sales_leave_their_windows() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let mut pipeline = Pipeline::open(&dir.join("state.redb"), SETTINGS)?;
    let mut tables = Tables::default();
    let event = tables.write(1, Sale { product: 1, customer: 1, quantity: 1, cents: 100, seconds: 0 });
    pipeline.read("changes", 0, Decoder::sales(&SaleColumns::default()).decode(&event), || event.clone());
    let hour = |pipeline: &Pipeline| pipeline.book().board().window(WindowKey::Product(ProductId::from(1)), WindowSpan::Hour);
    assert_eq!(hour(&pipeline).transactions, 1);
    for minute in 1..=61 {
        pipeline.tick(time(60 * minute), true);
    }
    assert_eq!(hour(&pipeline).transactions, 0);
    assert!(hour(&pipeline).end > EventTime::default());
    Ok(())
}

#[test]
fn two_processes_cannot_keep_one_state() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let path = dir.join("state.redb");
    let first = Pipeline::open(&path, SETTINGS)?;
    assert!(matches!(Pipeline::open(&path, SETTINGS), Err(StateError::InUse(_))));
    drop(first);
    Pipeline::open(&path, SETTINGS)?;
    Ok(())
}

#[test]
fn the_journal_is_written_anew_when_it_has_grown_and_holds_the_same() -> anyhow::Result<()> {
    let dir = TestDir::new("stream")?;
    let path = dir.join("state.redb");
    let mut tables = Tables::default();
    let events = changes(&mut tables);
    let source = Source::new();
    let mut pipeline = Pipeline::open(&path, SETTINGS)?;
    // More saves than pieces that are kept.
    for step in 1..=700 {
        source.read(&mut pipeline, &events[..(events.len() * step / 700)]);
        pipeline.save()?;
    }
    drop(pipeline);
    let pipeline = Pipeline::open(&path, SETTINGS)?;
    assert_same(pipeline.book().board(), &tables.batch(tables.head()));
    Ok(())
}
