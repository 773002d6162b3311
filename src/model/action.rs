//! What may be done to a host?
//!
//! A closed list. What an action is for is told by all that tells it from others, so that it never hits something else that
//! has taken its place meanwhile.

use std::net::IpAddr;

use super::cell::{Timestamp, Value};
use super::ip::IpText;
use super::protocol::protocol_name;
use super::text::Text;

/// Everything that may be done to a host: a closed list.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a signal to exactly this process.
    Signal {
        /// Process.
        pid: u32,
        /// Start in clock ticks since boot, so that a reused pid is never hit.
        start: u64,
        /// Signal number.
        signal: i32,
    },
    /// Change the nice value of exactly this process.
    Renice {
        /// Process.
        pid: u32,
        /// Start in clock ticks since boot.
        start: u64,
        /// New nice value, -20 to 19.
        nice: i32,
    },
    /// Let the kernel forget exactly these connections that it tracks, at most [`Action::MOST`].
    Forget {
        /// The connections, all of one network namespace.
        flows: Vec<Tracked>,
    },
    /// Show no more that somebody has gone. Nothing but what is shown changes.
    Acknowledge {
        /// Who has gone.
        gone: Departed,
    },
    /// Say that an alert is known or may be silent, or take that back. Nothing but who is told changes.
    Mute {
        /// Which alert, and how.
        mute: Mute,
    },
}

/// What a person says of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Its rule.
    pub rule: Text,
    /// Its instance; empty for all of the rule where it is silent for a time.
    pub instance: Text,
    /// Until when nobody is told of it; `None` is that it is known, until it is over or gets worse.
    pub until: Option<Timestamp>,
    /// Why.
    pub comment: Option<Text>,
    /// Whether what was said of it before is taken back, and nothing else.
    pub lift: bool,
}

impl Mute {
    /// The word for it, and what it is for.
    fn aim(&self) -> (&'static str, Text) {
        let word = match (self.lift, self.until) {
            (true, _) => "unmute",
            (false, Some(_)) => "silence",
            (false, None) => "acknowledge",
        };
        let space = if self.instance.is_empty() { "" } else { " " };
        (word, Text::from(format!("alert {}{space}{}", self.rule, self.instance)))
    }
}

/// Somebody who was there and is gone, by the row that tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Departed {
    /// Its table.
    pub table: Text,
    /// Its Ids, in the order of the table.
    pub ids: Vec<Value>,
    /// Since when.
    pub since: Timestamp,
}

impl Departed {
    /// Most Ids that a table has.
    pub const MOST: usize = 16;

    /// What people tell it by: the words, numbers and addresses of its Ids.
    fn words(&self) -> Text {
        let word = |id: &Value| match id {
            Value::Text(word) | Value::Label(word) => Some(word.to_string()),
            Value::Ip(address) => Some(IpText(*address).to_string()),
            Value::U64(number) => Some(number.to_string()),
            _ => None,
        };
        let words: Vec<String> = self.ids.iter().filter_map(word).collect();
        Text::from(format!("{} {}", self.table, words.join(" ")))
    }
}

/// A connection that the kernel tracks, by all that tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Its network namespace.
    pub netns: Text,
    /// The kernel's number for it.
    pub id: u32,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// Who sent the first packet.
    pub source: IpAddr,
    /// Where it was sent to.
    pub destination: IpAddr,
    /// Ports of the first packet, or keys of a tunnel.
    pub ports: Option<(u16, u16)>,
    /// Type, code and identifier of a question of ICMP.
    pub icmp: Option<(u8, u8, u16)>,
    /// Zone of the first packet.
    pub zone: u16,
}

impl std::fmt::Display for Tracked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = |address: &IpAddr, port: Option<u16>| match (address, port) {
            (IpAddr::V6(_), Some(port)) => format!("[{}]:{port}", IpText(*address)),
            (IpAddr::V4(address), Some(port)) => format!("{address}:{port}"),
            (_, None) => IpText(*address).to_string(),
        };
        let source = end(&self.source, self.ports.map(|(port, _)| port));
        let destination = end(&self.destination, self.ports.map(|(_, port)| port));
        let protocol =
            protocol_name(self.protocol).map_or_else(|| format!("protocol {}", self.protocol), str::to_owned);
        write!(f, "{protocol} {source} → {destination}")
    }
}

impl Tracked {
    /// Its ends, and its network namespace if that is another one.
    pub fn placed(&self) -> String {
        if self.netns.as_str() == super::OWN_NETNS { self.to_string() } else { format!("{self} in {}", self.netns) }
    }
}

impl Action {
    /// Most connections that one action is for.
    pub const MOST: usize = 500;

    /// The word for it, and what it is for.
    pub fn aim(&self) -> (&'static str, Text) {
        match self {
            Self::Signal { pid, .. } => ("signal", process(*pid)),
            Self::Renice { pid, .. } => ("renice", process(*pid)),
            Self::Forget { flows } => ("forget", connections(flows)),
            Self::Acknowledge { gone } => ("acknowledge", gone.words()),
            Self::Mute { mute } => mute.aim(),
        }
    }

    /// How many things it is for.
    pub fn count(&self) -> usize {
        match self {
            Self::Signal { .. } | Self::Renice { .. } | Self::Acknowledge { .. } | Self::Mute { .. } => 1,
            Self::Forget { flows } => flows.len(),
        }
    }

    /// It was not done because of that.
    pub fn failed(&self, cause: std::io::Error) -> ActionError {
        let (op, what) = self.aim();
        ActionError::Kernel { op, what, cause }
    }

    /// It was not done because what it is for is not there any more.
    pub fn gone(&self) -> ActionError {
        ActionError::Gone { what: self.aim().1 }
    }
}

/// What came of an action that was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Of several things that it was for, how many were gone already.
    pub gone: usize,
}

/// Which actions are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// None.
    #[default]
    Nothing,
    /// Those on processes, which people expect of every such program, and those that change nothing but what is shown.
    Processes,
    /// All.
    Everything,
}

impl Allowed {
    /// Whether an action is done.
    pub fn allows(self, action: &Action) -> bool {
        match action {
            Action::Signal { .. } | Action::Renice { .. } | Action::Acknowledge { .. } | Action::Mute { .. } => {
                self != Self::Nothing
            }
            Action::Forget { .. } => self == Self::Everything,
        }
    }
}

/// A process in words.
fn process(pid: u32) -> Text {
    Text::from(format!("process {pid}"))
}

/// Connections in words: one by its ends, several by their number.
fn connections(flows: &[Tracked]) -> Text {
    Text::from(match flows {
        [] => "no connection".to_owned(),
        [one] => one.placed(),
        [first, ..] => format!("{} connections, the first {}", flows.len(), first.placed()),
    })
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// What it was for is gone, or its number belongs to something else now.
    #[error("{what} is gone")]
    Gone {
        /// What it was for.
        what: Text,
    },
    /// The kernel refused.
    #[error("{op} {what}: {cause}")]
    Kernel {
        /// What was attempted.
        op: &'static str,
        /// What it was for.
        what: Text,
        /// Errno.
        cause: std::io::Error,
    },
    /// This host takes no actions.
    #[error("actions are off on this host")]
    Off,
}
