//! What do the views of a router look like, with bridges of Open vSwitch and what its daemons tell of their neighbors?

use std::sync::Arc;

use crossterm::event::{MouseButton, MouseEventKind};

use super::super::app::{App, Config, Page};
use super::super::overlay::Overlay;
use super::super::testing;
use super::{Ability, NOW, SIZES, Seen, TRUE, compare, defaults, frame, made, past, state};
use crate::collect::schedule;
use crate::model::{Action, ActionError, Demand, Done, HistoryAsk, Host, Rows, Series, Snapshot, Table, TableState};
use crate::panel::{Leads, VIEWS};
use crate::store::level::Thresholds;
use crate::store::rate::{Mode, View};

const ROUTER: &str = include_str!("../../../tests/fixtures/frames/router.txt");

/// A host with the tables of which there are rows in a text.
struct Router(Arc<Snapshot>);

impl Router {
    fn new(text: &str) -> Self {
        let table = |table: &'static Table| -> Option<(&'static str, TableState)> {
            let both = [made(text, table, false)?, made(text, table, true)?];
            Some((&*table.name, state(table, Ok(both.map(|rows| -> Arc<dyn Rows> { Arc::new(rows) })))))
        };
        let tables = schedule::tables().iter().copied().filter_map(table).collect();
        Self(Arc::new(Snapshot { tables, generation: 2 }))
    }
}

impl Host for Router {
    fn schema(&self) -> &'static [&'static Table] {
        schedule::tables()
    }
    fn demand(&self, _: u64, _: Vec<Demand>) {}
    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0)
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        let state = self.0.get(&ask.table)?;
        let view = View::new(state.now.as_ref()?, state.before.as_ref(), Mode::Rate);
        let value = view.cell(view.find(&ask.key)?, view.table().position(&ask.column)?).number()?;
        Some(past(value).answer(ask))
    }
    fn act(&self, _: &Action) -> Result<Done, ActionError> {
        Err(ActionError::Off)
    }
}

fn dashboard(text: &str, view: &str, ability: Ability) -> App {
    let levels = Thresholds::new(&defaults(), schedule::tables().iter().copied()).unwrap();
    let config = Config { levels: Arc::new(levels), ..Config::default() };
    let mut app = App::new(Arc::new(Router::new(text)), config, ability).unwrap();
    app.clock = || NOW;
    app.samples();
    app.go(Page::View(VIEWS.iter().position(|one| one.name == view).unwrap()));
    app
}

/// Its map, that of its area, its neighbors, and what those of other protocols than OSPF are where nobody speaks that.
pub(super) fn router(seen: &mut Seen) {
    let without = ROUTER.lines().filter(|line| !line.starts_with("ospf_")).collect::<Vec<_>>().join("\n");
    let all = [
        ("router-map", ROUTER, "topology", &[][..]),
        ("router-area", ROUTER, "topology", &["*"]),
        ("router-neighbors", ROUTER, "routing", &["down"]),
        ("router-peers", &without, "routing", &[]),
        // the first panel that has no room on a small screen
        ("router-below", ROUTER, "routing", &[".", ".", ".", ".", "."]),
    ];
    for (name, text, view, keys) in all {
        let mut app = dashboard(text, view, TRUE);
        for size in SIZES {
            frame(&mut app, size);
            if size == SIZES[0] {
                testing::press(&mut app, keys);
            }
            compare(seen, &format!("{name}-{}x{}", size.0, size.1), &frame(&mut app, size));
        }
    }
}

#[test]
fn arrows_select_nodes_of_a_map_that_is_alone_and_it_scrolls_along() {
    let mut app = dashboard(ROUTER, "topology", TRUE);
    app.size = (80, 12);
    let before = testing::screen(&mut app);
    assert!(before.lines().last().unwrap().contains(":select"), "{before}");
    let shown = |app: &App| {
        let mark = app.marks["topology"].iter().find(|mark| Some(&mark.id) == app.chosen.get("topology")).unwrap();
        let (top, page) = (app.scrolls["topology"], app.panes[0].page);
        assert!((top..top + page).contains(&mark.line), "{mark:?} {top} {page}");
        mark.line
    };
    testing::press(&mut app, &["down"]);
    assert_eq!((shown(&app), app.focused), (0, None), "the first one");
    testing::press(&mut app, &["end"]);
    let after = testing::screen(&mut app);
    assert!(after != before && shown(&app) > 12, "{after}");
    testing::press(&mut app, &["home", "esc"]);
    assert_eq!(testing::screen(&mut app), before);
}

#[test]
fn all_nodes_of_a_map_are_reached_by_arrows() {
    for (keys, panel) in [(&[][..], "topology"), (&["*"], "area-map")] {
        for size in [(80, 24), (120, 40), (200, 60), (50, 20)] {
            let mut app = dashboard(ROUTER, "topology", TRUE);
            app.size = size;
            testing::screen(&mut app);
            testing::press(&mut app, keys);
            testing::screen(&mut app);
            testing::press(&mut app, &["down"]);
            let mut seen = std::collections::BTreeSet::from([app.chosen[panel]]);
            let mut waiting: Vec<u64> = seen.iter().copied().collect();
            while let Some(from) = waiting.pop() {
                for key in ["up", "down", "left", "right"] {
                    app.chosen.insert(panel, from);
                    testing::press(&mut app, &[key]);
                    if seen.insert(app.chosen[panel]) {
                        waiting.push(app.chosen[panel]);
                    }
                }
            }
            let lost: Vec<_> = app.marks[panel].iter().filter(|mark| !seen.contains(&mark.id)).collect();
            assert!(lost.is_empty(), "{panel} {size:?} {lost:?}");
        }
    }
}

#[test]
fn enter_opens_what_a_node_stands_for_and_so_does_a_second_click() {
    let mut app = dashboard(ROUTER, "topology", TRUE);
    app.size = (120, 40);
    testing::screen(&mut app);
    let at =
        app.marks["topology"].iter().find(|mark| matches!(mark.leads, Some(Leads::Row("ospf_neighbor", _)))).cloned();
    let at = at.unwrap();
    app.chosen.insert("topology", at.id);
    testing::press(&mut app, &["enter"]);
    let shown = testing::screen(&mut app);
    assert!(matches!(app.overlay, Overlay::Detail { table: "ospf_neighbor", .. }) && shown.contains("dead"), "{shown}");
    testing::press(&mut app, &["esc", "esc"]);
    assert!(matches!(app.overlay, Overlay::None) && app.chosen.is_empty());
    let inner = super::super::paint::inside(app.panes[0].area);
    let (x, y) = (inner.x + at.at, inner.y + at.line as u16);
    for wanted in [false, true] {
        testing::mouse(&mut app, MouseEventKind::Down(MouseButton::Left), x, y);
        assert_eq!(app.chosen.get("topology"), Some(&at.id));
        assert_eq!(matches!(app.overlay, Overlay::Detail { .. }), wanted);
    }
    let mut app = dashboard(ROUTER, "topology", TRUE);
    app.size = (120, 40);
    testing::screen(&mut app);
    testing::press(&mut app, &["*"]);
    testing::screen(&mut app);
    testing::press(&mut app, &["down", "enter"]);
    let shown = testing::screen(&mut app);
    assert!(app.page == Page::Table("ospf_link") && shown.contains("from =="), "{shown}");
}

#[test]
fn the_focus_goes_through_all_panels_of_a_view_whatever_room_there_is() {
    for (view, size) in [("routing", (80, 24)), ("routing", (110, 20)), ("routing", (60, 12)), ("overview", (80, 24))] {
        let mut app = dashboard(ROUTER, view, TRUE);
        let drawn = |app: &mut App| {
            testing::screen(app);
            app.panes.iter().map(|pane| pane.name).collect::<Vec<_>>()
        };
        app.size = size;
        let at_first = drawn(&mut app);
        let node = app.layout(size.0, size.1 - 3).unwrap();
        let without_room: Vec<&str> = app.left_out(&node).iter().map(|panel| panel.name).collect();
        assert!(!without_room.is_empty(), "{view} {size:?}");
        let mut seen = Vec::new();
        for _ in 0..at_first.len() + without_room.len() {
            testing::press(&mut app, &["."]);
            let panes = drawn(&mut app);
            let focused = app.focused.unwrap();
            assert!(panes.contains(&focused), "{focused}: {panes:?}");
            seen.push(focused);
        }
        let mut wanted: Vec<&str> = at_first.iter().copied().chain(without_room).collect();
        wanted.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, wanted, "{view} {size:?}");
        testing::press(&mut app, &["esc"]);
        assert_eq!(drawn(&mut app), at_first);
    }
}

#[test]
fn help_begins_with_what_is_on_a_map_where_one_is_shown() {
    for keys in [&["?"][..], &["*", "?"]] {
        let mut app = dashboard(ROUTER, "topology", TRUE);
        app.size = (80, 24);
        testing::screen(&mut app);
        testing::press(&mut app, keys);
        let shown = testing::screen(&mut app);
        assert!(["ASBR", "one way", "▸"].iter().all(|words| shown.contains(words)), "{shown}");
    }
}

#[test]
fn what_neighbors_lack_is_told_in_the_words_of_the_reason_unless_it_is_an_error_of_the_kernel() {
    let title = |reason: &str| {
        let mut router = Router::new(ROUTER);
        let status = &mut Arc::get_mut(&mut router.0).unwrap().tables.get_mut("ospf_neighbor").unwrap().status;
        (status.reason, status.hint) = (reason.into(), "do this or that".into());
        let mut app = App::new(Arc::new(router), Config::default(), TRUE).unwrap();
        app.clock = || NOW;
        app.samples();
        app.go(Page::View(VIEWS.iter().position(|one| one.name == "routing").unwrap()));
        app.size = (200, 60);
        testing::screen(&mut app)
    };
    let said = title("partly failed: trust /run/frr/x/ospfd.vty: it belongs to somebody");
    assert!(said.contains("partly failed: trust /run/frr/x/ospfd.vty: it belongs to somebody"), "{said}");
    assert!(!said.contains("do this or that"), "{said}");
    let said = title("partly denied: open /run/frr: Permission denied (os error 13)");
    assert!(said.contains("partly denied: do this or that") && !said.contains("os error"), "{said}");
}
