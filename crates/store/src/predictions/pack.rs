//! Documents as bytes: JSON, compressed with zstd, named within their generation. All cores pack at once,
//! because a generation has thousands of documents; the digest over them tells equal content.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sellcast_domain::{CategoryId, TimeFrame};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{GenerationDocuments, StoreError};

/// zstd's own default: a third slower levels save only a few per cent more on these documents.
const LEVEL: i32 = 3;
/// A document beyond this size is not ours.
const MAX_DOCUMENT_BYTES: usize = 1 << 30;

/// The name of a document within its generation; also its key in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentName<'a> {
    Generation,
    Arm(&'a str),
    ArmContinuation(&'a str, CategoryId),
    Prediction(TimeFrame),
    Continuation(TimeFrame, CategoryId),
    History(CategoryId),
    Record,
}

impl fmt::Display for DocumentName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generation => f.write_str("generation"),
            Self::Prediction(frame) => write!(f, "prediction/{frame}"),
            Self::Continuation(frame, category) => write!(f, "continuation/{frame}/{category}"),
            Self::History(category) => write!(f, "history/{category}"),
            Self::Record => f.write_str("record"),
            // Names of arms may hold slashes, so they stand last.
            Self::Arm(arm) => write!(f, "arm/{arm}"),
            Self::ArmContinuation(arm, category) => write!(f, "arm-continuation/{category}/{arm}"),
        }
    }
}

/// A generation ready to be written.
pub(super) struct Packed {
    /// Compressed documents by name.
    pub(super) documents: Vec<(String, Vec<u8>)>,
    /// Over names and contents.
    pub(super) digest: [u8; 32],
}

impl Packed {
    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }
}

/// One document packed, with the digest of what it was before.
type PackedDocument = (String, Vec<u8>, blake3::Hash);

pub(super) fn pack(documents: &GenerationDocuments) -> Result<Packed, StoreError> {
    let jobs = jobs(documents);
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(8);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(job.pack()?);
        }
        Ok::<Vec<PackedDocument>, StoreError>(done)
    };
    let mut packed: Vec<PackedDocument> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, _>>()
    })?
    .into_iter()
    .flatten()
    .collect();
    packed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut digest = blake3::Hasher::new();
    for (name, _, hash) in &packed {
        digest.update(name.as_bytes());
        digest.update(hash.as_bytes());
    }
    Ok(Packed { digest: *digest.finalize().as_bytes(), documents: packed.into_iter().map(|(name, bytes, _)| (name, bytes)).collect() })
}

pub(super) fn unpack<T: DeserializeOwned>(name: &str, packed: &[u8]) -> Result<T, StoreError> {
    let size = packed.first_chunk::<8>().map_or(0, |size| u64::from_le_bytes(*size));
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_DOCUMENT_BYTES);
    let json = zstd::bulk::decompress(packed.get(8..).unwrap_or_default(), size)
        .map_err(|source| StoreError::Pack { document: name.to_owned(), source })?;
    serde_json::from_slice(&json).map_err(|source| StoreError::Decode { document: name.to_owned(), source })
}

/// A document that waits to be packed.
enum Job<'a> {
    Generation(&'a sellcast_domain::Generation),
    Prediction(&'a sellcast_domain::PredictionDocument),
    Continuation(TimeFrame, &'a sellcast_domain::Continuation),
    History(&'a sellcast_domain::CategoryHistory),
    Record(&'a sellcast_domain::TrackRecord),
    Arm(&'a str, &'a sellcast_domain::PredictionDocument),
    ArmContinuation(&'a str, &'a sellcast_domain::Continuation),
}

fn jobs(documents: &GenerationDocuments) -> Vec<Job<'_>> {
    // The large ones first, so that the threads end together.
    let mut jobs: Vec<Job<'_>> = documents.predictions.iter().map(Job::Prediction).collect();
    jobs.extend(documents.arms.iter().map(|arm| Job::Arm(&arm.arm, &arm.prediction)));
    jobs.push(Job::Record(&documents.record));
    jobs.extend(documents.histories.iter().map(Job::History));
    jobs.extend(documents.continuations.iter().map(|(frame, continuation)| Job::Continuation(*frame, continuation)));
    for arm in &documents.arms {
        jobs.extend(arm.continuations.iter().map(|continuation| Job::ArmContinuation(&arm.arm, continuation)));
    }
    jobs.push(Job::Generation(&documents.generation));
    jobs
}

impl Job<'_> {
    fn pack(&self) -> Result<PackedDocument, StoreError> {
        match self {
            Self::Generation(document) => packed(DocumentName::Generation, document),
            Self::Prediction(document) => packed(DocumentName::Prediction(document.time_frame), document),
            Self::Continuation(frame, document) => packed(DocumentName::Continuation(*frame, document.category_id), document),
            Self::History(document) => packed(DocumentName::History(document.category_id), document),
            Self::Record(document) => packed(DocumentName::Record, document),
            Self::Arm(arm, document) => packed(DocumentName::Arm(arm), document),
            Self::ArmContinuation(arm, document) => packed(DocumentName::ArmContinuation(arm, document.category_id), document),
        }
    }
}

fn packed<T: Serialize>(name: DocumentName<'_>, document: &T) -> Result<PackedDocument, StoreError> {
    let name = name.to_string();
    let json = serde_json::to_vec(document).map_err(|source| StoreError::Encode { document: name.clone(), source })?;
    let bytes = compressed(&name, &json)?;
    Ok((name, bytes, blake3::hash(&json)))
}

/// A single document packed by the same rules.
pub(super) fn pack_one<T: Serialize>(name: &str, document: &T) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(document).map_err(|source| StoreError::Encode { document: name.to_owned(), source })?;
    compressed(name, &json)
}

/// The uncompressed size as eight bytes, then the zstd frame.
fn compressed(name: &str, json: &[u8]) -> Result<Vec<u8>, StoreError> {
    let compressed = zstd::bulk::compress(json, LEVEL).map_err(|source| StoreError::Pack { document: name.to_owned(), source })?;
    let mut bytes = Vec::with_capacity(compressed.len() + 8);
    bytes.extend_from_slice(&(json.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&compressed);
    Ok(bytes)
}
