//! How does what is on the screen get into a file or to the clipboard?

use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::app::App;
use super::text::width;
use crate::export::{Format, Selection, write};
use crate::model::{Level, Text, Timestamp};

/// Longest text that terminals take for the clipboard, in bytes: with base64 and what is around it 100,000.
const CLIPBOARD: usize = 74_994;

/// What can be saved and copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The screen as text.
    Screen,
    /// The rows of the focused table as CSV, as they are filtered and ordered.
    Csv,
}

impl What {
    /// By its name in the palette.
    pub(super) fn named(name: &str) -> Option<Self> {
        [("screen", Self::Screen), ("csv", Self::Csv)]
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, what)| what)
    }

    fn write(self, app: &mut App, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Screen => out.write_all(screen(app).as_bytes()),
            Self::Csv => csv(app, out),
        }
    }
}

/// The screen without what lay over it, and without blanks at line ends.
fn screen(app: &mut App) -> String {
    let mut buffer = super::screen::draw(app);
    super::frame::sweep(&mut buffer, app.ability.ascii);
    let mut out = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width).max(1)) {
        let (start, mut behind) = (out.len(), 0);
        for cell in row {
            // a wide letter has the cell behind it, too
            if behind == 0 {
                out.push_str(cell.symbol());
                behind = width(cell.symbol()).max(1);
            }
            behind -= 1;
        }
        let end = start + out.get(start..).map_or(0, |line| line.trim_end().len());
        out.truncate(end);
        out.push('\n');
    }
    out
}

fn csv(app: &mut App, out: &mut dyn Write) -> io::Result<()> {
    let Some((_, view, state)) = app.focus() else {
        return Err(io::Error::other("no table is on the screen"));
    };
    let selection = Selection {
        table: view.table(),
        columns: &state.columns,
        rows: &state.rows,
        cell: &|row, column| state.cell(&view, row, column),
        unknown: &|row, column| view.unknown(row, column),
        rate: true,
        time: Timestamp::now(),
    };
    write(out, Format::Csv, &selection, true)
}

/// Does what stands behind `save`: what to save and where, or only a file whose name says what.
pub(super) fn asked(app: &mut App, rest: &str) {
    let named = rest.split_once(' ').and_then(|(what, path)| Some((What::named(what)?, path.trim())));
    let is_csv = |path: &str| Path::new(path).extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
    match named {
        Some((what, path)) => save(app, what, path),
        None if rest.is_empty() || What::named(rest).is_some() => {
            app.say("save FILE: the table if its name ends in .csv, else the screen; or save csv FILE", Level::Careful);
        }
        None if is_csv(rest) => save(app, What::Csv, rest),
        None => save(app, What::Screen, rest),
    }
}

/// Saves into a file that nobody else can read, because command lines and names of others are in it; says where. An existing
/// file is not overwritten.
fn save(app: &mut App, what: What, name: &str) {
    let path = path(name);
    let result = create(&path, |out| what.write(app, out)).map_err(|cause| match cause.kind() {
        _ if path.is_dir() => "it is a directory; name a file in it".to_owned(),
        io::ErrorKind::AlreadyExists => "it exists already, and nothing is overwritten".to_owned(),
        _ => cause.to_string(),
    });
    let name = Text::from(path.as_path());
    match result {
        Ok(()) => app.say(format!("saved {name}"), Level::Ok),
        Err(cause) => app.say(format!("save {name}: {cause}"), Level::Warning),
    }
}

/// Where a file is to lie, as a shell would have it.
fn path(name: &str) -> PathBuf {
    let home = name.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    home.or_else(|| std::path::absolute(name).ok()).unwrap_or_else(|| PathBuf::from(name))
}

fn create(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(file);
    let result = fill(&mut out).and_then(|()| out.flush());
    if result.is_err() {
        // half a file looks like a whole one
        let _ = std::fs::remove_file(path);
    }
    result
}

/// What goes to the clipboard, if a terminal would take that much; says what comes of it.
pub(super) fn copy(app: &mut App, what: What) -> Option<String> {
    let mut bytes = Vec::new();
    if let Err(cause) = what.write(app, &mut bytes) {
        app.say(format!("copy: {cause}"), Level::Careful);
        return None;
    }
    offer(app, String::from_utf8(bytes).ok()?)
}

/// Hands text to the terminal's clipboard.
pub(super) fn offer(app: &mut App, text: String) -> Option<String> {
    if text.len() > CLIPBOARD {
        let most = CLIPBOARD / 1000;
        app.say(
            format!("{} kB is more than the {most} kB that terminals copy: save it", text.len() / 1000),
            Level::Careful,
        );
        return None;
    }
    app.say("copied, if the terminal allows it", Level::Ok);
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::collect::process::ProcessRow;
    use crate::tui::app::Config;
    use crate::tui::input::Outcome;
    use crate::tui::settings::Settings;
    use crate::tui::testing::{Made, app, command, screen};

    fn shown() -> App {
        let settings = Settings { view: Some("processes".to_owned()), ..Settings::default() };
        let (host, mut app) = app(Config { settings, ..Config::default() });
        host.publish(Made::new(ProcessRow::TABLE, 3, "名"), 1);
        app.samples();
        app
    }

    #[test]
    fn a_saved_screen_has_no_palette_over_it_and_wide_letters_once() {
        let (dir, mut app) = (tempfile::tempdir().unwrap(), shown());
        let path = dir.path().join("screen.txt");
        let before = super::screen(&mut app);
        command(&mut app, &format!("save screen {}", path.display()));
        let saved = std::fs::read_to_string(&path).unwrap();
        assert!(saved.contains("Processes 3") && saved.contains("名2") && !saved.contains("Palette"), "{saved}");
        assert_eq!(saved.lines().count(), 30);
        assert_eq!(saved.lines().nth(5), before.lines().nth(5));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(screen(&mut app).contains("saved /"));
        command(&mut app, &format!("save csv {}", path.display()));
        assert!(screen(&mut app).contains("exists"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), saved);
    }

    #[test]
    fn the_name_of_a_file_says_what_is_saved_where_nothing_else_does() {
        let (dir, mut app) = (tempfile::tempdir().unwrap(), shown());
        let path = |name: &str| dir.path().join(name);
        for (name, begin) in [("rows.csv", "pid,"), ("a b.CSV", "pid,"), ("screen.txt", ""), ("csv2", "")] {
            command(&mut app, &format!("save {}", path(name).display()));
            let saved = std::fs::read_to_string(path(name)).unwrap();
            assert!(saved.starts_with(begin) && saved.contains("名2"), "{name}\n{saved}");
            assert_eq!(saved.contains("Processes 3"), begin.is_empty(), "{name}\n{saved}");
        }
        command(&mut app, &format!("save csv {}", dir.path().display()));
        assert!(screen(&mut app).contains("it is a directory"), "{}", screen(&mut app));
        for nothing in ["save", "save csv", "save screen"] {
            command(&mut app, nothing);
            assert!(screen(&mut app).contains("save FILE: the table if"), "{nothing}");
        }
    }

    #[test]
    fn a_file_that_could_not_be_written_whole_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        assert!(create(&path, |out| out.write_all(b"half").and(Err(io::Error::other("full")))).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_clipboard_gets_tables_and_screens_up_to_what_terminals_take() {
        let mut app = shown();
        let Outcome::Clipboard(csv) = command(&mut app, "copy csv") else { panic!() };
        assert_eq!(csv.lines().count(), 4);
        let Outcome::Clipboard(text) = command(&mut app, "copy screen") else { panic!() };
        assert!(text.contains("Processes 3"));
        assert_eq!(offer(&mut app, "x".repeat(CLIPBOARD + 1)), None);
        assert!(screen(&mut app).contains("save it"));
    }
}
