//! Sends messages to the keyed topic and knows when all of them are there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};

use super::WorkerError;
use crate::message::{Message, Target};

/// How long Kafka may take to accept a message; a broker may be away for that long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Remembers the first message that did not arrive.
#[derive(Default)]
struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.clone());
        }
    }
}

/// The keyed topic, to write to.
pub(super) struct Out {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    partitions: u32,
}

impl Out {
    pub(super) fn new(config: &ClientConfig, topic: &str, partitions: u32) -> Result<Self, WorkerError> {
        let producer = config
            .clone()
            // Of consumers alone: a producer complains of it.
            .remove("group.id")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .create_with_context(Deliveries::default())
            .map_err(WorkerError::kafka("make a producer"))?;
        Ok(Self { producer, topic: topic.to_owned(), partitions })
    }

    pub(super) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Hands messages over to be sent, and waits where too many are under way.
    pub(super) fn send(&self, messages: &mut Vec<(Target, Message)>) -> Result<(), WorkerError> {
        for (target, message) in messages.drain(..) {
            let payload = serde_json::to_vec(&message).unwrap_or_default();
            let key = match target {
                Target::Category(Some(category)) => category.to_string(),
                _ => String::new(),
            };
            for index in target.indexes(self.partitions) {
                self.send_one(index as i32, &key, &payload)?;
            }
        }
        Ok(())
    }

    fn send_one(&self, partition: i32, key: &str, payload: &[u8]) -> Result<(), WorkerError> {
        let mut record = BaseRecord::to(&self.topic).partition(partition).key(key).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(WorkerError::kafka(format!("write to `{}`", self.topic))(error)),
            }
        }
    }

    /// Waits until Kafka has all that was sent.
    pub(super) fn flush(&self) -> Result<(), WorkerError> {
        let failed = |error| WorkerError::kafka(format!("write to `{}`", self.topic))(error);
        self.producer.flush(PATIENCE).map_err(failed)?;
        // It stays: whoever saves again after a failure must not save positions of what never arrived.
        match self.producer.context().0.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(error) => Err(failed(error)),
            None => Ok(()),
        }
    }
}
