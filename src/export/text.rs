//! How is a sample written for a person at a prompt?
//!
//! Rows become aligned columns under the names that `--where` and `--sort` take; a table with a single row is turned, one
//! line for each column. A pipe gets everything. On a terminal endless words at the end of a line are cut with `…`, then
//! columns are left out until a row fits on a line, and what was left out is named below.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Selection;
use crate::model::{Cell, Column, Kind, Style, Writing};

/// Cells between two columns.
const GAP: usize = 2;

/// Cells that endless words keep at least before other columns give way.
const LEAST: usize = 16;

pub(super) fn write(out: &mut dyn Write, what: &Selection<'_>, first: bool) -> io::Result<()> {
    // nothing is cut where there is room for anything
    fitting(out, what, first, usize::MAX, true)
}

pub(super) fn fitting(
    out: &mut dyn Write,
    what: &Selection<'_>,
    first: bool,
    room: usize,
    chosen: bool,
) -> io::Result<()> {
    separate(out, first)?;
    if what.table.is_mostly_single() && what.rows.len() <= 1 {
        return turned(out, what);
    }
    let mut grid = Grid::of(what);
    let mut left_out = Vec::new();
    while !chosen && grid.least() > room {
        let Some(at) = grid.expendable() else { break };
        left_out.push(grid.remove(at));
    }
    grid.cut(room);
    aligned(out, &grid.right, &grid.lines)?;
    if first && !left_out.is_empty() {
        left_out.reverse();
        writeln!(out, "(no room for {}; --columns chooses, a pipe gets all)", left_out.join(", "))?;
    }
    Ok(())
}

/// An empty line between the samples of a series.
fn separate(out: &mut dyn Write, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { out.write_all(b"\n") }
}

fn turned(out: &mut dyn Write, what: &Selection<'_>) -> io::Result<()> {
    let lines: Vec<Vec<String>> = what
        .rows
        .iter()
        .flat_map(|&row| what.named().map(move |(i, column)| vec![column.name.to_string(), text(what, row, i, column)]))
        .collect();
    aligned(out, &[false, false], &lines)
}

fn text(what: &Selection<'_>, row: usize, i: usize, column: &Column) -> String {
    // rows of a line have room for all digits
    let writing = Writing { rate: what.rate, style: Style::default(), now: what.time, exact: u64::MAX };
    let missing = || if (what.unknown)(row, i) { "?" } else { "-" }.to_owned();
    column.words(&(what.cell)(row, i), writing).unwrap_or_else(missing)
}

/// Headings and rows as words.
struct Grid<'a> {
    columns: Vec<&'a Column>,
    /// Whether each has a value in any row.
    known: Vec<bool>,
    right: Vec<bool>,
    lines: Vec<Vec<String>>,
}

impl<'a> Grid<'a> {
    fn of(what: &'a Selection<'_>) -> Self {
        let columns: Vec<(usize, &Column)> = what.named().collect();
        let mut lines = vec![columns.iter().map(|(_, column)| column.name.to_uppercase()).collect::<Vec<_>>()];
        lines.extend(
            what.rows.iter().map(|&row| columns.iter().map(|(i, column)| text(what, row, *i, column)).collect()),
        );
        let known = |cell: Cell<'_>| match cell {
            Cell::Missing => false,
            Cell::F64(v) | Cell::Duration(v) => v.is_finite(),
            _ => true,
        };
        Self {
            known: columns.iter().map(|(i, _)| what.rows.iter().any(|&row| known((what.cell)(row, *i)))).collect(),
            right: columns.iter().map(|(_, column)| column.ty.is_numeric()).collect(),
            columns: columns.into_iter().map(|(_, column)| column).collect(),
            lines,
        }
    }

    /// Cells of a line when its endless words are as short as they may be.
    fn least(&self) -> usize {
        let widths = widths(self.columns.len(), &self.lines);
        let least =
            widths.iter().zip(&self.columns).map(|(&width, c)| if c.attrs.last { width.min(LEAST) } else { width });
        least.sum::<usize>() + GAP * self.columns.len().saturating_sub(1)
    }

    /// The column that is missed least: one without a value, else the last; never one that tells rows apart.
    fn expendable(&self) -> Option<usize> {
        let free = |i: &usize| {
            self.columns.get(*i).is_some_and(|c| c.kind != Kind::Id && !c.attrs.label && !c.attrs.last && !c.attrs.top)
        };
        let empty = |i: &usize| self.known.get(*i) == Some(&false);
        let all = || (0..self.columns.len()).rev().filter(free);
        all().find(empty).or_else(|| all().next())
    }

    fn remove(&mut self, at: usize) -> String {
        self.right.remove(at);
        self.known.remove(at);
        for line in &mut self.lines {
            line.remove(at);
        }
        self.columns.remove(at).name.to_string()
    }

    /// Cuts the endless words that stand last to what is left of the room.
    fn cut(&mut self, room: usize) {
        let Some((last, _)) = self.columns.split_last().filter(|(column, _)| column.attrs.last) else { return };
        let before = self.columns.len() - 1;
        let used: usize = widths(before, &self.lines).iter().map(|width| width + GAP).sum();
        let room = room.saturating_sub(used).max(LEAST.min(last.name.width().max(1)));
        for line in &mut self.lines {
            if let Some(field) = line.last_mut()
                && let Cow::Owned(short) = shortened(field, room)
            {
                *field = short;
            }
        }
    }
}

/// At most `room` cells of a text, with `…` where something is missing.
fn shortened(text: &str, room: usize) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let mut short = String::new();
    let mut used = 1;
    for ch in text.chars() {
        used += ch.width().unwrap_or(0);
        if used > room {
            break;
        }
        short.push(ch);
    }
    short.push('…');
    Cow::Owned(short)
}

fn widths(count: usize, lines: &[Vec<String>]) -> Vec<usize> {
    let mut widths = vec![0; count];
    for line in lines {
        for (width, field) in widths.iter_mut().zip(line) {
            *width = field.width().max(*width);
        }
    }
    widths
}

/// Pads every field to the widest of its column; nothing trails the last one.
pub(super) fn aligned(out: &mut dyn Write, right: &[bool], lines: &[Vec<String>]) -> io::Result<()> {
    let widths = widths(right.len(), lines);
    for line in lines {
        let mut text = String::new();
        for ((field, &width), &right) in line.iter().zip(&widths).zip(right) {
            let padding = " ".repeat(width - field.width());
            let (before, after) = if right { (padding.as_str(), "") } else { ("", padding.as_str()) };
            text.extend([before, field, after, "  "]);
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{Format, fixture};

    #[test]
    fn columns_line_up_whatever_the_width_of_a_name() {
        let text = fixture::written(Format::Text, &["日本", "eth0"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("INDEX  NAME  RX_BYTES"), "{}", lines[0]);
        assert!(lines[1].starts_with("    1  日本     16.0E"), "{}", lines[1]);
        assert!(lines[2].starts_with("    2  eth0         -"), "{}", lines[2]);
    }

    #[test]
    fn what_cannot_be_told_yet_is_apart_from_what_is_not_there() {
        let columns: Vec<usize> = (0..fixture::PortRow::TABLE.columns.len()).collect();
        let what = Selection {
            table: fixture::PortRow::TABLE,
            columns: &columns,
            rows: &[0],
            cell: &|_, _| Cell::Missing,
            unknown: &|_, column| column == 0,
            rate: false,
            time: crate::model::Timestamp(0),
        };
        let marks = what.named().map(|(at, column)| text(&what, 0, at, column));
        assert_eq!(marks.enumerate().find(|(at, mark)| mark != if *at == 0 { "?" } else { "-" }), None);
    }

    fn fitted(room: usize, chosen: bool, endless: bool) -> Vec<String> {
        let mut table = fixture::PortRow::TABLE.clone();
        let (name, _) = table.column("name").unwrap();
        table.columns.to_mut()[name].attrs.last = endless;
        let mut columns: Vec<usize> = (0..table.columns.len()).collect();
        columns.sort_by_key(|column| *column == name);
        let rows = fixture::rows(&["日本語の長い名前がここに立っている", "eth0"]);
        let what = Selection {
            table: &table,
            columns: &columns,
            rows: &[0, 1],
            cell: &|row, column| crate::model::Rows::cell(&rows, row, column),
            unknown: &|_, _| false,
            rate: false,
            time: crate::model::Timestamp(0),
        };
        let mut out = Vec::new();
        fitting(&mut out, &what, true, room, chosen).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_has_no_room_on_a_terminal_is_cut_or_left_out_and_named() {
        let wide = fitted(200, false, true);
        assert_eq!(wide.len(), 3, "{wide:?}");
        assert!(!wide[1].contains('…'));
        for room in [60, 80, 100] {
            let lines = fitted(room, false, true);
            assert!(lines[..3].iter().all(|line| line.width() <= room), "{room} {lines:#?}");
            assert!(lines[1].ends_with('…'), "{lines:#?}");
            let gone: Vec<&str> =
                ["LOAD", "LIMIT", "SINCE", "MAC"].into_iter().filter(|n| !lines[0].contains(n)).collect();
            assert_eq!(gone.is_empty(), lines.len() == 3, "{lines:#?}");
            assert!(gone.iter().all(|name| lines[3].contains(&name.to_lowercase())), "{lines:#?}");
        }
        assert!(fitted(80, false, true)[0].contains("CARRIER"), "a column without any value goes first");
        let lines = fitted(80, false, true);
        assert!(!lines[0].contains("LOAD"), "{lines:#?}");
    }

    #[test]
    fn chosen_columns_and_the_identity_stay_whatever_the_room() {
        assert_eq!(fitted(40, true, false).len(), 3);
        let lines = fitted(1, false, false);
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["INDEX", "NAME"]);
    }
}
