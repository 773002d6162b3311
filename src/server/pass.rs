//! What do the supervisor and its children say to each other, and how does a descriptor get from one to the other?
//!
//! Each has a control socket to the supervisor that carries one-byte words, some with a descriptor.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// What a byte on a control socket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// A link between the sampler and the front comes with it; of the front and the courier: it has none and wants one.
    Link,
    /// A listening TCP socket comes with it.
    Tcp,
    /// A listening unix socket comes with it.
    Unix,
    /// The good tokens come with it, as a file in memory.
    Tokens,
    /// The certificates of the agent and their key come with it, as a file in memory.
    Identity,
    /// The authority of clients comes with it, as a file in memory; it comes before the identity.
    Clients,
    /// There are no more listening sockets; of a child: it is ready.
    Ready,
    /// The child is alive.
    Alive,
    /// What is configured comes with it, as a file in memory; before all others, and again when it changes.
    Configuration,
    /// The file of changes comes with it, or it cannot be opened; of the sampler: it wants another, for want of room or of one.
    Trail,
    /// Another netglance writes the file of changes.
    Taken,
    /// A link between the sampler and the courier comes with it.
    Courier,
    /// The secrets of what goes out come with it, as a file in memory.
    Secrets,
    /// Who runs daemons comes with it, as a file in memory; of the courier: one is run by somebody whom it does not know.
    Users,
    /// What actions name on the disk comes with it, as a file in memory.
    Files,
    /// The file of what is known of alerts comes with it.
    Alerts,
    /// A link between the courier and the runner comes with it; of the courier: it has none and wants one.
    Runner,
}

const WORDS: [(Word, u8); 17] = [
    (Word::Alerts, b'M'),
    (Word::Configuration, b'S'),
    (Word::Link, b'L'),
    (Word::Tcp, b'T'),
    (Word::Unix, b'U'),
    (Word::Tokens, b'K'),
    (Word::Identity, b'I'),
    (Word::Clients, b'C'),
    (Word::Ready, b'R'),
    (Word::Alive, b'A'),
    (Word::Trail, b'F'),
    (Word::Taken, b'O'),
    (Word::Courier, b'B'),
    (Word::Secrets, b'P'),
    (Word::Users, b'W'),
    (Word::Files, b'D'),
    (Word::Runner, b'X'),
];

impl Word {
    fn byte(self) -> u8 {
        WORDS.iter().find(|(word, _)| *word == self).map_or(0, |(_, byte)| *byte)
    }

    fn of(byte: u8) -> io::Result<Self> {
        let known = WORDS.iter().find(|(_, known)| *known == byte).map(|(word, _)| *word);
        known.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an unknown word on a control socket"))
    }
}

/// Sends a word, with a descriptor if one belongs to it.
///
/// # Errors
/// The socket broke.
pub(super) fn send(socket: impl AsFd, word: Word, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    send_with(socket, word, descriptor, SendFlags::empty())
}

/// Sends a word without ever waiting for room.
///
/// # Errors
/// The socket broke, or is full.
pub(super) fn send_now(socket: impl AsFd, word: Word) -> io::Result<()> {
    send_with(socket, word, None, SendFlags::DONTWAIT)
}

fn send_with(socket: impl AsFd, word: Word, descriptor: Option<BorrowedFd<'_>>, flags: SendFlags) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&[word.byte()])], &mut ancillary, flags | SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives the next word, with the descriptor that came with it; `None` when the other end is closed.
///
/// # Errors
/// The socket broke, or the word is none.
pub(super) fn receive(socket: impl AsFd) -> io::Result<Option<(Word, Option<OwnedFd>)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = loop {
        match rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(Some((Word::of(byte[0])?, descriptor)))
}
