//! What does libvirt say of the guests that it runs?
//!
//! It holds their monitors itself, so that it is asked instead, over the socket on which everybody may read, in its own protocol:
//! messages of XDR with a length, a head of six words and what the procedure takes or gives. Four calls are known here. It is told
//! not to wait for a monitor that hangs.
//!
//! Source: `src/rpc/virnetprotocol.x` and `src/remote/remote_protocol.x` of libvirt, `virConnectGetAllDomainStats`; RFC 4506.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::nova;
use super::said::{Block, Said};
use crate::model::Text;
use crate::source::Error;
use crate::source::control::line::Line;

/// Sockets below `/`: those of the daemon for everything, and of that for QEMU alone.
pub const SOCKETS: [&str; 2] = ["run/libvirt/libvirt-sock-ro", "run/libvirt/virtqemud-sock-ro"];

/// The program and its version.
const PROGRAM: [u32; 2] = [0x2000_8086, 1];
/// Bytes before what a procedure takes or gives.
const HEAD: usize = 28;

const CONNECT_OPEN: u32 = 1;
const DOMAIN_GET_XML_DESC: u32 = 14;
const AUTH_LIST: u32 = 66;
const GET_ALL_DOMAIN_STATS: u32 = 344;

/// `VIR_CONNECT_RO`
const READ_ONLY: u32 = 1;
/// `VIR_DOMAIN_STATS_STATE`, `_BALLOON` and `_BLOCK`
const STATS: u32 = 1 | 1 << 2 | 1 << 5;
/// `VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE` and `_NOWAIT`
const FLAGS: u32 = 1 | 1 << 29;

/// Guests that are listened to.
const MAX_DOMAINS: u32 = 1 << 14;
/// Block devices of one that are listened to.
const MAX_BLOCKS: usize = 1024;

/// A guest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domain {
    /// By what libvirt knows it: name, UUID and number.
    name: Vec<u8>,
    raw: [u8; 16],
    id: u32,
    /// As QEMU is told.
    pub uuid: String,
    /// What libvirt says of it.
    pub said: Said,
}

/// A connection to libvirt that stays.
#[derive(Debug)]
pub struct Connection {
    line: Line,
    serial: u32,
}

impl Connection {
    /// Begins to talk.
    ///
    /// # Errors
    /// What is said is not understood or does not come in time, or somebody must say who they are.
    pub fn open(line: Line, deadline: Instant) -> Result<Self, Error> {
        let mut connection = Self { line, serial: 0 };
        let is_open = connection.call(AUTH_LIST, &[], deadline, |answer| {
            let count = answer.number()?;
            // `REMOTE_AUTH_NONE`
            (0..count.min(16)).map(|_| answer.number()).collect::<Option<Vec<_>>>().map(|kinds| kinds.contains(&0))
        })?;
        if !is_open {
            return Err(connection.line.broken("it wants to know who asks"));
        }
        let mut body = words(&[1]);
        string(&mut body, b"qemu:///system");
        body.extend(words(&[READ_ONLY]));
        connection.call(CONNECT_OPEN, &body, deadline, |_| Some(()))?;
        Ok(connection)
    }

    /// Asks for all guests that run.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn domains(&mut self, deadline: Instant) -> Result<Vec<Domain>, Error> {
        // of all domains, which is said by a list of none
        self.call(GET_ALL_DOMAIN_STATS, &words(&[0, STATS, FLAGS]), deadline, |answer| {
            let count = answer.number().filter(|count| *count <= MAX_DOMAINS)?;
            (0..count).map(|_| domain(answer)).collect()
        })
    }

    /// Asks what OpenStack calls a guest; `None` if it has none to do with it, or is gone.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_nova(&mut self, domain: &Domain, deadline: Instant) -> Result<Option<Text>, Error> {
        let mut body = Vec::new();
        string(&mut body, &domain.name);
        body.extend(domain.raw);
        body.extend(words(&[domain.id, 0]));
        let name = self.ask(DOMAIN_GET_XML_DESC, &body, deadline, |answer| answer.string().map(nova::name))?;
        Ok(name.ok().flatten())
    }

    fn call<T>(
        &mut self,
        procedure: u32,
        body: &[u8],
        deadline: Instant,
        read: impl FnOnce(&mut Answer<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.ask(procedure, body, deadline, read)?.map_err(|why| self.line.broken(&why))
    }

    /// What is answered, or why that is refused.
    fn ask<T>(
        &mut self,
        procedure: u32,
        body: &[u8],
        deadline: Instant,
        read: impl FnOnce(&mut Answer<'_>) -> Option<T>,
    ) -> Result<Result<T, String>, Error> {
        self.serial = self.serial.wrapping_add(1);
        let length = u32::try_from(HEAD + body.len()).unwrap_or(u32::MAX);
        let head = words(&[length, PROGRAM[0], PROGRAM[1], procedure, 0, self.serial, 0]);
        self.line.send(&[head.as_slice(), body].concat(), deadline)?;
        loop {
            let mut answer = Answer(self.line.part(whole, deadline)?);
            let head: Option<Vec<u32>> = (0..HEAD / 4).map(|_| answer.number()).collect();
            let Some([_, program, _, _, kind, serial, status]) = head.as_deref() else {
                return Err(self.line.broken("a message of libvirt has no head"));
            };
            // it may tell something that nobody has asked
            if (*program, *kind, *serial) != (PROGRAM[0], 1, self.serial) {
                continue;
            }
            if *status != 0 {
                return Ok(Err(answer.error().map_or_else(|| "it refuses".to_owned(), |why| why.to_string())));
            }
            let read = read(&mut answer);
            return read.map(Ok).ok_or_else(|| self.line.broken("an answer of libvirt is not understood"));
        }
    }
}

/// Where a message ends: it begins with its length.
fn whole(said: &[u8], _: usize) -> Option<usize> {
    let length = usize::try_from(Answer(said).number()?).ok()?;
    (said.len() >= length).then_some(length.max(4))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn string(body: &mut Vec<u8>, text: &[u8]) {
    body.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(text);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// What is left of a message.
struct Answer<'a>(&'a [u8]);

impl<'a> Answer<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.get(length.next_multiple_of(4) - length..)?;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u32> {
        self.bytes(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.bytes(length)
    }

    /// Words of an error.
    fn error(&mut self) -> Option<Text> {
        let [_, _, there] = [self.number()?, self.number()?, self.number()?];
        if there == 0 { None } else { self.string().map(Text::new) }
    }

    /// A value with its type, `virTypedParameterType`.
    fn value(&mut self) -> Option<Value<'a>> {
        Some(match self.number()? {
            2 | 6 => Value::Number(self.number()?.into()),
            4 => Value::Number(self.long()?),
            1 => u64::try_from(self.number()?.cast_signed()).map_or(Value::Other, Value::Number),
            3 => u64::try_from(self.long()?.cast_signed()).map_or(Value::Other, Value::Number),
            5 => {
                self.long()?;
                Value::Other
            }
            7 => Value::Text(self.string()?),
            _ => return None,
        })
    }
}

/// A value, of which numbers that are less than zero are no counts.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Text(&'a [u8]),
    Other,
}

impl Value<'_> {
    fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    fn text(self) -> Option<Text> {
        if let Self::Text(text) = self { Some(Text::new(text)) } else { None }
    }
}

fn domain(answer: &mut Answer<'_>) -> Option<Domain> {
    let (name, uuid, id) = (answer.string()?.to_vec(), answer.bytes(16)?, answer.number()?);
    let (mut said, mut state) = (Said::default(), [None; 2]);
    for _ in 0..answer.number()? {
        let (name, value) = (answer.string()?, answer.value()?);
        let Ok(name) = std::str::from_utf8(name) else { continue };
        match name {
            "state.state" => state[0] = value.number(),
            "state.reason" => state[1] = value.number(),
            "balloon.current" => said.balloon = value.number().and_then(|kibibytes| kibibytes.checked_mul(1024)),
            _ => {
                if let Some((at, field)) = name.strip_prefix("block.").and_then(|rest| rest.split_once('.')) {
                    block(&mut said.blocks, at, field, value);
                }
            }
        }
    }
    said.status = status(state);
    // what nothing was said of in between has no name
    said.blocks.retain(|block| block.target.is_some() || block.path.is_some());
    Some(Domain { name, raw: uuid.try_into().ok()?, id, uuid: written(uuid), said })
}

fn block(blocks: &mut Vec<Block>, at: &str, field: &str, value: Value<'_>) {
    let Some(at) = at.parse().ok().filter(|at| *at < MAX_BLOCKS) else { return };
    if blocks.len() <= at {
        blocks.resize(at + 1, Block::default());
    }
    let Some(block) = blocks.get_mut(at) else { return };
    let [read, write, flush] = block.counts.get_or_insert_default();
    let time = value.number().map(Duration::from_nanos);
    match field {
        "name" => block.target = value.text(),
        "path" => block.path = value.text().map(|path| Box::from(path.as_str())),
        "capacity" => block.size = value.number(),
        "rd.reqs" => read.operations = value.number(),
        "rd.bytes" => read.bytes = value.number(),
        "rd.times" => read.time = time,
        "wr.reqs" => write.operations = value.number(),
        "wr.bytes" => write.bytes = value.number(),
        "wr.times" => write.time = time,
        "fl.reqs" => flush.operations = value.number(),
        "fl.times" => flush.time = time,
        _ => {}
    }
}

/// A state (`virDomainState`) with its reason in the words of QEMU.
fn status([state, reason]: [Option<u64>; 2]) -> Option<Text> {
    let word = match (state?, reason) {
        (1 | 2, _) => "running",
        (3, Some(5)) => "io-error",
        (3, Some(6)) => "watchdog",
        (3, Some(10)) => "guest-panicked",
        (3, _) => "paused",
        (4 | 5, _) => "shutdown",
        (6, _) => "guest-panicked",
        (7, _) => "suspended",
        _ => return None,
    };
    Some(Text::from(word))
}

fn written(uuid: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// A message of libvirt.
    fn message(procedure: u32, kind: u32, serial: u32, status: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEAD + body.len()).unwrap();
        [words(&[length, PROGRAM[0], PROGRAM[1], procedure, kind, serial, status]), body.to_vec()].concat()
    }

    fn texts(body: &mut Vec<u8>, name: &str, value: &str) {
        string(body, name.as_bytes());
        body.extend(words(&[7]));
        string(body, value.as_bytes());
    }

    fn numbers(body: &mut Vec<u8>, name: &str, value: u64) {
        string(body, name.as_bytes());
        body.extend(words(&[4]));
        body.extend(value.to_be_bytes());
    }

    fn record() -> Vec<u8> {
        let mut body = words(&[1]);
        string(&mut body, b"web");
        body.extend((0..16).collect::<Vec<u8>>());
        body.extend(words(&[3, 9]));
        string(&mut body, b"state.state");
        body.extend(words(&[1, 3]));
        string(&mut body, b"state.reason");
        body.extend(words(&[1, 5]));
        numbers(&mut body, "balloon.current", 2048);
        numbers(&mut body, "block.count", 2);
        texts(&mut body, "block.0.name", "vda");
        texts(&mut body, "block.0.path", "/a.img");
        numbers(&mut body, "block.0.rd.times", 7);
        numbers(&mut body, "block.9999999999.rd.times", 7);
        numbers(&mut body, "block.5000.rd.times", 7);
        body
    }

    /// What is made of these messages, each an answer to a call.
    fn talked(said: Vec<Vec<u8>>) -> Result<Vec<Domain>, Error> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let libvirt = std::thread::spawn(move || {
            for answer in said {
                let mut length = [0; 4];
                theirs.read_exact(&mut length).unwrap();
                theirs.read_exact(&mut vec![0; u32::from_be_bytes(length) as usize - 4]).unwrap();
                theirs.write_all(&answer).unwrap();
            }
        });
        let domains = Connection::open(Line::testing(ours), soon()).and_then(|mut it| it.domains(soon()));
        libvirt.join().unwrap();
        domains
    }

    fn opened(then: Vec<u8>) -> Vec<Vec<u8>> {
        vec![message(66, 1, 1, 0, &words(&[1, 0])), message(1, 1, 2, 0, &[]), then]
    }

    #[test]
    fn guests_are_told_with_their_disks_and_what_nobody_asked_is_passed_over() {
        let event = message(500, 2, 0, 0, &words(&[1, 2, 3]));
        let domains = talked(opened([event, message(344, 1, 3, 0, &record())].concat())).unwrap();
        let [domain] = domains.as_slice() else { panic!("{domains:?}") };
        assert_eq!(domain.uuid, "00010203-0405-0607-0809-0a0b0c0d0e0f");
        let said = &domain.said;
        assert_eq!((said.status.as_deref(), said.balloon), (Some("io-error"), Some(2 << 20)));
        let [block] = said.blocks.as_slice() else { panic!("{said:?}") };
        assert_eq!((block.target.as_deref(), block.path.as_deref()), (Some("vda"), Some("/a.img")));
        assert_eq!(block.counts.unwrap()[0].time, Some(Duration::from_nanos(7)));
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_or_never_ends_is_an_error() {
        let whole = record();
        for length in 0..whole.len() {
            let error = talked(opened(message(344, 1, 3, 0, &whole[..length]))).unwrap_err();
            assert_eq!(error.cause.kind(), ErrorKind::InvalidData, "{length}: {error}");
        }
        for body in [words(&[u32::MAX]), [words(&[1]), words(&[u32::MAX; 8])].concat()] {
            assert!(talked(opened(message(344, 1, 3, 0, &body))).is_err());
        }
        assert!(talked(vec![words(&[0])]).is_err() && talked(vec![words(&[8, 1])]).is_err());
    }

    #[test]
    fn who_wants_to_know_who_asks_and_who_refuses_says_so() {
        let error = talked(vec![message(66, 1, 1, 0, &words(&[1, 2]))]).unwrap_err();
        assert!(error.to_string().ends_with("it wants to know who asks"), "{error}");
        let mut why = words(&[38, 10, 1]);
        string(&mut why, b"no driver");
        let error = talked(vec![message(66, 1, 1, 0, &words(&[1, 0])), message(1, 1, 2, 1, &why)]).unwrap_err();
        assert!(error.to_string().ends_with("no driver"), "{error}");
    }
}
