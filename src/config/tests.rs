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
        ("netns = 'blue'", "x.toml:1:9:", "expected a list"),
        ("netns = ['blue', '../x']", "x.toml:1:9:", "no name of a network namespace"),
        ("\n[collect.load]\n  intervall = '1s'", "x.toml:3:3:", "did you mean `interval`?"),
        ("[collect.load]\ninterval = 5", "x.toml:2:12:", "invalid type: integer"),
        ("[collect.load]\ninterval = '5GiB'", "x.toml:2:12:", "a duration"),
        ("[collect.load]\ninterval = '1ms'", "x.toml:2:12:", "between 100ms and 1d"),
        ("[collect.load]\nenabled = true\nenabled = false", "x.toml:3:1:", "duplicate key"),
        ("[collect.load]\n[collect.lod]", "x.toml:2:10:", "there is no collector `lod`; did you mean `load`?"),
        ("[trail]\nfile = 'changes'", "x.toml:2:8:", "`changes` is no path of a file from the root on"),
        ("[trail]\nfile = '/x'\nsize = '1KiB'", "x.toml:3:8:", "`1KiB` is not between 64KiB and 1TiB"),
        ("[trail]\nsize = '5s'", "x.toml:2:8:", "an amount of data is wanted"),
        ("[trail]\nfile = '/x'\n[collect.ruleset_change]\nenabled = false", "x.toml:2:8:", "is switched off"),
        ("[routing]\nsockets = ['ospfd.vty']", "x.toml:2:11:", "`ospfd.vty` is no control socket of a daemon"),
        (
            "[routing]\nsockets = ['/run/frr/zebra.vty']",
            "x.toml:2:11:",
            "is no control socket of a daemon that is known",
        ),
        ("[routing]\nexpect = ['10.0.0.2', 'r2']", "x.toml:2:10:", "`r2` is no neighbor: a router id or address"),
        ("[routing]\nkeep = '0s'", "x.toml:2:8:", "time `0s` is not between 1s and 30d"),
        ("[routing]\nkeep = '-1s'", "x.toml:2:8:", "`-1s` is below zero"),
        ("[serve]\nlisten = []\ncertificate = '/x'", "x.toml:3:15:", "has no key; key = \"FILE\" names it"),
        ("[serve]\nkey = '/x'", "x.toml:2:7:", "the key has no certificate"),
        ("mouse = 'no'", "x.toml:1:9:", "invalid type"),
        ("theme = 'nrod'", "x.toml:1:9:", "there is no theme `nrod`; did you mean `nord`?"),
        ("[colors]\ntext = '#ffffff'", "x.toml:1:2:", "that is a key of a theme"),
        ("theme=", "x.toml:1:7:", "a value is missing behind `=`"),
        ("theme = # dark", "x.toml:1:", "a value is missing behind `=`"),
        ("theme = nord", "x.toml:1:9:", "`nord` is no value; text is written in quotes"),
        ("theme = ''", "x.toml:1:9:", "there is no theme ``; it is one of default, "),
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
        ("[services]\n'tcp/99999' = 'x'", "x.toml:2:", "that is no protocol and port; for example \"tcp/8443\""),
        ("toggles = ['bits', 'netwrk']", "x.toml:1:20:", "there is no switch `netwrk`; did you mean `network`?"),
    ] {
        let found = problems(text);
        assert!(found.starts_with(place) && found.contains(message), "{text}\n{found}");
    }
}

#[test]
fn mistakes_about_routers_are_found_at_their_place() {
    for (text, place, message) in [
        (
            "[[routing.snmp]]\nname = 'a'\naddress = 'r2'",
            "x.toml:3:11:",
            "`r2` is no address with or without a port; names are not looked up",
        ),
        ("[[routing.snmp]]\nname = 'a'\naddress = '10.0.0.1'", "x.toml:2:8:", "router `a` has no community_file"),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '::1'\ncommunity_file = 'x'",
            "x.toml:4:18:",
            "`x` is no path from the root on",
        ),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '::1'\ncommunity_file = '/x'\ncommunity = 'public'",
            "x.toml:5:1:",
            "unknown field `community`, expected one of",
        ),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '::1'\nversion = '1'\ncommunity_file = '/x'",
            "x.toml:4:11:",
            "unknown variant `1`",
        ),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '0.0.0.0'\ncommunity_file = '/x'",
            "x.toml:3:11:",
            "no router answers at 0.0.0.0:161",
        ),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '::1'\ncommunity_file = '/x'\n\
             [[routing.snmp]]\nname = 'a'\naddress = '[::1]:161'\ncommunity_file = '/x'",
            "x.toml:6:8:",
            "there are two that are called `a`",
        ),
        (
            "[[routing.vty]]\nname = 'a'\naddress = '10.0.0.1:2604'",
            "x.toml:3:11:",
            "`10.0.0.1:2604` is no loopback address with a port",
        ),
        ("[[routing.vty]]\nname = 'a'\naddress = '[::1]:2606'", "x.toml:2:8:", "daemon `a` has no password_file"),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '::1'\ncommunity_file = '/x'\n\
             [[routing.vty]]\nname = 'a'\naddress = '[::1]:2605'\npassword_file = '/x'",
            "x.toml:6:8:",
            "there are two that are called `a`",
        ),
        (
            "[[routing.snmp]]\nname = 'a'\naddress = '[::1]:2604'\ncommunity_file = '/x'\n\
             [[routing.vty]]\nname = 'b'\naddress = '[::1]:2604'\npassword_file = '/x'",
            "x.toml:7:11:",
            "[::1]:2604 is asked already",
        ),
        (
            "[[routing.vty]]\nname = 'a'\naddress = '[::1]:2605'\npassword_file = '/x'",
            "x.toml:3:11:",
            "nothing says which daemon listens on port 2605",
        ),
    ] {
        let found = problems(text);
        assert!(found.starts_with(place) && found.contains(message), "{text}\n{found}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_together_in_its_order() {
    let text = "theme = 'nrod'\nmouze = true\ninterval = 'soon'\n[collect.lod]\nenabled = true\n[collect.load]\n\
                interval = 5\nbudgett = 1\nbudget = -1\n[show.link]\nhide = '('\n[[threshold]]\ntabel = 'load'\n\
                column = 'one'\n[[threshold]]\ntable = 'loda'\ncolumn = 'one'\ncareful = 1\n[layout]\noverview = 1";
    let found = problems(text);
    let lines: Vec<&str> = found.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["1", "2", "3", "4", "7", "8", "9", "11", "13", "16", "20"], "{found}");
    let found = problems("[[threshold]]\ntable = 'load'\ncolumn = 'one'\ncareful = { a = 1 }\n[collect]\nload = 1");
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.contains("x.toml:4:11: a limit is") && found.contains("x.toml:6:8: "), "{found}");
    let found = problems("theme = \nmouse = maybe\nascii = true\nascii = true\n[collect.load\n");
    assert_eq!(found.lines().count(), 4, "{found}");
}

#[test]
fn more_mistakes_than_anybody_reads_are_counted_off() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for n in 0..2000 {
        writeln!(text, "[collect.c{n}]").unwrap();
    }
    let found = problems(&text);
    assert_eq!(found.lines().count(), reading::MAX_MISTAKES + 1, "{found}");
    assert!(found.ends_with("there are more mistakes"), "{found}");
}

#[test]
fn a_mistake_quotes_nothing_that_a_terminal_would_obey() {
    let found = problems("theme = \"\\u001b[31m\\u202e\"\n\"\\u001b]0;x\\u0007\" = 1");
    assert!(found.contains("\\x1b[31m\\u{202e}") && found.contains("\\x1b]0;x\\x07"), "{found}");
    assert!(!found.chars().any(|ch| ch.is_control() && ch != '\n'), "{found:?}");
}

#[test]
fn a_nest_without_an_end_is_an_error() {
    for text in ["[".repeat(10_000), "a.".repeat(10_000) + "a = 1", "a = ".to_owned() + &"[".repeat(10_000)] {
        let found = problems(&text);
        assert!(found.starts_with("x.toml") && found.len() < 1000, "{}", found.len());
    }
}

/// Whether a value fits a schema, for the words that ours uses; an unknown word fails.
fn fits(root: &serde_json::Value, schema: &serde_json::Value, value: &serde_json::Value) -> bool {
    let inside = |schema: &serde_json::Value, value: &serde_json::Value| fits(root, schema, value);
    let Some(words) = schema.as_object() else { return schema.as_bool().unwrap() };
    words.iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "examples" | "format" | "then" => true,
        "$ref" => inside(root.pointer(&rule.as_str().unwrap()[1..]).unwrap(), value),
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("{other}"),
        },
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "enum" => rule.as_array().unwrap().contains(value),
        "const" => rule == value,
        "pattern" => {
            value.as_str().is_none_or(|text| regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(text))
        }
        "anyOf" => rule.as_array().unwrap().iter().any(|one| inside(one, value)),
        "allOf" => rule.as_array().unwrap().iter().all(|one| inside(one, value)),
        "if" => !inside(rule, value) || inside(&words["then"], value),
        "items" => value.as_array().is_none_or(|list| list.iter().all(|one| inside(rule, one))),
        "required" => rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "properties" => {
            let known = rule.as_object().unwrap();
            value.as_object().is_none_or(|map| map.iter().all(|(k, v)| known.get(k).is_none_or(|rule| inside(rule, v))))
        }
        "patternProperties" => value
            .as_object()
            .is_none_or(|map| map.iter().all(|(key, value)| patterns(words, key).all(|rule| inside(rule, value)))),
        "additionalProperties" => {
            let known = words.get("properties").and_then(serde_json::Value::as_object);
            let named = |key: &String| {
                known.is_some_and(|known| known.contains_key(key)) || patterns(words, key).next().is_some()
            };
            value.as_object().is_none_or(|map| map.iter().all(|(k, v)| named(k) || inside(rule, v)))
        }
        other => panic!("{other}"),
    })
}

/// What is said of keys of this form.
fn patterns<'a>(
    words: &'a serde_json::Map<String, serde_json::Value>,
    key: &'a str,
) -> impl Iterator<Item = &'a serde_json::Value> {
    let all = words.get("patternProperties").and_then(serde_json::Value::as_object).into_iter().flatten();
    all.filter(move |(form, _)| regex::Regex::new(form).unwrap().is_match(key)).map(|(_, rule)| rule)
}

#[test]
fn the_json_schema_takes_what_the_program_takes() {
    let schema = Config::schema();
    let good = |text: &str| {
        let value = serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
        let (fits, problems) = (fits(&schema, &schema, &value), problems(text));
        assert_eq!(fits, problems.is_empty(), "{text}\n{problems}");
        fits
    };
    for text in [
        DEFAULTS,
        "",
        "theme = 'nord'\nview = 'load'\ninterval = '1m 30s'\ntoggles = ['bits']\nfilter = 'cpu > 1%'",
        "[collect.load]\ninterval = '500ms'\nenabled = false\nbudget = 0.5",
        "[show.link]\nhide = 'x'\nalias = { a = 'b' }",
        "[[threshold]]\ntable = 'load'\ncolumn = 'one'\nrow = 'x'\ncareful = 1\nwarning = 2.5",
        "[[threshold]]\ntable = 'link'\ncolumn = 'state'\ncritical = ['down']",
        "[serve]\nmetrics_series = 2000\nallow_actions = true",
        "[keys]\nquit = ['f12']\n[layout]\noverview = ['cpu']",
        "[services]\n'tcp/8443' = 'panel'\n'udp/0' = 'zero'\n'sctp/65535' = 'last'",
    ] {
        assert!(good(text), "{text}");
    }
    for text in [
        "colect = 1",
        "theme = 5",
        "view = 'cppu'",
        "interval = 2",
        "interval = 'soon'",
        "toggles = ['bitts']",
        "mouse = 'yes'",
        "[collect.lod]\nenabled = true",
        "[collect.load]\nintervall = '1s'",
        "[collect.load]\ninterval = '5GiB'",
        "[collect.load]\nbudget = '5%'",
        "[show.lnk]\nhide = 'x'",
        "[show.link]\nhid = 'x'",
        "[[threshold]]\ntable = 'load'\ncareful = 1",
        "[[threshold]]\ntable = 'load'\ncolumn = 'onee'\ncareful = 1",
        "[[threshold]]\ntable = 'loda'\ncolumn = 'one'\ncareful = 1",
        "[serve]\nmetrics_series = -1",
        "[keys]\nquit = 'q'",
        "[keys]\nqiut = ['q']",
        "[services]\n'tcp/65536' = 'x'",
        "[services]\n'tcp/0443' = 'x'",
        "[services]\n'tpc/443' = 'x'",
        "[services]\n443 = 'x'",
        "[services]\n'tcp/443' = ' '",
        "[services]\n'tcp/443' = 443",
        "[layout]\noverview = ['cppu']",
        "[layout]\novervie = []",
    ] {
        assert!(!good(text), "{text}");
    }
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
        ("NETGLANCE_THEME", "nord", "sets no key; did you mean `NETGLANCE__THEME`?"),
        ("NETGLANCE_COLLECT_NUMA_NODE_INTERVAL", "1s", "did you mean `NETGLANCE__COLLECT__NUMA_NODE__INTERVAL`?"),
        ("NETGLANCE_COLECT__LOAD__BUDGET", "1", "did you mean `NETGLANCE__COLLECT__LOAD__BUDGET`?"),
        ("NETGLANCE_ZEBRA", "1", "two underscores"),
    ] {
        let found = environment(&[(name, value)]).unwrap_err().to_string();
        assert!(found.starts_with(name) && found.contains(message), "{found}");
    }
}

#[test]
fn all_wrong_variables_are_reported_and_so_are_two_that_want_the_same_key() {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = OsString::from_vec(b"NETGLANCE__\xff".to_vec());
    let file = (Path::new("x.toml"), "mouze = true");
    let all = [("NETGLANCE__THEME", "nrod"), ("NETGLANCE__COLLECT__LOAD", "1")];
    let all =
        all.map(|(name, value)| (OsString::from(name), OsString::from(value))).into_iter().chain([(bytes, "1".into())]);
    let found = load::compose(Some(file), all).unwrap_err().to_string();
    let places: Vec<&str> = found.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(places, ["x.toml", "NETGLANCE__COLLECT__LOAD", "NETGLANCE__THEME", "NETGLANCE__\\xff"], "{found}");
    assert!(found.contains("expected a section"), "{found}");
    let file = (Path::new("x.toml"), "[keys]\nquit = ['f11']");
    let variable = (OsString::from("NETGLANCE__KEYS__HELP"), OsString::from("['f11']"));
    let found = load::compose(Some(file), [variable]).unwrap_err().to_string();
    assert!(found.contains("`f11` is wanted by"), "{found}");
}

#[test]
fn rules_of_the_user_come_before_the_defaults() {
    let mut below = toml::from_str("[[rule]]\na = 1\n[other]\nx = 1\ny = 1").unwrap();
    load::overlay(&mut below, toml::from_str("[[rule]]\na = 2\n[other]\ny = 2").unwrap());
    assert_eq!(below, toml::from_str::<toml::Table>("rule = [{a=2},{a=1}]\nother = {x=1,y=2}").unwrap());
    load::overlay(&mut below, toml::from_str("rule = []").unwrap());
    assert_eq!(below.get("rule"), Some(&toml::Value::Array(Vec::new())));
}

#[test]
fn an_empty_list_takes_away_what_was_there() {
    let file = (Path::new("x.toml"), "toggles = ['disks']\nthreshold = []");
    let variable = (OsString::from("NETGLANCE__TOGGLES"), OsString::from("[]"));
    let config = load::compose(Some(file), [variable]).unwrap();
    assert!(config.dashboard.toggles.is_empty());
    assert_eq!(config.threshold, Config::default().threshold);
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
    names(schemars::schema_for!(Config).as_value(), &mut found);
    assert!(found.len() > 15, "{found:?}");
    for name in found {
        let starts = [format!("{name} = "), format!("[{name}]"), format!("[{name}."), format!("[[{name}]]")];
        let inner = format!(".{name}]]");
        let is_named = |line: &str| {
            let line = line.trim_start_matches("# ");
            starts.iter().any(|start| line.starts_with(start)) || (line.starts_with("[[") && line.ends_with(&inner))
        };
        assert!(DEFAULTS.lines().any(is_named), "config/netglance.toml does not name `{name}`");
    }
}
