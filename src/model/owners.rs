//! Which guest has an address, a card or an interface, and which bridge an interface?
//!
//! What one collector knows and others ask for. It is published through the scheduler, so that it is one sample late, and
//! missing until it is known.

use std::collections::HashMap;
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
}

impl Owners {
    /// Takes what a collector has published.
    pub fn take(&mut self, owned: Owned) {
        match owned {
            Owned::Guests(guests) => self.guests = guests,
            Owned::Ports(ports) => self.ports = ports,
        }
    }
}
