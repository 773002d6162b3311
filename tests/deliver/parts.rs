//! A real courier and a real runner whose supervisor and sampler are the test.

use std::io::{IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use netglance::alert::action::{Action, Files, Settings};
use netglance::alert::{Change, Fate, Message, Notification};
use netglance::model::Level;
use prost::Message as _;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Words of a control socket, see `server::pass`.
const CONFIGURATION: u8 = b'S';
const LINK: u8 = b'L';
const FILES: u8 = b'D';
const RUNNER: u8 = b'X';

/// See `server::delivery`.
#[derive(Clone, PartialEq, prost::Message)]
struct Errand {
    #[prost(fixed64, tag = "1")]
    era: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(string, tag = "3")]
    action: String,
    #[prost(bytes = "vec", tag = "4")]
    message: Vec<u8>,
}

/// See `server::parcel`.
#[derive(Clone, PartialEq, prost::Message)]
struct Parcel {
    #[prost(message, optional, tag = "2")]
    ended: Option<Ended>,
}

/// What came of an errand.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Ended {
    #[prost(fixed64, tag = "1")]
    pub(crate) era: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) seq: u64,
    #[prost(string, optional, tag = "3")]
    pub(crate) cause: Option<String>,
    #[prost(uint32, tag = "4")]
    fate: u32,
    #[prost(string, repeated, tag = "5")]
    pub(crate) told: Vec<String>,
}

impl Ended {
    /// What became of the message.
    pub(crate) fn fate(&self) -> Fate {
        Fate::of(self.fate)
    }
}

/// A part that was started, and the supervisor's end of its control socket.
pub(crate) struct Part {
    pub(crate) child: Child,
    control: UnixStream,
}

impl Part {
    /// Starts one, with something in front of its command line.
    fn start(name: &str, before: &[&str]) -> Self {
        let (control, theirs) = UnixStream::pair().unwrap();
        let words = [before, &[env!("CARGO_BIN_EXE_netglance"), "serve", "--part", name]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        let descriptor = theirs.as_raw_fd();
        // SAFETY: only a system call that may be made between fork and exec
        unsafe {
            command.pre_exec(move || match libc::dup2(descriptor, 3) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        Self { child: command.spawn().unwrap(), control }
    }

    fn send(&self, word: u8, descriptor: BorrowedFd<'_>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&self.control, &[IoSlice::new(&[word])], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    }

    /// Ends it as the supervisor does, and waits for that.
    pub(crate) fn end(&mut self) {
        self.control.shutdown(std::net::Shutdown::Both).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn in_memory(bytes: &[u8]) -> OwnedFd {
    let file = rustix::fs::memfd_create("handed", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    std::fs::File::from(file.try_clone().unwrap()).write_all(bytes).unwrap();
    file
}

/// Actions as a file has them.
pub(crate) fn settings(text: &str) -> Settings {
    let mut sections: std::collections::BTreeMap<String, Vec<Action>> = toml::from_str(text).unwrap();
    let actions = sections.remove("action").unwrap();
    assert_eq!(netglance::alert::action::mistakes(&actions), []);
    actions
}

/// Both, and the sampler's end of the link to the courier.
pub(crate) struct Parts {
    pub(crate) courier: Part,
    pub(crate) runner: Part,
    link: UnixStream,
    last: u64,
}

impl Parts {
    /// Starts both with some actions.
    pub(crate) fn start(actions: &str) -> Self {
        Self::traced(actions, &[])
    }

    /// Both, with something in front of their command lines.
    pub(crate) fn traced(actions: &str, before: &[&str]) -> Self {
        let actions = settings(actions);
        let (files, untold) = Files::read(&actions);
        assert!(untold.is_empty(), "{}", untold[0].1);
        let nothing = serde_json::json!({
            "serve": {}, "netns": [], "collect": {}, "threshold": [], "trail": {}, "routing": {}, "actions": actions,
        });
        let configuration = in_memory(&serde_json::to_vec(&(false, nothing)).unwrap());
        let [courier, runner] = ["courier", "runner"].map(|name| {
            let part = Part::start(name, before);
            part.send(CONFIGURATION, configuration.as_fd());
            part
        });
        courier.send(FILES, in_memory(&files.encoded()).as_fd());
        let (one, other) = UnixStream::pair().unwrap();
        courier.send(RUNNER, one.as_fd());
        runner.send(LINK, other.as_fd());
        let (link, theirs) = UnixStream::pair().unwrap();
        courier.send(LINK, theirs.as_fd());
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { courier, runner, link, last: 0 }
    }

    /// Gives an order; its number.
    pub(crate) fn order(&mut self, action: &str, message: &Message) -> u64 {
        self.last += 1;
        let message = serde_json::to_vec(message).unwrap();
        let errand = Errand { era: 7, seq: self.last, action: action.to_owned(), message };
        let bytes = errand.encode_to_vec();
        self.link.write_all(&[&(bytes.len() as u32).to_le_bytes()[..], &bytes].concat()).unwrap();
        self.last
    }

    /// What came of an order, in the order in which that is told.
    pub(crate) fn ended(&mut self) -> Ended {
        let mut length = [0; 4];
        self.link.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        self.link.read_exact(&mut bytes).unwrap();
        Parcel::decode(&bytes[..]).unwrap().ended.unwrap()
    }

    /// Gives an order and waits for what comes of it.
    pub(crate) fn tell(&mut self, action: &str, message: &Message) -> Result<(), (String, Fate)> {
        let ended = self.told(action, message);
        let fate = ended.fate();
        ended.cause.map_or(Ok(()), |cause| Err((cause, fate)))
    }

    /// The same with all that is said of it.
    pub(crate) fn told(&mut self, action: &str, message: &Message) -> Ended {
        let seq = self.order(action, message);
        let ended = self.ended();
        assert_eq!((ended.era, ended.seq), (7, seq));
        ended
    }
}

/// A change that tells of something with a name.
pub(crate) fn notification(name: &str, change: Change) -> Notification {
    Notification {
        id: format!("id of {name}"),
        alert: format!("alert of {name}"),
        rule: "guest_cpu".to_owned(),
        instance: name.to_owned(),
        table: "vm".to_owned(),
        severity: Level::Critical,
        change,
        text: format!("{name} is busy"),
        value: Some("98 %".to_owned()),
        peak: Some("99 %".to_owned()),
        begin: 1_790_000_000.5,
        end: (change == Change::Cleared).then_some(1_790_000_060.0),
        labels: [("name".to_owned(), name.to_owned())].into(),
        top: vec![name.to_owned()],
        flaps: 0,
        comment: None,
        tell: Level::Ok,
    }
}

/// A message that tells that.
pub(crate) fn message(name: &str, change: Change) -> Message {
    Message { host: "hv1".to_owned(), notifications: vec![notification(name, change)], more: 0 }
}
