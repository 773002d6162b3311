//! Does each key do what it says, on a host whose samples are known?

use super::app::Config;
use super::testing::{Made, app, press, screen, type_text};
use crate::collect::load::LoadRow;
use crate::collect::process::ProcessRow;
use crate::model::{Text, Value};
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
    let keymap = super::keymap::Keymap::new(&std::collections::BTreeMap::new(), false).unwrap();
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
    assert!(programs.contains("Processes 3 ") && programs.contains("twin ×2"), "{programs}");
    // threads of rows 2 and 3 are 3 and 4
    let line = programs.lines().find(|line| line.contains("twin ×2")).unwrap();
    assert!(line.split_whitespace().any(|word| word == "7"), "{line}");
    press(&mut app, &["down", "down", "down", "k"]);
    assert!(screen(&mut app).contains("several processes"));
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
