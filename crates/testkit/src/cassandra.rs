//! Cassandra for tests: one node for a test process with a keyspace of its own for each test, or a cluster whose nodes can
//! be killed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};

use crate::service::Service;

/// Numbers the keyspaces of a process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Nodes on 127.0.0.1 and the addresses after it.
#[derive(Debug)]
pub struct Cassandra(Service);

impl Cassandra {
    /// So many nodes of the caller's own.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn start(nodes: u32) -> Result<Self> {
        Service::start_with("cassandra", &[&nodes.to_string()]).map(Self)
    }

    /// The single node that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Cassandra, String>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(1).map_err(|error| format!("{error:#}"))).as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// The nodes, as one service.
    pub fn service(&self) -> &Service {
        &self.0
    }

    /// Address of a keyspace that is not there yet, with a copy on every node.
    ///
    /// # Errors
    /// When the script printed no address.
    pub fn keyspace(&self) -> Result<String> {
        let (server, parameters) = self.0.address().split_once("/sellcast?").context("the address names no keyspace")?;
        Ok(format!("{server}/test_{}?{parameters}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Ends a node by `kill -9`; the first is number 1.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, node: u32) -> Result<()> {
        self.0.expect(&["kill", &node.to_string()])
    }

    /// Starts a killed node again and waits until it takes part.
    ///
    /// # Errors
    /// When it does not start.
    pub fn revive(&self, node: u32) -> Result<()> {
        self.0.expect(&["revive", &node.to_string()])
    }
}
