//! What do other tables say of the interfaces of a map?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::graph::is_own;
use super::guest::{Guest, Process};
use crate::col;
use crate::collect::address::AddressRow;
use crate::collect::bridge::{BridgePortRow, FdbRow};
use crate::collect::link::LinkRow;
use crate::collect::neighbor::NeighborRow;
use crate::collect::ovs::{OvsBridgeRow, OvsPortRow};
use crate::collect::route::RouteRow;
use crate::collect::routing::{BgpPeerRow, IsisAdjacencyRow, OspfNeighborRow};
use crate::collect::virtual_link::{BondPortRow, BondRow, TunnelRow, VlanRow};
use crate::collect::vm::VmRow;
use crate::collect::vm::nic::VmNicRow;
use crate::model::{Cell, Demand, IpText, Level, Table, Value};
use crate::panel::arrange;
use crate::source::routing::daemon::Source;
use crate::store::rate::View;

/// Most entries of a table that are looked at.
pub(super) const ENTRIES: usize = 1 << 16;

/// What a router is that a default route leads to.
const GATEWAY: &str = "gateway";

/// An interface by the names of its network namespace and its own.
pub(super) type Name<'a> = (&'a str, &'a str);

/// A row of a table.
pub(super) type Told<'a> = (&'static Table, &'a View, usize);

/// A router behind an interface.
#[derive(Default)]
pub(super) struct Router<'a> {
    /// What it is to this host.
    pub(super) about: Vec<&'static str>,
    /// How it is with it, the worst of all that is said.
    pub(super) state: Option<(&'a str, Level)>,
    /// The cell that says since when nobody says that any more.
    pub(super) old: Option<(&'a View, usize, usize)>,
    /// The row that says the worst of it.
    pub(super) of: Option<Told<'a>>,
}

/// A port of Open vSwitch.
pub(super) struct Port<'a> {
    pub(super) view: &'a View,
    pub(super) row: usize,
    pub(super) bridge: &'a str,
    /// Name that the interfaces of a bond share.
    pub(super) name: &'a str,
    pub(super) interface: &'a str,
    pub(super) kind: &'a str,
}

impl Port<'_> {
    /// Whether it is one of several interfaces of a bond.
    pub(super) fn is_member(&self) -> bool {
        self.interface != self.name
    }

    /// Whether it is the bridge itself.
    pub(super) fn is_bridge(&self) -> bool {
        self.interface == self.bridge
    }
}

/// What other tables say of interfaces.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// Interface below.
    pub(super) lower: HashMap<Name<'a>, &'a str>,
    /// What kind it is, in more words than its link has.
    pub(super) about: HashMap<Name<'a>, String>,
    /// A word that is said instead of rates.
    pub(super) word: HashMap<Name<'a>, (&'a str, Level)>,
    pub(super) addresses: HashMap<Name<'a>, Vec<(IpAddr, u64, Level)>>,
    /// Routers behind it by their names.
    pub(super) routers: HashMap<Name<'a>, BTreeMap<String, Router<'a>>>,
    /// The names of those that have an address.
    behind: HashMap<(Name<'a>, IpAddr), String>,
    /// Ports of Open vSwitch in the order of their table.
    pub(super) ports: Vec<Port<'a>>,
    /// Those that an interface is.
    pub(super) port_of: HashMap<Name<'a>, usize>,
    /// Bridges of Open vSwitch.
    pub(super) switches: BTreeSet<Name<'a>>,
    /// Neighbors behind it, and addresses behind it in forwarding tables.
    pub(super) hosts: HashMap<Name<'a>, usize>,
    pub(super) macs: HashMap<Name<'a>, usize>,
    pub(super) tunnels: BTreeSet<Name<'a>>,
    pub(super) guests: BTreeMap<Process, Guest<'a>>,
    /// Whose network card an interface is, by its number in the network namespace of this program.
    pub(super) taps: HashMap<u64, Process>,
    /// Network namespaces by their interfaces, the own one where that has one of the name.
    places: HashMap<&'a str, &'a str>,
    /// The network namespace of this program.
    own: &'a str,
}

pub(super) fn word(view: &View, row: usize, column: usize) -> &str {
    match view.raw().cell(row, column) {
        Cell::Text(word) | Cell::Label(word) => word,
        _ => "",
    }
}

fn name(view: &View, row: usize, netns: usize, interface: usize) -> Name<'_> {
    (word(view, row, netns), word(view, row, interface))
}

pub(super) fn whole(view: &View, row: usize, column: usize) -> Option<u64> {
    match view.raw().cell(row, column) {
        Cell::U64(number) => Some(number),
        _ => None,
    }
}

/// The level of a word of a closed list.
pub(super) fn label(view: &View, row: usize, column: usize) -> (&str, Level) {
    match (view.raw().cell(row, column), view.table().columns.get(column)) {
        (Cell::Label(word), Some(about)) => (word, about.label_level(word)),
        _ => ("", Level::Ok),
    }
}

fn process(view: &View, row: usize, (pid, start): (usize, usize)) -> Option<Process> {
    whole(view, row, pid).zip(whole(view, row, start))
}

fn ip(view: &View, row: usize, column: usize) -> Option<IpAddr> {
    match view.raw().cell(row, column) {
        Cell::Ip(address) => Some(address),
        _ => None,
    }
}

/// An address, as words.
fn address(view: &View, row: usize, column: usize) -> Option<String> {
    ip(view, row, column).map(|address| IpText(address).to_string())
}

/// The worse of two states.
fn worse<'a>(a: Option<(&'a str, Level)>, b: Option<(&'a str, Level)>) -> Option<(&'a str, Level)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.1 > a.1 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Whether an address is in the network of another one.
fn covers(own: IpAddr, prefix: u64, other: IpAddr) -> bool {
    let same =
        |a: u128, b: u128, bits: u64| prefix <= bits && (a ^ b).checked_shr((bits - prefix) as u32).unwrap_or(0) == 0;
    match (own, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

/// The tables that are looked at beside the links; each may need what is said by those before it.
pub(super) const TABLES: [&Table; 16] = [
    AddressRow::TABLE,
    VlanRow::TABLE,
    TunnelRow::TABLE,
    BondRow::TABLE,
    BondPortRow::TABLE,
    BridgePortRow::TABLE,
    OvsBridgeRow::TABLE,
    OvsPortRow::TABLE,
    OspfNeighborRow::TABLE,
    IsisAdjacencyRow::TABLE,
    BgpPeerRow::TABLE,
    RouteRow::TABLE,
    NeighborRow::TABLE,
    FdbRow::TABLE,
    VmRow::TABLE,
    VmNicRow::TABLE,
];

/// What is wanted of one of [`TABLES`]: of very many routes only those for everything else.
pub(super) fn demand(table: &Table) -> Demand {
    let only = (table.name == RouteRow::TABLE.name).then(|| ("prefix".to_owned(), vec![Value::U64(0)]));
    Demand { only: only.into_iter().collect(), ..Demand::table(&table.name) }
}

impl<'a> Known<'a> {
    /// What the views of [`TABLES`] say of links.
    pub(super) fn of(links: &'a View, views: &'a [Option<Arc<View>>; 16]) -> Self {
        let mut out = Self::default();
        for row in 0..links.len() {
            let (netns, interface) = name(links, row, col!(LinkRow, netns), col!(LinkRow, name));
            let lower = word(links, row, col!(LinkRow, lower));
            if !lower.is_empty() {
                out.lower.insert((netns, interface), lower);
            }
            let known = out.places.entry(interface).or_insert(netns);
            if is_own(netns) {
                *known = netns;
                out.own = netns;
            }
        }
        for (view, take) in views.iter().zip(Self::TAKE) {
            for (view, row) in view.iter().flat_map(|view| (0..view.len().min(ENTRIES)).map(move |row| (view, row))) {
                take(&mut out, view, row);
            }
        }
        out
    }

    /// What is read of a row of each of [`TABLES`].
    const TAKE: [fn(&mut Self, &'a View, usize); 16] = [
        Self::address,
        Self::vlan,
        Self::tunnel,
        Self::bond,
        Self::bond_port,
        Self::bridge_port,
        Self::ovs_bridge,
        Self::ovs_port,
        Self::ospf_neighbor,
        Self::isis_adjacency,
        Self::bgp_peer,
        Self::route,
        Self::neighbor,
        Self::fdb,
        Self::guest,
        Self::tap,
    ];

    fn address(&mut self, view: &'a View, row: usize) {
        let scope = word(view, row, col!(AddressRow, scope));
        let prefix = whole(view, row, col!(AddressRow, prefix));
        if matches!(scope, "link" | "host" | "nowhere") {
            return;
        }
        let Some((address, prefix)) = ip(view, row, col!(AddressRow, address)).zip(prefix) else { return };
        let (_, level) = label(view, row, col!(AddressRow, state));
        let name = name(view, row, col!(AddressRow, netns), col!(AddressRow, interface));
        self.addresses.entry(name).or_default().push((address, prefix, level));
    }

    fn vlan(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(VlanRow, netns), col!(VlanRow, interface));
        self.lower.insert(name, word(view, row, col!(VlanRow, lower)));
        if let Some(vlan) = whole(view, row, col!(VlanRow, vlan)) {
            self.about.insert(name, format!("VLAN {vlan}"));
        }
    }

    fn tunnel(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(TunnelRow, netns), col!(TunnelRow, interface));
        self.tunnels.insert(name);
        self.lower.insert(name, word(view, row, col!(TunnelRow, lower)));
        let kind = word(view, row, col!(TunnelRow, kind));
        let to = address(view, row, col!(TunnelRow, remote));
        let vni = whole(view, row, col!(TunnelRow, vni)).map(|vni| vni.to_string());
        self.about.insert(name, [Some(kind.to_owned()), vni, to].into_iter().flatten().collect::<Vec<_>>().join(" "));
    }

    fn bond(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(BondRow, netns), col!(BondRow, interface));
        let counts = whole(view, row, col!(BondRow, up)).zip(whole(view, row, col!(BondRow, members)));
        let counts = counts.map(|(up, members)| format!(" {up}/{members}")).unwrap_or_default();
        self.about.insert(name, format!("{}{counts}", word(view, row, col!(BondRow, mode))));
    }

    fn bond_port(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(BondPortRow, netns), col!(BondPortRow, interface));
        let (link, level) = label(view, row, col!(BondPortRow, link));
        match (level, word(view, row, col!(BondPortRow, state))) {
            (Level::Ok, "backup") => self.about.insert(name, "backup".to_owned()).map_or((), drop),
            (Level::Ok, _) => {}
            _ => self.word.insert(name, (link, level)).map_or((), drop),
        }
    }

    fn bridge_port(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(BridgePortRow, netns), col!(BridgePortRow, interface));
        let state = word(view, row, col!(BridgePortRow, state));
        // one that is switched off is so as a link, too
        if matches!(state, "blocking" | "listening" | "learning") {
            self.word.insert(name, (state, Level::Ok));
        }
    }

    fn ovs_bridge(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(OvsBridgeRow, netns), col!(OvsBridgeRow, bridge));
        self.switches.insert(name);
        self.about.insert(name, "Open vSwitch".to_owned());
        let (state, level) = label(view, row, col!(OvsBridgeRow, state));
        if level > Level::Ok {
            self.word.insert(name, (state, level));
        }
    }

    fn ovs_port(&mut self, view: &'a View, row: usize) {
        let cell = |column| word(view, row, column);
        let (netns, interface) = name(view, row, col!(OvsPortRow, netns), col!(OvsPortRow, interface));
        let bridge = cell(col!(OvsPortRow, bridge));
        let (port, kind) = (cell(col!(OvsPortRow, port)), cell(col!(OvsPortRow, kind)));
        if let Some(tag) = whole(view, row, col!(OvsPortRow, tag)).filter(|tag| *tag > 0) {
            self.about.insert((netns, interface), format!("VLAN {tag}"));
        }
        self.switches.insert((netns, bridge));
        self.port_of.insert((netns, interface), self.ports.len());
        self.ports.push(Port { view, row, bridge, name: port, interface, kind });
    }

    /// Adds what is said of a router in a row, if that is in one.
    fn router(
        &mut self,
        (name, id): (Name<'a>, String),
        about: &'static str,
        state: Option<(&'a str, Level)>,
        (table, view, row): Told<'a>,
    ) {
        let router = self.routers.entry(name).or_default().entry(id).or_default();
        let level = |state: Option<(&str, Level)>| state.map(|(_, level)| level);
        if router.of.is_none() || level(state) > level(router.state) {
            router.of = Some((table, view, row));
        }
        if !router.about.contains(&about) {
            router.about.push(about);
        }
        let old = arrange::told(view, row).map(|column| (view, row, column));
        match (router.state, router.old.is_some(), old.is_some()) {
            // what is said now is better known than what was
            (Some(_), false, true) => {}
            (Some(_), true, false) if state.is_some() => (router.state, router.old) = (state, None),
            // one that speaks both versions is as bad as the worse of them
            _ => (router.state, router.old) = (worse(router.state, state), router.old.or(old)),
        }
    }

    fn ospf_neighbor(&mut self, view: &'a View, row: usize) {
        let mut name = name(view, row, col!(OspfNeighborRow, netns), col!(OspfNeighborRow, interface));
        let id = ip(view, row, col!(OspfNeighborRow, router_id));
        let mut address = ip(view, row, col!(OspfNeighborRow, address));
        let source = word(view, row, col!(OspfNeighborRow, source));
        if source == Source::Snmp.name() {
            // whoever it is behind is another router's, whatever interface that calls its own
            return;
        }
        if source.is_empty() && view.raw().cell(row, col!(OspfNeighborRow, netns)).is_missing() {
            // one that is expected and was never there may be named by its address
            name.0 = self.places.get(name.1).copied().unwrap_or(self.own);
            address = address.or(id);
        }
        let id = id.or(address);
        let id = id.map_or_else(|| "?".to_owned(), |id| IpText(id).to_string());
        self.behind.extend(address.map(|address| ((name, address), id.clone())));
        self.router(
            (name, id),
            "OSPF",
            Some(label(view, row, col!(OspfNeighborRow, state))),
            (OspfNeighborRow::TABLE, view, row),
        );
    }

    fn isis_adjacency(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(IsisAdjacencyRow, netns), col!(IsisAdjacencyRow, interface));
        let addresses = [col!(IsisAdjacencyRow, address), col!(IsisAdjacencyRow, address6)];
        let addresses: Vec<IpAddr> = addresses.into_iter().filter_map(|column| ip(view, row, column)).collect();
        // who has the same address is the same router
        let known = addresses.iter().find_map(|address| self.behind.get(&(name, *address)));
        let id = known.cloned().unwrap_or_else(|| word(view, row, col!(IsisAdjacencyRow, system)).to_owned());
        for address in addresses {
            self.behind.entry((name, address)).or_insert_with(|| id.clone());
        }
        self.router(
            (name, id),
            "IS-IS",
            Some(label(view, row, col!(IsisAdjacencyRow, state))),
            (IsisAdjacencyRow::TABLE, view, row),
        );
    }

    /// A peer that is in a network of this host, or is known by the interface that it is behind.
    fn bgp_peer(&mut self, view: &'a View, row: usize) {
        let (netns, peer) = name(view, row, col!(BgpPeerRow, netns), col!(BgpPeerRow, peer));
        let state = Some(label(view, row, col!(BgpPeerRow, state)));
        let Ok(address) = peer.parse::<IpAddr>() else {
            return self.router(((netns, peer), peer.to_owned()), "BGP", state, (BgpPeerRow::TABLE, view, row));
        };
        let own = self.addresses.iter().filter(|((at, _), _)| *at == netns);
        let own = own.flat_map(|(name, all)| all.iter().map(move |(own, prefix, _)| (*prefix, *name, *own)));
        let near = own.filter(|(prefix, _, own)| covers(*own, *prefix, address)).max();
        if let Some((_, name, _)) = near {
            // who has the number of a router that is there is that one, also where nobody has told its address
            let number = ip(view, row, col!(BgpPeerRow, router_id)).map(|number| IpText(number).to_string());
            let is_there = |number: &String| self.routers.get(&name).is_some_and(|there| there.contains_key(number));
            let number = number.filter(is_there);
            let new = || number.unwrap_or_else(|| IpText(address).to_string());
            let id = self.behind.entry((name, address)).or_insert_with(new).clone();
            self.router((name, id), "BGP", state, (BgpPeerRow::TABLE, view, row));
        }
    }

    /// A route for what has no other.
    fn route(&mut self, view: &'a View, row: usize) {
        let cell = |column| word(view, row, column);
        if whole(view, row, col!(RouteRow, prefix)) != Some(0) || cell(col!(RouteRow, kind)) != "unicast" {
            return;
        }
        let netns = cell(col!(RouteRow, netns));
        let one = ip(view, row, col!(RouteRow, gateway)).map(|gateway| (gateway, cell(col!(RouteRow, interface))));
        let several = cell(col!(RouteRow, next_hops)).split(", ").filter_map(|hop| {
            let after = |what: &str| hop.split(' ').skip_while(|word| *word != what).nth(1);
            Some((after("via")?.parse().ok()?, after("dev")?))
        });
        for (gateway, interface) in one.into_iter().chain(several) {
            let name = (netns, interface);
            let known = self.behind.entry((name, gateway)).or_insert_with(|| IpText(gateway).to_string());
            let id = known.clone();
            self.router((name, id), GATEWAY, None, (RouteRow::TABLE, view, row));
        }
    }

    fn neighbor(&mut self, view: &'a View, row: usize) {
        let (state, level) = label(view, row, col!(NeighborRow, state));
        let name = name(view, row, col!(NeighborRow, netns), col!(NeighborRow, interface));
        let known = ip(view, row, col!(NeighborRow, address)).and_then(|address| self.behind.get(&(name, address)));
        if let Some(id) = known {
            let router = self.routers.get_mut(&name).and_then(|routers| routers.get_mut(id));
            if let Some(router) = router.filter(|router| router.about == [GATEWAY]) {
                // nothing gets out that way
                let level = if state == "failed" { Level::Warning } else { level };
                router.state = Some((state, level));
            }
        } else if matches!(state, "reachable" | "stale" | "delay" | "probe" | "permanent") {
            *self.hosts.entry(name).or_default() += 1;
        }
    }

    fn fdb(&mut self, view: &'a View, row: usize) {
        let state = word(view, row, col!(FdbRow, state));
        if matches!(state, "learned" | "stale" | "static") {
            let name = name(view, row, col!(FdbRow, netns), col!(FdbRow, interface));
            *self.macs.entry(name).or_default() += 1;
        }
    }
    fn guest(&mut self, view: &'a View, row: usize) {
        let Some(process) = process(view, row, (col!(VmRow, pid), col!(VmRow, start))) else { return };
        let (name, monitor) = (word(view, row, col!(VmRow, name)), word(view, row, col!(VmRow, monitor)));
        let (state, of) = (Some(label(view, row, col!(VmRow, state))), Some((VmRow::TABLE, view, row)));
        self.guests.insert(process, Guest { name, monitor, state, of });
    }

    fn tap(&mut self, view: &'a View, row: usize) {
        let Some(process) = process(view, row, (col!(VmNicRow, pid), col!(VmNicRow, start))) else { return };
        // one that has no number is in another network namespace
        let Some(index) = whole(view, row, col!(VmNicRow, index)) else { return };
        self.taps.insert(index, process);
        let name = word(view, row, col!(VmNicRow, guest));
        self.guests.entry(process).or_insert_with(|| Guest {
            name,
            of: Some((VmNicRow::TABLE, view, row)),
            ..Guest::default()
        });
    }
}
