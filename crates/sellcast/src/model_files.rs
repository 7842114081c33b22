//! A model version's files: written whole before the registry lists them, and read back only when they are what was
//! written.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sellcast_domain::ModelSource;
use sellcast_forecast::FrameModels;

/// A champion in memory.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) models: FrameModels,
    /// Version in the registry.
    pub(crate) version: String,
    /// Digest of the files.
    pub(crate) digest: String,
}

impl Loaded {
    /// What a generation records of it.
    pub(crate) fn source(&self) -> ModelSource {
        ModelSource { version: self.version.clone(), digest: self.digest.clone() }
    }
}

/// A digest of files by name and content.
pub(crate) fn digest(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, content) in files {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().to_hex().to_string()
}

/// The files of all versions: in the data folder, or beside the warehouse's tables in its bucket.
pub(crate) struct ModelFiles {
    store: Arc<dyn ObjectStore>,
    place: String,
}

impl ModelFiles {
    /// Those in a folder, which is made if it is missing.
    pub(crate) fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let store = LocalFileSystem::new_with_prefix(folder).with_context(|| format!("cannot use `{}`", folder.display()))?;
        Ok(Self { store: Arc::new(store), place: folder.display().to_string() })
    }

    /// Those in a bucket, at a place with this name.
    pub(crate) fn in_bucket((place, store): (String, Arc<dyn ObjectStore>)) -> Self {
        Self { store, place }
    }

    /// Writes the files of a version. Each of them is there whole or not at all.
    pub(crate) async fn write(&self, version: &str, files: BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
        for (name, content) in files {
            let written = self.store.put(&ObjectPath::from(format!("{version}/{name}")), content.into()).await;
            written.with_context(|| format!("cannot write `{}/{version}/{name}`", self.place))?;
        }
        Ok(())
    }

    /// Reads a version. Files that differ from those of `digest`, that are damaged or that a newer program wrote are refused.
    pub(crate) async fn read(&self, version: &str, known_digest: Option<&str>) -> anyhow::Result<Loaded> {
        let place = || format!("{}/{version}", self.place);
        let files = self.files(version).await.with_context(|| format!("cannot read `{}`", place()))?;
        if files.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there are no files in `{}`", place())).into());
        }
        let digest = digest(&files);
        if let Some(known) = known_digest {
            ensure!(known == digest, "the files in `{}` are not those that were written: they are damaged or changed", place());
        }
        let models = FrameModels::from_files(&files, sellcast_features::Definitions::current().version())?;
        Ok(Loaded { models, version: version.to_owned(), digest })
    }

    /// Whether there is any file of a version.
    pub(crate) async fn has(&self, version: &str) -> anyhow::Result<bool> {
        let listed = self.store.list_with_delimiter(Some(&ObjectPath::from(version))).await;
        Ok(!listed.with_context(|| format!("cannot look into `{}`", self.place))?.objects.is_empty())
    }

    async fn files(&self, version: &str) -> object_store::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        // What is further below belongs to other versions.
        for file in self.store.list_with_delimiter(Some(&ObjectPath::from(version))).await?.objects {
            let content = self.store.get(&file.location).await?.bytes().await?;
            files.extend(file.location.filename().map(|name| (name.to_owned(), content.to_vec())));
        }
        Ok(files)
    }
}
