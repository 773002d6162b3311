//! Do neighbors stand under their areas and interfaces, those who are missing above all, and do their dead timers run?

use super::app::{App, Config};
use super::testing::{Fake, Made, app, press, screen};
use crate::collect::routing::{AdjacencyChangeRow, BgpPeerRow, OspfInterfaceRow, OspfNeighborRow};
use crate::model::{Column, Table, Text, Timestamp, Value};
use crate::tui::settings::Settings;

static TABLES: &[&Table] =
    &[OspfNeighborRow::TABLE, OspfInterfaceRow::TABLE, AdjacencyChangeRow::TABLE, BgpPeerRow::TABLE];

/// Seconds at which the samples of these tests are taken.
const NOW: u64 = 1000;

fn made(table: &'static Table, rows: &[Vec<(&str, Value)>]) -> Made {
    let cell = |row: &[(&str, Value)], name: &str| {
        row.iter().find(|(given, _)| *given == name).map_or(Value::Missing, |(_, value)| value.clone())
    };
    let cells = rows.iter().map(|row| table.columns.iter().map(|column| cell(row, &column.name)).collect()).collect();
    Made { table, cells }
}

fn text(words: &str) -> Value {
    Value::Text(Text::from(words))
}

fn at(second: u64) -> Value {
    Value::Timestamp(Timestamp::from_seconds(second as f64))
}

/// Who is there in which state.
fn neighbor<'a>(last: u8, state: &str, area: &str, interface: &str) -> Vec<(&'a str, Value)> {
    vec![
        ("netns", text("host")),
        ("source", Value::Label("frr".into())),
        ("instance", text("ospfd")),
        ("version", Value::U64(2)),
        ("interface", text(interface)),
        ("router_id", Value::Ip([192, 0, 2, last].into())),
        ("area", text(area)),
        ("state", Value::Label(state.into())),
        ("since", at(NOW - 60)),
        ("expires", if state == "Deleted" { Value::Missing } else { at(NOW + 36) }),
        ("changes", Value::U64(4)),
        ("flaps", Value::U64(2)),
        ("reason", text(&format!("reason{last}"))),
    ]
}

fn interface<'a>(name: &str, area: &str) -> Vec<(&'a str, Value)> {
    vec![
        ("netns", text("host")),
        ("source", Value::Label("frr".into())),
        ("instance", text("ospfd")),
        ("version", Value::U64(2)),
        ("interface", text(name)),
        ("area", text(area)),
        ("network", Value::Label("broadcast".into())),
        ("cost", Value::U64(77)),
        ("dead", Value::Duration(40.0)),
    ]
}

/// The view of routing of a host that tells nothing of OSPF.
fn empty() -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("routing".to_owned()), ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = (120, 40);
    app.clock = || Timestamp::from_seconds(NOW as f64);
    (host, app)
}

/// One with a neighbor that is gone, one that is stuck and three that are there.
fn routing() -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = empty();
    let neighbors = [
        neighbor(4, "Full", "0.0.0.1", "eth10"),
        neighbor(3, "Full", "0.0.0.1", "eth9"),
        neighbor(2, "ExStart", "0.0.0.1", "eth9"),
        neighbor(1, "Deleted", "0.0.0.0", "eth0"),
        neighbor(5, "2-Way", "0.0.0.0", "eth0"),
    ];
    let interfaces = [("eth0", "0.0.0.0"), ("eth9", "0.0.0.1"), ("eth10", "0.0.0.1")];
    for second in NOW - 1..=NOW {
        host.publish(made(OspfNeighborRow::TABLE, &neighbors), second);
        host.publish(made(OspfInterfaceRow::TABLE, &interfaces.map(|(name, area)| interface(name, area))), second);
    }
    app.samples();
    (host, app)
}

/// The words in the order in which they are on the screen; those that are not there are left out.
fn order<'a>(app: &mut App, words: &[&'a str]) -> Vec<&'a str> {
    let shown = screen(app);
    let mut found: Vec<_> = words.iter().filter_map(|word| Some((shown.find(word)?, *word))).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, word)| word).collect()
}

const ALL: [&str; 11] = [
    "▾ missing",
    "▾ area 0.0.0.0",
    "▾ area 0.0.0.1",
    "▾ eth0",
    "▾ eth9",
    "▾ eth10",
    "192.0.2.1 ",
    "192.0.2.2 ",
    "192.0.2.3 ",
    "192.0.2.4 ",
    "192.0.2.5 ",
];

#[test]
fn who_is_missing_stands_above_all_and_the_others_under_area_and_interface() {
    let (_, mut app) = routing();
    let [missing, backbone, area, eth0, eth9, eth10, one, two, three, four, five] = ALL;
    let expected = [missing, one, two, backbone, eth0, five, area, eth9, three, eth10, four];
    let shown = screen(&mut app);
    assert_eq!(order(&mut app, &ALL), expected, "{shown}");
    assert!(shown.contains("2 full, 1 missing✖, 1 not there yet▲"), "{shown}");
    assert!(shown.contains("▾ eth9  broadcast  cost 77"), "{shown}");
    assert!(shown.contains("area 0.0.0.1  2 of 2 full"), "{shown}");
}

#[test]
fn neighbors_of_this_host_stand_above_those_of_other_namespaces_and_those_of_other_routers_last() {
    let (host, mut app) = empty();
    let of = |last: u8, state: &str, netns: Value, source: &str| {
        let mut row = neighbor(last, state, "0.0.0.0", "eth0");
        row.insert(0, ("netns", netns));
        row.insert(0, ("source", Value::Label(source.into())));
        row
    };
    let rows = [
        of(1, "Full", Value::Missing, "snmp"),
        of(2, "Full", text("blue"), "frr"),
        of(3, "Full", text("host"), "frr"),
        of(4, "Deleted", Value::Missing, "snmp"),
        of(5, "Deleted", text("host"), "frr"),
    ];
    host.publish(made(OspfNeighborRow::TABLE, &rows), NOW);
    app.samples();
    let wanted = ["192.0.2.5 ", "192.0.2.4 ", "192.0.2.3 ", "192.0.2.2 ", "192.0.2.1 "];
    assert_eq!(order(&mut app, &wanted), wanted, "{}", screen(&mut app));
}

#[test]
fn a_larger_screen_tells_no_less_of_neighbors() {
    let (_, mut app) = routing();
    for keys in [&[][..], &["J"]] {
        press(&mut app, keys);
        let mut least = 0;
        for width in [80, 100, 110, 120, 140, 179, 180, 200] {
            app.size = (width, 40);
            let shown = screen(&mut app);
            let heading =
                shown.lines().find_map(|line| line.split("││").find(|part| part.contains("router_id"))).unwrap();
            let words: Vec<&str> = OspfNeighborRow::TABLE.columns.iter().map(Column::title).collect();
            let told = heading.split_whitespace().filter(|word| words.contains(word)).count();
            assert!(told >= least && heading.contains("since"), "{width}: {heading}");
            if width == 80 {
                least = told;
            }
        }
    }
}

#[test]
fn the_version_of_a_neighbor_is_told_where_there_are_both() {
    let (host, mut app) = empty();
    let other = |row: Vec<(&'static str, Value)>| -> Vec<(&'static str, Value)> {
        let mut row = row;
        row.extend([("version", Value::U64(3))]);
        row.swap_remove(row.iter().position(|(name, _)| *name == "version").unwrap());
        row
    };
    let versions = |app: &mut App| {
        let shown = screen(app);
        let behind = shown.lines().filter_map(|line| line.split("192.0.2.1 ").nth(1)?.split_whitespace().next());
        behind.map(|word| ["2", "3"].contains(&word).then(|| word.to_owned())).collect()
    };
    host.publish(made(OspfNeighborRow::TABLE, &[neighbor(1, "Down", "0.0.0.0", "eth0")]), NOW);
    app.samples();
    let one: Vec<Option<String>> = versions(&mut app);
    assert_eq!(one, [None], "{}", screen(&mut app));
    let both = [neighbor(1, "Down", "0.0.0.0", "eth0"), other(neighbor(1, "Down", "0.0.0.0", "eth0"))];
    host.publish(made(OspfNeighborRow::TABLE, &both), NOW + 1);
    app.samples();
    for size in [(120, 40), (80, 24), (200, 60)] {
        app.size = size;
        let mut both: Vec<Option<String>> = versions(&mut app);
        both.sort();
        assert_eq!(both, ["2", "3"].map(|word| Some(word.to_owned())), "{}", screen(&mut app));
    }
}

#[test]
fn a_key_makes_one_list_of_them_and_puts_them_back() {
    let (_, mut app) = routing();
    press(&mut app, &["J"]);
    assert!(!screen(&mut app).contains('▾'), "{}", screen(&mut app));
    assert_eq!(order(&mut app, &ALL[6..]).len(), 5);
    press(&mut app, &["J"]);
    assert_eq!(order(&mut app, &ALL).len(), ALL.len());
}

#[test]
fn the_bar_of_a_dead_timer_becomes_shorter_without_a_new_sample() {
    let (_, mut app) = routing();
    let bar = |app: &mut App| {
        let shown = screen(app);
        let line = shown.lines().find(|line| line.contains("192.0.2.4 ")).unwrap().to_owned();
        (line.matches('█').count(), line)
    };
    let before = bar(&mut app);
    assert!(before.1.contains("36s"), "{}", before.1);
    app.clock = || Timestamp::from_seconds((NOW + 21) as f64);
    let after = bar(&mut app);
    assert!(after.1.contains("15s") && after.0 + 3 < before.0, "{before:?} {after:?}");
}

#[test]
fn the_selected_neighbor_has_what_is_known_of_it_beside_it() {
    let (host, mut app) = routing();
    let change = |seq: u64, interface: &str, before: &str, after: &str| {
        vec![
            ("netns", text("host")),
            ("instance", text("ospfd")),
            ("interface", text(interface)),
            ("seq", Value::U64(seq)),
            ("time", at(NOW)),
            ("before", text(before)),
            ("after", text(after)),
        ]
    };
    let changes =
        [change(1, "eth0", "Init", "Full"), change(2, "eth9", "Down", "Init"), change(3, "eth0", "Full", "Deleted")];
    host.publish(made(AdjacencyChangeRow::TABLE, &changes), NOW);
    app.samples();
    let before = screen(&mut app);
    assert!(!before.contains("Neighbor ") && before.contains("reason1"), "there is room for more of all: {before}");
    app.size = (200, 60);
    assert!(screen(&mut app).contains("select a neighbor"));
    app.size = (120, 40);
    press(&mut app, &["down"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Neighbor 192.0.2.1"), "{shown}");
    let state = shown.lines().find(|line| line.contains("│ state")).unwrap();
    assert!(state.contains("Deleted") && shown.contains("reason1"), "{shown}");
    let places = ["Full → Deleted", "Init → Full"].map(|words| shown.find(words));
    assert!(places[0].is_some() && places[0] < places[1] && !shown.contains("Down → Init"), "{shown}");
}

fn peer<'a>(name: &str, state: &str) -> Vec<(&'a str, Value)> {
    vec![
        ("netns", text("host")),
        ("source", Value::Label("frr".into())),
        ("instance", text("bgpd")),
        ("peer", text(name)),
        ("state", Value::Label(state.into())),
        ("since", at(NOW - 60)),
        ("accepted", Value::U64(if state == "Established" { 4711 } else { 0 })),
        ("reason", text("Hold Timer Expired")),
    ]
}

#[test]
fn who_speaks_no_ospf_has_its_peers_where_neighbors_would_be() {
    let (host, mut app) = empty();
    host.publish(made(OspfNeighborRow::TABLE, &[]), NOW);
    host.publish(made(BgpPeerRow::TABLE, &[peer("192.0.2.33", "Established"), peer("192.0.2.34", "Idle")]), NOW);
    app.samples();
    for size in [(80, 24), (120, 40), (200, 60)] {
        app.size = size;
        let shown = screen(&mut app);
        assert_eq!(order(&mut app, &["BGP peers 2", "192.0.2.34", "192.0.2.33"]).len(), 3, "{shown}");
        assert!(shown.find("192.0.2.34") < shown.find("192.0.2.33"), "the one that is down comes first: {shown}");
        assert!(shown.contains("4.71K") && !shown.contains("OSPF"), "{shown}");
    }
}

#[test]
fn neighbors_stand_above_peers_and_both_have_room() {
    let (host, mut app) = routing();
    host.publish(made(BgpPeerRow::TABLE, &[peer("192.0.2.33", "Established")]), NOW);
    app.samples();
    for size in [(80, 24), (120, 40)] {
        app.size = size;
        let shown = screen(&mut app);
        assert!(shown.find("192.0.2.1 ").is_some() && shown.find("192.0.2.1 ") < shown.find("192.0.2.33"), "{shown}");
    }
}

#[test]
fn who_is_expected_while_no_daemon_runs_has_room() {
    let (host, mut app) = empty();
    let expected: Vec<_> = (1..=9).map(|last| neighbor(last, "Down", "0.0.0.0", "eth0")).collect();
    host.publish(made(OspfNeighborRow::TABLE, &expected), NOW);
    app.samples();
    for size in [(80, 24), (120, 40)] {
        app.size = size;
        let shown = screen(&mut app);
        assert!((1..=9).all(|last| shown.contains(&format!("192.0.2.{last} "))), "{shown}");
    }
}
