//! How does a name from a stranger become something a terminal, a page or a log may carry?
//!
//! Every foreign string is turned into [`Text`] where it enters the process. Control characters (C0, DEL, C1),
//! bidirectional controls, invisible format characters and bytes that are not UTF-8 become visible `\xNN` or
//! `\u{NNNN}` escapes; nothing is dropped, so that no name can hide. The length is bounded.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of a text, escapes included; what is longer is cut and marked with `…`.
pub const MAX_TEXT: usize = 4096;

/// Bytes of a text that may be long, such as a rule with a set of a thousand addresses in it.
pub const MAX_LONG: usize = 64 << 10;

/// Text that is safe to print: sanitized, valid UTF-8 and at most [`MAX_TEXT`] bytes and the mark long, or [`MAX_LONG`] where
/// its column says so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Sanitizes bytes from the kernel, a daemon, a peer or a file.
    pub fn new(bytes: &[u8]) -> Self {
        Self::within(bytes, MAX_TEXT)
    }

    /// The same of what may be long.
    pub fn long(bytes: &[u8]) -> Self {
        Self::within(bytes, MAX_LONG)
    }

    fn within(bytes: &[u8], most: usize) -> Self {
        if bytes.len() <= most
            && let Ok(text) = std::str::from_utf8(bytes)
            && !text.chars().any(is_hostile)
        {
            return Self(Arc::from(text));
        }
        let mut out = String::with_capacity(bytes.len().min(most) + 16);
        if !append(bytes, &mut out, most) {
            out.push('…');
        }
        Self(Arc::from(out))
    }

    /// The sanitized text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What many texts together may have beyond [`MAX_TEXT`] bytes each.
#[derive(Debug)]
pub struct Spare(usize);

impl Default for Spare {
    fn default() -> Self {
        Self(1 << 20)
    }
}

impl Spare {
    /// Sanitizes what may be long while there is room for it.
    pub fn text(&mut self, text: &str) -> Text {
        let text = Text::within(text.as_bytes(), MAX_TEXT + self.0.min(MAX_LONG - MAX_TEXT));
        self.0 = self.0.saturating_sub(beyond(&text));
        text
    }

    /// Takes back the room of a text that is kept no more.
    pub fn free(&mut self, text: &Text) {
        self.0 += beyond(text);
    }
}

fn beyond(text: &Text) -> usize {
    text.len().saturating_sub(MAX_TEXT + '…'.len_utf8())
}

/// Appends `bytes` to `out` with everything unprintable made visible.
pub fn sanitize_into(bytes: &[u8], out: &mut String) {
    append(bytes, out, usize::MAX);
}

/// Appends what fits into `limit` bytes of `out`, no escape in part; false when something was left out.
fn append(bytes: &[u8], out: &mut String, limit: usize) -> bool {
    for chunk in bytes.utf8_chunks() {
        for ch in chunk.valid().chars() {
            let before = out.len();
            if !is_hostile(ch) {
                out.push(ch);
            } else if (ch as u32) < 0x100 {
                let _ = write!(out, "\\x{:02x}", ch as u32);
            } else {
                let _ = write!(out, "\\u{{{:x}}}", ch as u32);
            }
            if out.len() > limit {
                out.truncate(before);
                return false;
            }
        }
        for byte in chunk.invalid() {
            if out.len() + 4 > limit {
                return false;
            }
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    true
}

/// Whether a character could move the cursor, reorder a line, hide itself or start an escape sequence.
pub fn is_hostile(ch: char) -> bool {
    matches!(ch,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl Default for Text {
    fn default() -> Self {
        Self(Arc::from(""))
    }
}
impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}
impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text.as_bytes())
    }
}
impl From<&std::ffi::OsStr> for Text {
    fn from(text: &std::ffi::OsStr) -> Self {
        Self::new(text.as_encoded_bytes())
    }
}
impl From<&std::path::Path> for Text {
    fn from(path: &std::path::Path) -> Self {
        Self::from(path.as_os_str())
    }
}
impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}
impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_kept_as_it_is() {
        for plain in ["", "eth0", "größe", "日本", "a\\b"] {
            assert_eq!(Text::from(plain).as_str(), plain);
        }
    }

    #[test]
    fn hostile_bytes_become_visible() {
        for (hostile, want) in [
            (b"a\x1b[2J".as_slice(), "a\\x1b[2J"),
            (b"\xc2\x9b31m", "\\x9b31m"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("ab\u{202e}cd".as_bytes(), "ab\\u{202e}cd"),
            (b"line\nline\x7f", "line\\x0aline\\x7f"),
        ] {
            assert_eq!(Text::new(hostile).as_str(), want);
        }
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        let text = Text::new("é".repeat(MAX_TEXT).as_bytes());
        assert!(text.ends_with('…') && text.len() <= MAX_TEXT + 4, "{}", text.len());
    }

    #[test]
    fn long_texts_have_room_together() {
        let (mut spare, long) = (Spare::default(), "x".repeat(2 * MAX_LONG));
        let kept: Vec<Text> = (0..40).map(|_| spare.text(&long)).collect();
        assert!(kept.iter().all(|text| text.ends_with('…')));
        assert_eq!(kept[0].len(), MAX_LONG + '…'.len_utf8());
        assert_eq!(kept[39].len(), MAX_TEXT + '…'.len_utf8());
        assert!(kept.iter().map(beyond).sum::<usize>() <= 1 << 20);
        for text in &kept {
            spare.free(text);
        }
        assert_eq!(spare.text(&long), kept[0]);
    }

    #[test]
    fn escapes_count_as_well_and_none_is_cut_in_part() {
        for hostile in [b"\x01".as_slice(), b"\xff", "\u{202e}".as_bytes(), "a\u{e0001}".as_bytes()] {
            let text = Text::new(&hostile.repeat(MAX_TEXT));
            assert!(text.ends_with('…') && text.len() <= MAX_TEXT + '…'.len_utf8(), "{}", text.len());
            let mut whole = String::new();
            sanitize_into(&hostile.repeat(MAX_TEXT), &mut whole);
            let rest = whole.strip_prefix(text.trim_end_matches('…')).unwrap();
            assert!(rest.starts_with(['\\', 'a']), "{}", &rest[..20]);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_sanitized_text_is_not_changed_again(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..40), times in 1..400_usize) {
            let text = Text::new(&bytes.repeat(times));
            proptest::prop_assert!(text.len() <= MAX_TEXT + '…'.len_utf8() && !text.chars().any(is_hostile));
            proptest::prop_assert_eq!(&Text::from(text.as_str()), &text);
        }
    }

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        for hidden in ["\u{34f}", "\u{115f}", "\u{180b}", "\u{200b}", "\u{3164}", "\u{ffa0}", "\u{1d173}", "\u{e0100}"]
        {
            assert!(Text::from(hidden).starts_with("\\u{"), "{}", hidden.escape_unicode());
        }
    }
}
