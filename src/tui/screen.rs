//! What stands where on the screen?
//!
//! Row 1 says who and where, row 2 lists the views, the last row says which keys work now; a strip above it carries a message.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::app::{App, Page};
use super::framed::{framed_table, partly};
use super::keymap::Act;
use super::overlay::Overlay;
use super::paint::{self, put};
use super::pane::{self, Pane};
use super::stale;
use super::text::width;
use crate::model::Level;
use crate::panel::{Body, Item, Line, Node, Role, Size, Space, TOGGLES, TableSpec, VIEWS, toggle};

/// Draws everything into a fresh buffer of the app's size.
pub(super) fn draw(app: &mut App) -> Buffer {
    let before: Vec<&'static str> = app.picked.keys().copied().collect();
    let buffer = once(app);
    // panels may be arranged by what is selected, which is known by now only
    if app.picked.keys().copied().eq(before) { buffer } else { once(app) }
}

fn once(app: &mut App) -> Buffer {
    let area = Rect::new(0, 0, app.size.0, app.size.1);
    let mut buffer = Buffer::empty(area);
    buffer.set_style(area, app.theme.base());
    app.spots.clear();
    app.listed = None;
    app.panes.clear();
    app.tabs.clear();
    let mut body = area;
    if area.height >= 6 {
        header(app, &mut buffer, Rect { height: 1, ..area });
        body = Rect { y: 2, height: area.height - 3, ..area };
        if let Some((text, level)) = &app.message {
            body.height -= 1;
            let words = format!(" {} {text}", paint::glyph(*level));
            put(&mut buffer, 0, body.bottom(), area.width, &words, app.theme.level(*level));
        } else if app.notices.newest().is_some() {
            body.height -= 1;
            notice(app, &mut buffer, Rect { y: body.bottom(), height: 1, ..area });
        }
    }
    let node = app.layout(body.width, body.height);
    if area.height >= 6 {
        tabs(app, &mut buffer, Rect { y: 1, height: 1, ..area }, node.as_ref());
    }
    match app.page.clone() {
        Page::View(_) => view(app, &mut buffer, body, node.as_ref()),
        Page::Explore => super::explore::draw(app, &mut buffer, body),
        Page::Table(name) => body = one_table(app, &mut buffer, body, name),
    }
    if let Some(mark) = app.mark() {
        let panes = app.panes.iter().map(|pane| pane.area);
        for area in if app.panes.is_empty() { vec![body] } else { panes.collect() } {
            paint::mark(&mut buffer, area, &mark, app.theme.level(Level::Warning));
        }
    }
    if area.height >= 6 {
        // they depend on what was found to be on the screen
        hints(app, &mut buffer, Rect { y: area.bottom() - 1, height: 1, ..area });
    }
    if app.overlay.covers() {
        paint::dim(&mut buffer, body, &app.theme);
    }
    super::overlay::draw(app, &mut buffer, body);
    if area.height < 6
        && let Some((text, level)) = &app.message
    {
        // without a line of its own it covers what can be seen again after the next key
        paint::words_above(&mut buffer, area, &format!("{} {text}", paint::glyph(*level)), *level, &app.theme);
    }
    buffer
}

/// The panels of a view.
fn view(app: &mut App, buffer: &mut Buffer, area: Rect, node: Option<&Node>) {
    if let Some(node) = node {
        arrange(app, buffer, area, node);
    }
    // a panel may be gone with the last row that it was there for
    app.focused = app.focused.filter(|name| app.panes.iter().any(|pane| pane.name == *name));
    if !app.is_crowded(area.width, area.height) {
        let left_out = node.map_or(Vec::new(), |node| app.left_out(node));
        pane::remember(app, &left_out);
    }
    pane::lead(app);
    for pane in app.panes.iter().filter(|pane| pane::holds(app, pane)) {
        paint::emphasize(buffer, pane.area, &app.theme);
    }
    if let Some(why) = app.panes.is_empty().then(|| hidden(app)).flatten() {
        let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        paint::body(buffer, area, &Body::Empty { level: Level::Ok, why }, &app.theme);
    }
}

/// A table alone; returns where it is.
fn one_table(app: &mut App, buffer: &mut Buffer, mut body: Rect, name: &'static str) -> Rect {
    let sort = crate::panel::fleet::order(name);
    let outlined = crate::panel::flat(name).is_some_and(|flat| !app.toggles.contains(flat));
    let spec = TableSpec { sort, outlined, ..TableSpec::of(name) };
    let title = app.table(name).map_or(name.to_owned(), |table| table.title().to_owned());
    let strip = match body.height {
        _ if app.fleet.is_none() => 0,
        0..=5 => 0,
        6..=14 => 1,
        _ => {
            if body.width < 160 {
                2
            } else {
                1
            }
        }
    };
    body.height -= strip;
    framed_table(app, buffer, body, &spec, name.to_owned(), (&title, &Line::new()));
    super::hosts::strip(app, buffer, Rect { y: body.bottom(), height: strip, ..body });
    body
}

/// What has been hidden, each with the key that brings it back.
fn hidden(app: &App) -> Option<String> {
    let panels = |name: &&str| ![toggle::CLOCK, toggle::NO_SPARKLINES].contains(name);
    let named = TOGGLES.iter().enumerate().filter(|(_, one)| app.toggles.contains(one.name) && panels(&one.name));
    let named = named.filter_map(|(at, one)| {
        let what = one.hides()?;
        Some(app.keymap.key(Act::Toggle(at)).map_or(what.to_owned(), |key| format!("{key}:{what}")))
    });
    let named = named.collect::<Vec<String>>().join("  ");
    (!named.is_empty()).then(|| format!("hidden, their keys bring them back:  {named}"))
}

/// The newest alert that nobody has acknowledged.
fn notice(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some((newest, more)) = app.notices.newest() else { return };
    let alert = &newest.alert;
    let begun = crate::panel::clock(newest.begun);
    let when = match newest.over {
        Some(over) => format!("{} from {begun} to {}", alert.level.name(), crate::panel::clock(over)),
        None => format!("{} since {begun}", alert.level.name()),
    };
    let key = app.keymap.key(Act::Acknowledge).map_or(String::new(), |key| format!("  {key}:ack "));
    let right = if more > 0 { format!("  +{more}{key}") } else { key };
    let room = area.width.saturating_sub(width(&right) as u16);
    // since when is not cut away by a long sentence
    let left = usize::from(room).saturating_sub(width(&when) + 5);
    let alert_words = alert.words();
    let words = format!(" {} {}  {when}", paint::glyph(alert.level), super::text::cut(&alert_words, left));
    let level = if newest.over.is_some() { app.theme.role(Role::Muted) } else { app.theme.level(alert.level) };
    put(buffer, area.x, area.y, room, &words, level);
    put(buffer, area.x + room, area.y, area.width - room, &right, app.theme.role(Role::Accent));
}

fn header(app: &App, buffer: &mut Buffer, area: Rect) {
    let theme = &app.theme;
    let mark = app.mark();
    let right = mark.as_ref().map_or(" ".to_owned(), |mark| format!(" {mark} "));
    let room = area.width.saturating_sub(width(&right) as u16);
    let mut line = vec![Item::Text(" ".into(), Role::Plain)];
    let heading = if app.fleet.is_some() { crate::panel::fleet::heading } else { crate::panel::header };
    line.extend(heading(&app.cx(), room.saturating_sub(1)));
    paint::line(buffer, Rect { width: room, ..area }, &line, theme);
    let x = area.right().saturating_sub(width(&right) as u16);
    let style = if mark.is_some() { theme.level(Level::Warning) } else { theme.role(Role::Value) };
    put(buffer, x, area.y, area.width, &right, style);
}

fn tabs(app: &mut App, buffer: &mut Buffer, area: Rect, node: Option<&Node>) {
    let views = VIEWS.iter().enumerate().map(|(i, view)| (view.title, Page::View(i)));
    let mut all: Vec<(&str, Page)> = views.chain([("Explore", Page::Explore)]).collect();
    if let Some(fleet) = app.fleet {
        let tables = [Some(fleet), app.merged()].into_iter().flatten().filter_map(|name| app.table(name));
        all =
            tables.map(|table| (table.title(), Page::Table(&table.name))).chain([("Explore", Page::Explore)]).collect();
    }
    let page = if app.fleet.is_none() && matches!(app.page, Page::Table(_)) { Page::Explore } else { app.page.clone() };
    let on = all.iter().position(|(_, one)| *one == page).unwrap_or(0);
    let widths: Vec<usize> = all.iter().map(|(title, _)| width(title) + 2).collect();
    let left_out: Vec<&str> =
        node.map_or(Vec::new(), |node| app.left_out(node).iter().map(|panel| panel.title).collect());
    let key = app.keymap.key(Act::NextPanel);
    // how many panels have no room is not left out for want of room
    let kept = if left_out.is_empty() { 0 } else { width(&counted(left_out.len(), key.as_deref())) + 2 };
    let shown = around(&widths, on, usize::from(area.width.saturating_sub(1)).saturating_sub(kept));
    let more = |count: usize| if count > 0 { format!("+{count}") } else { String::new() };
    let (before, after) = (more(shown.start), more(all.len() - shown.end));
    let muted = app.theme.role(Role::Muted);
    let mut x = area.x + 1;
    x += put(buffer, x, area.y, area.width, &before, muted);
    for (title, one) in all.into_iter().skip(shown.start).take(shown.len()) {
        let style = if one == page {
            app.theme.role(Role::Accent).add_modifier(Modifier::BOLD | Modifier::REVERSED)
        } else {
            app.theme.role(Role::Label)
        };
        let cells = put(buffer, x, area.y, area.right().saturating_sub(x), &format!(" {title} "), style);
        app.tabs.push((Rect { x, y: area.y, width: cells, height: 1 }, one));
        x += cells;
    }
    x += put(buffer, x, area.y, area.right().saturating_sub(x), &after, muted);
    let room = area.right().saturating_sub(x + 2);
    let words = told(&left_out, key.as_deref(), usize::from(room));
    let cells = width(&words) as u16;
    put(buffer, area.right().saturating_sub(cells + 1), area.y, cells, &words, app.theme.role(Role::Muted));
}

/// Which tabs have room: all, or as many as fit around the one that is on beside the counts of the others.
fn around(widths: &[usize], on: usize, room: usize) -> std::ops::Range<usize> {
    let counted = |count: usize| match count {
        0 => 0,
        1..=9 => 2,
        _ => 3,
    };
    let needed = |start: usize, end: usize| {
        let counts = counted(start) + counted(widths.len() - end);
        widths.iter().take(end).skip(start).sum::<usize>() + counts
    };
    let start = (0..on).find(|start| needed(*start, on + 1) <= room).unwrap_or(on);
    let end = (on + 1..=widths.len()).rev().find(|end| needed(start, *end) <= room).unwrap_or(on + 1);
    start..end
}

/// Panels that found no room: by name, or counted where there is no room for names either, with the key that leads to them.
fn told(names: &[&str], key: Option<&str>, room: usize) -> String {
    let shown = key.map_or(String::new(), |key| format!(" ({key})"));
    let full = format!("no room{shown}: {}", names.join(", "));
    match names.len() {
        0 => String::new(),
        _ if width(&full) <= room => full,
        count => Some(counted(count, key)).filter(|short| width(short) <= room).unwrap_or_default(),
    }
}

fn counted(panels: usize, key: Option<&str>) -> String {
    let key = key.map_or(String::new(), |key| format!("{key}:"));
    format!("{key}+{panels} {}", if panels == 1 { "panel" } else { "panels" })
}

/// The keys that work now; those that help when lost are never left out, the rest goes from the right.
fn hints(app: &App, buffer: &mut Buffer, area: Rect) {
    let hint = |(act, word): &(Act, &'static str)| Some((app.keymap.key(*act)?, *word));
    let (mut shown, mut last) = (Vec::new(), Vec::new());
    if matches!(app.overlay, Overlay::None) {
        shown.extend(wanted(app).iter().filter_map(hint));
        last.extend([(Act::Help, "help"), (Act::Quit, "quit")].iter().filter_map(hint));
    } else {
        let mut hints = app.overlay.hints(app).iter().map(|(key, word)| ((*key).to_owned(), *word));
        // the way out is told last
        last.extend(hints.next_back());
        shown.extend(hints);
        if matches!(app.overlay, Overlay::Graph { .. }) {
            let zoom = [(Act::ZoomOut, "longer"), (Act::ZoomIn, "shorter")];
            shown.extend(zoom.iter().filter_map(hint));
        }
    }
    // a colon between them and two blanks behind
    let cells = |hints: &[(String, &str)]| hints.iter().map(|(key, word)| width(key) + width(word) + 3).sum::<usize>();
    while !shown.is_empty() && cells(&shown) + cells(&last) > usize::from(area.width) + 1 {
        shown.pop();
    }
    let mut x = area.x + 1;
    for (key, word) in shown.into_iter().chain(last) {
        x += put(buffer, x, area.y, area.right().saturating_sub(x), &key, app.theme.role(Role::Accent));
        let word = format!(":{word}");
        x += put(buffer, x, area.y, area.right().saturating_sub(x), &word, app.theme.role(Role::Muted)) + 2;
    }
}

/// What may be done here, the most useful first.
fn wanted(app: &App) -> Vec<(Act, &'static str)> {
    let mut wanted = Vec::new();
    if let Some(pane) = pane::focused(app) {
        let down = if super::node::are_in(app, &pane) { "select" } else { "scroll" };
        wanted.extend([(Act::Down, down), (Act::Enter, "open")]);
        let taken = [(Act::NextPanel, "panel"), (Act::Back, "back")];
        wanted.extend(taken.into_iter().filter(|_| app.focused.is_some()));
    } else if app.fleet.is_some() && app.page != Page::Explore {
        let group = app.merged().is_some_and(crate::browse::is_group);
        wanted.push((Act::Enter, if group { "its hosts" } else { "open host" }));
        wanted.extend(app.merged().is_some().then_some((Act::Back, "fleet")));
        wanted.push((Act::Extended, "details"));
        wanted.extend((group || app.merged().is_none()).then_some((Act::Programs, "group")));
    } else if matches!(app.page, Page::Table(_)) {
        wanted.push((Act::Back, if app.home.as_ref() == Some(&app.page) { "fleet" } else { "back" }));
    } else if app.opened {
        wanted.push((Act::Back, "fleet"));
    }
    // what is done to rows is told only where there are some
    let tables = !app.spots.is_empty();
    wanted.push((Act::NextView, "views"));
    wanted.extend((app.spots.len() > 1).then_some((Act::NextPanel, "panel")));
    wanted.extend(tables.then_some((Act::Filter, "filter")));
    wanted.extend(own(app));
    wanted.push((Act::Palette, "palette"));
    wanted.push((Act::Freeze, if app.past.is_frozen() { "go on" } else { "freeze" }));
    if app.past.is_frozen() {
        wanted.extend([(Act::Earlier, "earlier"), (Act::Later, "later")]);
    }
    if tables {
        wanted.extend([(Act::Enter, "details"), (Act::SortRight, "sort")]);
    } else if app.page == Page::Explore {
        wanted.push((Act::Enter, "open"));
    }
    // only a process takes a signal, and none when actions are off
    let processes = app.spots.iter().any(|spot| crate::panel::tree(spot.table).is_some());
    let processes = processes && app.fleet.is_none();
    wanted.extend(processes.then_some((Act::Signal, "signal")));
    if app.walk.len() > 1 {
        wanted.push((Act::NextPanel, "panel"));
    }
    if tables {
        wanted.extend(app.merged().is_none().then_some((Act::Graph, "graph")));
        wanted.push((Act::Columns, "columns"));
    }
    wanted.extend(processes.then_some((Act::Tree, "tree")));
    let mut seen = Vec::new();
    wanted.retain(|(act, _)| {
        let new = !seen.contains(act);
        seen.push(*act);
        new
    });
    wanted
}

/// What may be done with the rows or the view here and with no others, the most useful first.
pub(super) fn own(app: &App) -> Vec<(Act, &'static str)> {
    let mut own = Vec::new();
    let grouped = super::group::is_grouped(app)
        || app.spots.first().is_some_and(|spot| crate::panel::groupings(spot.table).len() > 1);
    own.extend(super::group::came(app).then_some((Act::Back, "groups")));
    own.extend(super::group::leads(app).then_some((Act::Enter, "its connections")));
    let inside = app.spots.first().and_then(|spot| super::inside::leads(app, spot.table));
    own.extend(inside.map(|words| (Act::Enter, words)));
    own.extend(grouped.then_some((Act::Programs, "group")));
    let tracked = app.fleet.is_none() && app.spots.first().is_some_and(|spot| crate::panel::is_tracked(spot.table));
    if tracked {
        own.push((Act::Forget, "delete"));
        let filtered = app.spots.first().and_then(|spot| app.tables.get(&spot.key)?.filter.as_ref()).is_some();
        own.extend(filtered.then_some((Act::ForgetAll, "delete all these")));
    }
    let departs = app.fleet.is_none() && app.spots.first().is_some_and(|spot| crate::panel::departs(spot.table));
    let speaks = app.fleet.is_none() && app.spots.first().is_some_and(|spot| crate::panel::speaks(spot.table));
    own.extend((departs || speaks).then_some((Act::Acknowledge, "acknowledge")));
    own.extend(speaks.then_some((Act::Silence, "silence")));
    let here = |table: &str| {
        let grouped = super::group::is_grouped(app) && table == crate::panel::GROUPED.rows.1.name;
        grouped || app.spots.iter().any(|spot| spot.table == table)
    };
    let switches = TOGGLES.iter().enumerate().filter_map(|(at, one)| Some((Act::Toggle(at), one.of?)));
    own.extend(switches.filter(|(_, (table, _))| here(table)).map(|(act, (_, word))| (act, word)));
    let view = view_name(app);
    let sides = TOGGLES.iter().enumerate().filter_map(|(at, one)| Some((Act::Toggle(at), one.view?)));
    own.extend(sides.filter(|(_, (name, _))| view == Some(*name)).map(|(act, (_, word))| (act, word)));
    own
}

/// Name of the view that is shown.
pub(super) fn view_name(app: &App) -> Option<&'static str> {
    let Page::View(at) = app.page else { return None };
    VIEWS.get(at).map(|view| view.name)
}

fn arrange(app: &mut App, buffer: &mut Buffer, area: Rect, node: &Node) {
    match node {
        Node::Panel(name) => panel(app, buffer, area, name),
        Node::Column(parts) => {
            let mut y = area.y;
            for (size, (_, part)) in share(area.height, parts).into_iter().zip(parts) {
                arrange(app, buffer, Rect { y, height: size, ..area }, part);
                y += size;
            }
        }
        Node::Row(parts) => {
            let mut x = area.x;
            for (size, (_, part)) in share(area.width, parts).into_iter().zip(parts) {
                arrange(app, buffer, Rect { x, width: size, ..area }, part);
                x += size;
            }
        }
    }
}

/// Cells of each part: fixed sizes first, what is left by weight, the last weight takes the rest.
pub(super) fn share(room: u16, parts: &[(Size, Node)]) -> Vec<u16> {
    let fixed: u32 = parts.iter().map(|(size, _)| if let Size::Fixed(n) = size { u32::from(*n) } else { 0 }).sum();
    let weights: u32 = parts.iter().map(|(size, _)| if let Size::Weight(n) = size { u32::from(*n) } else { 0 }).sum();
    let (spare, mut left) = (u32::from(room).saturating_sub(fixed), room);
    let (mut given, mut seen) = (0, 0);
    let mut sizes = Vec::with_capacity(parts.len());
    for (size, _) in parts {
        let cells = match size {
            Size::Fixed(n) => *n,
            Size::Weight(n) => {
                seen += u32::from(*n);
                let until = (spare * seen).checked_div(weights).unwrap_or(0);
                let cells = until - given;
                given = until;
                cells as u16
            }
        };
        let cells = cells.min(left);
        left -= cells;
        sizes.push(cells);
    }
    sizes
}

fn panel(app: &mut App, buffer: &mut Buffer, area: Rect, name: &str) {
    let Some(def) = pane::find(name) else { return };
    if area.width == 0 || area.height == 0 {
        return;
    }
    let room = paint::inside(area);
    let scroll = app.scrolls.get(def.name).copied().unwrap_or(0);
    let mut block = (def.build)(&app.cx(), Space { width: room.width, height: room.height, scroll });
    let demands = (def.demands)();
    let old = stale::old(app, demands.iter().map(|demand| &*demand.table));
    let without = crate::panel::without(&app.cx(), def.name);
    let table = without.is_some() || matches!(block.body, Body::Table(_));
    if let Some((table, why)) = without {
        let spec = TableSpec::of(&table.name);
        let note = vec![Item::Text(why.into(), Role::Level(Level::Careful))];
        framed_table(app, buffer, area, &spec, def.name.to_owned(), (&block.title, &note));
    } else if let Body::Table(spec) = &block.body {
        framed_table(app, buffer, area, spec, def.name.to_owned(), (&block.title, &block.note));
    } else {
        block.stale = old.as_ref().map(|old| old.age);
        if let Some(words) = demands.iter().find_map(|demand| partly(app, &demand.table)) {
            block.note.push(Item::Text(words.into(), Role::Muted));
        }
        paint::block(buffer, area, &block, &app.theme);
        app.scrolls.insert(def.name, block.scrolled);
        super::node::draw(app, buffer, def.name, (room, block.scrolled));
        if let Some(old) = old.filter(|_| matches!(block.body, Body::Lines(_))) {
            old.mark(app, buffer, area);
        }
    }
    let page = usize::from(room.height);
    app.panes.push(Pane { name: def.name, area, page, hidden: block.hidden, table });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::Config;

    #[test]
    fn every_page_is_drawn_at_every_size_before_the_first_sample() {
        let (_, mut app) = crate::tui::testing::app(Config::default());
        let views = (0..VIEWS.len()).map(Page::View);
        for page in views.chain([Page::Explore, Page::Table("load")]) {
            app.go(page);
            for size in [(0, 0), (1, 1), (3, 7), (80, 24), (120, 40), (200, 60)] {
                app.size = size;
                app.ask();
                let buffer = draw(&mut app);
                assert_eq!((buffer.area.width, buffer.area.height), size);
            }
            let text: String = draw(&mut app).content.iter().map(ratatui::buffer::Cell::symbol).collect();
            assert!(text.contains("Explore") && text.contains("quit"));
        }
    }
}
