//! What do actions need of the disk?
//!
//! Whoever may open files reads what actions name and hands it to whoever carries them out and may open none. Nothing of it is
//! shown anywhere.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use prost::Message as _;

use super::settings::{Action, Tls, Way};
use crate::alert::Failure;
use crate::source::routing::secret::{self, Secret};
use crate::source::{Error, kept};

/// The authorities that this host trusts, as packages of distributions put them together: Debian and Arch, Fedora and its
/// relatives until now and from now on, SUSE, and Alpine.
const ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What stands for the path of the authorities of this host.
const OF_HOST: &str = "";

/// Bytes of a file of authorities or of a template at most.
const MOST: u64 = 1 << 20;

/// Bytes of all files as they are handed over at most.
pub const MAX_FILES: u64 = 16 << 20;

/// What was read, by its path. Those of this host's authorities have none: where they are only who reads them knows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(HashMap<PathBuf, Vec<u8>>);

/// How a file may be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// So that nobody but its owner may read it.
    Secret,
    /// So that anybody may.
    Open,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Handed {
    #[prost(message, repeated, tag = "1")]
    files: Vec<File>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct File {
    #[prost(bytes = "vec", tag = "1")]
    path: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    bytes: Vec<u8>,
}

impl Files {
    /// Reads what actions need; what could not be read is missing, with the reason and the name of the action.
    pub fn read(actions: &[Action]) -> (Self, Vec<(String, Error)>) {
        Self::read_with(actions, &ROOTS.map(PathBuf::from))
    }

    /// The same where the authorities of this host are in the first of some files that is there.
    fn read_with(actions: &[Action], roots: &[PathBuf]) -> (Self, Vec<(String, Error)>) {
        let (mut files, mut untold) = (HashMap::new(), Vec::new());
        for action in actions {
            for (path, how) in needed(action) {
                let read = match how {
                    Kept::Secret => secret::read(&path).map(|secret| secret.bytes().to_vec()),
                    Kept::Open => {
                        let path = if path == Path::new(OF_HOST) { of_host(roots) } else { &path };
                        kept::read(path, MOST).map_err(|cause| Error::new("read", path, cause))
                    }
                };
                match read {
                    Ok(bytes) => drop(files.insert(path, bytes)),
                    Err(error) => untold.push((action.name.clone(), error)),
                }
            }
        }
        (Self(files), untold)
    }

    /// As it is handed over.
    pub fn encoded(&self) -> Vec<u8> {
        let file = |(path, bytes): (&PathBuf, &Vec<u8>)| File {
            path: path.as_os_str().as_bytes().to_vec(),
            bytes: bytes.clone(),
        };
        Handed { files: self.0.iter().map(file).collect() }.encode_to_vec()
    }

    /// Takes what was handed over; `None` if that is something else.
    pub fn decoded(bytes: &[u8]) -> Option<Self> {
        let handed = Handed::decode(bytes).ok()?;
        let path = |bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes));
        Some(Self(handed.files.into_iter().map(|file| (path(file.path), file.bytes)).collect()))
    }

    fn of(&self, path: &Path) -> Result<&[u8], Failure> {
        let what =
            || if path == Path::new(OF_HOST) { "the authorities of this host".into() } else { path.to_string_lossy() };
        let unread = || Failure::unsent(format!("read {}: it could not be read; the log says why", what()));
        self.0.get(path).map(Vec::as_slice).ok_or_else(unread)
    }

    /// What a file of authorities says; that of this host if the path is empty.
    pub(super) fn roots(&self, path: &Path) -> Result<&[u8], Failure> {
        self.of(path)
    }

    /// What a template says.
    pub(super) fn text(&self, path: &Path) -> Result<&str, Failure> {
        let wrong = |_| Failure::refused(format!("read {}: it is not text", path.display()));
        std::str::from_utf8(self.of(path)?).map_err(wrong)
    }

    /// A token or a password; `None` if the path is empty.
    pub(super) fn secret(&self, path: &Path) -> Result<Option<Secret>, Failure> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let secret = Secret::new(path, self.of(path)?);
        secret.map(Some).map_err(|error| Failure::refused(error.to_string()))
    }
}

/// The file of authorities that this host has; the first one, which cannot be read, if it has none.
fn of_host(roots: &[PathBuf]) -> &Path {
    let found = roots.iter().find(|path| path.exists()).or(roots.first());
    found.map_or(Path::new(OF_HOST), PathBuf::as_path)
}

/// Files that an action names.
fn needed(action: &Action) -> BTreeMap<PathBuf, Kept> {
    let (secrets, open, roots_of) = match action.way() {
        Some(Way::Webhook(hook)) => {
            (Some(&hook.token_file), Some(&hook.template_file), hook.url.starts_with("https:").then_some(&hook.ca_file))
        }
        Some(Way::Mail(mail)) => (Some(&mail.password_file), None, (mail.tls != Tls::None).then_some(&mail.ca_file)),
        Some(Way::Alertmanager(manager)) => {
            let is_tls = manager.urls.iter().any(|url| url.starts_with("https:"));
            (Some(&manager.token_file), None, is_tls.then_some(&manager.ca_file))
        }
        Some(Way::Command(_) | Way::Syslog(_) | Way::Journald) | None => (None, None, None),
    };
    let named =
        |path: Option<&PathBuf>, how| path.filter(|path| !path.as_os_str().is_empty()).map(|path| (path.clone(), how));
    let trusted = roots_of.map(|path| (path.clone(), Kept::Open));
    let all = [named(secrets, Kept::Secret), named(open, Kept::Open), trusted];
    all.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Fate;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_actions_name_is_read_once_and_handed_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (token, open, roots) =
            (file("t", "s3cret\n", 0o600), file("o", "s3cret\n", 0o644), file("r", "PEM", 0o644));
        let action = |token: &Path| {
            let text = "name = 'a'\nwebhook = { url = 'https://h', token_file = 'TOKEN', ca_file = 'ROOTS' }";
            let text = text.replace("TOKEN", token.to_str().unwrap()).replace("ROOTS", roots.to_str().unwrap());
            toml::from_str::<Action>(&text).unwrap()
        };
        let (files, untold) = Files::read(&[action(&token), action(&open)]);
        assert_eq!(untold.len(), 1);
        assert!(untold[0].1.to_string().contains("can be used by others"), "{}", untold[0].1);
        let files = Files::decoded(&files.encoded()).unwrap();
        assert_eq!(files.secret(&token).unwrap().unwrap().bytes(), b"s3cret");
        assert_eq!(files.roots(&roots), Ok(&b"PEM"[..]));
        assert!(
            files.secret(&open).unwrap_err().fate == Fate::Unsent && files.secret(Path::new("")).unwrap().is_none()
        );
        assert!(Files::decoded(&[0xff]).is_none());
    }

    #[test]
    fn the_authorities_of_a_host_are_found_where_it_has_them_and_used_where_no_file_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        let action = |text: &str| toml::from_str::<Action>(&format!("name = 'a'\n{text}")).unwrap();
        let actions = [action("webhook = { url = 'https://h' }")];
        let known = ["nowhere", "here", "later"].map(|name| dir.path().join(name));
        std::fs::write(&known[1], "PEM").unwrap();
        let (files, untold) = Files::read_with(&actions, &known);
        assert!(untold.is_empty());
        // whoever is told cannot look where it was
        std::fs::remove_file(&known[1]).unwrap();
        assert_eq!(Files::decoded(&files.encoded()).unwrap().roots(Path::new("")), Ok(&b"PEM"[..]));
        let (files, untold) = Files::read_with(&actions, &known);
        assert!(untold[0].1.to_string().contains("nowhere"), "{}", untold[0].1);
        let failed = files.roots(Path::new("")).unwrap_err();
        assert_eq!(failed.cause, "read the authorities of this host: it could not be read; the log says why");
    }
}
