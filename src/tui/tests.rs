//! Does each key do what it says, on a host whose samples are known?

use super::app::Config;
use crossterm::event::{MouseButton, MouseEventKind};

use super::testing::{Made, app, mouse, press, screen, type_text};
use crate::collect::load::LoadRow;
use crate::collect::process::ProcessRow;
use crate::collect::process_detail::ProcessFileRow;
use crate::collect::routing::OspfNeighborRow;
use crate::model::{Action, Text, Timestamp, Value};
use crate::tui::settings::Settings;

/// A dashboard at a page of its own.
fn at(view: &str) -> Config {
    Config { settings: Settings { view: Some(view.to_owned()), ..Settings::default() }, ..Config::default() }
}

fn processes(count: usize) -> Made {
    Made::new(ProcessRow::TABLE, count, "proc")
}

#[test]
fn a_filter_that_was_typed_before_the_first_sample_is_kept() {
    let (host, mut app) = app(at("processes"));
    press(&mut app, &["/"]);
    type_text(&mut app, "proc3");
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("waiting for the first sample"));
    host.publish(processes(9), 1);
    app.samples();
    let screen = screen(&mut app);
    assert!(screen.contains(" 1003 ") && !screen.contains(" 1004 "), "{screen}");
    assert!(screen.contains("1 of 9, filter proc3"), "{screen}");
}

#[test]
fn a_frozen_screen_steps_through_the_past_and_goes_on() {
    let (host, mut app) = app(at("processes"));
    for second in 1..=5_u64 {
        host.publish(processes(second as usize), second);
        app.samples();
    }
    assert!(!screen(&mut app).contains("paused"));
    press(&mut app, &["space"]);
    host.publish(processes(9), 6);
    app.samples();
    let now = screen(&mut app);
    assert!(now.contains("Processes 5 ") && now.matches(" paused ").count() > 1, "{now}");
    press(&mut app, &["[", "["]);
    let then = screen(&mut app);
    assert!(then.contains("Processes 3 ") && then.matches(" paused -2s ").count() > 1, "{then}");
    press(&mut app, &["]"]);
    assert!(screen(&mut app).contains("Processes 4 "));
    press(&mut app, &["[", "[", "[", "["]);
    let oldest = screen(&mut app);
    assert!(oldest.contains("Processes 1 ") && oldest.contains("nothing older is kept"), "{oldest}");
    press(&mut app, &["space"]);
    let live = screen(&mut app);
    assert!(live.contains("Processes 9 ") && !live.contains("paused"), "{live}");
}

#[test]
fn letters_of_what_is_not_there_yet_say_so_in_one_line() {
    let (_, mut app) = app(Config::default());
    for (key, _, what) in crate::panel::LATER {
        press(&mut app, &[&key.to_string()]);
        let shown = screen(&mut app);
        assert!(shown.lines().any(|line| line.contains(what) && line.contains("later")), "{key}: {shown}");
    }
}

#[test]
fn every_letter_of_glances_does_something() {
    let keymap =
        super::keymap::Keymap::new(&std::collections::BTreeMap::new(), crate::model::Allowed::Everything).unwrap();
    for letter in "012345678/acimoptuAbBCLdDefEFgGhIKlkMnNPQrRsSTUVwxWzqj+-".chars() {
        let event = crossterm::event::KeyCode::Char(letter).into();
        assert!(keymap.get(&event).is_some(), "{letter}");
    }
}

#[test]
fn programs_are_processes_of_one_name() {
    let (host, mut app) = app(at("processes"));
    let name = ProcessRow::TABLE.position("name").unwrap();
    let twins =
        processes(4).with(2, name, Value::Text(Text::from("twin"))).with(3, name, Value::Text(Text::from("twin")));
    host.publish(twins.clone(), 1);
    host.publish(twins, 2);
    app.samples();
    app.size = (160, 30);
    press(&mut app, &["v"]);
    for _ in 0..name {
        press(&mut app, &["down"]);
    }
    press(&mut app, &["space", "enter", "j"]);
    let programs = screen(&mut app);
    assert!(programs.contains("Processes 3, programs") && programs.contains("×2"), "{programs}");
    // threads of rows 2 and 3 are 3 and 4
    let line = programs.lines().find(|line| line.contains("×2")).unwrap();
    assert!(line.split_whitespace().any(|word| word == "7"), "{line}");
    press(&mut app, &["down", "k"]);
    let refused = screen(&mut app);
    assert!(refused.contains("these are several"), "{refused}");
    press(&mut app, &["j"]);
    assert!(screen(&mut app).contains("Processes 4 "));
}

#[test]
fn cpu_of_processes_is_of_one_cpu_or_of_all() {
    let (host, mut app) = app(at("processes"));
    let column = |name: &str| ProcessRow::TABLE.position(name).unwrap();
    let cpus = LoadRow::TABLE.position("cpus").unwrap();
    for second in 1..=2 {
        host.publish(Made::new(LoadRow::TABLE, 1, "").with(0, cpus, Value::U64(4)), second);
        host.publish(processes(1).with(0, column("cpu_time"), Value::F64(second as f64 * 0.8)), second);
    }
    app.samples();
    assert!(screen(&mut app).contains("proc0 80.0% "));
    press(&mut app, &["0"]);
    let shared = screen(&mut app);
    assert!(shared.contains("proc0 20.0% "), "{shared}");
    press(&mut app, &["0"]);
    assert!(screen(&mut app).contains("proc0 80.0% "));
}

#[test]
fn quick_look_can_have_the_top_row_for_itself() {
    let (_, mut app) = app(Config::default());
    assert!(!screen(&mut app).contains("Quick look"));
    press(&mut app, &["4"]);
    let quick = screen(&mut app);
    assert!(quick.contains("Quick look") && !quick.contains("┌ Memory"), "{quick}");
}

#[test]
fn everything_about_a_process_is_one_key_away() {
    let (host, mut app) = app(at("processes"));
    host.publish(processes(3), 1);
    app.samples();
    press(&mut app, &["e"]);
    let shown = screen(&mut app);
    assert!(shown.contains("Open files") && shown.contains("Environment"), "{shown}");
}

/// A dashboard of processes that have been sampled twice.
fn sampled(count: usize) -> (std::sync::Arc<super::testing::Fake>, super::app::App) {
    let (host, mut app) = app(at("processes"));
    for second in 1..=2 {
        host.publish(processes(count), second);
    }
    app.samples();
    screen(&mut app);
    (host, app)
}

#[test]
fn a_wrong_filter_shows_where_it_is_wrong_and_leaves_the_old_one() {
    let (_, mut app) = sampled(9);
    press(&mut app, &["/"]);
    type_text(&mut app, "proc3");
    press(&mut app, &["enter", "/"]);
    for _ in 0..5 {
        press(&mut app, &["backspace"]);
    }
    type_text(&mut app, "rss > 1 and nme == 2");
    press(&mut app, &["enter"]);
    let buffer = super::screen::draw(&mut app);
    let shown = screen(&mut app);
    assert!(shown.contains("column 13") && shown.contains("did you mean `name`"), "{shown}");
    assert!(shown.contains("filter proc3") && shown.contains("/rss > 1 and nme"), "{shown}");
    let marked = buffer.cell((13, 28)).unwrap();
    assert!(marked.symbol() == "n" && marked.modifier.contains(ratatui::style::Modifier::UNDERLINED), "{marked:?}");
    press(&mut app, &["esc"]);
    assert!(screen(&mut app).contains("1 of 9, filter proc3"));
    press(&mut app, &["E"]);
    assert!(!screen(&mut app).contains("filter proc3"));
}

#[test]
fn columns_are_chosen_one_by_one() {
    let (_, mut app) = sampled(3);
    app.size = (160, 60);
    assert!(!screen(&mut app).contains(" pri "));
    let priority = ProcessRow::TABLE.position("priority").unwrap();
    press(&mut app, &["v"]);
    assert!(screen(&mut app).contains("[x] pid") && screen(&mut app).contains("[ ] pri"));
    press(&mut app, &vec!["down"; priority]);
    press(&mut app, &["space", "esc"]);
    assert!(screen(&mut app).contains(" pri "));
}

#[test]
fn sort_and_reverse_keep_the_selected_row() {
    let (_, mut app) = sampled(50);
    press(&mut app, &["p"]);
    assert!(screen(&mut app).contains("by name▲"), "the order is told though the column is not shown");
    press(&mut app, &["down", "down", "down"]);
    let selected = app.target().unwrap().pid;
    press(&mut app, &["r"]);
    assert_eq!(app.target().unwrap().pid, selected);
    assert!(screen(&mut app).contains(&format!(" {selected} ")), "the screen follows the row");
    press(&mut app, &[">"]);
    assert_eq!(app.target().unwrap().pid, selected);
}

#[test]
fn a_tree_has_children_under_their_parents() {
    let (host, mut app) = app(at("processes"));
    let parent = ProcessRow::TABLE.position("parent").unwrap();
    let family = processes(4).with(0, parent, Value::U64(1)).with(1, parent, Value::U64(1003));
    host.publish(family.with(2, parent, Value::U64(1)).with(3, parent, Value::U64(1002)), 1);
    app.samples();
    press(&mut app, &["p", "f5"]);
    let shown = screen(&mut app);
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" proc")).collect();
    let pids: Vec<&str> = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(pids, ["1000", "1002", "1003", "1001"], "{shown}");
    assert!(shown.contains(" └ proc3") && shown.contains("   └ proc1"), "{shown}");
    press(&mut app, &["f5"]);
    let flat = screen(&mut app);
    assert!(flat.find(" 1001 ").unwrap() < flat.find(" 1002 ").unwrap());
}

#[test]
fn any_number_of_a_row_has_a_graph() {
    let (_, mut app) = sampled(3);
    app.size = (120, 40);
    press(&mut app, &["down", "g"]);
    let cpu = screen(&mut app);
    assert!(cpu.contains("CPU%") && cpu.contains("ago"), "{cpu}");
    press(&mut app, &["down"]);
    assert!(screen(&mut app).contains("MEM%"));
    let before = screen(&mut app);
    press(&mut app, &["left"]);
    assert_ne!(screen(&mut app), before, "the cursor has moved");
    press(&mut app, &["esc"]);
    assert!(!screen(&mut app).contains("ago"));
}

#[test]
fn a_theme_is_shown_while_it_is_chosen_and_esc_brings_back_the_old_one() {
    let (_, mut app) = sampled(3);
    let before = app.theme.name.clone();
    press(&mut app, &[":"]);
    type_text(&mut app, "theme nord");
    assert_eq!(app.theme.name, "nord");
    press(&mut app, &["esc"]);
    assert_eq!(app.theme.name, before);
    press(&mut app, &[":"]);
    type_text(&mut app, "nord");
    press(&mut app, &["enter"]);
    assert_eq!(app.theme.name, "nord");
}

#[test]
fn the_palette_completes_and_says_what_it_does_not_know() {
    let (_, mut app) = sampled(3);
    press(&mut app, &[":"]);
    type_text(&mut app, "table proc_f");
    assert!(!screen(&mut app).contains("table process_file"));
    press(&mut app, &["esc", ":"]);
    type_text(&mut app, "table process_f");
    press(&mut app, &["tab"]);
    assert!(screen(&mut app).contains(":table process_file"));
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("Open files"));
    press(&mut app, &[":"]);
    type_text(&mut app, "fly");
    press(&mut app, &["enter"]);
    assert!(screen(&mut app).contains("no command fly"));
}

#[test]
fn what_is_seen_is_saved_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.csv");
    let (_, mut app) = sampled(3);
    press(&mut app, &["/"]);
    type_text(&mut app, "pid >= 1001");
    press(&mut app, &["enter", "p"]);
    for said in ["saved", "exists"] {
        press(&mut app, &[":"]);
        type_text(&mut app, &format!("save csv {}", path.display()));
        press(&mut app, &["enter"]);
        let shown = screen(&mut app);
        assert!(shown.contains(said), "{shown}");
    }
    let saved = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = saved.lines().collect();
    assert!(lines[0].contains("pid") && lines.len() == 3, "{saved}");
    assert!(lines[1].contains("1001") && lines[2].contains("1002"), "{saved}");
}

#[test]
fn a_copied_row_is_what_is_seen_of_it() {
    let (_, mut app) = sampled(3);
    press(&mut app, &["p", "down", "down"]);
    let outcome = super::input::act(&mut app, super::keymap::Act::Copy);
    let super::input::Outcome::Clipboard(text) = outcome else { panic!("nothing was copied") };
    assert!(text.starts_with("1001\tproc1\t") && text.ends_with("\tproc1"), "{text:?}");
}

#[test]
fn a_signal_names_its_process_begins_with_term_and_hits_exactly_it() {
    let (host, mut app) = sampled(3);
    assert!(screen(&mut app).contains("k:signal"));
    press(&mut app, &["k"]);
    assert!(screen(&mut app).contains("select a process first"));
    press(&mut app, &["p", "down", "down", "k"]);
    let asked = screen(&mut app);
    assert!(asked.contains("proc1 (pid 1001)"), "{asked}");
    press(&mut app, &["esc"]);
    assert!(host.acts.lock().unwrap().is_empty());
    press(&mut app, &["k", "enter", "k", "end", "enter"]);
    let acts = host.acts.lock().unwrap().clone();
    let signal = |signal| Action::Signal { pid: 1001, start: 1001, signal };
    assert_eq!(acts, [signal(libc::SIGTERM), signal(libc::SIGKILL)]);
    assert!(screen(&mut app).contains("sent KILL to proc1 (pid 1001)"));
}

#[test]
fn plus_is_nicer_and_minus_less_nice() {
    let (host, mut app) = sampled(3);
    app.clock = || Timestamp::from_seconds(1.8e9 + 2.5);
    press(&mut app, &["p", "down", "down", "down", "+", "+", "+", "-"]);
    let renice = |nice| Action::Renice { pid: 1002, start: 1002, nice };
    // the row says 2 until it is sampled again
    let mut acts = vec![renice(3), renice(4), renice(5), renice(4)];
    assert_eq!(*host.acts.lock().unwrap(), acts);
    press(&mut app, &["up", "down", "+"]);
    acts.push(renice(5));
    assert_eq!(*host.acts.lock().unwrap(), acts);
    // somebody else has set it since then
    let nice = ProcessRow::TABLE.position("nice").unwrap();
    host.publish(processes(3).with(2, nice, Value::I64(9)), 3);
    app.samples();
    press(&mut app, &["+"]);
    acts.push(renice(10));
    assert_eq!(*host.acts.lock().unwrap(), acts);
}

#[test]
fn a_read_only_dashboard_has_no_action_in_keys_hints_help_and_palette() {
    let settings = Settings { view: Some("processes".to_owned()), read_only: true, ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    app.size = (200, 100);
    host.publish(processes(3), 1);
    app.samples();
    press(&mut app, &["down", "down", "k", "+", "-"]);
    let shown = screen(&mut app);
    assert!(shown.contains("g:graph") && !shown.contains("signal") && !shown.contains("Send"), "{shown}");
    press(&mut app, &["?"]);
    let help = screen(&mut app);
    assert!(help.contains("reverse") && !help.contains("signal") && !help.contains("nicer"), "{help}");
    press(&mut app, &["esc", ":"]);
    for word in ["signal", "nice-up"] {
        type_text(&mut app, word);
        press(&mut app, &["enter"]);
        assert!(screen(&mut app).contains("no command"), "{word}");
        press(&mut app, &[":"]);
    }
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn files_and_environment_of_a_process_are_asked_for_only_while_they_are_shown() {
    let (host, mut app) = sampled(3);
    let wants = |host: &super::testing::Fake, table: &str| {
        host.wants.lock().unwrap().iter().find(|want| want.table == table).cloned()
    };
    press(&mut app, &["p", "down", "down", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("▸All · Open files · Environment"), "{shown}");
    assert!(wants(&host, "process_file").is_none());
    let row = host.wants.lock().unwrap().iter().find(|want| !want.ids.is_empty()).cloned().unwrap();
    assert!(row.table == "process" && row.columns.contains(&"pss".to_owned()), "{row:?}");
    press(&mut app, &["tab"]);
    screen(&mut app);
    assert_eq!(wants(&host, "process_file").unwrap().ids, [Value::U64(1001)]);
    assert!(wants(&host, "process_environment").is_none());
    // what came for another process is not shown for this one
    host.publish(Made::new(ProcessFileRow::TABLE, 1, "other"), 3);
    app.samples();
    let shown = screen(&mut app);
    assert!(shown.contains("waiting for the host") && !shown.contains("other0"), "{shown}");
    let pid = ProcessFileRow::TABLE.position("pid").unwrap();
    host.publish(Made::new(ProcessFileRow::TABLE, 1, "mine").with(0, pid, Value::U64(1001)), 4);
    app.samples();
    assert!(screen(&mut app).contains("mine0"));
    press(&mut app, &["tab"]);
    screen(&mut app);
    assert!(wants(&host, "process_file").is_none() && wants(&host, "process_environment").is_some());
    press(&mut app, &["esc"]);
    screen(&mut app);
    assert!(wants(&host, "process_environment").is_none());
}

#[test]
fn the_wheel_scrolls_and_clicks_select_sort_and_switch() {
    let (_, mut app) = sampled(90);
    app.size = (100, 40);
    press(&mut app, &["p"]);
    let at = |app: &mut super::app::App, word: &str| {
        let shown = screen(app);
        let (y, line) = shown.lines().enumerate().find(|(_, line)| line.contains(word)).unwrap();
        (line[..line.find(word).unwrap()].chars().count() as u16, y as u16)
    };
    let (x, y) = at(&mut app, "1002 proc2");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), x, y);
    assert_eq!(app.target().unwrap().pid, 1002);
    for _ in 0..3 {
        mouse(&mut app, MouseEventKind::ScrollDown, x, y);
    }
    let scrolled = screen(&mut app);
    assert!(!scrolled.contains("1002 proc2") && scrolled.contains("1020 proc20"), "{scrolled}");
    for _ in 0..3 {
        mouse(&mut app, MouseEventKind::ScrollUp, x, y);
    }
    assert!(screen(&mut app).contains("1002 proc2"));
    let (x, y) = at(&mut app, "MEM%");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), x + 1, y);
    assert!(screen(&mut app).contains("MEM%▼"));
    let (x, y) = at(&mut app, "Storage");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), x, y);
    assert!(screen(&mut app).contains("File systems"));
    // a panel that is clicked has the focus
    let (x, y) = at(&mut app, "Disks");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), x, y);
    assert_eq!(app.focused, Some("disks"));
    press(&mut app, &["esc"]);
    assert_eq!(app.focused, None);
}

#[test]
fn a_process_that_is_gone_is_not_signaled() {
    let (host, mut app) = sampled(9);
    press(&mut app, &["p", "end"]);
    assert_eq!(app.target().unwrap().pid, 1008);
    host.publish(processes(5), 3);
    app.samples();
    press(&mut app, &["k", "+"]);
    assert!(screen(&mut app).contains("the selected process is gone"));
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn the_list_of_tables_is_clicked_and_scrolled() {
    let (_, mut app) = app(at("explore"));
    screen(&mut app);
    assert!(
        screen(&mut app).contains("│ table                      rows  state     one row is"),
        "{}",
        screen(&mut app)
    );
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 5, 6);
    assert_eq!(app.explore, 2);
    mouse(&mut app, MouseEventKind::ScrollDown, 5, 5);
    mouse(&mut app, MouseEventKind::ScrollUp, 5, 5);
    assert_eq!(app.explore, 2);
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 5, 25);
    assert_eq!(app.explore, 2, "there is no table");
    let name = app.host.schema()[2].title();
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 5, 6);
    let opened = screen(&mut app);
    assert!(opened.contains(&format!("╭ {name}")), "{opened}");
    press(&mut app, &["esc"]);
    assert!(screen(&mut app).contains("Tables"));
    assert_eq!(app.explore, 2, "Esc comes back to the same line");
}

#[test]
fn that_a_neighbor_is_gone_is_acknowledged_with_the_key_of_alerts() {
    let (host, mut app) = app(at("routing"));
    *host.tables.lock().unwrap() = Some(&[OspfNeighborRow::TABLE]);
    let column = |name: &str| OspfNeighborRow::TABLE.position(name).unwrap();
    let state = |word: &str| Value::Label(word.into());
    for second in 1..=2 {
        let rows = Made::new(OspfNeighborRow::TABLE, 3, "frr").with(0, column("state"), state("Full"));
        host.publish(rows.with(1, column("expected"), Value::Bool(true)), second);
    }
    app.samples();
    assert!(screen(&mut app).contains("A:acknowledge"), "{}", screen(&mut app));
    press(&mut app, &["A"]);
    assert!(screen(&mut app).contains("select one that is Deleted"), "{}", screen(&mut app));
    // one that is expected, one that is not, and one that is there
    press(&mut app, &["down", "A", "down", "A", "down", "A"]);
    let acts = host.acts.lock().unwrap().clone();
    let [Action::Acknowledge { gone }] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!((gone.table.as_str(), gone.since), ("ospf_neighbor", Timestamp::from_seconds(1.7e9)));
    assert_eq!(gone.ids[0], Value::Text("frr2".into()));
    assert_eq!(gone.ids.len(), OspfNeighborRow::TABLE.ids().count());
}
