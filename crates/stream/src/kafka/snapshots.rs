//! Copies of the partitions' state in a store of objects, where workers of other machines find them: whoever takes a partition begins with
//! the newest copy if its own folder has an older state or none, and reads from Kafka only what came since.
//!
//! A copy is the state file as it was just saved, windows and position together, under its position:
//! `GROUP/TOPIC-NUMBER/POSITION.redb`. A paused worker that goes on later can only add a copy that is older than those of the worker that
//! took its place, and the newest counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart};
use tokio::runtime::Handle;
use tracing::{debug, warn};

/// A copy takes at most one in so many of a worker's seconds.
const SHARE: u32 = 50;
/// Older copies are left for readers that found them a moment ago.
const KEPT: usize = 2;
/// Sent at a time.
const PART: usize = 8 << 20;

/// Where copies lie and how often they are made.
#[derive(Clone, Debug)]
pub struct Snapshots {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
    every: Duration,
}

impl Snapshots {
    /// Copies in `store`, of each partition at most one in the time of `every`. `runtime` is the one that the store works in.
    pub fn new(store: Arc<dyn ObjectStore>, every: Duration, runtime: Handle) -> Self {
        Self { store, runtime, every }
    }

    /// Brings the newest copy of a partition to `path`, if it is further than `position`. Tells its position.
    pub(super) fn fetch(&self, folder: &ObjectPath, path: &Path, position: i64) -> io::Result<Option<i64>> {
        self.runtime.block_on(async {
            let Some((newest, object)) = self.copies(folder).await?.pop().filter(|(newest, _)| *newest > position) else { return Ok(None) };
            // Whole or not at all: what is half there is no state.
            let unfinished = path.with_extension("fetched");
            let mut file = tokio::fs::File::create(&unfinished).await?;
            let mut parts = self.store.get(&object).await?.into_stream();
            while let Some(part) = parts.next().await {
                tokio::io::AsyncWriteExt::write_all(&mut file, &part?).await?;
            }
            file.sync_all().await?;
            tokio::fs::rename(&unfinished, path).await?;
            Ok(Some(newest))
        })
    }

    /// The copies of a partition, the newest last.
    async fn copies(&self, folder: &ObjectPath) -> io::Result<Vec<(i64, ObjectPath)>> {
        let listed: Vec<_> = self.store.list(Some(folder)).try_collect().await?;
        let position = |object: &ObjectPath| object.filename()?.strip_suffix(".redb")?.parse().ok();
        let mut copies: Vec<(i64, ObjectPath)> =
            listed.into_iter().filter_map(|meta| Some((position(&meta.location)?, meta.location))).collect();
        copies.sort_unstable_by_key(|(position, _)| *position);
        Ok(copies)
    }

    async fn send(&self, folder: &ObjectPath, position: i64, path: &Path) -> io::Result<()> {
        // As wide as the largest position, so that names sort as positions do.
        let object = folder.clone().join(format!("{position:019}.redb"));
        let mut file = tokio::fs::File::open(path).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(self.store.put_multipart(&object).await?, PART);
        let mut part = vec![0; PART];
        loop {
            let read = tokio::io::AsyncReadExt::read(&mut file, &mut part).await?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(2).await?;
            upload.write(&part[..read]);
        }
        upload.finish().await?;
        let mut copies = self.copies(folder).await?;
        copies.truncate(copies.len().saturating_sub(KEPT));
        for (_, old) in copies {
            self.store.delete(&old).await?;
        }
        Ok(())
    }
}

/// The copies that a worker makes, one at a time.
pub(super) struct Copying {
    snapshots: Snapshots,
    /// What is sent at the moment; it tells when it was done.
    sending: Option<JoinHandle<(io::Result<()>, Instant)>>,
    begun_at: Instant,
    /// Not before.
    next_at: Instant,
}

/// What a copy is made of.
pub(super) struct Source<'a> {
    /// Where the copies of the partition lie.
    pub(super) folder: ObjectPath,
    /// The state file, to which nothing is written meanwhile.
    pub(super) path: &'a Path,
    /// The position that it was saved with.
    pub(super) position: i64,
}

impl Copying {
    pub(super) fn new(snapshots: Snapshots) -> Self {
        let now = Instant::now();
        Self { snapshots, sending: None, begun_at: now, next_at: now }
    }

    /// How long the copy of a partition is good for.
    pub(super) fn every(&self) -> Duration {
        self.snapshots.every
    }

    /// Whether another copy may begin.
    pub(super) fn is_free(&mut self) -> bool {
        if let Some(sending) = self.sending.take_if(|sending| sending.is_finished()) {
            match sending.join() {
                Ok((sent, done_at)) => {
                    if let Err(error) = sent {
                        warn!(%error, "a partition's state cannot be copied for other machines; the next copy is tried in time");
                    }
                    // As long without as with one.
                    self.next_at = self.next_at.max(done_at + (done_at - self.begun_at));
                }
                Err(_) => warn!("the copy of a partition's state was broken off"),
            }
        }
        self.sending.is_none() && Instant::now() >= self.next_at
    }

    /// Copies a state file beside itself, which the caller waits for, and sends that in the background.
    pub(super) fn begin(&mut self, source: &Source<'_>) -> io::Result<()> {
        self.begun_at = Instant::now();
        let copy: PathBuf = source.path.with_extension("copy");
        fs::copy(source.path, &copy)?;
        self.next_at = Instant::now() + self.begun_at.elapsed() * SHARE;
        let (snapshots, folder, position) = (self.snapshots.clone(), source.folder.clone(), source.position);
        self.sending = Some(std::thread::spawn(move || {
            let sent = snapshots.runtime.block_on(snapshots.send(&folder, position, &copy));
            let removed = fs::remove_file(&copy);
            (sent.and(removed), Instant::now())
        }));
        debug!(folder = %source.folder, position, "the state of {} is copied for other machines", source.folder);
        Ok(())
    }
}
