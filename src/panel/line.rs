//! How is a line put together so that it never gets wider than its space?
//!
//! Builders of [`Item`]s, their widths, and [`clip`], which every panel's lines pass: what is too wide is cut with `…`.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Item, Line, Role};

/// Words.
pub(super) fn text(words: impl Into<Cow<'static, str>>, role: Role) -> Item {
    Item::Text(words.into(), role)
}

/// What a number is of.
pub(super) fn label(words: &'static str) -> Item {
    Item::Text(Cow::Borrowed(words), Role::Label)
}

/// Words in a column, at the left.
pub(super) fn left(words: impl Into<Cow<'static, str>>, role: Role, width: u16) -> Item {
    Item::Cell { text: words.into(), role, width, right: false }
}

/// Words or a number in a column, at the right.
pub(super) fn right(words: impl Into<Cow<'static, str>>, role: Role, width: u16) -> Item {
    Item::Cell { text: words.into(), role, width, right: true }
}

/// An empty cell.
pub(super) fn gap() -> Item {
    text(" ", Role::Plain)
}

/// Cells that words take.
pub(super) fn cells(words: &str) -> u16 {
    u16::try_from(words.width()).unwrap_or(u16::MAX)
}

/// Least cells that an item takes; what grows to the room that is left counts as nothing.
pub(super) fn item_width(item: &Item) -> u16 {
    match item {
        Item::Text(words, _) => cells(words),
        Item::Cell { width, .. } | Item::Bar { width, .. } | Item::Spark { width, .. } | Item::Graph { width, .. } => {
            *width
        }
        Item::Fill => 0,
    }
}

/// Least cells that a line takes.
pub(super) fn width(line: &[Item]) -> u16 {
    line.iter().fold(0, |sum: u16, item| sum.saturating_add(item_width(item)))
}

/// Cuts words to `room` cells, the last one a `…` when something is missing.
pub(super) fn cut(words: &str, room: u16) -> Cow<'_, str> {
    if cells(words) <= room {
        return Cow::Borrowed(words);
    }
    let mut out = String::new();
    let mut used = 0;
    for ch in words.chars() {
        let wide = u16::try_from(ch.width().unwrap_or(0)).unwrap_or(0);
        if used + wide + 1 > room {
            break;
        }
        used += wide;
        out.push(ch);
    }
    if room > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// The lines of words, broken between them at `room` cells, and within one that is longer.
pub(super) fn wrap(words: &str, room: u16) -> Vec<String> {
    let room = room.max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(last) if cells(last) + 1 + cells(word) <= room => {
                last.push(' ');
                last.push_str(word);
                continue;
            }
            _ => lines.push(String::new()),
        }
        for ch in word.chars() {
            let wide = u16::try_from(ch.width().unwrap_or(0)).unwrap_or(0);
            if lines.last().is_some_and(|last| !last.is_empty() && cells(last) + wide > room) {
                lines.push(String::new());
            }
            lines.last_mut().into_iter().for_each(|last| last.push(ch));
        }
    }
    lines
}

/// Cuts a path to `room` cells at its start, because its end tells more.
pub(super) fn cut_path(path: &str, room: u16) -> Cow<'_, str> {
    if cells(path) <= room || !path.starts_with('/') {
        return cut(path, room);
    }
    let mut used = 1;
    let mut from = path.len();
    for (at, ch) in path.char_indices().rev() {
        used += u16::try_from(ch.width().unwrap_or(0)).unwrap_or(0);
        if used > room {
            break;
        }
        from = at;
    }
    let mut out = String::new();
    if room > 0 {
        out.push('…');
    }
    out.push_str(path.get(from..).unwrap_or_default());
    Cow::Owned(out)
}

/// Cuts a line to `room` cells: items that do not fit are shortened or left out.
pub(super) fn clip(line: Line, room: u16) -> Line {
    if width(&line) <= room && (room > 0 || line.is_empty()) {
        return line;
    }
    let mut left = room;
    let mut out = Line::new();
    for item in line {
        let wanted = item_width(&item);
        if left == 0 {
            break;
        }
        let taken = wanted.min(left);
        left -= taken;
        out.push(if taken == wanted { item } else { narrow(item, taken) });
    }
    out
}

fn narrow(item: Item, room: u16) -> Item {
    match item {
        Item::Text(words, role) => Item::Text(Cow::Owned(cut(&words, room).into_owned()), role),
        Item::Cell { text, role, right, .. } => {
            // a cut number would be a wrong number
            let text = if right && cells(&text) > room { Cow::Borrowed("…") } else { text };
            Item::Cell { text, role, width: room, right }
        }
        Item::Bar { parts, marks, .. } => Item::Bar { parts, marks, width: room },
        Item::Spark { points, top, role, .. } => Item::Spark { points, top, role, width: room },
        Item::Graph { graph, line, .. } => Item::Graph { graph, line, width: room },
        Item::Fill => Item::Fill,
    }
}

/// The words of a line, as tests and headings read them.
#[cfg(test)]
pub(super) fn words(line: &[Item]) -> String {
    let mut out = String::new();
    for item in line {
        match item {
            Item::Text(words, _) => out.push_str(words),
            Item::Cell { text, width, right, .. } => {
                let text = cut(text, *width);
                let pad = " ".repeat(usize::from(width.saturating_sub(cells(&text))));
                let (first, last) = if *right { (pad.as_str(), &*text) } else { (&*text, pad.as_str()) };
                out.extend([first, last]);
            }
            Item::Bar { width, .. } => out.push_str(&"#".repeat(usize::from(*width))),
            Item::Spark { width, .. } | Item::Graph { width, .. } => out.push_str(&"~".repeat(usize::from(*width))),
            Item::Fill => out.push_str(" … "),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_line_is_never_wider_than_its_room() {
        let line: Line = vec![
            text("名前が長い", Role::Plain),
            gap(),
            right("12.3M", Role::Value, 6),
            Item::Fill,
            Item::Bar { parts: vec![(0.5, Role::Value)], marks: vec![], width: 10 },
            text("tail", Role::Muted),
        ];
        for room in 0..40 {
            let clipped = clip(line.clone(), room);
            assert!(width(&clipped) <= room, "{room}: {clipped:?}");
        }
        assert_eq!(clip(line.clone(), 40), line);
    }

    #[test]
    fn a_number_without_room_is_left_out_whole() {
        let clipped = clip(vec![right("12.3M", Role::Value, 6)], 3);
        assert_eq!(words(&clipped), "  …");
    }

    #[test]
    fn cut_words_end_in_an_ellipsis_and_fit() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("名前", 3), "名…");
        assert_eq!(cut("名前", 0), "");
        assert_eq!(cut_path("/srv/backup/daily", 8), "…p/daily");
        assert_eq!(cut_path("/srv/名前", 4), "…前");
        assert_eq!(
            (cut_path("/srv", 4), cut_path("/srv", 0), cut_path("vm-images", 4)),
            ("/srv".into(), "".into(), "vm-…".into())
        );
    }
}
