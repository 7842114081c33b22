//! Three nodes, of which one is killed while generations are published and read, and then two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sellcast_domain::TimeFrame;
use sellcast_store::StoreError;
use sellcast_testkit::{Cassandra, until};

use crate::cluster::{SEEN_WITHIN, connect};
use crate::generations::{generation, id};
use crate::publishing::reads_whole_generations;

/// Live nodes look for writes to deliver every ten seconds.
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
/// What a node notes for a dead one lies in memory for up to a second before it is a file.
const QUIET_FOR: Duration = Duration::from_secs(3);

/// Waits until the other nodes have delivered what a dead node missed.
async fn what_it_missed_is_delivered(cassandra: &Cassandra) -> Result<()> {
    let notes = [1, 2, 3].map(|node| cassandra.service().folder().join(format!("node{node}/data/hints")));
    let mut quiet_since = Instant::now();
    until("the writes that the dead node missed", DELIVERED_WITHIN, || {
        let left = notes.iter().any(|folder| {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            files.into_iter().any(|file| file.path().extension().is_some_and(|ending| ending == "hints"))
        });
        if left {
            quiet_since = Instant::now();
        }
        let quiet = quiet_since.elapsed() >= QUIET_FOR;
        async move { quiet }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_node_dies_while_it_is_written_to_and_read_from_and_no_request_fails() -> Result<()> {
    let cassandra = tokio::task::spawn_blocking(|| Cassandra::start(3)).await??;
    let address = cassandra.keyspace()?;
    let (publisher, reader) = (connect(&address).await?, connect(&address).await?);
    publisher.publish(generation(1, "2017-12-04", 20)).await?;
    tokio::time::timeout(SEEN_WITHIN, reader.subscribe().wait_for(Option::is_some)).await??;
    let stop = Arc::new(AtomicBool::new(false));
    let reading = tokio::spawn(reads_whole_generations(reader.clone(), stop.clone()));
    let publishing = {
        let (store, stop) = (publisher.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut number, mut slowest) = (2, Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let started = Instant::now();
                store.publish(generation(number, "2017-12-04", 40)).await?;
                slowest = slowest.max(started.elapsed());
                number += 1;
            }
            Ok::<_, StoreError>((number - 1, slowest))
        })
    };
    let cassandra = tokio::task::spawn_blocking(move || -> Result<Cassandra> {
        std::thread::sleep(Duration::from_secs(2));
        cassandra.kill(2)?;
        std::thread::sleep(Duration::from_secs(12));
        cassandra.revive(2)?;
        Ok(cassandra)
    })
    .await??;
    stop.store(true, Ordering::Relaxed);
    let (published, slowest) = publishing.await?.context("a publication failed")?;
    let read = reading.await?.context("a reading failed")?;
    eprintln!("{published} publications, the slowest took {slowest:.1?}; {read} generations read");
    assert!(published > 3 && read > 3, "something stood still: {published} publications, {read} readings");
    let followed = until("the reader to follow", SEEN_WITHIN, || async {
        reader.current().is_some_and(|current| current.generation_id.uuid().as_u128() == published)
    });
    followed.await?;

    // Two copies of three are gone: what is published can still be read, by one that starts only now too.
    what_it_missed_is_delivered(&cassandra).await?;
    cassandra.kill(1)?;
    cassandra.kill(3)?;
    let late = connect(&address).await.context("one node is enough to read")?;
    for number in [1, published / 2, published] {
        let document = late.prediction(id(number), TimeFrame::Week).await.with_context(|| format!("{number} cannot be read"))?;
        assert!(document.is_some(), "the revived node lacks {number} of {published}");
    }
    let refused = publisher.publish(generation(published + 1, "2017-12-04", 1)).await.expect_err("no quorum");
    assert!(matches!(refused, StoreError::Write { .. }), "{refused:?}");
    Ok(())
}
