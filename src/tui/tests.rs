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
