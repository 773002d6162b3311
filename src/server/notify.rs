//! What does systemd learn of the agent?
//!
//! `sd_notify` as datagrams to `$NOTIFY_SOCKET`: READY when the front serves, WATCHDOG while the sampler samples, STOPPING at
//! the end. Without that variable nothing happens.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;

use super::pass::Word;
use super::supervisor::Part;

/// Passes a child's word on.
pub(super) fn word(part: Part, word: Word) {
    match (part, word) {
        (Part::Front, Word::Ready) => tell("READY=1"),
        (Part::Sampler, Word::Alive) => tell("WATCHDOG=1"),
        _ => {}
    }
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
