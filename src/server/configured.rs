//! What are the parts of the agent to do?
//!
//! The supervisor reads the configuration and hands what it says to each part in a file in memory. A part that is started
//! again does what was accepted last, whatever lies on the disk by then; and the front needs no file of its own.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use super::Settings;
use super::kept;
use super::pass::{self, Word};
use crate::alert::{self, action};
use crate::collect::{self, COLLECTORS, Capabilities, OTHER_NAMESPACES};
use crate::source::netns::Pattern;
use crate::source::routing::settings as routing;
use crate::source::trail;
use crate::store::level;

/// Bytes of a configuration as it is handed over at most.
const MAX_BYTES: u64 = 4 << 20;

/// What an agent is configured to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// `[serve]`, with the flags that win over it.
    pub serve: Settings,
    /// The network namespaces that are read beside the own one.
    pub netns: Vec<Pattern>,
    /// `[collect]`.
    pub collect: collect::settings::Settings,
    /// `[trail]`.
    pub trail: trail::Settings,
    /// `[routing]`.
    pub routing: routing::Settings,
    /// From where on a value deserves attention.
    pub threshold: level::Settings,
    /// Rules of alerts.
    #[serde(default)]
    pub alerts: alert::settings::Settings,
    /// `[[action]]`: who is told of alerts, and how.
    #[serde(default)]
    pub actions: action::Settings,
}

/// Where the supervisor learns what is configured, at the start and after a hangup.
pub trait Source {
    /// The configuration as it is now.
    ///
    /// # Errors
    /// In one line, what is wrong with it.
    fn read(&self) -> Result<Configuration, String>;
}

/// To signal and renice processes of others.
const ACTIONS: Capabilities = Capabilities::KILL.union(Capabilities::SYS_NICE);

impl Configuration {
    /// Capabilities that the sampler can use.
    pub(super) fn needs(&self) -> Capabilities {
        let if_so = |holds: bool, needs: Capabilities| if holds { needs } else { Capabilities::empty() };
        self.collect.needs()
            | if_so(!self.netns.is_empty(), OTHER_NAMESPACES)
            | if_so(self.serve.allow_actions, ACTIONS)
    }

    /// Capabilities that any sampler can use.
    pub(super) fn may_need() -> Capabilities {
        COLLECTORS.iter().fold(OTHER_NAMESPACES | ACTIONS, |needs, entry| needs | entry.needs)
    }

    /// Whether a front that does as `other` says must be another one.
    pub(super) fn serves_as(&self, other: &Self) -> bool {
        let of = |one: &Self| {
            let serve = one.serve.clone();
            (serve.allow_actions, serve.metrics_series, serve.insecure, serve.hosts)
        };
        of(self) == of(other)
    }

    /// Hands it to a part.
    ///
    /// # Errors
    /// The part does not listen, or there is no room.
    pub(super) fn send(&self, control: impl AsFd) -> io::Result<()> {
        // that everybody may look is said by a flag only, and no file can say it
        let bytes = serde_json::to_vec(&(self.serve.insecure, self))?;
        pass::send(control, Word::Configuration, Some(kept::in_memory(&bytes)?.as_fd()))
    }

    /// Takes it out of a file in memory.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn take(file: OwnedFd) -> io::Result<Self> {
        let bytes = kept::from_memory(file, MAX_BYTES)?;
        let (insecure, mut handed): (bool, Self) = serde_json::from_slice(&bytes)?;
        handed.serve.insecure = insecure;
        Ok(handed)
    }

    /// Waits for the first one; `None` when the supervisor is gone.
    ///
    /// # Errors
    /// Something else comes, or nothing can be read.
    pub(super) fn receive(control: &UnixStream) -> io::Result<Option<Self>> {
        match pass::receive(control)? {
            None => Ok(None),
            Some((Word::Configuration, Some(file))) => Self::take(file).map(Some),
            Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "the configuration has to come first")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Configuration {
        Configuration {
            serve: Settings::default(),
            netns: Vec::new(),
            collect: collect::settings::Settings::default(),
            trail: trail::Settings::default(),
            routing: routing::Settings::default(),
            threshold: Vec::new(),
            alerts: alert::settings::Settings::default(),
            actions: Vec::new(),
        }
    }

    #[test]
    fn what_is_read_decides_what_is_needed() {
        let mut configured = plain();
        let all = configured.needs();
        assert!(
            all.contains(Capabilities::SYS_PTRACE) && !all.intersects(Capabilities::SYS_ADMIN | Capabilities::KILL)
        );
        for entry in COLLECTORS {
            let off = collect::settings::CollectorSettings { enabled: false, ..Default::default() };
            configured.collect.collectors.insert(entry.name.to_owned(), off);
        }
        assert!(configured.needs().is_empty());
        configured.serve.allow_actions = true;
        assert_eq!(configured.needs(), Capabilities::KILL | Capabilities::SYS_NICE);
        assert!(Configuration::may_need().contains(all | configured.needs()));
    }

    #[test]
    fn a_part_gets_what_the_supervisor_has() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut configured = plain();
        configured.serve = toml::from_str("socket = '/run/x'\nsocket_mode = '0660'\nsilence = '1.5s'").unwrap();
        configured.serve.insecure = true;
        configured.collect = toml::from_str("[load]\ninterval = '2s'\nbudget = 0.25").unwrap();
        configured.netns = vec!["qrouter-*".parse().unwrap()];
        configured.trail = toml::from_str("file = '/var/x'\nsize = '1.5MiB'").unwrap();
        let threshold = "table = 'cpu'\ncolumn = 'busy'\nrow = '^all$'\ncareful = '70%'\ncritical = 0.9";
        configured.threshold = vec![toml::from_str(threshold).unwrap()];
        configured.actions = vec![toml::from_str("name = 'log'\nwindow = '90s'\njournald = {}").unwrap()];
        configured.send(&ours).unwrap();
        assert_eq!(Configuration::receive(&theirs).unwrap(), Some(configured));
        pass::send(&ours, Word::Ready, None).unwrap();
        assert!(Configuration::receive(&theirs).is_err());
        drop(ours);
        assert_eq!(Configuration::receive(&theirs).unwrap(), None);
    }

    #[test]
    fn only_what_the_front_does_makes_it_another_one() {
        let before = plain();
        let mut after = plain();
        after.collect = toml::from_str("[load]\nenabled = false").unwrap();
        after.serve.tokens = "/elsewhere".into();
        assert!(after.serves_as(&before));
        after.serve.allow_actions = true;
        assert!(!after.serves_as(&before));
    }
}
