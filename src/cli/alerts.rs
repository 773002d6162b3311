//! Are the rules of alerts right, and what would they tell now?

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Failure, args, dashboard, past};
use crate::alert::run::Rules;
use crate::alert::settings::Settings;
use crate::alert::{Engine, Moment, Rule};
use crate::collect::settings::CollectorSettings;
use crate::collect::{COLLECTORS, EVERY_SECOND, collector_of, schedule};
use crate::config::{self, Config, nearest};
use crate::model::{Allowed, Host as _, Text, Timestamp, lock, unit};
use crate::source::file::Roots;
use crate::store::level::Thresholds;
use crate::store::local::{LocalHost, Options};

/// How long rules are tried, if nobody says.
const USUALLY: Duration = Duration::from_secs(3);

pub(super) fn run(args: &args::Alerts, named: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    match args {
        args::Alerts::Check => check(named, out),
        args::Alerts::Test(args) => {
            let during = args.during.map_or(USUALLY, |during| during.0);
            let config = config::load(named)?.config;
            let settings = only(config::alerts(named)?.0, args.rule.as_deref())?;
            match (args.since, settings.alert.first()) {
                (Some(since), Some(alert)) => past::test(args, &config, alert, since.0, out),
                _ => test(&config, settings, during, out),
            }
        }
    }
}

/// Says what is wrong with the rules, and what is in force.
fn check(named: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    config::load(named)?;
    let (settings, actions) = config::alerts(named)?;
    for idle in Rules::new(&settings, Thresholds::default()).0.idle(&settings, Timestamp::now()) {
        writeln!(out, "warning: {idle}")?;
    }
    let off = settings.alert.iter().filter(|alert| alert.enabled == Some(false)).count();
    let file = config::alerts_file(named);
    let from =
        file.map_or("those that come with the program".to_owned(), |file| Text::from(file.as_path()).to_string());
    writeln!(
        out,
        "{from}: ok: {} rules in force, {off} switched off, {} silences, {} actions",
        settings.alert.len() - off,
        settings.silence.len(),
        actions.len()
    )?;
    Ok(())
}

/// The rule that is to be tried, whether or not it is switched off; or all that are in force.
fn only(mut settings: Settings, rule: Option<&str>) -> Result<Settings, Failure> {
    let Some(rule) = rule else { return Ok(settings) };
    let names: Vec<String> = settings.alert.iter().map(|alert| alert.name.clone()).collect();
    settings.alert.retain(|alert| alert.name == rule);
    if settings.alert.is_empty() {
        let near = nearest(rule, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
        let message = format!("there is no rule `{}`", Text::from(rule));
        return Err(Failure::usage(message, near.unwrap_or_else(|| "`netglance alerts test` tries all".to_owned())));
    }
    for alert in &mut settings.alert {
        alert.enabled = None;
    }
    Ok(settings)
}

/// Tries rules on this host, as if nothing had to last.
fn test(config: &Config, mut settings: Settings, during: Duration, out: &mut dyn Write) -> Result<(), Failure> {
    let lasts: Vec<(String, Duration)> =
        settings.alert.iter().filter_map(|alert| Some((alert.name.clone(), alert.lasts?.0))).collect();
    for alert in &mut settings.alert {
        (alert.lasts, alert.keep_firing_for) = (None, None);
    }
    let thresholds = Thresholds::new(&config.threshold, schedule::tables().iter().copied()).unwrap_or_default();
    let (rules, wrong) = Rules::new(&settings, thresholds);
    if !wrong.is_empty() {
        return Err(Failure::usage(wrong.join("\n"), ""));
    }
    let demands = rules.rules.iter().flat_map(|rule| rule.demands().to_vec()).collect();
    let wanted: BTreeSet<&str> = rules.rules.iter().flat_map(Rule::tables).filter_map(collector_of).collect();
    let roots = Roots::live().choosing(dashboard::netns(config)).map_err(|error| Failure::thread(&error))?;
    roots.routing.configure(config.routing.clone());
    let mut collect = config.collect.clone();
    for entry in COLLECTORS.iter().filter(|entry| !wanted.contains(entry.name)) {
        let off = CollectorSettings { enabled: false, ..CollectorSettings::default() };
        collect.collectors.insert(entry.name.to_owned(), off);
    }
    let (sender, changes) = mpsc::channel();
    let sender = Mutex::new(sender);
    let options = Options { roots, settings: collect, tick: EVERY_SECOND, actions: Allowed::Nothing };
    let changed = move || {
        // nobody waits any more
        let _ = lock(&sender).send(());
    };
    let host = LocalHost::start(options, Box::new(changed)).map_err(|error| Failure::thread(&error))?;
    host.demand(0, demands);
    let mut engine = Engine::new(rules);
    let until = Instant::now() + during;
    while changes.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {
        engine.look(&host.latest(), Moment::now());
    }
    let rows = engine.rows(Moment::now());
    for row in rows.iter().filter(|row| row.end.is_none()) {
        let lasts = lasts.iter().find(|(name, _)| *name == row.rule.as_str());
        let when = lasts.map_or_else(String::new, |(_, lasts)| format!(" (if it lasts {})", unit::duration(*lasts)));
        let (severity, rule, text) = (row.severity.name(), &row.rule, &row.text);
        writeln!(out, "{severity} {rule}: {text}{when}")?;
    }
    let fired = rows.iter().filter(|row| row.end.is_none()).count();
    let of = settings.alert.len();
    if fired == 0 {
        writeln!(out, "nothing fires now, of {of} rules, within {}", unit::duration(during))?;
    }
    Ok(())
}
