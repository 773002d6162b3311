//! How is a mail handed to a server?
//!
//! What SMTP takes to hand over one mail (RFC 5321): TLS (RFC 3207), which is insisted on, a login with a password (RFC 4954),
//! which no other host gets without TLS, and the mail. A crate for mail brings thirty others with it, for addresses that are not
//! ASCII above all, and looks up names itself. Answers are bounded, and what they say is not trusted.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::connect::{self, Stream, Trust};
use super::place::Place;
use super::settings::{Mail, Tls};
use super::{Means, mail};
use crate::alert::{Failure, Fate, Message};
use crate::model::Text;
use crate::source::routing::secret::Secret;

/// Ports where mail is handed over: with TLS that is asked for, TLS at once, and without.
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;
const SMTP: u16 = 25;

/// That there is no time left.
const LATE: ErrorKind = ErrorKind::TimedOut;

/// Bytes of a line of an answer, and lines of an answer, at most.
const MAX_LINE: u64 = 1024;
const MAX_LINES: usize = 64;

/// Where a mail is handed over.
///
/// # Errors
/// Nowhere.
pub(super) fn place(mail: &Mail) -> Result<Place, Failure> {
    let usual = match mail.tls {
        Tls::Starttls => SUBMISSION,
        Tls::Tls => SUBMISSIONS,
        Tls::None => SMTP,
    };
    let place = Place::parse(&mail.server, usual);
    let place = place.ok_or_else(|| Failure::refused("send a mail: there is no such server".to_owned()))?;
    if mail.tls == Tls::None && !place.is_here() {
        return Err(Failure::refused(format!("send a mail to {place}: other hosts are told over TLS only")));
    }
    Ok(place)
}

/// Sends one.
///
/// # Errors
/// The server has not taken it, or not for everybody: then it is told, and why somebody does not get it.
pub(super) async fn send(
    mail: &Mail,
    means: &Means,
    message: &Message,
    place: &Place,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(), Failure> {
    let password = means.files.secret(&mail.password_file)?;
    let text = mail::written(mail, message, jiff::Timestamp::now())?;
    let letter = Letter { mail, message, password: password.as_ref(), text: &text };
    let trust = Trust::of(&means.files, mail.tls != Tls::None, &mail.ca_file)?;
    let plain = connect::connect(place, addresses, until).await?;
    let own = name(plain.local_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| own.ip()));
    let Some(trust) = trust else {
        let mut session = Session::new(plain, place, until);
        session.expect(220).await?;
        session.hello(&own).await?;
        return session.deliver(&letter).await;
    };
    if mail.tls == Tls::Tls {
        let stream = connect::secure(plain, place, &trust, until).await?;
        let mut session = Session::new(stream, place, until);
        session.expect(220).await?;
        session.hello(&own).await?;
        return session.deliver(&letter).await;
    }
    let mut session = Session::new(plain, place, until);
    session.expect(220).await?;
    session.hello(&own).await?;
    session.say("STARTTLS", 220).await?;
    // what was said before TLS began is nobody's word
    if !session.stream.buffer().is_empty() {
        return Err(Failure::refused(format!("speak TLS with {place}: it says more than it was asked before")));
    }
    let stream = connect::secure(session.stream.into_inner(), place, &trust, until).await?;
    let mut session = Session::new(stream, place, until);
    session.hello(&own).await?;
    session.deliver(&letter).await
}

/// This host as nobody looks it up: by its address (RFC 5321, 4.1.3).
fn name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(four) => format!("[{four}]"),
        IpAddr::V6(six) => format!("[IPv6:{six}]"),
    }
}

/// What is handed over.
struct Letter<'a> {
    mail: &'a Mail,
    message: &'a Message,
    password: Option<&'a Secret>,
    text: &'a str,
}

/// A conversation with a server.
struct Session<'a, S> {
    stream: BufReader<S>,
    place: &'a Place,
    until: Instant,
    /// What becomes of the mail when the conversation breaks off.
    fate: Fate,
}

/// What a server answers.
struct Answer {
    code: u16,
    said: Text,
}

impl<'a, S: Stream> Session<'a, S> {
    fn new(stream: S, place: &'a Place, until: Instant) -> Self {
        Self { stream: BufReader::new(stream), place, until, fate: Fate::Unsent }
    }

    fn failed(&self, cause: &dyn std::fmt::Display) -> Failure {
        Failure { fate: self.fate, ..Failure::unsent(format!("send a mail to {}: {cause}", self.place)) }
    }

    /// Why an answer is not the one that was wanted.
    fn refused(&self, answer: &Answer) -> Failure {
        let cause = format!("send a mail to {}: it answers {}", self.place, answer.said);
        if (500..600).contains(&answer.code) { Failure::refused(cause) } else { Failure::unsent(cause) }
    }

    /// Says a line and expects an answer.
    async fn say(&mut self, line: &str, wanted: u16) -> Result<(), Failure> {
        self.write(&format!("{line}\r\n")).await?;
        self.expect(wanted).await
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        let stream = self.stream.get_mut();
        let written = async {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await
        };
        let written = tokio::time::timeout_at(self.until.into(), written).await;
        written.unwrap_or_else(|_| Err(LATE.into())).map_err(|cause| self.failed(&cause))
    }

    /// Hears an answer that has to have a code.
    async fn expect(&mut self, wanted: u16) -> Result<(), Failure> {
        let answer = self.answer().await?;
        if answer.code == wanted { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// Hears an answer.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        for _ in 0..MAX_LINES {
            let mut line = Vec::new();
            let mut bounded = (&mut self.stream).take(MAX_LINE);
            let read = tokio::time::timeout_at(self.until.into(), bounded.read_until(b'\n', &mut line)).await;
            read.unwrap_or_else(|_| Err(LATE.into())).map_err(|cause| self.failed(&cause))?;
            let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
            let (Some(code), true) = (code, line.ends_with(b"\n")) else {
                return Err(self.failed(&"its answer is none"));
            };
            if line.get(3) != Some(&b'-') {
                return Ok(Answer { code, said: Text::new(line.trim_ascii()) });
            }
        }
        Err(self.failed(&"its answer has no end"))
    }

    /// Says who it is.
    async fn hello(&mut self, name: &str) -> Result<(), Failure> {
        self.say(&format!("EHLO {name}"), 250).await
    }

    /// Logs in if there is a password, and hands the mail over.
    async fn deliver(&mut self, letter: &Letter<'_>) -> Result<(), Failure> {
        if let Some(password) = letter.password {
            let word = [b"\0", letter.mail.user.as_bytes(), b"\0", password.bytes()].concat();
            // not what it answers: that may be what it was told
            let cause = format!("log in at {}: the server does not take it", self.place);
            let logged = self.say(&format!("AUTH PLAIN {}", STANDARD.encode(word)), 235).await;
            logged.map_err(|_| Failure::unsent(cause))?;
        }
        self.say(&format!("MAIL FROM:<{}>", letter.mail.from), 250).await?;
        let mut left_out = Vec::new();
        for to in &letter.mail.to {
            self.write(&format!("RCPT TO:<{to}>\r\n")).await?;
            let answer = self.answer().await?;
            if !(200..300).contains(&answer.code) {
                left_out.push(self.refused(&answer));
            }
        }
        let is_for_nobody = left_out.len() == letter.mail.to.len();
        // one that is not taken now may be taken soon
        let left_out = left_out.into_iter().min_by_key(|failure| failure.fate);
        if let (true, Some(failure)) = (is_for_nobody, &left_out) {
            return Err(failure.clone());
        }
        self.say("DATA", 354).await?;
        // no line of it begins with a dot: they are headers and base64
        self.write(letter.text).await?;
        // from here on it may have been taken
        self.fate = Fate::Unknown;
        self.write(".\r\n").await?;
        let answer = self.answer().await?;
        if !(200..300).contains(&answer.code) {
            return Err(self.refused(&answer));
        }
        // it was taken, whatever comes after that
        let _ = self.write("QUIT\r\n").await;
        let told = || letter.message.notifications.iter().map(|one| one.id.clone()).collect();
        left_out.map_or(Ok(()), |failure| Err(failure.but(told())))
    }
}
