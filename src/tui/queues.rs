//! Do keys go to one of several tables, and does the view of queues say of each part what it has, or why nothing?

use super::app::{App, Config, Page};
use super::testing::{Fake, Made, app, command, mouse, press, screen};
use crate::collect::conntrack_flow::expect::ConntrackExpectRow;
use crate::collect::ipset::IpsetRow;
use crate::collect::netfilter::rows::{CtTimeoutRow, NfLogRow, NfacctRow, NflogRow, NfqueueRow, SynproxyRow};
use crate::model::{State, Table, Value};
use crate::tui::settings::Settings;
use crossterm::event::{MouseButton, MouseEventKind};

static TABLES: &[&Table] = &[
    NfqueueRow::TABLE,
    NflogRow::TABLE,
    NfacctRow::TABLE,
    CtTimeoutRow::TABLE,
    SynproxyRow::TABLE,
    NfLogRow::TABLE,
    IpsetRow::TABLE,
    ConntrackExpectRow::TABLE,
];

/// A dashboard at the view of queues, of a host without any of it.
fn queues() -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("queues".to_owned()), ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = (100, 40);
    for table in TABLES {
        host.publish(Made::new(table, 0, ""), 1);
    }
    app.samples();
    (host, app)
}

/// The same with three queues and two sets.
fn sampled() -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = queues();
    for second in 1..3 {
        host.publish(Made::new(NfqueueRow::TABLE, 3, "reader"), second);
        host.publish(Made::new(IpsetRow::TABLE, 2, "set"), second);
    }
    app.samples();
    (host, app)
}

/// The first line of the frame that has the keys.
fn holder(app: &mut App) -> String {
    screen(app).lines().find(|line| line.contains('┏')).unwrap_or_default().to_owned()
}

/// Whether a row of the table of a panel is selected.
fn is_selected(app: &App, panel: &str) -> bool {
    app.tables[panel].selected.is_some()
}

#[test]
fn the_keys_go_to_the_table_of_the_panel_that_has_them() {
    let (_, mut app) = sampled();
    app.size = (100, 24);
    assert!(holder(&mut app).contains("Packet queues 3"), "{}", screen(&mut app));
    press(&mut app, &["down"]);
    assert!(is_selected(&app, "queues"));
    press(&mut app, &["."]);
    assert!(holder(&mut app).contains("IP sets 2"), "{}", screen(&mut app));
    let _ = command(&mut app, "filter set1");
    press(&mut app, &["down", ">"]);
    let shown = screen(&mut app);
    assert!(shown.contains("IP sets 1 of 2, filter set1") && shown.contains("Packet queues 3"), "{shown}");
    assert!(is_selected(&app, "ip-sets"));
    let sorted = |app: &App, key: &str| app.tables[key].sort.clone();
    let queues = sorted(&app, "queues");
    press(&mut app, &["r"]);
    assert_eq!(sorted(&app, "queues"), queues);
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("IP sets  set1"), "{}", screen(&mut app));
    press(&mut app, &["esc", "esc"]);
    assert!(holder(&mut app).contains("Packet queues 3"), "{}", screen(&mut app));
}

#[test]
fn a_click_selects_in_the_table_that_it_meets() {
    let (_, mut app) = sampled();
    let line = screen(&mut app).lines().position(|line| line.contains("set1")).unwrap() as u16;
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 10, line);
    assert!(holder(&mut app).contains("IP sets"), "{}", screen(&mut app));
    assert!(is_selected(&app, "ip-sets") && !is_selected(&app, "queues"));
}

#[test]
fn the_proxy_for_syn_packets_has_a_panel_once_it_counts() {
    let (host, mut app) = queues();
    let zeros = || {
        let columns = SynproxyRow::TABLE.columns.iter().enumerate().skip(1);
        columns.fold(Made::new(SynproxyRow::TABLE, 2, "n"), |made, (at, _)| {
            made.with(0, at, Value::U64(0)).with(1, at, Value::U64(0))
        })
    };
    host.publish(zeros(), 2);
    app.samples();
    let shown = screen(&mut app);
    assert!(shown.contains("no SYN packet is answered") && !shown.contains("SYN proxy 2"), "{shown}");
    host.publish(zeros().with(1, 1, Value::U64(1)), 3);
    app.samples();
    assert!(screen(&mut app).contains("SYN proxy 2"), "{}", screen(&mut app));
}

#[test]
fn the_selected_queue_stands_where_room_is_left_and_says_what_nobody_can_tell() {
    let (_, mut app) = sampled();
    app.size = (200, 60);
    assert!(screen(&mut app).contains("Packet queue 1002"), "most waits there: {}", screen(&mut app));
    press(&mut app, &["down"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Packet queue 10") && shown.contains("whether packets pass when it is full"), "{shown}");
    // and in its details on any screen
    app.size = (80, 24);
    assert!(!screen(&mut app).contains("whether packets pass"), "{}", screen(&mut app));
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("whether packets pass when it is full"), "{}", screen(&mut app));
}

#[test]
fn a_part_without_rows_says_why_in_one_line() {
    let (host, mut app) = queues();
    host.fail(IpsetRow::TABLE, State::Absent, "dump of sets: Invalid argument (os error 22)", 0.0);
    host.fail(NfacctRow::TABLE, State::Denied, "dump of counters: Operation not permitted", 0.0);
    app.samples();
    for size in [(80, 24), (120, 40), (200, 60)] {
        app.size = size;
        let shown = screen(&mut app);
        let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(line("Packet queues").contains("no program takes packets"), "{shown}");
        assert!(line("IP sets").contains("absent: dump of sets: Invalid argument "), "{shown}");
        assert!(line("Counters of nfacct").contains("denied: dump of counters"), "{shown}");
        assert!(line("Without rows").contains(" 8 "), "{shown}");
    }
    // what does not fit goes on below, where the hint stands
    let why = "dump of counters that takes some words: Operation not permitted (os error 1)";
    host.fail(NfacctRow::TABLE, State::Denied, why, 0.0);
    app.samples();
    app.size = (60, 24);
    let shown = screen(&mut app);
    let at = shown.lines().position(|line| line.contains("denied: dump of counters")).unwrap();
    assert!(shown.lines().nth(at + 1).unwrap().contains("not permitted"), "{shown}");
    host.publish(Made::new(IpsetRow::TABLE, 1, "set"), 2);
    app.samples();
    let shown = screen(&mut app);
    assert!(shown.contains("IP sets 1") && shown.contains("Without rows 7"), "{shown}");
}

#[test]
fn all_parts_are_asked_for_while_they_are_looked_at_and_none_after() {
    let (host, mut app) = sampled();
    let asked = |table: &str| host.wants.lock().unwrap().iter().any(|want| want.table == table);
    screen(&mut app);
    screen(&mut app);
    for table in TABLES {
        assert!(asked(&table.name), "{}", table.name);
    }
    app.go(Page::View(0));
    screen(&mut app);
    assert!(!TABLES.iter().any(|table| asked(&table.name)));
}

#[test]
fn the_keys_go_back_when_the_panel_that_had_them_is_gone() {
    let (host, mut app) = sampled();
    app.size = (100, 24);
    press(&mut app, &["."]);
    assert!(holder(&mut app).contains("IP sets"), "{}", screen(&mut app));
    host.publish(Made::new(IpsetRow::TABLE, 0, ""), 3);
    app.samples();
    press(&mut app, &["down"]);
    assert!(is_selected(&app, "queues"), "{}", screen(&mut app));
}

#[test]
fn a_queue_that_drops_stands_out_while_it_does() {
    let (host, mut app) = sampled();
    let dropped = NfqueueRow::TABLE.position("dropped").unwrap();
    let levels = |app: &mut App| screen(app).matches('▲').count();
    let before = levels(&mut app);
    for second in 3..5 {
        host.publish(Made::new(NfqueueRow::TABLE, 3, "reader").with(1, dropped, Value::U64(second * 100)), second);
    }
    app.samples();
    assert_eq!(levels(&mut app), before + 1, "{}", screen(&mut app));
}
