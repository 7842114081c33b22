//! A folder of a test's own. It is removed when the test passes and kept, with its path told, when it fails: what a
//! killed process left behind is the evidence.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The folder; removed on drop unless the test panics.
#[derive(Debug)]
pub struct TestDir {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl TestDir {
    /// A new folder whose name begins with `name`.
    ///
    /// # Errors
    /// When the temporary folder of the system cannot be written.
    pub fn new(name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("sellcast-{name}-")).tempdir().context("cannot make a temporary folder")?;
        let path = folder.path().to_owned();
        Ok(Self { folder: Some(folder), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside it.
    pub fn join(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.path.join(inside)
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the test's folder is kept: {}", folder.keep().display());
        }
    }
}
