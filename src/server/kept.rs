//! What does the agent keep on the disk, and how does it get to the front?
//!
//! Only the supervisor reads files. What the front needs of them goes to it in memory files over the control socket, at its
//! start and whenever a file changes; the front itself may be without any right to files.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{MemfdFlags, SealFlags};

use super::pass::{self, Word};
use super::tls::{self, Identity, TlsError};
use super::token::{TokenError, Tokens};
use crate::source::kept;

/// Reads a file that nobody but its owner, this user or root, may read.
///
/// # Errors
/// It cannot be read, or others could have read or written it.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, TokenError> {
    let fail = |cause| TokenError::File { op: "read", path: path.to_owned(), cause };
    let (file, meta) = kept::open(path).map_err(fail)?;
    if let Some(why) = kept::others(&meta, 0o077) {
        return Err(TokenError::Open { path: path.to_owned(), why });
    }
    kept::bytes(file, most).map_err(fail)
}

/// What a link leads to: the link stays, and whoever reads the file by its other name sees what is changed.
///
/// # Errors
/// It leads nowhere.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_symlink() => path.canonicalize(),
        _ => Ok(path.to_owned()),
    }
}

/// Replaces a file as a whole by one that only its owner may read.
///
/// # Errors
/// It cannot be written.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = resolved(path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&fresh, &path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&fresh);
    })
}

/// Bytes as a file in memory that nobody can change any more.
///
/// # Errors
/// The kernel has no room.
pub(super) fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("netglance", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

/// What a file in memory holds.
///
/// # Errors
/// It is too large, or no file.
pub(super) fn from_memory(file: OwnedFd, most: u64) -> io::Result<Vec<u8>> {
    let length = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(u64::MAX);
    let file = File::from(file);
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a file of {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Longest wait for a change of files in a directory that is not there.
const LOOK: Duration = Duration::from_secs(2);

/// Where the files are.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    pub(super) tokens: PathBuf,
    /// Certificates and their key; the own ones if empty.
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// The authority of clients; none if empty.
    pub(super) client_ca: PathBuf,
    pub(super) state: PathBuf,
    /// Whether there is TLS at all.
    pub(super) tls: bool,
}

impl Places {
    fn identity(&self) -> Result<Identity, TlsError> {
        let pem = if self.certificate.as_os_str().is_empty() {
            Identity::own(&self.state)?
        } else {
            let mut pem = public(&self.certificate)?;
            tls::check(&self.certificate, &pem)?;
            pem.push(b'\n');
            pem.extend(read(&self.key, tls::MAX_PEM)?);
            pem
        };
        Ok(Identity { pem, clients: self.authority()? })
    }

    /// The authority of clients. A file that is empty, maybe for a moment while somebody writes it, is not as if none was
    /// wanted.
    fn authority(&self) -> Result<Vec<u8>, TlsError> {
        if self.client_ca.as_os_str().is_empty() {
            return Ok(Vec::new());
        }
        let pem = public(&self.client_ca)?;
        tls::first(&self.client_ca, &pem)?;
        Ok(pem)
    }

    /// Where a change of the files can be seen: beside each, and beside what it is a link to.
    fn dirs(&self) -> BTreeSet<PathBuf> {
        let files = [&self.tokens, &self.certificate, &self.key, &self.client_ca].into_iter();
        let files = files.filter(|file| !file.as_os_str().is_empty());
        let files = files.flat_map(|file| [Some(file.clone()), resolved(file).ok()]).flatten();
        files.map(|file| file.parent().unwrap_or(Path::new("/")).to_owned()).collect()
    }
}

/// Reads a file that is no secret.
fn public(path: &Path) -> Result<Vec<u8>, TokenError> {
    kept::read(path, tls::MAX_PEM).map_err(|cause| TokenError::File { op: "read", path: path.to_owned(), cause })
}

/// What the front needs of the disk, as the supervisor knows it.
pub(super) struct Files {
    places: Places,
    identity: Option<Identity>,
    /// Tells of changes in the directory of the tokens.
    changes: Option<OwnedFd>,
    watched: bool,
    known: Option<Tokens>,
    told: String,
}

impl Files {
    /// Reads nothing yet.
    pub(super) fn new(places: Places) -> Self {
        let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok();
        Self { places, identity: None, changes, watched: false, known: None, told: String::new() }
    }

    /// What becomes readable when a file may have changed.
    pub(super) fn changes(&self) -> Option<&OwnedFd> {
        self.changes.as_ref().filter(|_| self.watched)
    }

    /// How long to wait before looking again unasked.
    pub(super) fn patience(&self) -> Option<Duration> {
        (!self.watched).then_some(LOOK)
    }

    /// Reads again; whether something changed. Tokens that cannot be trusted are none.
    pub(super) fn look(&mut self, say: &dyn Fn(&str)) -> bool {
        if let Some(changes) = &self.changes {
            let mut events = [0; 4096];
            while rustix::io::read(changes, &mut events).is_ok_and(|read| read > 0) {}
            // a link is only created
            let flags = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::MOVE;
            let flags = flags | WatchFlags::DELETE | WatchFlags::ATTRIB;
            // watched before it is read: nothing is missed
            self.watched = true;
            for dir in self.places.dirs() {
                self.watched &= inotify::add_watch(changes, dir, flags | WatchFlags::DELETE_SELF).is_ok();
            }
        }
        let (tokens, mut problem) = match Tokens::read(&self.places.tokens) {
            Ok(tokens) => (tokens, String::new()),
            Err(error) => (Tokens::default(), format!("no token is good: {error}")),
        };
        let mut fresh = false;
        if self.places.tls {
            match self.places.identity().and_then(|identity| self.adopt(identity, say)) {
                Ok(changed) => fresh = changed,
                // the old key is better than none
                Err(error) => problem = format!("{problem}{}{error}", if problem.is_empty() { "" } else { "; " }),
            }
        }
        if problem != self.told && !problem.is_empty() {
            say(&problem);
        }
        self.told = problem;
        let changed = self.known.as_ref() != Some(&tokens);
        if changed && (self.known.is_some() || !tokens.list().is_empty()) {
            say(&format!("tokens that are good: {}", tokens.list().len()));
        }
        self.known = Some(tokens);
        changed || fresh
    }

    /// Takes another identity if it can be used; whether it is another.
    fn adopt(&mut self, identity: Identity, say: &dyn Fn(&str)) -> Result<bool, TlsError> {
        if self.identity.as_ref() == Some(&identity) {
            return Ok(false);
        }
        identity.acceptor()?;
        say(&format!("the key of this agent is {}", identity.fingerprint()?));
        self.identity = Some(identity);
        Ok(true)
    }

    /// Whether there is no TLS where there should be.
    pub(super) fn lack_a_key(&self) -> bool {
        self.places.tls && self.identity.is_none()
    }

    /// Whether somebody from another host could say who it is, and be heard by nobody else.
    pub(super) fn are_safe(&self) -> bool {
        let named = self.known.as_ref().is_some_and(|tokens| !tokens.list().is_empty());
        self.identity.as_ref().is_some_and(|identity| named || !identity.clients.is_empty())
    }

    /// What is wrong with the files; empty if nothing is.
    pub(super) fn problem(&self) -> &str {
        &self.told
    }

    /// Tells a front what it needs.
    ///
    /// # Errors
    /// The front does not listen, or there is no room.
    pub(super) fn send(&self, control: impl AsFd) -> io::Result<()> {
        let tokens = self.known.as_ref().map(Tokens::write).unwrap_or_default();
        pass::send(&control, Word::Tokens, Some(in_memory(tokens.as_bytes())?.as_fd()))?;
        if let Some(identity) = &self.identity {
            pass::send(&control, Word::Clients, Some(in_memory(&identity.clients)?.as_fd()))?;
            pass::send(&control, Word::Identity, Some(in_memory(&identity.pem)?.as_fd()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_others_could_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        replace(&path, b"secret").unwrap();
        assert_eq!(read(&path, 6).unwrap(), b"secret");
        assert!(read(&path, 5).unwrap_err().to_string().contains("larger"));
        for mode in [0o640, 0o604, 0o620, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let told = read(&path, 6).unwrap_err().to_string();
            assert!(told.contains(&format!("{mode:04o}")), "{told}");
        }
        assert!(read(dir.path(), 6).unwrap_err().to_string().contains("regular"));
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path, 9).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_authority_that_is_lost_lets_nobody_in_without_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let (state, client_ca) = (dir.path().join("state"), dir.path().join("ca.pem"));
        let authority = Identity::own(&dir.path().join("other")).unwrap();
        std::fs::write(&client_ca, &authority).unwrap();
        let tokens = dir.path().join("tokens");
        let places = Places { tokens, client_ca: client_ca.clone(), state, tls: true, ..Places::default() };
        let mut files = Files::new(places.clone());
        assert!(files.look(&|_| {}) && files.problem().is_empty(), "{}", files.problem());
        for lost in ["", "garbage", "-----BEGIN CERTIFICATE-----\nMII"] {
            std::fs::write(&client_ca, lost).unwrap();
            assert!(!files.look(&|_| {}) && !files.problem().is_empty(), "{lost:?}");
            assert!(files.identity.as_ref().unwrap().clients == authority, "{lost:?}");
            let mut fresh = Files::new(places.clone());
            fresh.look(&|_| {});
            assert!(fresh.lack_a_key() && !fresh.are_safe(), "{lost:?}");
        }
    }

    #[test]
    fn a_link_stays_and_one_that_leads_nowhere_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let [real, link, lost] = ["real", "link", "lost"].map(|name| dir.path().join(name));
        replace(&real, b"one").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(link.is_symlink());
        assert_eq!((read(&real, 9).unwrap(), read(&link, 9).unwrap()), (b"two".to_vec(), b"two".to_vec()));
        std::os::unix::fs::symlink("nowhere", &lost).unwrap();
        assert!(replace(&lost, b"three").is_err());
        assert!(read(&lost, 9).unwrap_err().to_string().contains("leads nowhere"));
        // whatever the file is: neither a new key nor an empty list of tokens takes its place
        std::os::unix::fs::symlink("nowhere", dir.path().join("identity.pem")).unwrap();
        assert!(Identity::own(dir.path()).is_err());
        assert!(Tokens::read(&lost).is_err() && Tokens::revoke(&lost, "one").is_err());
        assert!(lost.is_symlink() && !dir.path().join("nowhere").exists());
    }

    #[test]
    fn memory_files_carry_bytes_and_cannot_be_changed() {
        let file = in_memory(b"bytes").unwrap();
        assert!(rustix::io::pwrite(&file, b"x", 0).is_err());
        assert!(from_memory(file.try_clone().unwrap(), 4).is_err());
        assert_eq!(from_memory(file, 5).unwrap(), b"bytes");
    }
}
