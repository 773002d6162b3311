//! How does a drawn buffer become bytes that hold nothing but what the dashboard means?
//!
//! [`sweep`] is the last line of defense: whatever drew a cell, only printable text leaves it. [`encode`] writes changed
//! cells only, inside a synchronized update.

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use unicode_width::UnicodeWidthStr as _;

use crate::model::text::is_hostile;

/// Longest cluster that one cell may carry, in bytes; stacks of combining marks are longer.
const LONGEST: usize = 16;

/// Makes every cell printable, and ASCII if asked for.
pub fn sweep(buffer: &mut Buffer, ascii: bool) {
    let width = usize::from(buffer.area.width);
    for (i, cell) in buffer.content.iter_mut().enumerate() {
        let symbol = cell.symbol();
        if let [0x20..=0x7e] = symbol.as_bytes() {
            continue;
        }
        let cells = symbol.width();
        let last = width > 0 && (i + 1) % width == 0;
        let hostile = symbol.chars().any(is_hostile);
        if hostile || cells == 0 || cells > 2 || symbol.len() > LONGEST || (last && cells > 1) {
            cell.set_symbol("?");
        } else if ascii {
            let plain = plain(symbol, cells);
            cell.set_symbol(plain);
        }
    }
}

/// What stands for a symbol where the terminal has ASCII only.
fn plain(symbol: &str, cells: usize) -> &'static str {
    let Some(first) = symbol.chars().next() else { return "?" };
    match first {
        '━' => "=",
        '┏' | '┓' | '┗' | '┛' => "#",
        '─' | '–' | '—' | '╌' | '┈' => "-",
        '│' | '┃' | '┊' | '┆' | '▏' => "|",
        '┌' | '┐' | '└' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╰' | '╯' => "+",
        '█' | '▉' | '▊' | '▋' => "#",
        '▌' | '▍' | '▎' => "=",
        '▁' | '▂' => "_",
        '▃' | '▄' => ".",
        '▅' | '▆' => "o",
        '▇' => "O",
        '•' | '●' => "*",
        '◌' | '○' => "o",
        '▲' => "!",
        '△' => "^",
        '✖' | '×' => "x",
        '…' => "~",
        '∷' => ":",
        '·' => ".",
        '↑' => "^",
        '↓' | '▾' | '▼' => "v",
        '→' | '▸' | '▶' | '▣' => ">",
        '←' | '◀' => "<",
        '↕' => "=",
        '↷' => "@",
        '°' => " ",
        '\u{2800}' => " ",
        '\u{2801}'..='\u{28ff}' => match (first as u32 & 0xff).count_ones() {
            1 | 2 => ".",
            3..=5 => ":",
            _ => "#",
        },
        _ if cells == 2 => "??",
        _ => "?",
    }
}

/// Bytes that turn the screen `front` into `back`; `clear` when what is on the screen is not known. Nothing if nothing changed.
pub fn encode(front: &Buffer, back: &Buffer, clear: bool) -> Option<Vec<u8>> {
    let blank;
    let front = if clear || front.area != back.area {
        blank = Buffer::empty(back.area);
        &blank
    } else {
        front
    };
    let changes: Vec<(u16, u16, &Cell)> = front.diff(back);
    if changes.is_empty() && !clear {
        return None;
    }
    let mut bytes = b"\x1b[?2026h".to_vec();
    if clear {
        bytes.extend_from_slice(b"\x1b[0m\x1b[2J");
    }
    // writing to a vector cannot fail
    let _ = CrosstermBackend::new(&mut bytes).draw(changes.into_iter());
    bytes.extend_from_slice(b"\x1b[?2026l");
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    fn with(symbols: &[&str]) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, symbols.len() as u16, 1));
        for (cell, symbol) in buffer.content.iter_mut().zip(symbols) {
            cell.set_symbol(symbol);
        }
        buffer
    }

    #[test]
    fn hostile_cells_never_reach_the_terminal() {
        let mut buffer = with(&["\x1b[2J", "\u{9b}", "\u{202e}", "\u{200d}", "a", "\u{301}", "\x07", "e\u{301}", "日"]);
        sweep(&mut buffer, false);
        let symbols: Vec<&str> = buffer.content.iter().map(Cell::symbol).collect();
        assert_eq!(symbols, ["?", "?", "?", "?", "a", "?", "?", "e\u{301}", "?"]);
        let bytes = encode(&Buffer::empty(buffer.area), &buffer, true).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains('\u{7}') && !text.contains('\u{9b}') && !text.contains('\u{202e}'));
        // only select graphic rendition, cursor moves, clearing and the synchronized update remain
        for sequence in text.split('\x1b').skip(1) {
            let end = sequence
                .trim_start_matches('[')
                .trim_start_matches('?')
                .trim_start_matches(|ch: char| ch.is_ascii_digit() || ch == ';');
            assert!(sequence.starts_with('[') && end.starts_with(['m', 'H', 'J', 'h', 'l']), "{sequence:?}");
        }
    }

    #[test]
    fn ascii_terminals_get_ascii() {
        let mut buffer = with(&["┌", "█", "⣿", "é", "…", "▲"]);
        sweep(&mut buffer, true);
        let text: String = buffer.content.iter().map(Cell::symbol).collect();
        assert_eq!(text, "+##?~!");
    }

    #[test]
    fn an_unchanged_screen_costs_no_byte() {
        let buffer = with(&["a", "b"]);
        assert_eq!(encode(&buffer, &buffer, false), None);
        let other = with(&["a", "c"]);
        let bytes = String::from_utf8(encode(&buffer, &other, false).unwrap()).unwrap();
        assert!(bytes.contains('c') && !bytes.contains('a'), "{bytes:?}");
    }
}
