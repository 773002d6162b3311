//! Is this socket that of the daemon which is looked for?
//!
//! Anybody may make a file with that name in a directory that anybody may write to. So a socket is believed by who owns it and
//! the directory that it is in, and by who listens there (`SO_PEERCRED` of `unix(7)`): root, or the user that packages make
//! for the daemon.

use std::os::fd::{AsFd, AsRawFd as _};
use std::path::Path;

use rustix::fs::{FileType, Mode, Stat};

use crate::source::Error;
use crate::source::file::Root;
use crate::source::user::Users;

/// What an error says that was attempted with a socket that is not believed.
pub const TRUST: &str = "trust";

/// Who is believed.
#[derive(Debug)]
pub struct Trust {
    users: Users,
    /// Users of daemons.
    daemons: &'static [&'static str],
    /// Their numbers, where somebody else has looked.
    told: Option<Vec<u32>>,
}

impl Trust {
    /// Believes root, and these users of daemons.
    #[must_use]
    pub fn new(daemons: &'static [&'static str]) -> Self {
        Self { users: Users::default(), daemons, told: None }
    }

    /// Looks again who is who.
    pub fn refresh(&mut self, host: &Root) {
        self.users.refresh(host);
    }

    /// Believes root and these users, whatever was looked up.
    pub fn told(&mut self, users: Vec<u32>) {
        self.told = Some(users);
    }

    /// Numbers of the users of daemons.
    pub fn numbers(&self) -> Vec<u32> {
        self.users.numbers(self.daemons)
    }

    fn is_trusted(&self, user: u32) -> bool {
        let is_known = || self.daemons.contains(&self.users.name(user).as_str());
        user == 0 || self.told.as_ref().map_or_else(is_known, |told| told.contains(&user))
    }

    /// Owner of a socket, if that is one to be believed.
    ///
    /// # Errors
    /// [`TRUST`] when it is somebody else's, another error when it is not there.
    pub fn owner(&self, socket: &Path) -> Result<u32, Error> {
        let stat = rustix::fs::lstat(socket).map_err(|cause| Error::new("look at", socket, cause))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(refused(socket, "it is no socket".to_owned()));
        }
        let owned = |stat: &Stat| if self.is_trusted(stat.st_uid) { Ok(stat.st_uid) } else { Err(stat.st_uid) };
        let others = |user| format!("it belongs to user {}", self.users.name(user));
        let owner = owned(&stat).map_err(|user| refused(socket, others(user)))?;
        let Some(place) = socket.parent() else { return Ok(owner) };
        let stat = rustix::fs::stat(place).map_err(|cause| Error::new("look at", place, cause))?;
        owned(&stat).map_err(|user| refused(place, others(user)))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
            return Err(refused(place, "anybody may change what is in it".to_owned()));
        }
        Ok(owner)
    }

    /// Whether a user is believed who listens somewhere.
    ///
    /// # Errors
    /// [`TRUST`] when it is somebody else.
    pub fn listener(&self, user: u32, place: &Path) -> Result<(), Error> {
        let others = || refused(place, format!("user {} listens there", self.users.name(user)));
        if self.is_trusted(user) { Ok(()) } else { Err(others()) }
    }

    /// The process that listens at the other end, if that is the owner of the socket or root; `None` when it is out of sight.
    ///
    /// # Errors
    /// [`TRUST`] when it is somebody else.
    pub fn peer(&self, connection: impl AsFd, socket: &Path, owner: u32) -> Result<Option<u32>, Error> {
        let peer = credentials(connection).map_err(|cause| Error::new("ask who listens on", socket, cause))?;
        if peer.uid != 0 && peer.uid != owner {
            return Err(refused(socket, format!("user {} listens there", self.users.name(peer.uid))));
        }
        Ok(u32::try_from(peer.pid).ok().filter(|pid| *pid > 0))
    }
}

/// Who has called `listen(2)`. The number of a process that is in no namespace of this one is 0.
pub(super) fn credentials(connection: impl AsFd) -> std::io::Result<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let socket = connection.as_fd().as_raw_fd();
    // SAFETY: `peer` has `length` bytes, and any bytes are one
    let done = unsafe {
        let into = (&raw mut peer).cast();
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, into, &raw mut length)
    };
    if done == 0 { Ok(peer) } else { Err(std::io::Error::last_os_error()) }
}

/// That something is not believed.
pub fn refused(what: &Path, why: String) -> Error {
    Error::new(TRUST, what, std::io::Error::new(std::io::ErrorKind::PermissionDenied, why))
}
