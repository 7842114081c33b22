//! The stream through its public interface: formats, windows, crashes, shards, and the real servers.

mod backlog;
mod chain;
mod debezium;
mod faults;
mod full_disk;
mod kafka;
mod mysql;
mod other_machine;
mod outbox;
mod pipeline;
mod quick;
mod shards;
mod shop;
