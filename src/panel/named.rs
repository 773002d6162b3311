//! Which names do ports and addresses have, and in which cells do they stand?
//!
//! Ports have names of the user's own (`[services]`) and, when somebody wants them, those of the system; addresses those that
//! name servers tell. What is sorted, filtered and saved are the numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::show::clean;
use crate::browse::Reverse;
use crate::col;
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::conntrack_flow::expect::ConntrackExpectRow;
use crate::collect::conntrack_flow::group::ConntrackGroupRow;
use crate::collect::listener::ListenerRow;
use crate::model::{Cell, Table};
use crate::source::services::Names as System;
use crate::store::rate::View;

/// Protocols that have ports.
pub const PROTOCOLS: [&str; 5] = ["tcp", "udp", "sctp", "dccp", "udplite"];

/// Configuration of names of ports: `[services]`, by protocol and port as in `"tcp/8443"`.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Services(pub BTreeMap<String, String>);

impl Services {
    /// The keys that are no protocol and port, and those that stand for no name, with what is wrong.
    pub fn check(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let is_port = |key: &str| {
            key.split_once('/').is_some_and(|(protocol, port)| {
                // `tcp/0443` would be another key for the same port
                PROTOCOLS.contains(&protocol) && port.parse::<u16>().is_ok_and(|number| number.to_string() == port)
            })
        };
        self.0.iter().filter_map(move |(key, name)| match name {
            _ if !is_port(key) => Some((key.as_str(), "that is no protocol and port")),
            name if name.trim().is_empty() => Some((key.as_str(), "a service has a name")),
            _ => None,
        })
    }
}

/// All names that may stand in cells.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The user's own.
    pub services: &'a Services,
    /// Those of the system, if they are wanted.
    pub system: Option<&'a System>,
    /// Those of addresses, while they are wanted.
    pub hosts: Option<&'a Reverse>,
}

static NONE: Services = Services(BTreeMap::new());

impl Default for Names<'_> {
    fn default() -> Self {
        Self { services: &NONE, system: None, hosts: None }
    }
}

impl<'a> Names<'a> {
    /// The name of what stands in a cell, as far as it is known; asks for that of an address.
    pub fn of(&self, view: &View, row: usize, column: usize) -> Option<Cow<'a, str>> {
        if self.services.0.is_empty() && self.system.is_none() && self.hosts.is_none() {
            return None;
        }
        let cell = view.raw().cell(row, column);
        let word = |column: usize| view.raw().cell(row, column).text().map(str::to_owned);
        let table = &*view.table().name;
        if crate::browse::by(view.table()).is_some() {
            return None;
        }
        if let Some((_, protocol, ports)) = PORTS.iter().find(|(known, ..)| known.name == table) {
            if !ports.contains(&column) {
                return self.address(address(&cell).filter(|address| !address.is_unspecified())?);
            }
            // sockets over IPv6 have a protocol of their own
            return self.port(&[word(*protocol)?.trim_end_matches('6')], cell.number()? as u32);
        }
        if table != ConntrackGroupRow::TABLE.name || column != col!(ConntrackGroupRow, value) {
            return None;
        }
        match word(col!(ConntrackGroupRow, by))?.as_str() {
            "port" => self.port(&["tcp", "udp"], cell.text()?.parse().ok()?),
            "source" | "destination" => self.address(cell.text()?.parse().ok()?),
            _ => None,
        }
    }

    fn address(&self, address: IpAddr) -> Option<Cow<'a, str>> {
        self.hosts?.name(address).map(|name| Cow::Owned(name.as_str().to_owned()))
    }

    /// The name that the first of some protocols has for a port.
    fn port(&self, protocols: &[&str], port: u32) -> Option<Cow<'a, str>> {
        protocols.iter().find_map(|protocol| {
            let key = format!("{protocol}/{port}");
            let own = self.services.0.get(&key).map(|name| clean(name));
            own.or_else(|| Some(Cow::Borrowed(self.system?.get(&key)?.as_str())))
        })
    }
}

/// Tables with ports: the column of the protocol, and those of the ports. Addresses in them may have names.
static PORTS: &[(&Table, usize, &[usize])] = &[
    (
        ConntrackFlowRow::TABLE,
        col!(ConntrackFlowRow, protocol),
        &[
            col!(ConntrackFlowRow, source_port),
            col!(ConntrackFlowRow, destination_port),
            col!(ConntrackFlowRow, reply_source_port),
            col!(ConntrackFlowRow, reply_destination_port),
        ],
    ),
    (
        ConntrackExpectRow::TABLE,
        col!(ConntrackExpectRow, protocol),
        &[
            col!(ConntrackExpectRow, source_port),
            col!(ConntrackExpectRow, destination_port),
            col!(ConntrackExpectRow, master_source_port),
            col!(ConntrackExpectRow, master_destination_port),
        ],
    ),
    (ListenerRow::TABLE, col!(ListenerRow, protocol), &[col!(ListenerRow, port)]),
];

fn address(cell: &Cell<'_>) -> Option<IpAddr> {
    match cell {
        Cell::Ip(address) => Some(*address),
        _ => None,
    }
}

/// Whether a table has addresses whose names may be asked for.
pub fn has_addresses(table: &Table) -> bool {
    let named = [ConntrackFlowRow::TABLE, ConntrackExpectRow::TABLE, ConntrackGroupRow::TABLE, ListenerRow::TABLE];
    named.iter().any(|known| known.name == table.name)
}
