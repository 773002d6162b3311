use std::ffi::OsString;
use std::path::Path;

use super::*;

fn problems(text: &str) -> String {
    match load::compose(Some((Path::new("x.toml"), text)), []) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

fn environment(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    load::compose(None, variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

#[test]
fn every_mistake_is_found_at_its_place() {
    for (text, place, message) in [
        ("colect = 1", "x.toml:1:1:", "did you mean `collect`?"),
        ("\n[collect.load]\n  intervall = '1s'", "x.toml:3:3:", "did you mean `interval`?"),
        ("[collect.load]\ninterval = 5", "x.toml:2:12:", "invalid type: integer"),
        ("[collect.load]\ninterval = '5GiB'", "x.toml:2:12:", "a duration"),
        ("[collect.load]\ninterval = '1ms'", "x.toml:2:12:", "between 100ms and 1d"),
        ("[collect.load]\nenabled = true\nenabled = false", "x.toml:3:1:", "duplicate key"),
        ("[collect.load]\n[collect.lod]", "x.toml:2:10:", "there is no collector `lod`; did you mean `load`?"),
        ("mouse = 'no'", "x.toml:1:9:", "invalid type"),
        ("theme = 'nrod'", "x.toml:1:9:", "there is no theme `nrod`; did you mean `nord`?"),
        ("ascii = true\nmouze = true", "x.toml:2:1:", "did you mean `mouse`?"),
        ("view = 'overvew'", "x.toml:1:8:", "did you mean `overview`?"),
        ("[layout]\noverview = ['cpu', 'proces']", "x.toml:2:20:", "there is no panel `proces`"),
        ("interval = 'soon'", "x.toml:1:12:", "soon"),
        ("filter = 'cpuu > 1%'", "x.toml:1:10:", "did you mean `cpu`?"),
        ("[show.loda]\nhide = 'x'", "x.toml:1:7:", "did you mean `load`?"),
        ("[show.load]\nhide = '('", "x.toml:2:8:", "unclosed"),
        ("[show.load]\nhid = 'x'", "x.toml:2:1:", "did you mean `hide`?"),
        ("[[threshold]]\ntable = 'load'\ncolumn = 'onee'\ncareful = 1", "x.toml:3:10:", "did you mean `one`?"),
        ("[[threshold]]\ntable = 'loda'\ncolumn = 'one'\ncareful = 1", "x.toml:2:9:", "did you mean `load`?"),
        ("[[threshold]]\ntable = 'load'\ncolumn = 'one'\ncareful = '5s'", "x.toml:4:11:", "a duration"),
        ("[[threshold]]\ntable = 'load'\ncolumn = 'one'\nrow = '('\ncareful = 1", "x.toml:4:7:", ""),
        ("[collect.load", "x.toml:1:14:", ""),
        ("[keys]\nqit = ['q']", "x.toml:2:7:", "there is no action `qit`; did you mean `quit`?"),
        ("[keys]\nquit = ['q', 'hoem']", "x.toml:2:14:", "`hoem` is no key for `quit`; did you mean `home`?"),
        ("[keys]\nquit = ['f99']", "x.toml:2:9:", "written like"),
        ("[keys]\nquit = ['f12', '?']", "x.toml:2:16:", "`?` is wanted by `quit` and by `help`"),
        ("[keys]\nquit = 'q'", "x.toml:2:8:", "invalid type"),
        ("read_only = true\n[keys]\nquit = ['k']", "x.toml:3:9:", "`k` is wanted by `quit` and by `signal`"),
        ("toggles = ['bits', 'netwrk']", "x.toml:1:20:", "there is no switch `netwrk`; did you mean `network`?"),
    ] {
        let found = problems(text);
        assert!(found.starts_with(place) && found.contains(message), "{text}\n{found}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_together() {
    assert_eq!(problems("collect.a.enabled = true\ncollect.b.enabled = true").lines().count(), 2);
}

#[test]
fn the_installed_file_holds_the_defaults_of_the_code() {
    // thresholds have no other home than the file
    let config = load::compose(None, []).unwrap();
    assert!(!config.threshold.is_empty());
    assert_eq!(Config { threshold: Vec::new(), ..config }, Config::default());
    load::check_text(Path::new("config/netglance.toml"), DEFAULTS).unwrap();
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = (Path::new("x.toml"), "[collect.load]\ninterval = '5s'\nbudget = 0.5");
    let variable = (OsString::from("NETGLANCE__COLLECT__LOAD__INTERVAL"), OsString::from("7s"));
    let config = load::compose(Some(file), [variable]).unwrap();
    let load = &config.collect.collectors["load"];
    assert_eq!(load.interval, Some("7s".parse().unwrap()));
    assert!((load.budget - 0.5).abs() < 1e-9);
}

#[test]
fn a_wrong_variable_is_an_error_that_names_it() {
    for (name, value, message) in [
        ("NETGLANCE__COLECT__LOAD__INTERVAL", "1s", "did you mean `collect`?"),
        ("NETGLANCE__COLLECT__LOAD__INTERVALL", "1s", "did you mean `interval`?"),
        ("NETGLANCE__COLLECT__LOD__INTERVAL", "1s", "did you mean `load`?"),
        ("NETGLANCE__COLLECT__LOAD__INTERVAL", "soon", "soon"),
        ("NETGLANCE__COLLECT__LOAD__ENABLED", "perhaps", "invalid type"),
    ] {
        let found = environment(&[(name, value)]).unwrap_err().to_string();
        assert!(found.starts_with(name) && found.contains(message), "{found}");
    }
}

#[test]
fn rules_of_the_user_come_before_the_defaults() {
    let mut below = toml::from_str("[[rule]]\na = 1\n[other]\nx = 1\ny = 1").unwrap();
    load::overlay(&mut below, toml::from_str("[[rule]]\na = 2\n[other]\ny = 2").unwrap());
    assert_eq!(below, toml::from_str::<toml::Table>("rule = [{a=2},{a=1}]\nother = {x=1,y=2}").unwrap());
}

#[test]
fn the_installed_file_names_every_key_there_is() {
    fn names(value: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(serde_json::Value::as_object) {
            found.extend(properties.keys().cloned());
        }
        match value {
            serde_json::Value::Object(map) => map.values().for_each(|value| names(value, found)),
            serde_json::Value::Array(list) => list.iter().for_each(|value| names(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    names(Config::schema().as_value(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for name in found {
        let starts = [format!("{name} = "), format!("[{name}]"), format!("[{name}."), format!("[[{name}]]")];
        let is_named = |line: &str| starts.iter().any(|start| line.trim_start_matches("# ").starts_with(start));
        assert!(DEFAULTS.lines().any(is_named), "config/netglance.toml does not name `{name}`");
    }
}
