//! What every online store does, in memory and on a real Redis.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sellcast_domain::{CategoryId, ProductId, ShopDay};
use sellcast_testkit::{Service, until};

use super::{DifferenceCause, MOST_READ, OnlineError, OnlineStore};
use crate::compute::FeatureSet;

const DAY: i32 = 17_441;

/// Products 10, 20, 30... whose first feature is their id plus `shift`, and whose second there is none of.
fn set(day: i32, products: i64, shift: f32) -> FeatureSet {
    let ids: Vec<i64> = (1..=products).map(|place| 10 * place).collect();
    FeatureSet {
        as_of: ShopDay::from_epoch_days(day),
        version: "test".to_owned(),
        products: ids.iter().copied().map(ProductId::from).collect(),
        categories: ids.iter().map(|id| CategoryId::from(id % 7)).collect(),
        names: vec!["id".to_owned(), "absent".to_owned()],
        values: ids.iter().flat_map(|id| [*id as f32 + shift, f32::NAN]).collect(),
    }
}

fn ids(list: &[i64]) -> Vec<ProductId> {
    list.iter().copied().map(ProductId::from).collect()
}

async fn a_store_keeps_the_newest_set(store: &OnlineStore) -> Result<()> {
    assert!(store.current().await?.is_none() && store.read(&ids(&[10])).await?.is_none() && store.products().await?.is_empty());
    let first = set(DAY, 1_234, 0.5);
    store.publish(&first).await?;
    let read = store.read(&ids(&[20, 15, 12_340])).await?.context("published")?;
    assert_eq!((read.set.as_of, read.set.products), (first.as_of, 1_234));
    let [Some(row), None, Some(last)] = &read.rows[..] else { anyhow::bail!("{:?}", read.rows) };
    assert_eq!((row.category.get(), row.values[0], row.values[1].is_nan()), (6, 20.5, true));
    assert_eq!(last.values[0], 12_340.5);
    assert_eq!(store.products().await?, first.products);
    assert!(
        store.read(&first.products[..MOST_READ]).await?.context("published")?.differences(&first.products[..MOST_READ], &first).is_empty()
    );
    let refused = store.read(&first.products[..=MOST_READ]).await;
    assert!(matches!(refused, Err(OnlineError::TooMany(1_001))), "{refused:?}");
    // Fewer products a day later: nothing of the set before is left.
    let second = set(DAY + 1, 2, 0.25);
    store.publish(&second).await?;
    let read = store.read(&ids(&[20, 30])).await?.context("published")?;
    assert_eq!(read.rows[0].as_ref().map(|row| row.values[0]), Some(20.25));
    assert_eq!((read.set.as_of, &read.rows[1]), (second.as_of, &None));
    Ok(())
}

async fn readers_never_see_parts_of_two_sets(store: &OnlineStore) -> Result<()> {
    let all = set(DAY, 300, 0.0).products;
    store.publish(&set(DAY, 300, 0.0)).await?;
    let is_over = AtomicBool::new(false);
    let write = async {
        for turn in 1..=20_i16 {
            store.publish(&set(DAY + i32::from(turn), 300, f32::from(turn) * 10_000.0)).await?;
            // Memory answers at once, and the reader would have no turn.
            tokio::task::yield_now().await;
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let read = async {
        let mut seen = std::collections::BTreeSet::new();
        while !is_over.load(Ordering::Relaxed) {
            let read = store.read(&all).await?.context("published")?;
            let turn = read.set.as_of.epoch_days() - DAY;
            let expected = set(DAY + turn, 300, f32::from(i16::try_from(turn)?) * 10_000.0);
            assert_eq!(read.differences(&all, &expected), []);
            seen.insert(turn);
            tokio::task::yield_now().await;
        }
        anyhow::Ok(seen.len())
    };
    let (_, seen) = tokio::try_join!(write, read)?;
    assert!(seen > 1, "{seen} sets were seen");
    Ok(())
}

#[tokio::test]
async fn memory_keeps_the_newest_set() -> Result<()> {
    a_store_keeps_the_newest_set(&OnlineStore::memory()).await?;
    readers_never_see_parts_of_two_sets(&OnlineStore::memory()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_the_newest_set_through_a_crash() -> Result<()> {
    let server = Service::start("redis")?;
    let address = server.address().parse()?;
    let store = OnlineStore::at(&address)?;
    a_store_keeps_the_newest_set(&store).await?;
    readers_never_see_parts_of_two_sets(&store).await?;
    // Another process sees what this one published, and this one what the other publishes.
    let other = OnlineStore::at(&address)?;
    other.publish(&set(DAY + 50, 3, 0.0)).await?;
    assert_eq!(store.read(&ids(&[30])).await?.context("published")?.set.as_of.epoch_days(), DAY + 50);
    server.expect(&["kill"])?;
    let failed = store.read(&ids(&[30])).await.expect_err("the server is gone").to_string();
    assert!(failed.contains("redis://127.0.0.1") && failed.contains("is Redis up"), "{failed}");
    server.restart()?;
    // It is empty now; what was published is published again.
    until("Redis to answer", Duration::from_secs(20), async || store.current().await.is_ok()).await?;
    assert!(store.read(&ids(&[30])).await?.is_none());
    a_store_keeps_the_newest_set(&store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_reached_by_tls_when_its_certificate_is_trusted() -> Result<()> {
    let server = Service::start_with("redis", &["tls"])?;
    let trusting = server.address();
    a_store_keeps_the_newest_set(&OnlineStore::at(&trusting.parse()?)?).await?;
    let (doubting, _) = trusting.split_once('?').context("the address names the certificate")?;
    let refused = OnlineStore::at(&doubting.parse()?)?.current().await.expect_err("nobody vouches for it");
    let told = format!("{:#}", anyhow::Error::from(refused));
    assert!(told.contains("rediss://127.0.0.1") && told.to_lowercase().contains("certificate"), "{told}");
    let plain = doubting.replace("rediss", "redis");
    assert!(OnlineStore::at(&plain.parse()?)?.current().await.is_err(), "that port speaks TLS only");
    Ok(())
}

#[tokio::test]
async fn differences_are_told_with_their_causes() -> Result<()> {
    let store = OnlineStore::memory();
    let mut online = set(DAY, 4, 0.0);
    online.values[2] = 7.0;
    online.categories[2] = CategoryId::from(99);
    store.publish(&online).await?;
    let mut offline = set(DAY, 5, 0.0);
    offline.products.remove(0);
    offline.categories.remove(0);
    offline.values.drain(..2);
    let asked = ids(&[10, 20, 30, 40, 50, 60]);
    let differences = store.read(&asked).await?.context("published")?.differences(&asked, &offline);
    let told: Vec<_> = differences.iter().map(|difference| (difference.product.get(), difference.cause.name())).collect();
    assert_eq!(told, [(10, "extra"), (20, "value"), (30, "category"), (50, "missing")]);
    assert_eq!(differences[1].cause, DifferenceCause::Value("id".to_owned()));
    let later = set(DAY + 1, 4, 0.0);
    let stale = store.read(&ids(&[10])).await?.context("published")?.differences(&ids(&[10]), &later);
    assert!(matches!(&stale[..], [difference] if difference.cause.name() == "stale"), "{stale:?}");
    Ok(())
}
