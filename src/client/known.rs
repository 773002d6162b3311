//! Which key does an agent have?
//!
//! Agents are known by SHA-256 of their public key (`SubjectPublicKeyInfo`), in a file of known hosts as ssh has one. It is
//! read again when it has changed, so that a key accepted elsewhere counts at once, and no more often.

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};

use super::Target;
use crate::model::lock;
use crate::source::kept;

/// Bytes of the file of known hosts at most.
const MAX_KNOWN: u64 = 16 << 20;

/// SHA-256 of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key: write SHA256:..., as the agent says it at its start")]
pub struct FingerprintError;

impl Fingerprint {
    /// Of the key in a certificate; `None` for one that is damaged.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        Some(Self(Sha256::digest(parsed.subject_public_key_info().as_ref()).into()))
    }
}

impl std::str::FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let bytes = text.strip_prefix("SHA256:").and_then(|text| STANDARD_NO_PAD.decode(text).ok());
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(FingerprintError)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

/// Why an agent is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It was never seen.
    #[error("its key is not known: {0}")]
    Unknown(Fingerprint),
    /// It had another key.
    #[error("ITS KEY HAS CHANGED to {now} from {was}: somebody may be listening, or the agent was set up anew")]
    Changed {
        /// The known one.
        was: Fingerprint,
        /// The one that it shows.
        now: Fingerprint,
    },
}

/// The file of known hosts is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{op} {path}: {cause}")]
pub(super) struct Unkept {
    op: &'static str,
    path: String,
    cause: io::Error,
}

/// What tells whether a file is the one that was read.
type Stamp = (u64, u64, u64, i64, i64);

/// Agents with their keys; `None` for a line that has none.
type Keys = HashMap<String, Option<Fingerprint>>;

/// The keys that somebody has accepted.
pub struct KnownHosts {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Keys)>>,
    /// Held by the one who looks and writes: who only looks does not wait for a disk.
    writing: Mutex<()>,
}

impl KnownHosts {
    /// Those of a file, which need not be there.
    pub fn at(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, read: Mutex::default(), writing: Mutex::default() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn unkept(&self, op: &'static str, cause: io::Error) -> io::Error {
        io::Error::new(cause.kind(), Unkept { op, path: self.path.display().to_string(), cause })
    }

    /// The known key of an agent.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn key(&self, target: &Target) -> io::Result<Option<Fingerprint>> {
        let fail = |cause| self.unkept("read the known hosts in", cause);
        let (file, meta) = match kept::open(&self.path) {
            Ok(found) => found,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(fail(cause)),
        };
        if let Some(why) = kept::others(&meta, 0o022) {
            return Err(fail(io::Error::other(format!("it {why}"))));
        }
        let stamp = stamp(&meta);
        let mut read = lock(&self.read);
        if read.as_ref().is_none_or(|(known, _)| *known != stamp) {
            *read = Some((stamp, keys(&kept::bytes(file, MAX_KNOWN).map_err(fail)?)));
        }
        match read.as_ref().and_then(|(_, keys)| keys.get(&name(target))) {
            // as if it was not known it could be given a key by anybody
            Some(None) => Err(fail(io::Error::other(format!("what stands there for {target} is no key")))),
            known => Ok(known.copied().flatten()),
        }
    }

    /// Remembers the key of an agent, and waits until the disk has it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(&self, target: &Target, key: Fingerprint) -> io::Result<()> {
        let fail = |cause| self.unkept("remember the key in", cause);
        if let Some(dir) = self.path.parent() {
            std::fs::create_dir_all(dir).map_err(fail)?;
        }
        let writing = lock(&self.writing);
        // of two first connections that saw different keys only one is right
        if let Some(was) = self.key(target)? {
            return if was == key { Ok(()) } else { Err(io::Error::other(KeyError::Changed { was, now: key })) };
        }
        let open = std::fs::OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path);
        let mut file = open.map_err(fail)?;
        let (name, before) = (name(target), stamp(&file.metadata().map_err(fail)?));
        // a line that somebody has left without its end is not made longer: both keys would be lost
        let end = if is_whole(&file, before.2).map_err(fail)? { "" } else { "\n" };
        let line = format!("{end}{name} {key}\n");
        file.write_all(line.as_bytes()).map_err(fail)?;
        let after = stamp(&file.metadata().map_err(fail)?);
        if let Some((known, keys)) = &mut *lock(&self.read)
            // somebody else who wrote meanwhile is read the next time
            && *known == before
            && (after.0, after.1, after.2) == (before.0, before.1, before.2 + line.len() as u64)
        {
            keys.entry(name).or_insert(Some(key));
            *known = after;
        }
        drop(writing);
        file.sync_all().map_err(fail)
    }
}

/// Which file this is, and how it was when it was looked at.
fn stamp(meta: &Metadata) -> Stamp {
    (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())
}

/// Whether the last line of a file of so many bytes has an end.
fn is_whole(file: &std::fs::File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else { return Ok(true) };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

/// An agent as the file names it.
fn name(target: &Target) -> String {
    target.to_string().to_ascii_lowercase()
}

/// What a line of the file says: of which agent, and its key. `None` if that is none.
fn key(line: &str) -> Option<(String, Option<Fingerprint>)> {
    let mut words = line.split_whitespace();
    let host = words.next().filter(|host| !host.starts_with('#'))?;
    let host = host.parse().map_or_else(|_| host.to_owned(), |target| name(&target));
    Some((host, words.next().and_then(|key| key.parse().ok())))
}

/// The lines of a file of known hosts. The first one of an agent counts, so that appending changes nothing.
fn keys(bytes: &[u8]) -> Keys {
    let mut keys = Keys::new();
    for (host, key) in String::from_utf8_lossy(bytes).lines().filter_map(key) {
        keys.entry(host).or_insert(key);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_for_its_host_and_port_only() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::at(dir.path().join("made/known_hosts"));
        let target: Target = "hv01:7000".parse().unwrap();
        assert_eq!(known.key(&target).unwrap(), None);
        let key = Fingerprint([7; 32]);
        known.remember(&target, key).unwrap();
        assert_eq!(known.key(&"HV01:7000".parse().unwrap()).unwrap(), Some(key));
        assert_eq!(known.key(&"hv01".parse().unwrap()).unwrap(), None);
        known.remember(&target, key).unwrap();
        assert!(known.remember(&target, Fingerprint([8; 32])).unwrap_err().to_string().contains("ITS KEY HAS CHANGED"));
        assert_eq!(known.key(&target).unwrap(), Some(key), "the first one counts");
        assert_eq!(std::fs::read_to_string(known.path()).unwrap().lines().count(), 1);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!("SHA256:short".parse::<Fingerprint>(), Err(FingerprintError));
    }

    #[test]
    fn a_key_that_is_remembered_makes_nobody_read_the_others_again() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::at(dir.path().join("known_hosts"));
        let target = |n: usize| -> Target { format!("hv{n}").parse().unwrap() };
        known.remember(&target(0), Fingerprint([0; 32])).unwrap();
        assert_eq!(known.key(&target(0)).unwrap(), Some(Fingerprint([0; 32])));
        // what is in memory only would be lost if the file was read
        let canary: Target = "unix:canary".parse().unwrap();
        lock(&known.read).as_mut().unwrap().1.insert(canary.to_string(), Some(Fingerprint([9; 32])));
        std::thread::scope(|scope| {
            for n in 1..40 {
                let known = &known;
                // each twice, and only one of both is right
                let one = scope.spawn(move || known.remember(&target(n), Fingerprint([n as u8; 32])));
                let other = scope.spawn(move || known.remember(&target(n), Fingerprint([100; 32])));
                assert_ne!(one.join().unwrap().is_ok(), other.join().unwrap().is_ok(), "{n}");
            }
        });
        assert_eq!(known.key(&canary).unwrap(), Some(Fingerprint([9; 32])), "the file was read again");
        let text = std::fs::read_to_string(known.path()).unwrap();
        assert_eq!(text.lines().count(), 40);
        let fresh = KnownHosts::at(known.path().to_owned());
        for n in 0..40 {
            assert!(known.key(&target(n)).unwrap().is_some());
            assert_eq!(known.key(&target(n)).unwrap(), fresh.key(&target(n)).unwrap(), "{n}");
        }
        // another process
        fresh.remember(&target(40), Fingerprint([40; 32])).unwrap();
        known.remember(&target(41), Fingerprint([41; 32])).unwrap();
        assert_eq!(known.key(&target(40)).unwrap(), Some(Fingerprint([40; 32])));
    }

    #[test]
    fn a_line_without_its_end_is_not_made_longer() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::at(dir.path().join("known_hosts"));
        let [one, two]: [Target; 2] = ["hv01", "hv02"].map(|name| name.parse().unwrap());
        let keys = [1, 2].map(|byte| Fingerprint([byte; 32]));
        for left in [format!("{one} {}", keys[0]), format!("{one} {}\nhv03:61208 SHA256:cut", keys[0])] {
            std::fs::write(known.path(), left).unwrap();
            known.remember(&two, keys[1]).unwrap();
            for known in [&known, &KnownHosts::at(known.path().to_owned())] {
                assert_eq!([&one, &two].map(|target| known.key(target).unwrap()), keys.map(Some));
            }
        }
    }

    #[test]
    fn a_line_that_a_person_has_written_counts_or_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::at(dir.path().join("known_hosts"));
        let key = Fingerprint([7; 32]);
        let cases = [
            ("[FD00::AB]:7500 KEY", "[fd00::ab]:7500"),
            ("HV01:7000  KEY", "hv01:7000"),
            ("hv01\tKEY a comment", "hv01"),
            ("  hv01:61208 KEY\r", "HV01"),
            ("# hv01 SHA256:none\n\nhv01 KEY", "hv01"),
            ("hv01 KEY\nhv01 SHA256:none", "hv01"),
        ];
        for (line, target) in cases {
            std::fs::write(known.path(), line.replace("KEY", &key.to_string()) + "\n").unwrap();
            let target: Target = target.parse().unwrap();
            assert_eq!(known.key(&target).unwrap(), Some(key), "{line:?}");
            assert!(known.remember(&target, Fingerprint([8; 32])).is_err(), "{line:?}");
        }
        for line in ["hv01:61208 SHA256:none", "hv01", "hv01 SHA256:none\nhv01 KEY"] {
            std::fs::write(known.path(), line.replace("KEY", &key.to_string()) + "\n").unwrap();
            let told = known.key(&"hv01".parse().unwrap()).unwrap_err().to_string();
            assert!(told.contains("known_hosts: what stands there for hv01:61208 is no key"), "{line:?}: {told}");
            assert!(known.remember(&"hv01".parse().unwrap(), key).is_err(), "{line:?}");
            assert_eq!(known.key(&"hv02".parse().unwrap()).unwrap(), None, "{line:?}");
        }
        std::fs::set_permissions(known.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(known.key(&"hv02".parse().unwrap()).unwrap_err().to_string().contains("0666"));
    }

    #[test]
    fn what_somebody_else_writes_into_the_file_counts_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownHosts::at(dir.path().join("known_hosts"));
        let target: Target = "hv01".parse().unwrap();
        let (one, two) = (Fingerprint([1; 32]), Fingerprint([2; 32]));
        KnownHosts::at(known.path().to_owned()).remember(&target, one).unwrap();
        assert_eq!(known.key(&target).unwrap(), Some(one));
        let other = dir.path().join("other");
        std::fs::write(&other, format!("{target} {two}\n")).unwrap();
        std::fs::rename(other, known.path()).unwrap();
        assert_eq!(known.key(&target).unwrap(), Some(two));
        std::fs::remove_file(known.path()).unwrap();
        assert_eq!(known.key(&target).unwrap(), None);
        std::fs::create_dir(known.path()).unwrap();
        assert!(known.key(&target).unwrap_err().to_string().contains("known_hosts"));
    }
}
