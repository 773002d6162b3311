//! How is a router asked, one question at a time?
//!
//! Over UDP (RFC 3417): a question that is not answered within half of its time is sent once more. Answers are believed when
//! they come from the address that was asked, to this question. A walk ends at its end, or with an error when names do not
//! increase, when there are more values, bytes or questions than any table takes, or when all of it takes too long.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ber::{Binding, Oid, Value};
use super::message::{self, Kind, Pdu};
use super::mib;
use super::settings::{ROUND, Router, Version};
use super::usm::{Heard, User};
use crate::model::unit;
use crate::source::Error;
use crate::source::routing::ask::ASK;
use crate::source::routing::bell::Bell;
use crate::source::routing::secret::Secrets;

/// Most values of a round.
pub(super) const MOST: usize = 1 << 16;

/// Most bytes of a round: a value takes some thirty of them.
pub(super) const BYTES: usize = 4 << 20;

/// Most questions of a round.
const QUESTIONS: u32 = 4096;

/// Values that are asked for at once; what does not fit into an answer is left out of it.
const REPETITIONS: u16 = 48;

/// Names that are asked for at once.
const NAMES: usize = 24;

/// Datagrams that are looked at for one answer.
const DATAGRAMS: usize = 64;

/// Largest datagram.
const LARGEST: usize = 65_507;

/// How soon it is noticed that nobody wants an answer any more.
const NOTICE: Duration = Duration::from_millis(250);

/// How often a question may be put, for what is not known of the other end.
const TURNS: usize = 4;

/// Shortest password (RFC 3414, section 11.2).
const PASSWORD: usize = 8;

/// Names of what is wrong with a question (RFC 3416, section 3).
const STATUSES: [&str; 19] = [
    "noError",
    "tooBig",
    "noSuchName",
    "badValue",
    "readOnly",
    "genErr",
    "noAccess",
    "wrongType",
    "wrongLength",
    "wrongEncoding",
    "wrongValue",
    "noCreation",
    "inconsistentValue",
    "resourceUnavailable",
    "commitFailed",
    "undoFailed",
    "authorizationError",
    "notWritable",
    "inconsistentName",
];
const TOO_BIG: i64 = 1;
const REFUSALS: [i64; 2] = [6, 16];

/// Who is asked, and how it is known that it was them who answered.
enum Security {
    Community(Vec<u8>),
    User(Box<User>),
}

/// A connection to one router.
pub(in super::super) struct Client {
    name: String,
    /// Whether it is asked for its LSAs, too.
    database: bool,
    socket: UdpSocket,
    security: Security,
    timeout: Duration,
    repetitions: u16,
    /// Names for which there is room in an answer.
    names: usize,
    /// Number of the last question.
    request: i32,
    asked: u32,
    heard: usize,
    /// Bytes of all that came.
    bytes: usize,
    end: Instant,
    /// Rung when nobody wants to know any more.
    bell: Arc<Bell>,
    buffer: Vec<u8>,
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // what is left of zeros is no secret: nothing is hidden by it, and it is never the same twice
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

impl Client {
    /// One that has asked nothing yet.
    ///
    /// # Errors
    /// A secret cannot be read, or there is no way to the address.
    pub(in super::super) fn open(router: &Router, secrets: &Secrets, bell: Arc<Bell>) -> Result<Self, Error> {
        let security = security(router, secrets)?;
        let place = router.address.0;
        let fail = |cause| Error::new(ASK, router.name.as_str(), cause);
        let any: SocketAddr = match place {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).map_err(fail)?;
        socket.connect(place).map_err(fail)?;
        Ok(Self {
            name: router.name.clone(),
            database: router.database,
            socket,
            security,
            timeout: router.timeout.0,
            repetitions: REPETITIONS,
            names: NAMES,
            request: (random() >> 33) as i32,
            asked: 0,
            heard: 0,
            bytes: 0,
            end: Instant::now() + ROUND,
            bell,
            buffer: vec![0; LARGEST],
        })
    }

    /// Asks for all that there is to know.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(in super::super) fn round(&mut self) -> Result<Vec<Binding>, Error> {
        self.begin();
        mib::ask(self, self.database)
    }

    /// Begins a round: what a router may cost is counted from here on.
    pub(super) fn begin(&mut self) {
        (self.asked, self.heard, self.bytes) = (0, 0, 0);
        self.end = Instant::now() + ROUND;
    }

    fn fault(&self, of: &Oid, kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::new(ASK, format!("{} for {of}", self.name), io::Error::new(kind, what.into()))
    }

    /// The values of names; those that there are.
    ///
    /// # Errors
    /// There is no answer, or none that makes sense.
    pub(super) fn get(&mut self, names: &[Oid]) -> Result<Vec<Binding>, Error> {
        let (mut all, mut left) = (Vec::new(), names);
        while let Some(first) = left.first() {
            let (some, rest) = left.split_at(self.names.min(left.len()));
            let answer = self.exchange(first, |request| Pdu::get(request, some))?;
            if answer.status == TOO_BIG && self.names > 1 {
                self.names = (some.len() / 2).max(1);
                continue;
            }
            left = rest;
            if answer.status != 0 {
                return Err(self.refused(first, answer.status));
            }
            let is_same = answer.bindings.iter().map(|binding| &binding.oid).eq(some);
            if !is_same {
                return Err(self.fault(first, ErrorKind::InvalidData, "it answers something else than it was asked"));
            }
            all.extend(answer.bindings.into_iter().filter(|binding| is_there(&binding.value)));
        }
        Ok(all)
    }

    /// Everything below a name, in order.
    ///
    /// # Errors
    /// As [`Self::get`], or it does not end.
    pub(super) fn walk(&mut self, below: &Oid) -> Result<Vec<Binding>, Error> {
        let (mut all, mut last): (Vec<Binding>, Oid) = (Vec::new(), below.clone());
        loop {
            let (from, repetitions) = (last.clone(), self.repetitions);
            let answer = self.exchange(&from, |request| Pdu::bulk(request, from.clone(), repetitions))?;
            if answer.status == TOO_BIG && self.repetitions > 1 {
                self.repetitions /= 2;
                continue;
            }
            if answer.status != 0 {
                return Err(self.refused(&from, answer.status));
            }
            if answer.bindings.is_empty() {
                return Err(self.fault(&from, ErrorKind::InvalidData, "it answers nothing"));
            }
            for binding in answer.bindings {
                if binding.value == Value::End || binding.oid.below(below).is_none() {
                    return Ok(all);
                }
                if binding.oid <= last {
                    return Err(self.fault(
                        &binding.oid,
                        ErrorKind::InvalidData,
                        "it tells names that do not increase",
                    ));
                }
                self.heard += 1;
                if self.heard > MOST {
                    return Err(self.fault(
                        &binding.oid,
                        ErrorKind::InvalidData,
                        format!("it tells more than {MOST} values"),
                    ));
                }
                last = binding.oid.clone();
                all.push(binding);
            }
        }
    }

    fn refused(&self, of: &Oid, status: i64) -> Error {
        let kind = if REFUSALS.contains(&status) { ErrorKind::PermissionDenied } else { ErrorKind::InvalidData };
        let name = usize::try_from(status).ok().and_then(|status| STATUSES.get(status));
        self.fault(
            of,
            kind,
            name.map_or_else(|| format!("it answers error {status}"), |name| format!("it answers {name}")),
        )
    }

    /// Puts a question until it is answered: of a router that is met for the first time more must be known.
    fn exchange(&mut self, of: &Oid, question: impl Fn(i32) -> Pdu) -> Result<Pdu, Error> {
        for _ in 0..TURNS {
            self.asked += 1;
            if self.asked > QUESTIONS || Instant::now() >= self.end {
                let what = format!("all it tells takes longer than {} or {QUESTIONS} questions", unit::duration(ROUND));
                return Err(self.fault(of, ErrorKind::InvalidData, what));
            }
            self.request = self.request.checked_add(1).unwrap_or(1);
            let pdu = question(self.request);
            let bytes = match &mut self.security {
                Security::Community(community) => Some(message::of_community(community, &pdu)),
                Security::User(user) => user.write(self.request, &pdu),
            };
            let Some(bytes) = bytes else {
                return Err(self.fault(of, ErrorKind::Other, "the question cannot be hidden"));
            };
            match self.heard(of, &bytes)? {
                Heard::Answer(pdu) => return Ok(pdu),
                Heard::Refused(why) => return Err(self.fault(of, ErrorKind::PermissionDenied, why)),
                Heard::Learned => {}
            }
        }
        Err(self.fault(of, ErrorKind::InvalidData, "it always tells another name or clock"))
    }

    /// Sends a question and waits for what is said to it.
    fn heard(&mut self, of: &Oid, question: &[u8]) -> Result<Heard, Error> {
        let (begin, mut doubt) = (Instant::now(), None);
        let mut left = DATAGRAMS;
        for until in [begin + self.timeout / 2, begin + self.timeout] {
            let sent = self.socket.send(question);
            sent.map_err(|cause| Error::new(ASK, format!("{} for {of}", self.name), cause))?;
            while let Some(length) = self.receive(of, until)? {
                match self.understood(length) {
                    Ok(heard) => return Ok(heard),
                    Err(why) => doubt = Some(why),
                }
                left -= 1;
                if left == 0 {
                    return Err(self.fault(of, ErrorKind::InvalidData, doubt.unwrap_or_default()));
                }
            }
        }
        let within = unit::duration(self.timeout);
        Err(match (doubt, &self.security) {
            (Some(why), _) => self.fault(of, ErrorKind::InvalidData, format!("it sent {why}")),
            (None, Security::Community(_)) => {
                let what = format!("no answer within {within}; a wrong community has none either");
                self.fault(of, ErrorKind::TimedOut, what)
            }
            (None, Security::User(_)) => {
                let what = format!("no answer within {within}; some have none for a wrong key of privacy either");
                self.fault(of, ErrorKind::TimedOut, what)
            }
        })
    }

    /// Length of the next datagram; `None` when none comes in time.
    fn receive(&mut self, of: &Oid, until: Instant) -> Result<Option<usize>, Error> {
        loop {
            if self.bell.is_rung() {
                return Err(self.fault(of, ErrorKind::Interrupted, "nobody wants to know any more"));
            }
            let left = until.saturating_duration_since(Instant::now()).min(NOTICE);
            if left.is_zero() {
                return Ok(None);
            }
            let received = self.socket.set_read_timeout(Some(left)).and_then(|()| self.socket.recv(&mut self.buffer));
            match received {
                Ok(length) => {
                    self.bytes += length;
                    if self.bytes > BYTES {
                        let what = format!("it tells more than {BYTES} bytes");
                        return Err(self.fault(of, ErrorKind::InvalidData, what));
                    }
                    return Ok(Some(length));
                }
                Err(cause)
                    if matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                }
                Err(cause) => return Err(Error::new(ASK, format!("{} for {of}", self.name), cause)),
            }
        }
    }

    fn understood(&mut self, length: usize) -> Result<Heard, &'static str> {
        let bytes = self.buffer.get(..length).unwrap_or_default();
        let heard = match &mut self.security {
            Security::Community(community) => Heard::Answer(message::from_community(bytes, community)?),
            Security::User(user) => user.read(bytes, self.request)?,
        };
        match &heard {
            Heard::Answer(pdu) if pdu.kind != Kind::Response => Err("a message that is no answer"),
            Heard::Answer(pdu) if pdu.request != self.request => Err("an answer to another question"),
            _ => Ok(heard),
        }
    }
}

fn is_there(value: &Value) -> bool {
    !matches!(value, Value::Absent | Value::End)
}

fn security(router: &Router, secrets: &Secrets) -> Result<Security, Error> {
    if router.version == Version::Two {
        return Ok(Security::Community(secrets.of(&router.community_file)?.bytes().to_vec()));
    }
    let password = |file: &std::path::Path| {
        let secret = secrets.of(file)?;
        if secret.bytes().len() < PASSWORD {
            return Err(Error::malformed(file, "a password has at least eight characters"));
        }
        Ok(secret.bytes().to_vec())
    };
    let auth = router.auth.map(|auth| Ok::<_, Error>((auth, password(&router.auth_file)?))).transpose()?;
    let privacy =
        router.privacy.map(|privacy| Ok::<_, Error>((privacy, password(&router.privacy_file)?))).transpose()?;
    Ok(Security::User(Box::new(User::new(&router.user, auth, privacy, random()))))
}

#[cfg(test)]
mod tests;
