//! Is it said to the host what somebody says of an alert, and of that alert alone?

use std::sync::Arc;

use super::app::{App, Config};
use super::testing::{Fake, Made, app, press, screen, type_text};
use crate::collect::alert::{AlertRow, EventRow};
use crate::collect::load::LoadRow;
use crate::model::{Action, Connection, Mute, Text, Timestamp, Value};
use crate::tui::settings::Settings;

fn at(view: &str, read_only: bool) -> Config {
    let settings = Settings { view: Some(view.to_owned()), read_only, ..Settings::default() };
    Config { settings, ..Config::default() }
}

/// An alert: rule, instance, severity, state, and who has made it so.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, Option<&'a str>);

fn alerts(rows: &[Row<'_>]) -> Made {
    let cell = |row: usize, (rule, instance, severity, state, user): &Row<'_>, name: &str| match name {
        "rule" => Value::Text(Text::from(*rule)),
        "instance" => Value::Text(Text::from(*instance)),
        "severity" => Value::Label((*severity).into()),
        "state" => Value::Label((*state).into()),
        "since" | "fired" => Value::Timestamp(Timestamp::from_seconds(1.8e9 - row as f64)),
        "text" => Value::Text(Text::from(format!("{rule} is wrong").as_str())),
        "user" => user.map_or(Value::Missing, |user| Value::Text(Text::from(user))),
        "table" => Value::Text("load".into()),
        "flaps" => Value::U64(0),
        _ => Value::Missing,
    };
    let columns = || AlertRow::TABLE.columns.iter();
    let one = |(at, row): (usize, &Row<'_>)| columns().map(|column| cell(at, row, &column.name)).collect();
    Made { table: AlertRow::TABLE, cells: rows.iter().enumerate().map(one).collect() }
}

/// A dashboard of a host with alerts.
fn told(config: Config, rows: &[Row<'_>]) -> (Arc<Fake>, App) {
    let (host, mut app) = app(config);
    *host.tables.lock().unwrap() = Some(&[AlertRow::TABLE, EventRow::TABLE, LoadRow::TABLE]);
    app.clock = || Timestamp::from_seconds(1.8e9);
    host.publish(alerts(rows), 1);
    app.samples();
    (host, app)
}

fn said(host: &Fake) -> Vec<Mute> {
    let acts = host.acts.lock().unwrap();
    let mute = |action: &Action| if let Action::Mute { mute } = action { mute.clone() } else { panic!("{action:?}") };
    acts.iter().map(mute).collect()
}

const FIRES: Row<'_> = ("load", "", "warning", "firing", None);
const STUCK: Row<'_> = ("guest-stuck", "web1", "critical", "firing", None);

#[test]
fn what_is_known_is_said_with_a_comment_and_of_the_alert_that_was_asked_for() {
    let (host, mut app) = told(at("alerts", false), &[FIRES, STUCK]);
    press(&mut app, &["down", "A"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Say that it is known") && shown.contains("guest-stuck web1"), "{shown}");
    type_text(&mut app, "new disk");
    // what fires next takes no place of what was asked
    host.publish(alerts(&[FIRES]), 2);
    app.samples();
    press(&mut app, &["enter"]);
    let told = said(&host);
    let wanted = Mute {
        rule: "guest-stuck".into(),
        instance: "web1".into(),
        until: None,
        comment: Some("new disk".into()),
        lift: false,
    };
    assert_eq!(told, [wanted]);
    assert!(screen(&mut app).contains("known: guest-stuck web1"), "{}", screen(&mut app));
}

#[test]
fn nothing_is_said_by_who_leaves_and_of_what_is_over() {
    let (host, mut app) = told(at("alerts", false), &[("load", "", "warning", "over", None)]);
    press(&mut app, &["down", "A"]);
    assert!(screen(&mut app).contains("it is over"), "{}", screen(&mut app));
    let (other, mut app) = told(at("alerts", false), &[FIRES]);
    press(&mut app, &["down", "A", "x", "esc"]);
    assert!(host.acts.lock().unwrap().is_empty() && other.acts.lock().unwrap().is_empty());
    assert!(matches!(app.overlay, super::overlay::Overlay::None));
}

#[test]
fn an_alert_is_silent_for_a_time_or_all_of_its_rule_are() {
    let (host, mut app) = told(at("alerts", false), &[STUCK]);
    press(&mut app, &["down", "!"]);
    let shown = screen(&mut app);
    assert!(shown.contains("how long, and why: 1h") && shown.contains("tab:all of its rule"), "{shown}");
    press(&mut app, &["enter"]);
    press(&mut app, &["!", "tab"]);
    assert!(screen(&mut app).contains("all alerts of guest-stuck"), "{}", screen(&mut app));
    press(&mut app, &["backspace", "backspace"]);
    type_text(&mut app, "nonsense");
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("`nonsense` is no length of time"), "{}", screen(&mut app));
    press(&mut app, &["backspace"; 8]);
    type_text(&mut app, "2d it moves");
    press(&mut app, &["enter"]);
    let until = |seconds: f64| Some(Timestamp::from_seconds(1.8e9 + seconds));
    let told: Vec<_> = said(&host).into_iter().map(|one| (one.instance.to_string(), one.until, one.comment)).collect();
    let wanted =
        [("web1".to_owned(), until(3600.0), None), (String::new(), until(172_800.0), Some(Text::from("it moves")))];
    assert_eq!(told, wanted);
    // another time takes the place of the usual one, and a comment follows it
    let usual = |words: &str| {
        let (host, mut app) = told_of(words);
        press(&mut app, &["enter"]);
        said(&host).into_iter().map(|one| (one.until, one.comment)).collect::<Vec<_>>()
    };
    assert_eq!(usual("2h 3 disks"), [(until(7200.0), Some(Text::from("3 disks")))]);
    assert_eq!(usual(" it moves"), [(until(3600.0), Some(Text::from("it moves")))]);
}

/// A dashboard in which somebody has typed these words to make an alert silent.
fn told_of(words: &str) -> (Arc<Fake>, App) {
    let (host, mut app) = told(at("alerts", false), &[STUCK]);
    press(&mut app, &["down", "!"]);
    assert!(screen(&mut app).contains("how long, and why: 1h"));
    type_text(&mut app, words);
    (host, app)
}

#[test]
fn what_was_said_is_taken_back_by_the_same_keys() {
    let rows = [
        ("a", "x", "critical", "acknowledged", Some("me")),
        ("b", "y", "critical", "silenced", Some("me")),
        ("c", "z", "critical", "silenced", None),
    ];
    let (host, mut app) = told(at("alerts", false), &rows);
    press(&mut app, &["down", "A"]);
    assert!(screen(&mut app).contains("Take back that it is known"), "{}", screen(&mut app));
    press(&mut app, &["enter", "down", "!"]);
    assert!(screen(&mut app).contains("me has made it silent: 0 takes that back"), "{}", screen(&mut app));
    press(&mut app, &["enter", "down", "!"]);
    assert!(screen(&mut app).contains("the configuration makes it silent"), "{}", screen(&mut app));
    let told: Vec<_> =
        said(&host).into_iter().map(|one| (one.rule.to_string(), one.instance.to_string(), one.lift)).collect();
    let lift = |rule: &str, instance: &str| (rule.to_owned(), instance.to_owned(), true);
    assert_eq!(told, [lift("a", "x"), lift("b", "y"), lift("b", "")]);
}

#[test]
fn the_newest_that_fires_is_above_the_last_row_until_it_is_known() {
    let mild = ("mild", "", "careful", "firing", None);
    let (host, mut app) = told(at("overview", false), &[FIRES, STUCK, mild, ("old", "", "critical", "silenced", None)]);
    let strip = |app: &mut App| screen(app).lines().nth(28).unwrap().to_owned();
    let shown = strip(&mut app);
    assert!(
        shown.contains("▲ load: load is wrong  warning since") && shown.contains("+1") && shown.contains("A:ack"),
        "{shown}"
    );
    assert!(screen(&mut app).lines().next().unwrap().contains("✖ 1  ▲ 1  • 1"), "{}", screen(&mut app));
    press(&mut app, &["A", "enter"]);
    host.publish(alerts(&[("load", "", "warning", "acknowledged", Some("me")), STUCK]), 2);
    app.samples();
    app.message = None;
    assert!(strip(&mut app).contains("✖ guest-stuck"), "{}", screen(&mut app));
    press(&mut app, &["w"]);
    assert!(screen(&mut app).contains("guest-stuck web1"), "{}", screen(&mut app));
    press(&mut app, &["enter"]);
    let told: Vec<String> = said(&host).into_iter().map(|one| one.rule.to_string()).collect();
    assert_eq!(told, ["load", "guest-stuck"]);
    host.publish(alerts(&[]), 3);
    app.samples();
    app.message = None;
    assert!(!screen(&mut app).contains("A:ack"));
}

#[test]
fn who_may_say_nothing_is_told_so_and_hides_it_here() {
    let (host, mut app) = told(at("overview", false), &[FIRES]);
    *host.refuses.lock().unwrap() = Some("the agent lets this client view only".into());
    press(&mut app, &["A"]);
    assert!(
        screen(&mut app).contains("hidden here only: the agent lets this client view only"),
        "{}",
        screen(&mut app)
    );
    app.message = None;
    host.publish(alerts(&[FIRES]), 2);
    app.samples();
    assert!(!screen(&mut app).contains("A:ack"), "{}", screen(&mut app));
    let (host, mut app) = told(at("alerts", true), &[FIRES]);
    press(&mut app, &["down", "A"]);
    assert!(screen(&mut app).contains("nothing is said: this dashboard is read-only"), "{}", screen(&mut app));
    press(&mut app, &["!"]);
    assert!(screen(&mut app).contains("this dashboard is read-only"), "{}", screen(&mut app));
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn an_agent_that_evaluates_no_rules_is_told_of_by_thresholds() {
    let (host, mut app) = app(at("alerts", false));
    let live = Connection::Live { to: "hv".into(), host: "hv".into(), version: "0.0.1".into() };
    *host.reach.lock().unwrap() = live;
    host.publish(Made::new(LoadRow::TABLE, 1, "x"), 1);
    app.samples();
    let shown = screen(&mut app);
    assert!(
        shown.contains("the agent has no table `alert`") && shown.contains("the agent evaluates no rules"),
        "{shown}"
    );
}

#[test]
fn hostile_names_are_harmless_wherever_an_alert_is_named() {
    let evil = "\u{1b}[2J\u{202e}evil\u{7}\n名前\u{9b}31m";
    let (_, mut app) = told(at("alerts", false), &[("load", evil, "critical", "firing", Some(evil))]);
    for keys in [&["down"][..], &["A"], &["esc", "!"], &["esc", "enter"]] {
        press(&mut app, keys);
        for size in [(1, 1), (20, 5), (40, 10), (80, 24), (120, 40), (200, 60)] {
            app.size = size;
            let shown = screen(&mut app);
            assert!(shown.chars().all(|ch| ch == '\n' || !ch.is_control() && ch != '\u{202e}'), "{shown:?}");
        }
    }
}

#[test]
fn details_of_an_alert_have_its_own_events_with_what_was_so() {
    let (host, mut app) = told(at("alerts", false), &[STUCK, FIRES]);
    let event = |seq: u64, rule: &str, text: &str| -> Vec<Value> {
        let cell = |name: &str| match name {
            "seq" => Value::U64(seq),
            "time" => Value::Timestamp(Timestamp::from_seconds(1.8e9)),
            "what" => Value::Label("fired".into()),
            "severity" => Value::Label("critical".into()),
            "rule" => Value::Text(Text::from(rule)),
            "instance" => Value::Text(if rule == "load" { Text::default() } else { "web1".into() }),
            "text" => Value::Text(Text::from(text)),
            _ => Value::Missing,
        };
        EventRow::TABLE.columns.iter().map(|column| cell(&column.name)).collect()
    };
    let cells = vec![event(1, "guest-stuck", "guest-stuck is wrong"), event(2, "load", "nobody asks")];
    host.publish(Made { table: EventRow::TABLE, cells }, 1);
    app.samples();
    press(&mut app, &["down", "enter", "tab"]);
    let shown = screen(&mut app);
    let head = shown.lines().find(|line| line.contains("seq")).unwrap();
    assert!(head.contains("severity") && head.contains("text") && !head.contains("rule"), "{shown}");
    assert!(
        shown.contains("fired") && shown.contains("guest-stuck is wrong") && !shown.contains("nobody asks"),
        "{shown}"
    );
}

#[test]
fn nothing_is_said_where_the_alert_has_no_room() {
    let (host, mut app) = told(at("alerts", false), &[STUCK]);
    press(&mut app, &["down", "A"]);
    for size in [(1, 1), (5, 2), (9, 1)] {
        app.size = size;
        press(&mut app, &["enter"]);
        assert!(host.acts.lock().unwrap().is_empty(), "{size:?}");
    }
}
