//! How is it with the routing daemons, their interfaces and areas, and how do the routes change that come of it?

use super::list::{self, Column, List, Show};
use super::{Block, Cx, Line, PanelDef, Role, Space, gauge, header, line, number, pick};
use crate::col;
use crate::collect::neighbor::NeighborCacheRow;
use crate::collect::route::{RouteChangeRow, RouteChurnRow};
use crate::collect::routing::{
    BfdPeerRow, BgpPeerRow, IsisAdjacencyRow, OspfAreaRow, OspfInterfaceRow, RoutingDaemonRow,
};
use crate::model::{Cell, Demand, Row};
use crate::store::rate::View;

/// The daemons.
pub(super) const DAEMONS: PanelDef = panel::<RoutingDaemonRow>("routing-daemons", "Routing daemons", daemons);
/// Areas of OSPF.
pub(super) const AREAS: PanelDef = panel::<OspfAreaRow>("ospf-areas", "OSPF areas", areas);
/// Interfaces on which OSPF runs.
pub(super) const INTERFACES: PanelDef = panel::<OspfInterfaceRow>("ospf-interfaces", "OSPF interfaces", interfaces);
/// Peers of BGP.
pub(super) const BGP: PanelDef = panel::<BgpPeerRow>("bgp-peers", "BGP peers", bgp);
/// Sessions of bidirectional forwarding detection.
pub(super) const BFD: PanelDef = panel::<BfdPeerRow>("bfd-peers", "BFD peers", bfd);
/// Adjacencies of IS-IS.
pub(super) const ISIS: PanelDef = panel::<IsisAdjacencyRow>("isis-adjacencies", "IS-IS adjacencies", isis);
/// Routes by protocol.
pub(super) const ROUTES: PanelDef = panel::<RouteChurnRow>("routes", "Routes by protocol", routes);
/// The last changes of routes.
pub(super) const CHANGES: PanelDef = panel::<RouteChangeRow>("route-changes", "Route changes", changes);
/// How full the tables of neighbors are.
pub(super) const CACHES: PanelDef = panel::<NeighborCacheRow>("neighbor-tables", "Neighbor tables", caches);

const fn panel<R: Row>(name: &'static str, title: &'static str, build: fn(&Cx<'_>, Space) -> Block) -> PanelDef {
    PanelDef { name, title, key: None, demands: || vec![Demand::table(&R::TABLE.name)], build }
}

/// Heading of since when a daemon has told nothing; nobody sees it while all of them do.
const SILENT: &str = "silent";

fn daemons(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(RoutingDaemonRow, netns))),
        Column::wide("state", 7, 0, Show::Words(col!(RoutingDaemonRow, state))),
        Column::number("for", 1, Show::Words(col!(RoutingDaemonRow, since))),
        Column::number("nbrs", 2, Show::Of(col!(RoutingDaemonRow, neighbors))),
        Column::wide("version", 14, 3, Show::Words(col!(RoutingDaemonRow, version))),
        Column::wide("why", 24, 4, Show::Words(col!(RoutingDaemonRow, reason))),
    ];
    let (busy, table) = (vec![col!(RoutingDaemonRow, neighbors)], RoutingDaemonRow::TABLE);
    list::block(cx, space, List { title: DAEMONS.title, names: "daemon", table, name: 8, busy, columns, graphs: &[] })
}

fn areas(cx: &Cx<'_>, space: Space) -> Block {
    let version = col!(OspfAreaRow, version);
    // one that speaks both has areas of the same names
    let both = cx.views.get(&OspfAreaRow::TABLE.name).is_some_and(|view| view.raw().differ(version));
    let mut columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(OspfAreaRow, netns))),
        Column::wide("daemon", 8, 1, Show::Words(col!(OspfAreaRow, instance))),
        Column::wide("kind", 6, 3, Show::Words(col!(OspfAreaRow, kind))),
        Column::number("LSAs", 0, Show::Of(col!(OspfAreaRow, lsas))),
        Column::number("router", 4, Show::Of(col!(OspfAreaRow, router_lsas))),
        Column::number("net", 5, Show::Of(col!(OspfAreaRow, network_lsas))),
        Column::number("sum", 6, Show::Of(col!(OspfAreaRow, summary_lsas))),
        Column::number("ext", 7, Show::Of(col!(OspfAreaRow, external_lsas))),
        Column::number("SPF", 0, Show::Total(col!(OspfAreaRow, spf_runs))),
        Column::number("last", 2, Show::Words(col!(OspfAreaRow, last_spf))),
        Column::number(SILENT, 1, Show::Words(col!(OspfAreaRow, stale))),
    ];
    if both {
        columns.insert(0, Column::wide("v", 1, 0, Show::Words(version)));
    }
    let (busy, table) = (vec![col!(OspfAreaRow, spf_runs)], OspfAreaRow::TABLE);
    list::block(cx, space, List { title: AREAS.title, names: "area", table, name: 8, busy, columns, graphs: &[] })
}

fn interfaces(cx: &Cx<'_>, space: Space) -> Block {
    let version = col!(OspfInterfaceRow, version);
    // one that speaks both is there twice
    let both = cx.views.get(&OspfInterfaceRow::TABLE.name).is_some_and(|view| view.raw().differ(version));
    let mut columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(OspfInterfaceRow, netns))),
        Column::wide("area", 8, 2, Show::Words(col!(OspfInterfaceRow, area))),
        Column::wide("state", 8, 0, Show::Words(col!(OspfInterfaceRow, state))),
        Column::wide("network", 9, 4, Show::Words(col!(OspfInterfaceRow, network))),
        Column::number("cost", 1, Show::Of(col!(OspfInterfaceRow, cost))),
        Column::number("nbrs", 1, Show::Of(col!(OspfInterfaceRow, neighbors))),
        Column::number("adj", 0, Show::Of(col!(OspfInterfaceRow, adjacent))),
        Column::number("hello", 5, Show::Of(col!(OspfInterfaceRow, hello))),
        Column::number("dead", 5, Show::Of(col!(OspfInterfaceRow, dead))),
        Column::number(SILENT, 1, Show::Words(col!(OspfInterfaceRow, stale))),
    ];
    if both {
        columns.insert(0, Column::wide("v", 1, 0, Show::Words(version)));
    }
    let (busy, table) =
        (vec![col!(OspfInterfaceRow, neighbors), col!(OspfInterfaceRow, adjacent)], OspfInterfaceRow::TABLE);
    list::block(
        cx,
        space,
        List { title: INTERFACES.title, names: "interface", table, name: 8, busy, columns, graphs: &[] },
    )
}

fn bgp(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(BgpPeerRow, netns))),
        Column::wide("daemon", 8, 6, Show::Words(col!(BgpPeerRow, instance))),
        Column::wide("VRF", 8, 0, Show::Words(col!(BgpPeerRow, vrf))),
        Column::wide("AS", 10, 1, Show::Words(col!(BgpPeerRow, remote_as))),
        Column::wide("state", 12, 0, Show::Words(col!(BgpPeerRow, state))),
        Column::number("for", 0, Show::Words(col!(BgpPeerRow, since))),
        Column::number(SILENT, 1, Show::Words(col!(BgpPeerRow, stale))),
        Column::number("in", 0, Show::Of(col!(BgpPeerRow, accepted))),
        Column::number("out", 1, Show::Of(col!(BgpPeerRow, sent))),
        Column::number("lost", 2, Show::Total(col!(BgpPeerRow, dropped))),
        Column::wide("name", 12, 5, Show::Words(col!(BgpPeerRow, name))),
        Column::wide("description", 16, 4, Show::Words(col!(BgpPeerRow, description))),
        Column::wide("last error", 24, 3, Show::Words(col!(BgpPeerRow, reason))),
    ];
    let (busy, table) = (vec![col!(BgpPeerRow, accepted)], BgpPeerRow::TABLE);
    list::block(cx, space, List { title: BGP.title, names: "peer", table, name: 12, busy, columns, graphs: &[] })
}

fn bfd(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(BfdPeerRow, netns))),
        Column::wide("daemon", 8, 6, Show::Words(col!(BfdPeerRow, instance))),
        Column::wide("VRF", 8, 0, Show::Words(col!(BfdPeerRow, vrf))),
        Column::wide("interface", 10, 2, Show::Words(col!(BfdPeerRow, interface))),
        Column::wide("state", 12, 0, Show::Words(col!(BfdPeerRow, state))),
        Column::number("for", 0, Show::Words(col!(BfdPeerRow, since))),
        Column::number(SILENT, 1, Show::Words(col!(BfdPeerRow, stale))),
        Column::number("every", 4, Show::Of(col!(BfdPeerRow, transmit))),
        Column::number("lost", 1, Show::Total(col!(BfdPeerRow, downs))),
        Column::wide("why", 24, 3, Show::Unless(col!(BfdPeerRow, diagnostic), "ok")),
    ];
    let table = BfdPeerRow::TABLE;
    list::block(
        cx,
        space,
        List { title: BFD.title, names: "peer", table, name: 12, busy: vec![], columns, graphs: &[] },
    )
}

fn isis(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(IsisAdjacencyRow, netns))),
        Column::wide("area", 8, 3, Show::Words(col!(IsisAdjacencyRow, area))),
        Column::wide("interface", 10, 1, Show::Words(col!(IsisAdjacencyRow, interface))),
        Column::number("level", 2, Show::Words(col!(IsisAdjacencyRow, level))),
        Column::wide("state", 12, 0, Show::Words(col!(IsisAdjacencyRow, state))),
        Column::number("for", 0, Show::Words(col!(IsisAdjacencyRow, since))),
        Column::number(SILENT, 1, Show::Words(col!(IsisAdjacencyRow, stale))),
        Column::wide("hold", 9, 1, Show::Words(col!(IsisAdjacencyRow, expires))),
        Column::wide("changes", 7, 1, Show::Total(col!(IsisAdjacencyRow, flaps))),
    ];
    let table = IsisAdjacencyRow::TABLE;
    list::block(
        cx,
        space,
        List { title: ISIS.title, names: "system", table, name: 14, busy: vec![], columns, graphs: &[] },
    )
}

fn routes(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::wide("netns", 8, 0, Show::Words(col!(RouteChurnRow, netns))),
        Column::wide("family", 6, 0, Show::Words(col!(RouteChurnRow, family))),
        Column::number("routes", 0, Show::Of(col!(RouteChurnRow, routes))),
        Column::number("new/s", 1, Show::Of(col!(RouteChurnRow, added))),
        Column::number("gone/s", 1, Show::Of(col!(RouteChurnRow, deleted))),
        Column::number("repl/s", 2, Show::Of(col!(RouteChurnRow, replaced))),
        Column::wide("past", 6, 3, Show::Spark(col!(RouteChurnRow, added), None)),
    ];
    let (busy, table) = (vec![col!(RouteChurnRow, added), col!(RouteChurnRow, deleted)], RouteChurnRow::TABLE);
    list::block(cx, space, List { title: ROUTES.title, names: "protocol", table, name: 8, busy, columns, graphs: &[] })
}

fn caches(cx: &Cx<'_>, space: Space) -> Block {
    let columns = vec![
        Column::number("count", 0, Show::Of(col!(NeighborCacheRow, entries))),
        Column::number("limit", 1, Show::Of(col!(NeighborCacheRow, gc_thresh3))),
        Column::number("fail/s", 3, Show::Of(col!(NeighborCacheRow, res_failed))),
        Column::number("drop/s", 2, Show::Bad(col!(NeighborCacheRow, unresolved_discards))),
        Column::number("full/s", 0, Show::Bad(col!(NeighborCacheRow, table_fulls))),
    ];
    let (busy, table) = (vec![col!(NeighborCacheRow, entries)], NeighborCacheRow::TABLE);
    list::block(cx, space, List { title: CACHES.title, names: "family", table, name: 6, busy, columns, graphs: &[] })
}

/// Most changes that are shown.
const NEWEST: usize = 100;

fn changes(cx: &Cx<'_>, space: Space) -> Block {
    let view = match gauge::single(cx, RouteChangeRow::TABLE) {
        Ok(view) => view,
        Err(body) => return pick::empty(CHANGES.title, body),
    };
    let mut rows: Vec<usize> = (0..view.len()).collect();
    let seq = |row: &usize| view.raw().cell(*row, col!(RouteChangeRow, seq)).number().unwrap_or(0.0);
    rows.sort_by(|a, b| seq(b).total_cmp(&seq(a)));
    let lines = rows.into_iter().take(NEWEST).map(|row| line::clip(change(cx, &view, row), space.width)).collect();
    let note = vec![line::text(view.len().to_string(), Role::Muted)];
    list::lines(lines, space).block(CHANGES.title, note, pick::stale(cx, RouteChangeRow::TABLE))
}

/// When, what became of it, which route, and where it leads.
fn change(cx: &Cx<'_>, view: &View, row: usize) -> Line {
    let words = |column: usize| number::words(cx, view, row, column);
    let there = |column: usize| !view.raw().cell(row, column).is_missing();
    let time = match view.raw().cell(row, col!(RouteChangeRow, time)) {
        Cell::Timestamp(time) => header::clock(time),
        _ => "?".to_owned(),
    };
    let action = words(col!(RouteChangeRow, action));
    let mut out = vec![line::text(format!("{time} "), Role::Muted), line::text(action.words, action.role)];
    if there(col!(RouteChangeRow, routes)) {
        let many = words(col!(RouteChangeRow, routes)).words;
        let one = view.raw().cell(row, col!(RouteChangeRow, routes)) == Cell::U64(1);
        out.push(line::text(format!(" {many} route{}", if one { "" } else { "s" }), Role::Value));
    }
    if there(col!(RouteChangeRow, destination)) {
        let destination = words(col!(RouteChangeRow, destination)).words;
        let prefix = words(col!(RouteChangeRow, prefix)).words;
        out.push(line::text(format!(" {destination}/{prefix}"), Role::Value));
    }
    let parts = [
        (" via ", col!(RouteChangeRow, gateway)),
        (" dev ", col!(RouteChangeRow, interface)),
        (" hops ", col!(RouteChangeRow, next_hops)),
        (" table ", col!(RouteChangeRow, table)),
        (" by ", col!(RouteChangeRow, protocol)),
    ];
    for (name, column) in parts.into_iter().filter(|(_, column)| there(*column)) {
        out.push(line::text(name, Role::Label));
        out.push(line::text(words(column).words, Role::Plain));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::tests::Fake;
    use crate::panel::{Body, Item};

    type Build = fn(&Cx<'_>, Space) -> Block;

    /// Each line of a panel with the roles of its words.
    fn drawn(fake: &Fake, build: Build) -> Vec<(String, Vec<Role>)> {
        let block = build(&fake.cx(), Space { width: 110, height: 10, scroll: 0 });
        let Body::Lines(lines) = block.body else { panic!("{block:?}") };
        let role = |item: &Item| match item {
            Item::Text(words, role) | Item::Cell { text: words, role, .. } if !words.trim().is_empty() => Some(*role),
            _ => None,
        };
        lines.iter().map(|one| (line::words(one), one.iter().filter_map(role).collect())).collect()
    }

    #[test]
    fn areas_of_both_versions_are_told_apart() {
        let heading = |versions: &[u8]| {
            let mut fake = Fake::empty();
            let row = |version: &u8| format!("area=0.0.0.0 source=snmp instance=core version={version} lsas=7");
            fake.put(OspfAreaRow::TABLE, &versions.iter().map(row).collect::<Vec<_>>());
            drawn(&fake, areas)[0].0.split_whitespace().any(|word| word == "v")
        };
        assert_eq!([heading(&[2]), heading(&[2, 3])], [false, true]);
    }

    #[test]
    fn what_a_daemon_told_that_says_nothing_any_more_is_old_and_says_since_when() {
        let panels: [(&'static crate::model::Table, Build, &str); 5] = [
            (BgpPeerRow::TABLE, bgp, "peer=bgp instance=bgpd state=Established accepted=7"),
            (BfdPeerRow::TABLE, bfd, "address=192.0.2.9 instance=bfdd state=up"),
            (IsisAdjacencyRow::TABLE, isis, "system=isis instance=isisd interface=eth0 state=Up"),
            (OspfInterfaceRow::TABLE, interfaces, "interface=eth0 area=0.0.0.0 state=DR cost=10 adjacent=1"),
            (OspfAreaRow::TABLE, areas, "area=0.0.0.0 instance=ospfd kind=normal lsas=7"),
        ];
        for (table, build, row) in panels {
            let mut fake = Fake::empty();
            fake.put(table, &[row.to_owned()]);
            let now = drawn(&fake, build);
            assert!(!now[0].0.contains(SILENT) && !now[1].1.contains(&Role::Stale), "{now:?}");
            fake.put(table, &[format!("{row} stale={}", fake.cx().now.seconds() - 3600.0)]);
            let old = drawn(&fake, build);
            assert!(old[0].0.contains(SILENT) && old[1].0.contains("1h"), "{old:?}");
            assert!(old[1].1.iter().all(|role| *role == Role::Stale), "{}: {old:?}", table.name);
        }
    }

    #[test]
    fn what_says_that_nothing_is_wrong_says_nothing() {
        let mut fake = Fake::empty();
        let row = |why: &str| format!("address=192.0.2.9 instance=bfdd state=up diagnostic={why}");
        fake.put(BfdPeerRow::TABLE, &[row("ok")]);
        let said = drawn(&fake, bfd);
        assert!(!said[0].0.contains("why") && !said[1].0.contains("ok"), "{said:?}");
        fake.put(BfdPeerRow::TABLE, &[row("ok"), row("neighbor-signaled").replace(".9", ".8")]);
        let said = drawn(&fake, bfd);
        assert!(said.iter().any(|(words, _)| words.contains("neighbor-signaled")), "{said:?}");
        assert!(!said.iter().any(|(words, _)| words.split_whitespace().any(|word| word == "ok")), "{said:?}");
    }

    #[test]
    fn one_route_is_one_route() {
        let mut fake = Fake::empty();
        let row = |seq: u8, routes: u8| format!("seq={seq} time=9 action=added routes={routes} protocol=zebra");
        fake.put(RouteChangeRow::TABLE, &[row(1, 1), row(2, 7)]);
        let said: Vec<String> = drawn(&fake, changes).into_iter().map(|(words, _)| words).collect();
        assert!(said[0].contains("7 routes") && said[1].contains("1 route "), "{said:?}");
    }

    #[test]
    fn an_interface_with_a_neighbor_but_no_adjacency_stands_above_those_without_neighbors() {
        let mut fake = Fake::empty();
        let rows = ["interface=a neighbors=0 adjacent=0", "interface=b neighbors=1 adjacent=0"];
        fake.put(OspfInterfaceRow::TABLE, &rows.map(|row| format!("area=0.0.0.0 instance=ospfd state=DR {row}")));
        let said: Vec<String> = drawn(&fake, interfaces).into_iter().skip(1).map(|(words, _)| words).collect();
        let first: Vec<&str> = said.iter().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(first, ["b", "a"]);
    }
}
