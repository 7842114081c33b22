//! Measures the stream in one thread: from the bytes of Debezium's events to updated windows, and what a state of a
//! million products and ten million sales takes in memory, on disk and to recover. The last line is one JSON object.
//!
//! Usage: `stream_bench FOLDER [EVENTS] [PRODUCTS] [HELD]`. The folder is for the state and should be empty.

#[path = "shared/events.rs"]
mod events;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sellcast_domain::window::{EventTime, Held, Quantity, SaleFact, Version, WatermarkSettings, WindowKey, WindowSpan};
use sellcast_domain::{CategoryId, CustomerId, Money, ProductId, SaleId};
use sellcast_stream::{Before, Change, Decoder, Pipeline, ProductColumns, SaleChange, SaleColumns};

use events::{CATEGORIES, PRODUCTS, START, placed, product, sold};

/// Events that are written at a time, outside of the measured time.
const CHUNK: u64 = 100_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().context("usage: stream_bench FOLDER [EVENTS] [PRODUCTS] [HELD]")?);
    let number = |place: usize, default: u64| arguments.get(place).map_or(Ok(default), |text| text.parse().context("a number is expected"));
    let (events, products, held) = (number(1, 3_000_000)?, number(2, 1_000_000)?, number(3, 10_000_000)?);

    let stream = stream(folder, events)?;
    eprintln!(
        "{} events in {:.2?} ({:.2?} on the core), of which decoding alone takes {:.2?} ({:.2?})",
        stream.events, stream.all, stream.all_busy, stream.decoding, stream.decoding_busy
    );
    let state = state(folder, products, held)?;
    eprintln!(
        "{products} products, {held} held sales: {:.2} GB resident, windows {} and sales {} bytes a piece; saved {:.2} GB in {:.2?}, recovered in {:.2?}",
        state.resident as f64 / 1e9,
        state.windows / products as usize,
        state.sales / held as usize,
        state.file as f64 / 1e9,
        state.saving,
        state.recovering,
    );
    let rate = |time: Duration| (stream.events as f64 / time.as_secs_f64()).round();
    let json = serde_json::json!({
        "bench": "stream", "unit": "events/s", "ours": rate(stream.all), "peer": null, "ratio": null,
        "target": 300_000, "of_core_time": rate(stream.all_busy),
        "decoding_alone": rate(stream.decoding), "decoding_of_core_time": rate(stream.decoding_busy), "events": stream.events, "bytes_an_event": stream.bytes / stream.events,
        "state": {
            "products": products, "held_sales": held, "resident_bytes": state.resident, "windows_bytes": state.windows,
            "bytes_a_product": state.windows / products as usize, "bytes_a_sale": state.sales / held as usize,
            "file_bytes": state.file, "save_seconds": state.saving.as_secs_f64(), "recovery_seconds": state.recovering.as_secs_f64(),
        },
    });
    say(&json.to_string());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench is a program of the command line")]
fn say(line: &str) {
    println!("{line}");
}

#[derive(Default)]
struct Streamed {
    events: u64,
    bytes: u64,
    all: Duration,
    /// The processor's time of `all`, without what other programs had of the core.
    all_busy: Duration,
    decoding: Duration,
    decoding_busy: Duration,
}

/// Debezium's bytes to windows: each event updates the four of its product and the four of its category.
fn stream(folder: &Path, events: u64) -> Result<Streamed> {
    let mut pipeline = Pipeline::open(&folder.join("stream.redb"), WatermarkSettings::default())?;
    let (sales, products) = (Decoder::sales(&SaleColumns::default()), Decoder::products(&ProductColumns::default()));
    for product in 0..PRODUCTS {
        let event = placed(product);
        pipeline.read("products", product as i64, products.decode(&event), || event.clone());
    }
    let mut streamed = Streamed::default();
    let mut amount = 0_i64;
    let mut read = 0_i64;
    while streamed.events < events {
        let chunk: Vec<Vec<u8>> = (streamed.events..streamed.events + CHUNK).map(sold).collect();
        let (started, busy) = (Instant::now(), busy()?);
        let decoded = (streamed.events as i64..).zip(chunk.iter().map(|bytes| sales.decode(bytes)));
        pipeline.read_all("sales", decoded, |n| chunk[n].clone());
        streamed.all += started.elapsed();
        streamed.all_busy += busy_since(busy)?;
        let (started, busy) = (Instant::now(), self::busy()?);
        let understood = chunk.iter().filter(|bytes| sales.decode(bytes).is_ok()).count();
        streamed.decoding += started.elapsed();
        streamed.decoding_busy += busy_since(busy)?;
        ensure!(understood == chunk.len(), "an event was not understood");
        streamed.events += CHUNK;
        streamed.bytes += chunk.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        amount = 0;
        read = 0;
        for category in 0..CATEGORIES {
            let window = pipeline.book().board().window(WindowKey::Category(CategoryId::from(category as i64)), WindowSpan::Week);
            amount += window.amount_cents;
            read += i64::from(window.transactions);
        }
        // The journal would be saved each second.
        pipeline.save()?;
    }
    ensure!(read == streamed.events as i64 && amount > 0, "{read} of {} sales are in the windows", streamed.events);
    Ok(streamed)
}

struct Held7d {
    resident: u64,
    windows: usize,
    sales: usize,
    file: u64,
    saving: Duration,
    recovering: Duration,
}

/// A week's sales of many products: memory, the whole state on disk, and the way back.
fn state(folder: &Path, products: u64, held: u64) -> Result<Held7d> {
    let path = folder.join("state.redb");
    let before = resident()?;
    let mut pipeline = Pipeline::open(&path, WatermarkSettings::default())?;
    for n in 0..products {
        let (product, category) = (ProductId::from(n as i64), Some(CategoryId::from((n % CATEGORIES) as i64)));
        pipeline.read("products", n as i64, Ok(Change::Product { product, category, version: Version::written(n, 0) }), Vec::new);
    }
    for n in 0..held {
        let fact = SaleFact {
            product: ProductId::from(product(n, products) as i64),
            customer: SaleFact::customer_mark(CustomerId::from((n % 2_000_000) as i64)),
            occurred_at: EventTime::try_from(START + (n * 600_000 / held) as i64)?,
            quantity: Quantity::from_thousandths(1_000),
            amount: Money::from_cents(1_999),
        };
        let change = SaleChange {
            sale: SaleId::from(n as i64),
            version: Version::written(products + n, 0),
            row: Held::Sale(fact),
            is_snapshot: false,
            before: Before::Nothing,
        };
        pipeline.read("sales", n as i64, Ok(Change::Sale(change)), Vec::new);
    }
    ensure!(pipeline.book().len() as u64 == held, "{} of {held} sales are held", pipeline.book().len());
    let resident = resident()?.saturating_sub(before);
    let windows = pipeline.book().board().bytes();
    let sales = pipeline.book().bytes() - windows;
    let started = Instant::now();
    pipeline.save()?;
    let saving = started.elapsed();
    let counts = pipeline.book().counts();
    // As `kill -9` leaves it: redb finds a file that nobody closed and checks all of it first.
    let killed = folder.join("killed.redb");
    std::fs::copy(&path, &killed)?;
    drop(pipeline);
    let started = Instant::now();
    let pipeline = Pipeline::open(&killed, WatermarkSettings::default())?;
    let recovering = started.elapsed();
    ensure!(pipeline.book().len() as u64 == held && pipeline.book().counts() == counts, "the state is not what was saved");
    Ok(Held7d { resident, windows, sales, file: pipeline.state().size_bytes(), saving, recovering })
}

/// How long this thread was on a core so far.
fn busy() -> Result<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").context("cannot read /proc/thread-self/schedstat")?;
    let nanoseconds = line.split(' ').next().context("schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse().context("schedstat holds no number")?))
}

fn busy_since(before: Duration) -> Result<Duration> {
    Ok(busy()?.saturating_sub(before))
}

/// Resident bytes of this process.
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kilobytes * 1024)
}
