//! How does a dashboard of this host or of another one start, and how does it follow its configuration?

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::args::{Browse, Connect, Dashboard};
use super::{Failure, access};
use crate::alert::afar;
use crate::alert::desktop::{self, Desktop};
use crate::alert::dispatch::Dispatch;
use crate::alert::here::Here;
use crate::alert::run::{self as watch, Rules, Watcher};
use crate::browse;
use crate::client;
use crate::col;
use crate::collect;
use crate::collect::host::HostRow;
use crate::collect::settings::{Interval, IntervalError};
use crate::config::{self, Config, Problems};
use crate::model::{Connection, Host, Table, Text};
use crate::source::file::Roots;
use crate::source::netns::Selection;
use crate::store::expr::nearest;
use crate::store::level::{self, Thresholds};
use crate::store::local::{LocalHost, Options};
use crate::tui;

/// Shows this host until the user has enough.
///
/// # Errors
/// [`Failure`] with exit code 2 without a terminal or with wrong settings, 1 when the terminal is lost.
pub(super) fn run(args: &Dashboard, named: Option<PathBuf>) -> Result<(), Failure> {
    let config = start(args, named.as_deref())?;
    let tick = tick(&config)?;
    let (wake, events) = tui::events();
    let roots = Roots::live().choosing(netns(&config)).map_err(|error| Failure::thread(&error))?;
    let (trail, routing) = (Arc::clone(&roots.trail), Arc::clone(&roots.routing));
    trail.configure(config.trail.clone());
    routing.configure(config.routing.clone());
    let alarm = Arc::clone(&roots.alarm);
    let notifies = Arc::new(AtomicBool::new(config.dashboard.notify));
    let options = Options { roots, settings: config.collect.clone(), tick, actions: config.dashboard.allowed() };
    let (samples, rung) = (wake.clone(), Arc::clone(&alarm));
    let changed = move || {
        samples.samples();
        rung.ring();
    };
    let host = LocalHost::start(options, Box::new(changed)).map_err(|error| Failure::thread(&error))?;
    let watcher = Watcher::start(watch::Options {
        host: Arc::clone(&host) as Arc<dyn Host>,
        board: alarm,
        rules: rules(&config, named.as_deref())?,
        // a dashboard tells who looks at it, and nobody else
        dispatch: Dispatch::new(Vec::new(), Arc::default(), String::new()),
        hear: hear(wake.clone(), Arc::clone(&notifies), own_name),
        is_kept: false,
    });
    let watcher = watcher.map_err(|error| Failure::thread(&error))?;
    let own = named.clone();
    let reloaded = Arc::clone(&host);
    let reload = move |config: &Config, tick: Duration| {
        let reloading = reloaded.reload(netns(config), config.collect.clone(), tick);
        reloading.map_err(|error| Failure::thread(&error))?;
        watcher.configure(rules(config, own.as_deref())?, Vec::new());
        reloaded.allow(config.dashboard.allowed());
        notifies.store(config.dashboard.notify, Ordering::Relaxed);
        trail.configure(config.trail.clone());
        routing.configure(config.routing.clone());
        Ok(())
    };
    show(host, events, config, Following { named, args: args.clone(), wake, reload })
}

/// What this host calls itself.
fn own_name() -> Text {
    Text::new(rustix::system::uname().nodename().to_bytes())
}

/// Rings at what happens to alerts of a host of some name, and shows it on the desktop while that is wanted; where there is none the
/// terminal may. It never waits for either.
fn hear(wake: tui::Wake, notifies: Arc<AtomicBool>, name: impl Fn() -> Text + Send + 'static) -> watch::Hear {
    let otherwise = wake.clone();
    // without a thread for it the terminal is told all the same
    let desktop = Desktop::start(desktop::PATIENCE, move |message| otherwise.notify(message)).ok();
    let mut here = Here::default();
    Box::new(move |happened| {
        let Some((message, is_loud)) = here.tell(happened, &name()) else { return };
        if is_loud {
            wake.bell();
        }
        if notifies.load(Ordering::Relaxed) {
            let left = match &desktop {
                Some(desktop) => desktop.show(message),
                None => Some(message),
            };
            if let Some(message) = left {
                wake.notify(&message);
            }
        }
    })
}

/// Shows the host behind an agent until the user has enough.
///
/// # Errors
/// As [`run`], and 3 when the agent cannot be reached.
pub(super) fn connect(args: &Connect, named: Option<PathBuf>) -> Result<(), Failure> {
    check_netns(&args.dashboard)?;
    let config = start(&args.dashboard, named.as_deref())?;
    let (wake, events) = tui::events();
    // one sign that waits is as good as many
    let (sign, signs) = mpsc::sync_channel(1);
    let samples = wake.clone();
    let changed = || {
        let (samples, sign) = (samples.clone(), sign.clone());
        Box::new(move || {
            samples.samples();
            let _ = sign.try_send(());
        }) as client::OnChange
    };
    let host = access::connect(&args.target, &access::access(&args.access)?, changed)? as Arc<dyn Host>;
    // the host has the only one: without it there is nothing to listen to
    drop(sign);
    let notifies = Arc::new(AtomicBool::new(config.dashboard.notify));
    let (watched, named_there, target) = (Arc::downgrade(&host), Arc::downgrade(&host), args.target.to_string());
    let hear = hear(wake.clone(), Arc::clone(&notifies), move || {
        named_there.upgrade().and_then(|host| name_there(&*host)).unwrap_or_else(|| Text::from(&*target))
    });
    let listen = move || afar::listen(&watched, &signs, hear);
    let listening = std::thread::Builder::new().name("alerts".to_owned()).spawn(listen);
    listening.map_err(|error| Failure::thread(&error))?;
    let reload = move |config: &Config, _| {
        notifies.store(config.dashboard.notify, Ordering::Relaxed);
        Ok(())
    };
    show(host, events, config, Following { named, args: args.dashboard.clone(), wake, reload })
}

/// What a host behind an agent calls itself, as soon as it is known.
fn name_there(host: &dyn Host) -> Option<Text> {
    let snapshot = host.latest();
    let now = snapshot.get(&HostRow::TABLE.name)?.now.as_ref()?;
    now.rows.cell(0, col!(HostRow, hostname)).text().map(Text::from)
}

/// Shows many hosts until the user has enough.
///
/// # Errors
/// As [`run`], and 2 when there is no list of hosts or it is wrong.
pub(super) fn browse(args: &Browse, named: Option<PathBuf>) -> Result<(), Failure> {
    check_netns(&args.dashboard)?;
    check_view(args.dashboard.view.as_deref())?;
    let mut config = start(&args.dashboard, named.as_deref())?;
    let interval = args.dashboard.interval.map(|interval| interval.0);
    // what a file says of them is for the dashboard of one host
    (config.dashboard.view, config.dashboard.filter) = (args.dashboard.view.clone(), args.dashboard.filter.clone());
    let hosts = if args.hosts.is_empty() {
        config::hosts(named.as_deref(), interval)?
    } else {
        let of = |target| {
            let entry = browse::Entry::of(target);
            browse::Entry { interval: interval.unwrap_or(entry.interval), ..entry }
        };
        browse::Roster::from(args.hosts.iter().cloned().map(of).collect::<Vec<_>>())
    };
    if hosts.is_empty() {
        let hint = "name some, or list them in hosts.toml beside the configuration";
        return Err(Failure::usage("there are no hosts to browse", hint));
    }
    let (wake, events) = tui::events();
    let samples = wake.clone();
    let levels = Arc::new(levels(&many(&config), &all_tables())?);
    let access = access::access(&args.access)?;
    let known = access.known.iter().map(|known| known.path().to_owned()).collect();
    let options = browse::Options { hosts, access, levels };
    let host = browse::Fleet::start(options, Arc::new(move || samples.samples()));
    let host = host.map_err(|error| Failure::thread(&error))?;
    let lists = if args.hosts.is_empty() { Lists::Of(named.clone(), interval) } else { Lists::None };
    let _lists = follow(&host, lists, known, wake.clone());
    let following = Following { named, args: args.dashboard.clone(), wake, reload: |_: &Config, _| Ok(()) };
    show(host, events, config, following)
}

/// Refuses what is no view of many hosts.
fn check_view(name: Option<&str>) -> Result<(), Failure> {
    let known = || browse::tables().iter().map(|table| &*table.name).chain(["explore"]);
    let Some(name) = name.filter(|name| !known().any(|one| one == *name)) else { return Ok(()) };
    let near = nearest(name, known()).map(|near| format!("did you mean `{near}`?"));
    let hint = near.unwrap_or_else(|| "fleet, fleet_by_group, explore, or a table such as process".to_owned());
    Err(Failure::usage(format!("there is no view `{name}` of many hosts"), hint))
}

/// Where the hosts come from.
enum Lists {
    /// The lists that belong to a configuration, and how often hosts are looked at that have no interval of their own.
    Of(Option<PathBuf>, Option<Duration>),
    /// The command line.
    None,
}

/// Follows the lists of hosts, and the files that may make hosts answer that refuse now.
fn follow(fleet: &Arc<browse::Fleet>, lists: Lists, known: Vec<PathBuf>, wake: tui::Wake) -> Option<config::Watch> {
    let (fleet, told) = (Arc::clone(fleet), wake.clone());
    let named = match &lists {
        Lists::Of(named, _) => named.clone(),
        Lists::None => None,
    };
    let changed = move || {
        if let Lists::Of(named, interval) = &lists {
            match config::hosts(named.as_deref(), *interval) {
                Ok(hosts) => fleet.reload(hosts),
                Err(problems) => wake.message(&format!("old list of hosts kept: {}", problems.brief())),
            }
        }
        fleet.try_again();
    };
    let refused = |cause: &notify::Error| told.message(&format!("changes of the list of hosts go unseen: {cause}"));
    config::watch_hosts(named, known, changed).inspect_err(refused).ok()
}

/// The tables of one host and of many.
fn all_tables() -> Vec<&'static Table> {
    collect::schedule::tables().iter().chain(browse::tables()).copied().collect()
}

/// The thresholds of a configuration for one host and for many.
fn many(config: &Config) -> level::Settings {
    browse::thresholds(&config.threshold, &all_tables())
}

/// The configuration of a dashboard that has a terminal.
fn start(args: &Dashboard, named: Option<&Path>) -> Result<Config, Failure> {
    let mut config = config::load(named)?.config;
    check_terminal()?;
    apply(args, &mut config);
    Ok(config)
}

/// How a dashboard follows its configuration file.
struct Following<F> {
    named: Option<PathBuf>,
    args: Dashboard,
    wake: tui::Wake,
    /// What the host makes of a new one.
    reload: F,
}

fn show<F>(host: Arc<dyn Host>, events: tui::Events, config: Config, following: Following<F>) -> Result<(), Failure>
where
    F: Fn(&Config, Duration) -> Result<(), Failure> + Send + 'static,
{
    let dashboard = parts(&*host, config)?;
    let watch = watch(&host, following);
    let outcome = tui::run(host, events, dashboard);
    drop(watch);
    let signal = outcome.map_err(|error| match error {
        tui::Error::Terminal { ref cause, .. } => {
            Failure::Exit { code: 1, message: error.to_string(), hint: super::limit(cause).to_owned() }
        }
        tui::Error::Thread(cause) => Failure::thread(&cause),
        _ => Failure::usage(error.to_string(), ""),
    })?;
    if let Some(signal) = signal {
        tui::end_by(signal);
    }
    Ok(())
}

/// Refuses what no full screen can be drawn on.
fn check_terminal() -> Result<(), Failure> {
    let hint = "`netglance show TABLE` prints rows without one, `netglance --help` lists the commands";
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Err(Failure::usage("the dashboard needs a terminal on standard input and output", hint));
    }
    let name = std::env::var("TERM").unwrap_or_default();
    let message = match name.as_str() {
        "" => "the dashboard needs to know its terminal, and TERM is not set".to_owned(),
        "dumb" | "unknown" => format!("TERM={name}: the dashboard needs a terminal that can move the cursor"),
        _ => return Ok(()),
    };
    Err(Failure::usage(message, "set TERM (xterm fits most), or use `netglance show TABLE`, which prints rows"))
}

/// Refuses what only the agent of a host can be told.
fn check_netns(args: &Dashboard) -> Result<(), Failure> {
    if args.netns.is_empty() {
        return Ok(());
    }
    let message = "--netns is for the dashboard of this host: an agent reads those that its configuration names";
    Err(Failure::usage(message, "write netns = [\"*\"] into the configuration of the agent"))
}

/// Flags win over the file.
fn apply(args: &Dashboard, config: &mut Config) {
    if !args.netns.is_empty() {
        config.netns.clone_from(&args.netns);
    }
    let settings = &mut config.dashboard;
    if let Some(interval) = args.interval {
        settings.interval = Some(crate::model::unit::duration(interval.0));
    }
    for (flag, setting) in [(&args.view, &mut settings.view), (&args.filter, &mut settings.filter)] {
        if flag.is_some() {
            setting.clone_from(flag);
        }
    }
    if let Some(theme) = &args.theme {
        settings.theme.clone_from(theme);
    }
    settings.read_only = (settings.read_only || args.read_only) && !args.allow_actions;
    settings.allow_actions = (settings.allow_actions || args.allow_actions) && !settings.read_only;
}

fn tick(config: &Config) -> Result<Duration, Failure> {
    let Some(text) = &config.dashboard.interval else { return Ok(collect::EVERY_SECOND) };
    let interval: Interval =
        text.parse().map_err(|error: IntervalError| Failure::usage(error.to_string(), "for example 2s"))?;
    Ok(interval.0)
}

/// The rules of alerts that belong to a configuration.
fn rules(config: &Config, named: Option<&Path>) -> Result<Rules, Failure> {
    let thresholds = levels(&config.threshold, collect::schedule::tables())?;
    Ok(Rules::new(&config::alerts(named)?.0, thresholds).0)
}

/// The network namespaces of a configuration.
pub(super) fn netns(config: &Config) -> Selection {
    Selection::host_and(config.netns.clone())
}

/// The thresholds of a configuration for some tables.
pub(super) fn levels(thresholds: &level::Settings, tables: &[&Table]) -> Result<Thresholds, Failure> {
    Thresholds::new(thresholds, tables.iter().copied()).map_err(|errors| {
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::usage(text.join("\n"), "`netglance check` names the places")
    })
}

/// The dashboard's part of a configuration that was checked.
fn parts(host: &dyn Host, config: Config) -> Result<tui::Config, Failure> {
    let fleet = crate::panel::fleet::table(host).is_some();
    let mut thresholds = if fleet { many(&config) } else { config.threshold };
    if !fleet && host.connection() != Connection::Local {
        // they make sense here, or the configuration would not have been read; that agent may be of another version
        let tables = host.schema();
        thresholds.retain(|one| Thresholds::new(std::slice::from_ref(one), tables.iter().copied()).is_ok());
    }
    let levels = levels(&thresholds, &if fleet { all_tables() } else { host.schema().to_vec() })?;
    Ok(tui::Config {
        settings: config.dashboard,
        show: config.show,
        levels: Arc::new(levels),
        themes: config::themes(),
    })
}

/// Follows the configuration file. A wrong one changes nothing and is shown as a message.
fn watch<F>(host: &Arc<dyn Host>, following: Following<F>) -> Option<config::Watch>
where
    F: Fn(&Config, Duration) -> Result<(), Failure> + Send + 'static,
{
    let Following { named, args, wake, reload } = following;
    let (host, told) = (Arc::clone(host), wake.clone());
    let changed = move |loaded: Result<config::Loaded, Problems>| {
        let reloaded = loaded.map_err(|problems| Failure::usage(problems.brief(), "")).and_then(|loaded| {
            let mut config = loaded.config;
            apply(&args, &mut config);
            reload(&config, tick(&config)?)?;
            parts(&*host, config)
        });
        match reloaded {
            Ok(config) => wake.config(config),
            Err(failure) => wake.message(&format!("old configuration kept: {failure}")),
        }
    };
    // a kernel without inotify watches left still has a dashboard
    let refused = |cause: &notify::Error| told.message(&format!("changes of the configuration go unseen: {cause}"));
    config::watch(named, changed).inspect_err(refused).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netns::Pattern;

    #[test]
    fn flags_win_over_the_configuration() {
        let mut config = Config::default();
        config.dashboard.view = Some("cpu".to_owned());
        let flags = Dashboard {
            theme: Some("nord".to_owned()),
            interval: "1m".parse().ok(),
            read_only: true,
            netns: vec!["blue".parse().unwrap()],
            ..Dashboard::default()
        };
        config.netns = vec![Pattern::any()];
        apply(&flags, &mut config);
        assert_eq!(config.netns, flags.netns);
        let settings = config.dashboard;
        assert_eq!((settings.theme.as_str(), settings.view.as_deref()), ("nord", Some("cpu")));
        assert_eq!((settings.interval.as_deref(), settings.read_only), (Some("1m"), true));
    }
}
