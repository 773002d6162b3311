//! Which guest has an address, a card or an interface, and which bridge an interface?
//!
//! What one collector knows and others ask for. It is published through the scheduler, so that it is one sample late, and
//! missing until it is known.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::cell::Mac;
use super::text::Text;

/// What has an owner.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// What guests have.
    pub guests: Arc<Guests>,
    /// Ports of bridges that the kernel knows nothing of.
    pub ports: Arc<Ports>,
    /// The guests themselves.
    pub machines: Arc<Machines>,
    /// What their monitors say of them.
    pub monitors: Arc<Monitors>,
}

/// Guests by their processes.
pub type Machines = BTreeMap<u32, Machine>;

/// A guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Start of its process in clock ticks since boot.
    pub start: u64,
    /// Its name.
    pub name: Text,
}

/// What monitors say, by their processes.
pub type Monitors = BTreeMap<u32, Monitor>;

/// What a monitor says of its guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Start of its process in clock ticks since boot.
    pub start: u64,
    /// What the guest does, in a word.
    pub status: Option<Text>,
    /// What it is called, where that is more than its command line says.
    pub name: Option<Text>,
    /// Its UUID.
    pub uuid: Option<Text>,
    /// Bytes that the guest has of its memory.
    pub balloon: Option<u64>,
    /// Whether it does not answer any more.
    pub is_silent: bool,
}

/// What guests have, by their names. What two of them seem to have is neither's.
#[derive(Debug, Default)]
pub struct Guests {
    /// By network namespace, which has addresses of its own.
    pub addresses: HashMap<Text, HashMap<IpAddr, Text>>,
    /// By Ethernet address.
    pub macs: HashMap<Mac, Text>,
    /// By the number of an interface of the own network namespace.
    pub links: HashMap<u32, Text>,
}

/// Ports of bridges by the names of their interfaces in the own network namespace.
pub type Ports = HashMap<Text, Port>;

/// A port of a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The bridge.
    pub bridge: Text,
    /// VLAN of what comes without one.
    pub vlan: Option<u32>,
}

/// What one collector publishes.
#[derive(Clone, Debug)]
pub enum Owned {
    /// What guests have.
    Guests(Arc<Guests>),
    /// Ports of bridges that the kernel knows nothing of.
    Ports(Arc<Ports>),
    /// The guests themselves.
    Machines(Arc<Machines>),
    /// What their monitors say of them.
    Monitors(Arc<Monitors>),
}

impl Owners {
    /// Takes what a collector has published.
    pub fn take(&mut self, owned: Owned) {
        match owned {
            Owned::Guests(guests) => self.guests = guests,
            Owned::Ports(ports) => self.ports = ports,
            Owned::Machines(machines) => self.machines = machines,
            Owned::Monitors(monitors) => self.monitors = monitors,
        }
    }
}
