//! What does `ospf6d` tell of version 3?
//!
//! Its answers have other keys than those of `ospfd`, and times in words. The dead timer and the role of a neighbor are only
//! in the short list, everything else in the long one. Versions before 8.0 write no JSON.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::super::database::Links;
use super::super::ospf::{
    Area, AreaKind, Index, Interface, InterfaceState, Neighbor, NeighborState, NetworkType, Place, Role,
};
use super::super::told::Told;
use super::database::compose6;
use super::{area_id, bfd_state, command, query, values};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::json::Json;
use crate::source::control::line::Line;

/// VRFs that are asked about at most.
const MAX_VRFS: usize = 64;

/// Longest name of a VRF, `VRF_NAMSIZ` of `lib/vrf.h`.
const MAX_NAME: usize = 36;

/// Positions in `lsaStatistics`, which are the function codes of RFC 5340, section 4.4.2.1.
const ROUTER: usize = 1;
const NETWORK: usize = 2;
const INTER_AREA_PREFIX: usize = 3;
const INTER_AREA_ROUTER: usize = 4;
const NSSA: usize = 7;
const INTRA_AREA_PREFIX: usize = 9;

/// Asks for all that it knows.
///
/// # Errors
/// As [`Line::ask`], or the answer is no JSON.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let mut told = Told::new(Timestamp::now());
    for vrf in vrfs(line, deadline)? {
        let (of, place) = within(vrf.as_deref());
        let mut show = |what: &str| query(line, &format!("show ipv6 ospf6 {of}{what}json"), deadline).map_err(too_old);
        let (short, long) = (show("neighbor ")?, show("neighbor detail ")?);
        let (interfaces, areas) = (show("interface ")?, show("")?);
        compose(&mut told, &place, &short, &long, &interfaces, &areas);
        told.excuse = told.excuse.or(areas.excuse);
    }
    told.count_neighbors();
    Ok(told)
}

/// What a daemon that knows none of the commands lacks.
fn too_old(error: Error) -> Error {
    if error.cause.kind() == ErrorKind::Unsupported {
        let why = "before version 8.0 of FRR it tells nothing in JSON";
        return Error::new(error.op, error.object, std::io::Error::new(ErrorKind::Unsupported, why));
    }
    error
}

/// Asks for the LSAs of routers and networks.
///
/// # Errors
/// As [`Line::ask`], or the answer is no JSON.
pub(in super::super) fn database(line: &mut Line, deadline: Instant) -> Result<Links, Error> {
    let mut links = Links::default();
    for vrf in vrfs(line, deadline)? {
        let (of, place) = within(vrf.as_deref());
        let mut show = |what: &str| query(line, &format!("show ipv6 ospf6 {of}database {what} detail json"), deadline);
        compose6(&mut links, &place, &show("router")?, &show("network")?);
    }
    Ok(links)
}

/// Asks for the names of its VRFs; version 8.0 has none.
pub(super) fn vrfs(line: &mut Line, deadline: Instant) -> Result<Vec<Option<String>>, Error> {
    let vrfs = command(line, "show ipv6 ospf6 vrfs json", deadline)?.and_then(|answer| values(answer).ok());
    Ok(names(&vrfs.unwrap_or_default()))
}

/// How a command names a VRF, and the place that it is.
pub(super) fn within(vrf: Option<&str>) -> (String, Place) {
    let of = vrf.map_or(String::new(), |name| format!("vrf {name} "));
    (of, Place { instance: None, vrf: vrf.map(Text::from), version: 3 })
}

/// Reads what `ospf6d` answered when it was asked for neighbors, for more about them, for interfaces and itself.
///
/// # Errors
/// It is no JSON.
pub fn read([short, long, interfaces, areas]: [&[u8]; 4], at: Timestamp) -> std::io::Result<Told> {
    let mut told = Told::new(at);
    let place = Place { instance: None, vrf: None, version: 3 };
    compose(&mut told, &place, &values(short)?, &values(long)?, &values(interfaces)?, &values(areas)?);
    told.count_neighbors();
    Ok(told)
}

fn compose(told: &mut Told, place: &Place, short: &[Json], long: &[Json], interfaces: &[Json], areas: &[Json]) {
    read_interfaces(place, interfaces, told);
    read_neighbors(place, short, long, told);
    read_areas(place, areas, told);
}

/// Names of the VRFs; one without a name where the daemon knows none. What is no word would be a command of its own.
fn names(documents: &[Json]) -> Vec<Option<String>> {
    let vrfs = documents.iter().filter_map(|document| document.get(&["vrfs"])).flat_map(Json::members);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@+".contains(&byte);
    let is_word = |name: &&str| (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain);
    let names: Vec<_> =
        vrfs.map(|(name, _)| name).filter(is_word).take(MAX_VRFS).map(|name| Some(name.to_owned())).collect();
    if names.is_empty() { vec![None] } else { names }
}

/// Reads both lists of neighbors, after the interfaces.
fn read_neighbors(place: &Place, short: &[Json], long: &[Json], told: &mut Told) {
    let short = short.iter().filter_map(|document| document.get(&["neighbors"])).flat_map(Json::items);
    let key = |found: &Json| Some((found.str(&["neighborId"])?.to_owned(), found.str(&["interfaceName"])?.to_owned()));
    let short: HashMap<_, _> = short.filter_map(|found| Some((key(found)?, found))).collect();
    let interfaces = Index::of(told.interfaces.kept());
    for (name, found) in long.iter().flat_map(Json::members) {
        let Some((router, interface)) = name.split_once('%') else { continue };
        let brief = short.get(&(router.to_owned(), interface.to_owned())).copied().unwrap_or(&Json::Null);
        let state = found.str(&["neighborState"]).unwrap_or_default();
        let mut neighbor = Neighbor {
            router: router.parse().ok(),
            address: found.ip(&["linkLocalAddress"]),
            local: found.ip(&["localLinkLocalAddress"]),
            area: found.str(&["area"]).map(area_id),
            role: brief.str(&["ifState"]).and_then(Role::of),
            priority: brief.count(&["priority"]),
            age: found.str(&["neighborStateDuration"]).and_then(span),
            dead: brief.str(&["deadTime"]).and_then(span),
            retransmissions: found.count(&["reTransListCount"]),
            requests: found.count(&["requestListCount"]),
            summaries: found.count(&["summaryListCount"]),
            bfd: bfd_state(found),
            ..Neighbor::new(place.clone(), Text::from(interface), NeighborState::of(state))
        };
        neighbor.local = neighbor.local.or_else(|| interfaces.behind(&neighbor)?.address);
        told.neighbors.push(neighbor);
    }
}

/// A span such as `00:02:22` or `1d02:03:04`.
pub(super) fn span(words: &str) -> Option<Duration> {
    let (days, rest) =
        words.split_once('d').map_or(Some((0, words)), |(days, rest)| Some((days.parse().ok()?, rest)))?;
    let mut parts = rest.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let steps = [(days, 24), (hours, 60), (minutes, 60), (seconds, 1)];
    let total = steps.iter().try_fold(0_u64, |sum, (part, next)| sum.checked_add(*part)?.checked_mul(*next))?;
    parts.next().is_none().then(|| Duration::from_secs(total))
}

/// Reads `show ipv6 ospf6 interface json`: of all interfaces of the VRF those on which it runs.
fn read_interfaces(place: &Place, documents: &[Json], told: &mut Told) {
    for (name, found) in documents.iter().flat_map(Json::members) {
        if found.flag(&["attachedToArea"]) != Some(true) {
            continue;
        }
        let state = found.str(&["ospf6InterfaceState"]).map_or(InterfaceState::Down, InterfaceState::of);
        let (address, prefix) = link_local(found).unzip();
        told.interfaces.push(Interface {
            address,
            prefix,
            area: found.str(&["areaId"]).map(area_id),
            network: found.str(&["operatingAsType", "type"]).map(NetworkType::of),
            passive: found.flag(&["timerPassiveIface"]),
            cost: found.count(&["cost"]),
            priority: found.count(&["priority"]),
            hello: found.seconds(&["timerIntervalsConfigHello"]),
            dead: found.seconds(&["timerIntervalsConfigDead"]),
            retransmit: found.seconds(&["timerIntervalsConfigRetransmit"]),
            dr: found.ip(&["dr"]),
            backup: found.ip(&["bdr"]),
            ..Interface::new(place.clone(), Text::from(name), state)
        });
    }
}

/// The address of a link by which its neighbors know it.
fn link_local(found: &Json) -> Option<(IpAddr, u64)> {
    let addresses = found.get(&["internetAddress"])?.items().iter().filter_map(|item| item.str(&["address"]));
    let mut parsed = addresses.filter_map(|address| {
        let (address, prefix) = address.split_once('/')?;
        Some((address.parse().ok()?, prefix.parse().ok()?))
    });
    parsed.find(|(address, _)| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()))
}

/// Reads `show ipv6 ospf6 json`.
fn read_areas(place: &Place, documents: &[Json], told: &mut Told) {
    for router in documents {
        let areas = router.get(&["areas"]);
        for (id, found) in areas.into_iter().flat_map(Json::members) {
            let of = |position: usize| match found.get(&["lsaStatistics"])?.items().get(position)? {
                Json::Whole(count) => u64::try_from(*count).ok(),
                _ => None,
            };
            let kind = match (found.flag(&["areaIsStub"]), found.flag(&["areaIsNSSA"])) {
                (_, Some(true)) => Some(AreaKind::Nssa),
                (Some(true), _) => Some(AreaKind::Stub),
                (Some(false), _) => Some(AreaKind::Normal),
                _ => None,
            };
            told.areas.push(Area {
                place: place.clone(),
                id: area_id(id),
                kind,
                router: router.ip(&["routerId"]),
                interfaces: found.get(&["interfacesAttachedToArea"]).map(|list| list.items().len() as u64),
                lsas: found.count(&["numberOfAreaScopedLsa"]),
                router_lsas: of(ROUTER),
                network_lsas: of(NETWORK),
                summary_lsas: of(INTER_AREA_PREFIX),
                asbr_summary_lsas: of(INTER_AREA_ROUTER),
                external_lsas: router.count(&["numberOfAsScopedLsa"]),
                nssa_lsas: of(NSSA),
                prefix_lsas: of(INTRA_AREA_PREFIX),
                spf_age: found.seconds(&["spfLastExecutedSecs"]),
                ..Area::default()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_they_are_written() {
        let seconds = |words| span(words).map(|span| span.as_secs());
        assert_eq!((seconds("00:02:22"), seconds("1d02:03:04")), (Some(142), Some(93_784)));
        for bad in ["", "inactive", "1:2", "1:2:3:4", "-1:00:00", "999999999999999999d00:00:00", "d"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_vrf_whose_name_is_no_word_is_not_asked_about() {
        let documents = values(br#"{"vrfs":{"default":{},"a b":{},"x?":{},"blue":{},"":{}}}"#).unwrap();
        let text = |names: Vec<Option<String>>| names.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(text(names(&documents)), ["default", "blue"]);
        assert_eq!(names(&[]), [None]);
    }
}
