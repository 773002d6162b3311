//! Which alerts are there, what has happened to them, and who was told?
//!
//! What fires stands first, the worst and the newest of it above the rest; below it what somebody has said is known or silent,
//! what others make needless, what waits, and what was over a short time ago.

use std::cmp::Reverse;

use super::super::arrange::{Ranked, fitting};
use super::super::line::{self, gap, wrap};
use super::super::{Block, Body, Cx, Item, Line, PanelDef, Role, Space, TableSpec};
use super::super::{facts, gauge, header, list, number, pick};
use super::glyph;
use crate::col;
use crate::collect::alert::{AlertActionRow, AlertRow, AlertState, EventRow, Severity, What};
use crate::model::{Cell, Demand, LabelDef, Level, Timestamp, unit};
use crate::store::rate::View;

/// All alerts.
pub(in crate::panel) const LIST: PanelDef = PanelDef {
    name: "alert-list",
    title: "Alerts",
    key: None,
    demands: || vec![Demand::table(&AlertRow::TABLE.name)],
    build: alerts,
};

/// What has happened to them, the newest first.
pub(in crate::panel) const EVENTS: PanelDef = PanelDef {
    name: "alert-events",
    title: "Events",
    key: None,
    demands: || vec![Demand::table(&EventRow::TABLE.name)],
    build: events,
};

/// Who is told, and whether that works.
pub(in crate::panel) const ACTIONS: PanelDef = PanelDef {
    name: "alert-actions",
    title: "Who is told",
    key: None,
    demands: || vec![Demand::table(&AlertActionRow::TABLE.name)],
    build: actions,
};

/// The selected one, or the first of them.
pub(in crate::panel) const ALERT: PanelDef = PanelDef {
    name: "alert",
    title: "Alert",
    key: None,
    demands: || [AlertRow::TABLE, EventRow::TABLE].map(|table| Demand::table(&table.name)).to_vec(),
    build: alert,
};

/// Columns with their cells.
const COLUMNS: &[Ranked] = &[
    (col!(AlertRow, severity), 9, 0),
    (col!(AlertRow, state), 13, 1),
    (col!(AlertRow, since), 7, 0),
    (col!(AlertRow, rule), 20, 3),
    (col!(AlertRow, instance), 20, 4),
    (col!(AlertRow, value), 9, 0),
    (col!(AlertRow, peak), 9, 2),
    (col!(AlertRow, flaps), 6, 5),
    (col!(AlertRow, user), 12, 6),
    (col!(AlertRow, until), 7, 7),
    (col!(AlertRow, comment), 24, 8),
    (col!(AlertRow, text), 36, 0),
];

/// Most events that are shown.
const NEWEST: usize = 256;
/// Cells of a time, of what has happened, and of what it has happened to.
const TIME: u16 = 9;
const WHAT: u16 = 16;
const WHOSE: u16 = 28;
/// Cells from which it has a column of its own.
const ROOMY: u16 = 90;

fn alerts(cx: &Cx<'_>, space: Space) -> Block {
    let view = cx.views.get(&AlertRow::TABLE.name).filter(|view| !view.is_empty());
    let spec = TableSpec {
        columns: fitting(COLUMNS, space.width),
        sort: vec![(col!(AlertRow, since), true)],
        none: "nothing is wrong, as far as the rules tell",
        ..TableSpec::of(&AlertRow::TABLE.name)
    };
    Block {
        title: LIST.title.into(),
        note: view.map_or_else(Line::new, |view| note(&view)),
        hidden: 0,
        scrolled: 0,
        stale: pick::stale(cx, AlertRow::TABLE),
        body: Body::Table(spec),
    }
}

/// A label, and its place among those of its column; unknown ones come last.
fn place(view: &View, row: usize, column: usize, labels: &[LabelDef]) -> usize {
    let cell = view.raw().cell(row, column);
    let word = cell.text().unwrap_or_default();
    labels.iter().position(|label| label.name == word).unwrap_or(labels.len())
}

/// How bad an alert is, or was.
pub(super) fn level(view: &View, row: usize) -> Level {
    severity(view.raw().cell(row, col!(AlertRow, severity)))
}

/// The level of a severity; one that nobody knows is none.
pub(super) fn severity(cell: Cell<'_>) -> Level {
    cell.text().and_then(|word| word.parse().ok()).map_or(Level::Ok, Severity::level)
}

/// Whether an alert is in a state.
pub(super) fn is(view: &View, row: usize, state: AlertState) -> bool {
    view.raw().cell(row, col!(AlertRow, state)).text() == Some(state.name())
}

/// What fires first, and the worst of each state.
fn rank(view: &View, row: usize) -> (usize, Reverse<Level>) {
    (place(view, row, col!(AlertRow, state), AlertState::LABELS), Reverse(level(view, row)))
}

/// Puts what fires above the rest, and the worst above the others; otherwise they stay in their order.
pub(in crate::panel) fn worst_first(view: &View, rows: &mut [usize]) {
    rows.sort_by_cached_key(|row| rank(view, *row));
}

/// How many fire, by severity, and how many do not, by state.
fn note(view: &View) -> Line {
    let mut out = Line::new();
    let mut add = |count: usize, word: &str, role: Role| {
        if count > 0 {
            if !out.is_empty() {
                out.push(line::text(", ", Role::Muted));
            }
            out.push(line::text(format!("{count} {word}"), role));
        }
    };
    let firing: Vec<Level> =
        (0..view.len()).filter(|row| is(view, *row, AlertState::Firing)).map(|row| level(view, row)).collect();
    for one in Level::ALL.into_iter().rev() {
        add(firing.iter().filter(|level| **level == one).count(), one.name(), Role::Level(one));
    }
    for state in AlertState::LABELS.iter().filter(|state| state.name != AlertState::Firing.name()) {
        let has = |row: &usize| view.raw().cell(*row, col!(AlertRow, state)).text() == Some(state.name);
        add((0..view.len()).filter(has).count(), state.name, Role::Muted);
    }
    out
}

/// How cells of alerts are written of which nobody is told; what is over is not bad any more.
pub(in crate::panel) fn tone(view: &View, row: usize) -> Option<Role> {
    (!is(view, row, AlertState::Firing)).then_some(Role::Muted)
}

/// Whether the levels of a row are those of something that is over.
pub(in crate::panel) fn is_over(view: &View, row: usize) -> bool {
    view.table().name == AlertRow::TABLE.name && is(view, row, AlertState::Over)
}

/// For how long an alert lasted that is over, where since when is asked for.
pub(in crate::panel) fn lasted(view: &View, row: usize, column: usize) -> Option<String> {
    if column != col!(AlertRow, since) || view.table().name != AlertRow::TABLE.name {
        return None;
    }
    let instant = |column: usize| view.raw().cell(row, column).instant();
    Some(unit::span(instant(col!(AlertRow, since))?.age(instant(col!(AlertRow, end))?).max(0.0)))
}

fn events(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, EventRow::TABLE) {
        Ok(view) => view,
        Err(Body::Empty { level: Level::Ok, why }) if why == pick::NONE => {
            let why = "nothing has happened yet".to_owned();
            return pick::empty(EVENTS.title, Body::Empty { level: Level::Ok, why });
        }
        Err(body) => return pick::empty(EVENTS.title, body),
    };
    let whose = if space.width >= ROOMY { Whose::Beside } else { Whose::Needed };
    let lines = oldest_first(&view).into_iter().rev().take(NEWEST).map(|row| event(cx, &view, row, whose)).collect();
    let note = vec![line::text(view.len().to_string(), Role::Muted)];
    list::lines(lines, space).block(EVENTS.title, note, pick::stale(cx, EventRow::TABLE))
}

/// Events in the order in which they happened.
pub(super) fn oldest_first(events: &View) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..events.len()).collect();
    rows.sort_by_key(|row| events.raw().cell(*row, col!(EventRow, seq)).count());
    rows
}

/// Where it is told to which alert something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// In a column of its own.
    Beside,
    /// Where the sentence does not tell it.
    Needed,
    /// Nowhere: it is clear.
    Clear,
}

/// When, what, and to which alert.
fn event(cx: &Cx<'_>, view: &View, row: usize, whose: Whose) -> Line {
    let words = |column: usize| number::words(cx, view, row, column).words.into_owned();
    let time = view.raw().cell(row, col!(EventRow, time)).instant();
    let time = time.map_or_else(|| "?".to_owned(), |time| when(cx.now, time));
    let happened = words(col!(EventRow, what));
    let is = |what: What| happened == what.name();
    let is_failed = is(What::Failed);
    let level = severity(view.raw().cell(row, col!(EventRow, severity)));
    let (told, role) = match () {
        () if is(What::Fired) || is(What::Worse) || is(What::Better) => {
            (format!("{happened} {}", words(col!(EventRow, severity))), Role::Level(level))
        }
        () if is(What::Cleared) => {
            let lasted = view.raw().cell(row, col!(EventRow, duration)).number().filter(|lasted| lasted.is_finite());
            (lasted.map_or(happened, |lasted| format!("over, {}", unit::span(lasted.max(0.0)))), Role::Plain)
        }
        () if is_failed => (happened, Role::Level(Level::Warning)),
        () => (happened, Role::Accent),
    };
    let sign = if let Role::Level(level) = role { glyph(level) } else { "" };
    let mut out = vec![line::left(time, Role::Muted, TIME), line::left(sign, role, 2), line::left(told, role, WHAT)];
    let (rule, instance) = (words(col!(EventRow, rule)), words(col!(EventRow, instance)));
    let name = if instance.is_empty() { rule } else { format!("{rule} {instance}") };
    let is_said = matches!(role, Role::Plain | Role::Level(_)) && !is_failed;
    match whose {
        Whose::Beside => out.push(line::left(line::cut(&name, WHOSE - 1).into_owned(), Role::Label, WHOSE)),
        Whose::Needed if !is_said => out.push(line::text(format!("{name}: "), Role::Label)),
        _ => {}
    }
    out.push(line::text(words(col!(EventRow, text)), Role::Plain));
    out
}

/// Time of day; of what is older than half a day the date.
fn when(now: Timestamp, time: Timestamp) -> String {
    const DAY: f64 = 43_200.0;
    if time.age(now) > DAY { header::local(time, "%b %d") } else { header::clock(time) }
}

fn actions(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, AlertActionRow::TABLE) {
        Ok(view) => view,
        Err(Body::Empty { level: Level::Ok, why }) if why == pick::NONE => {
            let why = "who looks at this; an agent tells others, by [[action]] of its alerts.toml".to_owned();
            return pick::empty(ACTIONS.title, Body::Empty { level: Level::Ok, why });
        }
        Err(body) => return pick::empty(ACTIONS.title, body),
    };
    let name = |row: usize| number::words(cx, &view, row, col!(AlertActionRow, name)).words.into_owned();
    let widest = (0..view.len()).map(|row| line::cells(&name(row))).max().unwrap_or(0);
    let widest = widest.clamp(6, (space.width / 3).max(6));
    let shown = Shown::new(widest, space.width);
    let mut lines = vec![shown.heading()];
    let mut rows: Vec<usize> = (0..view.len()).collect();
    // one that does not work is seen without scrolling
    rows.sort_by_key(|row| !has_failed(&view, *row));
    lines.extend(rows.iter().flat_map(|row| action(cx, &view, *row, shown, space.width)));
    let failing = rows.iter().filter(|row| has_failed(&view, **row)).count();
    let note = match failing {
        0 => vec![line::text(view.len().to_string(), Role::Muted)],
        failing => vec![line::text(format!("{failing} of {} failing", view.len()), Role::Level(Level::Critical))],
    };
    list::lines(lines, space).block(ACTIONS.title, note, pick::stale(cx, AlertActionRow::TABLE))
}

fn has_failed(view: &View, row: usize) -> bool {
    !view.raw().cell(row, col!(AlertActionRow, error)).is_missing()
}

/// What numbers of an action are called, and their columns.
const COUNTS: [(&str, usize); 4] = [
    ("waiting", col!(AlertActionRow, waiting)),
    ("sent", col!(AlertActionRow, sent)),
    ("failed", col!(AlertActionRow, failed)),
    ("dropped", col!(AlertActionRow, dropped)),
];

/// What there is room for.
#[derive(Clone, Copy)]
struct Shown {
    /// Cells of the name, and of what it does.
    name: u16,
    kind: u16,
    /// How many of the numbers.
    counts: usize,
}

impl Shown {
    fn new(name: u16, width: u16) -> Self {
        let fits = |kind: u16, counts: usize| name + kind + (NUMBER + 1) * (counts as u16 + 1) <= width;
        let all = COUNTS.len();
        let kind = if fits(KIND + 1, all) { KIND } else { 0 };
        Self { name, kind, counts: (1..=all).rev().find(|counts| fits(kind, *counts)).unwrap_or(1) }
    }

    fn heading(self) -> Line {
        let mut out = vec![line::left("action", Role::Label, self.name)];
        if self.kind > 0 {
            out.extend([gap(), line::left("kind", Role::Label, self.kind)]);
        }
        for (title, _) in COUNTS.iter().take(self.counts).chain(&[("last", 0)]) {
            out.extend([gap(), line::right(*title, Role::Label, NUMBER)]);
        }
        out
    }
}

/// Cells of what an action does, and of a number of it.
const KIND: u16 = 12;
const NUMBER: u16 = 7;

/// How one fares, and below it why its last attempt failed and when it is tried again.
fn action(cx: &Cx<'_>, view: &View, row: usize, shown: Shown, width: u16) -> Vec<Line> {
    let words = |column: usize| number::words(cx, view, row, column).words.into_owned();
    let failed = has_failed(view, row);
    let role = if failed { Role::Level(Level::Critical) } else { Role::Plain };
    let own = words(col!(AlertActionRow, name));
    let mut out = vec![line::left(line::cut(&own, shown.name).into_owned(), role, shown.name)];
    if shown.kind > 0 {
        out.extend([gap(), line::left(words(col!(AlertActionRow, kind)), Role::Label, shown.kind)]);
    }
    for (_, column) in COUNTS.into_iter().take(shown.counts) {
        let number = view.raw().cell(row, column).count().map_or_else(|| "–".to_owned(), |count| count.to_string());
        let role = if number == "0" { Role::Muted } else { Role::Value };
        out.extend([gap(), line::right(number, role, NUMBER)]);
    }
    let last = col!(AlertActionRow, last);
    let last = if view.raw().cell(row, last).is_missing() { "never".to_owned() } else { words(last) };
    out.extend([gap(), line::right(last, Role::Value, NUMBER)]);
    let mut lines = vec![out];
    if failed {
        let again = match view.raw().cell(row, col!(AlertActionRow, again)).instant() {
            Some(again) if again > cx.now => format!("; again in {}", unit::span(-again.age(cx.now))),
            Some(_) => "; again now".to_owned(),
            None => String::new(),
        };
        let why = format!("{}{again}", words(col!(AlertActionRow, error)));
        let why = wrap(&why, width.saturating_sub(2)).into_iter();
        lines.extend(
            why.map(|words| vec![line::text("  ", Role::Plain), line::left(words, role, width.saturating_sub(2))]),
        );
    }
    lines
}

/// What there is to say of one alert.
const FACTS: &[facts::Fact] = &[
    ("severity", col!(AlertRow, severity)),
    ("state", col!(AlertRow, state)),
    ("since", col!(AlertRow, since)),
    ("told", col!(AlertRow, fired)),
    ("over", col!(AlertRow, end)),
    ("value", col!(AlertRow, value)),
    ("worst", col!(AlertRow, peak)),
    ("rule", col!(AlertRow, rule)),
    ("about", col!(AlertRow, instance)),
    ("came back", col!(AlertRow, flaps)),
    ("table", col!(AlertRow, table)),
    ("by", col!(AlertRow, user)),
    ("until", col!(AlertRow, until)),
    ("comment", col!(AlertRow, comment)),
    ("at the top", col!(AlertRow, top)),
];

fn alert(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, AlertRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(ALERT.title, body),
    };
    let selected = cx.picked.get(&*AlertRow::TABLE.name).and_then(|key| view.find(key));
    let Some(row) = selected.or_else(|| (0..view.len()).min_by_key(|row| rank(&view, *row))) else {
        return pick::empty(ALERT.title, Body::Empty { level: Level::Ok, why: pick::NONE.to_owned() });
    };
    let mut lines = sentence(cx, &view, row, space.width);
    lines.extend(facts::lines(cx, &view, row, FACTS, space.width).into_iter().flat_map(|one| broken(one, space.width)));
    if let Some(events) = cx.views.get(&EventRow::TABLE.name) {
        let own = of(&view, row, &events);
        lines.extend((!own.is_empty()).then(Line::new));
        lines.extend(own.into_iter().rev().map(|one| event(cx, &events, one, Whose::Clear)));
    }
    list::lines(lines, space).block(ALERT.title, Line::new(), pick::stale(cx, AlertRow::TABLE))
}

/// A fact that is longer than a line, over several.
fn broken(fact: Line, width: u16) -> Vec<Line> {
    let [Item::Cell { .. }, Item::Text(words, role)] = fact.as_slice() else { return vec![fact] };
    let (words, role) = (wrap(words, width.saturating_sub(facts::NAME)), *role);
    let mut head = fact.into_iter().next();
    words
        .into_iter()
        .map(|words| {
            let before = head.take().unwrap_or_else(|| line::left("", Role::Label, facts::NAME));
            vec![before, line::text(words, role)]
        })
        .collect()
}

/// What it is about, in lines of a width.
pub(in crate::panel) fn sentence(cx: &Cx<'_>, view: &View, row: usize, width: u16) -> Vec<Line> {
    let words = number::words(cx, view, row, col!(AlertRow, text)).words;
    let level = level(view, row);
    let role = if is(view, row, AlertState::Firing) { Role::Level(level) } else { Role::Title };
    let lines = wrap(&words, width).into_iter().enumerate();
    lines
        .map(|(at, words)| {
            let cells = line::cells(&words);
            let words = line::left(words, role, cells);
            // the glyph stands before what a line begins with
            if at == 0 { vec![words] } else { vec![line::text("", Role::Plain), words] }
        })
        .collect()
}

/// What an alert and an event have in common.
const SAME: [(usize, usize); 2] =
    [(col!(AlertRow, rule), col!(EventRow, rule)), (col!(AlertRow, instance), col!(EventRow, instance))];

/// Events of an alert, in the order in which they happened.
pub(in crate::panel) fn of(view: &View, row: usize, events: &View) -> Vec<usize> {
    let same =
        |one: &usize| SAME.iter().all(|(here, there)| view.raw().cell(row, *here) == events.raw().cell(*one, *there));
    oldest_first(events).into_iter().filter(same).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Fake;
    use super::*;

    const ROOM: Space = Space { width: 100, height: 20, scroll: 0 };

    fn words(block: &Block) -> Vec<String> {
        match &block.body {
            Body::Lines(lines) => lines.iter().map(|line| line::words(line).trim_end().to_owned()).collect(),
            Body::Empty { why, .. } => vec![why.clone()],
            Body::Table(_) => Vec::new(),
        }
    }

    fn fake() -> Fake {
        let mut fake = Fake::empty();
        let alert = |rule: &str, severity: &str, state: &str, more: &str| {
            format!(
                "rule={rule} instance= severity={severity} state={state} since=1700000000 table=x text={rule} {more}"
            )
        };
        fake.put(
            AlertRow::TABLE,
            &[
                alert("over", "critical", "over", "end=1700000100"),
                alert("known", "critical", "acknowledged", ""),
                alert("mild", "careful", "firing", ""),
                alert("bad", "critical", "firing", ""),
                alert("strange", "critical", "frozen", ""),
                alert("soon", "warning", "pending", ""),
            ],
        );
        fake
    }

    #[test]
    fn what_fires_stands_first_and_what_is_over_last_but_what_nobody_knows() {
        let fake = fake();
        let cx = fake.cx();
        let view = cx.views.get("alert").unwrap();
        let mut rows: Vec<usize> = (0..view.len()).collect();
        worst_first(&view, &mut rows);
        let names: Vec<String> =
            rows.iter().map(|row| view.raw().cell(*row, col!(AlertRow, rule)).text().unwrap().to_owned()).collect();
        assert_eq!(names, ["bad", "mild", "known", "soon", "over", "strange"]);
        assert_eq!(line::words(&note(&view)), "1 critical, 1 careful, 1 acknowledged, 1 pending, 1 over");
        let (over, bad) = (*rows.get(4).unwrap(), *rows.first().unwrap());
        assert_eq!(lasted(&view, over, col!(AlertRow, since)).as_deref(), Some("1m40s"));
        assert_eq!(lasted(&view, bad, col!(AlertRow, since)), None);
        assert!(is_over(&view, over) && !is_over(&view, bad));
    }

    #[test]
    fn the_selected_alert_is_told_of_or_the_worst_with_its_own_events() {
        let mut fake = fake();
        let event = |seq: u32, what: &str, rule: &str| {
            format!("seq={seq} time=1700000000 what={what} severity=critical rule={rule} instance= text={what}~{rule}")
        };
        fake.put(EventRow::TABLE, &[event(1, "fired", "bad"), event(2, "fired", "mild"), event(3, "silenced", "bad")]);
        let told = words(&alert(&fake.cx(), ROOM));
        assert_eq!(told.first().map(String::as_str), Some("bad"));
        let past: Vec<&String> =
            told.iter().filter(|line| line.contains("fired") || line.contains("silenced")).collect();
        assert!(past.len() == 2 && past[0].contains("silenced bad") && past[1].contains("fired bad"), "{told:?}");
        let view = fake.cx().views.get("alert").unwrap();
        fake.picked.insert("alert", crate::model::Key::of(view.raw(), 2));
        assert_eq!(words(&alert(&fake.cx(), ROOM)).first().map(String::as_str), Some("mild"));
    }

    #[test]
    fn who_is_not_told_is_seen_first_with_why_and_when_that_is_tried_again() {
        let mut fake = Fake::empty();
        assert_eq!(words(&actions(&fake.cx(), ROOM)), ["waiting for the first sample"]);
        fake.put(AlertActionRow::TABLE, &[]);
        assert!(words(&actions(&fake.cx(), ROOM))[0].contains("[[action]]"));
        fake.put(
            AlertActionRow::TABLE,
            &[
                "name=page kind=command waiting=0 sent=1 failed=0 dropped=0".to_owned(),
                "name=chat kind=webhook waiting=3 sent=0 failed=2 dropped=0 error=refused again=1".to_owned(),
            ],
        );
        let block = actions(&fake.cx(), ROOM);
        assert_eq!(line::words(&block.note), "1 of 2 failing");
        let told = words(&block);
        assert!(told[1].starts_with("chat ") && told[2].contains("refused; again now"), "{told:?}");
        for width in 0..100 {
            let block = actions(&fake.cx(), Space { width, ..ROOM });
            let Body::Lines(lines) = block.body else { panic!() };
            assert!(lines.iter().all(|one| line::width(one) <= width), "{width}");
        }
    }
}
