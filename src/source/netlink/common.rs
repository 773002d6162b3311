//! How do several readers ask over one socket?
//!
//! In each of a thousand network namespaces a socket for every reader would be more descriptors than a process may have. Readers
//! of what is answered at once share one: whoever asks waits for the answer of the one before. After an error that is no answer
//! nobody knows what is still to come, so that all of them are given a new one.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::{Changing, Family, Socket};
use crate::model::lock;
use crate::source::Error;
use crate::source::netns::{self, Here};

/// A network namespace, and what is asked there.
type Place = (Here, Family);

/// Those that somebody has: their network namespaces live as long as they do.
static OPEN: Mutex<Option<HashMap<Place, Weak<Line>>>> = Mutex::new(None);

/// A socket for dumps that all who ask for the same family in the same network namespace share.
#[derive(Clone, Debug)]
pub struct Common(Arc<Line>);

#[derive(Debug)]
struct Line {
    socket: Mutex<Socket>,
    /// Whether an answer may be left in it.
    is_broken: AtomicBool,
}

impl Common {
    /// Opens one in the network namespace of this thread, unless there is one already.
    ///
    /// # Errors
    /// As [`Socket::open`].
    pub fn open(family: Family) -> Result<Self, Error> {
        let key = (netns::here()?, family);
        let mut open = lock(&OPEN);
        let open = open.get_or_insert_default();
        let known = open.get(&key).and_then(Weak::upgrade).filter(|line| !line.is_broken.load(Ordering::Acquire));
        if let Some(line) = known {
            return Ok(Self(line));
        }
        open.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Line { socket: Mutex::new(Socket::open(family)?), is_broken: AtomicBool::new(false) });
        open.insert(key, Arc::downgrade(&line));
        Ok(Self(line))
    }

    /// Asks over it, alone. What is asked must not ask over the same one again.
    ///
    /// # Errors
    /// Those of `ask`; somebody else had one, and this must be opened anew.
    pub fn with<T>(&self, ask: impl FnOnce(&mut Socket) -> Result<T, Error>) -> Result<T, Error> {
        let mut socket = lock(&self.0.socket);
        if self.0.is_broken.load(Ordering::Acquire) {
            return Err(Error::new("ask over", "a socket that has failed", ErrorKind::BrokenPipe));
        }
        let answer = ask(&mut socket);
        self.0.is_broken.store(answer.as_ref().is_err_and(|error| !is_answer(error)), Ordering::Release);
        answer
    }
}

/// Whether the kernel has refused, or a dump was to be begun anew once too often: nothing is still to come then.
fn is_answer(error: &Error) -> bool {
    let is_invalid = error.cause.raw_os_error() == Some(libc::EINVAL);
    error.is_absent() || error.is_denied() || is_invalid || Changing::is_cause_of(error)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, AsRawFd as _};

    use super::super::testing::{in_own_network, ip};
    use super::super::{Request, route};
    use super::*;

    fn descriptor(common: &Common) -> i32 {
        common.with(|socket| Ok(socket.as_fd().as_raw_fd())).unwrap()
    }

    #[test]
    fn root_who_asks_the_same_in_the_same_namespace_shares_a_socket_until_it_fails() {
        let open = || Common::open(Family::Route).unwrap();
        in_own_network(|| {
            let (one, two) = (open(), open());
            assert_eq!(descriptor(&one), descriptor(&two));
            assert_ne!(descriptor(&one), descriptor(&Common::open(Family::SockDiag).unwrap()));
            ip("link add v0 type veth peer name v1");
            let names = |common: &Common| common.with(route::link_names).map(|names| names.len());
            in_own_network(|| assert_eq!(names(&open()).unwrap(), 1, "in another namespace there is another one"));
            std::thread::scope(|scope| {
                for common in [&one, &two] {
                    scope.spawn(|| (0..200).for_each(|_| assert_eq!(names(common).unwrap(), 3)));
                }
            });
            let failed: Result<(), Error> = one.with(|_| Err(Error::new("dump", "test", ErrorKind::TimedOut)));
            assert!(failed.is_err() && names(&two).is_err(), "an answer may be left in it");
            assert_eq!(names(&open()).unwrap(), 3);
        });
    }

    #[test]
    fn root_what_the_kernel_refuses_breaks_nobodys_socket() {
        in_own_network(|| {
            let (one, two) = (Common::open(Family::Route).unwrap(), Common::open(Family::Route).unwrap());
            // of no family that there is
            let request = Request { kind: libc::RTM_GETROUTE, body: vec![250; 12], what: "routes of nobody" };
            assert!(one.with(|socket| socket.dump(&request, |_| Ok(()))).is_err());
            assert_eq!(two.with(route::link_names).unwrap().len(), 1);
        });
    }
}
