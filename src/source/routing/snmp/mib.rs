//! Which values does a router tell of OSPF, and what do they say?
//!
//! OSPF-MIB (RFC 4750) and OSPFV3-MIB (RFC 5643): general values, areas, interfaces with their metric, neighbors; the
//! link state database ([`lsdb`]), which is large, where that is wanted. Names of interfaces come from IF-MIB (RFC 2863), and which
//! interface an address is on from IP-MIB (RFC 4293). What an agent says that no standard knows is missing.

mod links;
mod lsdb;
mod value;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use self::value::{area, interface_state, kind, neighbor_state, network, quad, router, seconds, text, truth, unsigned};
use super::ber::{Binding, Oid, Value};
use super::client::Client;
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::routing::database::Link;
use crate::source::routing::lsa::Lsa;
use crate::source::routing::ospf::{Area, Interface, InterfaceState, Neighbor, NeighborState, Place, Role};
use crate::source::routing::told::Told;

const MIB: [u32; 6] = [1, 3, 6, 1, 2, 1];
const DESCRIPTION: [u32; 3] = [1, 1, 0];
const ADDRESS_INTERFACE: [u32; 4] = [4, 20, 1, 2];
const ADDRESS_MASK: [u32; 4] = [4, 20, 1, 3];
const INTERFACE_NAME: [u32; 5] = [31, 1, 1, 1, 1];
const INTERFACE_DESCRIPTION: [u32; 4] = [2, 2, 1, 2];

/// Router id, whether it joins areas, whether it brings routes of others, and LSAs of those: in version 2 and 3.
const GENERAL: [[[u32; 4]; 4]; 2] = [
    [[14, 1, 1, 0], [14, 1, 4, 0], [14, 1, 5, 0], [14, 1, 6, 0]],
    [[191, 1, 1, 1], [191, 1, 1, 4], [191, 1, 1, 5], [191, 1, 1, 6]],
];

/// Tables of areas, interfaces, neighbors and metrics.
const AREAS: [u32; 3] = [14, 2, 1];
const INTERFACES: [u32; 3] = [14, 7, 1];
const METRICS: [u32; 4] = [14, 8, 1, 4];
const NEIGHBORS: [u32; 3] = [14, 10, 1];
const AREAS_3: [u32; 4] = [191, 1, 2, 1];
const INTERFACES_3: [u32; 4] = [191, 1, 7, 1];
const NEIGHBORS_3: [u32; 4] = [191, 1, 9, 1];

fn name(arcs: &[u32]) -> Oid {
    Oid::new(&MIB).and(arcs)
}

/// Name of a general value of some version.
fn general(version: usize, at: usize) -> Oid {
    let arcs = GENERAL.get(version).and_then(|all| all.get(at)).copied().unwrap_or_default();
    // the group of version 3 is one level deeper
    name(&arcs).and(if version == 1 { &[0] } else { &[] })
}

/// Asks for everything.
///
/// # Errors
/// A question is not answered, or makes no sense.
pub(super) fn ask(client: &mut Client, database: bool) -> Result<Vec<Binding>, Error> {
    let mut names = vec![name(&DESCRIPTION)];
    names.extend((0..2).flat_map(|version| (0..4).map(move |at| general(version, at))));
    let mut all = client.get(&names)?;
    let tables: [&[u32]; 7] = [&AREAS, &INTERFACES, &METRICS, &NEIGHBORS, &AREAS_3, &INTERFACES_3, &NEIGHBORS_3];
    for table in tables {
        all.extend(client.walk(&name(table))?);
    }
    if database {
        lsdb::ask(client, &mut all)?;
    }
    let found = Found::of(&all);
    let addresses: Vec<Oid> = found
        .addresses()
        .flat_map(|address| {
            [&ADDRESS_INTERFACE, &ADDRESS_MASK].map(|column| name(column).and(&address.octets().map(u32::from)))
        })
        .collect();
    all.extend(client.get(&addresses)?);
    let found = Found::of(&all);
    let numbers = found.numbers();
    let of =
        |column: &[u32], numbers: &[u32]| numbers.iter().map(|number| name(column).and(&[*number])).collect::<Vec<_>>();
    let named = client.get(&of(&INTERFACE_NAME, &numbers))?;
    let described = client.get(&of(&INTERFACE_DESCRIPTION, &nameless(&numbers, &named)))?;
    all.extend(named);
    all.extend(described);
    Ok(all)
}

/// Numbers of interfaces that have no name.
fn nameless(numbers: &[u32], named: &[Binding]) -> Vec<u32> {
    let column = name(&INTERFACE_NAME);
    let with = named.iter().filter(|one| one.value != Value::Bytes(Vec::new()));
    let with: HashSet<u32> = with.filter_map(|one| one.oid.below(&column)?.first().copied()).collect();
    numbers.iter().copied().filter(|number| !with.contains(number)).collect()
}

/// Values by their names.
struct Found<'a>(BTreeMap<&'a Oid, &'a Value>);

/// A row of a table: what tells it from others, and its columns.
type Row<'a> = (&'a [u32], BTreeMap<u32, &'a Value>);

impl<'a> Found<'a> {
    fn of(all: &'a [Binding]) -> Self {
        Self(all.iter().map(|binding| (&binding.oid, &binding.value)).collect())
    }

    fn value(&self, arcs: &[u32]) -> Option<&'a Value> {
        self.0.get(&name(arcs)).copied()
    }

    /// Rows of a table, in the order of what tells them apart.
    fn rows(&self, table: &[u32]) -> Vec<Row<'a>> {
        let table = name(table);
        let mut rows: BTreeMap<&'a [u32], BTreeMap<u32, &'a Value>> = BTreeMap::new();
        for (oid, value) in self.0.range::<Oid, _>(&table..) {
            let Some(below) = oid.below(&table) else { break };
            if let [column, index @ ..] = below {
                rows.entry(index).or_default().insert(*column, value);
            }
        }
        rows.into_iter().collect()
    }

    /// Addresses of interfaces that have one.
    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.rows(&INTERFACES).into_iter().filter_map(|(index, _)| ends(index)).filter_map(|(address, _)| address)
    }

    /// Numbers of all interfaces that something is told of, each once.
    fn numbers(&self) -> Vec<u32> {
        let without = |(index, _): Row<'a>| ends(index).and_then(|(_, number)| number);
        let third = |(index, _): Row<'a>| index.first().copied();
        let mut numbers: Vec<u32> = self.addresses().filter_map(|address| self.number(address)).collect();
        for table in [&INTERFACES, &NEIGHBORS] {
            numbers.extend(self.rows(table).into_iter().filter_map(without));
        }
        for table in [&INTERFACES_3, &NEIGHBORS_3] {
            numbers.extend(self.rows(table).into_iter().filter_map(third));
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Number of the interface that an address is on.
    fn number(&self, address: Ipv4Addr) -> Option<u32> {
        let number = unsigned(self.value(&[&ADDRESS_INTERFACE[..], &address.octets().map(u32::from)].concat()))?;
        u32::try_from(number).ok()
    }

    /// Name of an interface, or its number where it has none.
    fn interface(&self, number: u32) -> Text {
        let of = |column: &[u32]| text(self.value(&[column, &[number]].concat())).filter(|name| !name.is_empty());
        of(&INTERFACE_NAME).or_else(|| of(&INTERFACE_DESCRIPTION)).unwrap_or_else(|| Text::from(number.to_string()))
    }
}

/// The ends of an interface or a neighbor of version 2: an address, or the number of an interface that has none.
fn ends(index: &[u32]) -> Option<(Option<Ipv4Addr>, Option<u32>)> {
    let [a, b, c, d, number] = index else { return None };
    let address = quad(&[*a, *b, *c, *d])?;
    Some((Some(address).filter(|address| !address.is_unspecified()), Some(*number).filter(|number| *number != 0)))
}

/// What a router has told.
pub(super) fn told(all: &[Binding], at: Timestamp) -> (Told, Option<Text>) {
    let found = Found::of(all);
    let mut told = Told::new(at);
    two(&found, &mut told);
    three(&found, &mut told);
    told.count_neighbors();
    (told, text(found.value(&DESCRIPTION)))
}

/// The links of which they tell.
pub(super) fn links(all: &[Binding]) -> Bounded<Link> {
    links::links(&lsdb::advertised(&Found::of(all)))
}

/// The LSAs in its databases.
pub(super) fn lsas(all: &[Binding]) -> Bounded<Lsa> {
    lsdb::lsas(&Found::of(all))
}

fn place(version: u32) -> Place {
    Place { version, ..Place::default() }
}

/// Areas of a version, with the columns of their kind, of how often paths were looked for, and of how many LSAs there are.
fn areas(found: &Found<'_>, told: &mut Told, version: u32, table: &[u32], columns: [u32; 3]) {
    let [kinds, runs, lsas] = columns;
    let value = |at| {
        let oid = general(version as usize - 2, at);
        found.0.get(&oid).copied()
    };
    let mut counts: HashMap<Text, (u64, u64)> = HashMap::new();
    let is_here = |place: &Place| place.version == version;
    for interface in told.interfaces.kept().iter().filter(|interface| is_here(&interface.place)) {
        counts.entry(interface.area.clone().unwrap_or_default()).or_default().0 += 1;
    }
    for neighbor in told.neighbors.kept().iter().filter(|neighbor| is_here(&neighbor.place)) {
        let adjacent = &mut counts.entry(neighbor.area.clone().unwrap_or_default()).or_default().1;
        *adjacent += u64::from(neighbor.state == NeighborState::Full);
    }
    for (index, row) in found.rows(table) {
        let id = match index {
            [number] => Some(Ipv4Addr::from(*number)),
            arcs => quad(arcs),
        };
        let Some(id) = id.map(|id| Text::from(id.to_string())) else { continue };
        let of = |column: u32| row.get(&column).copied();
        let (interfaces, adjacent) = counts.get(&id).copied().unwrap_or_default();
        told.areas.push(Area {
            place: place(version),
            kind: kind(of(kinds)),
            router: router(value(0)),
            abr: truth(value(1)),
            asbr: truth(value(2)),
            interfaces: Some(interfaces),
            adjacent: Some(adjacent),
            lsas: unsigned(of(lsas)),
            external_lsas: unsigned(value(3)),
            spf_runs: unsigned(of(runs)),
            id,
            ..Area::default()
        });
    }
}

/// An interface of version 2.
struct Known {
    interface: Interface,
    number: Option<u32>,
    /// Addresses of the DR and of who takes its place.
    elected: [Option<IpAddr>; 2],
}

/// Interfaces by what neighbors tell of them.
#[derive(Default)]
struct Behind {
    numbers: HashMap<u32, usize>,
    /// By the bits that name the network, and how many those are.
    networks: HashMap<(u32, u32), usize>,
    prefixes: BTreeSet<u32>,
}

impl Behind {
    fn of(known: &[Known]) -> Self {
        let mut behind = Self::default();
        for (at, Known { interface, number, .. }) in known.iter().enumerate() {
            if let Some(number) = number {
                behind.numbers.entry(*number).or_insert(at);
            }
            if let (Some(IpAddr::V4(address)), Some(prefix @ 0..=32)) = (interface.address, interface.prefix) {
                let prefix = prefix as u32;
                behind.networks.entry((network_of(address, prefix), prefix)).or_insert(at);
                behind.prefixes.insert(prefix);
            }
        }
        behind
    }

    /// The one behind which an address is: that of the smallest network that has it.
    fn find(&self, address: Option<Ipv4Addr>, number: Option<u32>) -> Option<usize> {
        if let Some(number) = number {
            return self.numbers.get(&number).copied();
        }
        let address = address?;
        self.prefixes
            .iter()
            .rev()
            .find_map(|prefix| self.networks.get(&(network_of(address, *prefix), *prefix)).copied())
    }
}

fn network_of(address: Ipv4Addr, prefix: u32) -> u32 {
    address.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

fn interface_of_two(found: &Found<'_>, index: &[u32], row: &BTreeMap<u32, &Value>) -> Option<Known> {
    let (address, number) = ends(index)?;
    let of = |column: u32| row.get(&column).copied();
    let number = number.or_else(|| found.number(address?));
    let called = number.map(|number| found.interface(number));
    let called = called.or_else(|| Some(Text::from(address?.to_string())))?;
    let state = interface_state(of(12));
    let mut interface = Interface::new(place(2), called, state);
    let octets = address.map(|address| address.octets().map(u32::from));
    let mask = octets.and_then(|octets| found.value(&[&ADDRESS_MASK[..], &octets].concat()));
    interface.prefix = match mask {
        Some(Value::Address(mask)) => Some(u64::from(mask.to_bits().count_ones())),
        _ => None,
    };
    interface.address = address.map(IpAddr::V4);
    interface.area = area(of(3));
    interface.network = network(of(4), state);
    interface.priority = unsigned(of(6));
    interface.retransmit = seconds(of(8));
    interface.hello = seconds(of(9));
    interface.dead = seconds(of(10));
    // of the kinds of service only the usual one
    interface.cost = unsigned(found.value(&[&METRICS[..], index, &[0]].concat()));
    Some(Known { interface, number, elected: [router(of(13)), router(of(14))] })
}

fn two(found: &Found<'_>, told: &mut Told) {
    let own = router(found.0.get(&general(0, 0)).copied());
    let interfaces = found.rows(&INTERFACES);
    let known: Vec<Known> = interfaces.iter().filter_map(|(index, row)| interface_of_two(found, index, row)).collect();
    let behind = Behind::of(&known);
    let mut routers: HashMap<IpAddr, IpAddr> = HashMap::new();
    for (index, row) in found.rows(&NEIGHBORS) {
        let Some((address, number)) = ends(index) else { continue };
        let of = |column: u32| row.get(&column).copied();
        let behind = behind.find(address, number).and_then(|at| known.get(at));
        let called = behind.map(|known| known.interface.name.clone());
        let called = called.or_else(|| number.map(|number| found.interface(number))).unwrap_or_default();
        let mut neighbor = Neighbor::new(place(2), called, neighbor_state(of(6)));
        neighbor.router = router(of(3));
        neighbor.address = address.map(IpAddr::V4);
        neighbor.priority = unsigned(of(5));
        neighbor.events = unsigned(of(7));
        neighbor.retransmissions = unsigned(of(8));
        if let Some(known) = behind {
            neighbor.local = known.interface.address;
            neighbor.area.clone_from(&known.interface.area);
            neighbor.role = role(known.interface.state, known.elected, neighbor.address);
        }
        routers.extend(neighbor.address.zip(neighbor.router));
        told.neighbors.push(neighbor);
    }
    for Known { mut interface, elected, .. } in known {
        // those who were elected are told by their addresses
        let named = |address: Option<IpAddr>| match address {
            Some(_) if address == interface.address => own,
            Some(address) => routers.get(&address).copied(),
            None => None,
        };
        [interface.dr, interface.backup] = elected.map(named);
        told.interfaces.push(interface);
    }
    areas(found, told, 2, &AREAS, [3, 4, 7]);
}

fn three(found: &Found<'_>, told: &mut Told) {
    let own = router(found.0.get(&general(1, 0)).copied());
    let mut known: BTreeMap<(u32, u32), Interface> = BTreeMap::new();
    for (index, row) in found.rows(&INTERFACES_3) {
        let [number, instance] = index else { continue };
        let of = |column: u32| row.get(&column).copied();
        let elected = [router(of(13)), router(of(14))];
        let state = elected_state(interface_state(of(12)), own, elected);
        let mut interface = Interface::new(place(3), found.interface(*number), state);
        interface.area = area(of(3));
        interface.network = network(of(4), state);
        interface.priority = unsigned(of(6));
        interface.retransmit = seconds(of(8));
        interface.hello = seconds(of(9));
        interface.dead = seconds(of(10));
        [interface.dr, interface.backup] = elected;
        interface.cost = unsigned(of(18));
        known.insert((*number, *instance), interface);
    }
    for (index, row) in found.rows(&NEIGHBORS_3) {
        let [number, instance, id] = index else { continue };
        let of = |column: u32| row.get(&column).copied();
        let mut neighbor = Neighbor::new(place(3), found.interface(*number), neighbor_state(of(8)));
        neighbor.router = Some(IpAddr::V4(Ipv4Addr::from(*id)));
        neighbor.address = match of(5) {
            Some(Value::Bytes(bytes)) => {
                <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|octets| Ipv6Addr::from(octets).into())
            }
            _ => None,
        };
        neighbor.priority = unsigned(of(7));
        neighbor.events = unsigned(of(9));
        neighbor.retransmissions = unsigned(of(10));
        if let Some(interface) = known.get(&(*number, *instance)) {
            neighbor.area.clone_from(&interface.area);
            neighbor.role = role(interface.state, [interface.dr, interface.backup], neighbor.router);
        }
        told.neighbors.push(neighbor);
    }
    told.interfaces.extend(known.into_values());
    areas(found, told, 3, &AREAS_3, [2, 3, 6]);
}

/// State of an interface of version 3 as the election ended: FRR's `ospf6d` has the numbers of the DR and of the others the
/// other way round.
fn elected_state(told: InterfaceState, own: Option<IpAddr>, [dr, _]: [Option<IpAddr>; 2]) -> InterfaceState {
    match told {
        InterfaceState::Dr | InterfaceState::DrOther if own.is_some() && dr.is_some() => {
            if own == dr {
                InterfaceState::Dr
            } else {
                InterfaceState::DrOther
            }
        }
        _ => told,
    }
}

/// What a neighbor is on the network of an interface, which knows who was elected.
fn role(state: InterfaceState, elected: [Option<IpAddr>; 2], neighbor: Option<IpAddr>) -> Option<Role> {
    let [dr, backup] = elected;
    match neighbor {
        _ if state == InterfaceState::PointToPoint => Some(Role::PointToPoint),
        None => None,
        is_it if is_it == dr => Some(Role::Dr),
        is_it if is_it == backup => Some(Role::Backup),
        _ => dr.map(|_| Role::DrOther),
    }
}

#[cfg(test)]
mod tests;
