//! What deserves that somebody is told?
//!
//! The rules of `alerts.toml` beside the configuration, laid over those that come with the program: one of the user takes the
//! place of one that has its name.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Problems, place};
use super::reading::span_of;
use super::{candidates, file};
use crate::alert::action;
use crate::alert::rule::{Mistake, Rule};
use crate::alert::settings::{Alert, Inhibit, Settings, Silence};
use crate::alert::silence::Silences;
use crate::collect::schedule;
use crate::model::Text;
use crate::store::expr::nearest;

/// The rules that packages install.
pub const ALERTS: &str = include_str!("../../config/alerts.toml");

/// The file beside the configuration.
pub(super) const FILE: &str = "alerts.toml";

/// Bytes of it at most.
const MAX: u64 = 1 << 20;

/// Rules at most.
const MOST: usize = 1024;

/// What the file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// Whether the rules that come with the program are in force.
    defaults: bool,
    alert: Vec<Alert>,
    silence: Vec<Silence>,
    action: action::Settings,
}

impl Default for File {
    fn default() -> Self {
        Self { defaults: true, alert: Vec::new(), silence: Vec::new(), action: Vec::new() }
    }
}

/// Whether a file has rules of alerts by its name.
pub fn is_alerts(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == FILE)
}

/// The file of rules that belongs to a configuration, if there is one.
pub fn alerts_file(named: Option<&Path>) -> Option<PathBuf> {
    let beside = named.map_or_else(candidates, |path| vec![path.to_owned()]);
    let files = beside.iter().filter_map(|path| Some(path.parent()?.join(FILE)));
    files.into_iter().find(|path| path.symlink_metadata().is_ok())
}

/// What is written of alerts for a configuration, with what comes with the program; and who is told of them.
///
/// # Errors
/// Every mistake with its place.
pub fn alerts(named: Option<&Path>) -> Result<(Settings, action::Settings), Problems> {
    let Some(path) = alerts_file(named) else { return Ok((defaults()?, Vec::new())) };
    let mut own = read(&path)?;
    let mut alert = if own.defaults { defaults()?.alert } else { Vec::new() };
    // one of which only is said that it is off is what it was
    for off in own.alert.iter_mut().filter(|off| off.table.is_empty()) {
        if let Some(known) = alert.iter().find(|known| known.name == off.name) {
            *off = Alert { enabled: off.enabled, ..known.clone() };
        }
    }
    alert.retain(|one| own.alert.iter().all(|other| other.name != one.name));
    // those of the user first
    alert.splice(0..0, own.alert);
    Ok((Settings { alert, silence: own.silence }, own.action))
}

/// What comes with the program.
fn defaults() -> Result<Settings, Problems> {
    let file: File = toml::from_str(ALERTS).map_err(|error| Problem::new("built-in alerts", error.message(), ""))?;
    Ok(Settings { alert: file.alert, silence: file.silence })
}

/// Checks one file.
///
/// # Errors
/// Every mistake with file, line and column.
pub fn check_alerts(path: &Path) -> Result<(), Problems> {
    read(path).map(|_| ())
}

fn read(path: &Path) -> Result<File, Problems> {
    checked(path, &file::trusted(path, MAX)?)
}

/// What a file with a text would say, for who tries to break the reading.
///
/// # Errors
/// Every mistake with its place.
#[doc(hidden)]
pub fn read_alerts(text: &str) -> Result<Settings, Problems> {
    let File { alert, silence, .. } = checked(Path::new(FILE), text)?;
    Ok(Settings { alert, silence })
}

fn checked(path: &Path, text: &str) -> Result<File, Problems> {
    let at = |span: Option<Range<usize>>| place(path, text, span);
    let file: File = toml::from_str(text).map_err(|error| Problem::new(at(error.span()), error.message(), ""))?;
    let tree = DeTable::parse(text).map(Spanned::into_inner).unwrap_or_default();
    let tree = DeValue::Table(tree);
    let found = |list: &str, number: usize, mistake: Mistake| {
        let span = span_of(&tree, &[list, &number.to_string(), mistake.key]);
        Problem::new(at(span), mistake.message, mistake.hint.unwrap_or_default())
    };
    let known = if file.defaults { defaults()?.alert } else { Vec::new() };
    let mut problems = Vec::new();
    for (number, alert) in file.alert.iter().enumerate() {
        let is_double = file.alert.iter().take(number).any(|other| other.name == alert.name);
        let mistake = if is_double {
            let message = format!("there are two rules that are called `{}`", Text::from(alert.name.as_str()));
            Some(Mistake { key: "name", message, hint: None })
        } else if number >= MOST {
            Some(Mistake { key: "name", message: format!("there are more than {MOST} rules"), hint: None })
        } else {
            mistake(alert, &file.alert, &known)
        };
        problems.extend(mistake.map(|mistake| found("alert", number, mistake)));
    }
    if let Err((number, mistake)) = Silences::new(&file.silence) {
        problems.push(found("silence", number, mistake));
    }
    for mistake in action::mistakes(&file.action) {
        let number = mistake.index.to_string();
        let keys: Vec<&str> = ["action", &number].into_iter().chain(mistake.key).collect();
        problems.push(Problem::new(at(span_of(&tree, &keys)), mistake.message, mistake.hint));
    }
    if problems.is_empty() { Ok(file) } else { Err(Problems(problems)) }
}

/// What is wrong with a rule beside the others, of which those of the user come first.
fn mistake(alert: &Alert, own: &[Alert], known: &[Alert]) -> Option<Mistake> {
    if alert.enabled == Some(false) && alert.table.is_empty() {
        // all that is said of it is that it is off
        let is_known = known.iter().any(|other| other.name == alert.name);
        let name = Text::from(alert.name.as_str());
        let message = format!("no rule that comes with the program is called `{name}`");
        let hint = nearest(&alert.name, known.iter().map(|other| other.name.as_str()));
        let hint = hint.map(|near| format!("did you mean `{near}`?"));
        return (!is_known).then_some(Mistake { key: "name", message, hint });
    }
    let made = Rule::new(alert, schedule::tables());
    made.err().or_else(|| alert.inhibited_by.iter().find_map(|one| inhibited(one, own, known)))
}

/// What is wrong with what makes a rule needless.
fn inhibited(by: &Inhibit, own: &[Alert], known: &[Alert]) -> Option<Mistake> {
    let all = || own.iter().chain(known);
    let wrong = |message: String, hint: Option<&str>| {
        Some(Mistake { key: "inhibited_by", message, hint: hint.map(|near| format!("did you mean `{near}`?")) })
    };
    let named = || all().filter(|other| other.name == by.rule);
    let Some(other) = named().find(|other| !other.table.is_empty()) else {
        let near = nearest(&by.rule, all().map(|other| other.name.as_str()));
        return wrong(format!("there is no rule `{}`", Text::from(by.rule.as_str())), near);
    };
    let table = schedule::tables().iter().find(|table| table.name == other.table)?;
    let theirs = by.equal.values().find(|column| table.position(column).is_none())?;
    let near = nearest(theirs, table.columns.iter().map(|column| &*column.name));
    wrong(
        format!("table `{}` of rule `{}` has no column `{}`", table.name, other.name, Text::from(theirs.as_str())),
        near,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::run::Rules;
    use crate::model::Timestamp;
    use crate::store::level::Thresholds;
    use std::io::Write as _;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        let config = dir.path().join("netglance.toml");
        (dir, config)
    }

    #[test]
    fn every_rule_that_comes_with_the_program_makes_sense() {
        let settings = defaults().unwrap();
        let (rules, wrong) = Rules::new(&settings, Thresholds::default());
        assert_eq!(wrong, [""; 0]);
        assert_eq!(rules.rules.len(), settings.alert.len());
        assert_eq!(rules.idle(&settings, Timestamp(0)), [""; 0]);
        let mut names: Vec<&str> = settings.alert.iter().map(|alert| alert.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), settings.alert.len());
    }

    #[test]
    fn a_rule_of_the_user_takes_the_place_of_one_of_its_name() {
        let (_dir, config) = file("[[alert]]\nname = 'cpu'\ntable = 'cpu'\nvalue = 'used'\nwarning = '1%'\n");
        let settings = alerts(Some(&config)).unwrap().0;
        assert_eq!(settings.alert.iter().filter(|alert| alert.name == "cpu").count(), 1);
        assert_eq!(settings.alert[0].name, "cpu");
        assert_eq!(settings.alert.len(), defaults().unwrap().alert.len());
        let (_dir, config) = file("defaults = false\n[[alert]]\nname = 'cpu'\ntable = 'cpu'\nvalue = 'used'\n");
        assert_eq!(alerts(Some(&config)).unwrap().0.alert.len(), 1);
    }

    #[test]
    fn a_rule_that_comes_with_the_program_is_switched_off_by_its_name() {
        let (_dir, config) = file("[[alert]]\nname = 'memory'\nenabled = false\n");
        let settings = alerts(Some(&config)).unwrap().0;
        let (rules, wrong) = Rules::new(&settings, Thresholds::default());
        assert_eq!(wrong, [""; 0]);
        assert_eq!(rules.rules.len(), defaults().unwrap().alert.len() - 1);
        assert!(settings.alert.iter().any(|alert| alert.name == "memory" && alert.table == "memory"));
        assert!(rules.rules.iter().all(|rule| rule.name() != "memory"));
        let (_dir, config) = file("[[alert]]\nname = 'memroy'\nenabled = false\n");
        let error = alerts(Some(&config)).unwrap_err().to_string();
        assert!(error.contains("2:8: ") && error.contains("did you mean `memory`?"), "{error}");
    }

    #[test]
    fn what_makes_an_alert_needless_must_be_there() {
        let inhibited = |by: &str| {
            let (dir, config) = file(&format!(
                "[[alert]]\nname = 'one'\ntable = 'ospf_neighbor'\nvalue = 'state'\n[[alert.inhibited_by]]\n{by}\n"
            ));
            (alerts(Some(&config)).map(|_| ()).map_err(|error| error.to_string()), dir).0
        };
        assert_eq!(inhibited("rule = 'link-down'\nequal = { interface = 'name' }"), Ok(()));
        let error = inhibited("rule = 'link-dwon'").unwrap_err();
        assert!(error.contains("there is no rule `link-dwon`") && error.contains("`link-down`"), "{error}");
        let error = inhibited("rule = 'link-down'\nequal = { interface = 'nam' }").unwrap_err();
        assert!(error.contains("table `link` of rule `link-down` has no column `nam`"), "{error}");
    }

    #[test]
    fn a_silence_of_a_rule_that_there_is_not_is_told() {
        let text = "defaults = false\n[[alert]]\nname = 'two'\ntable = 'load'\nvalue = 'one'\nenabled = false\n\
             [[silence]]\nrule = '^dsk'\nend = '2030-01-01T00:00:00Z'\n\
             [[silence]]\nrule = '^two'\nend = '2030-01-01T00:00:00Z'\n\
             [[silence]]\nrule = 'x'\nend = '2000-01-01T00:00:00Z'\n";
        let (_dir, config) = file(text);
        let settings = alerts(Some(&config)).unwrap().0;
        let now = Timestamp::from_seconds(1_800_000_000.0);
        let idle = Rules::new(&settings, Thresholds::default()).0.idle(&settings, now);
        assert_eq!(idle, ["silence 1: there is no rule that fits `^dsk`"]);
    }

    #[test]
    fn mistakes_have_their_place() {
        let text = "[[alert]]\nname = 'one'\ntable = 'cpu'\nvalue = 'usd'\n\n[[alert]]\nname = 'one'\ntable = 'cpu'\n\
            value = 'used'\n\n[[silence]]\nend = 'never'\n";
        let (dir, config) = file(text);
        let error = alerts(Some(&config)).unwrap_err().to_string();
        let path = dir.path().join(FILE);
        for told in ["4:9: ", "7:8: there are two rules", "12:7: `never` is no instant"] {
            assert!(error.contains(&format!("{}:{told}", path.display())), "{told}: {error}");
        }
        let (_dir, config) = file("[[alert]]\nnam = 'one'\n");
        let error = alerts(Some(&config)).unwrap_err().to_string();
        assert!(error.contains("2:1: ") && error.contains("nam"), "{error}");
    }
}
