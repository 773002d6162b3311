//! How does what is on the screen get into a file?

use std::io::{self, Write as _};
use std::path::Path;

use ratatui::buffer::Buffer;

use super::app::App;
use crate::export::{Format, Selection, write};
use crate::model::{Level, Text, Timestamp};

/// Writes the screen as text, without blanks at line ends. An existing file is not overwritten.
pub(super) fn screen(buffer: &Buffer, path: &Path) -> io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
    for row in buffer.content.chunks(usize::from(buffer.area.width).max(1)) {
        let text: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        writeln!(file, "{}", text.trim_end())?;
    }
    Ok(())
}

/// Writes the rows of the focused table as CSV, as they are filtered and ordered. An existing file is not overwritten.
pub(super) fn csv(app: &mut App, path: &Path) -> io::Result<()> {
    let Some((_, view, state)) = app.focus() else {
        return Err(io::Error::other("no table is on the screen"));
    };
    let mut file = io::BufWriter::new(std::fs::File::create_new(path)?);
    let selection = Selection {
        table: view.table(),
        columns: &state.columns,
        rows: &state.rows,
        cell: &|row, column| state.cell(&view, row, column),
        rate: true,
        time: Timestamp::now(),
    };
    write(&mut file, Format::Csv, &selection, true)?;
    file.flush()
}

/// Says how it went.
pub(super) fn tell(app: &mut App, path: &Path, result: io::Result<()>) {
    let name = Text::from(path);
    match result {
        Ok(()) => app.say(format!("saved {name}"), Level::Ok),
        Err(cause) => app.say(format!("save {name}: {cause}"), Level::Warning),
    }
}
