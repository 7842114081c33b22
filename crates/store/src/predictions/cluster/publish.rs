//! Publishing to the cluster: all documents at `QUORUM`, then one conditional batch that adds the entry and moves the
//! pointer. What became of a batch whose answer never came is settled by a reading at `SERIAL`.

use std::sync::{Arc, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use scylla::response::query_result::QueryResult;
use scylla::value::{CqlValue, Row as AnyRow};
use sellcast_domain::{GenerationId, ShopDay};

use super::catalog::{Edition, Pointer, Row};
use super::{BUCKETS, Cluster, Inner, MANIFEST, Manifest, PATIENCE, Reading, bucket, rows};
use crate::predictions::error::{Cause, StoreError};
use crate::predictions::pack::{self, Packed};
use crate::predictions::{GenerationDocuments, blocking};

/// Larger documents are written in parts: a mutation must fit into half a segment of the commit log.
const PART_BYTES: usize = 256 << 10;
/// Time to live of what is never dropped.
const FOR_EVER: i32 = 0;
/// Parts that are under way at once.
const AT_ONCE: usize = 32;
/// Attempts that began longer ago than this are dead, and what they wrote is removed.
const ABANDONED_AFTER_MS: i64 = 24 * 3600 * 1000;
/// Other publishers may win as often as this before a publication gives up.
const MAX_LOST_RACES: usize = 50;

impl Cluster {
    pub(in super::super) async fn publish(&self, documents: Arc<GenerationDocuments>) -> Result<(), StoreError> {
        let inner = &self.inner;
        let _one_at_a_time = inner.publishing.lock().await;
        let (id, as_of) = (documents.generation.generation_id, documents.generation.as_of);
        let fail = |source: Cause| StoreError::Write { generation: id, source };
        let packed = {
            let documents = documents.clone();
            blocking(move || pack::pack(&documents)).await?
        };
        inner.read_catalog(Reading::Settled).await.map_err(fail)?;
        match inner.catalog().edition(id) {
            Some(known) if known == packed.digest => return Ok(()),
            Some(_) => return Err(StoreError::Changed(id)),
            None => {}
        }
        inner.sweep().await;
        inner.patiently(&inner.statements.begin_attempt, (0, packed.digest.as_slice())).await.map_err(fail)?;
        inner.write(&packed).await.map_err(fail)?;
        inner.point(id, as_of, packed.digest).await?;
        if let Err(error) = inner.patiently(&inner.statements.end_attempt, (0, packed.digest.as_slice())).await {
            // The next publication after a day does it.
            tracing::warn!(%error, generation = %id, "the mark of the publication {id} stays");
        }
        tracing::info!(generation = %id, %as_of, documents = packed.len(), "generation {id} published");
        inner.announce(Some(&documents.generation)).await
    }
}

impl Inner {
    /// Writes every part of every document, and last the manifest.
    async fn write(&self, packed: &Packed) -> Result<(), Cause> {
        let documents = packed.documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        // A list and not a lazy iterator: its closures would keep this future from being sent to another thread.
        let mut written = Vec::new();
        for (name, bytes) in documents {
            for (part, content) in parts_of(bytes) {
                written.push(Ok::<_, Cause>((name, part, part_count(bytes), content)));
            }
        }
        stream::iter(written)
            .try_for_each_concurrent(AT_ONCE, |(name, part, count, content)| {
                self.write_part(&packed.digest, name, part, count, content, FOR_EVER)
            })
            .await?;
        let manifest: Manifest = packed.documents.iter().map(|(name, bytes)| (name.clone(), part_count(bytes))).collect();
        let manifest = pack::pack_one(MANIFEST, &manifest)?;
        for (part, content) in parts_of(&manifest) {
            self.write_part(&packed.digest, MANIFEST, part, part_count(&manifest), content, FOR_EVER).await?;
        }
        Ok(())
    }

    /// Writes a part that the cluster drops after so many seconds, or never ([`FOR_EVER`]).
    pub(super) async fn write_part(
        &self,
        edition: &Edition,
        name: &str,
        part: usize,
        parts: usize,
        content: &[u8],
        seconds: i32,
    ) -> Result<(), Cause> {
        let (part, parts) = (i32::try_from(part)?, i32::try_from(parts)?);
        let values = (edition.as_slice(), bucket(name), name, part, parts, content, seconds);
        self.patiently(&self.statements.write_part, values).await.map(drop)
    }

    /// Adds the entry and moves the pointer, whoever else does the same.
    async fn point(&self, id: GenerationId, as_of: ShopDay, edition: Edition) -> Result<(), StoreError> {
        let mut unknown: Option<Cause> = None;
        let mut waits = PATIENCE.iter();
        for _ in 0..MAX_LOST_RACES {
            if let Err(source) = self.read_catalog(Reading::Settled).await {
                match waits.next() {
                    Some(wait) => tokio::time::sleep(*wait).await,
                    None if unknown.is_some() => return Err(StoreError::Unsettled { generation: id, source }),
                    None => return Err(StoreError::Write { generation: id, source }),
                }
                continue;
            }
            let pointer = {
                let catalog = self.catalog();
                match catalog.edition(id) {
                    // Ours, by this batch or by one whose answer was lost; or somebody's who published the same.
                    Some(known) if known == edition => return Ok(()),
                    Some(_) => return Err(StoreError::Changed(id)),
                    None => catalog.pointer(),
                }
            };
            // The reading has settled it: a batch that was under way can no longer come to pass.
            if let Some(source) = unknown.take() {
                match waits.next() {
                    Some(wait) => tokio::time::sleep(*wait).await,
                    None => return Err(StoreError::Write { generation: id, source }),
                }
            }
            match self.compare_and_set(pointer, id, as_of, edition).await {
                Ok(true) => return Ok(()),
                Ok(false) => tracing::debug!(generation = %id, "another publication was faster"),
                Err(error) => {
                    tracing::warn!(%error, generation = %id, "it is not known whether the pointer moved to {id}: reading it");
                    unknown = Some(error);
                }
            }
        }
        Err(StoreError::Unsettled { generation: id, source: unknown.unwrap_or_else(|| "other publications were always faster".into()) })
    }

    /// Whether the pointer stood where it was expected and so moved; an error when that is not known.
    async fn compare_and_set(&self, pointer: Option<Pointer>, id: GenerationId, as_of: ShopDay, edition: Edition) -> Result<bool, Cause> {
        let head = pointer.map_or(1, |pointer| pointer.head + 1);
        let (current, current_as_of) = match pointer {
            Some(newest) if newest.as_of > as_of => (newest.current.uuid(), newest.as_of),
            _ => (id.uuid(), as_of),
        };
        let row = Row {
            head,
            current,
            current_as_of: current_as_of.epoch_days(),
            revision: head,
            as_of: as_of.epoch_days(),
            generation: id.uuid(),
            edition,
        };
        let move_pointer = (row.head, row.current, row.current_as_of, pointer.map(|pointer| pointer.head));
        let entry = (row.revision, row.as_of, row.generation, edition.as_slice());
        let moved = applied(self.session.batch(&self.statements.publish, (move_pointer, entry)).await?)?;
        if moved {
            self.catalog.write().unwrap_or_else(PoisonError::into_inner).merge(&[row], true);
        }
        Ok(moved)
    }

    /// Removes what killed publications left, as far as that is possible now.
    async fn sweep(&self) {
        if let Err(error) = self.remove_abandoned().await {
            tracing::warn!(%error, "what killed publications left stays for now");
        }
    }

    async fn remove_abandoned(&self) -> Result<(), Cause> {
        let found = rows(self.patiently(&self.statements.attempts, (0,)).await?)?;
        for row in found.rows::<(Vec<u8>, i64, i64)>()? {
            let (edition, begun_at, now) = row?;
            if now - begun_at < ABANDONED_AFTER_MS {
                continue;
            }
            // A published edition stays: only its mark was left.
            if !Edition::try_from(edition.as_slice()).is_ok_and(|edition| self.catalog().holds(&edition)) {
                stream::iter(0..BUCKETS)
                    .map(Ok::<_, Cause>)
                    .try_for_each_concurrent(AT_ONCE, |bucket| {
                        let removed = self.patiently(&self.statements.remove_bucket, (edition.as_slice(), bucket));
                        async move { removed.await.map(drop) }
                    })
                    .await?;
            }
            self.patiently(&self.statements.end_attempt, (0, edition.as_slice())).await?;
        }
        Ok(())
    }
}

/// The parts of a document, numbered.
pub(super) fn parts_of(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    bytes.chunks(PART_BYTES).enumerate()
}

pub(super) fn part_count(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(PART_BYTES)
}

/// Whether the condition held. The row's width depends on the answer; its first column does not.
pub(super) fn applied(result: QueryResult) -> Result<bool, Cause> {
    let first = rows(result)?.first_row::<AnyRow>()?;
    match first.columns.first() {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        other => Err(format!("the answer to a condition begins with {other:?}").into()),
    }
}
