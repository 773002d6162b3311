//! Who is at the other end of a connection within this host?
//!
//! Anybody may listen on a port while a daemon does not, and would be told its password. So the kernel is asked who has taken a
//! connection (`sock_diag(7)`) before anything is said over it: root, or the user that packages make for the daemon. A password
//! that one of them has not taken is not told again at once: each attempt is a line in the log of somebody who may count them.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::model::lock;
use crate::source::Error;
use crate::source::control::trust::Trust;
use crate::source::file::Root;
use crate::source::netlink::{Family, Socket, diag};
use crate::source::routing::daemon::USERS;
use crate::source::routing::secret::Secret;

/// How long a password is not told again to who has not taken it.
const AGAIN: Duration = Duration::from_mins(1);

/// Asks the kernel.
pub struct Peers {
    trust: Mutex<Trust>,
    /// Where the files of this host are.
    host: Root,
    socket: Mutex<Option<Socket>>,
    /// Which password was not taken where, and when.
    refused: Mutex<HashMap<SocketAddr, (Secret, Instant)>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peers")
    }
}

impl Default for Peers {
    fn default() -> Self {
        Self::of(Root::new("/"))
    }
}

impl Peers {
    /// Believes root, and the users of daemons on a host.
    pub(super) fn of(host: Root) -> Self {
        Self { trust: Mutex::new(Trust::new(&USERS)), host, socket: Mutex::default(), refused: Mutex::default() }
    }

    /// One for a process that can open nothing later.
    ///
    /// # Errors
    /// The kernel tells nobody about sockets.
    pub fn ready() -> Result<Self, Error> {
        let peers = Self::default();
        lock(&peers.trust).refresh(&peers.host);
        *lock(&peers.socket) = Some(Socket::open(Family::SockDiag)?);
        Ok(peers)
    }

    /// Looks who is who, for a host that goes.
    #[cfg(test)]
    pub(super) fn look(&self) {
        lock(&self.trust).refresh(&self.host);
    }

    /// Believes root and these users from now on: the process that says so can still read who is who.
    pub(in super::super) fn told(&self, users: Vec<u32>) {
        lock(&self.trust).told(users);
    }

    /// Remembers that a password was not taken.
    pub(super) fn refuses(&self, place: SocketAddr, password: &Secret) {
        let mut refused = lock(&self.refused);
        refused.retain(|_, (_, at)| at.elapsed() < AGAIN);
        refused.insert(place, (password.clone(), Instant::now()));
    }

    /// Whether a password was not taken a moment ago.
    pub(super) fn has_refused(&self, place: SocketAddr, password: &Secret) -> bool {
        let refused = lock(&self.refused);
        refused.get(&place).is_some_and(|(known, at)| known == password && at.elapsed() < AGAIN)
    }

    /// Makes all that was remembered of passwords a minute older.
    #[cfg(test)]
    pub(super) fn later(&self) {
        for (_, at) in lock(&self.refused).values_mut() {
            *at -= AGAIN;
        }
    }

    /// Whether the other end of a connection is to be believed.
    ///
    /// # Errors
    /// [`crate::source::control::trust::TRUST`] when it is not, another error when that cannot be found out.
    pub(super) fn believe(&self, [other, own]: [SocketAddr; 2], place: &Path) -> Result<(), Error> {
        let mut known = lock(&self.socket);
        let socket = match &mut *known {
            Some(socket) => socket,
            none => none.insert(Socket::open(Family::SockDiag)?),
        };
        let user = diag::owner(socket, other, own)?;
        let mut trust = lock(&self.trust);
        // what cannot be read any more is as it was
        trust.refresh(&self.host);
        trust.listener(user, place)
    }
}
