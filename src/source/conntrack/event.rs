//! How many connections begin?
//!
//! The kernel tells of each new one while somebody listens; a thread counts them as they come, so that nothing has to be
//! dumped. Events are small and many: the thread looks for them a hundred times a second at most, and what came meanwhile
//! waits in the buffers of the sockets. What does not fit there is lost, which the kernel says, and only how often.
//!
//! A thread for all network namespaces; it knows a socket only as long as its namespace is wanted, so that none is kept
//! alive. Who stops listening ends the thread, and the kernel stops telling.
//!
//! Source: `NFNLGRP_CONNTRACK_NEW` in `include/uapi/linux/netfilter/nfnetlink_compat.h`; `epoll(7)`.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;

use crate::model::lock;
use crate::source::Error;
use crate::source::netlink::{Family, Socket};

/// `NFNLGRP_CONNTRACK_NEW`
const NEW: u32 = 1;
/// A look empties sockets, and the next one is not before. A hundred thousand events a second take 2 MB until then.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Bytes of events that may wait in the own network namespace; the kernel takes them for twice as much.
pub const BUFFER: usize = 4 << 20;
/// The same in each other one, of which there may be a thousand.
pub const BUFFER_OF_OTHERS: usize = 512 << 10;
/// Events of one namespace that are counted before others have their turn.
const TURN: usize = 1 << 14;
/// The descriptor that ends the thread.
const STOP: u64 = 0;

/// A socket on which the kernel tells of new connections in a network namespace, and how many it has told of.
#[derive(Debug)]
pub struct Tap {
    socket: Mutex<Socket>,
    begun: AtomicU64,
    overruns: AtomicU64,
    is_broken: AtomicBool,
}

/// What a [`Tap`] has heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Connections that began.
    pub begun: u64,
    /// Times that events were lost.
    pub overruns: u64,
}

impl Tap {
    /// Begins to listen in the network namespace of this thread, with room for so many bytes. Nothing is counted before
    /// [`Listener::add`].
    ///
    /// # Errors
    /// As [`Socket::subscribe`]; denied without CAP_NET_ADMIN.
    pub fn open(buffer: usize) -> Result<Arc<Self>, Error> {
        let socket = Mutex::new(Socket::subscribe_with(Family::Netfilter, &[NEW], buffer)?);
        let (begun, overruns, is_broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Ok(Arc::new(Self { socket, begun, overruns, is_broken }))
    }

    /// What has been heard so far; `None` once the socket can no longer be read.
    pub fn heard(&self) -> Option<Heard> {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let heard = Heard { begun: number(&self.begun), overruns: number(&self.overruns) };
        (!self.is_broken.load(Ordering::Relaxed)).then_some(heard)
    }

    fn count(&self) {
        let mut begun = 0;
        let drained = lock(&self.socket).drain_some(TURN, |_| {
            begun += 1;
            Ok(())
        });
        self.begun.fetch_add(begun, Ordering::Relaxed);
        match drained {
            Ok((_, lost)) => drop(self.overruns.fetch_add(lost, Ordering::Relaxed)),
            Err(_) => self.is_broken.store(true, Ordering::Relaxed),
        }
    }
}

/// The thread that counts. It ends with this value.
#[derive(Debug)]
pub struct Listener(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    stop: OwnedFd,
    taps: Mutex<Taps>,
}

#[derive(Debug, Default)]
struct Taps {
    last: u64,
    by_number: HashMap<u64, Weak<Tap>>,
}

impl Listener {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is no descriptor or no thread left.
    pub fn start() -> Result<Self, Error> {
        let fail = |cause: Errno| Error::new("listen to", "new connections", cause);
        let shared = Arc::new(Shared {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(fail)?,
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(fail)?,
            taps: Mutex::default(),
        });
        epoll::add(&shared.epoll, &shared.stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)
            .map_err(fail)?;
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("conntrack-events".to_owned());
        thread.spawn(move || own.work()).map_err(|cause| Error::new("listen to", "new connections", cause))?;
        Ok(Self(shared))
    }

    /// Counts what is heard on a tap, as long as somebody else has it.
    ///
    /// # Errors
    /// The kernel has no memory left for it.
    pub fn add(&self, tap: &Arc<Tap>) -> Result<(), Error> {
        let mut taps = lock(&self.0.taps);
        taps.by_number.retain(|_, tap| tap.strong_count() > 0);
        taps.last += 1;
        let number = taps.last;
        taps.by_number.insert(number, Arc::downgrade(tap));
        let socket = lock(&tap.socket);
        epoll::add(&self.0.epoll, socket.as_fd(), epoll::EventData::new_u64(number), epoll::EventFlags::IN)
            .map_err(|cause| Error::new("listen to", "new connections", cause))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // it can hold more than anybody writes to it
        let _ = rustix::io::write(&self.0.stop, &1_u64.to_ne_bytes());
    }
}

impl Shared {
    fn work(&self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &events {
                let number = event.data.u64();
                if number == STOP {
                    return;
                }
                // held while it is read, and not while it is waited for
                let tap = lock(&self.taps).by_number.get(&number).and_then(Weak::upgrade);
                if let Some(tap) = tap {
                    tap.count();
                }
            }
            if poll(&mut [PollFd::new(&self.stop, PollFlags::IN)], Some(&PAUSE)).is_ok_and(|ready| ready > 0) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::attr::{push, push_nested};
    use crate::source::netlink::nfnetlink::Subsystem;
    use crate::source::netlink::testing::{in_own_network, run};
    use std::time::{Duration, Instant};

    /// Makes so many connections as fast as one can, or ends those that there are.
    fn make(flows: std::ops::Range<u32>) {
        let mut socket = netlink_sys::Socket::new(libc::NETLINK_NETFILTER as isize).unwrap();
        socket.bind_auto().unwrap();
        for first in flows.clone().step_by(256) {
            let mut datagram = Vec::new();
            for number in first..flows.end.min(first + 256) {
                let [a, b, c, d] = number.to_be_bytes();
                let (ends, mut body) = ([[10, a, b, c], [192, 0, 2, d]], vec![libc::AF_INET as u8, 0, 0, 0]);
                for (kind, [from, to], ports) in [(1, ends, [4000_u16, 53]), (2, [ends[1], ends[0]], [53, 4000])] {
                    push_nested(&mut body, kind, |tuple| {
                        push_nested(tuple, 1, |ip| {
                            push(ip, 1, &from);
                            push(ip, 2, &to);
                        });
                        push_nested(tuple, 2, |protocol| {
                            push(protocol, 1, &[libc::IPPROTO_UDP as u8]);
                            push(protocol, 2, &ports[0].to_be_bytes());
                            push(protocol, 3, &ports[1].to_be_bytes());
                        });
                    });
                }
                push(&mut body, 7, &36_000_u32.to_be_bytes());
                let flags = (libc::NLM_F_REQUEST | libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
                datagram.extend_from_slice(&(16 + body.len() as u32).to_ne_bytes());
                datagram.extend_from_slice(&Subsystem::Conntrack.kind(0).to_ne_bytes());
                datagram.extend_from_slice(&flags.to_ne_bytes());
                datagram.extend_from_slice(&[0; 8]);
                datagram.extend_from_slice(&body);
            }
            socket.send(&datagram, 0).unwrap();
        }
    }

    /// Waits until the thread has heard so much.
    fn hears(tap: &Tap, enough: impl Fn(Heard) -> bool) -> Heard {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let heard = tap.heard().unwrap();
            if enough(heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{heard:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn root_each_new_connection_is_heard_once() {
        in_own_network(|| {
            let (listener, tap) = (Listener::start().unwrap(), Tap::open(BUFFER).unwrap());
            listener.add(&tap).unwrap();
            make(0..1000);
            assert_eq!(hears(&tap, |heard| heard.begun >= 1000), Heard { begun: 1000, overruns: 0 });
            run("conntrack", "-D -s 10.0.0.3");
            make(1000..1001);
            assert_eq!(hears(&tap, |heard| heard.begun > 1000).begun, 1001, "an end is no beginning");
        });
    }

    #[test]
    fn root_what_a_buffer_of_4_kib_does_not_hold_is_told_and_what_comes_then_is_heard() {
        in_own_network(|| {
            let (listener, tap) = (Listener::start().unwrap(), Tap::open(4096).unwrap());
            listener.add(&tap).unwrap();
            make(0..100_000);
            let heard = hears(&tap, |heard| heard.overruns > 0);
            assert!(heard.begun < 100_000, "{heard:?}");
            // the kernel says so before it tells of the next
            for round in 0..50 {
                let before = tap.heard().unwrap().begun;
                make(200_000 + round..200_001 + round);
                hears(&tap, |heard| heard.begun > before);
            }
        });
    }

    #[test]
    fn root_who_listens_no_more_keeps_neither_thread_nor_namespace() {
        in_own_network(|| {
            let (listener, tap) = (Listener::start().unwrap(), Tap::open(BUFFER).unwrap());
            listener.add(&tap).unwrap();
            let (shared, gone) = (Arc::downgrade(&listener.0), Arc::downgrade(&tap));
            drop(tap);
            assert!(gone.upgrade().is_none());
            drop(listener);
            let deadline = Instant::now() + Duration::from_secs(10);
            while shared.strong_count() > 0 {
                assert!(Instant::now() < deadline, "the thread goes on");
                std::thread::yield_now();
            }
        });
    }
}
