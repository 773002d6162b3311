//! What is on the map of a host, wherever it comes from, and does it keep to its room? On made rows.

mod joined;

use super::*;
use crate::collect::address::AddressRow;
use crate::collect::bridge::BridgePortRow;
use crate::collect::neighbor::NeighborRow;
use crate::collect::routing::{OspfAreaRow, OspfLinkRow, OspfLsaRow, OspfNeighborRow};
use crate::collect::virtual_link::{BondPortRow, BondRow, VlanRow};
use crate::model::Table;
use crate::panel::{Body, Item, tests::Fake, toggle};

/// A host with these interfaces, all of them up unless said otherwise.
fn host(links: &[&str]) -> Fake {
    let mut fake = Fake::empty();
    let row = |(number, link): (usize, &&str)| {
        let netns = if link.split(' ').any(|word| word.starts_with("netns=")) { "" } else { "netns=host" };
        let state = if link.contains("state=") { "" } else { "state=up" };
        format!("index={number} {netns} {state} {link}")
    };
    fake.put(LinkRow::TABLE, &links.iter().enumerate().map(row).collect::<Vec<_>>());
    fake
}

/// Rows of another table.
fn add(fake: &mut Fake, table: &'static Table, rows: &[&str]) {
    fake.put(table, &rows.iter().map(|row| format!("netns=host {row}")).collect::<Vec<_>>());
}

fn made(fake: &Fake) -> Vec<Graph> {
    let cx = fake.cx();
    graph::graphs(&cx, &cx.views.get(&LinkRow::TABLE.name).unwrap())
}

/// Edges by the names of their nodes.
fn edges(graph: &Graph) -> Vec<String> {
    let name = |node: usize| graph.nodes[node].name.as_str();
    let mut all: Vec<String> = graph.edges.iter().map(|(from, to)| format!("{} {}", name(*from), name(*to))).collect();
    all.sort();
    all
}

fn node<'a>(graph: &'a Graph, name: &str) -> &'a Node {
    graph.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("{name}: {graph:?}"))
}

fn drawn(fake: &Fake, width: u16, height: u16, scroll: usize) -> (Vec<String>, Block) {
    let block = build(&fake.cx(), Space { width, height, scroll });
    let Body::Lines(lines) = &block.body else { panic!("{block:?}") };
    assert!(lines.len() <= usize::from(height) && lines.iter().all(|one| line::width(one) <= width), "{lines:?}");
    (lines.iter().map(|one| line::words(one)).collect(), block)
}

/// Guests in a bridge on a VLAN of a bond of two interfaces, behind which is a router.
fn hypervisor() -> Fake {
    let mut fake = host(&[
        "name=eth0 kind=ethernet master=bond0",
        "name=eth1 kind=ethernet master=bond0 state=down",
        "name=bond0 kind=bond",
        "name=bond0.7 kind=vlan master=br0",
        "name=br0 kind=bridge",
        "name=tap0 kind=tun master=br0 rx_bytes=0+1000 tx_bytes=0+2000",
        "name=tap1 kind=tun master=br0",
        "name=bond0.8 kind=vlan",
    ]);
    add(&mut fake, VlanRow::TABLE, &["interface=bond0.7 lower=bond0 vlan=7", "interface=bond0.8 lower=bond0 vlan=8"]);
    add(&mut fake, AddressRow::TABLE, &["interface=br0 address=192.0.2.1 prefix=24 scope=global state=preferred"]);
    add(&mut fake, BondRow::TABLE, &["interface=bond0 mode=802.3ad up=1 members=2"]);
    add(&mut fake, OspfNeighborRow::TABLE, &["interface=bond0.8 router_id=192.0.2.9 state=Full"]);
    fake
}

#[test]
fn a_guest_is_connected_to_a_router_through_bridge_vlan_and_bond() {
    let graphs = made(&hypervisor());
    let [graph] = graphs.as_slice() else { panic!("{graphs:?}") };
    assert_eq!(
        edges(graph),
        [
            "192.0.2.1 br0",
            "bond0 eth0",
            "bond0 eth1",
            "bond0.7 bond0",
            "bond0.8 192.0.2.9",
            "bond0.8 bond0",
            "br0 bond0.7",
            "tap0 br0",
            "tap1 br0",
        ]
    );
    assert_eq!((node(graph, "bond0").about.as_str(), node(graph, "bond0.7").about.as_str()), ("802.3ad 1/2", "VLAN 7"));
    assert_eq!((node(graph, "eth1").level, node(graph, "eth0").level), (Level::Careful, Level::Ok));
    assert_eq!(
        (node(graph, "tap0").class, node(graph, "192.0.2.9").class),
        (layout::Class::End, layout::Class::Beyond)
    );
}

#[test]
fn a_router_of_which_nobody_tells_any_more_is_old_unless_somebody_else_does() {
    let mut fake = host(&["name=eth0 kind=ethernet"]);
    let since = fake.cx().now.seconds() - 7200.0;
    let old = format!("interface=eth0 router_id=192.0.2.9 address=192.0.2.9 stale={since}");
    let said = |fake: &Fake| {
        let graphs = made(fake);
        let node = node(&graphs[0], "192.0.2.9");
        let graph::Said::Word(word, role) = &node.said else { panic!("{node:?}") };
        (word.clone(), *role, node.is_old, node.level)
    };
    add(&mut fake, OspfNeighborRow::TABLE, &[&format!("{old} state=Full")]);
    assert_eq!(said(&fake), ("silent 2h00m".to_owned(), Role::Stale, true, Level::Ok));
    add(&mut fake, OspfNeighborRow::TABLE, &[&format!("{old} state=Down")]);
    assert_eq!((said(&fake).0, said(&fake).2, said(&fake).3), ("Down".to_owned(), true, Level::Critical));
    // another version or protocol that tells of it is believed
    let now = "interface=eth0 router_id=192.0.2.9 version=3 state=Full";
    for rows in [[&*format!("{old} state=Down"), now], [now, &*format!("{old} state=Down")]] {
        add(&mut fake, OspfNeighborRow::TABLE, &rows);
        assert_eq!(said(&fake), ("Full".to_owned(), Role::Value, false, Level::Ok));
    }
}

#[test]
fn a_bond_says_how_many_are_up_only_where_that_is_known() {
    let mut fake = hypervisor();
    for (row, said) in [("up=1", "802.3ad"), ("members=2", "802.3ad"), ("up=0 members=2", "802.3ad 0/2")] {
        add(&mut fake, BondRow::TABLE, &[&format!("interface=bond0 mode=802.3ad {row}")]);
        assert_eq!(node(&made(&fake)[0], "bond0").about, said);
    }
}

#[test]
fn what_carries_nothing_says_why_and_what_loses_packets_how_many() {
    let mut fake = host(&[
        "name=eth0 kind=ethernet master=bond0 rx_errors=5+3 tx_errors=1+0",
        "name=eth1 kind=ethernet rx_dropped=7+2 tx_dropped=0+0",
        "name=eth2 kind=ethernet rx_errors=9+0 tx_errors=9+0",
        "name=eth3 kind=ethernet",
        "name=bond0 kind=bond",
        "name=tap0 kind=tun master=br0",
        "name=br0 kind=bridge",
    ]);
    add(&mut fake, BondPortRow::TABLE, &["interface=eth0 link=down state=backup"]);
    add(&mut fake, BridgePortRow::TABLE, &["interface=tap0 state=blocking"]);
    let graphs = made(&fake);
    let faults = ["eth0", "eth1", "eth2", "eth3"].map(|name| node(&graphs[0], name).fault.clone());
    let words = |words: &str, level: Level| Some((words.to_owned(), level));
    let [errors, drops] = [words("err 3/s", Level::Warning), words("drop 2/s", Level::Careful)];
    assert_eq!(faults, [errors, drops, None, None]);
    let said = |name: &str| match &node(&graphs[0], name).said {
        graph::Said::Word(word, _) => word.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!([said("eth0"), said("tap0")], ["down", "blocking"]);
}

#[test]
fn interfaces_that_belong_to_each_other_in_a_circle_are_drawn() {
    let mut fake = host(&[
        "name=a kind=bridge master=b",
        "name=b kind=bridge master=a",
        "name=c kind=vlan master=c",
        "name=d kind=vlan",
        "name=lo kind=loopback",
        "name=eth0 kind=ethernet",
    ]);
    add(&mut fake, VlanRow::TABLE, &["interface=c lower=d vlan=1", "interface=d lower=c vlan=2"]);
    let graphs = made(&fake);
    let names: Vec<&str> = graphs[0].nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "eth0"], "the loopback leads nowhere");
    for (width, height) in [(80, 24), (40, 10)] {
        let text = drawn(&fake, width, height, 0).0.join("\n");
        assert!(names.iter().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn each_network_namespace_has_a_map_with_the_own_one_first() {
    let fake = host(&[
        "netns=blue2 name=eth0 kind=veth",
        "netns=blue10 name=eth0 kind=veth",
        "name=eth0 kind=ethernet",
        "netns=empty name=lo kind=loopback",
    ]);
    let names: Vec<String> = made(&fake).into_iter().map(|graph| graph.name).collect();
    assert_eq!(names, ["host", "blue2", "blue10"]);
    let (lines, _) = drawn(&fake, 80, 24, 0);
    let heads: Vec<&str> =
        lines.iter().map(|line| line.trim()).filter(|line| names.iter().any(|name| name == line)).collect();
    assert_eq!(heads, ["host", "blue2", "blue10"], "{lines:?}");
}

#[test]
fn a_router_whose_interface_is_gone_stays_on_the_map() {
    let mut fake = host(&["name=eth0 kind=ethernet"]);
    let rows = ["interface=eth9 router_id=192.0.2.9 state=Deleted", "interface=eth0 address=192.0.2.8 state=2-Way"];
    add(&mut fake, OspfNeighborRow::TABLE, &rows);
    let graphs = made(&fake);
    assert_eq!(edges(&graphs[0]), ["eth0 192.0.2.8", "eth9 192.0.2.9"]);
    assert_eq!(node(&graphs[0], "eth9").level, Level::Critical);
}

#[test]
fn hosts_behind_an_interface_are_counted_unless_they_are_gone() {
    let mut fake = host(&["name=eth0 kind=ethernet", "name=eth1 kind=ethernet", "name=br0 kind=bridge"]);
    let one =
        |interface: &str, state: &str, last: u8| format!("interface={interface} state={state} address=192.0.2.{last}");
    let rows =
        [one("eth0", "reachable", 1), one("eth0", "stale", 2), one("eth0", "failed", 3), one("eth1", "permanent", 4)];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    add(&mut fake, NeighborRow::TABLE, &rows);
    assert_eq!(edges(&made(&fake)[0]), ["eth0 2 neighbors", "eth1 1 neighbor"]);
}

/// A bridge with so many guests.
fn star(guests: usize) -> Fake {
    let guests: Vec<String> = (0..guests).map(|number| format!("name=tap{number} kind=tun master=br0")).collect();
    let links = ["name=br0 kind=bridge", "name=eth0 kind=ethernet master=br0"];
    host(&links.into_iter().chain(guests.iter().map(String::as_str)).collect::<Vec<_>>())
}

#[test]
fn what_does_not_fit_is_counted_and_reached_by_scrolling() {
    let fake = star(100);
    let (lines, block) = drawn(&fake, 80, 20, 0);
    assert_eq!((block.hidden, block.scrolled), (80, 0));
    assert!(lines[0].contains("br0") && lines[0].contains("tap0") && lines[19].contains("tap19"), "{lines:?}");
    let (lines, block) = drawn(&fake, 80, 20, 10_000);
    assert_eq!((block.hidden, block.scrolled), (80, 80));
    assert!(lines[19].contains("tap99") && lines[19].contains('┘'), "{lines:?}");
}

#[test]
fn interfaces_beyond_the_most_that_a_map_has_are_told() {
    let (lines, block) = drawn(&star(2010), 80, 20, 10_000);
    assert!(lines[19].contains("12 more are left out"), "{lines:?}");
    assert_eq!(block.scrolled, 1998 + 1 - 20, "guests beside bridge and interface, and what is said below them");
}

#[test]
fn wide_names_are_cut_and_nothing_leaves_its_room() {
    let wide = "網".repeat(15);
    let links: Vec<String> = (0..5).map(|number| format!("name={number}{wide} kind=tun master=br{wide}")).collect();
    let bridge = format!("name=br{wide} kind=bridge");
    let fake = host(&links.iter().map(String::as_str).chain([bridge.as_str()]).collect::<Vec<_>>());
    for width in 0..140 {
        for height in [1, 9, 10, 24] {
            drawn(&fake, width, height, 0);
        }
    }
    let text = drawn(&fake, 100, 24, 0).0.join("\n");
    assert!(text.contains("br網") && text.contains('…') && text.contains('┬'), "{text}");
}

#[test]
fn a_small_screen_has_the_same_as_a_tree() {
    let fake = hypervisor();
    let (map, _) = drawn(&fake, 80, 20, 0);
    let (tree, block) = drawn(&fake, 50, 20, 0);
    // the address of the bridge stands beside it
    assert_eq!((tree.len(), block.hidden), (made(&fake)[0].nodes.len() - 1, 0));
    for node in &made(&fake)[0].nodes {
        for lines in [&map, &tree] {
            assert!(lines.iter().any(|line| line.contains(&node.name)), "{} {lines:?}", node.name);
        }
    }
    assert!(tree[0].starts_with("eth0") && tree[1].starts_with("└ bond0"), "{tree:?}");
    let role = |name: &str| {
        let Body::Lines(lines) = &block.body else { panic!("{block:?}") };
        let items = lines.iter().flatten();
        items.into_iter().find_map(|item| match item {
            Item::Text(words, role) if words == name => Some(*role),
            _ => None,
        })
    };
    assert_eq!(role("eth1"), Some(Role::Level(Level::Careful)));
}

#[test]
fn a_graph_is_made_once_for_a_snapshot_and_anew_for_other_switches() {
    let mut fake = host(&["name=eth0 kind=ethernet rx_bytes=1000000+5 tx_bytes=1000000+5"]);
    assert!(drawn(&fake, 80, 20, 0).0[0].contains("eth0"));
    add(&mut fake, LinkRow::TABLE, &["index=1 name=eth1 state=up kind=ethernet rx_bytes=1000000+5 tx_bytes=1000000+5"]);
    assert!(drawn(&fake, 80, 20, 0).0[0].contains("eth0"), "of the same snapshot");
    fake.next();
    let rates = drawn(&fake, 80, 20, 0).0;
    assert!(rates[0].contains("eth1"), "{rates:?}");
    fake.toggles.insert(toggle::CUMULATIVE);
    let totals = drawn(&fake, 80, 20, 0).0;
    assert!(totals[0].contains("1.00M") && totals != rates, "{rates:?} {totals:?}");
}

/// An area of router `r1` with these links: from, kind, to, cost.
fn area(links: &[String]) -> Fake {
    let mut fake = Fake::empty();
    let place = "netns=host instance=ospfd version=2 area=0.0.0.0 source=frr";
    let row = |link: &String| {
        let words: Vec<&str> = link.split(' ').collect();
        let metric = words.get(3).map_or(String::new(), |metric| format!("metric={metric}"));
        format!("{place} from={} kind={} to={} number=0 {metric}", words[0], words[1], words[2])
    };
    fake.put(OspfLinkRow::TABLE, &links.iter().map(row).collect::<Vec<_>>());
    fake.put(OspfAreaRow::TABLE, &[format!("{place} router_id=192.0.2.1")]);
    fake
}

/// Both directions of links between routers 192.0.2.X: two numbers, and what it costs there and back.
fn pairs(all: &[(u16, u16, u16, u16)]) -> Vec<String> {
    let one = |a: u16, b: u16, cost: u16| format!("192.0.2.{a} point-to-point 192.0.2.{b} {cost}");
    all.iter().flat_map(|(a, b, there, back)| [one(*a, *b, *there), one(*b, *a, *back)]).collect()
}

fn drawn_area(fake: &Fake, width: u16, height: u16) -> Vec<String> {
    let block = areas(&fake.cx(), Space { width, height, scroll: 0 });
    let Body::Lines(lines) = &block.body else { panic!("{block:?}") };
    assert!(lines.len() <= usize::from(height) && lines.iter().all(|one| line::width(one) <= width), "{lines:?}");
    lines.iter().map(|one| line::words(one)).collect()
}

#[test]
fn areas_of_this_host_stand_above_those_of_other_namespaces_and_those_of_other_routers_last() {
    let mut fake = Fake::empty();
    let row = |of: &str| {
        format!("{of} version=2 area=0.0.0.0 kind=point-to-point number=0 metric=10 from=192.0.2.1 to=192.0.2.2")
    };
    let all =
        ["source=snmp instance=core", "netns=blue source=frr instance=ospfd", "netns=host source=frr instance=ospfd"];
    fake.put(OspfLinkRow::TABLE, &all.map(row));
    let cx = fake.cx();
    let maps = area::areas(&cx, &cx.views.get(&OspfLinkRow::TABLE.name).unwrap());
    let names: Vec<String> = maps.iter().map(|map| map.graph(true).name).collect();
    let is_before = |(name, start): (&String, &str)| name.trim_start().starts_with(start);
    assert!(names.iter().zip(["host ", "blue ", "core "]).all(is_before), "{names:?}");
}

#[test]
fn what_a_daemon_told_of_an_area_that_says_nothing_any_more_is_old() {
    let now = area(&pairs(&[(1, 2, 10, 20)]));
    let text = drawn_area(&now, 120, 20).join("\n");
    assert!(text.contains("10/20") && !text.contains("silent"), "{text}");
    let mut old = area(&[]);
    let row = |ends: &str| {
        let stale = now.cx().now.seconds() - 3600.0;
        format!(
            "netns=host instance=ospfd version=2 area=0.0.0.0 kind=point-to-point number=0 metric=10 stale={stale} {ends}"
        )
    };
    old.put(OspfLinkRow::TABLE, &[row("from=192.0.2.1 to=192.0.2.2"), row("from=192.0.2.2 to=192.0.2.1")]);
    let text = drawn_area(&old, 120, 20).join("\n");
    assert!(text.contains("silent 1h"), "{text}");
    let cx = old.cx();
    let areas = area::areas(&cx, &cx.views.get(&OspfLinkRow::TABLE.name).unwrap());
    for node in &areas[0].graph(true).nodes {
        let Some(graph::Said::Word(_, said)) = Some(&node.said) else { panic!("{node:?}") };
        assert_eq!((node.role(), *said), (Role::Stale, Role::Stale), "{node:?}");
    }
}

#[test]
fn an_area_has_this_router_in_the_middle_and_others_as_far_away_as_they_are() {
    // a ring of four, and a router behind the one on the other side
    let fake = area(&pairs(&[(1, 2, 10, 20), (2, 3, 5, 5), (3, 4, 5, 5), (4, 1, 10, 10), (3, 5, 7, 7)]));
    let lines = drawn_area(&fake, 120, 20);
    let text = lines.join("\n");
    let at = |number: u16| {
        let name = format!("192.0.2.{number}");
        let line =
            lines.iter().find(|line| line.replace("▸ 192", "").contains(&name)).unwrap_or_else(|| panic!("{text}"));
        line.rfind(&name).map(|end| line[..end].chars().count()).unwrap()
    };
    let side = |number: u16| at(number) > at(1);
    assert!(side(2) != side(4), "one neighbor to each side: {text}");
    assert!(at(1).abs_diff(at(3)) > at(1).abs_diff(if side(3) == side(2) { at(2) } else { at(4) }), "{text}");
    assert!(at(1).abs_diff(at(5)) > at(1).abs_diff(at(3)), "{text}");
    assert_eq!(text.matches('▸').count(), 1, "the ring is closed once: {text}");
    assert!(text.contains("10/20") || text.contains("20/10"), "a link that costs another thing back: {text}");
}

#[test]
fn a_network_of_two_is_a_link_and_one_of_three_a_node() {
    let network = |name: &str, routers: &[u16]| -> Vec<String> {
        let both =
            |router: &u16| [format!("192.0.2.{router} transit {name} 10"), format!("{name} attached 192.0.2.{router}")];
        routers.iter().flat_map(both).collect()
    };
    let links = [network("10.0.1.0/24", &[1, 2]), network("10.0.2.0/24", &[1, 3, 4])].concat();
    let fake = area(&[links, vec!["192.0.2.2 stub 10.9.0.0/24 1".to_owned()]].concat());
    let text = drawn_area(&fake, 120, 20).join("\n");
    assert!(!text.contains("10.0.1.0/24") && text.contains("10.0.2.0/24"), "{text}");
    assert!(["192.0.2.2", "192.0.2.3", "192.0.2.4", "1 stub"].iter().all(|words| text.contains(words)), "{text}");
    assert!(!text.contains("one way") && !text.contains("not reached"), "{text}");
}

#[test]
fn a_link_of_which_one_end_says_nothing_stands_out_and_so_does_who_is_behind_it() {
    let mut links = pairs(&[(1, 2, 10, 10), (3, 4, 10, 10)]);
    links.push("192.0.2.2 point-to-point 192.0.2.3 10".to_owned());
    let fake = area(&links);
    let block = areas(&fake.cx(), Space { width: 80, height: 20, scroll: 0 });
    let Body::Lines(lines) = &block.body else { panic!("{block:?}") };
    let bad = |words: &str| {
        lines.iter().flatten().any(|item| match item {
            Item::Text(text, Role::Level(Level::Warning)) => text == words,
            Item::Cell { text, role: Role::Level(Level::Warning), .. } => text == words,
            _ => false,
        })
    };
    assert!(bad("▸ 192.0.2.3") && bad("one way") && bad("not reached"), "{lines:?}");
    assert!(bad("192.0.2.3") && bad("192.0.2.4") && !bad("192.0.2.1") && !bad("192.0.2.2"), "{lines:?}");
}

#[test]
fn a_title_counts_each_router_once_and_says_who_is_more_than_one() {
    let mut fake = area(&pairs(&[(1, 2, 10, 20), (2, 3, 5, 5), (3, 1, 5, 5)]));
    let other = area(&pairs(&[(1, 2, 10, 20)]));
    let place = "netns=host instance=ospfd version=2";
    let lsa = |area: &str, kind: &str, router: u8, state: &str| {
        format!("{place} {area} kind={kind} advertising_router=192.0.2.{router} state={state}")
    };
    let here = "area=0.0.0.0";
    let lsas = [
        lsa(here, "Router", 3, "current"),
        lsa(here, "Summary", 2, "current"),
        lsa(here, "ASBR-Summary", 1, "MaxAge"),
        lsa("area=0.0.0.9", "Summary", 3, "current"),
        lsa("", "AS-External", 2, "current"),
        lsa("", "AS-External", 3, "current"),
    ];
    fake.put(OspfLsaRow::TABLE, &lsas);
    let cx = fake.cx();
    let maps = area::areas(&cx, &cx.views.get(&OspfLinkRow::TABLE.name).unwrap());
    let graph = maps[0].graph(true);
    let about = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|name| node(&graph, name).about.as_str());
    assert_eq!(about, ["", "ABR ASBR", "ASBR"]);
    fake.put(OspfAreaRow::TABLE, &[format!("{place} {here} source=frr router_id=192.0.2.1 abr=yes asbr=no")]);
    fake.next();
    let cx = fake.cx();
    let maps = area::areas(&cx, &cx.views.get(&OspfLinkRow::TABLE.name).unwrap());
    assert_eq!(node(&maps[0].graph(true), "192.0.2.1").about, "ABR", "what its daemon says");
    let graphs = [graph, maps[0].graph(false)];
    let note = line::words(&area::note(graphs.iter().flat_map(|graph| &graph.nodes)));
    assert!(note.starts_with("3 routers "), "{note}");
    let block = areas(&other.cx(), Space { width: 80, height: 20, scroll: 0 });
    assert!(line::words(&block.note).starts_with("2 routers "), "{:?}", block.note);
}

#[test]
fn an_area_that_does_not_fit_to_both_sides_is_drawn_to_one_and_then_as_a_tree() {
    let chain: Vec<(u16, u16, u16, u16)> = vec![(1, 2, 1, 1), (2, 3, 1, 1), (1, 4, 1, 1), (4, 5, 1, 1)];
    let fake = area(&pairs(&chain));
    for (width, height, place) in [(120, 20, 2), (64, 20, 0), (40, 20, 0)] {
        let lines = drawn_area(&fake, width, height);
        let text = lines.join("\n");
        assert!((1..=5).all(|router| text.contains(&format!("192.0.2.{router}"))), "{text}");
        let own = lines.iter().find(|line| line.contains("192.0.2.1")).unwrap();
        let before = own.split("192.0.2.1").next().unwrap().matches("192.0.2.").count();
        assert_eq!(before, place, "{width}: {text}");
    }
}

#[test]
fn parallel_links_are_one_that_costs_least_and_very_many_routers_have_a_bound() {
    let fake = area(&pairs(&[(1, 2, 30, 30), (1, 2, 10, 10), (1, 2, 20, 20)]));
    let text = drawn_area(&fake, 80, 20).join("\n");
    assert!(text.contains("10") && !text.contains("20 ") && !text.contains("30"), "{text}");
    let many: Vec<(u16, u16, u16, u16)> = (2..2500).map(|router| (1, router, 1, 1)).collect();
    let fake = area(&pairs(&many));
    let block = areas(&fake.cx(), Space { width: 80, height: 20, scroll: 10_000 });
    let Body::Lines(lines) = &block.body else { panic!("{block:?}") };
    assert!(line::words(lines.last().unwrap()).contains("499 more are left out"), "{lines:?}");
}

#[test]
fn what_is_wrong_with_those_beyond_is_said_below_them_where_there_is_no_room_beside() {
    // what makes a map wide, and two routers behind one interface
    let wide: Vec<String> =
        (0..3).map(|number| format!("name=a-guest-with-a-name{number} kind=tun master=br0")).collect();
    let links =
        ["name=br0 kind=bridge master=", "name=bond0.1234 kind=vlan", "name=ethernet1 kind=ethernet master=br0"];
    let mut fake = host(&links.into_iter().chain(wide.iter().map(String::as_str)).collect::<Vec<_>>());
    let state = |state: &str| {
        ["192.0.2.101", "192.0.2.102"].map(|id| format!("interface=ethernet1 router_id={id} state={state}"))
    };
    let put = |fake: &mut Fake, state: [String; 2]| {
        add(fake, OspfNeighborRow::TABLE, &state.each_ref().map(String::as_str));
        fake.next();
    };
    put(&mut fake, state("Deleted"));
    let (lines, _) = drawn(&fake, 62, 20, 0);
    let at = |lines: &[String], word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
    let column = |line: &str, word: &str| line.find(word).map(|at| line[..at].chars().count());
    for id in ["192.0.2.101", "192.0.2.102"] {
        let own = at(&lines, id);
        let below = &lines[own + 1];
        assert_eq!(column(below, "Deleted"), column(&lines[own], id), "{lines:#?}");
    }
    // where they are well, nothing that would have room is pushed below the edge for that
    put(&mut fake, state("Full"));
    let (lines, block) = drawn(&fake, 62, 10, 0);
    assert!(block.hidden == 0 || !lines.iter().any(|line| line.contains("Full")), "{lines:#?}");
}

#[test]
fn in_a_tree_an_address_of_the_host_stands_beside_its_interface() {
    let mut fake = hypervisor();
    add(&mut fake, OspfNeighborRow::TABLE, &["interface=br0 router_id=192.0.2.9 state=Full"]);
    let (tree, _) = drawn(&fake, 50, 20, 0);
    let own: Vec<&String> = tree.iter().filter(|line| line.contains("192.0.2.1/24")).collect();
    assert!(own.len() == 1 && own[0].contains("br0"), "{tree:#?}");
    let router = tree.iter().find(|line| line.contains("192.0.2.9")).unwrap();
    assert!(router.trim_start_matches([' ', '│']).starts_with(['├', '└']), "{tree:#?}");
}

#[test]
fn routers_are_on_the_map_what_their_own_lsas_say() {
    let mut fake = area(&pairs(&[(1, 2, 10, 10)]));
    let place = "netns=host instance=ospfd version=2 area=0.0.0.0 source=frr kind=point-to-point number=0 metric=10";
    let rows = ["from=192.0.2.1 to=192.0.2.2 abr=no asbr=no", "from=192.0.2.2 to=192.0.2.1 abr=no asbr=yes"];
    fake.put(OspfLinkRow::TABLE, &rows.map(|row| format!("{place} {row}")));
    fake.put(
        OspfLsaRow::TABLE,
        &["netns=host instance=ospfd version=2 area=0.0.0.0 kind=Summary advertising_router=192.0.2.2".to_owned()],
    );
    let cx = fake.cx();
    let maps = area::areas(&cx, &cx.views.get(&OspfLinkRow::TABLE.name).unwrap());
    let graph = maps[0].graph(true);
    assert_eq!(["192.0.2.1", "192.0.2.2"].map(|name| node(&graph, name).about.as_str()), ["", "ABR ASBR"]);
}

#[test]
fn what_can_be_selected_is_where_it_is_drawn_and_leads_to_its_row() {
    let fake = hypervisor();
    for width in [200, 80, 50] {
        let (lines, _) = drawn(&fake, width, 30, 0);
        let all = marks(&fake.cx(), PANEL.name, Space { width, height: 30, scroll: 0 });
        let told = |mark: &Mark| -> (String, &'static str) {
            let words = lines[mark.line].chars().skip(mark.at.into()).take(mark.cells.into()).collect::<String>();
            let Some(crate::panel::Leads::Row(table, _)) = mark.leads else { panic!("{words} {mark:?}") };
            (words.trim().to_owned(), table)
        };
        let mut all: Vec<(u64, (String, &str))> = all.iter().map(|mark| (mark.id, told(mark))).collect();
        let links = ["bond0", "bond0.7", "bond0.8", "br0", "eth0", "eth1", "tap0", "tap1"].map(|name| (name, "link"));
        // a tree has the address beside its bridge
        let own = (width > 50).then_some(("192.0.2.1", "link"));
        let mut want: Vec<(&str, &str)> =
            links.into_iter().chain(own).chain([("192.0.2.9", "ospf_neighbor")]).collect();
        want.sort_unstable();
        all.sort_by(|(_, a), (_, b)| a.cmp(b));
        assert_eq!(
            all.iter().map(|(_, (name, table))| (name.as_str(), *table)).collect::<Vec<_>>(),
            want,
            "{lines:#?}"
        );
        all.sort_by_key(|(id, _)| *id);
        all.dedup_by_key(|(id, _)| *id);
        assert_eq!(all.len(), want.len(), "each is another one");
    }
}

#[test]
fn a_router_of_an_area_leads_to_its_links() {
    let fake = area(&pairs(&[(1, 2, 10, 10), (2, 3, 10, 10), (3, 1, 10, 10)]));
    let all = marks(&fake.cx(), AREAS.name, Space { width: 120, height: 20, scroll: 0 });
    let mut filters: Vec<String> = all
        .into_iter()
        .map(|mark| match mark.leads {
            Some(crate::panel::Leads::Rows("ospf_link", filter)) => filter,
            other => panic!("{other:?}"),
        })
        .collect();
    filters.sort();
    let from = |last: u8| {
        let here = "version == 2 and instance == \"ospfd\" and area == \"0.0.0.0\"";
        format!("{here} and from == \"192.0.2.{last}\"")
    };
    assert_eq!(filters, [1, 2, 3].map(from), "the mark that closes the ring is none");
}
