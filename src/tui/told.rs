//! Is what a person must know on the screen, on small ones too?

use super::app::{App, Config};
use super::testing::{Made, app, press, screen, type_text};
use crate::collect::disk::DiskRow;
use crate::collect::process::ProcessRow;
use crate::tui::settings::Settings;

fn at(view: &str) -> Config {
    let settings = Settings { view: Some(view.to_owned()), ..Settings::default() };
    Config { settings, ..Config::default() }
}

/// A dashboard of three processes.
fn sampled() -> App {
    let (host, mut app) = app(at("processes"));
    host.publish(Made::new(ProcessRow::TABLE, 3, "proc"), 1);
    app.samples();
    screen(&mut app);
    app
}

#[test]
fn a_wrong_filter_is_told_on_the_smallest_screens() {
    for (size, told) in [((10, 1), "✖"), ((20, 5), "no column `nonsense`"), ((40, 8), "no column `nonsense`")] {
        let mut app = sampled();
        app.size = size;
        press(&mut app, &["/"]);
        type_text(&mut app, "nonsense > 1");
        let screen = screen(&mut app).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(screen.contains(told), "{size:?}: {screen}");
    }
}

#[test]
fn what_is_told_is_seen_on_screens_without_a_line_for_it() {
    for rows in 1..8 {
        let mut app = sampled();
        app.size = (40, rows);
        press(&mut app, &["k"]);
        assert!(screen(&mut app).contains("select a process first"), "{rows} rows: {}", screen(&mut app));
        press(&mut app, &["down"]);
        assert!(!screen(&mut app).contains("select a process first"), "{rows} rows: {}", screen(&mut app));
    }
}

#[test]
fn the_way_out_of_a_dialog_is_told_before_what_else_it_can() {
    let mut app = sampled();
    app.size = (40, 8);
    press(&mut app, &["down", "k"]);
    let screen = screen(&mut app);
    assert!(screen.lines().last().is_some_and(|hints| hints.contains("esc:send nothing")), "{screen}");
}

#[test]
fn hints_name_only_what_can_be_done_here() {
    for (view, there, missing) in [
        ("network", &["views", "panel", "palette"][..], &["details", "sort", "graph", "filter", "tree"][..]),
        ("topology", &["areas", "views"], &["databases", "details"]),
        ("routing", &["databases"], &["areas"]),
        ("explore", &["open"], &["details", "sort", "graph", "filter", "panel"]),
        ("disk", &["details", "sort", "graph", "filter"], &["signal", "tree", "panel", "open"]),
        ("processes", &["details", "sort", "filter", "signal", "tree"], &["open"]),
    ] {
        let (host, mut app) = app(at(view));
        host.publish(Made::new(ProcessRow::TABLE, 3, "proc"), 1);
        host.publish(Made::new(DiskRow::TABLE, 3, "sd"), 1);
        app.samples();
        app.size = (250, 40);
        let screen = screen(&mut app);
        let hints = screen.lines().last().unwrap_or_default();
        let has = |word: &&str| hints.contains(&format!(":{word}"));
        assert!(there.iter().all(has) && !missing.iter().any(has), "{view}: {hints}");
    }
}

#[test]
fn help_tells_the_keys_of_a_view_first_and_what_maps_say_where_they_are() {
    for (view, key, of_maps) in [("topology", "*", true), ("routing", "%", false)] {
        let (_, mut app) = app(at(view));
        app.size = (200, 150);
        press(&mut app, &["?"]);
        let shown = screen(&mut app);
        let here: Vec<&str> = shown.lines().skip_while(|line| !line.contains("Keys here")).skip(1).take(2).collect();
        assert!(here.join(" ").contains(&format!("{key}  ")), "{view}: {here:?}");
        assert_eq!(shown.contains("what a link costs there and back"), of_maps, "{view}: {shown}");
    }
}

#[test]
fn tables_of_the_list_that_have_no_room_are_counted() {
    let (_, mut app) = app(at("explore"));
    app.size = (80, 10);
    let rest = app.host.schema().len() - 4;
    assert!(screen(&mut app).contains(&format!(" +{rest} ╮")), "{}", screen(&mut app));
    press(&mut app, &["end"]);
    assert!(screen(&mut app).contains(&format!("↑ +{rest} ╮")), "{}", screen(&mut app));
}

#[test]
fn details_tell_all_of_what_a_column_is() {
    for cells in [60, 80, 120, 200] {
        let mut app = sampled();
        app.size = (cells, 200);
        press(&mut app, &["e"]);
        let screen = screen(&mut app);
        let words = screen.replace(['┃', '\n'], " ");
        let words: Vec<&str> = words.split_whitespace().collect();
        assert!(!screen.contains('…'), "{cells}: {screen}");
        for column in ProcessRow::TABLE.columns.iter() {
            let last = column.help.split_whitespace().last().unwrap();
            assert!(words.contains(&last), "{cells}: {}: {screen}", column.name);
        }
    }
}
