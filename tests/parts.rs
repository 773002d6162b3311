//! Does a part of the agent do what it should when the other parts do not?
//!
//! A real front whose supervisor and sampler are the test.

#![cfg(test)]

use std::io::{IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// Words of a control socket, see `server::pass`.
const CONFIGURATION: u8 = b'S';
const LINK: u8 = b'L';
const ALIVE: u8 = b'A';
const READY: u8 = b'R';

struct Front {
    child: Child,
    control: UnixStream,
}

impl Front {
    fn start() -> Self {
        let (control, theirs) = UnixStream::pair().unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
        command.args(["serve", "--part", "front"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let descriptor = theirs.as_raw_fd();
        // SAFETY: only a system call that may be made between fork and exec
        unsafe {
            command.pre_exec(move || match libc::dup2(descriptor, 3) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let child = command.spawn().unwrap();
        let front = Self { child, control };
        let configuration = rustix::fs::memfd_create("configuration", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let nothing =
            br#"[false, {"serve": {}, "netns": [], "collect": {}, "threshold": [], "trail": {}, "routing": {}}]"#;
        std::fs::File::from(configuration.try_clone().unwrap()).write_all(nothing).unwrap();
        front.send(CONFIGURATION, Some(configuration.as_fd()));
        front.send(READY, None);
        front
    }

    fn send(&self, word: u8, descriptor: Option<BorrowedFd<'_>>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        assert!(descriptors.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&self.control, &[IoSlice::new(&[word])], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    }

    /// Gives it a sampler.
    fn link(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.send(LINK, Some(theirs.as_fd()));
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        ours
    }

    /// The next word that is not a sign of life.
    fn word(&self) -> u8 {
        loop {
            let mut word = [0];
            (&self.control).read_exact(&mut word).unwrap();
            if word != [ALIVE] {
                return word[0];
            }
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the first question, which is what readers want.
fn asked(link: &mut UnixStream) {
    let mut length = [0; 4];
    link.read_exact(&mut length).unwrap();
    let mut ask = vec![0; u32::from_le_bytes(length) as usize];
    link.read_exact(&mut ask).unwrap();
}

#[test]
fn a_front_says_that_it_lives_and_asks_for_a_lost_link() {
    let front = Front::start();
    let mut word = [0];
    (&front.control).read_exact(&mut word).unwrap();
    assert_eq!(word, [ALIVE]);
    let mut link = front.link();
    asked(&mut link);
    drop(link);
    assert_eq!(front.word(), LINK);
    // and takes the next one
    asked(&mut front.link());
}

#[test]
fn a_front_that_does_not_understand_its_sampler_ends_and_says_so() {
    for damage in [&[0xff, 0xff, 0xff, 0x7f][..], &[3, 0, 0, 0, 0xff, 0xff, 0xff]] {
        let mut front = Front::start();
        let mut link = front.link();
        asked(&mut link);
        link.write_all(damage).unwrap();
        let mut told = String::new();
        front.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert!(told.contains("the front ends: the sampler is not understood"), "{told}");
        assert_eq!(front.child.wait().unwrap().code(), Some(1));
    }
}

#[test]
fn a_front_ends_with_its_supervisor() {
    let mut front = Front::start();
    asked(&mut front.link());
    front.control.shutdown(std::net::Shutdown::Both).unwrap();
    assert_eq!(front.child.wait().unwrap().code(), Some(0));
}
