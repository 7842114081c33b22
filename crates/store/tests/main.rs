//! The store's tests, over real redb and SQLite files, a real PostgreSQL server and, among the slow ones, real Cassandra nodes.

mod cluster;
mod dead_nodes;
mod failures;
mod generations;
mod live;
mod places;
mod publishing;
mod registry;
