//! Do rows under headings behave like rows, and do the switches of rules leave out and put on top what they say?

use super::app::{App, Config};
use super::testing::{Fake, Made, app, mouse, press, screen, type_text};
use crate::collect::nft_element::NftElementRow;
use crate::collect::nftables::{NftChainRow, NftRuleRow, NftSetRow, NftTableRow};
use crate::collect::ruleset_change::RulesetChangeRow;
use crate::collect::xtables_rule::XtablesRuleRow;
use crate::model::{State, Table, Text, Value};
use crate::tui::settings::Settings;
use crossterm::event::{MouseButton, MouseEventKind};

static TABLES: &[&Table] = &[NftTableRow::TABLE, NftChainRow::TABLE, NftRuleRow::TABLE];

/// A dashboard at the view of the firewall.
fn firewall() -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("firewall".to_owned()), ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = (100, 30);
    (host, app)
}

fn made(table: &'static Table, rows: &[&[(&str, Value)]]) -> Made {
    let cell = |row: &[(&str, Value)], name: &str| {
        row.iter().find(|(given, _)| *given == name).map_or(Value::Missing, |(_, value)| value.clone())
    };
    let cells = rows.iter().map(|row| table.columns.iter().map(|column| cell(row, &column.name)).collect()).collect();
    Made { table, cells }
}

fn text(words: &str) -> Value {
    Value::Text(Text::from(words))
}

fn chain<'a>(name: &str, hook: Option<(&str, i64)>) -> Vec<(&'a str, Value)> {
    let mut row = vec![
        ("netns", text("host")),
        ("family", Value::Label("inet".into())),
        ("table", text("filter")),
        ("name", text(name)),
    ];
    if let Some((hook, priority)) = hook {
        let own = [("hook", text(hook)), ("priority", Value::I64(priority)), ("policy", text("accept"))];
        row.extend(own.into_iter().chain([("kind", text("filter"))]));
    }
    row
}

fn rule<'a>(chain: &str, handle: u64, position: u64, packets: Option<u64>, verdict: &str) -> Vec<(&'a str, Value)> {
    let packets = packets.map_or(Value::Missing, Value::U64);
    vec![
        ("netns", text("host")),
        ("family", Value::Label("inet".into())),
        ("table", text("filter")),
        ("chain", text(chain)),
        ("handle", Value::U64(handle)),
        ("position", Value::U64(position)),
        ("verdict", text(verdict)),
        ("packets", packets.clone()),
        ("bytes", packets),
        ("rule", text(&format!("rule{handle} {verdict}"))),
    ]
}

fn publish(host: &Fake, second: u64, rules: &[Vec<(&str, Value)>]) {
    let chains = [
        chain("called", None),
        chain("late", Some(("output", 0))),
        chain("second", Some(("input", 10))),
        chain("first", Some(("input", -10))),
        chain("empty", Some(("forward", 0))),
    ];
    let rows = |all: &[Vec<(&'static str, Value)>]| -> Vec<Vec<(&'static str, Value)>> { all.to_vec() };
    let chains = rows(&chains);
    host.publish(made(NftChainRow::TABLE, &chains.iter().map(Vec::as_slice).collect::<Vec<_>>()), second);
    host.publish(made(NftRuleRow::TABLE, &rules.iter().map(Vec::as_slice).collect::<Vec<_>>()), second);
}

/// Four rules: one that carries traffic, one that drops, one that nothing has hit, and one that counts nothing.
fn sampled() -> (std::sync::Arc<Fake>, App) {
    let (host, mut app) = firewall();
    for second in 1..3 {
        let rules = [
            rule("called", 9, 1, None, "accept"),
            rule("first", 8, 2, Some(second * 100), "accept"),
            rule("first", 7, 1, Some(0), "accept"),
            rule("late", 6, 1, Some(second * 5), "drop"),
        ];
        publish(&host, second, &rules);
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

const ALL: [&str; 9] = ["▾ first", "▾ second", "▾ empty", "▾ late", "▾ called", "rule6", "rule7", "rule8", "rule9"];

#[test]
fn chains_stand_in_the_order_of_a_packets_way_and_rules_in_that_of_their_places() {
    let (_, mut app) = sampled();
    let expected = ["▾ first", "rule7", "rule8", "▾ second", "▾ empty", "▾ late", "rule6", "▾ called", "rule9"];
    assert_eq!(order(&mut app, &ALL), expected, "{}", screen(&mut app));
}

#[test]
fn one_list_of_rules_has_the_busiest_first_and_says_where_each_is() {
    let (_, mut app) = sampled();
    press(&mut app, &["H"]);
    assert_eq!(order(&mut app, &ALL), ["rule8", "rule6", "rule7", "rule9"], "{}", screen(&mut app));
    let shown = screen(&mut app);
    let line = shown.lines().find(|line| line.contains("rule6")).unwrap();
    assert!(line.contains("late") && line.contains(" 5 "), "{shown}");
    press(&mut app, &["f5"]);
    assert!(screen(&mut app).contains("▾ late"), "the key of trees goes back to it");
    press(&mut app, &[">"]);
    assert!(!screen(&mut app).contains("▾ late"), "to sort is to ask for a list");
}

#[test]
fn rules_that_nothing_has_hit_are_left_out_or_left_alone() {
    let (_, mut app) = sampled();
    press(&mut app, &["X"]);
    assert_eq!(order(&mut app, &ALL[5..]), ["rule8", "rule6", "rule9"], "what counts nothing may have been hit");
    press(&mut app, &["X", "O"]);
    assert_eq!(order(&mut app, &ALL), ["▾ first", "rule7"], "and no heading without a rule");
    assert!(screen(&mut app).contains("only those never hit"));
}

#[test]
fn what_drops_can_stand_on_top() {
    let (_, mut app) = sampled();
    press(&mut app, &["Y"]);
    assert_eq!(order(&mut app, &ALL[5..]), ["rule6", "rule7", "rule8", "rule9"]);
    press(&mut app, &["H"]);
    assert_eq!(order(&mut app, &ALL[5..]), ["rule6", "rule8", "rule7", "rule9"]);
}

#[test]
fn what_a_switch_puts_on_top_is_shown_whatever_is_selected_and_without_it_the_selected_rule() {
    let (_, mut app) = sampled();
    app.size = (80, 10);
    press(&mut app, &["down"]);
    assert!(!screen(&mut app).contains("rule6"), "{}", screen(&mut app));
    press(&mut app, &["Y"]);
    assert!(screen(&mut app).contains("rule6"), "{}", screen(&mut app));
    press(&mut app, &["end", "Y"]);
    // what is said of the switch takes a line of the rules
    assert!(screen(&mut app).contains("rule9"), "{}", screen(&mut app));
}

#[test]
fn details_of_a_rule_tell_who_changed_it_last() {
    let (host, mut app) = sampled();
    *host.tables.lock().unwrap() = Some(&[NftChainRow::TABLE, NftRuleRow::TABLE, RulesetChangeRow::TABLE]);
    let change = |seq: u64, handle: u64, program: &str| {
        vec![
            ("netns", text("host")),
            ("seq", Value::U64(seq)),
            ("action", Value::Label("replaced".into())),
            ("part", Value::Label("rule".into())),
            ("family", Value::Label("inet".into())),
            ("table", text("filter")),
            ("name", text("first")),
            ("handle", Value::U64(handle)),
            ("program", text(program)),
        ]
    };
    let changes = [change(1, 7, "older"), change(2, 7, "editor"), change(3, 8, "other")];
    host.publish(made(RulesetChangeRow::TABLE, &changes.each_ref().map(Vec::as_slice)), 2);
    app.samples();
    app.size = (80, 24);
    press(&mut app, &["down", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Filter rules") && shown.contains("by editor"), "{shown}");
    assert!(!shown.contains("by older") && !shown.contains("by other"), "{shown}");
}

#[test]
fn elements_of_a_set_have_the_columns_that_any_of_them_fills() {
    let (host, mut app) = firewall();
    *host.tables.lock().unwrap() = Some(&[NftSetRow::TABLE, NftElementRow::TABLE]);
    let place = || {
        let family = Value::Label("inet".into());
        vec![("netns", text("host")), ("family", family), ("table", text("filter")), ("set", text("blocked"))]
    };
    host.publish(made(NftSetRow::TABLE, &[&place()]), 1);
    let elements = ["192.0.2.1", "192.0.2.2"].map(|key| {
        let own = [("key", text(key)), ("comment", if key.ends_with('2') { text("often") } else { Value::Missing })];
        place().into_iter().chain(own).collect::<Vec<_>>()
    });
    host.publish(made(NftElementRow::TABLE, &elements.each_ref().map(Vec::as_slice)), 1);
    app.samples();
    app.go(super::app::Page::Table("nft_set"));
    press(&mut app, &["down", "enter", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("192.0.2.1") && shown.contains("often"), "{shown}");
    assert!(!shown.contains("timeout") && !shown.contains("expires"), "{shown}");
}

#[test]
fn elements_are_asked_for_of_the_sets_that_a_filter_names() {
    let (host, mut app) = firewall();
    *host.tables.lock().unwrap() = Some(&[NftElementRow::TABLE]);
    host.fail(NftElementRow::TABLE, State::Absent, "no set is named", 0.0);
    app.samples();
    app.go(super::app::Page::Table("nft_element"));
    let asked = |app: &mut App, text: &str| {
        press(app, &["/"]);
        type_text(app, text);
        press(app, &["enter"]);
        screen(app);
        let wants = host.wants.lock().unwrap();
        wants.iter().filter(|want| want.table == "nft_element").map(|want| want.ids.clone()).collect::<Vec<_>>()
    };
    let named = |set: &str| vec![text("inet"), text("filter"), text(set)];
    let place = "family == \"inet\" and table == \"filter\" and ";
    assert_eq!(asked(&mut app, place), [Vec::new()], "nothing is named as long as it is no filter");
    press(&mut app, &["esc"]);
    let both = asked(&mut app, &format!("{place}set in (\"a\", \"b\")"));
    assert_eq!(both, [named("a"), named("b")]);
    let many: Vec<String> = (0..100).map(|number| format!("\"s{number}\"")).collect();
    press(&mut app, &["E"]);
    asked(&mut app, &format!("{place}set in ({})", many.join(", ")));
    assert!(screen(&mut app).contains("names more than"), "{}", screen(&mut app));
}

#[test]
fn a_rule_without_a_counter_has_no_graph_of_nothing() {
    let (_, mut app) = sampled();
    app.size = (120, 40);
    press(&mut app, &["end"]);
    let shown = screen(&mut app);
    assert!(shown.contains("no counter of its own") && !shown.contains("pkt/s"), "{shown}");
    press(&mut app, &["up"]);
    let shown = screen(&mut app);
    assert!(!shown.contains("no counter of its own") && shown.contains("pkt/s"), "{shown}");
}

#[test]
fn help_begins_with_the_keys_of_rules_where_there_are_rules() {
    let (_, mut app) = sampled();
    app.size = (80, 24);
    press(&mut app, &["?"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Keys here"), "{shown}");
    for key in ["H  ", "X  ", "O  ", "Y  "] {
        assert!(shown.lines().take(12).any(|line| line.contains(key)), "{key}: {shown}");
    }
    press(&mut app, &["esc"]);
    app.go(super::app::Page::View(0));
    press(&mut app, &["?"]);
    assert!(!screen(&mut app).contains("rules of the firewall as one list"), "{}", screen(&mut app));
}

#[test]
fn a_selection_passes_over_headings_and_a_click_on_one_selects_nothing() {
    let (_, mut app) = sampled();
    let selected = |app: &App| app.tables["rules"].selected.clone();
    let line = |app: &mut App, word: &str| screen(app).lines().position(|line| line.contains(word)).unwrap() as u16;
    let row = line(&mut app, "▾ first");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 20, row);
    assert_eq!(selected(&app), None);
    let mut keys = Vec::new();
    for _ in 0..4 {
        press(&mut app, &["down"]);
        keys.push(selected(&app));
    }
    let mut clicked = Vec::new();
    for word in ["rule7", "rule8", "rule6", "rule9"] {
        let row = line(&mut app, &format!(" {word}"));
        mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 20, row);
        clicked.push(selected(&app));
    }
    assert_eq!(keys, clicked);
    assert!(keys.iter().all(Option::is_some));
}

#[test]
fn the_heading_of_a_rule_comes_back_with_the_first_of_its_rules() {
    let (_, mut app) = sampled();
    for height in 7..20 {
        app.size = (80, height);
        press(&mut app, &["end"]);
        for word in ["rule9", "rule6", "rule8", "rule7"] {
            assert!(screen(&mut app).contains(word), "{height}: {word}: {}", screen(&mut app));
            press(&mut app, &["up"]);
        }
        let shown = screen(&mut app);
        assert!(height < 9 || shown.contains("▾ inet filter"), "{height}: {shown}");
    }
}

#[test]
fn without_rules_the_view_says_so_and_why() {
    let (host, mut app) = firewall();
    assert!(screen(&mut app).contains("waiting for the first sample"));
    host.publish(made(NftRuleRow::TABLE, &[]), 1);
    app.samples();
    assert!(screen(&mut app).contains("nf_tables has no rule"), "{}", screen(&mut app));
    publish(&host, 2, &[]);
    app.samples();
    assert!(screen(&mut app).contains("▾ empty"), "chains without rules have policies: {}", screen(&mut app));
    let (host, mut app) = firewall();
    host.fail(NftRuleRow::TABLE, State::Denied, "open a socket: Operation not permitted (os error 1)", 0.0);
    app.samples();
    assert!(screen(&mut app).contains("denied: open a socket: Operation not permitted"), "{}", screen(&mut app));
}

#[test]
fn rules_of_the_older_interface_have_a_panel_and_are_not_called_nothing() {
    let (host, mut app) = firewall();
    *host.tables.lock().unwrap() = Some(&[NftChainRow::TABLE, NftRuleRow::TABLE, XtablesRuleRow::TABLE]);
    host.publish(made(NftRuleRow::TABLE, &[]), 1);
    app.samples();
    let asked = |host: &Fake| host.wants.lock().unwrap().iter().any(|want| want.table == "xtables_rule");
    assert!(!screen(&mut app).contains("nothing is filtered"), "whether it has rules is not known yet");
    assert!(asked(&host), "{:?}", host.wants.lock().unwrap());
    host.fail(XtablesRuleRow::TABLE, State::Denied, "open: Operation not permitted", 0.0);
    app.samples();
    assert!(!screen(&mut app).contains("nothing is filtered"), "{}", screen(&mut app));
    host.fail(XtablesRuleRow::TABLE, State::Absent, "open: No such file or directory", 0.0);
    app.samples();
    assert!(screen(&mut app).contains("nothing is filtered"), "{}", screen(&mut app));
    host.publish(made(XtablesRuleRow::TABLE, &[]), 1);
    app.samples();
    let shown = screen(&mut app);
    assert!(shown.contains("nothing is filtered") && !shown.contains("Legacy rules"), "{shown}");
    let mut policy = |verdict: &str| {
        let row = [
            ("netns", text("host")),
            ("table", text("filter")),
            ("position", Value::U64(0)),
            ("target", text(verdict)),
            ("rule", text("policy")),
        ];
        host.publish(made(XtablesRuleRow::TABLE, &[&row]), 1);
        app.samples();
        screen(&mut app)
    };
    let shown = policy("ACCEPT");
    assert!(shown.contains("nothing is filtered") && !shown.contains("Legacy rules"), "{shown}");
    let shown = policy("DROP");
    assert!(!shown.contains("nothing is filtered") && shown.contains("Legacy rules 1"), "{shown}");
    for second in 2..4 {
        let rule = |position: u64, packets: u64, rule: &str| {
            vec![
                ("netns", text("host")),
                ("family", Value::Label("ip".into())),
                ("table", text("filter")),
                ("chain", text("INPUT")),
                ("position", Value::U64(position)),
                ("packets", Value::U64(packets)),
                ("bytes", Value::U64(packets * 100)),
                ("rule", text(rule)),
            ]
        };
        let rules = [rule(0, 9, "policy ACCEPT"), rule(1, second * 7, "-p tcp -m tcp --dport 1 -j DROP")];
        host.publish(made(XtablesRuleRow::TABLE, &rules.each_ref().map(Vec::as_slice)), second);
    }
    app.samples();
    for size in [(80, 24), (120, 40), (200, 60)] {
        app.size = size;
        let shown = screen(&mut app);
        assert!(shown.contains("Legacy rules 2") && !shown.contains("nothing is filtered"), "{shown}");
        let line = shown.lines().find(|line| line.contains("--dport 1 -j DROP")).unwrap();
        assert!(line.contains("INPUT") && line.contains(" 7 ") && line.contains(" 700 "), "{shown}");
        assert!(asked(&host), "{size:?}: {:?}", host.wants.lock().unwrap());
    }
}

#[test]
fn rules_that_change_while_they_are_read_are_called_so_however_little_room_there_is() {
    let (host, mut app) = sampled();
    let why = "partly failed: changing: rules are committed faster than they can be read";
    host.fail(NftRuleRow::TABLE, State::Ok, why, 0.0);
    app.samples();
    for size in [(80, 24), (120, 40), (200, 60)] {
        app.size = size;
        assert!(screen(&mut app).contains("never hit  dropping 5/s  changing: rules"), "{}", screen(&mut app));
    }
}

#[test]
fn the_foot_names_the_switches_of_rules_only_where_there_are_rules() {
    let (_, mut app) = sampled();
    app.size = (160, 30);
    for (key, word) in [("H", "hottest"), ("X", "hide unhit"), ("O", "only unhit"), ("Y", "drops on top")] {
        assert!(screen(&mut app).lines().last().unwrap().contains(&format!("{key}:{word}")), "{}", screen(&mut app));
    }
    app.go(super::app::Page::View(0));
    assert!(!screen(&mut app).lines().last().unwrap().contains("hottest"));
}

#[test]
fn a_network_namespace_stands_in_the_heading_or_before_the_rule_and_never_takes_its_room() {
    let (host, mut app) = firewall();
    let of = |netns: &str, mut row: Vec<(&'static str, Value)>| {
        row[0].1 = text(netns);
        row
    };
    for second in 1..3 {
        let rows =
            |row: &dyn Fn(&str) -> Vec<(&'static str, Value)>| [of("host", row("first")), of("blue", row("first"))];
        let chains = rows(&|name| chain(name, Some(("input", 0))));
        let rules = rows(&|name| rule(name, 7, 1, Some(second), "accept"));
        host.publish(made(NftChainRow::TABLE, &chains.each_ref().map(Vec::as_slice)), second);
        host.publish(made(NftRuleRow::TABLE, &rules.each_ref().map(Vec::as_slice)), second);
    }
    app.samples();
    let lines = |app: &mut App, word: &str| -> Vec<String> {
        screen(app).lines().filter(|line| line.contains(word)).map(str::to_owned).collect()
    };
    assert_eq!(lines(&mut app, "rule7").len(), 2);
    assert_eq!(lines(&mut app, "blue").len(), 1, "its heading has it: {}", screen(&mut app));
    press(&mut app, &["H"]);
    let heads = lines(&mut app, "packets/s");
    assert!(heads[0].find("netns") < heads[0].find(" rule "), "{heads:?}");
    assert_eq!(lines(&mut app, "blue").len(), 1);
    assert!(lines(&mut app, "blue")[0].contains("rule7 accept"), "{}", screen(&mut app));
}
