//! Does an agent run on this machine?
//!
//! An agent holds an abstract unix socket of a known name. It goes with its process, however that ends, so nothing old is
//! ever found, and to look for it neither talks to the agent nor costs it anything. The name is that of the network
//! namespace, and any user could take it: it is told on a screen, and nothing else rests on it.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Name of the socket.
const NAME: &str = "netglance-agent";

/// What an agent holds as long as it runs.
#[derive(Debug)]
pub struct Mark {
    _socket: UnixDatagram,
}

/// Says that an agent runs, until the mark is dropped.
///
/// # Errors
/// The name is taken, such as by another agent, or there can be no socket.
pub fn mark() -> io::Result<Mark> {
    mark_as(NAME)
}

/// Whether an agent runs; `None` when that cannot be told.
pub fn runs() -> Option<bool> {
    runs_as(NAME)
}

fn mark_as(name: &str) -> io::Result<Mark> {
    Ok(Mark { _socket: UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)? })
}

fn runs_as(name: &str) -> Option<bool> {
    let address = SocketAddr::from_abstract_name(name).ok()?;
    match UnixDatagram::unbound().ok()?.connect_addr(&address) {
        Ok(()) => Some(true),
        Err(cause) => (cause.kind() == io::ErrorKind::ConnectionRefused).then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_seen_until_it_ends_and_does_not_hear_of_it() {
        let name = format!("netglance-test-{}", std::process::id());
        assert_eq!(runs_as(&name), Some(false));
        let mark = mark_as(&name).unwrap();
        for _ in 0..1000 {
            assert_eq!(runs_as(&name), Some(true));
        }
        assert!(mark_as(&name).is_err(), "one name is held once");
        drop(mark);
        // a child that another test is starting may hold it for a moment
        let begin = std::time::Instant::now();
        while runs_as(&name) != Some(false) {
            assert!(begin.elapsed() < std::time::Duration::from_secs(10), "it is seen after its end");
            std::thread::yield_now();
        }
        assert_eq!(runs_as(&"x".repeat(200)), None);
    }
}
