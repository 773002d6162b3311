//! What do the daemons of FRR tell?
//!
//! Their sockets are those of `vtysh`: a command ends with a zero byte, an answer with three of them and the status of the
//! command. Answers are JSON, whose keys were renamed and moved between versions 7.5 and 10; all of them are looked for. A
//! daemon answers for all VRFs at once, but `ospf6d` without saying which is which, so that it is asked for each of them.

mod bfd;
mod bgp;
mod database;
mod isis;
mod link;
mod lsa;
mod ospf6;
mod quagga;
mod quagga6;
mod route;

pub(super) use bfd::ask as bfd;
pub use bfd::read as read_bfd;
pub(super) use bgp::ask as bgp;
pub use bgp::read as read_bgp;
pub(super) use database::ask as database;
pub use database::{read as read_database, read6 as read6_database};
pub(super) use isis::ask as isis;
pub use isis::read as read_isis;
pub(super) use link::ask as links;
pub use link::read as read_links;
pub(super) use lsa::{ask as lsas, ask6 as lsas6, measure, types_in};
pub use lsa::{read as read_lsas, read_lengths, read6 as read6_lsas};
pub use ospf6::read as read6;
pub(super) use ospf6::{ask as ospf6, database as database6};
pub(super) use quagga::ask as quagga;
pub use quagga::read as read_quagga;
pub(super) use quagga6::ask as quagga6;
pub use quagga6::read as read_quagga6;
pub(super) use route::{ask as count, ask6 as count6};
pub use route::{read as read_routes, read6 as read_routes6};

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::ospf::{
    Area, AreaKind, BfdState, Index, Interface, InterfaceState, Neighbor, NeighborState, NetworkType, Place, Role,
};
use super::told::Told;
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::json::{Json, PLAIN, parts, readable};
use crate::source::control::line::Line;

/// Zero bytes before the status at the end of an answer.
const MARK: &[u8] = &[0; 3];

/// Where an answer ends: of all bytes that have come, and how many of them were looked at before, the length of the answer
/// once it is whole.
pub fn end(answer: &[u8], before: usize) -> Option<usize> {
    let from = before.saturating_sub(MARK.len());
    let at = answer.get(from..)?.windows(MARK.len()).position(|bytes| bytes == MARK)? + from + MARK.len();
    (at < answer.len()).then_some(at + 1)
}

/// `CMD_ERR_NO_MATCH` of `lib/command.h`: the status of a command that a daemon does not know.
const NO_MATCH: u8 = 2;

/// Asks a daemon one thing: the status of the command, and the answer.
fn reply<'a>(line: &'a mut Line, command: &str, deadline: Instant) -> Result<(u8, &'a [u8]), Error> {
    let answer = line.ask(&[command.as_bytes(), &[0]].concat(), end, deadline)?;
    let (status, text) = answer.split_last().map_or((NO_MATCH, answer), |(status, text)| (*status, text));
    Ok((status, text.strip_suffix(MARK).unwrap_or(text)))
}

/// The same; `None` when it does not know the command.
fn command<'a>(line: &'a mut Line, command: &str, deadline: Instant) -> Result<Option<&'a [u8]>, Error> {
    reply(line, command, deadline).map(|(status, text)| (status != NO_MATCH).then_some(text))
}

/// What a daemon tells when it is asked for JSON.
struct Answer {
    values: Vec<Json>,
    /// What it says in place of it.
    excuse: Option<Text>,
}

impl std::ops::Deref for Answer {
    type Target = [Json];

    fn deref(&self) -> &[Json] {
        &self.values
    }
}

/// Asks for JSON, of which there is none while nothing is configured.
fn query(line: &mut Line, words: &str, deadline: Instant) -> Result<Answer, Error> {
    query_parts(line, words, deadline, |_, _| true)
}

/// The same of an answer that is long: of it what is wanted is read.
fn query_parts(line: &mut Line, words: &str, deadline: Instant, wanted: Wanted) -> Result<Answer, Error> {
    let path = line.path().to_owned();
    let (status, answer) = reply(line, words, deadline)?;
    let values = if status == NO_MATCH { Err(unknown(words)) } else { values_of(answer, wanted) };
    let values = values.map_err(|cause| Error::new("read what is told by", path, cause))?;
    let is_nothing = values.iter().flat_map(Json::members).next().is_none();
    Ok(Answer { values, excuse: excuse(status, answer).filter(|_| is_nothing) })
}

/// Most bytes of an excuse.
const EXCUSE: usize = 120;

/// Why an answer tells nothing, as far as the daemon says it.
fn excuse(status: u8, answer: &[u8]) -> Option<Text> {
    let line = answer.trim_ascii().split(|byte| *byte == b'\n').next().unwrap_or_default();
    match line.strip_prefix(b"%").map(<[u8]>::trim_ascii).filter(|words| !words.is_empty()) {
        Some(words) => Some(Text::new(words.get(..EXCUSE).unwrap_or(words))),
        None => (status != 0).then(|| Text::from(format!("it answers with status {status}"))),
    }
}

/// Asks for text.
fn text(line: &mut Line, words: &str, deadline: Instant) -> Result<String, Error> {
    let path = line.path().to_owned();
    let answer = command(line, words, deadline)?.ok_or_else(|| unknown(words));
    let text = answer.map(|answer| readable(answer, PLAIN).into_owned());
    text.map_err(|cause| Error::new("read what is told by", path, cause))
}

/// A daemon that is too old, or another one.
fn unknown(words: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::Unsupported, format!("it does not know the command `{words}`"))
}

/// The JSON in an answer. A protocol that is not configured is told in words, which begin with `%`.
fn values(answer: &[u8]) -> Result<Vec<Json>, std::io::Error> {
    values_of(answer, |_, _| true)
}

/// Whether a member is wanted, by how deep it is and its key.
type Wanted = fn(usize, &str) -> bool;

/// The same of an answer of which not all is wanted.
fn values_of(answer: &[u8], wanted: Wanted) -> Result<Vec<Json>, std::io::Error> {
    let answer = answer.trim_ascii();
    if answer.is_empty() || answer.starts_with(b"%") {
        return Ok(Vec::new());
    }
    let values = parts(answer, wanted)?;
    // of anything else nothing could be looked up, as if there was nobody
    let is_told = |value: &Json| matches!(value, Json::Object(_));
    let is_all = values.iter().flat_map(Json::items).all(is_told);
    is_all.then_some(values).ok_or_else(|| std::io::Error::new(ErrorKind::InvalidData, "no object is told"))
}

/// Name and version of a daemon, such as `FRRouting 8.4.4`.
///
/// # Errors
/// As [`Line::ask`].
pub(super) fn version(line: &mut Line, deadline: Instant) -> Result<Option<Text>, Error> {
    Ok(command(line, "show version", deadline)?.and_then(version_in))
}

/// The same, in what it answers.
pub(super) fn version_in(answer: &[u8]) -> Option<Text> {
    let line = answer.trim_ascii_start().split(|byte| *byte == b'\n').next()?;
    let end = line.windows(2).position(|bytes| bytes == b" (").unwrap_or(line.len());
    line.get(..end).filter(|words| !words.is_empty()).map(Text::new)
}

/// Asks `ospfd` for all that it knows.
///
/// # Errors
/// As [`Line::ask`], or the answer is no JSON.
pub(super) fn ospf(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let neighbors = query(line, "show ip ospf vrf all neighbor detail json", deadline)?;
    let told = Told::new(Timestamp::now());
    let interfaces = query(line, "show ip ospf vrf all interface json", deadline)?;
    let areas = query(line, "show ip ospf vrf all json", deadline)?;
    let excuse = areas.excuse.clone().or_else(|| neighbors.excuse.clone());
    Ok(Told { excuse, ..compose(told, &neighbors, &interfaces, &areas) })
}

/// Reads what `ospfd` answered when it was asked for neighbors, interfaces and itself.
///
/// # Errors
/// It is no JSON.
pub fn read([neighbors, interfaces, areas]: [&[u8]; 3], at: Timestamp) -> std::io::Result<Told> {
    Ok(compose(Told::new(at), &values(neighbors)?, &values(interfaces)?, &values(areas)?))
}

fn compose(mut told: Told, neighbors: &[Json], interfaces: &[Json], areas: &[Json]) -> Told {
    read_interfaces(interfaces, &mut told);
    read_neighbors(neighbors, &mut told);
    read_areas(areas, &mut told);
    told
}

/// What is told of each VRF: with `vrf all` under its name, otherwise at once.
fn vrfs(documents: &[Json]) -> impl Iterator<Item = (Place, &Json)> {
    let of = |name: Option<&str>| Place { instance: None, vrf: name.map(Text::from), version: 2 };
    documents.iter().flat_map(move |document| {
        let inside = document.members().filter(|(_, value)| matches!(value, Json::Object(_)));
        let named = inside.filter(|(_, value)| value.get(&["vrfId", "vrfName", "routerId"]).is_some());
        let alone =
            document.get(&["neighbors", "interfaces", "areas"]).map(|_| (of(document.str(&["vrfName"])), document));
        named.map(move |(name, value)| (of(Some(value.str(&["vrfName"]).unwrap_or(name))), value)).chain(alone)
    })
}

/// Reads `show ip ospf vrf all neighbor [detail] json`, after the interfaces.
fn read_neighbors(documents: &[Json], told: &mut Told) {
    let interfaces = Index::of(told.interfaces.kept());
    for (place, vrf) in vrfs(documents) {
        for (router, found) in vrf.get(&["neighbors"]).into_iter().flat_map(Json::members) {
            for found in found.items() {
                let mut neighbor = neighbor(&place, router, found);
                if let Some(interface) = interfaces.behind(&neighbor) {
                    neighbor.local = neighbor.local.or(interface.address);
                    neighbor.area = neighbor.area.or_else(|| interface.area.clone());
                    neighbor.role = role(found, &neighbor, interface.network);
                }
                told.neighbors.push(neighbor);
            }
        }
    }
}

fn neighbor(place: &Place, router: &str, found: &Json) -> Neighbor {
    let (state, role) = words(found.str(&["nbrState", "state"]).unwrap_or_default());
    let name = found.str(&["ifaceName"]).unwrap_or_default();
    // the short list has the own address behind the name
    let behind = name.rsplit_once(':').and_then(|(name, address)| Some((name, address.parse::<IpAddr>().ok()?)));
    let (interface, local) = behind.map_or((name, None), |(name, address)| (name, Some(address)));
    let progress = found.millis(&["lastPrgrsvChangeMsec"]);
    let regressed = found.millis(&["lastRegressiveChangeMsec"]);
    let latest = progress.into_iter().chain(regressed).min();
    Neighbor {
        router: router.parse().ok(),
        address: found.ip(&["ifaceAddress", "address"]),
        local: found.ip(&["localIfaceAddress"]).or(local),
        area: found.str(&["areaId"]).map(area_id),
        role: role.or_else(|| Role::of(found.str(&["role"])?)),
        priority: found.count(&["nbrPriority", "priority"]),
        age: latest.or_else(|| found.millis(&["upTimeInMsec"])),
        dead: found.millis(&["routerDeadIntervalTimerDueMsec", "deadTimeMsecs"]),
        retransmissions: found.count(&["linkStateRetransmissionListCounter", "retransmitCounter"]),
        requests: found.count(&["linkStateRequestListCounter", "requestCounter"]),
        summaries: found.count(&["databaseSummaryListCounter", "dbSummaryCounter"]),
        bfd: bfd_state(found),
        changes: found.count(&["stateChangeCounter"]),
        regressed,
        reason: found.text(&["lastRegressiveChangeReason"]),
        ..Neighbor::new(place.clone(), Text::from(interface), state)
    }
}

/// State and role of `Full/DR`; up to version 7.5 the role is not told with it.
fn words(word: &str) -> (NeighborState, Option<Role>) {
    let (state, role) = word.split_once('/').unwrap_or((word, ""));
    (NeighborState::of(state), Role::of(role))
}

/// Role of a neighbor. Of networks without election only those from point to point are told so; and up to version 7.5 it is
/// who has the address that the neighbor believes the DR to have.
fn role(found: &Json, neighbor: &Neighbor, network: Option<NetworkType>) -> Option<Role> {
    let is = |key| neighbor.address.is_some() && found.ip(&[key]) == neighbor.address;
    match network {
        Some(NetworkType::PointToPoint | NetworkType::PointToMultipoint | NetworkType::VirtualLink) => {
            Some(Role::PointToPoint)
        }
        Some(NetworkType::Broadcast | NetworkType::Nbma) if neighbor.role.is_none() => Some(match () {
            () if is("routerDesignatedId") => Role::Dr,
            () if is("routerDesignatedBackupId") => Role::Backup,
            () => Role::DrOther,
        }),
        _ => neighbor.role,
    }
}

fn bfd_state(found: &Json) -> Option<BfdState> {
    found.get(&["peerBfdInfo"])?.str(&["status"]).map(BfdState::of)
}

/// The number of an area, written as an address, without the words about its kind that may follow. `ospf6d` writes it here and
/// there as it was configured, which may be a plain number.
fn area_id(words: &str) -> Text {
    let id = words.split(' ').next().unwrap_or_default();
    id.parse().map_or_else(|_| Text::from(id), |number: u32| Text::from(Ipv4Addr::from(number).to_string()))
}

/// Those words; a stub area that is told summaries of others is nowhere else told from a normal one.
fn area_kind(words: &str) -> AreaKind {
    match words.split_once(' ') {
        Some((_, "[Stub]")) => AreaKind::Stub,
        Some((_, "[NSSA]")) => AreaKind::Nssa,
        _ => AreaKind::Normal,
    }
}

/// Reads `show ip ospf vrf all interface json`.
fn read_interfaces(documents: &[Json], told: &mut Told) {
    for (place, vrf) in vrfs(documents) {
        for (name, found) in vrf.get(&["interfaces"]).into_iter().flat_map(Json::members) {
            // versions 9.1 and 10.0 tell of each address by itself
            let each = found.get(&["interfaceIp"]).filter(|each| each.members().next().is_some());
            match each {
                Some(each) => told.interfaces.extend(each.members().map(|(_, one)| interface(&place, name, one))),
                None => told.interfaces.push(interface(&place, name, found)),
            }
        }
    }
}

fn interface(place: &Place, name: &str, found: &Json) -> Interface {
    let state = found.str(&["state"]).map_or(InterfaceState::Down, InterfaceState::of);
    // up to version 7.5 the DR is told under the name of who takes its place
    let elected = found.get(&["drId"]).is_some();
    let is_told = found.get(&["area"]).is_some();
    Interface {
        address: found.ip(&["ipAddress"]),
        prefix: found.count(&["ipAddressPrefixlen"]),
        area: found.str(&["area"]).map(area_id),
        area_kind: found.str(&["area"]).map(area_kind),
        network: found.str(&["networkType"]).map(NetworkType::of),
        passive: is_told.then(|| found.flag(&["timerPassiveIface"]).unwrap_or(false)),
        cost: found.count(&["cost"]),
        priority: found.count(&["priority"]),
        hello: found.millis(&["timerMsecs"]),
        dead: found.seconds(&["timerDeadSecs"]),
        wait: found.seconds(&["timerWaitSecs"]),
        retransmit: found.seconds(&["timerRetransmitSecs"]),
        dr: found.ip(&["drId"]),
        backup: found.ip(&["bdrId"]).filter(|_| elected),
        neighbors: found.count(&["nbrCount"]),
        adjacent: found.count(&["nbrAdjacentCount"]),
        ..Interface::new(place.clone(), Text::from(name), state)
    }
}

/// Reads `show ip ospf vrf all json`, after the interfaces.
fn read_areas(documents: &[Json], told: &mut Told) {
    for (place, vrf) in vrfs(documents) {
        for (id, found) in vrf.get(&["areas"]).into_iter().flat_map(Json::members) {
            let mut area = area(&place, vrf, found);
            area.id = area_id(id);
            let inside = |interface: &&Interface| interface.place == place && interface.area.as_ref() == Some(&area.id);
            let kind = || told.interfaces.kept().iter().find(inside)?.area_kind;
            area.kind = area.kind.or_else(kind);
            told.areas.push(area);
        }
    }
}

fn area(place: &Place, vrf: &Json, found: &Json) -> Area {
    let kind = match () {
        () if found.get(&["backbone"]).is_some() => Some(AreaKind::Normal),
        () if found.get(&["nssa"]).is_some() => Some(AreaKind::Nssa),
        () if found.get(&["stubNoSummary", "stubShortcut"]).is_some() => Some(AreaKind::Stub),
        () => None,
    };
    Area {
        place: place.clone(),
        kind,
        router: vrf.ip(&["routerId"]),
        abr: Some(vrf.get(&["abrType"]).is_some()),
        asbr: Some(vrf.get(&["asbrRouter"]).is_some()),
        interfaces: found.count(&["areaIfTotalCounter"]),
        adjacent: found.count(&["nbrFullAdjacentCounter"]),
        lsas: found.count(&["lsaNumber"]),
        router_lsas: found.count(&["lsaRouterNumber"]),
        network_lsas: found.count(&["lsaNetworkNumber"]),
        summary_lsas: found.count(&["lsaSummaryNumber"]),
        asbr_summary_lsas: found.count(&["lsaAsbrNumber"]),
        external_lsas: vrf.count(&["lsaExternalCounter"]),
        nssa_lsas: found.count(&["lsaNssaNumber"]),
        opaque_lsas: found.count(&["lsaOpaqueAreaNumber"]),
        spf_runs: found.count(&["spfExecutedCounter"]),
        spf_age: vrf.millis(&["spfLastExecutedMsecs"]),
        ..Area::default()
    }
}

/// A span such as `1h2m3s`, `3.210s` or `17 usecs`; a dash is none at all.
fn span(words: &str) -> Option<Duration> {
    const UNITS: [(char, f64); 7] = [
        ('Y', 31_536_000.0),
        ('M', 2_592_000.0),
        ('w', 604_800.0),
        ('d', 86_400.0),
        ('h', 3600.0),
        ('m', 60.0),
        ('s', 1.0),
    ];
    if let Some(micros) = words.strip_suffix(" usecs") {
        return micros.parse().ok().map(Duration::from_micros);
    }
    let (mut total, mut left) = (0.0, if words == "-" { "0s" } else { words });
    while !left.is_empty() {
        let end = left.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let (number, rest) = left.split_at_checked(end)?;
        let unit = rest.chars().next()?;
        let (_, seconds) = UNITS.iter().find(|(letter, _)| *letter == unit)?;
        total += number.parse::<f64>().ok()? * seconds;
        left = rest.get(unit.len_utf8()..)?;
    }
    Duration::try_from_secs_f64(total).ok().filter(|_| !words.is_empty())
}

#[cfg(test)]
mod tests;
