//! How is a kernel table read over netlink?
//!
//! [`Socket::dump`] is the one dump loop for every family. It checks sequence numbers and the sender, follows multipart
//! replies to their end, starts again when the kernel says that the table changed meanwhile (`NLM_F_DUMP_INTR`), takes a
//! cut message for an error, and gives up at a deadline. After an error the socket must be dropped: the rest of an
//! abandoned reply would still be in it. [`Socket::drain`] reads notifications without blocking and says when some were lost.
//!
//! Source: `Documentation/userspace-api/netlink/intro.rst`, `include/uapi/linux/netlink.h`.

pub mod attr;
pub mod diag;
pub mod route;

use std::cell::Cell;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt;
use rustix::net::{RecvFlags, SendFlags};

use super::{Error, meter};
pub use attr::{Attribute, Malformed, attributes};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_MULTI: u16 = 0x2;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_DUMP: u16 = 0x300;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// `sizeof(struct nlmsghdr)`
const HEADER: usize = 16;

/// The kernel fills a message of a dump up to the size that the reader offers, at most 32 KiB.
const USER_BUFFER: usize = 64 << 10;
/// Notifications that arrive between two samples wait here.
const SOCKET_BUFFER: usize = 4 << 20;
/// How often a dump that changed under the reader is started anew: hundreds of interfaces that are made in a row change
/// their table every millisecond, and reading it takes a quarter of one.
const ATTEMPTS: usize = 64;
/// A dump takes milliseconds; what takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(5);
/// Datagrams that one [`Socket::drain`] takes, so that a storm cannot hold the sampler.
const MAX_DRAIN: usize = 16_384;

/// A netlink family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Links, addresses, routes, neighbors.
    Route,
    /// Sockets.
    SockDiag,
}

impl Family {
    fn number(self) -> libc::c_int {
        match self {
            Self::Route => libc::NETLINK_ROUTE,
            Self::SockDiag => libc::NETLINK_SOCK_DIAG,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Route => "rtnetlink",
            Self::SockDiag => "sock_diag",
        }
    }
}

/// A question that is answered by a dump.
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
            buffer.resize(USER_BUFFER, 0);
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

impl Socket {
    /// Opens a socket for dumps.
    ///
    /// # Errors
    /// The kernel has no such family, or it may not be used.
    pub fn open(family: Family) -> Result<Self, Error> {
        let fail = |op| move |cause: std::io::Error| Error::new(op, family.name(), cause);
        let mut socket = netlink_sys::Socket::new(family.number() as isize).map_err(fail("open"))?;
        socket.bind_auto().map_err(fail("bind"))?;
        // older kernels lack strict checking and extended errors; then filters are ignored and reasons are shorter
        let _ = socket.set_netlink_get_strict_chk(true);
        let _ = socket.set_ext_ack(true);
        if sockopt::set_socket_recv_buffer_size_force(&socket, SOCKET_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER)
                .map_err(|cause| Error::new("set receive buffer of", family.name(), cause))?;
        }
        Ok(Self { inner: socket, family, sequence: 0 })
    }

    /// Opens a socket for the notifications of some groups.
    ///
    /// # Errors
    /// As [`Self::open`], or a group cannot be joined.
    pub fn subscribe(family: Family, groups: &[u32]) -> Result<Self, Error> {
        let socket = Self::open(family)?;
        for group in groups {
            socket.inner.add_membership(*group).map_err(|cause| Error::new("subscribe to", family.name(), cause))?;
        }
        Ok(socket)
    }

    /// Makes the socket's own buffer as small as the kernel allows, so that tests can overflow it.
    #[cfg(test)]
    pub fn shrink(&self) {
        sockopt::set_socket_recv_buffer_size(&self.inner, 1).unwrap();
    }

    /// Reads a whole kernel table.
    ///
    /// # Errors
    /// The kernel refused (its own words are in the object), the reply was cut or malformed, the table changed during
    /// every attempt, or the deadline passed. The socket must then be dropped.
    pub fn dump(
        &mut self,
        request: &Request,
        mut visit: impl FnMut(Part<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + DEADLINE;
        let mut buffer = Buffer::borrow();
        for _ in 0..ATTEMPTS {
            visit(Part::Start).map_err(|cause| self.malformed(request, cause))?;
            self.send(request)?;
            match self.receive_dump(request, deadline, &mut buffer.0, &mut visit)? {
                End::Done => return Ok(()),
                End::Interrupted => {}
            }
        }
        let cause = std::io::Error::new(ErrorKind::ResourceBusy, "the table changed during every attempt to read it");
        Err(self.error(request, cause))
    }

    /// Gives every waiting notification to `visit` and returns without blocking.
    ///
    /// # Errors
    /// The socket failed, or a message is cut or malformed.
    pub fn drain(&mut self, mut visit: impl FnMut(Message<'_>) -> Result<(), Malformed>) -> Result<Drained, Error> {
        let request = Request { kind: 0, body: Vec::new(), what: "notifications" };
        let mut drained = Drained::All;
        let mut buffer = Buffer::borrow();
        for _ in 0..MAX_DRAIN {
            let length = match self.receive(&mut buffer.0, RecvFlags::DONTWAIT) {
                Ok(Some(length)) => length,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(drained),
                // the kernel says so once; what it kept is still worth reading
                Err(Errno::NOBUFS) => {
                    drained = Drained::Lost;
                    continue;
                }
                Err(cause) => return Err(self.error(&request, cause)),
            };
            let bytes = buffer.0.get(..length).ok_or_else(|| self.error(&request, Errno::MSGSIZE))?;
            each_message(bytes, |message| visit(Message { kind: message.kind, body: message.body }).map(|()| true))
                .map_err(|cause| self.malformed(&request, cause))?;
        }
        Ok(Drained::Lost)
    }

    fn send(&mut self, request: &Request) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        let message = encode(request, self.sequence);
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

    fn receive_dump(
        &self,
        request: &Request,
        deadline: Instant,
        buffer: &mut [u8],
        visit: &mut impl FnMut(Part<'_>) -> Result<(), Malformed>,
    ) -> Result<End, Error> {
        let mut interrupted = false;
        loop {
            let length = match self.receive_until(buffer, deadline) {
                Ok(Some(length)) => length,
                Ok(None) | Err(Errno::INTR) => continue,
                Err(cause) => return Err(self.error(request, cause)),
            };
            let bytes = buffer.get(..length).ok_or_else(|| self.error(request, Errno::MSGSIZE))?;
            match read_datagram(bytes, self.sequence, &mut interrupted, visit) {
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

enum Refusal {
    Malformed(Malformed),
    /// Negative status with the kernel's words for it.
    Kernel {
        errno: i32,
        words: Option<crate::model::Text>,
    },
}

impl From<Malformed> for Refusal {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

/// One message with its header.
#[derive(Clone, Copy)]
struct Framed<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

fn encode(request: &Request, sequence: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + request.body.len());
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&request.kind.to_ne_bytes());
    message.extend_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(&request.body);
    message
}

/// Calls `visit` with every message of a datagram until it returns false.
fn each_message<E: From<Malformed>>(
    mut bytes: &[u8],
    mut visit: impl FnMut(Framed<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    while !bytes.is_empty() {
        let length = usize::try_from(attr::u32_at(bytes, 0)?).map_err(|_| Malformed)?;
        let body = bytes.get(HEADER..length).ok_or(Malformed)?;
        let (kind, flags) = (attr::u16_at(bytes, 4)?, attr::u16_at(bytes, 6)?);
        if !visit(Framed { kind, flags, sequence: attr::u32_at(bytes, 8)?, body })? {
            break;
        }
        bytes = bytes.get(attr::align(length)..).unwrap_or(&[]);
    }
    Ok(())
}

/// Reads one datagram of a dump; true at its end.
fn read_datagram(
    bytes: &[u8],
    sequence: u32,
    interrupted: &mut bool,
    visit: &mut impl FnMut(Part<'_>) -> Result<(), Malformed>,
) -> Result<bool, Refusal> {
    let mut done = false;
    each_message(bytes, |message| {
        if message.sequence != sequence {
            return Ok::<_, Refusal>(true);
        }
        *interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
        match message.kind {
            NLMSG_DONE | NLMSG_ERROR => {
                status(message)?;
                done = true;
            }
            kind => {
                visit(Part::Message(Message { kind, body: message.body }))?;
                // a family that answers a dump with a single message sends no end mark
                done = message.flags & NLM_F_MULTI == 0;
            }
        }
        Ok(!done)
    })?;
    Ok(done)
}

/// Reads the status in an end mark or an error; a body without one is success.
fn status(message: Framed<'_>) -> Result<(), Refusal> {
    let errno = match (message.kind, message.body.len()) {
        (NLMSG_DONE, 0..4) => 0,
        _ => attr::i32_at(message.body, 0)?,
    };
    if errno >= 0 {
        return Ok(());
    }
    Err(Refusal::Kernel { errno: errno.saturating_neg(), words: words(message) })
}

/// The kernel's explanation of an error.
fn words(message: Framed<'_>) -> Option<crate::model::Text> {
    if message.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let mut offset = 4;
    if message.kind == NLMSG_ERROR {
        // the header of the request follows, and its body unless it was capped
        let request = usize::try_from(attr::u32_at(message.body, 4).ok()?).ok()?;
        offset += if message.flags & NLM_F_CAPPED != 0 { HEADER } else { attr::align(request) };
    }
    let attribute = attributes(message.body.get(offset..)?).flatten().find(|a| a.kind == NLMSGERR_ATTR_MSG)?;
    Some(crate::model::Text::new(attribute.string()))
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
