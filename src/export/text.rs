//! How is a sample written for a person at a prompt?
//!
//! Rows become aligned columns under the names that `--where` and `--sort` take; a table with a single row is turned, one
//! line for each column. Nothing is cut: a terminal wraps, a pipe wants all.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr as _;

use super::{Selection, human};
use crate::model::{Shape, Style};

pub(super) fn write(out: &mut dyn Write, what: &Selection<'_>, first: bool) -> io::Result<()> {
    let cell = |row, i, column| human(column, &(what.cell)(row, i), what.rate, Style::default(), what.time);
    if !first {
        out.write_all(b"\n")?;
    }
    if what.table.attrs.shape == Shape::Single {
        let lines: Vec<Vec<String>> = what
            .rows
            .iter()
            .flat_map(|&row| what.named().map(move |(i, column)| vec![column.name.to_string(), cell(row, i, column)]))
            .collect();
        return aligned(out, &[false, false], &lines);
    }
    let right: Vec<bool> = what.named().map(|(_, column)| column.ty.is_numeric()).collect();
    let mut lines = vec![what.named().map(|(_, column)| column.name.to_uppercase()).collect::<Vec<_>>()];
    lines.extend(what.rows.iter().map(|&row| what.named().map(|(i, column)| cell(row, i, column)).collect()));
    aligned(out, &right, &lines)
}

/// Pads every field to the widest of its column; nothing trails the last one.
pub(super) fn aligned(out: &mut dyn Write, right: &[bool], lines: &[Vec<String>]) -> io::Result<()> {
    let mut widths = vec![0; right.len()];
    for line in lines {
        for (width, field) in widths.iter_mut().zip(line) {
            *width = field.width().max(*width);
        }
    }
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
    use crate::export::{Format, fixture::written};

    #[test]
    fn columns_line_up_whatever_the_width_of_a_name() {
        let text = written(Format::Text, &["日本", "eth0"]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("INDEX  NAME  RX_BYTES"), "{}", lines[0]);
        assert!(lines[1].starts_with("    1  日本     16.0E"), "{}", lines[1]);
        assert!(lines[2].starts_with("    2  eth0         ?"), "{}", lines[2]);
    }
}
