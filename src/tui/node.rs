//! Which node of a map is selected, and what does it open?
//!
//! The arrows go to the node that is nearest in their direction, Enter opens what a node stands for, and Esc selects none. A map
//! scrolls as far as its selected node needs.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::app::App;
use super::keymap::Act;
use super::overlay::Overlay;
use super::paint;
use super::pane::Pane;
use crate::model::Level;
use crate::panel::{Leads, Mark, Space};

/// How much farther off is what lies in another line, and what is not in the direction of an arrow.
const LINE: usize = 4;
const ASIDE: usize = 8;

/// Draws which node of a panel is selected, and remembers where its nodes are.
pub(super) fn draw(app: &mut App, buffer: &mut Buffer, panel: &'static str, (room, top): (Rect, usize)) {
    let space = Space { width: room.width, height: room.height, scroll: top };
    let marks = crate::panel::marks(&app.cx(), panel, space);
    if let Some(mark) = chosen(app, panel, &marks) {
        let y = mark.line.checked_sub(top).and_then(|y| u16::try_from(y).ok()).filter(|y| *y < room.height);
        if let Some(y) = y {
            let cells = Rect::new(room.x + mark.at, room.y + y, mark.cells, 1).intersection(room);
            paint::tint(buffer, cells, app.theme.selected());
        }
    }
    if marks.is_empty() {
        app.marks.remove(panel);
    } else {
        app.marks.insert(panel, marks);
    }
}

/// Whether a panel has nodes.
pub(super) fn are_in(app: &App, pane: &Pane) -> bool {
    app.marks.contains_key(pane.name)
}

fn chosen<'a>(app: &App, panel: &str, marks: &'a [Mark]) -> Option<&'a Mark> {
    let id = app.chosen.get(panel)?;
    marks.iter().find(|mark| mark.id == *id)
}

/// A key of movement on a panel with nodes; false when it is for something else.
pub(super) fn key(app: &mut App, pane: Pane, act: Act) -> bool {
    let Some(marks) = app.marks.get(pane.name) else { return false };
    let now = chosen(app, pane.name, marks);
    if let (Act::Enter, Some(mark)) = (act, now) {
        let leads = mark.leads.clone();
        open(app, leads);
        return true;
    }
    let moves = [Act::Up, Act::Down, Act::Left, Act::Right, Act::PageUp, Act::PageDown, Act::Home, Act::End];
    if !moves.contains(&act) {
        return false;
    }
    let top = app.scrolls.get(pane.name).copied().unwrap_or(0);
    let next = match (act, now) {
        (Act::Home, _) => marks.iter().min_by_key(|mark| (mark.line, mark.at)),
        (Act::End, _) => marks.iter().max_by_key(|mark| (mark.line, mark.at)),
        (_, None) => marks.iter().filter(|mark| mark.line >= top).min_by_key(|mark| (mark.line, mark.at)),
        (_, Some(now)) => nearest(marks, now, act, pane.page),
    };
    if let Some((id, line)) = next.map(|mark| (mark.id, mark.line)) {
        app.chosen.insert(pane.name, id);
        let last = top + pane.page.saturating_sub(1);
        let to = if line > last { top + (line - last) } else { line.min(top) };
        app.scrolls.insert(pane.name, to);
    }
    true
}

/// The nearest in a direction, if there is one.
fn nearest<'a>(marks: &'a [Mark], now: &Mark, act: Act, page: usize) -> Option<&'a Mark> {
    let page = page.saturating_sub(1).max(1);
    let aside = |mark: &Mark| usize::from(mark.at.abs_diff(now.at));
    let (line, at) = (now.line, now.at);
    let up = |mark: &&Mark| mark.line < line;
    let down = |mark: &&Mark| mark.line > line;
    let cost = |to: usize| move |mark: &&Mark| (mark.line.abs_diff(to) * LINE + aside(mark), mark.line, mark.at);
    let beside = |mark: &&Mark| (mark.line.abs_diff(line) * ASIDE + aside(mark), mark.line, mark.at);
    let all = marks.iter();
    match act {
        Act::Up => all.filter(up).min_by_key(cost(line)),
        Act::Down => all.filter(down).min_by_key(cost(line)),
        Act::PageUp => all.filter(up).min_by_key(cost(line.saturating_sub(page))),
        Act::PageDown => all.filter(down).min_by_key(cost(line + page)),
        Act::Left => all.filter(|mark| mark.at < at).min_by_key(beside),
        _ => all.filter(|mark| mark.at > at).min_by_key(beside),
    }
}

/// Opens what a node stands for.
fn open(app: &mut App, leads: Option<Leads>) {
    match leads {
        Some(Leads::Row(table, key)) => {
            app.overlay = Overlay::Detail { table, key, section: 0, top: 0 };
            super::detail::begin(app);
        }
        Some(Leads::Rows(table, filter)) => _ = super::inside::show(app, table, &filter),
        None => app.say("no table has more of it", Level::Ok),
    }
}

/// A click on a node selects it, and one on the selected node opens it.
pub(super) fn click(app: &mut App, at: Position) {
    let Some(pane) = app.panes.iter().find(|pane| pane.area.contains(at)).copied() else { return };
    let room = paint::inside(pane.area);
    let (Some(x), Some(y)) = (at.x.checked_sub(room.x), at.y.checked_sub(room.y)) else { return };
    let line = usize::from(y) + app.scrolls.get(pane.name).copied().unwrap_or(0);
    let is_hit = |mark: &&Mark| mark.line == line && (mark.at..mark.at + mark.cells).contains(&x);
    let hit = app.marks.get(pane.name).and_then(|marks| marks.iter().find(is_hit)).cloned();
    let Some(mark) = hit else { return };
    if app.chosen.insert(pane.name, mark.id) == Some(mark.id) {
        open(app, mark.leads);
    }
}

/// Selects none; false where none was.
pub(super) fn forget(app: &mut App) -> bool {
    let panel = super::pane::focused(app).map(|pane| pane.name);
    panel.is_some_and(|panel| app.chosen.remove(panel).is_some())
}
