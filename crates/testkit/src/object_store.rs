//! An object store with the S3 protocol for tests: one server for a test process, a bucket of its own for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, anyhow};

use crate::service::Service;

/// Numbers the buckets of a process.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A server that takes any key and secret.
#[derive(Debug)]
pub struct S3(Service);

impl S3 {
    /// The server that all tests of this process share. It ends with the process.
    ///
    /// # Errors
    /// When it cannot be installed or does not start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<S3, String>> = OnceLock::new();
        let start = || Service::start("s3").map(Self).map_err(|error| format!("{error:#}"));
        SHARED.get_or_init(start).as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// A new bucket; its address with a prefix, key, secret and endpoint.
    ///
    /// # Errors
    /// When the server has gone.
    pub async fn bucket(&self) -> Result<String> {
        let (name, endpoint) = (format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed)), self.0.address());
        let made = reqwest::Client::new().put(format!("{endpoint}/{name}")).send().await.context("cannot reach the object store")?;
        made.error_for_status().context("cannot make a bucket")?;
        Ok(format!("s3://key:secret@{name}/shop/warehouse?region=us-east-1&endpoint={endpoint}"))
    }
}
