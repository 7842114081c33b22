//! A model version's files: written whole before the registry lists them, and read back only when they are what was
//! written.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
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

/// Writes the files of a version, each under another name first.
pub(crate) fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    for (name, content) in files {
        let (part, path) = (folder.join(format!("{name}.part")), folder.join(name));
        std::fs::write(&part, content)
            .and_then(|()| std::fs::rename(&part, &path))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// Reads the version in `folder`. Files that differ from those of `digest`, that are damaged or that a newer program
/// wrote are refused.
pub(crate) fn read(folder: &Path, version: &str, known_digest: Option<&str>) -> anyhow::Result<Loaded> {
    let files = files(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let digest = digest(&files);
    if let Some(known) = known_digest {
        ensure!(known == digest, "the files in `{}` are not those that were written: they are damaged or changed", folder.display());
    }
    let models = FrameModels::from_files(&files, sellcast_features::Definitions::current().version())?;
    Ok(Loaded { models, version: version.to_owned(), digest })
}

fn files(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What a killed writing left behind is no file of the model; files of folders below belong to other versions.
        if !name.ends_with(".part") && entry.file_type()?.is_file() {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}
