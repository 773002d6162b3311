//! Where does one key end in the bytes of a terminal, and where does the next one begin?
//!
//! [`Cutter`] takes bytes as they come and gives events. What a terminal answers to questions that others have asked (an
//! editor that was here before, a multiplexer) is no key and is dropped. Sequences may come in pieces: what could still
//! become a longer one waits for [`Cutter::patience`], and [`Cutter::silence`] then says what it was. Nothing is kept of
//! what is longer than any key, so no input takes memory, and none makes it deaf for longer than its patience.

use std::time::Duration;

use crossterm::event::{Event, KeyCode};
use smallvec::SmallVec;

use super::decode::{alt, click, function, key, linux_function, sequence};

/// Longest sequence that is a key or a click, in bytes; all of the mouse are shorter.
const LONGEST: usize = 32;
/// Longest reply that is dropped, in bytes: what a clipboard holds may be answered, too.
const LONGEST_REPLY: usize = 1 << 20;
/// As much of a paste is kept, in bytes; no prompt takes more.
const LONGEST_PASTE: usize = 4096;
/// What ends a paste.
const PASTED: &[u8; 6] = b"\x1b[201~";

/// How long the rest of a key may take. A terminal writes it at once; nobody types so fast.
const REST: Duration = Duration::from_millis(30);
/// How long a reply, or a sequence that nobody types by hand, may pause once it has begun.
const REPLY: Duration = Duration::from_millis(250);
/// How long a paste may pause, on a slow line; what came behind the pause would be taken for keys.
const PASTE: Duration = Duration::from_secs(10);

/// Cuts bytes into events.
#[derive(Default)]
pub(super) struct Cutter(State);

#[derive(Default)]
enum State {
    #[default]
    Ground,
    /// A character of several bytes, after Esc or not.
    Character { bytes: SmallVec<[u8; 4]>, alt: bool },
    /// Esc, or the beginning of something.
    Escape,
    /// Esc and `O`, with the number of the modifiers.
    Function(u16),
    /// Esc and `[`, with what came since.
    Sequence(SmallVec<[u8; LONGEST]>),
    /// Esc and `[[`, as the Linux console sends for F1 to F5.
    Linux,
    /// Esc and `[M`: three bytes say where the mouse is.
    Click(SmallVec<[u8; 3]>),
    /// Esc and a letter that begins a reply, or that somebody has typed with Alt.
    Introduced(u8),
    /// Inside of a reply, so many bytes; `escaped` when the last one may begin its end.
    Reply { length: usize, escaped: bool },
    /// Inside of a paste; so many bytes at the end are as those of its end.
    Paste { text: Vec<u8>, matched: usize },
}

impl Cutter {
    /// Takes one byte; adds what it completes.
    pub(super) fn feed(&mut self, byte: u8, out: &mut Vec<Event>) {
        self.0 = match std::mem::take(&mut self.0) {
            State::Ground => ground(byte, false, out),
            State::Character { bytes, alt } => character(bytes, byte, alt, out),
            State::Escape => escape(byte, out),
            State::Function(modifiers) => match byte {
                0x1b => {
                    out.extend(key(b'O', true));
                    State::Escape
                }
                b'1'..=b'8' => State::Function(u16::from(byte - b'0')),
                byte => {
                    out.extend(function(byte, modifiers));
                    State::Ground
                }
            },
            State::Sequence(parameters) => in_sequence(parameters, byte, out),
            State::Linux => {
                out.extend(linux_function(byte));
                State::Ground
            }
            State::Click(mut bytes) => {
                bytes.push(byte);
                if bytes.len() < 3 {
                    State::Click(bytes)
                } else {
                    out.extend(click(&bytes));
                    State::Ground
                }
            }
            State::Introduced(letter) if begins(letter, byte) => State::Reply { length: 1, escaped: false },
            State::Introduced(letter) => {
                out.extend(key(letter, true));
                ground(byte, false, out)
            }
            State::Reply { length, escaped } => in_reply(length, escaped, byte, out),
            State::Paste { text, matched } => in_paste(text, matched, byte, out),
        };
    }

    /// How long to wait for another byte before [`Self::silence`]; for ever when nothing is pending.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.0 {
            State::Ground => None,
            State::Reply { escaped: false, .. } => Some(REPLY),
            State::Sequence(ref parameters) if !parameters.is_empty() => Some(REPLY),
            State::Character { .. } => Some(REPLY),
            State::Paste { .. } => Some(PASTE),
            _ => Some(REST),
        }
    }

    /// Nothing more has come: what is pending was all.
    pub(super) fn silence(&mut self, out: &mut Vec<Event>) {
        match std::mem::take(&mut self.0) {
            // Esc behind a reply without an end was typed
            State::Escape | State::Reply { escaped: true, .. } => out.push(Event::Key(KeyCode::Esc.into())),
            State::Function(_) => out.extend(key(b'O', true)),
            State::Introduced(letter) => out.extend(key(letter, true)),
            State::Sequence(parameters) if parameters.is_empty() => out.extend(key(b'[', true)),
            State::Paste { text, .. } => out.push(pasted(&text)),
            _ => {}
        }
    }
}

fn ground(byte: u8, with_alt: bool, out: &mut Vec<Event>) -> State {
    match byte {
        0x1b => State::Escape,
        0x80.. => character(SmallVec::new(), byte, with_alt, out),
        byte => {
            out.extend(key(byte, with_alt));
            State::Ground
        }
    }
}

fn character(mut bytes: SmallVec<[u8; 4]>, byte: u8, with_alt: bool, out: &mut Vec<Event>) -> State {
    bytes.push(byte);
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            out.extend(text.chars().map(|ch| Event::Key(alt(super::decode::letter(ch), with_alt))));
            State::Ground
        }
        // the end of it is still to come
        Err(error) if error.error_len().is_none() => State::Character { bytes, alt: with_alt },
        // one byte that is no part of a character spoils only what was before it
        Err(_) if bytes.len() > 1 => ground(byte, false, out),
        Err(_) => State::Ground,
    }
}

fn escape(byte: u8, out: &mut Vec<Event>) -> State {
    match byte {
        b'[' => State::Sequence(SmallVec::new()),
        b'O' => State::Function(1),
        b']' | b'P' | b'_' | b'^' | b'X' => State::Introduced(byte),
        0x1b => {
            out.push(Event::Key(KeyCode::Esc.into()));
            State::Escape
        }
        byte => ground(byte, true, out),
    }
}

fn in_sequence(mut parameters: SmallVec<[u8; LONGEST]>, byte: u8, out: &mut Vec<Event>) -> State {
    match byte {
        b'[' if parameters.is_empty() => State::Linux,
        b'M' if parameters.is_empty() => State::Click(SmallVec::new()),
        b'~' if parameters.as_slice() == b"200" => State::Paste { text: Vec::new(), matched: 0 },
        0x40..=0x7e => {
            if parameters.len() < LONGEST {
                out.extend(sequence(&parameters, byte));
            }
            State::Ground
        }
        // rxvt ends a key with Shift so; in a reply it stands behind more than a number
        b'$' if !parameters.is_empty() && parameters.iter().all(u8::is_ascii_digit) => {
            out.extend(sequence(&parameters, byte));
            State::Ground
        }
        0x20..=0x3f => {
            if parameters.len() < LONGEST {
                parameters.push(byte);
            }
            State::Sequence(parameters)
        }
        // whatever it was to become, it ends here
        byte => ground(byte, false, out),
    }
}

/// Whether a byte is the first one of a reply that a letter introduces. Those of an operating system command begin with
/// its number, or with one of two letters when they tell a title.
fn begins(letter: u8, byte: u8) -> bool {
    match letter {
        b']' => byte.is_ascii_digit() || matches!(byte, b'l' | b'L'),
        _ => byte.is_ascii_graphic(),
    }
}

fn in_reply(length: usize, escaped: bool, byte: u8, out: &mut Vec<Event>) -> State {
    match byte {
        b'\\' if escaped => State::Ground,
        _ if escaped => escape(byte, out),
        0x07 => State::Ground,
        0x1b => State::Reply { length, escaped: true },
        // replies are printable, so this is a key, and one that may mean to end the program
        0..0x20 => ground(byte, false, out),
        _ if length >= LONGEST_REPLY => State::Ground,
        _ => State::Reply { length: length + 1, escaped: false },
    }
}

fn in_paste(mut text: Vec<u8>, mut matched: usize, byte: u8, out: &mut Vec<Event>) -> State {
    let mut keep = |bytes: &[u8]| {
        let room = LONGEST_PASTE.saturating_sub(text.len()).min(bytes.len());
        text.extend_from_slice(bytes.get(..room).unwrap_or_default());
    };
    if PASTED.get(matched) == Some(&byte) {
        matched += 1;
        if matched == PASTED.len() {
            out.push(pasted(&text));
            return State::Ground;
        }
        return State::Paste { text, matched };
    }
    // it was no end; Esc, the first byte of one, comes in it only once
    keep(PASTED.get(..matched).unwrap_or_default());
    let again = byte == 0x1b;
    if !again {
        keep(&[byte]);
    }
    State::Paste { text, matched: usize::from(again) }
}

fn pasted(text: &[u8]) -> Event {
    // the cut may have gone through a character
    let text = match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_none() => text.get(..error.valid_up_to()).unwrap_or_default(),
        _ => text,
    };
    Event::Paste(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::{KeyEvent, KeyModifiers, MouseButton, MouseEventKind};
    use proptest::prelude::*;

    /// What bytes are that come at once, before nothing more comes.
    fn events(bytes: &[u8]) -> Vec<Event> {
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        for byte in bytes {
            cutter.feed(*byte, &mut out);
        }
        cutter.silence(&mut out);
        assert_eq!(cutter.patience(), None, "something is pending after {bytes:?}");
        out
    }

    fn press(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    fn typed(text: &str) -> Vec<Event> {
        text.chars().map(|ch| press(KeyCode::Char(ch), KeyModifiers::NONE)).collect()
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        let (none, alt, control) = (KeyModifiers::NONE, KeyModifiers::ALT, KeyModifiers::CONTROL);
        let shift = KeyModifiers::SHIFT;
        let cases: &[(&[u8], KeyCode, KeyModifiers)] = &[
            (b"q", KeyCode::Char('q'), none),
            (b"Q", KeyCode::Char('Q'), shift),
            ("é".as_bytes(), KeyCode::Char('é'), none),
            ("日".as_bytes(), KeyCode::Char('日'), none),
            (b"\x1b", KeyCode::Esc, none),
            (b"\r", KeyCode::Enter, none),
            (b"\t", KeyCode::Tab, none),
            (b"\x7f", KeyCode::Backspace, none),
            (b"\x03", KeyCode::Char('c'), control),
            (b"\x1a", KeyCode::Char('z'), control),
            (b"\x1c", KeyCode::Char('4'), control),
            (b"\0", KeyCode::Char(' '), control),
            (b"\x1bx", KeyCode::Char('x'), alt),
            ("\u{1b}é".as_bytes(), KeyCode::Char('é'), alt),
            (b"\x1b\r", KeyCode::Enter, alt),
            (b"\x1b[A", KeyCode::Up, none),
            (b"\x1bOB", KeyCode::Down, none),
            (b"\x1b[1;5C", KeyCode::Right, control),
            (b"\x1b[1;3D", KeyCode::Left, alt),
            (b"\x1b[H", KeyCode::Home, none),
            (b"\x1b[4~", KeyCode::End, none),
            (b"\x1b[5~", KeyCode::PageUp, none),
            (b"\x1b[6;2~", KeyCode::PageDown, shift),
            (b"\x1b[3~", KeyCode::Delete, none),
            (b"\x1b[Z", KeyCode::BackTab, shift),
            (b"\x1bOP", KeyCode::F(1), none),
            (b"\x1bOR", KeyCode::F(3), none),
            (b"\x1b[[E", KeyCode::F(5), none),
            (b"\x1b[15~", KeyCode::F(5), none),
            (b"\x1b[24~", KeyCode::F(12), none),
            (b"\x1b[113;5u", KeyCode::Char('q'), control),
            (b"\x1b[27u", KeyCode::Esc, none),
            (b"\x1b[27;5;113~", KeyCode::Char('q'), control),
            (b"\x1b[27;2;81~", KeyCode::Char('Q'), shift),
            // Shift-Tab of the Linux console, Konsole's Shift-F1 and what rxvt sends with modifiers
            (b"\x1b\t", KeyCode::BackTab, shift),
            (b"\x1bO2P", KeyCode::F(1), shift),
            (b"\x1bO5A", KeyCode::Up, control),
            (b"\x1b[a", KeyCode::Up, shift),
            (b"\x1bOd", KeyCode::Left, control),
            (b"\x1b[5$", KeyCode::PageUp, shift),
            (b"\x1b[6^", KeyCode::PageDown, control),
            (b"\x1b[7@", KeyCode::Home, shift | control),
            // alone, what begins a sequence is a key with Alt
            (b"\x1b[", KeyCode::Char('['), alt),
            (b"\x1b]", KeyCode::Char(']'), alt),
            (b"\x1bP", KeyCode::Char('P'), alt | shift),
            (b"\x1b_", KeyCode::Char('_'), alt),
            (b"\x1b^", KeyCode::Char('^'), alt),
            (b"\x1bO", KeyCode::Char('O'), alt | shift),
        ];
        for (bytes, code, modifiers) in cases {
            assert_eq!(events(bytes), [press(*code, *modifiers)], "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_a_terminal_answers_is_no_key() {
        for reply in [
            "\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\",
            "\x1b]11;rgb:1e1e/1e1e/2e2e\x07",
            "\x1b]52;c;cXF1aXQK\x1b\\",
            "\x1b]lquit\x1b\\",
            "\x1bP>|XTerm(370)\x1b\\",
            "\x1bP1+r544e=787465726d\x1b\\",
            "\x1bP1$r0m\x1b\\",
            "\x1bP!|00000000\x1b\\",
            "\x1b_Gi=31;OK\x1b\\",
            "\x1b[?0u",
            "\x1b[?1;2c",
            "\x1b[>41;370;0c",
            "\x1b[=1c",
            "\x1b[?2026;2$y",
            "\x1b[4;2$y",
            "\x1b[12;40R",
            "\x1b[1;1R",
            "\x1b[8;24;80t",
            "\x1b[?997;1n",
            "\x1b[0n",
            "\x1b[I",
            "\x1b[O",
            "\x1b[201~",
            "\x1b[99999999999999999999999999999999999999999999~",
        ] {
            let twice = format!("{reply}q{reply}");
            assert_eq!(events(twice.as_bytes()), typed("q"), "{}", reply.escape_debug());
        }
    }

    #[test]
    fn a_real_key_beside_what_begins_a_reply_is_not_lost() {
        let bracket = press(KeyCode::Char(']'), KeyModifiers::ALT);
        assert_eq!(events(b"\x1b]q"), [std::slice::from_ref(&bracket), &typed("q")].concat());
        assert_eq!(events(b"\x1b]\x1b]"), [bracket.clone(), bracket]);
        // a reply that lacks its end gives way to a key, and to the end of the program
        assert_eq!(events(b"\x1b]11;rgb\x1b[A"), [press(KeyCode::Up, KeyModifiers::NONE)]);
        assert_eq!(events(b"\x1b]11;rgb\x03"), [press(KeyCode::Char('c'), KeyModifiers::CONTROL)]);
        assert_eq!(events(b"\x1b]11;rgb\x1b"), [press(KeyCode::Esc, KeyModifiers::NONE)]);
    }

    #[test]
    fn a_reply_without_an_end_is_over_when_nothing_comes_or_when_it_is_too_long() {
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        for byte in b"\x1bP1+r54" {
            cutter.feed(*byte, &mut out);
        }
        assert_eq!(cutter.patience(), Some(REPLY));
        cutter.silence(&mut out);
        cutter.feed(b'q', &mut out);
        assert_eq!(out, typed("q"));
        let endless = [b"\x1b]52;c;".as_slice(), &vec![b'a'; LONGEST_REPLY], b"q"].concat();
        assert_eq!(events(&endless).last(), typed("q").last());
    }

    #[test]
    fn a_key_may_come_in_pieces() {
        let (mut cutter, mut out) = (Cutter::default(), Vec::new());
        // Alt and a bracket may be typed; what goes on like a sequence comes from a terminal, however slow the line is
        let patience = [None, Some(REST), Some(REST), Some(REPLY), Some(REPLY), Some(REPLY)];
        for (byte, patience) in b"\x1b[1;5A".iter().zip(patience) {
            assert!(out.is_empty());
            assert_eq!(cutter.patience(), patience);
            cutter.feed(*byte, &mut out);
        }
        assert_eq!(out, [press(KeyCode::Up, KeyModifiers::CONTROL)]);
        assert_eq!(cutter.patience(), None);
    }

    #[test]
    fn clicks_are_counted_from_zero_and_only_those_that_mean_something_are_told() {
        let at = |bytes: &[u8]| match events(bytes).as_slice() {
            [Event::Mouse(mouse)] => Some((mouse.kind, mouse.column, mouse.row)),
            _ => None,
        };
        let left = MouseEventKind::Down(MouseButton::Left);
        assert_eq!(at(b"\x1b[<0;16;2M"), Some((left, 15, 1)));
        assert_eq!(at(b"\x1b[<65;1;300M"), Some((MouseEventKind::ScrollDown, 0, 299)));
        assert_eq!(at(b"\x1b[M !\x22"), Some((left, 0, 1)));
        for nothing in
            [&b"\x1b[<0;16;2m"[..], b"\x1b[<0;0;0M", b"\x1b[<35;1;1M", b"\x1b[<1;1;1M", b"\x1b[M\xff\xff\xff"]
        {
            assert_eq!(at(nothing), None, "{}", nothing.escape_ascii());
        }
    }

    #[test]
    fn a_paste_is_one_event_and_keeps_no_more_than_a_prompt_takes() {
        let pasted = |text: &str| events(format!("\x1b[200~{text}\x1b[201~").as_bytes());
        assert_eq!(pasted("cpu > \x1b[2J q\x1b"), [Event::Paste("cpu > \x1b[2J q\x1b".to_owned())]);
        assert_eq!(pasted("\x1b\x1b[20"), [Event::Paste("\x1b\x1b[20".to_owned())]);
        let long = "日".repeat(LONGEST_PASTE);
        let [Event::Paste(kept)] = &pasted(&long)[..] else { panic!("one paste is one event") };
        assert!(
            kept.len() <= LONGEST_PASTE && kept.len() > LONGEST_PASTE - 4 && long.starts_with(kept),
            "{}",
            kept.len()
        );
        assert_eq!(events(b"\x1b[200~cut"), [Event::Paste("cut".to_owned())]);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_deaf_or_keeps_memory(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut cutter, mut out) = (Cutter::default(), Vec::new());
            for byte in bytes {
                cutter.feed(byte, &mut out);
                let kept = match &cutter.0 {
                    State::Sequence(parameters) => parameters.len(),
                    State::Character { bytes, .. } => bytes.len(),
                    _ => 0,
                };
                prop_assert!(kept <= LONGEST);
            }
            cutter.silence(&mut out);
            out.clear();
            cutter.feed(b'q', &mut out);
            prop_assert_eq!(out, typed("q"));
        }

        #[test]
        fn text_is_typed_as_it_is(text in "[a-z0-9é日 ]{0,40}") {
            prop_assert_eq!(events(text.as_bytes()), typed(&text));
        }
    }
}
