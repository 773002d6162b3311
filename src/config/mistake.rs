//! What parses and still cannot be meant?
//!
//! Names of collectors, tables, columns, themes and panels are checked against what there is.

use std::ops::Range;
use std::path::PathBuf;

use super::{Config, Refusal, names, nearest};
use crate::collect::schedule;
use crate::collect::settings::Interval;
use crate::model::Text;
use crate::panel::show::ShowError;
use crate::panel::{PROTOCOLS, SORTS};
use crate::source::ovs::switch;
use crate::source::routing::{ask, daemon};
use crate::store::expr::Filter;
use crate::store::level::Thresholds;
use crate::tui::keymap::{self, KeyError, Keymap};
use crate::tui::theme::{self, Ability, Theme, ThemeError};

/// A mistake and the keys that lead to it from the top; elements of lists go by their number.
pub(super) struct Mistake {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) hint: String,
    /// Where it really is, if another file was named there.
    pub(super) elsewhere: Option<String>,
}

/// Names that a hint lists at most.
const LISTED: usize = 16;

impl Mistake {
    fn new(path: &[&str], message: impl Into<String>, hint: impl Into<String>) -> Self {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        Self { path, message: message.into(), hint: hint.into(), elsewhere: None }
    }

    fn of_theme(error: ThemeError) -> Self {
        match error {
            ThemeError::Parse { place, cause } => Self { elsewhere: Some(place), ..Self::new(&["theme"], cause, "") },
            ThemeError::Read { path, cause } => {
                Self { elsewhere: Some(path), ..Self::new(&["theme"], format!("cannot be read: {cause}"), "") }
            }
            ThemeError::Unknown { .. } => Self::new(&["theme"], error.to_string(), ""),
        }
    }

    /// As something refused, with its place in a text if it has one there.
    pub(super) fn refused(self, span: Option<Range<usize>>) -> Refusal {
        Refusal { span, message: self.message, hint: self.hint, elsewhere: self.elsewhere }
    }

    fn unknown<'a>(path: &[&str], what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            // a longer list is no help
            None if (1..=LISTED).contains(&known.len()) => format!("it is one of {}", known.join(", ")),
            None => String::new(),
        };
        Self::new(path, format!("there is no {what} `{name}`"), hint)
    }
}

impl Config {
    /// Everything that names something that does not exist or does not make sense.
    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let parts = [
            self.of_collect(),
            self.of_serve(),
            self.of_trail(),
            self.of_routing(),
            self.of_show(),
            self.of_threshold(),
            self.of_dashboard(),
            self.of_services(),
            self.of_keys(),
        ];
        parts.into_iter().flatten().collect()
    }

    fn of_collect(&self) -> Vec<Mistake> {
        let known = names::collectors;
        let unknown = self.collect.collectors.keys().filter(|name| !known().any(|entry| entry == *name));
        let mut mistakes: Vec<Mistake> =
            unknown.map(|name| Mistake::unknown(&["collect", name], "collector", name, known())).collect();
        for (name, settings) in &self.collect.collectors {
            if !(settings.budget.is_finite() && settings.budget >= 0.0) {
                let message = format!("a budget of {} is no share of a core", settings.budget);
                mistakes.push(Mistake::new(&["collect", name, "budget"], message, "for example 0.05; 0 is no limit"));
            }
        }
        mistakes
    }

    fn of_serve(&self) -> Vec<Mistake> {
        let [certificate, key] = [&self.serve.certificate, &self.serve.key].map(|file| !file.as_os_str().is_empty());
        let wrong = |key: &str, message: &str, hint: &str| vec![Mistake::new(&["serve", key], message, hint)];
        match (certificate, key) {
            (true, false) => wrong("certificate", "the certificate has no key", "key = \"FILE\" names it"),
            (false, true) => wrong("key", "the key has no certificate", "certificate = \"FILE\" names it"),
            _ => Vec::new(),
        }
    }

    fn of_trail(&self) -> Vec<Mistake> {
        let file = &self.trail.file;
        let wrong = |message: &str, hint: &str| vec![Mistake::new(&["trail", "file"], message, hint)];
        if file.as_os_str().is_empty() {
            Vec::new()
        } else if !file.is_absolute() || file.file_name().is_none() {
            let message = format!("`{}` is no path of a file from the root on", Text::from(&**file));
            wrong(&message, "for example /var/lib/netglance/changes.jsonl")
        } else if self.collect.collectors.get("ruleset_change").is_some_and(|settings| !settings.enabled) {
            wrong("nothing is written down while collector ruleset_change is switched off", "")
        } else {
            Vec::new()
        }
    }

    fn of_routing(&self) -> Vec<Mistake> {
        let is_wrong =
            |socket: &&PathBuf| !(socket.is_absolute() && (daemon::is_known(socket) || switch::is_database(socket)));
        let wrong = self.routing.sockets.iter().filter(is_wrong).map(|socket| {
            let message = format!("`{}` is no control socket of a daemon that is known", Text::from(&**socket));
            Mistake::new(&["routing", "sockets"], message, "a path from the root on, such as /run/frr/ospfd.vty")
        });
        wrong.chain(self.of_asked()).collect()
    }

    fn of_asked(&self) -> Vec<Mistake> {
        let all = self.routing.asked();
        let mut mistakes = Vec::new();
        for (at, asked) in all.iter().enumerate() {
            let before = all.get(..at).unwrap_or_default();
            let place = before.iter().filter(|other| other.list() == asked.list()).count().to_string();
            let mut wrong = |key: &str, message: String, hint: &str| {
                mistakes.push(Mistake::new(&["routing", asked.list(), &place, key], message, hint));
            };
            for (key, message, hint) in asked.mistakes() {
                wrong(key, message, hint);
            }
            if before.iter().any(|other| other.name() == asked.name()) {
                wrong("name", format!("there are two that are called `{}`", Text::from(asked.name())), "");
            }
            if before.iter().any(|other| other.address() == asked.address()) {
                wrong("address", format!("{} is asked already", asked.address()), "");
            }
            if at == ask::MOST {
                wrong("name", format!("more than {} are not asked", ask::MOST), "");
            }
        }
        mistakes
    }

    fn of_show(&self) -> Vec<Mistake> {
        let known = names::tables;
        let mistake = |error: ShowError| match error {
            ShowError::Table { table } => Mistake::unknown(&["show", &table], "table", &table, known()),
            ShowError::Pattern { table, key, cause } => Mistake::new(&["show", &table, key], cause, ""),
        };
        self.show.check(|name| known().any(|table| table == name)).into_iter().map(mistake).collect()
    }

    fn of_services(&self) -> Vec<Mistake> {
        let hint = format!("for example \"tcp/8443\" = \"panel\"; protocols are {}", PROTOCOLS.join(", "));
        let wrong = self.dashboard.services.check();
        wrong.map(|(key, message)| Mistake::new(&["services", key], message, hint.clone())).collect()
    }

    fn of_threshold(&self) -> Vec<Mistake> {
        let errors = Thresholds::new(&self.threshold, schedule::tables().iter().copied()).err();
        let mistake = |error: crate::store::level::LevelError| {
            let path = ["threshold", &error.index.to_string(), error.key];
            Mistake::new(&path, error.message, error.hint.unwrap_or_default())
        };
        errors.into_iter().flatten().map(mistake).collect()
    }

    fn of_dashboard(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let dashboard = &self.dashboard;
        let themes = theme::names(super::themes().as_deref());
        if !themes.contains(&dashboard.theme) {
            let known = themes.iter().map(String::as_str);
            mistakes.push(Mistake::unknown(&["theme"], "theme", &dashboard.theme, known));
        } else if let Err(error) = Theme::named(&dashboard.theme, super::themes().as_deref(), Ability::new(|_| None)) {
            mistakes.push(Mistake::of_theme(error));
        }
        if let Some(view) = &dashboard.view {
            let known = names::views;
            if !known().any(|name| name == view) {
                mistakes.push(Mistake::unknown(&["view"], "view", view, known()));
            }
        }
        for (n, name) in dashboard.layout.overview.iter().enumerate() {
            let known = names::panels;
            if !known().any(|panel| panel == name) {
                mistakes.push(Mistake::unknown(&["layout", "overview", &n.to_string()], "panel", name, known()));
            }
        }
        if let Some(Err(error)) = dashboard.interval.as_ref().map(|text| text.parse::<Interval>()) {
            mistakes.push(Mistake::new(&["interval"], error.to_string(), ""));
        }
        // the sort letters are those of the processes, and so is the filter
        if let Some((text, sort)) = dashboard.filter.as_ref().zip(SORTS.first())
            && let Err(error) = Filter::parse_prompt(text, sort.table)
        {
            mistakes.push(Mistake::new(&["filter"], error.to_string(), ""));
        }
        for (n, name) in dashboard.toggles.iter().enumerate() {
            let known = names::toggles;
            if !known().any(|toggle| toggle == name) {
                mistakes.push(Mistake::unknown(&["toggles", &n.to_string()], "switch", name, known()));
            }
        }
        mistakes
    }

    fn of_keys(&self) -> Vec<Mistake> {
        let keys = &self.dashboard.keys;
        let place = |action: &str, key: &str| {
            let written = keys.get(action).into_iter().flatten();
            written.enumerate().filter(|(_, one)| one.as_str() == key).last().map(|(n, _)| n.to_string())
        };
        let at = |action: &str, key: &str, message: String, hint: String| match place(action, key) {
            Some(n) => Mistake::new(&["keys", action, &n], message, hint),
            None => Mistake::new(&["keys", action], message, hint),
        };
        let mistake = |error: KeyError| {
            let message = error.to_string();
            match error {
                KeyError::Action(name) => {
                    let names = names::actions();
                    Mistake::unknown(&["keys", &name], "action", &name, names.iter().map(String::as_str))
                }
                KeyError::Key { action, key } => {
                    let plain = key.rsplit('-').next().unwrap_or(&key);
                    let near = nearest(plain, keymap::key_names()).map(|near| format!("did you mean `{near}`?"));
                    let hint =
                        near.unwrap_or_else(|| "keys are written like q, ctrl-c, shift-tab, f5, space".to_owned());
                    at(&action, &key, message, hint)
                }
                // that of the file is the one that can be changed
                KeyError::Duplicate { key, one, other } => {
                    let action = if keys.contains_key(&other) { &other } else { &one };
                    let hint = "give one of them another key, or none: []".to_owned();
                    at(action, &key, message, hint)
                }
            }
        };
        Keymap::mistakes(keys).into_iter().map(mistake).collect()
    }
}
