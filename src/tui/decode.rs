//! Which key or click is a sequence of bytes?
//!
//! Keys as xterm, rxvt, the Linux console and those that follow them send them, and keys as `CSI u`. What is no key (reports of
//! the cursor, of modes and of the terminal's kind) is nothing.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

/// Bit of a mouse report that says that the mouse has moved.
const MOVED: u16 = 32;

/// A key of one byte, typed with Alt or not.
pub(super) fn key(byte: u8, with_alt: bool) -> Option<Event> {
    let control = |ch: u8| KeyEvent::new(KeyCode::Char(char::from(ch)), KeyModifiers::CONTROL);
    let key = match byte {
        0 => control(b' '),
        b'\r' => KeyCode::Enter.into(),
        // Shift-Tab of the Linux console; window managers keep the key of this name for themselves
        b'\t' if with_alt => return Some(backtab(KeyModifiers::NONE)),
        b'\t' => KeyCode::Tab.into(),
        0x7f => KeyCode::Backspace.into(),
        0x1b => KeyCode::Esc.into(),
        1..0x1b => control(byte - 1 + b'a'),
        0x1c..0x20 => control(byte - 0x1c + b'4'),
        0x80.. => return None,
        byte => letter(char::from(byte)),
    };
    Some(Event::Key(alt(key, with_alt)))
}

/// The key of a character.
pub(super) fn letter(ch: char) -> KeyEvent {
    let shift = if ch.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    KeyEvent::new(KeyCode::Char(ch), shift)
}

/// The same key, with Alt if so.
pub(super) fn alt(mut key: KeyEvent, with_alt: bool) -> KeyEvent {
    if with_alt {
        key.modifiers |= KeyModifiers::ALT;
    }
    key
}

fn backtab(with: KeyModifiers) -> Event {
    Event::Key(KeyEvent::new(KeyCode::BackTab, with | KeyModifiers::SHIFT))
}

/// The key of Esc, `O`, the number of the modifiers and a byte.
pub(super) fn function(last: u8, with: u16) -> Option<Event> {
    let (code, with) = match last {
        b'M' => (KeyCode::Enter, modifiers(with)),
        b'R' => (KeyCode::F(3), modifiers(with)),
        b'a'..=b'd' => (cursor(last.to_ascii_uppercase())?, KeyModifiers::CONTROL),
        last => (cursor(last)?, modifiers(with)),
    };
    Some(Event::Key(KeyEvent::new(code, with)))
}

/// The key of Esc, `[[` and a byte.
pub(super) fn linux_function(last: u8) -> Option<Event> {
    matches!(last, b'A'..=b'E').then(|| Event::Key(KeyCode::F(last - b'A' + 1).into()))
}

/// Keys whose sequence ends with a letter.
fn cursor(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'S' => KeyCode::F(4),
        _ => return None,
    })
}

/// Keys whose sequence is a number and `~`.
fn numbered(number: u16) -> Option<KeyCode> {
    let function = |number: u16| u8::try_from(number).ok().map(KeyCode::F);
    match number {
        1 | 7 => Some(KeyCode::Home),
        2 => Some(KeyCode::Insert),
        3 => Some(KeyCode::Delete),
        4 | 8 => Some(KeyCode::End),
        5 => Some(KeyCode::PageUp),
        6 => Some(KeyCode::PageDown),
        11..=15 => function(number - 10),
        17..=21 => function(number - 11),
        23..=26 => function(number - 12),
        28..=29 => function(number - 15),
        31..=34 => function(number - 17),
        _ => None,
    }
}

/// The key or click of Esc, `[`, parameters and a last byte.
pub(super) fn sequence(parameters: &[u8], last: u8) -> Option<Event> {
    if let Some(report) = parameters.strip_prefix(b"<") {
        return mouse(report, last);
    }
    // whatever else begins with a sign, or has one in it, is the answer to a question
    let plain = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
    if !parameters.iter().all(plain) {
        return None;
    }
    let mut fields = parameters.split(|byte| *byte == b';');
    let first = fields.next().and_then(number);
    let second = fields.next().unwrap_or_default();
    let mut parts = second.split(|byte| *byte == b':');
    let modifiers = modifiers(parts.next().and_then(number).unwrap_or(1));
    // a key that is let go
    if parts.next().and_then(number) == Some(3) {
        return None;
    }
    let (shift, control) = (KeyModifiers::SHIFT, KeyModifiers::CONTROL);
    let (code, modifiers) = match last {
        b'Z' => return Some(backtab(modifiers)),
        // a key that has no sequence of its own, with modifiers
        b'~' if first == Some(27) => return unicode(fields.next().and_then(number)?, modifiers),
        b'~' => (numbered(first?)?, modifiers),
        b'u' => return unicode(first?, modifiers),
        // rxvt tells modifiers by the last byte
        b'$' => (numbered(first?)?, shift),
        b'^' => (numbered(first?)?, control),
        b'@' => (numbered(first?)?, shift | control),
        b'a'..=b'd' if parameters.is_empty() => (cursor(last.to_ascii_uppercase())?, shift),
        last => (cursor(last)?, modifiers),
    };
    Some(Event::Key(KeyEvent::new(code, modifiers)))
}

/// The key of a character's number.
fn unicode(number: u16, modifiers: KeyModifiers) -> Option<Event> {
    let code = match char::from_u32(u32::from(number))? {
        '\x1b' => KeyCode::Esc,
        '\r' => KeyCode::Enter,
        '\t' if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        '\t' => KeyCode::Tab,
        '\x7f' => KeyCode::Backspace,
        // keys without a letter have numbers of the private use area
        '\0'..' ' | '\u{e000}'..='\u{f8ff}' => return None,
        ch if modifiers.contains(KeyModifiers::SHIFT) => KeyCode::Char(ch.to_uppercase().next()?),
        ch => KeyCode::Char(ch),
    };
    Some(Event::Key(KeyEvent::new(code, modifiers)))
}

/// A mouse report in numbers: button, column and row, counted from 1.
fn mouse(report: &[u8], last: u8) -> Option<Event> {
    let mut fields = report.split(|byte| *byte == b';');
    let mut next = || fields.next().and_then(number);
    let (button, column, row) = (next()?, next()?, next()?);
    if last != b'M' {
        return None;
    }
    pressed(button, column, row)
}

/// A mouse report in three bytes, each with 32 added.
pub(super) fn click(bytes: &[u8]) -> Option<Event> {
    let [button, column, row] = bytes else { return None };
    let plain = |byte: &u8| byte.checked_sub(32).map(u16::from);
    pressed(plain(button)?, plain(column)?, plain(row)?)
}

/// What a mouse report means; of the buttons only the left one and the wheel mean something here.
fn pressed(button: u16, column: u16, row: u16) -> Option<Event> {
    let kind = match (button & !0b1_1100, button & MOVED) {
        (0, 0) => MouseEventKind::Down(MouseButton::Left),
        (64, 0) => MouseEventKind::ScrollUp,
        (65, 0) => MouseEventKind::ScrollDown,
        _ => return None,
    };
    let (column, row) = (column.checked_sub(1)?, row.checked_sub(1)?);
    Some(Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
}

/// Modifiers as terminals number them, from 1 for none.
fn modifiers(number: u16) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let all = [KeyModifiers::SHIFT, KeyModifiers::ALT, KeyModifiers::CONTROL];
    let set = all.into_iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
    set.map(|(_, modifier)| modifier).collect()
}

fn number(digits: &[u8]) -> Option<u16> {
    let first = digits.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(first).ok()?.parse().ok()
}
