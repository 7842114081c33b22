//! Servers of the real chain are killed or away in mid-stream, and a worker is paused. Each time every window of a follower equals a
//! batch over the source afterwards, to the cent, and at the end those of the workers do.

use std::time::Duration;

use anyhow::{Result, ensure};
use sellcast_domain::window::WatermarkSettings;
use sellcast_testkit::until;
use tokio::time::sleep;

use crate::chain::{Chain, LIMIT};

/// Longer than Kafka lets a worker be silent.
const PAUSE: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn windows_equal_the_source_after_servers_are_killed_or_away() -> Result<()> {
    let (chain, mut one) = Chain::with_worker("one").await?;
    let settings = WatermarkSettings::default();

    // The broker is killed and away for a minute, while the shop goes on selling.
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "kafka"])?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    sleep(MINUTE).await;
    chain.kafka.restart()?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // Connect is killed.
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "connect"])?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.kafka.restart()?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // The database is killed.
    chain.sell(300, "interval '1 second'").await?;
    chain.postgres.service().expect(&["kill"])?;
    chain.postgres.service().restart()?;
    chain.sell(300, "interval '1 second'").await?;
    chain.disturb().await?;
    chain.settle(&["one"]).await?;
    chain.check_follower(settings).await?;

    // A worker is paused for so long that the other takes its place, and then goes on: it must not undo what the other did.
    let mut two = chain.worker("two")?;
    until("the partitions to be shared", LIMIT, || async { chain.saved(&["two"]).is_some_and(|saved| !saved.is_empty()) }).await?;
    chain.sell(300, "interval '1 second'").await?;
    one.signal("STOP").await?;
    chain.sell(300, "interval '1 second'").await?;
    sleep(PAUSE).await;
    one.signal("CONT").await?;
    chain.disturb().await?;
    chain.settle(&["one", "two"]).await?;
    chain.check_follower(settings).await?;

    // A third worker joins while a second connector takes its snapshot, and everything is killed at once in the middle of it.
    chain.connect("second").await?;
    let mut three = chain.worker("three")?;
    chain.sell(300, "interval '1 second'").await?;
    chain.kafka.expect(&["kill", "connect"])?;
    chain.kafka.expect(&["kill", "kafka"])?;
    one.kill_9().await?;
    two.kill_9().await?;
    chain.postgres.service().expect(&["kill"])?;
    chain.postgres.service().restart()?;
    chain.kafka.restart()?;
    chain.sell(300, "interval '1 second'").await?;
    chain.has_all("three").await?;
    chain.settle(&["three"]).await?;
    ensure!(three.terminate(LIMIT).await?.success(), "{}", three.stderr());
    chain.check_follower(settings).await?;
    chain.check(settings).await
}
