//! When was what a graph shows?
//!
//! Marks below the graph stand at even times ago, with the time of day.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::paint::{mark, put};
use super::stretch::{Stretch, wall};
use super::text::width;
use crate::model::{Timestamp, unit};
use crate::panel::Role;

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
