//! How are connections deleted from the kernel's table, and nothing else?
//!
//! What is asked names what it hits: the connection by both its ends, or how many there are that the filter keeps, and the
//! first of them. What is deleted is what was counted then: connections that begin later are left alone.

use std::collections::BTreeSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::App;
use super::framed::lack;
use super::overlay::{Overlay, framed_popup, plain};
use super::paint::{clear, line, put};
use super::text::{cut, width, wrap};
use crate::model::{Action, Level, OWN_NETNS, Tracked};
use crate::panel::Role;
use crossterm::event::KeyCode;

/// Widest question.
const WIDE: u16 = 78;
/// Most connections that are named one by one.
const NAMED: usize = 8;
/// Most network namespaces that are named.
const PLACES: usize = 3;
/// What stands where the question has no room.
const UNNAMED: &str = "nothing is deleted: no room to name it";

/// Connections that are to be deleted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    flows: Vec<Tracked>,
    /// Why these, where they are several.
    filter: String,
    /// Why there may be more that fit and have no row.
    lack: Option<String>,
}

impl Asked {
    /// What is deleted, in words.
    fn words(&self) -> String {
        match self.flows.as_slice() {
            [one] => one.placed(),
            several => match (several.len(), self.places(), &self.filter, &self.lack) {
                (count, places, filter, None) => format!("{count} connections{places} with {filter}"),
                (count, places, filter, Some(lack)) => {
                    format!("{count} connections{places} with {filter}; those without a row stay: {lack}")
                }
            },
        }
    }

    /// Where they are, unless all are in the own network namespace.
    fn places(&self) -> String {
        let all: BTreeSet<&str> = self.flows.iter().map(|flow| flow.netns.as_str()).collect();
        let named = all.iter().take(PLACES).copied().collect::<Vec<_>>().join(", ");
        match all.len() {
            1 if named == OWN_NETNS => String::new(),
            1 => format!(" in network namespace {named}"),
            count if count > PLACES => format!(" in {count} network namespaces ({named}, …)"),
            _ => format!(" in network namespaces {named}"),
        }
    }
}

/// Asks whether the selected connection is to be deleted.
pub(super) fn one(app: &mut App) {
    let found = app.focus().and_then(|(_, view, state)| {
        let row = state.row(&view)?;
        let rows = state.members.get(&row).cloned().unwrap_or_else(|| vec![row]);
        let flows: Vec<Tracked> = rows.into_iter().filter_map(|row| crate::panel::tracked(&view, row)).collect();
        let filter = state.grouping.map_or_else(String::new, |grouping| format!("one line {}", grouping.name));
        Some(Asked { flows, filter, lack: None })
    });
    let groups = super::group::is_grouped(app);
    let otherwise = if groups { "enter shows the connections of a group" } else { "select a connection first" };
    ask(app, found, otherwise);
}

/// Asks whether all connections that the filter keeps are to be deleted.
pub(super) fn several(app: &mut App) {
    let found = app.focus().and_then(|(_, view, state)| {
        let filter = state.filter.as_ref()?.text().to_owned();
        let rows = state.rows.iter().flat_map(|row| state.members.get(row).map_or(vec![*row], Clone::clone));
        let flows = rows.filter_map(|row| crate::panel::tracked(&view, row)).collect();
        Some(Asked { flows, filter, lack: None })
    });
    ask(app, found, "filter connections first: those that it keeps are deleted");
}

fn ask(app: &mut App, found: Option<Asked>, otherwise: &str) {
    match found.filter(|asked| !asked.flows.is_empty()) {
        Some(asked) => {
            app.named.set(false);
            let lack = app.spots.first().and_then(|spot| lack(app, spot.table)).map(str::to_owned);
            app.overlay = Overlay::Delete(Asked { lack, ..asked });
        }
        None => app.say(otherwise, Level::Careful),
    }
}

/// A key while it is asked: only one of them deletes.
pub(super) fn key(app: &mut App, asked: Asked, code: KeyCode) -> Overlay {
    match code {
        // nobody says yes to what was not seen
        KeyCode::Char('y') if !app.named.get() => {
            app.say("nothing is deleted before it is named on the screen", Level::Warning);
            Overlay::Delete(asked)
        }
        KeyCode::Char('y') => {
            let what = super::acting::What::Delete(asked.flows.len(), asked.words());
            super::acting::act(app, actions(asked.flows), what);
            Overlay::None
        }
        KeyCode::Char('n' | 'q') => Overlay::None,
        _ => Overlay::Delete(asked),
    }
}

/// As many actions as it takes: each is for one network namespace, and for no more than a host takes.
fn actions(mut flows: Vec<Tracked>) -> Vec<Action> {
    flows.sort_by(|a, b| a.netns.cmp(&b.netns));
    let spaces = flows.chunk_by(|a, b| a.netns == b.netns);
    spaces.flat_map(|space| space.chunks(Action::MOST)).map(|flows| Action::Forget { flows: flows.to_vec() }).collect()
}

/// Draws the question with as many of the connections as have room.
pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect, asked: &Asked) {
    let named: Vec<String> = match asked.flows.as_slice() {
        [_] => Vec::new(),
        several => several.iter().take(NAMED).map(Tracked::placed).collect(),
    };
    let size = Rect { width: area.width.min(WIDE), ..area };
    let refused = app.host.refusal().map(|why| format!("nothing will be deleted: {why}"));
    let mut words = wrap(&asked.words(), usize::from(size.width.saturating_sub(4)).max(1));
    let needed = words.len() as u16;
    words.extend(refused.map(|why| format!("▲ {why}")));
    let more = asked.flows.len().saturating_sub(named.len());
    words.extend(named.into_iter().map(|one| format!("  {one}")));
    if asked.flows.len() > 1 && more > 0 {
        words.push(format!("  and {more} more"));
    }
    let framed = area.height >= needed + 2 && area.width >= 8;
    let height = (words.len() as u16 + 2 * u16::from(framed)).min(area.height);
    let (x, y) = (area.x + (area.width - size.width) / 2, area.y + (area.height - height) / 2);
    let size = Rect { x, y, height, ..size };
    clear(buffer, size, app.theme.base());
    let widest = words.iter().take(usize::from(needed)).map(|words| width(words)).max().unwrap_or(0);
    let room = if framed { size.width.saturating_sub(4) } else { size.width };
    app.named.set(needed <= size.height && widest <= usize::from(room));
    if !app.named.get() {
        for (y, words) in (size.top()..size.bottom()).zip(wrap(UNNAMED, usize::from(size.width))) {
            put(buffer, size.x, y, size.width, &words, app.theme.level(Level::Warning));
        }
        return;
    }
    let title = plain("Delete from the kernel's table".to_owned(), Role::Title);
    let inner = if framed { framed_popup(buffer, size, &title, "", &app.theme) } else { size };
    for (at, (y, words)) in (inner.top()..inner.bottom()).zip(words).enumerate() {
        let role = if at < usize::from(needed) { Role::Title } else { Role::Plain };
        let words = cut(&words, usize::from(inner.width)).into_owned();
        line(buffer, Rect { y, height: 1, ..inner }, &plain(words, role), &app.theme);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_for_one_namespace_and_for_no_more_than_a_host_takes() {
        let flow = |number: u32, netns: &str| Tracked {
            netns: netns.into(),
            id: number,
            protocol: 6,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            ports: Some((1, 2)),
            icmp: None,
            zone: 0,
        };
        let most = Action::MOST as u32;
        let flows: Vec<Tracked> =
            (0..=2 * most).map(|number| flow(number, if number % 2 == 0 { "host" } else { "other" })).collect();
        let mut seen = Vec::new();
        for action in actions(flows) {
            let Action::Forget { flows } = action else { panic!("{action:?}") };
            assert!(!flows.is_empty() && flows.len() <= Action::MOST);
            assert!(flows.iter().all(|one| one.netns == flows[0].netns));
            seen.extend(flows.into_iter().map(|one| one.id));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..=2 * most).collect::<Vec<_>>());
    }
}
