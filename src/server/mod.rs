//! How does an agent serve a host to anybody who may look?
//!
//! `netglance serve` is a [`supervisor`] that keeps two processes of the same program up: the sampler, which has the
//! capabilities that collectors need and no network, and the front, which has the network and no capability. They are
//! joined by a socket pair that carries typed messages of the wire.

mod caller;
mod front;
mod grpc;
mod link;
mod notify;
mod pass;
mod rights;
mod sampled;
mod sampler;
mod sandbox;
mod supervisor;
mod watch;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::FromRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use caller::Role;
pub use supervisor::Part;

use crate::client::PORT;
use crate::collect::{self, COLLECTORS, Capabilities, OTHER_NAMESPACES};
use crate::source::netns::Selection;

/// `[serve]`: where the agent listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port; loopback only if not given.
    pub listen: String,
    /// Unix socket for clients of this host; none if empty.
    pub socket: PathBuf,
    /// Whether those with the role `operate` may send signals and renice.
    pub allow_actions: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: format!("127.0.0.1:{PORT}"), socket: PathBuf::new(), allow_actions: false }
    }
}

/// What the sampler samples, and whether it acts.
pub struct Sampling {
    /// The network namespaces that are read.
    pub netns: Selection,
    /// `[collect]`.
    pub collect: collect::settings::Settings,
    /// Whether signals and the like are sent for clients.
    pub actions: bool,
}

/// To signal and renice processes of others.
const ACTIONS: Capabilities = Capabilities::KILL.union(Capabilities::SYS_NICE);

impl Sampling {
    /// Capabilities that it can use.
    fn needs(&self) -> Capabilities {
        let if_so = |holds: bool, needs: Capabilities| if holds { needs } else { Capabilities::empty() };
        self.collect.needs() | if_so(!self.netns.is_host_only(), OTHER_NAMESPACES) | if_so(self.actions, ACTIONS)
    }

    /// Capabilities that any sampler can use.
    fn may_need() -> Capabilities {
        COLLECTORS.iter().fold(OTHER_NAMESPACES | ACTIONS, |needs, entry| needs | entry.needs)
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
    /// Something that every process needs is missing.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Keeps the agent up until a signal ends it; `arguments` start this program as one part.
///
/// # Errors
/// [`Error`].
pub fn supervise(settings: &Settings, arguments: &[std::ffi::OsString], say: &dyn Fn(&str)) -> Result<(), Error> {
    let address: SocketAddr = settings.listen.parse().map_err(|_| Error::Address(settings.listen.clone()))?;
    let listen = |cause| Error::Listen { at: address.to_string(), cause };
    let tcp = vec![TcpListener::bind(address).map_err(listen)?];
    for listener in &tcp {
        say(&format!("listening on {}", listener.local_addr()?));
    }
    let unix = if settings.socket.as_os_str().is_empty() { Vec::new() } else { vec![unix(&settings.socket)?] };
    // dashboards say that an agent runs; a second one need not say it again
    let _mark = crate::source::agent::mark();
    rights::name(c"netglance")?;
    rights::no_more()?;
    rights::keep(rights::of_supervisor(Sampling::may_need()))?;
    supervisor::run(arguments, &supervisor::Listeners { tcp, unix }, say)?;
    notify::tell("STOPPING=1");
    Ok(())
}

/// A socket that replaces one that nobody listens on any more.
fn unix(path: &Path) -> Result<UnixListener, Error> {
    let fail = |cause| Error::Listen { at: path.display().to_string(), cause };
    if matches!(UnixStream::connect(path), Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused) {
        std::fs::remove_file(path).map_err(fail)?;
    }
    UnixListener::bind(path).map_err(fail)
}

/// Runs one part of the agent on the control socket that the supervisor has left.
///
/// # Errors
/// [`Error::System`].
pub fn part(part: Part, sampling: Sampling, settings: &Settings, say: &dyn Fn(&str)) -> Result<(), Error> {
    // SAFETY: the supervisor has put the control socket there, and nobody else uses it
    let control = unsafe { UnixStream::from_raw_fd(supervisor::CONTROL) };
    rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
    rights::no_more()?;
    match part {
        Part::Sampler => {
            rights::name(c"netglance-sampl")?;
            rights::no_core()?;
            rights::keep(sampling.needs())?;
            sampler::run(sampling, &control)?;
        }
        Part::Front => {
            rights::name(c"netglance-front")?;
            // every file that the front needs is read here: afterwards it can open none
            let read = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
            let identity =
                front::Identity { host: read("/proc/sys/kernel/hostname"), machine: read("/etc/machine-id") };
            // the front becomes another user, but belongs to this one
            let own = rustix::process::geteuid().as_raw();
            rights::give_up_all()?;
            tell_missing(sandbox::enclose()?, say);
            front::run(control, identity, front::House { own, acts: settings.allow_actions })?;
        }
    }
    Ok(())
}

/// Says which walls this kernel cannot build; the others stand.
fn tell_missing(enclosure: sandbox::Enclosure, say: &dyn Fn(&str)) {
    for (stands, name) in [(enclosure.landlock, "Landlock"), (enclosure.seccomp, "seccomp")] {
        if !stands {
            say(&format!("this kernel has no {name}; the front runs without it"));
        }
    }
}
