//! What do the daemons of FRR tell of the links in an area?

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Instant;

use super::super::database::{LinkKind, Links, Roles};
use super::super::ospf::Place;
use super::{area_id, link, query, values, vrfs};
use crate::model::Text;
use crate::source::Error;
use crate::source::control::json::Json;
use crate::source::control::line::Line;

/// Asks `ospfd` for the LSAs of routers and networks. Versions before 8.0 write no JSON.
///
/// # Errors
/// As [`Line::ask`], or the answer is neither JSON nor text.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Links, Error> {
    let routers = match query(line, "show ip ospf vrf all database router json", deadline) {
        Err(error) if error.cause.kind() == ErrorKind::Unsupported => return link::ask(line, false, deadline),
        routers => routers?,
    };
    let networks = query(line, "show ip ospf vrf all database network json", deadline)?;
    Ok(compose(&routers, &networks))
}

/// Reads what `ospfd` answered when it was asked for the LSAs of routers and networks.
///
/// # Errors
/// It is no JSON.
pub fn read([routers, networks]: [&[u8]; 2]) -> std::io::Result<Links> {
    Ok(compose(&values(routers)?, &values(networks)?))
}

fn compose(routers: &[Json], networks: &[Json]) -> Links {
    let mut links = Links::default();
    let mut names: HashMap<(Place, &str, &str), Text> = HashMap::new();
    let networks: Vec<_> = lsas(networks, &["networkLinkStates"]).collect();
    for (place, area, lsa) in &networks {
        if let Some((id, name)) = lsa.str(&["linkStateId"]).and_then(|id| Some((id, network(id, lsa)?))) {
            names.insert((place.clone(), area, id), name);
        }
    }
    for (place, area, lsa) in lsas(routers, &["routerLinkStates"]) {
        let Some(from) = lsa.text(&["advertisingRouter"]) else { continue };
        let at = (&place, &Text::from(area));
        links.router(lsa.count(&["flags"]).map(Roles::of));
        for (_, link) in lsa.get(&["routerLinks"]).into_iter().flat_map(Json::members) {
            let named = |id: &str| names.get(&(place.clone(), area, id)).cloned().unwrap_or_else(|| Text::from(id));
            let (kind, to) = if let Some(router) = link.text(&["neighborRouterId"]) {
                let is_virtual = link.str(&["linkType"]).is_some_and(|kind| kind.contains("Virtual"));
                (if is_virtual { LinkKind::Virtual } else { LinkKind::PointToPoint }, router)
            } else if let Some(id) = link.str(&["designatedRouterAddress"]) {
                (LinkKind::Transit, named(id))
            } else if let Some(name) = link.str(&["networkAddress"]).and_then(|id| network(id, link)) {
                (LinkKind::Stub, name)
            } else {
                continue;
            };
            links.push(at, (from.clone(), kind, to), [link.count(&["tos0Metric"]), None]);
        }
    }
    for (place, area, lsa) in networks {
        let Some(from) = lsa.str(&["linkStateId"]).and_then(|id| network(id, lsa)) else { continue };
        // the key lacks a letter in all versions so far
        let attached = lsa.get(&["attchedRouters", "attachedRouters"]);
        for (router, _) in attached.into_iter().flat_map(Json::members) {
            let to = (from.clone(), LinkKind::Attached, Text::from(router));
            links.push((&place, &Text::from(area)), to, [None; 2]);
        }
    }
    links
}

/// LSAs of a type with their VRFs and areas.
fn lsas<'a>(documents: &'a [Json], kind: &'static [&'static str]) -> impl Iterator<Item = (Place, &'a str, &'a Json)> {
    vrfs(documents).flat_map(move |(place, vrf)| {
        let areas = vrf.get(kind).and_then(|states| states.get(&["areas"]));
        let areas = areas.into_iter().flat_map(Json::members);
        areas.flat_map(move |(area, lsas)| {
            let place = place.clone();
            let area = area.split(' ').next().unwrap_or_default();
            lsas.items().iter().map(move |lsa| (place.clone(), area, lsa))
        })
    })
}

/// A network by an address in it and its mask, which is a length or written as an address.
fn network(address: &str, lsa: &Json) -> Option<Text> {
    let mask = lsa.str(&["networkMask"]).and_then(|mask| mask.parse::<Ipv4Addr>().ok());
    let prefix = lsa.count(&["networkMask"]).or_else(|| Some(u64::from(mask?.to_bits().leading_ones())));
    within(address, prefix?)
}

/// The network of so many bits that an address is in.
pub(super) fn within(address: &str, prefix: u64) -> Option<Text> {
    let address: Ipv4Addr = address.parse().ok()?;
    let prefix = u32::try_from(prefix).ok().filter(|prefix| *prefix <= 32)?;
    let bits = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Some(Text::from(format!("{}/{prefix}", Ipv4Addr::from_bits(address.to_bits() & bits))))
}

/// Reads what `ospf6d` answered when it was asked for the LSAs of routers and networks.
///
/// # Errors
/// It is no JSON.
pub fn read6([routers, networks]: [&[u8]; 2]) -> std::io::Result<Links> {
    let mut links = Links::default();
    let place = Place { instance: None, vrf: None, version: 3 };
    compose6(&mut links, &place, &values(routers)?, &values(networks)?);
    Ok(links)
}

pub(super) fn compose6(links: &mut Links, place: &Place, routers: &[Json], networks: &[Json]) {
    for (area, lsa) in lsas6(routers) {
        let Some(from) = lsa.text(&["advertisingRouter"]) else { continue };
        // letters of those that are set
        let bits = lsa.str(&["bits"]);
        links.router(bits.map(|bits| Roles { abr: bits.contains('B'), asbr: bits.contains('E') }));
        for link in lsa.get(&["lsaDescription"]).map(Json::items).unwrap_or_default() {
            let Some(router) = link.str(&["neighborRouterId"]) else { continue };
            let (kind, to) = match link.str(&["type"]) {
                Some("Transit-Network") => {
                    let Some(to) = link.str(&["neighborInterfaceId"]).and_then(|id| network6(router, id)) else {
                        continue;
                    };
                    (LinkKind::Transit, to)
                }
                Some("Point-To-Point") => (LinkKind::PointToPoint, Text::from(router)),
                Some("Virtual-Link") => (LinkKind::Virtual, Text::from(router)),
                _ => continue,
            };
            links.push((place, &area), (from.clone(), kind, to), [link.count(&["metric"]), None]);
        }
    }
    for (area, lsa) in lsas6(networks) {
        let named = lsa.str(&["advertisingRouter"]).zip(lsa.str(&["linkStateId"]));
        let Some(from) = named.and_then(|(router, id)| network6(router, id)) else { continue };
        for router in lsa.get(&["attachedRouter"]).map(Json::items).unwrap_or_default() {
            if let Json::Text(router) = router {
                let to = (from.clone(), LinkKind::Attached, Text::from(&**router));
                links.push((place, &area), to, [None; 2]);
            }
        }
    }
}

/// LSAs with their areas.
fn lsas6(documents: &[Json]) -> impl Iterator<Item = (Text, &Json)> {
    let areas = documents.iter().filter_map(|document| document.get(&["areaScopedLinkStateDb"])).flat_map(Json::items);
    areas.flat_map(|area| {
        let id = area_id(area.str(&["areaId"]).unwrap_or_default());
        area.get(&["lsa"]).map(Json::items).unwrap_or_default().iter().map(move |lsa| (id.clone(), lsa))
    })
}

/// A network by its DR and the number of the interface of that, which is written as an address.
fn network6(router: &str, interface: &str) -> Option<Text> {
    let number = interface.parse::<Ipv4Addr>().ok()?.to_bits();
    Some(Text::from(format!("{router}-{number}")))
}
