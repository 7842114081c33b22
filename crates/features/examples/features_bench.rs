//! Measures reads of online features: one product and a hundred, from memory and from Redis, beside a bare read of the same
//! bytes by Redis' client. The last line is one JSON object.
//!
//! Usage: `features_bench REDIS_ADDRESS [PRODUCTS]`. The Redis database should be empty.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use redis::aio::MultiplexedConnection;
use sellcast_domain::{CategoryId, ProductId, ShopDay};
use sellcast_features::{Definitions, FeatureSet, OnlineStore};
use serde_json::{Value, json};

/// Reads of one product, from memory and from Redis.
const SINGLE: usize = 20_000;
/// Reads of a hundred.
const BATCHES: usize = 4_000;
const HUNDRED: usize = 100;
/// Reads before the first that counts.
const WARM: usize = 200;
/// A hash with the same bytes, for the bare read.
const BARE: &str = "bench:bare";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = arguments.first().context("usage: features_bench REDIS_ADDRESS [PRODUCTS]")?;
    let products = arguments.get(1).map_or(Ok(100_000), |text| text.parse().context("a number is expected"))?;
    let set = set(products)?;
    let (memory, shared) = (OnlineStore::memory(), OnlineStore::at(&address.parse()?)?);
    memory.publish(&set).await?;
    let started = Instant::now();
    shared.publish(&set).await?;
    let publishing = started.elapsed();
    let mut bare = redis::Client::open(address.as_str())?.get_multiplexed_async_connection().await?;
    keep_bare(&mut bare, &set).await?;

    let mut rows = Vec::new();
    for (size, reads) in [(1, SINGLE), (HUNDRED, BATCHES)] {
        let ours = times(reads, size, &set, async |ids| Ok(memory.read(ids).await?.context("published")?.rows.len())).await?;
        let on_redis = times(reads, size, &set, async |ids| Ok(shared.read(ids).await?.context("published")?.rows.len())).await?;
        let connection = bare.clone();
        let by_hand = times(reads, size, &set, async |ids| {
            let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
            let found: Vec<Vec<u8>> = redis::cmd("HMGET").arg(BARE).arg(&ids).query_async(&mut connection.clone()).await?;
            Ok(found.len())
        })
        .await?;
        for (store, times) in [("memory", &ours), ("redis", &on_redis), ("redis, bare", &by_hand)] {
            eprintln!("{size:>3} of {products} products from {store}: p50 {:.3} ms, p99 {:.3} ms", at(times, 0.5), at(times, 0.99));
        }
        rows.push(json!({"entities": size, "memory": told(&ours), "redis": told(&on_redis), "bare_redis": told(&by_hand),
            "redis_by_bare_p50": (at(&on_redis, 0.5) / at(&by_hand, 0.5) * 100.0).round() / 100.0}));
    }
    let line = json!({"bench": "features", "unit": "ms", "products": products, "features": set.names.len(), "reads": rows,
        "targets_p99": {"one_in_memory": 1.0, "one_from_redis": 5.0, "hundred_from_redis": 20.0},
        "publishing_seconds": (publishing.as_secs_f64() * 100.0).round() / 100.0});
    say(&line.to_string());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench is a program of the command line")]
fn say(line: &str) {
    println!("{line}");
}

/// As many features as the definitions have.
fn set(products: usize) -> Result<FeatureSet> {
    let definitions = Definitions::current();
    let names: Vec<String> = definitions.names().map(str::to_owned).collect();
    let ids: Vec<i64> = (0..i64::try_from(products)?).collect();
    ensure!(products > HUNDRED, "more than a hundred products are needed");
    Ok(FeatureSet {
        as_of: ShopDay::from_epoch_days(20_000),
        version: definitions.version().to_owned(),
        products: ids.iter().copied().map(ProductId::from).collect(),
        categories: ids.iter().map(|id| CategoryId::from(id % 300)).collect(),
        values: ids.iter().flat_map(|id| (0..names.len()).map(move |at| (*id as f32).mul_add(0.25, at as f32))).collect(),
        names,
    })
}

async fn keep_bare(connection: &mut MultiplexedConnection, set: &FeatureSet) -> Result<()> {
    let rows: Vec<usize> = (0..set.len()).collect();
    for chunk in rows.chunks(500) {
        let bytes = |row: usize| set.row(row).iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
        let rows: Vec<(i64, Vec<u8>)> = chunk.iter().map(|row| (set.products[*row].get(), bytes(*row))).collect();
        redis::pipe().hset_multiple(BARE, &rows).ignore().query_async::<()>(connection).await?;
    }
    Ok(())
}

/// Milliseconds of each read, sorted. The products are spread over the whole set.
async fn times(reads: usize, size: usize, set: &FeatureSet, mut read: impl AsyncFnMut(&[ProductId]) -> Result<usize>) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(reads);
    for turn in 0..reads + WARM {
        let ids: Vec<ProductId> = (0..size).map(|at| set.products[(turn * 7_919 + at * 104_729) % set.len()]).collect();
        let started = Instant::now();
        let found = read(&ids).await?;
        let took = started.elapsed().as_secs_f64() * 1e3;
        ensure!(found == size, "{found} of {size} products were found");
        if turn >= WARM {
            times.push(took);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn told(sorted: &[f64]) -> Value {
    let round = |value: f64| (value * 1e4).round() / 1e4;
    json!({"p50": round(at(sorted, 0.5)), "p99": round(at(sorted, 0.99))})
}
