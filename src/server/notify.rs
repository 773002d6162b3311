//! What does systemd learn of the agent?
//!
//! `sd_notify` as datagrams to `$NOTIFY_SOCKET`: READY when the front serves and the sampler samples, WATCHDOG while it does,
//! RELOADING after a hangup, STOPPING at the end. Without that variable nothing happens.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// The variables that are meant for the supervisor and not for its children.
pub(super) const VARIABLES: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// What systemd was told.
#[derive(Debug, Default)]
pub(super) struct Notify {
    front: bool,
    sampler: bool,
    told: bool,
    watched: Option<Duration>,
    fed: Option<Instant>,
}

impl Notify {
    /// Asks the environment what is wanted.
    pub(super) fn new() -> Self {
        let own = std::process::id().to_string();
        let meant = std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == own);
        let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self { watched: wanted.filter(|_| meant).map(Duration::from_micros), ..Self::default() }
    }

    /// The front serves.
    pub(super) fn front(&mut self) {
        self.front = true;
        self.ready();
    }

    /// The sampler has sampled.
    pub(super) fn sampler(&mut self) {
        self.sampler = true;
        self.ready();
        // twice in each span that systemd waits, and not more often
        let due = |fed: Instant, span: Duration| fed.elapsed() * 3 >= span;
        if self.watched.is_some_and(|span| self.fed.is_none_or(|fed| due(fed, span))) {
            self.fed = Some(Instant::now());
            tell("WATCHDOG=1");
        }
    }

    fn ready(&mut self) {
        if self.front && self.sampler && !self.told {
            self.told = true;
            tell("READY=1");
        }
    }

    /// The configuration was read again.
    pub(super) fn reloaded(&self) {
        if self.told {
            tell("READY=1");
        }
    }
}

/// The configuration is read again.
pub(super) fn reloading() {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
}

/// Says something to systemd.
pub(super) fn tell(what: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    // nobody is left to tell when systemd does not listen
    let _ = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            std::os::unix::net::SocketAddr::from_abstract_name(name)
                .and_then(|address| socket.send_to_addr(what.as_bytes(), &address))
        }
        None => socket.send_to(what.as_bytes(), &path),
    };
}
