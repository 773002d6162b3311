//! How does a name from a stranger become something a terminal, a page or a log may carry?
//!
//! Every foreign string is turned into [`Text`] where it enters the process. Control characters (C0, DEL, C1),
//! bidirectional controls, invisible format characters and bytes that are not UTF-8 become visible `\xNN` or
//! `\u{NNNN}` escapes; nothing is dropped, so that no name can hide. The length is bounded.

use std::fmt::Write as _;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes of foreign text that are kept; what is longer is cut and marked with `…`.
pub const MAX_TEXT: usize = 4096;

/// Text that is safe to print: sanitized, valid UTF-8 and at most a little over [`MAX_TEXT`] bytes long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Sanitizes bytes from the kernel, a daemon, a peer or a file.
    pub fn new(bytes: &[u8]) -> Self {
        let cut = bytes.len() > MAX_TEXT;
        let bytes = if cut { &bytes[..char_floor(bytes, MAX_TEXT)] } else { bytes };
        match std::str::from_utf8(bytes) {
            Ok(text) if !cut && !text.chars().any(is_hostile) => Self(Arc::from(text)),
            _ => {
                let mut out = String::with_capacity(bytes.len() + 16);
                sanitize_into(bytes, &mut out);
                if cut {
                    out.push('…');
                }
                Self(Arc::from(out))
            }
        }
    }

    /// The sanitized text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Largest index up to `max` that does not split a UTF-8 sequence.
fn char_floor(bytes: &[u8], max: usize) -> usize {
    let mut end = max.min(bytes.len());
    while end > max.saturating_sub(4) && bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    end
}

/// Appends `bytes` to `out` with everything unprintable made visible.
pub fn sanitize_into(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for ch in chunk.valid().chars() {
            if !is_hostile(ch) {
                out.push(ch);
            } else if (ch as u32) < 0x100 {
                let _ = write!(out, "\\x{:02x}", ch as u32);
            } else {
                let _ = write!(out, "\\u{{{:x}}}", ch as u32);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

/// Whether a character could move the cursor, reorder a line, hide itself or start an escape sequence.
pub fn is_hostile(ch: char) -> bool {
    matches!(ch,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
}
