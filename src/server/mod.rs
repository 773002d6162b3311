//! How does an agent serve a host to anybody who may look?
//!
//! `netglance serve` is a [`supervisor`] that keeps two processes of the same program up: the sampler, which has the
//! capabilities that collectors need and no network, and the front, which has the network and no capability. They are
//! joined by a socket pair that carries typed messages of the wire. Where something goes out to other hosts it keeps a third
//! one up for that, the courier, and where that takes names or programs a fourth one, the runner.

mod alerts;
mod bodies;
mod bond;
mod caller;
mod child;
mod configured;
mod courier;
mod delivery;
mod desk;
mod door;
mod events;
mod frames;
mod front;
mod grpc;
mod head;
mod kept;
mod ledger;
mod link;
mod listen;
mod lock;
mod log;
mod memory;
mod meter;
mod notify;
mod parcel;
mod pass;
mod penalty;
mod pulse;
mod rest;
mod rights;
mod runner;
mod sampled;
mod sampler;
mod sandbox;
mod share;
mod supervisor;
mod taken;
mod tls;
mod token;
mod waited;
mod wanted;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::os::fd::FromRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use caller::Role;
pub use configured::{Configuration, Source};
pub use log::{Level, Log};
#[doc(hidden)]
pub use rest::read as read_request;
pub use supervisor::Part;
pub use token::{Token, TokenError, Tokens};

use crate::client::PORT;
use crate::collect::settings::Interval;
use crate::source::file::Root;

/// Time series of a scrape at most, unless configured.
const METRICS_SERIES: usize = 500;

/// `[serve]`: where the agent listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Addresses with ports, or one of them; loopback only if not given.
    #[serde(deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore")]
    pub listen: Vec<String>,
    /// Unix socket for clients of this host; none if empty.
    pub socket: PathBuf,
    /// Whether those with the role `operate` may send signals, renice and delete tracked connections.
    pub allow_actions: bool,
    /// Who may connect to it, as `chmod` has it.
    pub socket_mode: FileMode,
    /// The group that it belongs to; that of the agent if empty.
    pub socket_group: String,
    /// A part of the agent that has said nothing for so long hangs, and is started again.
    pub silence: Interval,
    /// File of the tokens; `tokens` beside the configuration if empty.
    pub tokens: PathBuf,
    /// File of the certificates in PEM, the own one first; the agent makes its own if empty.
    pub certificate: PathBuf,
    /// File of their key in PEM.
    pub key: PathBuf,
    /// File of the authority in PEM that signs certificates of clients; then nobody connects over TLS without one.
    pub client_ca: PathBuf,
    /// Directory of what the agent keeps; usually /var/lib/netglance if empty.
    pub state: PathBuf,
    /// Whether to listen for other hosts in plain text: everything that is said can be read on the way.
    #[serde(skip)]
    pub insecure: bool,
    /// Time series that a scrape of `/metrics` gets at most.
    pub metrics_series: usize,
    /// Names that people know this host by, besides its own and those of its certificate.
    pub hosts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![format!("127.0.0.1:{PORT}")],
            socket: PathBuf::new(),
            allow_actions: false,
            socket_mode: FileMode(0o666),
            socket_group: String::new(),
            silence: Interval(Duration::from_secs(30)),
            tokens: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
            state: PathBuf::new(),
            insecure: false,
            metrics_series: METRICS_SERIES,
            hosts: Vec::new(),
        }
    }
}

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let wrong = |_| serde::de::Error::custom("an address with a port, or a list of them, is expected");
    Ok(match OneOrMore::deserialize(deserializer).map_err(wrong)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

/// Who may use a file: three digits as `chmod` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Self).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no mode such as \"0660\"")))
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl schemars::JsonSchema for FileMode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileMode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^0?[0-7]{1,3}$" })
    }
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("listen on `{0}`: not an address and a port")]
    Address(String),
    /// The socket cannot be had.
    #[error("listen on {at}: {cause}")]
    Listen {
        /// Address or path.
        at: String,
        /// Errno.
        cause: io::Error,
    },
    /// Others could read what is said, or look without a name.
    #[error("listen on {0}: everybody could look from other hosts{1}")]
    Open(SocketAddr, String),
    /// The configuration is wrong.
    #[error("{0}")]
    Settings(String),
    /// Something that every process needs is missing.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Keeps the agent up until a signal ends it; `arguments` start this program as one part.
///
/// # Errors
/// [`Error`].
pub fn supervise(source: &dyn Source, arguments: &[std::ffi::OsString], log: &Log) -> Result<(), Error> {
    let configured = source.read().map_err(Error::Settings)?;
    let listeners = listen::Listeners::open(&configured.serve)?;
    let (files, told) = files(&configured.serve, listeners.away())?;
    // dashboards say that an agent runs; a second one need not say it again
    let _mark = crate::source::agent::mark();
    rights::name(c"netglance")?;
    rights::no_more()?;
    rights::keep(rights::of_supervisor(Configuration::may_need()))?;
    // threads from here on
    log.tell_panics();
    for message in told {
        log.say(Level::Notice, &message);
    }
    for name in listeners.names() {
        log.say(Level::Notice, &format!("listening on {name}"));
    }
    let ended = supervisor::run(source, configured, arguments, &listeners, files, log);
    log.end();
    Ok(ended?)
}

/// What the front needs of the disk, and what is to be said of it. There are no threads yet that could say it.
fn files(settings: &Settings, away: Option<SocketAddr>) -> Result<(kept::Files, Vec<String>), Error> {
    let away = away.filter(|_| !settings.insecure);
    let mut files = kept::Files::new(kept::Places {
        tokens: settings.tokens.clone(),
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        client_ca: settings.client_ca.clone(),
        state: settings.state.clone(),
        tls: away.is_some() || !settings.certificate.as_os_str().is_empty(),
    });
    let told = std::cell::RefCell::new(Vec::new());
    files.look(&|message| told.borrow_mut().push(message.to_owned()));
    if let Some(address) = away.filter(|_| !files.are_safe()) {
        let why = if files.problem().is_empty() { String::new() } else { format!(" ({})", files.problem()) };
        return Err(Error::Open(address, why));
    }
    if files.lack_a_key() {
        return Err(Error::Settings(files.problem().to_owned()));
    }
    Ok((files, told.into_inner()))
}

/// Runs one part of the agent on the control socket that the supervisor has left.
///
/// # Errors
/// [`Error::System`].
pub fn part(part: Part, log: &Log) -> Result<(), Error> {
    // SAFETY: the supervisor has put the control socket there, and nobody else uses it
    let control = unsafe { UnixStream::from_raw_fd(child::CONTROL) };
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
    rights::no_more()?;
    let Some(configured) = Configuration::receive(&control)? else { return Ok(()) };
    match part {
        Part::Sampler => {
            rights::name(c"netglance-sampl")?;
            rights::no_core()?;
            rights::join_daemons(&Root::new("/"))?;
            rights::keep(configured.needs())?;
            let devices = std::path::Path::new("/dev/nvidiactl").exists();
            let reach = sandbox::Reach { namespaces: !configured.netns.is_empty(), devices };
            let seccomp = sandbox::enclose_sampler(reach)?;
            log.tell_panics();
            tell_missing(&[(seccomp, "this kernel has no seccomp; the sampler runs without it".to_owned())], log);
            sampler::run(configured, &control, log)?;
        }
        Part::Front => front(configured, control, log)?,
        Part::Courier => {
            rights::name(c"netglance-couri")?;
            let peers = courier::peers(&configured, log);
            let another = rights::give_up_all()?;
            let enclosure = sandbox::enclose_courier(&courier::ways(&configured))?;
            log.tell_panics();
            tell_missing(&walls("courier", another, enclosure), log);
            courier::run(configured, &control, peers, log)?;
        }
        Part::Runner => {
            rights::name(c"netglance-runne")?;
            let another = rights::give_up_all()?;
            // what it runs is killed by it, and not left behind
            child::outlive_parent()?;
            // programs would be behind the same walls
            let enclosure = if runner::runs(&configured) {
                sandbox::Enclosure { landlock: true, seccomp: true }
            } else {
                sandbox::enclose_runner()?
            };
            log.tell_panics();
            tell_missing(&walls("runner", another, enclosure), log);
            runner::run(configured, &control, log)?;
        }
    }
    Ok(())
}

/// Gives up what the front does not need, and serves.
fn front(configured: Configuration, control: UnixStream, log: &Log) -> Result<(), Error> {
    rights::name(c"netglance-front")?;
    // every file that the front needs is read here: afterwards it can open none
    let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let identity = front::Identity { host: read("/proc/sys/kernel/hostname"), machine: read("/etc/machine-id") };
    // the front becomes another user, but belongs to this one
    let own = rustix::process::geteuid().as_raw();
    let another = rights::give_up_all()?;
    let descriptors = rights::descriptors();
    let enclosure = sandbox::enclose()?;
    log.tell_panics();
    tell_missing(&walls("front", another, enclosure), log);
    let serve = configured.serve;
    let house = front::House { own, acts: serve.allow_actions, open: serve.insecure, descriptors };
    let (metrics_series, hosts) = (serve.metrics_series, serve.hosts);
    Ok(front::run(control, front::Setup { identity, house, metrics_series, hosts }, log)?)
}

/// What a part without rights is behind, and what is to be said where that is not so.
fn walls(part: &str, another: bool, enclosure: sandbox::Enclosure) -> [(bool, String); 3] {
    let user = "a user of its own takes CAP_SETUID, CAP_SETGID and CAP_KILL";
    [
        (another, format!("the {part} stays root, without capabilities: {user}")),
        (enclosure.landlock, format!("this kernel has no Landlock; the {part} runs without it")),
        (enclosure.seccomp, format!("this kernel has no seccomp; the {part} runs without it")),
    ]
}

/// Says which walls do not stand; the others do.
fn tell_missing(walls: &[(bool, String)], log: &Log) {
    for (_, missing) in walls.iter().filter(|(stands, _)| !stands) {
        log.say(Level::Warning, missing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_a_list_of_one() {
        let of = |text: &str| toml::from_str::<Settings>(text);
        assert_eq!(of("listen = '[::1]:7'").unwrap().listen, ["[::1]:7"]);
        assert_eq!(of("listen = ['127.0.0.1:7', '[::1]:7']").unwrap().listen.len(), 2);
        assert!(of("listen = 7").unwrap_err().to_string().contains("a list of them"));
        assert_eq!(of("socket_mode = '0660'").unwrap().socket_mode, FileMode(0o660));
        for wrong in ["'0999'", "'1777'", "'rw'", "660"] {
            assert!(of(&format!("socket_mode = {wrong}")).is_err(), "{wrong}");
        }
    }
}
