//! When was what a graph shows?
//!
//! Marks below the graph stand at even times ago, with the time of day; the line below it is heavy while an alert fired about
//! what is shown, with the glyph of its severity where it began.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::paint::{glyph, mark, put};
use super::stretch::{Stretch, wall};
use super::text::width;
use crate::model::{Timestamp, unit};
use crate::panel::{Item, Role, Span};

/// Seconds between marks.
const EVEN: [u32; 17] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200];
/// Cells from one mark to the next at least: the widest words and two blanks.
const APART: f64 = 17.0;

/// Draws the axis below a graph.
pub(super) fn draw(app: &App, buffer: &mut Buffer, plot: Rect, stretch: &Stretch) {
    let y = plot.bottom();
    let base = format!("└{}", "─".repeat(usize::from(plot.width)));
    put(buffer, plot.x - 1, y, plot.width + 1, &base, app.theme.frame());
    let cell = stretch.step * 2.0;
    let now = format!("now {}", clock(app, stretch, 0.0, cell));
    let mut free = plot.right().saturating_sub(width(&now) as u16);
    put(buffer, free, y + 1, plot.right() - free, &now, app.theme.role(Role::Label));
    let even = EVEN.into_iter().map(f64::from).find(|even| even / cell >= APART);
    let even = even.unwrap_or_else(|| (cell * APART / 86_400.0).ceil() * 86_400.0);
    for ago in (1..).map(|count| even * f64::from(count)) {
        let cells = (ago / cell).round();
        if cells > f64::from(plot.width) {
            break;
        }
        let x = plot.right() - (cells as u16).clamp(1, plot.width);
        put(buffer, x, y, 1, "┴", app.theme.frame());
        let words = format!("-{} {}", short(ago), clock(app, stretch, ago, cell));
        let start = x.saturating_sub(width(&words) as u16 / 2).max(plot.x);
        if start + width(&words) as u16 + 1 < free {
            put(buffer, start, y + 1, width(&words) as u16, &words, app.theme.role(Role::Label));
            free = start;
        }
    }
}

/// Marks when alerts began and ended, the worst last, so that no other hides it.
pub(super) fn alerts(app: &App, buffer: &mut Buffer, plot: Rect, stretch: &Stretch, spans: &[Span]) {
    let Some(end) = wall(app, stretch.end) else { return };
    // cells before the last one; what is newer than the newest sample is in that
    let back = |instant: Timestamp| ((instant.age(end).max(0.0) / stretch.step).round() / 2.0).floor();
    let last = f64::from(plot.width) - 1.0;
    for span in spans {
        let (from, to) = (back(span.begin), span.end.map_or(0.0, back));
        if to > last {
            continue;
        }
        let style = app.theme.level(span.level);
        let x = |back: f64| plot.right() - 1 - back.min(last) as u16;
        for x in x(from)..=x(to) {
            put(buffer, x, plot.bottom(), 1, "━", style);
        }
        if from <= last {
            put(buffer, x(from), plot.bottom(), 1, glyph(span.level), style);
        }
    }
}

/// The worst alert that fired at a point, in words.
pub(super) fn alert_at(app: &App, stretch: &Stretch, at: usize, spans: &[Span]) -> Option<Item> {
    let end = wall(app, stretch.end)?;
    let half = stretch.step / 2.0;
    let ago = stretch.ago(at);
    let is_on =
        |span: &&Span| span.begin.age(end) >= ago - half && span.end.is_none_or(|over| over.age(end) <= ago + half);
    let span = spans.iter().rev().find(is_on)?;
    Some(Item::Text(format!("  {} {}", glyph(span.level), span.words).into(), Role::Level(span.level)))
}

/// A time that is even: without the unit that is zero.
fn short(seconds: f64) -> String {
    let hours = seconds / 3600.0;
    if hours >= 1.0 && hours.fract() == 0.0 {
        return format!("{hours}h");
    }
    let words = unit::span(seconds.round());
    let cut = ["00m", "00s"].iter().find_map(|zero| words.strip_suffix(zero));
    let words = cut.unwrap_or(&words);
    words.strip_suffix(".00s").map_or_else(|| words.to_owned(), |whole| format!("{whole}s"))
}

/// Time of day so many seconds before the end; with seconds where a cell is shorter than a minute.
pub(super) fn clock(app: &App, stretch: &Stretch, ago: f64, cell: f64) -> String {
    let format = if cell < 60.0 { "%H:%M:%S" } else { "%H:%M" };
    // also of a time before the host was up
    let at = wall(app, stretch.end).map(|end| Timestamp(end.0 - (ago * 1e9) as i64));
    at.map_or_else(String::new, |at| crate::panel::local(at, format))
}

/// Says in the lower edge how far the past goes back, and whether older points had to go.
pub(super) fn oldest(app: &App, buffer: &mut Buffer, area: Rect, stretch: &Stretch) {
    let Some((oldest, is_cut)) = stretch.oldest else { return };
    let ago = stretch.end.since(oldest);
    let words = format!("oldest point {} ago, {}", unit::span(ago), clock(app, stretch, ago, ago));
    let words = if is_cut { format!("{words}; older ones were evicted") } else { words };
    mark(buffer, area, &words, app.theme.role(Role::Muted));
}

#[cfg(test)]
mod tests {
    use crate::collect::alert::{AlertRow, EventRow};
    use crate::collect::load::LoadRow;
    use crate::model::{Text, Timestamp, Value};
    use crate::tui::app::{Config, Page};
    use crate::tui::testing::{Made, app, press, screen};

    /// An event of a rule about the load.
    fn event(seq: u64, second: f64, what: &str) -> Vec<Value> {
        let cell = |name: &str| match name {
            "seq" => Value::U64(seq),
            "time" => Value::Timestamp(Timestamp::from_seconds(1.8e9 + second)),
            "what" => Value::Label(what.into()),
            "severity" => Value::Label("warning".into()),
            "rule" | "table" => Value::Text("load".into()),
            "instance" => Value::Text(Text::default()),
            "text" => Value::Text("much is to do".into()),
            _ => Value::Missing,
        };
        EventRow::TABLE.columns.iter().map(|column| cell(&column.name)).collect()
    }

    #[test]
    fn an_alert_is_a_heavy_line_from_where_it_began_to_where_it_ended() {
        let (host, mut app) = app(Config::default());
        *host.tables.lock().unwrap() = Some(&[AlertRow::TABLE, EventRow::TABLE, LoadRow::TABLE]);
        host.publish(Made::new(LoadRow::TABLE, 1, "x"), 59);
        app.samples();
        app.go(Page::Table("load"));
        press(&mut app, &["down", "g"]);
        assert!(!screen(&mut app).contains('▲'), "{}", screen(&mut app));
        let wants = host.wants.lock().unwrap().clone();
        assert!(wants.iter().any(|want| want.table == "event"), "{wants:?}");
        let events = vec![event(1, 29.0, "fired"), event(2, 39.0, "cleared")];
        host.publish(Made { table: EventRow::TABLE, cells: events }, 59);
        app.samples();
        let shown = screen(&mut app);
        let axis = shown.lines().find(|line| line.contains('└')).unwrap();
        assert!(axis.contains("▲━━━━━──"), "{shown}");
        assert!(!shown.contains("much is to do"), "{shown}");
        press(&mut app, &["left"; 25]);
        assert!(screen(&mut app).contains("▲ much is to do"), "{}", screen(&mut app));
        press(&mut app, &["left"; 10]);
        assert!(!screen(&mut app).contains("much is to do"), "{}", screen(&mut app));
    }
}
