//! How is somebody told of an alert?
//!
//! An [`Action`] is one way: a program, an HTTP request, a mail, a message of syslog or the journal, an Alertmanager. One
//! [`attempt`] is made for one message, within the time of the action; whether another one follows is decided elsewhere. What
//! takes files or processes is done by somebody else ([`Outside`]), so that whoever has the network needs neither.

mod alertmanager;
mod command;
mod connect;
mod files;
mod http;
mod mail;
mod mistakes;
mod place;
mod settings;
mod smtp;
mod syslog;
mod template;
mod webhook;
pub(super) mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::{Failure, Message};
use crate::model::lock;
pub use connect::MAX_ADDRESSES;
pub use files::{Files, MAX_FILES};
pub use mistakes::{Mistake, mistakes};
pub use place::{Place, Url, UrlError};
pub use settings::{
    Action, Alertmanager, Command, Facility, Journald, Mail, Method, Occasion, Settings, Syslog, Template, Tls, Way,
    Webhook,
};

/// What an attempt takes from who carries actions out.
#[derive(Clone)]
pub struct Means {
    /// What actions name on the disk.
    pub files: Files,
    /// Who looks up names and runs programs.
    pub outside: Arc<dyn Outside>,
}

/// What takes files or processes.
pub trait Outside: Send + Sync {
    /// Addresses of a host that an action names.
    ///
    /// # Errors
    /// It has none, or that takes too long.
    fn addresses(&self, host: &str, until: Instant) -> io::Result<Vec<IpAddr>>;

    /// Runs the program of an action.
    ///
    /// # Errors
    /// It cannot be run, or failed.
    fn run(&self, action: &str, message: &Message, until: Instant) -> Result<(), Failure>;
}

/// Who may hear what programs say: that may be secret, and is in no table.
pub type Hear = Box<dyn Fn(&str) + Send + Sync>;

/// This process, with what it may do itself.
pub struct Here {
    settings: Mutex<Settings>,
    groups: command::Groups,
    hear: Hear,
}

impl Here {
    /// Carries out what is configured.
    pub fn new(settings: Settings, hear: Hear) -> Self {
        Self { settings: Mutex::new(settings), groups: command::Groups::default(), hear }
    }

    /// Carries out what is configured now.
    pub fn configure(&self, settings: Settings) {
        *lock(&self.settings) = settings;
    }

    /// Kills every program that runs, and lets none run any more.
    pub fn end(&self) {
        self.groups.end();
    }
}

impl Outside for Here {
    /// The system looks it up, for as long as it takes. It looks up what is configured only.
    fn addresses(&self, host: &str, _: Instant) -> io::Result<Vec<IpAddr>> {
        if !Needs::of(&lock(&self.settings)).names.contains(host) {
            return Err(io::Error::other("no action goes there"));
        }
        Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).take(MAX_ADDRESSES).collect())
    }

    fn run(&self, action: &str, message: &Message, until: Instant) -> Result<(), Failure> {
        let known = |actions: &Settings| actions.iter().find(|one| one.name == action)?.command.clone();
        let command = known(&lock(&self.settings));
        // one that was configured a moment ago is known soon
        let command = command.ok_or_else(|| Failure::unsent(format!("run {action}: no such command is configured")))?;
        command::run(&command, &self.groups, message, until, &self.hear)
    }
}

/// Tells a message by an action, once.
///
/// # Errors
/// It was not told, or nobody knows.
pub fn attempt(action: &Action, means: &Means, message: &Message) -> Result<(), Failure> {
    let until = Instant::now() + action.timeout.0;
    match action.way() {
        Some(Way::Command(_)) => means.outside.run(&action.name, message, until),
        Some(Way::Webhook(hook)) => {
            let url = Url::parse(&hook.url).map_err(|error| Failure::refused(format!("read a URL: {error}")))?;
            let addresses = connect::route(&url.place, &*means.outside, until)?;
            talking(&action.name, webhook::send(hook, means, message, &addresses, until))
        }
        Some(Way::Mail(mail)) => {
            let place = smtp::place(mail)?;
            let addresses = connect::route(&place, &*means.outside, until)?;
            talking(&action.name, smtp::send(mail, means, message, &place, &addresses, until))
        }
        Some(Way::Syslog(syslog)) => syslog::send(syslog, &*means.outside, message, &action.name, until),
        Some(Way::Journald) => syslog::note(message, until),
        Some(Way::Alertmanager(manager)) => alertmanager::send(manager, means, message, &action.name, until),
        None => Err(Failure::refused(format!("tell by {}: nothing says how", action.name))),
    }
}

/// Waits for what takes the network, which knows how long it may take.
fn talking(name: &str, done: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Failure::unsent(format!("tell by {name}: {cause}")))?;
    let told = runtime.block_on(done);
    // nothing that still waits is waited for
    runtime.shutdown_timeout(Duration::ZERO);
    told
}

/// Places that an action sends something to, over connections and otherwise.
fn places(action: &Action) -> (Vec<Place>, Vec<Place>) {
    let url = |text: &String| Url::parse(text).ok().map(|url| url.place);
    match action.way() {
        Some(Way::Webhook(hook)) => (url(&hook.url).into_iter().collect(), Vec::new()),
        Some(Way::Mail(mail)) => (smtp::place(mail).into_iter().collect(), Vec::new()),
        Some(Way::Alertmanager(manager)) => (manager.urls.iter().filter_map(url).collect(), Vec::new()),
        Some(Way::Syslog(syslog)) => match syslog::Target::of(syslog) {
            Ok(syslog::Target::Tcp(place)) => (vec![place], Vec::new()),
            Ok(syslog::Target::Udp(place)) => (Vec::new(), vec![place]),
            Ok(syslog::Target::Socket(_)) | Err(_) => (Vec::new(), Vec::new()),
        },
        Some(Way::Command(_) | Way::Journald) | None => (Vec::new(), Vec::new()),
    }
}

/// Bytes of changes that a message of an action has room for, as [`words::weight`] counts them.
pub(super) fn room(action: &Action) -> usize {
    match action.way() {
        Some(Way::Webhook(hook)) => webhook::room(hook),
        _ => usize::MAX,
    }
}

/// Whether a person reads each message of an action, rather than a program that puts them together.
pub(super) fn is_read(action: &Action) -> bool {
    match action.way() {
        Some(Way::Webhook(hook)) => !webhook::is_each(hook),
        Some(Way::Command(_) | Way::Mail(_)) => true,
        Some(Way::Syslog(_) | Way::Journald | Way::Alertmanager(_)) | None => false,
    }
}

/// Whether an action sends to a socket of this host.
fn is_local(action: &Action) -> bool {
    match action.way() {
        Some(Way::Journald) => true,
        Some(Way::Syslog(syslog)) => matches!(syslog::Target::of(syslog), Ok(syslog::Target::Socket(_))),
        _ => false,
    }
}

/// What actions need of who carries them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Ports of TCP.
    pub ports: BTreeSet<u16>,
    /// Names that are looked up.
    pub names: BTreeSet<String>,
    /// Whether sockets of this host are sent to.
    pub sockets: bool,
    /// Programs, by the name of their action.
    pub commands: Vec<(String, Command)>,
}

impl Needs {
    /// Those of some actions.
    pub fn of(actions: &[Action]) -> Self {
        let mut needs = Self::default();
        for action in actions {
            let (connected, sent) = places(action);
            let named = connected.iter().chain(&sent).filter(|place| place.address().is_none());
            needs.names.extend(named.map(|place| place.host.clone()));
            needs.ports.extend(connected.iter().map(|place| place.port));
            needs.sockets |= is_local(action);
            needs.commands.extend(action.command.iter().map(|command| (action.name.clone(), command.clone())));
        }
        needs
    }

    /// Whether something takes files or processes.
    pub fn outside(&self) -> bool {
        !self.names.is_empty() || !self.commands.is_empty()
    }
}

/// A number that stands for some words, in hexadecimal digits: the same for the same ones.
fn digest<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    let mut digits = String::with_capacity(32);
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
