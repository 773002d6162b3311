//! How is a kernel table read over netlink?
//!
//! [`Socket::dump`] is the one dump loop for every family. It checks sequence numbers and the sender, follows multipart
//! replies to their end, starts again when the kernel says that the table changed meanwhile (`NLM_F_DUMP_INTR`), takes a
//! cut message for an error, and gives up at a deadline. [`Socket::ask`] is for questions about one thing, which the kernel
//! answers with a few messages and an acknowledgment. After an error the socket must be dropped: the rest of an abandoned
//! reply would still be in it. [`Socket::drain`] reads notifications without blocking and says when some were lost.
//!
//! Source: `Documentation/userspace-api/netlink/intro.rst`, `include/uapi/linux/netlink.h`.

pub mod attr;
pub mod bridge;
pub mod common;
pub mod diag;
pub mod fib;
mod frame;
pub mod generic;
pub mod neighbor;
pub mod netdev;
pub mod nfnetlink;
pub mod packet_diag;
pub mod qdisc;
pub mod route;
pub mod rule;
pub mod tcp_metrics;
pub mod tunnel;
pub mod virtual_link;
pub mod wireguard;
pub mod words;

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt;
use rustix::net::{RecvFlags, SendFlags};

use self::frame::{Question, Refusal, each_message, encode, read_datagram};
use super::bounded::Bounded;
use super::{Error, meter};
pub use attr::{Attribute, Malformed, attributes};

/// The kernel fills a message of a dump up to the size that the reader offers, at most 32 KiB.
const USER_BUFFER: usize = 64 << 10;
/// Notifications that arrive between two samples wait here.
const SOCKET_BUFFER: usize = 4 << 20;
/// What a dump may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often it is started, at most, when the table changes under the reader.
    pub attempts: usize,
    /// How long all of that may take.
    pub time: Duration,
}

impl Default for Patience {
    /// Hundreds of interfaces that are made in a row change their table every millisecond, and reading it takes a quarter
    /// of one. A dump takes milliseconds; what takes longer than this hangs.
    fn default() -> Self {
        Self { attempts: 64, time: Duration::from_secs(5) }
    }
}

impl Patience {
    /// For a table that is large, or changes all the time: three more attempts, and then it is said.
    pub const FEW: Self = Self { attempts: 4, time: Duration::from_secs(5) };
    /// For a table that is soon read, and of which the last attempt is good enough.
    const MOVING: Self = Self { attempts: 16, time: Duration::from_secs(5) };
}

/// What is said of a table that changed during every attempt to read it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changing: it was another during every attempt to read it")]
pub struct Changing;

impl Changing {
    /// Whether this is why a dump failed. Then the socket can be used again.
    pub fn is_cause_of(error: &Error) -> bool {
        matches!(error.cause.get_ref(), Some(cause) if cause.is::<Self>())
    }
}

/// Datagrams that one [`Socket::drain`] takes, so that a storm cannot hold the sampler.
const MAX_DRAIN: usize = 16_384;

/// A netlink family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Links, addresses, routes, neighbors.
    Route,
    /// Sockets.
    SockDiag,
    /// Packet filter, connection tracking and their kin.
    Netfilter,
    /// Families without a number of their own.
    Generic,
}

impl Family {
    fn number(self) -> libc::c_int {
        match self {
            Self::Route => libc::NETLINK_ROUTE,
            Self::SockDiag => libc::NETLINK_SOCK_DIAG,
            Self::Netfilter => libc::NETLINK_NETFILTER,
            Self::Generic => libc::NETLINK_GENERIC,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Route => "rtnetlink",
            Self::SockDiag => "sock_diag",
            Self::Netfilter => "nfnetlink",
            Self::Generic => "genetlink",
        }
    }
}

/// A question to the kernel.
#[derive(Clone, Debug)]
pub struct Request {
    /// Message type.
    pub kind: u16,
    /// Family's own header and attributes.
    pub body: Vec<u8>,
    /// What is asked for, for errors.
    pub what: &'static str,
}

/// A message without its netlink header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Message type.
    pub kind: u16,
    /// `NLM_F_*`
    pub flags: u16,
    /// Family's own header and attributes.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes behind a family's header of `header` bytes.
    ///
    /// # Errors
    /// The body is shorter than the header.
    pub fn attributes(&self, header: usize) -> Result<attr::Attributes<'a>, Malformed> {
        self.body.get(attr::align(header)..).map(attributes).ok_or(Malformed)
    }
}

/// What a dump gives to its visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The table follows from its beginning: forget what an earlier attempt gave.
    Start,
    /// One message of it.
    Message(Message<'a>),
}

/// Whether all notifications were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Drained {
    /// Yes.
    All,
    /// The kernel dropped some, or there are too many: the table must be dumped again.
    Lost,
}

enum End {
    Done,
    Interrupted,
}

/// A netlink socket, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket {
    inner: netlink_sys::Socket,
    family: Family,
    sequence: u32,
}

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The buffer of this thread, lent to one socket at a time: those of hundreds of namespaces would be megabytes.
struct Buffer(Vec<u8>);

impl Buffer {
    fn borrow() -> Self {
        let mut buffer = BUFFER.take();
        if buffer.is_empty() {
            // of fresh memory, which is zero already: what no reply has ever filled stays untouched
            buffer = vec![0; USER_BUFFER];
        }
        Self(buffer)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // a thread that ends needs none any more
        let _ = BUFFER.try_with(|buffer| buffer.set(std::mem::take(&mut self.0)));
    }
}

impl AsFd for Socket {
    /// To wait for notifications.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl Socket {
    /// Opens a socket for dumps.
    ///
    /// # Errors
    /// The kernel has no such family, or it may not be used.
    pub fn open(family: Family) -> Result<Self, Error> {
        Self::open_with(family, SOCKET_BUFFER)
    }

    fn open_with(family: Family, buffer: usize) -> Result<Self, Error> {
        let fail = |op| move |cause: std::io::Error| Error::new(op, family.name(), cause);
        let mut socket = netlink_sys::Socket::new(family.number() as isize).map_err(fail("open"))?;
        socket.bind_auto().map_err(fail("bind"))?;
        // older kernels lack strict checking and extended errors; then filters are ignored and reasons are shorter
        let _ = socket.set_netlink_get_strict_chk(true);
        let _ = socket.set_ext_ack(true);
        if sockopt::set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, buffer)
                .map_err(|cause| Error::new("set receive buffer of", family.name(), cause))?;
        }
        Ok(Self { inner: socket, family, sequence: 0 })
    }

    /// Opens a socket for the notifications of some groups.
    ///
    /// # Errors
    /// As [`Self::open`], or a group cannot be joined.
    pub fn subscribe(family: Family, groups: &[u32]) -> Result<Self, Error> {
        Self::subscribe_with(family, groups, SOCKET_BUFFER)
    }

    /// Opens a socket for the notifications of some groups in which so many bytes may wait, or the least that the kernel
    /// allows if that is more.
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub fn subscribe_with(family: Family, groups: &[u32], buffer: usize) -> Result<Self, Error> {
        let socket = Self::open_with(family, buffer)?;
        for group in groups {
            socket.inner.add_membership(*group).map_err(|cause| Error::new("subscribe to", family.name(), cause))?;
        }
        Ok(socket)
    }

    /// Reads a whole kernel table.
    ///
    /// # Errors
    /// As [`Self::dump_within`].
    pub fn dump(
        &mut self,
        request: &Request,
        visit: impl FnMut(Part<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        self.dump_within(Patience::default(), request, visit)
    }

    /// Reads a whole kernel table with as much patience as the caller has.
    ///
    /// # Errors
    /// The kernel refused (its own words are in the object), the reply was cut or malformed, the table changed during
    /// every attempt ([`Changing`]), or the time is over. The socket must then be dropped.
    pub fn dump_within(
        &mut self,
        patience: Patience,
        request: &Request,
        mut visit: impl FnMut(Part<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + patience.time;
        let question = if self.family == Family::Generic { Question::MarkedDump } else { Question::Dump };
        let mut buffer = Buffer::borrow();
        for _ in 0..patience.attempts {
            visit(Part::Start).map_err(|cause| self.malformed(request, cause))?;
            self.send(request, question)?;
            let mut message = |message: Message<'_>| visit(Part::Message(message));
            match self.receive_reply(request, question, deadline, &mut buffer.0, &mut message)? {
                End::Done => return Ok(()),
                End::Interrupted => {}
            }
        }
        Err(self.error(request, std::io::Error::new(ErrorKind::ResourceBusy, Changing)))
    }

    /// Reads a kernel table of which each part is true by itself into `found`: whether the table changed during every attempt.
    /// Then some of it may be missing, or there twice.
    ///
    /// # Errors
    /// As [`Self::dump_within`], which does not fail for changes here.
    pub fn dump_moving<T>(
        &mut self,
        request: &Request,
        found: &mut Bounded<T>,
        decode: impl Fn(Message<'_>) -> Result<Option<T>, Malformed>,
    ) -> Result<bool, Error> {
        let dumped = self.dump_within(Patience::MOVING, request, |part| {
            match part {
                Part::Start => found.clear(),
                Part::Message(message) => found.extend(decode(message)?),
            }
            Ok(())
        });
        match dumped {
            Err(error) if Changing::is_cause_of(&error) => Ok(true),
            dumped => dumped.map(|()| false),
        }
    }

    /// Asks about one thing, or changes one, and gives what the kernel answers before its acknowledgment to `visit`.
    ///
    /// # Errors
    /// As [`Self::dump_within`], of which no answer is long enough to be interrupted.
    pub fn ask(
        &mut self,
        request: &Request,
        mut visit: impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + Patience::default().time;
        let mut buffer = Buffer::borrow();
        self.send(request, Question::Single)?;
        self.receive_reply(request, Question::Single, deadline, &mut buffer.0, &mut visit).map(|_| ())
    }

    /// Gives every waiting notification to `visit` and returns without blocking.
    ///
    /// # Errors
    /// The socket failed, or a message is cut or malformed.
    pub fn drain(&mut self, visit: impl FnMut(Message<'_>) -> Result<(), Malformed>) -> Result<Drained, Error> {
        let (read, lost) = self.drain_some(MAX_DRAIN, visit)?;
        Ok(if lost > 0 || read == MAX_DRAIN { Drained::Lost } else { Drained::All })
    }

    /// Gives the notifications in so many waiting datagrams to `visit` and returns without blocking: how many there were, and
    /// how often the kernel said that some were lost.
    ///
    /// # Errors
    /// As [`Self::drain`].
    pub fn drain_some(
        &mut self,
        most: usize,
        mut visit: impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<(usize, u64), Error> {
        let request = Request { kind: 0, body: Vec::new(), what: "notifications" };
        let mut lost = 0;
        let mut buffer = Buffer::borrow();
        for read in 0..most {
            let length = match self.receive(&mut buffer.0, RecvFlags::DONTWAIT) {
                Ok(Some(length)) => length,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok((read, lost)),
                // the kernel says so once; what it kept is still worth reading
                Err(Errno::NOBUFS) => {
                    lost += 1;
                    continue;
                }
                Err(cause) => return Err(self.error(&request, cause)),
            };
            let bytes = buffer.0.get(..length).ok_or_else(|| self.error(&request, Errno::MSGSIZE))?;
            each_message(bytes, |message| visit(message.message()).map(|()| true))
                .map_err(|cause| self.malformed(&request, cause))?;
        }
        Ok((most, lost))
    }

    fn send(&mut self, request: &Request, question: Question) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let message = encode(request, question, self.sequence);
        match rustix::io::retry_on_intr(|| rustix::net::send(&self.inner, &message, SendFlags::empty())) {
            Ok(sent) if sent == message.len() => Ok(()),
            Ok(_) => Err(self.error(request, Errno::MSGSIZE)),
            Err(cause) => Err(self.error(request, cause)),
        }
    }

    /// Reads one datagram. `None` when it is not the kernel's.
    fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> Result<Option<usize>, Errno> {
        let (_, length, sender) = rustix::net::recvfrom(&self.inner, &mut *buffer, flags | RecvFlags::TRUNC)?;
        meter::add(length.min(buffer.len()));
        let sender = sender.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        Ok(sender.is_some_and(|address| address.pid() == 0).then_some(length))
    }

    /// Reads one datagram, or says `TIMEDOUT` at a deadline, however many datagrams came before.
    fn receive_until(&self, buffer: &mut [u8], deadline: Instant) -> Result<Option<usize>, Errno> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::TIMEDOUT);
        }
        match self.receive(buffer, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => {}
            received => return received,
        }
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        poll(&mut [PollFd::new(&self.inner, PollFlags::IN)], Some(&left))?;
        Ok(None)
    }

    fn receive_reply(
        &self,
        request: &Request,
        question: Question,
        deadline: Instant,
        buffer: &mut [u8],
        visit: &mut impl FnMut(Message<'_>) -> Result<(), Malformed>,
    ) -> Result<End, Error> {
        let mut interrupted = false;
        loop {
            let length = match self.receive_until(buffer, deadline) {
                Ok(Some(length)) => length,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(cause) => return Err(self.error(request, cause)),
            };
            let bytes = buffer.get(..length).ok_or_else(|| self.error(request, Errno::MSGSIZE))?;
            match read_datagram(bytes, question, self.sequence, &mut interrupted, visit) {
                Ok(true) => return Ok(if interrupted { End::Interrupted } else { End::Done }),
                Ok(false) => {}
                Err(Refusal::Malformed(cause)) => return Err(self.malformed(request, cause)),
                Err(Refusal::Kernel { errno, words }) => {
                    let words = words.map_or_else(String::new, |words| format!(" ({words})"));
                    let what = format!("{} {}{words}", self.family.name(), request.what);
                    return Err(Error::new("dump", what, std::io::Error::from_raw_os_error(errno)));
                }
            }
        }
    }

    fn error(&self, request: &Request, cause: impl Into<std::io::Error>) -> Error {
        Error::new("dump", format!("{} {}", self.family.name(), request.what), cause)
    }

    fn malformed(&self, request: &Request, cause: Malformed) -> Error {
        self.error(request, std::io::Error::new(ErrorKind::InvalidData, cause))
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
