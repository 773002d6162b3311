//! Which panel do the arrows go to, and how far is each one scrolled?
//!
//! The panels of a view as drawn last are the panes. One of them may have the focus: a click or a key gives it, Esc takes it
//! away, and then the keys go to the table of the view. One that has no room gets some while it has the focus. In one with nodes
//! the arrows select these.

use ratatui::layout::{Position, Rect};

use super::app::{App, Page};
use super::keymap::Act;
use super::node;
use crate::panel::{PANELS, PanelDef};

/// A panel on the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pane {
    pub(super) name: &'static str,
    pub(super) area: Rect,
    /// Lines inside.
    pub(super) page: usize,
    /// Items that did not fit.
    pub(super) hidden: usize,
    /// Whether it is a table, which scrolls by its selection.
    pub(super) table: bool,
}

/// The pane with the focus if it is not a table. One that is alone has it while not all of it is to be seen,
/// or where it has nodes.
pub(super) fn focused(app: &App) -> Option<Pane> {
    match (app.focused, app.panes.as_slice()) {
        (Some(name), panes) => panes.iter().copied().find(|pane| pane.name == name && !pane.table),
        (None, [pane]) => Some(*pane).filter(|pane| !pane.table && (pane.hidden > 0 || node::are_in(app, pane))),
        (None, _) => None,
    }
}

/// Puts the table of the pane with the focus before the others.
pub(super) fn lead(app: &mut App) {
    let at = app.focused.and_then(|name| app.spots.iter().position(|spot| spot.key == name));
    if let Some(before) = at.and_then(|at| app.spots.get_mut(..=at)) {
        before.rotate_right(1);
    }
}

/// Whether a pane has the keys and others could have them: it has the focus, or is the first of several tables.
pub(super) fn holds(app: &App, pane: &Pane) -> bool {
    match (app.focused, app.spots.as_slice()) {
        (Some(name), _) => pane.name == name,
        (None, [first, _, ..]) => pane.name == first.key,
        (None, _) => false,
    }
}

/// Remembers which panels there are: those without room come behind the others.
pub(super) fn remember(app: &mut App, left_out: &[&'static PanelDef]) {
    let drawn = app.panes.iter().map(|pane| pane.name);
    app.walk = drawn.chain(left_out.iter().map(|panel| panel.name)).collect();
}

/// Gives the focus to the panel that lies `by` places beside the one that has it.
pub(super) fn turn(app: &mut App, by: isize) {
    let count = app.walk.len() as isize;
    if count == 0 {
        return;
    }
    let holder = app.panes.iter().find(|pane| holds(app, pane)).map(|pane| pane.name);
    let now = holder.and_then(|holder| app.walk.iter().position(|name| *name == holder));
    let next = match now {
        Some(at) => (at as isize + by).rem_euclid(count),
        None if by > 0 => 0,
        None => count - 1,
    };
    app.focused = app.walk.get(next as usize).copied();
    lead(app);
}

/// A key of movement on the pane with the focus; false when it is for the table.
pub(super) fn key(app: &mut App, act: Act) -> bool {
    let Some(pane) = focused(app) else { return false };
    if node::key(app, pane, act) {
        return true;
    }
    let now = app.scrolls.get(pane.name).copied().unwrap_or(0);
    let page = pane.page.saturating_sub(1).max(1);
    let to = match act {
        Act::Up => now.saturating_sub(1),
        Act::Down => now.saturating_add(1),
        Act::PageUp => now.saturating_sub(page),
        Act::PageDown => now.saturating_add(page),
        Act::Home => 0,
        Act::End => now.saturating_add(pane.hidden),
        Act::Enter => {
            open(app, pane.name);
            return true;
        }
        _ => return false,
    };
    app.scrolls.insert(pane.name, to);
    true
}

/// Opens the table that a panel shows.
fn open(app: &mut App, name: &str) {
    let Some(def) = find(name) else { return };
    let Some(table) = (def.demands)().into_iter().find_map(|demand| app.table(&demand.table)) else { return };
    app.go(Page::Table(&table.name));
}

/// The wheel over a pane that is not a table.
pub(super) fn wheel(app: &mut App, at: Position, by: isize) {
    if let Some(pane) = app.panes.iter().find(|pane| pane.area.contains(at) && !pane.table) {
        let scroll = app.scrolls.entry(pane.name).or_insert(0);
        *scroll = scroll.saturating_add_signed(by);
    }
}

/// A click gives the focus.
pub(super) fn click(app: &mut App, at: Position) {
    app.focused = app.panes.iter().find(|pane| pane.area.contains(at)).map(|pane| pane.name);
    lead(app);
    node::click(app, at);
}

/// A panel by its name.
pub(super) fn find(name: &str) -> Option<&'static PanelDef> {
    PANELS.iter().find(|panel| panel.name == name)
}
