//! One worker of a group as a process, until `sellcast run` has the role: reads Debezium's topics of the tables
//! `transactions` and `products`, keeps windows, and writes its status to a file after each save. SIGTERM ends it.
//!
//! Usage: `stream_worker BROKERS TOPIC_PREFIX STATE_FOLDER STATUS_FILE [BUCKET]`. Every second the state of a partition is copied into the
//! bucket, whose server and key the environment names (`AWS_ENDPOINT` and the like).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use object_store::aws::AmazonS3Builder;
use sellcast_domain::window::{EventTime, WatermarkSettings};
use sellcast_stream::{ProductColumns, SaleColumns, Snapshots, Worker, WorkerSettings, WorkerStatus};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (brokers, prefix, state_folder, status_file, bucket) = match arguments.as_slice() {
        [brokers, prefix, state_folder, status_file] => (brokers, prefix, state_folder, status_file, None),
        [brokers, prefix, state_folder, status_file, bucket] => (brokers, prefix, state_folder, status_file, Some(bucket)),
        _ => bail!("usage: stream_worker BROKERS TOPIC_PREFIX STATE_FOLDER STATUS_FILE [BUCKET]"),
    };
    let bucket = bucket.map(|bucket| AmazonS3Builder::from_env().with_bucket_name(bucket).build()).transpose()?;
    let settings = WorkerSettings {
        brokers: brokers.clone(),
        group: "sellcast".to_owned(),
        sales_topic: format!("{prefix}.public.transactions"),
        products_topic: format!("{prefix}.public.products"),
        keyed_topic: "sellcast.sales".to_owned(),
        keyed_partitions: 4,
        state_folder: PathBuf::from(state_folder),
        snapshots: bucket.map(|bucket| Snapshots::new(Arc::new(bucket), Duration::from_secs(1), Handle::current())),
        sales: SaleColumns::default(),
        products: ProductColumns::default(),
        watermark: WatermarkSettings::default(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let working = {
        let (stop, status_file) = (Arc::clone(&stop), PathBuf::from(status_file));
        tokio::task::spawn_blocking(move || Worker::join(settings)?.run(&stop, now, |status| write(&status_file, status)))
    };
    tokio::select! {
        _ = terminated.recv() => stop.store(true, Ordering::Relaxed),
        () = async { while !working.is_finished() { tokio::time::sleep(Duration::from_millis(100)).await; } } => {}
    }
    working.await.context("the worker panicked")?.context("the worker stops")
}

fn now() -> EventTime {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds).ok().and_then(|seconds| EventTime::try_from(seconds).ok()).unwrap_or_default()
}

/// Renamed into place, so that a reader never sees half of it.
fn write(path: &Path, status: &WorkerStatus) {
    let unfinished = path.with_extension("unfinished");
    let written = serde_json::to_vec(status).map_err(std::io::Error::from).and_then(|json| std::fs::write(&unfinished, json));
    if let Err(error) = written.and_then(|()| std::fs::rename(&unfinished, path)) {
        tracing::warn!(%error, "cannot write the status");
    }
}
