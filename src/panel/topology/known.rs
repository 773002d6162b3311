//! What do other tables say of the interfaces of a map?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::col;
use crate::collect::address::AddressRow;
use crate::collect::bridge::{BridgePortRow, FdbRow};
use crate::collect::neighbor::NeighborRow;
use crate::collect::routing::OspfNeighborRow;
use crate::collect::virtual_link::{BondPortRow, BondRow, TunnelRow, VlanRow};
use crate::model::{Cell, IpText, Level, Table};
use crate::store::rate::View;

/// Most entries of a table that are looked at.
const ENTRIES: usize = 1 << 16;

/// An interface by the names of its network namespace and its own.
pub(super) type Name<'a> = (&'a str, &'a str);

/// What other tables say of interfaces.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// Interface below.
    pub(super) lower: HashMap<Name<'a>, &'a str>,
    /// What kind it is, in more words than its link has.
    pub(super) about: HashMap<Name<'a>, String>,
    /// A word that is said instead of rates.
    pub(super) word: HashMap<Name<'a>, (&'a str, Level)>,
    pub(super) addresses: HashMap<Name<'a>, Vec<(String, u64, Level)>>,
    /// Routers behind it with their states.
    pub(super) routers: HashMap<Name<'a>, BTreeMap<String, (String, Level)>>,
    /// Neighbors behind it, and addresses behind it in forwarding tables.
    pub(super) hosts: HashMap<Name<'a>, usize>,
    pub(super) macs: HashMap<Name<'a>, usize>,
    pub(super) tunnels: BTreeSet<Name<'a>>,
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

/// An address, as words.
fn address(view: &View, row: usize, column: usize) -> Option<String> {
    match view.raw().cell(row, column) {
        Cell::Ip(address) => Some(IpText(address).to_string()),
        _ => None,
    }
}

/// The tables that are looked at beside the links.
pub(super) const TABLES: [&Table; 9] = [
    AddressRow::TABLE,
    VlanRow::TABLE,
    TunnelRow::TABLE,
    BondRow::TABLE,
    BondPortRow::TABLE,
    BridgePortRow::TABLE,
    OspfNeighborRow::TABLE,
    NeighborRow::TABLE,
    FdbRow::TABLE,
];

impl<'a> Known<'a> {
    /// What the views of [`TABLES`] say.
    pub(super) fn of(views: &'a [Option<Arc<View>>; 9]) -> Self {
        let mut out = Self::default();
        for (view, take) in views.iter().zip(Self::TAKE) {
            for (view, row) in view.iter().flat_map(|view| (0..view.len().min(ENTRIES)).map(move |row| (view, row))) {
                take(&mut out, view, row);
            }
        }
        out
    }

    /// What is read of a row of each of [`TABLES`].
    const TAKE: [fn(&mut Self, &'a View, usize); 9] = [
        Self::address,
        Self::vlan,
        Self::tunnel,
        Self::bond,
        Self::bond_port,
        Self::bridge_port,
        Self::ospf_neighbor,
        Self::neighbor,
        Self::fdb,
    ];

    fn address(&mut self, view: &'a View, row: usize) {
        let scope = word(view, row, col!(AddressRow, scope));
        let prefix = whole(view, row, col!(AddressRow, prefix));
        if matches!(scope, "link" | "host" | "nowhere") {
            return;
        }
        let Some((address, prefix)) = address(view, row, col!(AddressRow, address)).zip(prefix) else { return };
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

    fn ospf_neighbor(&mut self, view: &'a View, row: usize) {
        let name = name(view, row, col!(OspfNeighborRow, netns), col!(OspfNeighborRow, interface));
        let id = address(view, row, col!(OspfNeighborRow, router_id));
        let id = id.or_else(|| address(view, row, col!(OspfNeighborRow, address)));
        let (state, level) = label(view, row, col!(OspfNeighborRow, state));
        let known = self.routers.entry(name).or_default().entry(id.unwrap_or_else(|| "?".to_owned()));
        // one that speaks both versions is as bad as the worse of them
        let known = known.or_insert_with(|| (state.to_owned(), level));
        if level > known.1 {
            *known = (state.to_owned(), level);
        }
    }

    fn neighbor(&mut self, view: &'a View, row: usize) {
        let state = word(view, row, col!(NeighborRow, state));
        if !matches!(state, "reachable" | "stale" | "delay" | "probe" | "permanent") {
            return;
        }
        let name = name(view, row, col!(NeighborRow, netns), col!(NeighborRow, interface));
        *self.hosts.entry(name).or_default() += 1;
    }

    fn fdb(&mut self, view: &'a View, row: usize) {
        let state = word(view, row, col!(FdbRow, state));
        if matches!(state, "learned" | "stale" | "static") {
            let name = name(view, row, col!(FdbRow, netns), col!(FdbRow, interface));
            *self.macs.entry(name).or_default() += 1;
        }
    }
}
