//! Which of the bytes that come from a terminal are text?
//!
//! A vty speaks Telnet (RFC 854): between the text are commands and options, which both sides may offer and ask for without end.
//! Here only that it echoes and does not wait for its turn is agreed to (RFC 857, RFC 858); everything else is refused, each once,
//! so that two who answer each other come to an end.

use std::collections::HashSet;

/// What begins a command.
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
/// Begins and ends what an option has to say.
const SB: u8 = 250;
const SE: u8 = 240;

/// Options that the other end may have: it echoes, and it does not say when it is this one's turn.
const AGREED: [u8; 2] = [1, 3];

/// Commands that one answer may have in it.
const MOST: usize = 256;

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    #[default]
    Text,
    Command,
    /// The option that somebody wants, or not.
    Option(u8),
    /// What an option has to say.
    Inside,
    /// The same, behind what begins a command.
    InsideCommand,
}

/// What was said of options.
#[derive(Debug, Default)]
pub struct Telnet {
    next: Next,
    /// Commands since it was begun to listen.
    commands: usize,
    answered: HashSet<[u8; 2]>,
    answers: Vec<u8>,
}

impl Telnet {
    /// Begins to listen to another answer.
    pub(super) fn begin(&mut self) {
        self.commands = 0;
    }

    /// Takes the text out of some bytes, with ends of lines as they are here.
    ///
    /// # Errors
    /// There are more commands than anybody needs.
    pub fn take(&mut self, bytes: &[u8], text: &mut Vec<u8>) -> Result<(), &'static str> {
        for byte in bytes {
            self.next = match (self.next, *byte) {
                (Next::Text, IAC) => Next::Command,
                // a line ends with both, and who returns without a line sends a zero behind
                (Next::Text, b'\r' | 0) => Next::Text,
                (Next::Text, byte) => {
                    text.push(byte);
                    Next::Text
                }
                (Next::Command, IAC) => {
                    text.push(IAC);
                    Next::Text
                }
                (Next::Command, verb @ WILL..=DONT) => Next::Option(verb),
                (Next::Command, SB) => Next::Inside,
                (Next::Command, _) => self.count()?,
                (Next::Option(verb), option) => {
                    let next = self.count()?;
                    self.answer(verb, option);
                    next
                }
                (Next::Inside, IAC) => Next::InsideCommand,
                (Next::Inside, _) => Next::Inside,
                (Next::InsideCommand, SE) => self.count()?,
                (Next::InsideCommand, _) => Next::Inside,
            };
        }
        Ok(())
    }

    /// What is to be answered to all that was wanted.
    pub fn answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    /// One command more is over.
    fn count(&mut self) -> Result<Next, &'static str> {
        self.commands += 1;
        if self.commands > MOST { Err("it speaks of options without end") } else { Ok(Next::Text) }
    }

    fn answer(&mut self, verb: u8, option: u8) {
        let answer = match verb {
            WILL if AGREED.contains(&option) => DO,
            WILL => DONT,
            DO => WONT,
            // what is not there is as it was
            _ => return,
        };
        if self.answered.insert([answer, option]) {
            self.answers.extend([IAC, answer, option]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[&[u8]]) -> (String, Vec<u8>) {
        let (mut telnet, mut text) = (Telnet::default(), Vec::new());
        for piece in pieces {
            telnet.take(piece, &mut text).unwrap();
        }
        (String::from_utf8_lossy(&text).into_owned(), telnet.answers())
    }

    #[test]
    fn options_are_taken_out_of_the_text_and_answered_once() {
        // as FRR 8.4.4 greets
        let greeting = b"\r\nHello\r\n\r\n\xff\xfb\x01\xff\xfb\x03\xff\xfe\"\xff\xfd\x1fPassword: ";
        let (said, answers) = text(&[greeting]);
        assert_eq!(said, "\nHello\n\nPassword: ");
        assert_eq!(answers, b"\xff\xfd\x01\xff\xfd\x03\xff\xfc\x1f");
        let bytewise: Vec<&[u8]> = greeting.chunks(1).collect();
        assert_eq!(text(&bytewise), (said, answers.clone()));
        assert_eq!(text(&[greeting, greeting]).1, answers, "what was answered is not answered again");
    }

    #[test]
    fn what_options_say_is_no_text() {
        let (said, answers) =
            text(&[b"a\xff\xfa\x18\x01password\xff\xff\r\n\xff\xf0b\xff\xf1c\xff\xffd\r\0\xff\xfc\x01"]);
        assert_eq!((said.as_str(), answers.len()), ("abc\u{fffd}d", 0));
    }

    #[test]
    fn one_who_offers_options_without_end_is_told() {
        let mut telnet = Telnet::default();
        let storm: Vec<u8> = (0..=u8::MAX).flat_map(|option| [IAC, DO, option, IAC, WILL, option]).collect();
        assert!(telnet.take(&storm, &mut Vec::new()).is_err());
        assert!(telnet.answers().len() <= 3 * MOST);
        telnet.begin();
        assert!(telnet.take(&storm[..3 * MOST], &mut Vec::new()).is_ok());
        assert!(telnet.answers().len() < 3 * MOST, "most of it was answered before");
    }
}
