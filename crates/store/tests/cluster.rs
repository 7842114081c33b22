//! What only a cluster can get wrong: several publishers at once, readers in other processes, and what a killed publication
//! leaves behind.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use sellcast_domain::{CategoryId, Money, TimeFrame};
use sellcast_store::{ClusterAddress, PredictionStore, StoreError};
use sellcast_testkit::Cassandra;

use crate::generations::{day, generation, id};

/// Another process may be a second behind; a busy machine adds to it.
pub(crate) const SEEN_WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn connect(address: &str) -> Result<PredictionStore> {
    Ok(PredictionStore::connect(&address.parse()?).await?)
}

async fn session(address: &str) -> Result<(Session, String)> {
    let (hosts, keyspace) = address.trim_start_matches("cassandra://").split_once('/').context("a keyspace")?;
    let (hosts, port) = hosts.split_once(':').context("a port")?;
    let nodes = hosts.split(',').map(|host| format!("{host}:{port}"));
    let keyspace = keyspace.split('?').next().context("a keyspace")?;
    Ok((SessionBuilder::new().known_nodes(nodes).build().await?, keyspace.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn what_another_process_publishes_is_told_and_can_be_read() -> Result<()> {
    let address = Cassandra::shared()?.keyspace()?;
    let (publisher, reader) = (connect(&address).await?, connect(&address).await?);
    let mut told = reader.subscribe();
    publisher.publish(generation(1, "2017-12-04", 2)).await?;
    let seen = tokio::time::timeout(SEEN_WITHIN, told.wait_for(Option::is_some)).await??.clone().context("it is told")?;
    assert_eq!(seen.generation_id, id(1));
    assert!(reader.prediction(id(1), TimeFrame::Week).await?.is_some());
    assert_eq!(reader.published_days().await?, [day("2017-12-04")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn publishers_at_the_same_time_lose_nothing() -> Result<()> {
    let address = Cassandra::shared()?.keyspace()?;
    let first = connect(&address).await?;
    let others = try_join_all((0..3).map(|_| connect(&address))).await?;
    let stores: Vec<PredictionStore> = std::iter::once(first).chain(others).collect();
    let publish = |(place, store): (u128, &PredictionStore)| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                store.publish(generation(1 + place * 10 + round, "2017-12-04", 1)).await?;
            }
            Ok::<_, StoreError>(())
        })
    };
    for done in join_all((0..).zip(&stores).map(publish)).await {
        done??;
    }
    let late = connect(&address).await?;
    for place in 0..4 {
        for round in 0..4 {
            let number = 1 + place * 10 + round;
            let week = generation(number, "2017-12-04", 1).predictions[1].clone();
            let found = late.find(week.prediction_id).await?.with_context(|| format!("{number} is published"))?;
            assert_eq!(found.0.generation_id, id(number));
            assert_eq!(late.prediction(id(number), week.time_frame).await?, Some(week));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn two_contents_under_one_id_never_mix() -> Result<()> {
    let address = Cassandra::shared()?.keyspace()?;
    let (one, other) = (connect(&address).await?, connect(&address).await?);
    let cheap = generation(1, "2017-12-04", 30);
    let mut dear = generation(2, "2017-12-04", 30);
    dear.generation.generation_id = id(1);
    let (first, second) = tokio::join!(one.publish(cheap), other.publish(dear));
    let expected = match (first, second) {
        (Ok(()), Err(StoreError::Changed(_))) => Money::from_cents(10_001),
        (Err(StoreError::Changed(_)), Ok(())) => Money::from_cents(10_002),
        both => panic!("one of them wins, the other is told so: {both:?}"),
    };
    let reader = connect(&address).await?;
    for frame in TimeFrame::ALL {
        assert_eq!(reader.prediction(id(1), frame).await?.map(|document| document.total_amount), Some(expected));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn what_a_killed_publication_left_is_removed_a_day_later() -> Result<()> {
    let address = Cassandra::shared()?.keyspace()?;
    let store = connect(&address).await?;
    let (session, keyspace) = session(&address).await?;
    let count = async |edition: u8| -> Result<i64> {
        let sql = format!("select count(*) from {keyspace}.documents where edition = ? allow filtering");
        Ok(session.query_unpaged(sql, (vec![edition; 32],)).await?.into_rows_result()?.single_row::<(i64,)>()?.0)
    };
    for (edition, age_hours) in [(1_u8, 25), (2, 1)] {
        let sql =
            format!("insert into {keyspace}.documents (edition, bucket, name, part, parts, content) values (?, 5, 'record', 0, 1, 0x00)");
        session.query_unpaged(sql, (vec![edition; 32],)).await?;
        let sql = format!("insert into {keyspace}.attempts (shop, edition, begun_at) values (0, ?, totimestamp(now()) - {age_hours}h)");
        session.query_unpaged(sql, (vec![edition; 32],)).await?;
    }
    store.publish(generation(1, "2017-12-04", 2)).await?;
    assert_eq!(count(1).await?, 0, "it began a day ago");
    assert_eq!(count(2).await?, 1, "another process may still be writing it");
    assert!(store.history(id(1), CategoryId::from(2)).await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_there_is_named_without_its_password() -> Result<()> {
    let port = sellcast_testkit::free_port()?;
    let address: ClusterAddress = format!("cassandra://me:secret@127.0.0.1:{port}/shop").parse()?;
    let error = PredictionStore::connect(&address).await.expect_err("nobody listens");
    let told = format!("{error} {error:?}");
    assert!(matches!(error, StoreError::Unreachable { .. }), "{told}");
    assert!(told.contains(&format!("cassandra://127.0.0.1:{port}/shop")) && !told.contains("secret"), "{told}");
    Ok(())
}
