//! What can go wrong in the prediction store, each with its mend. A full disk is told apart from other
//! write errors, because the operator can do something about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sellcast_domain::GenerationId;

/// What an error came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error of the prediction store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the file open.
    #[error("cannot open the prediction store `{path}`: another process holds it; stop that one or use another data folder")]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or made.
    #[error("cannot open the prediction store `{path}`; check its rights, or move it away to begin anew")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The disk is full.
    #[error("no room on the disk to publish generation `{generation}`; free some space and publish again, the former one stays current")]
    Full {
        /// What was to be published.
        generation: GenerationId,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The documents or the pointer cannot be written.
    #[error("cannot publish generation `{generation}`; the former one stays current, publish again")]
    Write {
        /// What was to be published.
        generation: GenerationId,
        /// Why.
        #[source]
        source: Cause,
    },
    /// No node of the cluster answers.
    #[error("cannot reach the prediction store `{address}`; see that a node runs there and that user and password are right")]
    Unreachable {
        /// The cluster, without its password.
        address: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The keyspace or its tables cannot be used.
    #[error("cannot {step} in `{address}`; {mend}")]
    Keyspace {
        /// What was tried.
        step: &'static str,
        /// The cluster, without its password.
        address: String,
        /// What to do.
        mend: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Too few nodes answer to read.
    #[error(
        "cannot read `{document}` from the prediction store: too few of its copies answer; start the nodes that are down (`nodetool status`)"
    )]
    Unavailable {
        /// What was to be read.
        document: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The pointer may have moved or not: the cluster stopped answering.
    #[error("it is not known whether generation `{generation}` became current: too few nodes answer; publish it again, which does no harm")]
    Unsettled {
        /// What was to be published.
        generation: GenerationId,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A live generation cannot be kept.
    #[error(
        "cannot keep the live forecasts of {as_of} in the prediction store; free some disk space, or start the nodes that are down: the next minute tries again"
    )]
    Live {
        /// Up to when sales were in them.
        as_of: DateTime<Utc>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The id is taken by other content.
    #[error("generation `{0}` is already published with other content; publish under a new id")]
    Changed(GenerationId),
    /// The file cannot be read.
    #[error("cannot read `{document}` from the prediction store; check the disk and the file's rights")]
    Read {
        /// What was to be read.
        document: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A document does not fit into JSON.
    #[error("cannot write `{document}` as JSON; a number in it is not finite")]
    Encode {
        /// Its name.
        document: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document cannot be compressed or decompressed.
    #[error("cannot pack or unpack `{document}`; publish the generation anew")]
    Pack {
        /// Its name.
        document: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document is not what this version writes.
    #[error("cannot understand `{document}`: another version of sellcast wrote it; publish anew")]
    Decode {
        /// Its name.
        document: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl StoreError {
    pub(super) fn opening(path: &Path, source: redb::Error) -> Self {
        match source {
            redb::Error::DatabaseAlreadyOpen => Self::Held { path: path.to_owned() },
            source => Self::Open { path: path.to_owned(), source: Box::new(source) },
        }
    }

    pub(super) fn writing(generation: GenerationId, source: redb::Error) -> Self {
        // A quota and a file-size limit are mended the same way as a full disk.
        let full = matches!(
            &source,
            redb::Error::Io(error)
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        );
        let source = Box::new(source);
        if full { Self::Full { generation, source } } else { Self::Write { generation, source } }
    }

    pub(super) fn reading(document: &str, source: redb::Error) -> Self {
        Self::Read { document: document.to_owned(), source: Box::new(source) }
    }
}
