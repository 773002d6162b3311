//! Which links are in the LSAs that a router tells of?
//!
//! Those of routers and networks, which it tells as they travel (RFC 2328, appendix A.4; RFC 5340, appendix A.4). Links are
//! named as those of daemons are: a network by its prefix, in version 3 by the router and interface of its DR.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::super::super::database::{Link, LinkKind, Links, Roles};
use super::super::super::lsa::LsaType;
use super::lsdb::Advertised;
use super::place;
use crate::model::Text;
use crate::source::bounded::Bounded;

/// Bytes of one link, and of each metric behind it that is for another type of service.
const LINK: usize = 12;
const SERVICE: usize = 4;

/// Bytes of one link in version 3.
const LINK_3: usize = 16;

/// All links of all areas.
pub(super) fn links(all: &[Advertised<'_>]) -> Bounded<Link> {
    let mut links = Links::default();
    let of = |kind: LsaType| all.iter().filter(move |lsa| lsa.kind == kind);
    let named = of(LsaType::Network)
        .filter(|lsa| lsa.version == 2)
        .filter_map(|lsa| Some(((&lsa.area, lsa.id), network(lsa)?)));
    let names: HashMap<(&Text, Ipv4Addr), Text> = named.collect();
    for lsa in of(LsaType::Router) {
        let from = Text::from(lsa.router.to_string());
        links.router(lsa.body.first().map(|flags| Roles::of((*flags).into())));
        let mut push = |kind, to, metric: u16| {
            links.push((&place(lsa.version), &lsa.area), (from.clone(), kind, to), [Some(metric.into()), None]);
        };
        if lsa.version == 3 {
            of_three(lsa.body, &mut push);
        } else {
            let name =
                |id: Ipv4Addr| names.get(&(&lsa.area, id)).cloned().unwrap_or_else(|| Text::from(id.to_string()));
            of_two(lsa.body, &name, &mut push);
        }
    }
    for lsa in of(LsaType::Network) {
        let Some(from) = network(lsa) else { continue };
        // behind the mask, or the options of version 3
        for router in lsa.body.get(4..).unwrap_or_default().as_chunks::<4>().0 {
            let to = Text::from(Ipv4Addr::from(*router).to_string());
            links.push((&place(lsa.version), &lsa.area), (from.clone(), LinkKind::Attached, to), [None; 2]);
        }
    }
    links.done()
}

/// Links of a router of version 2: how many there are stands behind its flags.
fn of_two(body: &[u8], name: &dyn Fn(Ipv4Addr) -> Text, push: &mut dyn FnMut(LinkKind, Text, u16)) {
    let mut rest = body.get(4..).unwrap_or_default();
    let count = body.get(2..4).and_then(|count| count.try_into().ok()).map_or(0, u16::from_be_bytes);
    for _ in 0..count {
        let Some([i0, i1, i2, i3, d0, d1, d2, d3, kind, services, high, low]) = rest.first_chunk::<LINK>() else {
            return;
        };
        let (id, data) = (Ipv4Addr::new(*i0, *i1, *i2, *i3), Ipv4Addr::new(*d0, *d1, *d2, *d3));
        let router = || Text::from(id.to_string());
        let link = match kind {
            1 => Some((LinkKind::PointToPoint, router())),
            2 => Some((LinkKind::Transit, name(id))),
            3 => Some((LinkKind::Stub, prefix(id, data))),
            4 => Some((LinkKind::Virtual, router())),
            _ => None,
        };
        if let Some((kind, to)) = link {
            push(kind, to, u16::from_be_bytes([*high, *low]));
        }
        rest = rest.get(LINK + SERVICE * usize::from(*services)..).unwrap_or_default();
    }
}

/// Links of a router of version 3, behind its flags and options.
fn of_three(body: &[u8], push: &mut dyn FnMut(LinkKind, Text, u16)) {
    for link in body.get(4..).unwrap_or_default().as_chunks::<LINK_3>().0 {
        let [kind, _, high, low, _, _, _, _, i0, i1, i2, i3, r0, r1, r2, r3] = *link;
        let (interface, router) = (u32::from_be_bytes([i0, i1, i2, i3]), Ipv4Addr::new(r0, r1, r2, r3));
        let (kind, to) = match kind {
            1 => (LinkKind::PointToPoint, Text::from(router.to_string())),
            2 => (LinkKind::Transit, of_dr(router, interface)),
            4 => (LinkKind::Virtual, Text::from(router.to_string())),
            _ => continue,
        };
        push(kind, to, u16::from_be_bytes([high, low]));
    }
}

/// Name of a network.
fn network(lsa: &Advertised<'_>) -> Option<Text> {
    if lsa.version == 3 {
        return Some(of_dr(lsa.router, lsa.id.to_bits()));
    }
    Some(prefix(lsa.id, Ipv4Addr::from(*lsa.body.first_chunk::<4>()?)))
}

/// That of one in version 3.
fn of_dr(router: Ipv4Addr, interface: u32) -> Text {
    Text::from(format!("{router}-{interface}"))
}

/// The network that an address is in.
fn prefix(address: Ipv4Addr, mask: Ipv4Addr) -> Text {
    Text::from(format!("{}/{}", address & mask, mask.to_bits().leading_ones()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LSAs by version, type, id and router, and what they tell.
    fn told(all: &[(u32, LsaType, &str, &str, &[u8])]) -> Vec<String> {
        let advertised: Vec<_> = all
            .iter()
            .map(|(version, kind, id, router, body)| {
                let (id, router) = (id.parse().unwrap(), router.parse().unwrap());
                Advertised { version: *version, area: Text::from("0.0.0.7"), kind: *kind, id, router, body }
            })
            .collect();
        let word = |link: &Link| {
            let metric = link.metric.map_or_else(|| "-".to_owned(), |metric| metric.to_string());
            format!("{} {} {} {} {metric}", link.from, link.kind.name(), link.to, link.number)
        };
        links(&advertised).kept().iter().map(word).collect()
    }

    const ROUTER: [u8; 56] = [
        0, 0, 0, 4, // and no more, whatever follows
        10, 9, 9, 2, 10, 0, 0, 1, 1, 1, 0, 7, 2, 0, 0, 99, // another type of service
        10, 0, 12, 2, 10, 0, 12, 1, 2, 0, 1, 0, //
        10, 0, 12, 2, 10, 0, 12, 1, 9, 0, 1, 0, // of no kind that is known
        10, 9, 9, 1, 255, 255, 255, 255, 3, 0, 0, 0,
    ];
    const NETWORK: [u8; 12] = [255, 255, 255, 0, 10, 9, 9, 1, 10, 9, 9, 2];

    #[test]
    fn links_of_version_2_lead_to_routers_and_prefixes() {
        let router = (2, LsaType::Router, "10.9.9.1", "10.9.9.1", &ROUTER[..]);
        let network = (2, LsaType::Network, "10.0.12.2", "10.9.9.2", &NETWORK[..]);
        let first = "10.9.9.1 point-to-point 10.9.9.2 0 7";
        let attached = ["10.0.12.0/24 attached 10.9.9.1 0 -", "10.0.12.0/24 attached 10.9.9.2 0 -"];
        let id = "10.9.9.1".parse().unwrap();
        let roles = |flags: u8| {
            let body = [&[flags], &ROUTER[1..]].concat();
            let (area, kind) = (Text::from("0.0.0.7"), LsaType::Router);
            let told = links(&[Advertised { version: 2, area, kind, id, router: id, body: &body }]);
            told.kept()[0].roles.map(|roles| (roles.abr, roles.asbr))
        };
        assert_eq!([0, 1, 6].map(roles), [Some((false, false)), Some((true, false)), Some((false, true))]);
        let whole =
            [first, "10.9.9.1 transit 10.0.12.0/24 0 256", "10.9.9.1 stub 10.9.9.1/32 0 0", attached[0], attached[1]];
        assert_eq!(told(&[network, router]), whole);
        assert_eq!(told(&[router])[1], "10.9.9.1 transit 10.0.12.2 0 256", "whose prefix nobody has told");
        for length in 0..ROUTER.len() {
            let cut = told(&[(2, LsaType::Router, "10.9.9.1", "10.9.9.1", &ROUTER[..length])]);
            assert!(cut.len() < 3 && cut.first().is_none_or(|link| link == first), "{cut:?}");
        }
        for length in 0..NETWORK.len() {
            let cut = told(&[(2, LsaType::Network, "10.0.12.2", "10.9.9.2", &NETWORK[..length])]);
            assert_eq!(cut, attached[..length.saturating_sub(4) / 4]);
        }
    }

    #[test]
    fn networks_of_version_3_are_named_by_their_dr() {
        let mut body = vec![0, 0, 0, 0x13];
        for (kind, metric, router) in [(1, 5, 2), (2, 10, 3), (4, 1, 4), (7, 1, 5)] {
            body.extend([kind, 0, 0, metric, 0, 0, 0, 1, 0, 0, 0, 6, 10, 9, 9, router]);
        }
        let router = (3, LsaType::Router, "0.0.0.0", "10.9.9.1", body.as_slice());
        let network = (3, LsaType::Network, "0.0.0.6", "10.9.9.3", &[0, 0, 0, 0x13, 10, 9, 9, 3, 10, 9, 9, 1][..]);
        assert_eq!(
            told(&[router, network]),
            [
                "10.9.9.1 point-to-point 10.9.9.2 0 5",
                "10.9.9.1 transit 10.9.9.3-6 0 10",
                "10.9.9.1 virtual 10.9.9.4 0 1",
                "10.9.9.3-6 attached 10.9.9.3 0 -",
                "10.9.9.3-6 attached 10.9.9.1 0 -",
            ]
        );
    }
}
