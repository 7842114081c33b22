//! What can go wrong with a state file. A full disk is told apart from other failed writes, because the operator can do
//! something about it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process has it open.
    #[error("the state `{0}` is in use by another process: each partition is kept by one worker at a time")]
    InUse(PathBuf),
    /// The disk is full.
    #[error("no room on the disk to {step} the state `{path}`; free some space there, what it holds is whole and nothing is lost")]
    Full {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// The file cannot be read or written.
    #[error("cannot {step} the state `{path}`")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why not.
        source: Box<redb::Error>,
    },
    /// After a failed write it was opened anew, and holds what somebody else wrote meanwhile.
    #[error("the state `{0}` was changed by another process after a failed write: start again, to go on from what it holds now")]
    Changed(PathBuf),
    /// Its content makes no sense.
    #[error("the state `{path}` is damaged: remove it and the worker reads its partition from the start")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StateError {
    pub(super) fn failed(path: &Path, step: &'static str, source: redb::Error) -> Self {
        // A quota and a file-size limit are mended the same way as a full disk.
        let is_full = matches!(
            &source,
            redb::Error::Io(error)
                if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
        );
        let (path, source) = (path.to_owned(), Box::new(source));
        if is_full { Self::Full { path, step, source } } else { Self::Database { path, step, source } }
    }

    pub(super) fn damaged(path: &Path, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Damaged { path: path.to_owned(), source: Box::new(source) }
    }
}
