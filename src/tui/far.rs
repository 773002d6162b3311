//! Does the screen tell how a host far away is reached, and how old what it shows is?

use std::time::Duration;

use ratatui::style::Modifier;

use super::app::{App, Config, Page};
use super::testing::{Fake, Made, app, press, screen};
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::process::ProcessRow;
use crate::model::{Connection, Text, Timestamp};

fn text(words: &str) -> Text {
    Text::from(words)
}

fn live() -> Connection {
    Connection::Live { to: text("hv01:61208"), host: text("hv01"), version: text("9.9.9") }
}

fn lost(ago: u64, again: Option<u64>) -> Connection {
    let again = again.map(Duration::from_secs);
    Connection::Lost { to: text("hv01:61208"), ago: Duration::from_secs(ago), reason: text("it broke"), again }
}

/// A dashboard of a host far away, with three processes sampled ten seconds ago by a clock that is a day ahead.
fn far() -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = app(Config::default());
    app.size = (200, 50);
    app.clock = || Timestamp::from_seconds(1.8e9 + 10.0 - 86_400.0);
    *host.ahead.lock().unwrap() = 86_400;
    *host.reach.lock().unwrap() = live();
    for table in [LoadRow::TABLE, MemoryRow::TABLE, ProcessRow::TABLE] {
        host.publish(Made::new(table, 3, "x"), 0);
    }
    app.samples();
    (host, app)
}

fn first(app: &mut App) -> String {
    screen(app).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_header_tells_how_a_host_is_reached() {
    let (host, mut app) = far();
    let now = first(&mut app);
    assert!(now.contains("via hv01:61208 9.9.9") && now.contains("clock 1d00h ahead"), "{now}");
    *host.ahead.lock().unwrap() = 1;
    *host.reach.lock().unwrap() = Connection::Connecting { to: text("hv01:61208") };
    app.samples();
    let now = first(&mut app);
    assert!(now.contains("connecting to hv01:61208") && !now.contains("clock"), "{now}");
    *host.reach.lock().unwrap() = lost(75, Some(3));
    app.samples();
    let now = first(&mut app);
    assert!(now.contains("hv01:61208 lost 1m15s ago: it broke, again in 3s"), "{now}");
    app.size = (60, 20);
    assert!(first(&mut app).contains("hv01:61208 lost 1m15s ago"), "{}", first(&mut app));
    *host.reach.lock().unwrap() = lost(75, None);
    app.size = (200, 50);
    app.samples();
    assert!(first(&mut app).contains("it broke, trying again"));
}

#[test]
fn a_lost_connection_leaves_the_screen_dimmed_with_its_age_by_the_clock_of_the_host() {
    let (host, mut app) = far();
    assert!(!screen(&mut app).contains("lost"));
    *host.reach.lock().unwrap() = lost(8, Some(1));
    app.samples();
    let shown = screen(&mut app);
    assert!(shown.contains("x2") && shown.contains("▲ lost: it broke") && shown.contains("10s"), "{shown}");
    assert!(!shown.contains("-1d") && !shown.contains("1d0h"), "{shown}");
    for name in ["load", "memory", "processes"] {
        let area = app.panes.iter().find(|pane| pane.name == name).unwrap().area;
        let buffer = super::screen::draw(&mut app);
        let cell = buffer.cell((area.x + 2, area.y + 1)).unwrap();
        assert!(cell.modifier.contains(Modifier::DIM), "{name}");
    }
    app.go(Page::Explore);
    let buffer = super::screen::draw(&mut app);
    assert!(buffer.content.iter().any(|cell| cell.symbol() == "o" && cell.modifier.contains(Modifier::DIM)));
    app.go(Page::View(0));
    *host.reach.lock().unwrap() = live();
    app.samples();
    assert!(!screen(&mut app).contains("lost"), "it comes back by itself");
}

#[test]
fn the_past_of_a_lost_host_can_be_looked_at() {
    let (host, mut app) = far();
    *host.reach.lock().unwrap() = lost(8, Some(1));
    app.samples();
    press(&mut app, &["space"]);
    let shown = screen(&mut app);
    assert!(shown.contains("paused") && !shown.contains("▲ lost"), "{shown}");
    assert!(shown.lines().next().unwrap().contains("lost 8s ago"), "{shown}");
}

#[test]
fn a_clock_that_is_off_by_more_than_two_seconds_is_told() {
    let (host, mut app) = far();
    for (seconds, told) in [(2, None), (-2, None), (3, Some("clock 3.00s ahead")), (-600, Some(" behind"))] {
        *host.ahead.lock().unwrap() = seconds;
        app.samples();
        let shown = screen(&mut app);
        let first = shown.lines().next().unwrap();
        assert_eq!(first.contains("clock "), told.is_some(), "{first}");
        assert!(told.is_none_or(|told| first.contains(told)), "{first}");
    }
}

#[test]
fn who_may_not_act_is_told_so_before_and_nothing_is_sent() {
    let (host, mut app) = far();
    *host.refuses.lock().unwrap() = Some(text("the agent lets this client view only"));
    press(&mut app, &["down", "k"]);
    assert!(screen(&mut app).contains("nothing will be sent: the agent lets this client view only"));
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("nothing is done: the agent lets this client view only"));
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn an_action_that_takes_long_does_not_hold_the_screen_and_its_outcome_is_told_later() {
    let (host, mut app) = far();
    let (go_on, slow) = std::sync::mpsc::channel();
    *host.slow.lock().unwrap() = Some(slow);
    press(&mut app, &["down", "k", "enter"]);
    assert!(screen(&mut app).contains("waiting for the host"), "{}", screen(&mut app));
    app.samples();
    assert_eq!(app.acting.len(), 1, "it has no outcome yet");
    go_on.send(()).unwrap();
    while !app.acting.is_empty() {
        std::thread::yield_now();
        app.samples();
    }
    assert!(screen(&mut app).contains("sent TERM to"), "{}", screen(&mut app));
    assert_eq!(host.acts.lock().unwrap().len(), 1);
}

#[test]
fn a_panel_without_what_it_is_about_shows_the_table_instead() {
    let (host, mut app) = far();
    let used = MemoryRow::TABLE.position("used").unwrap();
    assert!(!screen(&mut app).contains("the agent has no memory"));
    let cached = MemoryRow::TABLE.position("cached").unwrap();
    host.lacking.lock().unwrap().push(("memory", cached));
    assert!(!screen(&mut app).contains("the agent has no memory"), "what stands beside others may be missing");
    host.lacking.lock().unwrap().push(("memory", used));
    let shown = screen(&mut app);
    assert!(shown.contains("the agent has no memory.used"), "{shown}");
    let spot = app.spots.iter().find(|spot| spot.table == "memory").unwrap();
    assert!(!spot.placed.is_empty());
    assert!(spot.placed.iter().all(|placed| placed.column != used && placed.column != cached), "they are not shown");
}

#[test]
fn a_table_that_the_agent_lacks_says_so_in_one_line() {
    static SOME: &[&crate::model::Table] = &[LoadRow::TABLE];
    let (host, mut app) = far();
    *host.tables.lock().unwrap() = Some(SOME);
    *host.snapshot.lock().unwrap() = std::sync::Arc::default();
    host.publish(Made::new(LoadRow::TABLE, 1, "x"), 1);
    app.samples();
    let shown = screen(&mut app);
    for table in ["process", "memory"] {
        assert!(shown.contains(&format!("the agent has no table `{table}`")), "{table}: {shown}");
    }
}
