//! The stream through its public interface: formats, windows, crashes, shards, and the real servers.

mod debezium;
mod kafka;
mod outbox;
mod pipeline;
mod quick;
mod shards;
mod shop;
