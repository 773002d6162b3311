//! Do dialogs, switches and a new configuration hold at every size and after every step?

use crossterm::event::{MouseButton, MouseEventKind};

use super::app::{App, Config};
use super::testing::{Fake, Made, app, mouse, press, screen, type_text};
use crate::collect::process::ProcessRow;
use crate::model::Value;
use crate::tui::settings::Settings;

fn processes(count: usize) -> Made {
    Made::new(ProcessRow::TABLE, count, "proc")
}

/// A dashboard of processes that have not been sampled.
fn unsampled() -> (std::sync::Arc<Fake>, App) {
    let settings = Settings { view: Some("processes".to_owned()), ..Settings::default() };
    app(Config { settings, ..Config::default() })
}

#[test]
fn every_dialog_is_drawn_at_every_size() {
    let (host, mut app) = unsampled();
    host.publish(processes(3), 1);
    app.samples();
    for keys in [&["?"][..], &[":"], &["/"], &["v"], &["e"], &["g"], &["k"]] {
        press(&mut app, &["down"]);
        press(&mut app, keys);
        assert!(!matches!(app.overlay, super::overlay::Overlay::None), "{keys:?}");
        for (width, height) in (0..20).flat_map(|width| (0..20).map(move |height| (width, height))) {
            app.size = (width, height);
            screen(&mut app);
        }
        app.size = (100, 30);
        press(&mut app, &["esc"]);
    }
}

#[test]
fn a_signal_is_not_sent_unseen() {
    let (host, mut app) = unsampled();
    host.publish(processes(3), 1);
    app.samples();
    press(&mut app, &["down", "k"]);
    app.size = (60, 10);
    for _ in super::overlay::SIGNALS {
        press(&mut app, &["down"]);
    }
    let shown = screen(&mut app);
    assert!(shown.contains("KILL"), "{shown}");
}

#[test]
fn a_dialog_has_the_wheel_and_keeps_clicks_from_what_lies_below() {
    let (_, mut app) = app(Config::default());
    let theme = app.theme.name.clone();
    press(&mut app, &[":"]);
    type_text(&mut app, "theme nord");
    assert_eq!(app.theme.name, "nord");
    mouse(&mut app, MouseEventKind::Down(MouseButton::Left), 20, 1);
    press(&mut app, &["esc"]);
    assert_eq!(app.theme.name, theme);
    press(&mut app, &["?"]);
    let top = screen(&mut app);
    mouse(&mut app, MouseEventKind::ScrollDown, 20, 9);
    assert_ne!(screen(&mut app), top);
}

#[test]
fn switches_of_the_settings_hold_in_tables_and_in_an_own_layout() {
    let layout = super::settings::Layout { overview: vec!["memory".to_owned(), "processes".to_owned()] };
    let settings = Settings { layout, toggles: vec!["bits".to_owned()], ..Settings::default() };
    let (_, mut app) = app(Config { settings, ..Config::default() });
    assert!(app.style().bits);
    press(&mut app, &["b"]);
    assert!(!app.style().bits);
    let shown = screen(&mut app);
    assert!(shown.contains("Processes") && shown.contains("Memory"), "{shown}");
    press(&mut app, &["z"]);
    let shown = screen(&mut app);
    assert!(!shown.contains("╭ Processes") && shown.contains("Memory"), "{shown}");
}

#[test]
fn processes_in_a_loop_of_parents_stay_in_the_tree() {
    let (host, mut app) = unsampled();
    let parent = ProcessRow::TABLE.position("parent").unwrap();
    let looped = processes(4).with(0, parent, Value::U64(1001)).with(1, parent, Value::U64(1000));
    host.publish(looped, 1);
    app.samples();
    press(&mut app, &["f5"]);
    let shown = screen(&mut app);
    for pid in 1000..1004 {
        assert_eq!(shown.matches(&format!(" {pid} ")).count(), 1, "{shown}");
    }
}

#[test]
fn a_theme_that_was_chosen_stays_until_the_configuration_names_another() {
    let (_, mut app) = app(Config::default());
    let _ = super::testing::command(&mut app, "theme nord");
    app.configure(Config::default()).unwrap();
    assert_eq!(app.theme.name, "nord");
    let settings = Settings { theme: "light".to_owned(), ..Settings::default() };
    app.configure(Config { settings, ..Config::default() }).unwrap();
    assert_eq!(app.theme.name, "light");
}

#[test]
fn the_time_of_day_can_be_hidden() {
    let (_, mut app) = app(Config::default());
    let colons = |app: &mut App| screen(app).lines().next().unwrap().matches(':').count();
    assert_eq!(colons(&mut app), 2);
    press(&mut app, &["N"]);
    assert_eq!(colons(&mut app), 0);
}

#[test]
fn no_signal_is_sent_while_its_process_is_not_named() {
    for (size, fits) in [
        ((100, 30), true),
        ((20, 3), true),
        ((20, 2), true),
        ((40, 7), true),
        ((20, 1), false),
        ((10, 1), false),
        ((8, 4), false),
    ] {
        let (host, mut app) = app(Config::default());
        host.publish(Made::new(ProcessRow::TABLE, 3, "proc"), 1);
        app.samples();
        press(&mut app, &["p", "down", "down", "k"]);
        app.size = size;
        press(&mut app, &["end", "up"]);
        let shown = screen(&mut app);
        let asked = shown.contains("proc1 (pid 1001)") && shown.contains("USR2");
        assert_eq!(asked, fits, "{size:?}: {shown}");
        press(&mut app, &["enter"]);
        assert_eq!(host.acts.lock().unwrap().len(), usize::from(fits), "{size:?}");
        if !fits {
            assert!(screen(&mut app).contains("nothing"), "{size:?}");
            app.size = (100, 30);
            assert!(screen(&mut app).contains("before name and pid"));
            press(&mut app, &["enter"]);
            assert_eq!(host.acts.lock().unwrap().len(), 1, "the question is still there");
        }
    }
}

#[test]
fn keys_that_come_before_the_question_was_drawn_send_nothing() {
    let (host, mut app) = app(Config::default());
    host.publish(Made::new(ProcessRow::TABLE, 3, "proc"), 1);
    app.samples();
    press(&mut app, &["p", "down", "k"]);
    screen(&mut app);
    press(&mut app, &["esc"]);
    type_text(&mut app, "k");
    let enter = crossterm::event::Event::Key(crossterm::event::KeyCode::Enter.into());
    let _ = super::input::handle(&mut app, enter);
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn a_switch_says_what_it_has_done() {
    let (_, mut app) = app(Config::default());
    for (key, first, second) in [
        ("n", "network: hidden", "network: shown"),
        ("S", "sparklines: hidden", "sparklines: shown"),
        ("b", "bits: on", "bits: off"),
    ] {
        for words in [first, second] {
            press(&mut app, &[key]);
            assert!(screen(&mut app).contains(words), "{words}");
        }
    }
}

#[test]
fn a_screen_without_panels_says_which_keys_bring_them_back() {
    let (_, mut app) = app(Config::default());
    press(&mut app, &["n", "f", "d", "s", "z", "2", "5", "3", "S"]);
    press(&mut app, &["l"]);
    app.message = None;
    let shown = screen(&mut app);
    assert!(app.panes.is_empty() && shown.contains("their keys bring them back"), "{shown}");
    for words in ["n:network", "z:processes", "5:the top row"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("sparklines"), "{shown}");
    press(&mut app, &["z"]);
    assert!(!screen(&mut app).contains("bring them back"));
}

#[test]
fn a_palette_without_a_match_says_so_unless_anything_may_be_typed() {
    let (_, mut app) = app(Config::default());
    press(&mut app, &[":"]);
    type_text(&mut app, "zzz");
    assert!(screen(&mut app).contains("nothing matches"));
    press(&mut app, &["esc", ":"]);
    type_text(&mut app, "save csv zzz");
    assert!(!screen(&mut app).contains("nothing matches"));
}

#[test]
fn what_is_called_as_it_is_typed_comes_before_what_only_has_that_in_its_name() {
    let (_, mut app) = app(Config::default());
    press(&mut app, &[":"]);
    type_text(&mut app, "process");
    let shown = screen(&mut app);
    let places = ["table process ", "view processes", "table process_file"].map(|words| shown.find(words));
    assert!(places[0].is_some() && places[0] < places[1] && places[0] < places[2], "{shown}");
}

#[test]
fn tabs_without_room_are_counted_and_the_shown_page_has_its_tab() {
    let (_, mut app) = app(Config::default());
    let all: Vec<&str> = crate::panel::VIEWS.iter().map(|view| view.title).chain(["Explore"]).collect();
    for width in [60, 40, 20] {
        app.size = (width, 24);
        let pages = [(super::app::Page::View(0), "Overview"), (super::app::Page::Explore, "Explore")];
        for (page, title) in pages {
            app.go(page);
            let shown = screen(&mut app);
            let tabs: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
            let counted: usize = tabs.iter().filter_map(|word| word.strip_prefix('+')?.parse::<usize>().ok()).sum();
            let titles = tabs.iter().filter(|word| all.contains(word)).count();
            assert_eq!(titles + counted, all.len(), "{shown}");
            assert!(counted > 0 && tabs.contains(&title), "{shown}");
        }
    }
    app.size = (80, 24);
    assert!(!screen(&mut app).lines().nth(1).unwrap().contains("Overview +"));
}

#[test]
fn details_tell_the_unit_of_what_is_shown() {
    let (host, mut app) = unsampled();
    host.publish(processes(1), 1);
    host.publish(processes(1), 2);
    app.samples();
    app.size = (160, 60);
    press(&mut app, &["e"]);
    let shown = screen(&mut app);
    for (column, unit) in [("user_time ", "[of a CPU]"), ("minor_faults/s ", "[events/s]"), ("rss ", "[bytes]")] {
        let line = shown.lines().find(|line| line.contains(&format!("┃{column}")));
        assert!(line.is_some_and(|line| line.contains(unit)), "{column}: {shown}");
    }
    // a time of 0:01.00 says itself what it is
    assert!(shown.contains("time+ ") && !shown.contains("[seconds]"), "{shown}");
}

#[test]
fn details_of_a_row_that_is_gone_keep_what_was_known_last() {
    let (host, mut app) = unsampled();
    host.publish(processes(5), 1);
    app.samples();
    press(&mut app, &["p", "end", "enter"]);
    assert!(screen(&mut app).contains("proc4") && !screen(&mut app).contains("gone since"));
    for second in 2..5 {
        host.publish(processes(4), second);
        app.samples();
        let since = crate::panel::clock(crate::model::Timestamp::from_seconds(1.8e9 + 2.0));
        let shown = screen(&mut app);
        assert!(shown.contains(&format!("proc4  gone since {since}")) && shown.contains("1004"), "{shown}");
    }
    press(&mut app, &["tab"]);
    assert!(screen(&mut app).contains("nothing more can be asked"), "{}", screen(&mut app));
    // opened after the end, as long as the past still has it
    press(&mut app, &["esc", "enter"]);
    let shown = screen(&mut app);
    assert!(shown.contains("proc4  gone since") && shown.contains("1004"), "{shown}");
    // one that comes back is no longer gone
    host.publish(processes(5), 5);
    app.samples();
    assert!(!screen(&mut app).contains("gone since"));
}

#[test]
fn a_signal_that_can_do_nothing_is_told_before_it_is_sent() {
    let state = ProcessRow::TABLE.position("state").unwrap();
    let (host, mut app) = unsampled();
    let with = |rows: Made, word: &str| rows.with(2, state, Value::Label(word.into()));
    host.publish(with(processes(3), "sleeping"), 1);
    app.samples();
    press(&mut app, &["p", "end", "k"]);
    for size in [(100, 30), (60, 9), (60, 5)] {
        app.size = size;
        assert!(!screen(&mut app).contains("▲ it has ended"), "{}", screen(&mut app));
        host.publish(with(processes(3), "zombie"), 2);
        assert!(screen(&mut app).contains("it has ended and waits for its parent"), "{}", screen(&mut app));
        host.publish(processes(2), 3);
        assert!(screen(&mut app).contains("it has ended, nothing is left to signal"), "{}", screen(&mut app));
        host.publish(with(processes(3), "sleeping"), 4);
    }
    assert!(host.acts.lock().unwrap().is_empty());
}

#[test]
fn help_stands_in_as_many_columns_as_have_room_and_what_lies_below_steps_back() {
    let (host, mut app) = unsampled();
    host.publish(processes(9), 1);
    app.samples();
    for (size, columns) in [((80, 24), 1), ((120, 40), 2), ((200, 60), 3)] {
        app.size = size;
        press(&mut app, &["p", "down"]);
        let cell = |app: &mut App| super::screen::draw(app).cell((2, size.1 - 2)).unwrap().clone();
        let before = cell(&mut app);
        press(&mut app, &["?"]);
        let shown = screen(&mut app);
        // beside one of them may stand the end of a longer one
        let some = ["go back; never quits", "up one row", "down one row", "first row"];
        let lines = shown.lines().filter(|line| some.iter().any(|help| line.contains(help)));
        let apart = lines
            .map(|line| line.trim_matches(|ch| ch != '┃').split("  ").filter(|part| part.trim().len() > 9).count());
        assert!(apart.max() >= Some(columns), "{columns} columns: {shown}");
        assert!(shown.contains("┏ Help"), "{shown}");
        let below = cell(&mut app);
        assert!(columns == 1 || below.fg != before.fg, "what lies below is as it was: {below:?}");
        press(&mut app, &["esc"]);
        assert_eq!(cell(&mut app), before);
    }
}
