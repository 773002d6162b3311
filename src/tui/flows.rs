//! Are connections asked for only while they are looked at, and do lines that stand for several add up?

use super::app::{App, Config, Page};
use super::testing::{Fake, Made, app, press, screen};
use crate::collect::conntrack::ConntrackRow;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::listener::ListenerRow;
use crate::model::{Table, Value};
use crate::tui::settings::Settings;

static TABLES: &[&Table] = &[ConntrackRow::TABLE, ConntrackFlowRow::TABLE, ListenerRow::TABLE];

fn column(name: &str) -> usize {
    ConntrackFlowRow::TABLE.position(name).unwrap()
}

/// Six connections to two ports, which carry 100, 200, ... bytes a second.
fn flows(second: u64) -> Made {
    let mut made = Made::new(ConntrackFlowRow::TABLE, 6, "x");
    for row in 0..6 {
        let address = |last: u8| Value::Ip(std::net::IpAddr::from([192, 0, 2, last]));
        made = made
            .with(row, column("netns"), Value::Text("host".into()))
            .with(row, column("mark"), Value::U64(row as u64 % 2))
            .with(row, column("source"), address(row as u8))
            .with(row, column("destination"), address(99))
            .with(row, column("source_port"), Value::U64(40_000 + row as u64))
            .with(row, column("destination_port"), Value::U64(if row < 2 { 443 } else { 80 }))
            .with(row, column("protocol"), Value::Text("tcp".into()))
            .with(row, column("bytes"), Value::U64(second * 100 * (row as u64 + 1)));
    }
    made
}

fn connections() -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("connections".to_owned()), ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = (100, 30);
    (host, app)
}

fn sampled() -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = connections();
    host.publish(flows(1), 1);
    host.publish(flows(2), 2);
    app.samples();
    (host, app)
}

#[test]
fn connections_are_asked_for_only_while_they_are_looked_at() {
    let (host, mut app) = connections();
    let asked = || host.wants.lock().unwrap().iter().any(|want| want.table == ConntrackFlowRow::TABLE.name);
    screen(&mut app);
    assert!(asked());
    app.go(Page::View(0));
    screen(&mut app);
    assert!(!asked());
}

#[test]
fn lines_of_several_connections_add_up_and_the_key_goes_round() {
    let (_, mut app) = sampled();
    let before = screen(&mut app);
    assert!(before.contains("Connections 6"), "{before}");
    press(&mut app, &["j", "j", "j"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Connections 2, by port"), "{shown}");
    for (port, rate) in [("443 ×2", " 300 "), ("80 ×4", "1.80K")] {
        let line = shown.lines().find(|line| line.contains(port)).unwrap();
        assert!(line.contains(rate) && line.contains("192.0.2.99"), "{shown}");
        assert!(!line.contains("192.0.2.0"), "they have several sources: {shown}");
    }
    let ways = crate::panel::groupings(&ConntrackFlowRow::TABLE.name).len();
    for _ in 3..=ways {
        press(&mut app, &["j"]);
    }
    assert!(screen(&mut app).contains("Connections 6"), "{}", screen(&mut app));
}

#[test]
fn a_group_by_what_is_not_shown_shows_it() {
    let (_, mut app) = sampled();
    app.size = (80, 30);
    let mark = crate::panel::groupings(&ConntrackFlowRow::TABLE.name).iter().position(|way| way.name == "by mark");
    press(&mut app, &vec!["j"; mark.unwrap() + 1]);
    let shown = screen(&mut app);
    assert!(shown.contains("by mark") && shown.contains("1 ×3"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("mark") && line.contains("proto")), "{shown}");
}

#[test]
fn the_selected_connection_has_both_directions_beside_it() {
    let (host, mut app) = sampled();
    app.size = (200, 40);
    let with = |name: &str, value: Value| host.publish(flows(3).with(5, column(name), value), 3);
    with("reply_source", Value::Ip([198, 51, 100, 7].into()));
    app.samples();
    assert!(screen(&mut app).contains("select a connection"));
    press(&mut app, &["down"]);
    let shown = screen(&mut app);
    assert!(shown.contains("asks  192.0.2.5:40005 → 192.0.2.99:80"), "{shown}");
    assert!(shown.contains("gets  198.51.100.7:"), "{shown}");
}

#[test]
fn without_accounting_the_view_says_how_to_have_it() {
    let (host, mut app) = sampled();
    let accounting = ConntrackRow::TABLE.position("accounting").unwrap();
    let made = || Made::new(ConntrackRow::TABLE, 1, "host");
    host.publish(made().with(0, accounting, Value::Bool(true)), 2);
    app.samples();
    assert!(!screen(&mut app).contains("nf_conntrack_acct"));
    host.publish(made().with(0, accounting, Value::Bool(false)), 3);
    app.samples();
    assert!(screen(&mut app).contains("nf_conntrack_acct=1"), "{}", screen(&mut app));
}
