//! How is a key written?

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with the modifiers that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Press {
    pub(super) code: KeyCode,
    ctrl: bool,
    alt: bool,
    shift: bool,
}

const NAMED: &[(&str, KeyCode)] = &[
    ("space", KeyCode::Char(' ')),
    ("tab", KeyCode::Tab),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
    ("insert", KeyCode::Insert),
    ("delete", KeyCode::Delete),
    ("backspace", KeyCode::Backspace),
];

impl Press {
    /// A letter alone.
    pub(super) fn letter(key: char) -> Self {
        Self { code: KeyCode::Char(key), ctrl: false, alt: false, shift: false }
    }

    /// From an event of the terminal.
    pub fn of(event: &KeyEvent) -> Self {
        let has = |modifier| event.modifiers.contains(modifier);
        let (code, back) = match event.code {
            KeyCode::BackTab => (KeyCode::Tab, true),
            code => (code, false),
        };
        // a letter's case already says shift
        let shift = (has(KeyModifiers::SHIFT) && !matches!(code, KeyCode::Char(_))) || back;
        Self { code, ctrl: has(KeyModifiers::CONTROL), alt: has(KeyModifiers::ALT), shift }
    }

    /// From the configuration: `q`, `ctrl-c`, `shift-tab`, `f5`, `space`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut press = Self { code: KeyCode::Null, ctrl: false, alt: false, shift: false };
        while rest.chars().count() > 1 {
            rest = if let Some(after) = rest.strip_prefix("ctrl-") {
                press.ctrl = true;
                after
            } else if let Some(after) = rest.strip_prefix("alt-") {
                press.alt = true;
                after
            } else if let Some(after) = rest.strip_prefix("shift-") {
                press.shift = true;
                after
            } else {
                break;
            };
        }
        let mut chars = rest.chars();
        press.code = match (chars.next(), chars.next()) {
            (Some(ch), None) if !ch.is_control() && !ch.is_whitespace() => KeyCode::Char(ch),
            (Some('f'), Some(_)) if rest.get(1..).is_some_and(|number| number.parse::<u8>().is_ok()) => {
                KeyCode::F(rest.get(1..)?.parse().ok().filter(|number| (1..=24).contains(number))?)
            }
            _ => NAMED.iter().find(|(name, _)| *name == rest)?.1,
        };
        Some(press)
    }
}

impl std::fmt::Display for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (set, prefix) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if set {
                f.write_str(prefix)?;
            }
        }
        match self.code {
            KeyCode::F(number) => write!(f, "f{number}"),
            code => match NAMED.iter().find(|(_, known)| *known == code) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{code}"),
            },
        }
    }
}

/// Names of the keys that are no single character, without modifiers.
pub fn key_names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}
