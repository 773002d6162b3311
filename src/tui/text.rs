//! How is text fitted into cells?

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Cells that a text takes.
pub fn width(text: &str) -> usize {
    // almost everything is ASCII, and a command may have thousands of letters
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text cut to `most` cells; what is cut ends with `…`.
pub fn cut(text: &str, most: usize) -> std::borrow::Cow<'_, str> {
    if width(text) <= most {
        return text.into();
    }
    let Some(room) = most.checked_sub(1) else { return "".into() };
    let mut cells = 0;
    let mut out = String::with_capacity(text.len().min(4 * most));
    for ch in text.chars() {
        cells += ch.width().unwrap_or(0);
        if cells > room {
            break;
        }
        out.push(ch);
    }
    out.push('…');
    out.into()
}

/// The text from cell `skip` on, for scrolling sideways.
pub fn from_cell(text: &str, skip: usize) -> &str {
    let mut cells = 0;
    for (at, ch) in text.char_indices() {
        if cells >= skip {
            return text.get(at..).unwrap_or_default();
        }
        cells += ch.width().unwrap_or(0);
    }
    ""
}

/// The text in exactly `cells` cells, cut or padded.
pub fn fit(text: &str, cells: usize, right: bool) -> String {
    let text = cut(text, cells);
    let pad = " ".repeat(cells.saturating_sub(width(&text)));
    if right { format!("{pad}{text}") } else { format!("{text}{pad}") }
}

/// The lines of a text, broken between words at `cells`.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.width() + 1 + word.width() > cells {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_is_marked_and_never_too_wide() {
        for (text, most, want) in [
            ("eth0", 4, "eth0"),
            ("eth0.100", 5, "eth0…"),
            ("日本語", 4, "日…"),
            ("日本語", 6, "日本語"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(cut(text, most), want);
            assert!(width(&cut(text, most)) <= most);
        }
    }

    #[test]
    fn fitted_text_has_exactly_its_width() {
        assert_eq!(fit("12", 4, true), "  12");
        assert_eq!(fit("日本", 3, false), "日…");
        assert_eq!(width(&fit("日本", 4, false)), 4);
        assert_eq!(from_cell("abc", 1), "bc");
        assert_eq!(from_cell("abc", 9), "");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
    }
}
