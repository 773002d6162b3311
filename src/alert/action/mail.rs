//! What does a mail say?
//!
//! One mail for one message, however much it tells, in plain text (RFC 5322, RFC 2045). What was observed stands in the subject
//! as an encoded word (RFC 2047) and in the body as base64, so that no byte of it can end a line or be taken for a header.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::settings::Mail;
use super::{digest, words};
use crate::alert::{Failure, Message};

/// Bytes of the text of an encoded word, so that no line with one has more than 76.
const WORD: usize = 39;

/// Bytes of a subject at most.
const MAX_SUBJECT: usize = 500;

/// Digits of a line of base64.
const LINE: usize = 76;

/// The mail, with the ends of lines that SMTP wants. The number of the mail is the same for the same changes, so that one that
/// was sent twice is shown once.
///
/// # Errors
/// A time cannot be written.
pub(super) fn written(mail: &Mail, message: &Message, now: jiff::Timestamp) -> Result<String, Failure> {
    let host = mail.from.rsplit('@').next().unwrap_or_default();
    let date = jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC));
    let date = date.map_err(|cause| Failure::refused(format!("write a mail: {cause}")))?;
    let number = |words: &mut dyn Iterator<Item = &str>| format!("<{}@{host}>", digest(words));
    let mut text = format!("From: <{}>\r\nTo: ", mail.from);
    for (n, to) in mail.to.iter().enumerate() {
        let _ = write!(text, "{}<{to}>", if n == 0 { "" } else { ",\r\n " });
    }
    let subject = words::subject(message);
    let _ = write!(text, "\r\nSubject: {}\r\nDate: {date}\r\n", encoded(words::cut(&subject, MAX_SUBJECT)));
    let id = number(&mut message.notifications.iter().map(|one| one.id.as_str()));
    let _ = write!(text, "Message-ID: {id}\r\n");
    if let [one] = message.notifications.as_slice() {
        // what is said of one alert stands together
        let _ =
            write!(text, "References: {}\r\n", number(&mut [message.host.as_str(), one.alert.as_str()].into_iter()));
    }
    text.push_str("Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n");
    text.push_str("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    let mut body = STANDARD.encode(words::text(message).replace('\n', "\r\n"));
    while !body.is_empty() {
        let rest = body.split_off(LINE.min(body.len()));
        text.push_str(&body);
        text.push_str("\r\n");
        body = rest;
    }
    Ok(text)
}

/// Words of a header as encoded words, each on a line of its own.
fn encoded(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = words::cut(rest, WORD);
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = rest.get(word.len()..).unwrap_or_default();
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        toml::from_str("server = 'mx'\nfrom = 'netglance@hv1.example'\nto = ['a@b.example', 'c@d.example']").unwrap()
    }

    fn text(message: &Message) -> String {
        written(&mail(), message, jiff::Timestamp::from_second(1_790_000_000).unwrap()).unwrap()
    }

    fn decoded(text: &str) -> String {
        String::from_utf8(STANDARD.decode(text.replace("\r\n", "")).unwrap()).unwrap()
    }

    #[test]
    fn nothing_that_was_observed_stands_in_it_as_it_is() {
        let hostile = "x\r\nBcc: <e@f.example>\r\n\r\n.\r\nQUIT ü";
        let told = text(&words::message(hostile));
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(
            decoded(body).starts_with(&format!("critical: {}\r\n", hostile.replace("\r\n", "\r\r\n"))),
            "{}",
            decoded(body)
        );
        let names: Vec<&str> = head.split("\r\n").filter_map(|line| Some(line.split_once(": ")?.0)).collect();
        let wanted = [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "References",
            "Auto-Submitted",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ];
        assert_eq!(names, wanted);
        assert!(told.is_ascii() && told.split("\r\n").all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])));
        assert!(head.contains("To: <a@b.example>,\r\n <c@d.example>\r\n"));
        assert!(head.contains("Date: Mon, 21 Sep 2026 14:13:20 +0000"), "{head}");
    }

    #[test]
    fn a_subject_of_any_length_is_encoded_in_words() {
        for text in ["short", "ä", &"größe ".repeat(40)] {
            let told = encoded(text);
            let words = told.split("\r\n ").map(|word| {
                assert!(word.len() <= 67, "{word}");
                decoded(word.strip_prefix("=?utf-8?B?").unwrap().strip_suffix("?=").unwrap())
            });
            assert_eq!(words.collect::<String>(), text);
        }
    }

    #[test]
    fn the_same_changes_are_the_same_mail() {
        let id = |message: &Message| {
            text(message).split_once("Message-ID: ").unwrap().1.split("\r\n").next().unwrap().to_owned()
        };
        let (one, mut other) = (words::message("x"), words::message("x"));
        other.notifications[0].id = "id-2".to_owned();
        assert_eq!(id(&one), id(&one));
        assert_ne!(id(&one), id(&other));
        let mut digest = words::message("x");
        digest.notifications.push(words::example("y"));
        let told = text(&digest);
        assert!(
            !told.contains("References") && decoded(told.split_once("\r\n\r\n").unwrap().1).contains("critical: y")
        );
    }
}
