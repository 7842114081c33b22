//! Names and e-mail addresses become keyed hashes before anything is written. The key lives in a file of its own,
//! outside the warehouse; without it the pseudonyms can be neither reversed nor guessed from a list of names.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::WarehouseError;

/// The secret behind the pseudonyms.
#[derive(Clone)]
pub struct PseudonymKey([u8; 32]);

impl PseudonymKey {
    /// The key kept at `path`; made from the system's randomness at the first call, readable by its owner alone.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, WarehouseError> {
        let fail = |source: io::Error| WarehouseError::Key { path: path.to_owned(), source };
        match fs::read(path) {
            Ok(bytes) => {
                let bytes = <[u8; 32]>::try_from(bytes.as_slice())
                    .map_err(|_| fail(io::Error::new(io::ErrorKind::InvalidData, format!("it holds {} bytes", bytes.len()))))?;
                Ok(Self(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(fail),
            Err(error) => Err(fail(error)),
        }
    }

    /// The key kept at `path`, or `None` when there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn load(path: &Path) -> Result<Option<Self>, WarehouseError> {
        if path.exists() { Self::load_or_create(path).map(Some) } else { Ok(None) }
    }

    /// A key from the system's randomness.
    ///
    /// # Errors
    /// When the system has none.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key as 64 hexadecimal digits, to be kept as a secret.
    pub fn to_hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The key of [`PseudonymKey::to_hex`], or `None` when the text is none.
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The keyed hash of a text, as its first eight bytes.
    pub(crate) fn number(&self, text: &[u8]) -> [u8; 8] {
        let mut number = [0; 8];
        number.copy_from_slice(&blake3::keyed_hash(&self.0, text).as_bytes()[..8]);
        number
    }

    /// The pseudonym of a text: 64 hexadecimal digits.
    pub(crate) fn pseudonym(&self, text: &str) -> String {
        blake3::keyed_hash(&self.0, text.as_bytes()).to_hex().to_string()
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(..)")
    }
}

/// Writes beside the place first, so that a crash leaves no half key.
fn create(path: &Path) -> io::Result<PseudonymKey> {
    let key = PseudonymKey::random()?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(&key.0)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_never_printed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/pseudonym.key");
        let first = PseudonymKey::load_or_create(&path).expect("made");
        let second = PseudonymKey::load_or_create(&path).expect("read");
        assert_eq!(first.pseudonym("Ada"), second.pseudonym("Ada"));
        assert_ne!(first.pseudonym("Ada"), first.pseudonym("ada"));
        assert_eq!(format!("{first:?}"), "PseudonymKey(..)");
        let third = PseudonymKey::from_hex(&first.to_hex()).expect("a key");
        assert_eq!(first.pseudonym("Ada"), third.pseudonym("Ada"));
        assert!(PseudonymKey::from_hex("Ada").is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_of_the_wrong_length_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("short.key");
        fs::write(&path, b"short").expect("written");
        let error = PseudonymKey::load_or_create(&path).expect_err("refused");
        assert!(error.to_string().contains("short.key"), "{error}");
    }
}
