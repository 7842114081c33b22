//! Workers of machines that see no folder of each other's: what one had is taken over by the other from its copies in a bucket.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt as _;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as ObjectPath;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use sellcast_domain::window::WatermarkSettings;
use sellcast_testkit::{Program, S3, until};

use crate::chain::{Chain, LIMIT, TOPICS, topics_are_there, worker_program};

struct Bucket {
    name: String,
    endpoint: String,
    store: AmazonS3,
}

impl Bucket {
    async fn new() -> Result<Self> {
        let address = S3::shared()?.bucket().await?;
        let (name, rest) = address.strip_prefix("s3://key:secret@").and_then(|rest| rest.split_once('/')).context("no name")?;
        let (_, endpoint) = rest.split_once("endpoint=").context("no endpoint")?;
        let store = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_region("us-east-1")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .build()?;
        Ok(Self { name: name.to_owned(), endpoint: endpoint.to_owned(), store })
    }

    /// A worker with a folder of its own.
    fn worker(&self, chain: &Chain, name: &str) -> Result<Program> {
        let status = chain.status_file(name);
        let arguments =
            [chain.brokers(), "shop", &format!("state-{name}"), status.to_str().context("no text")?, &self.name].map(str::to_owned);
        let environment = [
            ("AWS_ENDPOINT", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        Program::start_with(worker_program()?, name, chain.dir.path(), arguments, environment)
    }

    /// The positions of the newest copies, by partition.
    async fn copied(&self) -> Result<BTreeMap<String, i64>> {
        let mut copied = BTreeMap::new();
        let objects: Vec<_> = self.store.list(Some(&ObjectPath::from("sellcast"))).try_collect().await?;
        for object in objects {
            let parts: Vec<String> = object.location.parts().map(|part| part.as_ref().to_owned()).collect();
            let position: i64 = parts.get(2).and_then(|name| name.strip_suffix(".redb")).context("another name")?.parse()?;
            let newest = copied.entry(parts[1].clone()).or_insert(position);
            *newest = position.max(*newest);
        }
        Ok(copied)
    }
}

/// Takes everything before these positions out of a topic.
async fn forget(chain: &Chain, topic: &str, positions: &BTreeMap<String, i64>) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", chain.brokers()).create()?;
    let mut list = TopicPartitionList::new();
    for number in 0..4 {
        if let Some(position) = positions.get(&format!("{topic}-{number}")) {
            list.add_partition_offset(topic, number, Offset::Offset(*position))?;
        }
    }
    ensure!(list.count() > 1, "{positions:?}");
    admin.delete_records(&list, &AdminOptions::new()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow"]
async fn a_worker_with_an_empty_folder_goes_on_from_the_copies_of_one_that_died() -> Result<()> {
    let (chain, bucket) = (Chain::start(2_000).await?, Bucket::new().await?);
    chain.connect("first").await?;
    until("the topics", LIMIT, || async { topics_are_there(chain.brokers()) }).await?;
    let mut one = bucket.worker(&chain, "one")?;
    chain.has_all("one").await?;
    chain.disturb().await?;
    chain.sell(500, "interval '1 second'").await?;
    chain.settle(&["one"]).await?;
    let saved = chain.saved(&["one"]).context("its status")?;
    until("a copy of each partition", LIMIT, || async {
        let copied = bucket.copied().await.unwrap_or_default();
        saved.iter().all(|(partition, position)| *position == 0 || copied.get(partition).is_some_and(|copied| copied >= position))
    })
    .await?;
    one.kill_9().await?;
    let per_partition: Vec<_> = bucket.store.list_with_delimiter(Some(&ObjectPath::from("sellcast"))).await?.common_prefixes;
    for partition in &per_partition {
        let kept = bucket.store.list_with_delimiter(Some(partition)).await?.objects.len();
        ensure!(kept <= 3, "{kept} copies of {partition}");
    }

    // Only the copies know what was sold until then.
    let copied = bucket.copied().await?;
    forget(&chain, TOPICS[0], &copied).await?;
    forget(&chain, TOPICS[2], &copied).await?;
    chain.sell(300, "interval '1 second'").await?;
    let mut two = bucket.worker(&chain, "two")?;
    chain.has_all("two").await?;
    chain.disturb().await?;
    chain.settle(&["two"]).await?;
    ensure!(two.stderr().contains("is taken over from another machine"), "{}", two.stderr());
    ensure!(two.terminate(LIMIT).await?.success(), "{}", two.stderr());
    chain.check_in("state-two", WatermarkSettings::default()).await
}
