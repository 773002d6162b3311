//! How is a daemon asked at its terminal?
//!
//! As somebody does it who connects with `telnet`: the password when it is asked for, and then one question after another over a
//! connection that stays open. An answer begins with the question, because terminals show what is typed, and ends with the prompt.
//! What does not fit between the two is no answer: then nothing that comes over this connection is believed any more. Nothing
//! is sent that was not asked for, and never a command that changes something or asks for more rights.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::settings::{Program, Vty};
use super::telnet::Telnet;
use super::{Answers, EVERY, Peers, Stored, more, state, stored};
use crate::model::Timestamp;
use crate::source::Error;
use crate::source::control::json::{PLAIN, readable};
use crate::source::control::line::Line;
use crate::source::routing::ask::ASK;
use crate::source::routing::secret::{Secret, Secrets};

/// Bytes of all answers of a round at most.
const BYTES: usize = 8 << 20;

/// What is asked for a password with.
const PASSWORD: &[u8] = b"Password: ";

/// Longest prompt, which has the name of a host in it.
const PROMPT: usize = 256;

/// How the prompts end of who may look, and of who may do more because nothing is configured that forbids it.
const ENDS: [&[u8]; 2] = [b"> ", b"# "];

/// How much of its last words is told of who hangs up.
const WORDS: usize = 80;

/// What a daemon says when it does not know a command.
const UNKNOWN: [&str; 3] = ["Unknown command", "Ambiguous command", "Command incomplete"];

/// Somebody at the terminal of a daemon.
pub(in super::super) struct Client {
    address: SocketAddr,
    program: Program,
    database: bool,
    timeout: Duration,
    password: Secret,
    /// Who knows to whom it may be told.
    peers: Arc<Peers>,
    session: Option<Session>,
    /// When it was asked last what may be much.
    stored: Option<Instant>,
    /// When it told its state last.
    at: Timestamp,
}

impl Client {
    /// One that is not connected yet.
    ///
    /// # Errors
    /// The password cannot be read, or cannot be typed.
    pub(in super::super) fn open(vty: &Vty, secrets: &Secrets, peers: &Arc<Peers>) -> Result<Self, Error> {
        let password = secrets.of(&vty.password_file)?;
        // an end of line in it would be the end of the password, and what is behind it a command
        if !password.bytes().iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return Err(Error::malformed(
                &vty.password_file,
                "a terminal takes letters, digits and signs of ASCII only",
            ));
        }
        let program = vty.program().unwrap_or(Program::Ospfd);
        let (address, database, timeout) = (vty.address, vty.database, vty.timeout.0);
        let peers = Arc::clone(peers);
        Ok(Self { address, program, database, timeout, password, peers, session: None, stored: None, at: Timestamp(0) })
    }

    /// Asks for all that there is to know.
    ///
    /// # Errors
    /// Nobody listens, the password is another one, or there is no answer that makes sense.
    pub(in super::super) fn round(&mut self) -> Result<Answers, Error> {
        let was_open = self.session.is_some();
        let mut told = self.talk();
        if was_open && told.as_ref().is_err_and(|error| error.cause.kind() != ErrorKind::TimedOut) {
            // it was started anew meanwhile, or nobody has typed for too long
            told = self.talk();
        }
        told
    }

    fn talk(&mut self) -> Result<Answers, Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => Session::open(self)?,
        };
        session.left = BYTES;
        let mut answers = Answers { version: session.version.clone(), ..Answers::default() };
        for question in state(self.program) {
            answers.state.push(session.ask(question)?.ok_or_else(|| session.unknown(question))?);
        }
        self.at = Timestamp::now();
        if self.database && self.stored.is_none_or(|asked| asked.elapsed() >= EVERY) {
            self.stored = Some(Instant::now());
            let told = self.look_up(&mut session);
            let untold = |error: Error| Stored { at: self.at, answers: Vec::new(), untold: Some(error.to_string()) };
            // what it has told of its state is good all the same, but nobody knows what comes next on this connection
            let is_told = told.is_ok();
            answers.database = Some(Arc::new(told.unwrap_or_else(untold)));
            if !is_told {
                return Ok(answers);
            }
        }
        self.session = Some(session);
        Ok(answers)
    }

    /// When it told its state, which is before it was asked what may be much.
    pub(in super::super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Asks for what is in its databases; a daemon that does not know a question has nothing of that sort.
    fn look_up(&self, session: &mut Session) -> Result<Stored, Error> {
        let mut told = Stored { at: Timestamp::now(), answers: Vec::new(), untold: None };
        for question in stored(self.program) {
            told.answers.push(session.ask(question)?.unwrap_or_default());
        }
        for question in more(self.program, told.answers.get(1).map_or("", String::as_str)) {
            told.answers.push(session.ask(&question)?.unwrap_or_default());
        }
        Ok(told)
    }
}

/// A connection on which somebody is logged in.
struct Session {
    line: Line,
    telnet: Telnet,
    prompt: Vec<u8>,
    version: String,
    timeout: Duration,
    /// Bytes that may still come in this round.
    left: usize,
}

impl Session {
    /// Connects, and says the password if that is asked for by who is believed.
    fn open(client: &Client) -> Result<Self, Error> {
        let (address, timeout) = (client.address, client.timeout);
        if client.peers.has_refused(address, &client.password) {
            return Err(another(address.to_string()));
        }
        let line = connect(address, Instant::now() + timeout)?;
        let (prompt, version) = (Vec::new(), String::new());
        let mut session = Self { line, telnet: Telnet::default(), prompt, version, timeout, left: BYTES };
        // who greets has taken the connection; who hangs up instead has said why nobody may look
        let mut said = session.hear(is_turn).map_err(refused)?;
        client.peers.believe([address, session.line.own()?], session.line.path())?;
        if last(&said) == PASSWORD {
            session.type_in(client.password.bytes())?;
            said = session.hear(is_turn)?;
            if last(&said) == PASSWORD {
                client.peers.refuses(address, &client.password);
                return Err(another(session.line.path()));
            }
        }
        session.prompt = last(&said).to_vec();
        session.ask("terminal length 0")?;
        session.version = session.ask("show version")?.unwrap_or_default();
        Ok(session)
    }

    /// Asks one thing; `None` when it does not know that.
    fn ask(&mut self, question: &str) -> Result<Option<String>, Error> {
        self.type_in(question.as_bytes())?;
        let prompt = [b"\n", self.prompt.as_slice()].concat();
        let said = self.hear(|said| said.ends_with(&prompt))?;
        let answer = said.strip_prefix(question.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n"));
        // that of an answer without text is the one behind the question
        let answer = answer.and_then(|rest| {
            rest.strip_suffix(self.prompt.as_slice()).filter(|text| text.is_empty() || text.ends_with(b"\n"))
        });
        let Some(answer) = answer else {
            return Err(self.fault(ErrorKind::InvalidData, "it answers something else than it was asked"));
        };
        let text = readable(answer, PLAIN).into_owned();
        self.left = self
            .left
            .checked_sub(text.len())
            .ok_or_else(|| self.fault(ErrorKind::InvalidData, &format!("it tells more than {BYTES} bytes at once")))?;
        let is_unknown = text.starts_with('%') && UNKNOWN.iter().any(|words| text.contains(words));
        Ok((!is_unknown).then_some(text))
    }

    /// Types a line, behind what is to be said of options.
    fn type_in(&mut self, words: &[u8]) -> Result<(), Error> {
        let answers = self.telnet.answers();
        self.line.send(&[&answers, words, b"\n"].concat(), Instant::now() + self.timeout)
    }

    /// Hears text up to where it is somebody else's turn.
    fn hear(&mut self, is_end: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Error> {
        let (mut text, mut storm) = (Vec::new(), None);
        let (telnet, deadline) = (&mut self.telnet, Instant::now() + self.timeout);
        telnet.begin();
        let heard = self.line.part(
            |said, before| {
                let new = said.get(before..).unwrap_or_default();
                storm = storm.or(telnet.take(new, &mut text).err());
                (storm.is_some() || is_end(&text)).then_some(said.len())
            },
            deadline,
        );
        let heard = heard.map(drop);
        match (heard, storm) {
            (Ok(()), None) => Ok(text),
            (Ok(()), Some(why)) => Err(self.fault(ErrorKind::InvalidData, why)),
            (Err(error), _) => Err(with_words(error, &text)),
        }
    }

    fn fault(&self, kind: ErrorKind, why: &str) -> Error {
        Error::new(ASK, self.line.path(), std::io::Error::new(kind, why))
    }

    fn unknown(&self, question: &str) -> Error {
        self.fault(ErrorKind::Unsupported, &format!("it does not know the command `{question}`"))
    }
}

/// Who hangs up before anybody has typed listens, but not to us.
fn refused(error: Error) -> Error {
    if error.cause.kind() != ErrorKind::ConnectionAborted {
        return error;
    }
    let cause = std::io::Error::new(ErrorKind::PermissionDenied, error.cause.to_string());
    Error::new(error.op, error.object, cause)
}

/// Who does not take the password.
fn another(place: impl Into<PathBuf>) -> Error {
    Error::new(ASK, place, std::io::Error::new(ErrorKind::PermissionDenied, "it takes another password"))
}

/// The line that has not ended.
fn last(text: &[u8]) -> &[u8] {
    text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// Whether it is somebody's turn to type, of whom the prompt is not known yet.
fn is_turn(text: &[u8]) -> bool {
    let last = last(text);
    last == PASSWORD || (last.len() <= PROMPT && ENDS.iter().any(|end| last.ends_with(end)))
}

/// What has happened to a connection, with the last words of who has closed it.
fn with_words(error: Error, text: &[u8]) -> Error {
    let words = text.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty());
    let Some(words) = words.filter(|_| error.cause.kind() == ErrorKind::ConnectionAborted) else { return error };
    let words: String = readable(words.trim_ascii(), PLAIN).chars().take(WORDS).collect();
    Error::new(
        error.op,
        error.object,
        std::io::Error::new(ErrorKind::ConnectionAborted, format!("{}: {words}", error.cause)),
    )
}

/// Connects, without waiting for longer than until a deadline.
fn connect(address: SocketAddr, deadline: Instant) -> Result<Line, Error> {
    let place = PathBuf::from(address.to_string());
    let fail = |cause: Errno| Error::new("connect to", place.as_path(), cause);
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(fail)?;
    let line = Line::over(socket, place.clone());
    loop {
        match line.connect(&address) {
            Ok(()) | Err(Errno::ISCONN) => return Ok(line),
            Err(Errno::INTR) => {}
            Err(Errno::INPROGRESS | Errno::ALREADY) => {
                let late = |_| std::io::Error::new(ErrorKind::TimedOut, "it accepts nobody");
                line.wait(PollFlags::OUT, deadline)
                    .map_err(|error| Error::new("connect to", place.as_path(), late(error)))?;
            }
            Err(cause) => return Err(fail(cause)),
        }
    }
}

#[cfg(test)]
mod tests;
