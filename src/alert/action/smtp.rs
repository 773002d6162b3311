//! How is a mail handed to a server?
//!
//! What SMTP takes to hand over one mail (RFC 5321): TLS (RFC 3207), which is insisted on, a login with a password (RFC 4954),
//! which no other host gets without TLS, and the mail. A crate for mail brings thirty others with it, for addresses that are not
//! ASCII above all, and looks up names itself. Answers are bounded, and what they say is not trusted.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use super::connect::{self, Stream};
use super::place::Place;
use super::settings::{Mail, Tls};
use super::{Means, mail};
use crate::alert::{Failure, Message};
use crate::model::Text;
use crate::source::routing::secret::Secret;

/// Ports where mail is handed over: with TLS that is asked for, TLS at once, and without.
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;
const SMTP: u16 = 25;

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
    let place = place.ok_or_else(|| Failure::never("send a mail: there is no such server".to_owned()))?;
    if mail.tls == Tls::None && !place.is_here() {
        return Err(Failure::never(format!("send a mail to {place}: other hosts are told over TLS only")));
    }
    Ok(place)
}

/// Sends one.
///
/// # Errors
/// The server has not taken it.
pub(super) async fn send(
    mail: &Mail,
    means: &Means,
    message: &Message,
    place: &Place,
    addresses: &[SocketAddr],
) -> Result<(), Failure> {
    let password = means.files.secret(&mail.password_file)?;
    let text = mail::written(mail, message, jiff::Timestamp::now())?;
    let letter = Letter { mail, password: password.as_ref(), text: &text };
    let plain = connect::connect(place, addresses).await?;
    match mail.tls {
        Tls::None => {
            let mut session = Session::new(plain, place);
            session.expect(220).await?;
            session.hello().await?;
            session.deliver(&letter).await
        }
        Tls::Tls => {
            let stream = connect::secure(plain, place, means.files.roots(&mail.ca_file)?).await?;
            let mut session = Session::new(stream, place);
            session.expect(220).await?;
            session.hello().await?;
            session.deliver(&letter).await
        }
        Tls::Starttls => {
            let mut session = Session::new(plain, place);
            session.expect(220).await?;
            session.hello().await?;
            session.say("STARTTLS", 220).await?;
            // what was said before TLS began is nobody's word
            if !session.stream.buffer().is_empty() {
                return Err(Failure::never(format!("speak TLS with {place}: it says more than it was asked before")));
            }
            let stream = session.stream.into_inner();
            let stream = connect::secure(stream, place, means.files.roots(&mail.ca_file)?).await?;
            let mut session = Session::new(stream, place);
            session.hello().await?;
            session.deliver(&letter).await
        }
    }
}

/// What is handed over.
struct Letter<'a> {
    mail: &'a Mail,
    password: Option<&'a Secret>,
    text: &'a str,
}

/// A conversation with a server.
struct Session<'a, S> {
    stream: BufReader<S>,
    place: &'a Place,
}

impl<'a, S: Stream> Session<'a, S> {
    fn new(stream: S, place: &'a Place) -> Self {
        Self { stream: BufReader::new(stream), place }
    }

    /// Says a line and expects an answer.
    async fn say(&mut self, line: &str, code: u16) -> Result<(), Failure> {
        self.write(&format!("{line}\r\n")).await?;
        self.expect(code).await
    }

    async fn write(&mut self, text: &str) -> Result<(), Failure> {
        let place = self.place;
        let failed = |cause: std::io::Error| Failure::again(format!("send a mail to {place}: {cause}"));
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)
    }

    /// Hears an answer with a code.
    async fn expect(&mut self, wanted: u16) -> Result<(), Failure> {
        let failed = |cause: &dyn std::fmt::Display| Failure::again(format!("send a mail to {}: {cause}", self.place));
        for _ in 0..MAX_LINES {
            let mut line = Vec::new();
            let read = (&mut self.stream).take(MAX_LINE).read_until(b'\n', &mut line).await;
            read.map_err(|cause| failed(&cause))?;
            let code = line.get(..3).and_then(|code| std::str::from_utf8(code).ok()?.parse::<u16>().ok());
            let (Some(code), true) = (code, line.ends_with(b"\n")) else {
                return Err(failed(&"its answer is none"));
            };
            if line.get(3) == Some(&b'-') {
                continue;
            }
            let said = Text::new(line.trim_ascii());
            return match code {
                code if code == wanted => Ok(()),
                // what is refused for good
                500..=599 => Err(Failure::never(format!("send a mail to {}: it answers {said}", self.place))),
                _ => Err(failed(&format!("it answers {said}"))),
            };
        }
        Err(failed(&"its answer has no end"))
    }

    /// Says who it is: nobody who could be asked back.
    async fn hello(&mut self) -> Result<(), Failure> {
        self.say("EHLO netglance.invalid", 250).await
    }

    /// Logs in if there is a password, and hands the mail over.
    async fn deliver(&mut self, letter: &Letter<'_>) -> Result<(), Failure> {
        if let Some(password) = letter.password {
            let word = [b"\0", letter.mail.user.as_bytes(), b"\0", password.bytes()].concat();
            // not what it answers: that may be what it was told
            let place = self.place;
            let logged = self.say(&format!("AUTH PLAIN {}", STANDARD.encode(word)), 235).await;
            logged.map_err(|failure| Failure {
                cause: format!("log in at {place}: the server does not take it"),
                ..failure
            })?;
        }
        self.say(&format!("MAIL FROM:<{}>", letter.mail.from), 250).await?;
        for to in &letter.mail.to {
            self.say(&format!("RCPT TO:<{to}>"), 250).await?;
        }
        self.say("DATA", 354).await?;
        // no line of it begins with a dot: they are headers and base64
        self.write(letter.text).await?;
        self.say(".", 250).await?;
        // it was taken, whatever comes after that
        let _ = self.write("QUIT\r\n").await;
        Ok(())
    }
}
