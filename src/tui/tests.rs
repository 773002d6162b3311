//! Does each key do what it says, on a host whose samples are known?

use super::app::Config;
use super::testing::{Made, app, press, screen, type_text};
use crate::collect::process::ProcessRow;
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
