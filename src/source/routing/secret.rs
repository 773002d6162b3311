//! Where do passwords and communities come from?
//!
//! From files that nobody but their owner may read, never from the configuration, and they are shown nowhere.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::source::{Error, kept};

/// Longest secret.
const MOST: u64 = 1024;

/// Something that nobody is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// What a file says on its only line.
    ///
    /// # Errors
    /// It says nothing, or more than one line.
    pub fn new(path: &Path, text: &[u8]) -> Result<Self, Error> {
        let line = text.strip_suffix(b"\n").unwrap_or(text);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(Error::malformed(path, "there is no secret in it"));
        }
        if line.contains(&b'\n') {
            return Err(Error::malformed(path, "there is more than one line in it"));
        }
        Ok(Self(line.to_vec()))
    }

    /// What nobody else is to see.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Reads the secret in a file.
///
/// # Errors
/// It cannot be read, or others could have read or written it.
pub fn read(path: &Path) -> Result<Secret, Error> {
    let fail = |cause| Error::new("read", path, cause);
    let (file, meta) = kept::open(path).map_err(fail)?;
    if let Some(why) = kept::others(&meta, 0o077) {
        let told = format!("it {why}");
        return Err(fail(std::io::Error::new(std::io::ErrorKind::PermissionDenied, told)));
    }
    Secret::new(path, &kept::bytes(file, MOST).map_err(fail)?)
}

/// Who knows secrets.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// The files, which are read when they are needed.
    Files,
    /// Somebody else has read them; those that could not be read are missing.
    Told(HashMap<PathBuf, Secret>),
}

impl Secrets {
    /// Those of some files, if somebody else has read them.
    pub(super) fn given(&self, files: &[&PathBuf]) -> Vec<Option<Secret>> {
        match self {
            Self::Files => Vec::new(),
            Self::Told(known) => files.iter().map(|path| known.get(*path).cloned()).collect(),
        }
    }

    /// The secret in a file.
    ///
    /// # Errors
    /// As [`read`].
    pub(super) fn of(&self, path: &Path) -> Result<Secret, Error> {
        match self {
            Self::Files => read(path),
            Self::Told(known) => known.get(path).cloned().ok_or_else(|| {
                let told = "it could not be read when the agent was started; its log says why";
                Error::new("read", path, std::io::Error::new(std::io::ErrorKind::PermissionDenied, told))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let read = |text: &str| Secret::new(Path::new("/c"), text.as_bytes()).map(|secret| secret.bytes().to_vec());
        for text in ["public", "public\n", "public\r\n"] {
            assert_eq!(read(text).unwrap(), b"public", "{text:?}");
        }
        for text in ["", "\n", "public\n\n", "public\nprivate\n"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
