//! Is what is shown old, and why?
//!
//! A collector that failed or does not come back leaves its last rows. Whatever draws them says how old they are, dims them
//! and gives the reason in the lower edge of its frame.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::app::App;
use super::paint::{self, put, tint};
use super::text::{cut, width};
use crate::model::{Connection, Level, State, unit};
use crate::panel::Role;

/// How old, and why.
pub(super) struct Old {
    /// Seconds since the rows were taken.
    pub(super) age: f64,
    why: String,
}

/// The oldest of tables whose collector gives no new rows; `None` while all do.
pub(super) fn old<'a>(app: &App, tables: impl IntoIterator<Item = &'a str>) -> Option<Old> {
    let known = tables.into_iter().filter_map(|table| app.cache.snapshot().get(table));
    let lost = match &app.connection {
        Connection::Lost { reason, .. } if !app.past.is_frozen() => Some(format!("lost: {reason}")),
        _ => None,
    };
    let olds = known.filter(|known| lost.is_some() || known.status.state != State::Ok).filter_map(|known| {
        let age = known.now.as_ref()?.time.age(app.now()).max(0.0);
        let own = || format!("{}: {}", known.status.state.name(), known.status.reason);
        Some(Old { age, why: lost.clone().unwrap_or_else(own) })
    });
    olds.max_by(|a, b| a.age.total_cmp(&b.age))
}

/// Whether nothing new comes because the connection is lost.
pub(super) fn is_lost(app: &App) -> bool {
    matches!(app.connection, Connection::Lost { .. })
}

/// An age for people, in whole seconds.
pub(super) fn age(seconds: f64) -> String {
    if seconds < 60.0 { format!("{seconds:.0}s") } else { unit::span(seconds) }
}

impl Old {
    /// Dims what is inside a frame and writes the reason into its lower edge.
    pub(super) fn mark(&self, app: &App, buffer: &mut Buffer, area: Rect) {
        let inner = paint::inside(area).intersection(buffer.area);
        tint(buffer, inner, app.theme.role(Role::Stale).add_modifier(Modifier::DIM));
        if area.height >= 3 && area.width > 8 {
            let why = format!("▲ {}", self.why);
            let why = cut(&why, usize::from(area.width) - 6);
            let words = format!(" {why} ");
            put(buffer, area.x + 1, area.bottom() - 1, width(&words) as u16, &words, app.theme.level(Level::Warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Modifier;

    use crate::collect::disk::DiskRow;
    use crate::collect::load::LoadRow;
    use crate::collect::memory::MemoryRow;
    use crate::collect::mount::MountRow;
    use crate::collect::process::ProcessRow;
    use crate::model::State;
    use crate::tui::app::Config;
    use crate::tui::testing::{Made, app, press, screen};

    #[test]
    fn every_kind_of_panel_is_dimmed_and_says_how_old_it_is_and_why() {
        let (host, mut app) = app(Config::default());
        app.size = (120, 50);
        let tables = [DiskRow::TABLE, MountRow::TABLE, LoadRow::TABLE, MemoryRow::TABLE, ProcessRow::TABLE];
        for table in tables {
            host.publish(Made::new(table, 3, "x"), 1);
            host.publish(Made::new(table, 3, "x"), 2);
        }
        app.samples();
        assert!(!screen(&mut app).contains("no answer"));
        for table in tables {
            host.fail(table, State::Stale, "no answer", 12.2);
        }
        app.samples();
        let shown = screen(&mut app);
        for name in ["disks", "mounts", "load", "memory", "processes"] {
            let area = app.panes.iter().find(|pane| pane.name == name).unwrap().area;
            let part = |y: u16| -> String {
                let line = shown.lines().nth(usize::from(y)).unwrap();
                line.chars().skip(area.x.into()).take(area.width.into()).collect()
            };
            assert!(part(area.y).contains("12s"), "{name}: {shown}");
            assert!(part(area.bottom() - 1).contains("▲ stale: no answer"), "{name}: {shown}");
            let buffer = crate::tui::screen::draw(&mut app);
            let cell = buffer.cell((area.x + 2, area.y + 1)).unwrap();
            assert!(cell.modifier.contains(Modifier::DIM), "{name}");
        }
        host.publish(Made::new(MountRow::TABLE, 3, "x"), 3);
        app.samples();
        assert_eq!(screen(&mut app).matches("stale").count(), 4);
    }

    #[test]
    fn details_of_a_stale_row_say_so_too() {
        let (host, mut app) = app(Config::default());
        host.publish(Made::new(ProcessRow::TABLE, 3, "x"), 1);
        host.fail(ProcessRow::TABLE, State::Failed, "read /proc: broken", 75.0);
        app.samples();
        press(&mut app, &["e"]);
        let shown = screen(&mut app);
        assert!(shown.contains("1m15s") && shown.contains("failed: read /proc: broken"), "{shown}");
    }

    #[test]
    fn a_table_that_is_not_there_says_why_in_one_line() {
        let (host, mut app) = app(Config::default());
        app.size = (200, 50);
        host.fail(ProcessRow::TABLE, State::Denied, "open /proc: permission denied", 0.0);
        host.fail(DiskRow::TABLE, State::Absent, "no block devices", 0.0);
        app.samples();
        let shown = screen(&mut app);
        assert!(shown.contains("denied: open /proc: permission denied"), "{shown}");
        assert!(shown.contains("absent: no block devices"), "{shown}");
        app.go(crate::tui::app::Page::Table("disk"));
        assert!(screen(&mut app).contains("absent: no block devices"));
    }
}
