//! What workers and followers ask of Kafka beside messages: which partitions a topic has, how far they go, and whether an error passes.

use std::time::{Duration, Instant};

use futures::executor::block_on;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::{info, warn};

use super::{WorkerError, WorkerSettings};

/// How long Kafka may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// How long Kafka may take to say how far a topic is before it counts as away.
const CONTACT: Duration = Duration::from_secs(2);
/// Between two looks for a topic that is being made.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long the keyed topic keeps messages if it is made: the longest window, and two days to spare for lateness and for a follower
/// that was away.
const RETENTION: Duration = Duration::from_secs(9 * 86_400);

/// Errors that pass while the client goes on trying: brokers away, connections lost.
pub(super) fn is_passing(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
    warn!(%error, "Kafka does not answer as it should");
    match error {
        KafkaError::MessageConsumption(code) => matches!(
            code,
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::NetworkException
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
        ),
        _ => false,
    }
}

/// The partitions of the keyed topic, which is made if it is missing.
pub(super) fn keyed_partitions(config: &ClientConfig, consumer: &BaseConsumer, settings: &WorkerSettings) -> Result<u32, WorkerError> {
    let topic = &settings.keyed_topic;
    if let Some(partitions) = partitions_of(consumer, topic)? {
        return Ok(partitions.len() as u32);
    }
    let failed = || WorkerError::kafka(format!("make the topic `{topic}`"));
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(failed())?;
    let retention = RETENTION.as_millis().to_string();
    let new = NewTopic::new(topic, settings.keyed_partitions as i32, TopicReplication::Fixed(-1)).set("retention.ms", &retention);
    // Another process may be faster; what counts is that it is there.
    let made = block_on(admin.create_topics([&new], &AdminOptions::new().operation_timeout(Some(ANSWER)))).map_err(failed())?;
    info!(topic, made = ?made, "topic {topic} made");
    let started = Instant::now();
    loop {
        match partitions_of(consumer, topic)? {
            Some(partitions) => return Ok(partitions.len() as u32),
            None if started.elapsed() > ANSWER => return Err(WorkerError::NoTopic(topic.clone())),
            None => std::thread::sleep(PATIENCE),
        }
    }
}

/// The numbers of a topic's partitions, or `None` when there is no such topic.
pub(super) fn partitions_of(consumer: &BaseConsumer, topic: &str) -> Result<Option<Vec<i32>>, WorkerError> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(WorkerError::kafka(format!("look up the topic `{topic}`")))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let numbers: Vec<i32> = found.map(|found| found.partitions().iter().map(|partition| partition.id()).collect()).unwrap_or_default();
    Ok((!numbers.is_empty()).then_some(numbers))
}

/// A client to ask for the ends of partitions. It reads nothing: an answer waits behind whatever the same connection asked for before,
/// and a reading client asks for messages that may not come for half a second.
pub(super) fn asker(config: &ClientConfig) -> Result<BaseConsumer, WorkerError> {
    config.create().map_err(WorkerError::kafka("make a client"))
}

/// The end of a partition; `None` while Kafka does not answer.
pub(super) fn end_of(consumer: &BaseConsumer, topic: &str, number: i32) -> Option<i64> {
    consumer.fetch_watermarks(topic, number, CONTACT).ok().map(|(_, end)| end)
}

/// Messages of topics that a group has not followed, by what its workers told Kafka with their last save; `None` while Kafka does not
/// answer. `of_group` is a client of the group that has joined nothing.
pub(super) fn lag_of(of_group: &BaseConsumer, partitions: &[(String, i32)]) -> Option<u64> {
    let mut list = TopicPartitionList::new();
    for (topic, number) in partitions {
        list.add_partition(topic, *number);
    }
    let told = of_group.committed_offsets(list, CONTACT).ok()?;
    let mut lag = 0;
    for partition in told.elements() {
        let (begin, end) = of_group.fetch_watermarks(partition.topic(), partition.partition(), CONTACT).ok()?;
        let followed = partition.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(begin);
        lag += (end - followed).max(0).unsigned_abs();
    }
    Some(lag)
}

/// True when Kafka answers and a partition has no more than `slack` messages from `position` on.
pub(super) fn is_near(consumer: &BaseConsumer, topic: &str, number: i32, position: i64, slack: i64) -> bool {
    end_of(consumer, topic, number).is_some_and(|end| end - position <= slack)
}
