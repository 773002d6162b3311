//! Are connections asked for only while they are looked at, and do lines that stand for several add up?

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::app::{App, Config, Page};
use super::testing::{Fake, Made, app, command, press, screen};
use crate::collect::conntrack::ConntrackRow;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::listener::ListenerRow;
use crate::model::{Action, State, Table, Value};
use crate::panel::Services;
use crate::tui::settings::Settings;

static TABLES: &[&Table] = &[ConntrackRow::TABLE, ConntrackFlowRow::TABLE, ListenerRow::TABLE];

pub(super) fn column(name: &str) -> usize {
    ConntrackFlowRow::TABLE.position(name).unwrap()
}

/// Six connections to two ports, which carry 100, 200, ... bytes a second.
pub(super) fn flows(second: u64) -> Made {
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

fn connections(settings: Settings) -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("connections".to_owned()), ..settings };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = (100, 30);
    (host, app)
}

pub(super) fn sampled(settings: Settings) -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = connections(settings);
    host.publish(flows(1), 1);
    host.publish(flows(2), 2);
    app.samples();
    (host, app)
}

#[test]
fn connections_are_asked_for_only_while_they_are_looked_at() {
    let (host, mut app) = connections(Settings::default());
    let asked = || host.wants.lock().unwrap().iter().any(|want| want.table == ConntrackFlowRow::TABLE.name);
    screen(&mut app);
    assert!(asked());
    app.go(Page::View(0));
    screen(&mut app);
    assert!(!asked());
}

#[test]
fn lines_of_several_connections_add_up_and_the_key_goes_round() {
    let (_, mut app) = sampled(Settings::default());
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

/// A host that groups connections itself, with groups by source and one by port that somebody else wants.
pub(super) fn grouped(settings: Settings) -> (std::sync::Arc<Fake>, App) {
    static ALL: &[&Table] = &[ConntrackFlowRow::TABLE, ConntrackGroupRow::TABLE];
    let (host, app) = sampled(settings);
    *host.tables.lock().unwrap() = Some(ALL);
    let at = |name: &str| ConntrackGroupRow::TABLE.position(name).unwrap();
    let groups = [
        ("source", "198.51.100.7", 400_000),
        ("source", "198.51.100.8", 30_000),
        ("port", "443", 430_000),
        ("mark", "0", 430_000),
    ];
    let mut made = Made::new(ConntrackGroupRow::TABLE, groups.len(), "x");
    for (row, (by, value, flows)) in groups.into_iter().enumerate() {
        made = made
            .with(row, at("netns"), Value::Text("host".into()))
            .with(row, at("by"), Value::Label(by.into()))
            .with(row, at("value"), Value::Text(value.into()))
            .with(row, at("flows"), Value::U64(flows));
    }
    host.publish(made, 2);
    (host, app)
}

#[test]
fn all_connections_are_grouped_by_a_host_that_can_and_those_that_a_filter_keeps_here() {
    let (host, mut app) = grouped(Settings::default());
    app.samples();
    press(&mut app, &["j"]);
    let asked = |table: &Table| {
        let wants = host.wants.lock().unwrap();
        wants.iter().find(|want| want.table == table.name).map(|want| want.ids.clone())
    };
    let by = |word: &str| Some(vec![Value::Text(word.into())]);
    let shown = screen(&mut app);
    assert!(shown.contains("Connections by source 2") && shown.contains("enter:its connections  j:group"), "{shown}");
    let places = ["198.51.100.7", "198.51.100.8"].map(|source| shown.find(source).unwrap());
    assert!(places[0] < places[1] && shown.contains("400K") && !shown.contains("430K"), "{shown}");
    screen(&mut app);
    assert_eq!((asked(ConntrackGroupRow::TABLE), asked(ConntrackFlowRow::TABLE)), (by("source"), None));
    press(&mut app, &["down", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Connections 0 of 6, filter source == 198.51.100.7"), "{shown}");
    press(&mut app, &["E", "j", "j"]);
    screen(&mut app);
    assert_eq!(asked(ConntrackGroupRow::TABLE), by("destination"));
    let _ = command(&mut app, "filter destination_port == 443");
    let shown = screen(&mut app);
    assert!(shown.contains("Connections 1 of 6, filter destination_port == 443, by destination"), "{shown}");
    assert!(shown.contains("192.0.2.99 ×2"), "{shown}");
    screen(&mut app);
    assert_eq!((asked(ConntrackGroupRow::TABLE), asked(ConntrackFlowRow::TABLE)), (None, Some(Vec::new())));
    press(&mut app, &["E"]);
    assert!(screen(&mut app).contains("Connections by destination"), "{}", screen(&mut app));
    for _ in 2..=crate::panel::groupings(&ConntrackFlowRow::TABLE.name).len() {
        press(&mut app, &["j"]);
    }
    assert!(screen(&mut app).contains("Connections 6"), "{}", screen(&mut app));
}

#[test]
fn a_group_leads_to_its_connections() {
    let ways = crate::panel::groupings(&ConntrackFlowRow::TABLE.name);
    for (at, way) in ways.iter().enumerate() {
        let (_, mut app) = sampled(Settings::default());
        press(&mut app, &vec!["j"; at + 1]);
        let lines = screen(&mut app).matches('×').count();
        press(&mut app, &["end", "enter"]);
        let shown = screen(&mut app);
        if lines == 0 {
            continue;
        }
        let name = &ConntrackFlowRow::TABLE.columns[way.by].name;
        assert!(shown.contains(" of 6, filter ") && shown.contains(&**name), "{}: {shown}", way.name);
        assert!(!shown.contains("Connections 0") && !shown.contains('×'), "{}: {shown}", way.name);
    }
    let (_, mut app) = grouped(Settings::default());
    app.samples();
    let mark = ways.iter().position(|way| way.name == "by mark").unwrap();
    press(&mut app, &vec!["j"; mark + 1]);
    press(&mut app, &["down", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Connections 3 of 6, filter (missing(mark) or mark == 0)"), "{shown}");
    let (_, mut app) = sampled(Settings::default());
    let _ = command(&mut app, "filter destination_port == 80");
    press(&mut app, &["j", "j", "down", "enter"]);
    let shown = screen(&mut app);
    let filter = "filter (destination_port == 80) and destination == 192.0.2.99";
    assert!(shown.contains(&format!("Connections 4 of 6, {filter}")), "{shown}");
}

#[test]
fn a_group_of_another_namespace_leads_to_the_connections_of_that_one_alone() {
    let (host, mut app) = grouped(Settings::default());
    let at = |name: &str| ConntrackGroupRow::TABLE.position(name).unwrap();
    let mut made = Made::new(ConntrackGroupRow::TABLE, 2, "x");
    for (row, (netns, flows)) in [("blue", 3), ("host", 2)].into_iter().enumerate() {
        made = made
            .with(row, at("netns"), Value::Text(netns.into()))
            .with(row, at("by"), Value::Label("source".into()))
            .with(row, at("value"), Value::Text("192.0.2.0".into()))
            .with(row, at("flows"), Value::U64(flows));
    }
    host.publish(made, 3);
    host.publish(flows(3).with(0, column("netns"), Value::Text("blue".into())), 3);
    app.samples();
    press(&mut app, &["j", "down", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Connections 1 of 6, filter netns == \"blue\" and source == 192.0.2.0"), "{shown}");
}

#[test]
fn a_group_by_what_is_not_shown_shows_it() {
    let (_, mut app) = sampled(Settings::default());
    app.size = (80, 30);
    let mark = crate::panel::groupings(&ConntrackFlowRow::TABLE.name).iter().position(|way| way.name == "by mark");
    press(&mut app, &vec!["j"; mark.unwrap() + 1]);
    let shown = screen(&mut app);
    assert!(shown.contains("by mark") && shown.contains("1 ×3"), "{shown}");
    assert!(shown.lines().any(|line| line.contains("mark") && line.contains("proto")), "{shown}");
}

#[test]
fn the_selected_connection_has_both_directions_beside_it() {
    let (host, mut app) = sampled(Settings::default());
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
    let (host, mut app) = sampled(Settings::default());
    let accounting = ConntrackRow::TABLE.position("accounting").unwrap();
    let made = || Made::new(ConntrackRow::TABLE, 1, "host");
    host.publish(made().with(0, accounting, Value::Bool(true)), 2);
    app.samples();
    assert!(!screen(&mut app).contains("nf_conntrack_acct"));
    host.publish(made().with(0, accounting, Value::Bool(false)), 3);
    app.samples();
    for width in [100, 80, 60] {
        app.size.0 = width;
        let shown = screen(&mut app);
        assert!(shown.contains("nf_conntrack_acct=1") && shown.contains("connections "), "{shown}");
    }
}

/// A dashboard that may delete connections, six of them.
fn allowed() -> (std::sync::Arc<Fake>, App) {
    sampled(Settings { allow_actions: true, ..Settings::default() })
}

/// Numbers of the connections that were deleted.
fn deleted(host: &Fake) -> Vec<u32> {
    let one = |action: &Action| match action {
        Action::Forget { flows } => flows.iter().map(|flow| flow.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    host.acts.lock().unwrap().iter().flat_map(one).collect()
}

#[test]
fn a_connection_is_deleted_after_it_was_named_and_affirmed() {
    let (host, mut app) = allowed();
    assert!(screen(&mut app).contains("delete:delete"), "{}", screen(&mut app));
    press(&mut app, &["delete"]);
    assert!(screen(&mut app).contains("select a connection first"));
    press(&mut app, &["down", "delete"]);
    let shown = screen(&mut app);
    assert!(shown.contains("tcp 192.0.2.5:40005 → 192.0.2.99:80") && shown.contains("y:delete"), "{shown}");
    for keys in [&["enter"][..], &["space"], &["down"]] {
        press(&mut app, keys);
    }
    assert_eq!(deleted(&host), [0_u32; 0]);
    press(&mut app, &["esc"]);
    press(&mut app, &["delete", "n", "delete", "y"]);
    assert_eq!(deleted(&host), [1005]);
    assert!(screen(&mut app).contains("deleted tcp 192.0.2.5:40005"), "{}", screen(&mut app));
}

#[test]
fn keys_that_delete_say_what_they_take_where_nothing_may_be_deleted() {
    let read_only = Settings { read_only: true, ..Settings::default() };
    for (settings, why) in [(Settings::default(), "--allow-actions"), (read_only, "read-only")] {
        let (host, mut app) = sampled(settings);
        for key in ["delete", "Z"] {
            press(&mut app, &["down"]);
            assert!(!screen(&mut app).contains(why), "{}", screen(&mut app));
            press(&mut app, &[key]);
            assert!(screen(&mut app).contains(why), "{key}: {}", screen(&mut app));
        }
        assert_eq!(deleted(&host), [0_u32; 0]);
    }
}

#[test]
fn those_that_a_filter_keeps_are_counted_before_they_are_deleted() {
    let (host, mut app) = allowed();
    press(&mut app, &["Z"]);
    assert!(screen(&mut app).contains("filter connections first"));
    let _ = command(&mut app, "filter destination_port == 443");
    press(&mut app, &["Z"]);
    let shown = screen(&mut app);
    assert!(shown.contains("2 connections with destination_port == 443"), "{shown}");
    assert!(shown.contains("192.0.2.0:40000") && shown.contains("192.0.2.1:40001"), "{shown}");
    // one that begins meanwhile was not counted
    let late = flows(3).with(5, column("destination_port"), Value::U64(443));
    host.publish(late, 3);
    app.samples();
    press(&mut app, &["y"]);
    let mut ids = deleted(&host);
    ids.sort_unstable();
    assert_eq!(ids, [1000, 1001]);
}

#[test]
fn what_is_to_be_deleted_says_in_which_namespace_it_is() {
    let (host, mut app) = allowed();
    let blue = flows(3).with(0, column("netns"), Value::Text("blue".into()));
    host.publish(blue.with(1, column("netns"), Value::Text("host".into())), 3);
    app.samples();
    let _ = command(&mut app, "filter destination_port == 443");
    press(&mut app, &["Z"]);
    let shown = screen(&mut app);
    assert!(shown.contains("2 connections in network namespaces blue, host with"), "{shown}");
    assert!(shown.contains("192.0.2.99:443 in blue"), "{shown}");
    assert!(!shown.contains("192.0.2.99:443 in host"), "{shown}");
    press(&mut app, &["y"]);
    assert!(screen(&mut app).contains("deleted 2 connections in network namespaces"), "{}", screen(&mut app));
    *host.gone.lock().unwrap() = 1;
    press(&mut app, &["E"]);
    let _ = command(&mut app, "filter destination_port == 80");
    press(&mut app, &["Z", "y"]);
    let shown = screen(&mut app);
    assert!(shown.contains("deleted 3 of 4 connections") && shown.contains(": 1 had ended already"), "{shown}");
}

#[test]
fn connections_without_a_row_are_told_of_where_lines_add_up_and_before_any_is_deleted() {
    let (host, mut app) = allowed();
    host.fail(
        ConntrackFlowRow::TABLE,
        State::Ok,
        "partly failed: 9 connections that come later in order are left out",
        0.0,
    );
    app.samples();
    press(&mut app, &["j"]);
    let shown = screen(&mut app);
    assert!(shown.contains("by source of those shown") && shown.contains("9 connections that come"), "{shown}");
    let _ = command(&mut app, "filter destination_port == 443");
    press(&mut app, &["Z"]);
    let shown = screen(&mut app);
    assert!(shown.contains("2 connections with destination_port == 443; those without a row stay"), "{shown}");
    assert!(shown.contains("stay: 9") && shown.contains("that come later in order are left out"), "{shown}");
}

#[test]
fn a_group_of_the_host_names_no_connections_that_could_be_deleted() {
    let (host, mut app) = grouped(Settings { allow_actions: true, ..Settings::default() });
    app.samples();
    press(&mut app, &["j", "down", "delete"]);
    assert!(screen(&mut app).contains("enter shows the connections of a group"), "{}", screen(&mut app));
    press(&mut app, &["y", "Z"]);
    assert!(screen(&mut app).contains("filter connections first"), "{}", screen(&mut app));
    assert_eq!(deleted(&host), [0_u32; 0]);
}

#[test]
fn nothing_is_deleted_where_it_cannot_be_named() {
    for (size, fits) in [((100, 30), true), ((60, 8), true), ((40, 2), true), ((40, 1), true), ((20, 1), false)] {
        let (host, mut app) = allowed();
        press(&mut app, &["down", "delete"]);
        app.size = size;
        let shown = screen(&mut app);
        press(&mut app, &["y"]);
        assert_eq!(deleted(&host).len(), usize::from(fits), "{size:?}: {shown}");
    }
}

#[test]
fn without_leave_there_is_no_key_to_delete() {
    let (host, mut app) = sampled(Settings::default());
    press(&mut app, &["down", "delete", "y"]);
    let shown = screen(&mut app);
    assert!(!shown.contains("Delete") && !shown.contains("delete"), "{shown}");
    assert_eq!(deleted(&host), [0_u32; 0]);
}

/// A dashboard with a name for a port, six connections and their listener.
fn named() -> (std::sync::Arc<Fake>, App) {
    let services = Services([("tcp/443".to_owned(), "pan\x1bel".to_owned())].into());
    sampled(Settings { services, ..Settings::default() })
}

#[test]
fn ports_have_names_of_ones_own_and_filters_know_the_numbers() {
    let (_, mut app) = named();
    let shown = screen(&mut app);
    assert!(shown.matches("pan\\x1bel").count() == 2 && !shown.contains(" 443 ") && shown.contains(" 80 "), "{shown}");
    let _ = command(&mut app, "filter destination_port == 443");
    assert!(screen(&mut app).contains("Connections 2 of 6"), "{}", screen(&mut app));
    press(&mut app, &["down", "enter"]);
    assert!(screen(&mut app).contains("443 pan\\x1bel"), "details have both: {}", screen(&mut app));
    press(&mut app, &["esc", "E", "j", "j", "j"]);
    assert!(screen(&mut app).contains("pan\\x1bel ×2"), "{}", screen(&mut app));
}

#[test]
fn listening_sockets_have_the_names_of_their_ports_too() {
    let (host, mut app) = named();
    let at = |name: &str| ListenerRow::TABLE.position(name).unwrap();
    let made = Made::new(ListenerRow::TABLE, 1, "x")
        .with(0, at("netns"), Value::Text("host".into()))
        .with(0, at("protocol"), Value::Text("tcp6".into()))
        .with(0, at("port"), Value::U64(443));
    host.publish(made, 2);
    app.samples();
    app.go(super::app::page_named(app.host.as_ref(), "network").unwrap());
    assert!(screen(&mut app).contains("443 pan\\x1bel"), "{}", screen(&mut app));
}

#[test]
fn addresses_have_names_only_on_request_and_as_long_as_they_are_shown() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let (_, mut app) = sampled(Settings::default());
    app.naming.servers = vec![server.local_addr().unwrap()];
    screen(&mut app);
    screen(&mut app);
    let mut bytes = [0; 512];
    assert!(server.recv(&mut bytes).is_err(), "nobody has asked for names");
    press(&mut app, &["@"]);
    screen(&mut app);
    server.set_nonblocking(false).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    while !screen(&mut app).contains("n.192") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", screen(&mut app));
        let Ok((length, from)) = server.recv_from(&mut bytes) else { continue };
        // the question as an answer, with its own name behind one more label
        let mut answer = bytes[..length - 11].to_vec();
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
        let turned = [1, b'n', 3, b'1', b'9', b'2', 0];
        answer.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 1, 44, 0, turned.len() as u8]);
        answer.extend(turned);
        server.send_to(&answer, from).unwrap();
    }
    app.go(Page::View(0));
    screen(&mut app);
    app.go(super::app::page_named(app.host.as_ref(), "connections").unwrap());
    assert!(!screen(&mut app).contains("n.192"), "what was told is forgotten: {}", screen(&mut app));
}

#[test]
fn without_a_name_server_it_is_said_and_no_switch_is_thrown() {
    let (_, mut app) = sampled(Settings::default());
    // sockets are not opened to everybody
    app.naming.servers = vec![([255; 4], 53).into()];
    press(&mut app, &["@"]);
    screen(&mut app);
    let shown = screen(&mut app);
    assert!(shown.contains("no names of addresses: name server"), "{shown}");
    assert!(!app.toggles.contains(crate::panel::toggle::HOSTS));
}
