//! Workers of the real chain come and go, topics are read again, and a second snapshot comes. Afterwards every window equals a batch
//! over the source, to the cent.

use anyhow::{Result, ensure};
use sellcast_domain::window::WatermarkSettings;
use sellcast_testkit::until;
use serde_json::Value;

use crate::chain::{Chain, LIMIT, TOPICS};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_kills_joins_replays_and_a_second_snapshot() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();
    chain.disturb().await?;
    chain.settle(&["one"]).await?;

    // A second worker joins in mid-stream.
    let mut two = chain.worker("two")?;
    for _ in 0..10 {
        chain.sell(200, "interval '2 seconds'").await?;
    }
    all_have_partitions(&chain, &["one", "two"]).await?;
    chain.disturb().await?;

    // The first is killed while sales come in, and what it had not saved is read again by the second.
    chain.sell(500, "interval '1 second'").await?;
    one.kill_9().await?;
    chain.sell(500, "interval '1 second'").await?;
    chain.has_all("two").await?;
    chain.disturb().await?;
    chain.settle(&["two"]).await?;
    ensure!(two.terminate(LIMIT).await?.success(), "{}", two.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await?;

    // The topics are read again from the start, twice, and a second connector takes a second snapshot.
    for name in ["three", "four"] {
        for topic in &TOPICS[..2] {
            for partition in 0..4 {
                std::fs::remove_file(chain.dir.join(format!("state/{topic}-{partition}.redb")))?;
            }
        }
        let mut again = chain.worker(name)?;
        chain.has_all(name).await?;
        if name == "four" {
            chain.disconnect("first").await?;
            chain.connect("second").await?;
        }
        chain.settle(&[name]).await?;
        ensure!(again.terminate(LIMIT).await?.success(), "{}", again.stderr());
        chain.check_follower(settings).await?;
        chain.check(settings).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn four_workers_share_the_work_two_are_killed_and_the_table_is_changed_and_emptied() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();
    chain.disturb().await?;
    let (mut two, mut three, mut four) = (chain.worker("two")?, chain.worker("three")?, chain.worker("four")?);
    for _ in 0..5 {
        chain.sell(200, "interval '2 seconds'").await?;
    }
    all_have_partitions(&chain, &["one", "two", "three", "four"]).await?;
    chain.disturb().await?;
    chain.settle(&["one", "two", "three", "four"]).await?;
    chain.check_follower(settings).await?;

    chain.sell(300, "interval '1 second'").await?;
    one.kill_9().await?;
    three.kill_9().await?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.settle(&["two", "four"]).await?;
    chain.check_follower(settings).await?;

    // The table gets a column in mid-stream, and is emptied after that.
    chain.sql("alter table transactions add column note text default 'new'").await?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.settle(&["two", "four"]).await?;
    chain.check_follower(settings).await?;
    chain.sql("truncate transactions").await?;
    for _ in 0..8 {
        chain.sell(200, "interval '2 seconds'").await?;
    }
    chain.disturb().await?;
    chain.settle(&["two", "four"]).await?;
    for worker in [&mut two, &mut four] {
        ensure!(worker.terminate(LIMIT).await?.success(), "{}", worker.stderr());
    }
    chain.check_follower(settings).await?;
    chain.check(settings).await
}

/// Waits until each of these workers has some of the twelve partitions and none has all.
async fn all_have_partitions(chain: &Chain, workers: &[&str]) -> Result<()> {
    let has_some = |worker: &&str| {
        let status = std::fs::read(chain.status_file(worker)).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let count = status.and_then(|status| status["positions"].as_object().map(serde_json::Map::len));
        count.is_some_and(|count| (1..12).contains(&count))
    };
    until("the partitions to be shared", LIMIT, || async { workers.iter().all(has_some) }).await
}
