//! The data folder: where everything of one shop lies, and the lock that keeps a second process out of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The registry of models and the job queue, below the data folder.
pub(crate) const METADATA: &str = "sellcast.db";

/// A data folder held by this process.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// The lock lives as long as the file is open, also when the process is killed.
    _lock: File,
}

impl Folder {
    /// Makes the folder if need be and takes its lock, or says who holds it.
    pub(crate) fn hold(dir: &Path, command: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the data folder `{}`", dir.display()))?;
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot write into the data folder `{}`", dir.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).unwrap_or_default();
                let holder = if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
                bail!("the data folder `{}` is in use by {holder}; stop it first or name another folder with --dir", dir.display());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock `{}`", path.display())),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "`sellcast {command}` (process {})", std::process::id())?;
        Ok(Self { dir: dir.to_owned(), _lock: file })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn warehouse(&self) -> PathBuf {
        self.dir.join("warehouse")
    }

    pub(crate) fn predictions(&self) -> PathBuf {
        self.dir.join("predictions.redb")
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.dir.join(METADATA)
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.dir.join("models")
    }

    pub(crate) fn stream(&self) -> PathBuf {
        self.dir.join("stream")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("pseudonym.key")
    }

    pub(crate) fn shop(&self) -> PathBuf {
        self.dir.join("shop.db")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("sellcast.toml")
    }
}
