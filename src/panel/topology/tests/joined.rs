//! Do gateways, containers and ports of Open vSwitch stand where they belong?

use super::*;
use crate::collect::ovs::{OvsBridgeRow, OvsPortRow};
use crate::collect::route::RouteRow;
use crate::collect::routing::{BgpPeerRow, IsisAdjacencyRow};
use crate::collect::vm::VmRow;
use crate::collect::vm::nic::VmNicRow;

/// A gateway of an interface, and how it is with it.
fn gateway(entries: &[&str]) -> Fake {
    let mut fake = host(&["name=eth0 kind=ethernet", "name=eth1 kind=ethernet"]);
    let route = "table=main destination=0.0.0.0 kind=unicast";
    let rows = [
        format!("{route} prefix=0 interface=eth0 gateway=192.0.2.1 hops=1"),
        format!("{route} prefix=0 metric=9 hops=2 next_hops=via~198.51.100.1~dev~eth1~weight~1,~dev~eth0~weight~2"),
        format!("{route} prefix=8 interface=eth0 gateway=192.0.2.7 hops=1"),
        "table=main destination=0.0.0.0 kind=blackhole prefix=0 interface=eth0 gateway=192.0.2.8 hops=1".to_owned(),
    ];
    add(&mut fake, RouteRow::TABLE, &rows.iter().map(String::as_str).collect::<Vec<_>>());
    add(&mut fake, NeighborRow::TABLE, entries);
    fake
}

#[test]
fn a_default_gateway_stands_behind_its_interface_with_what_is_known_of_it() {
    let of = |state: &str| {
        let fake = gateway(&[&format!("interface=eth0 address=192.0.2.1 state={state}")]);
        let graphs = made(&fake);
        assert_eq!(edges(&graphs[0]), ["eth0 192.0.2.1", "eth1 198.51.100.1"], "it is not counted once more");
        assert_eq!(node(&graphs[0], "198.51.100.1").said, graph::Said::Nothing, "nobody knows it");
        let node = node(&graphs[0], "192.0.2.1");
        assert_eq!(node.about, "gateway");
        (node.said.clone(), node.level)
    };
    let word = |word: &str, role: Role| graph::Said::Word(word.to_owned(), role);
    assert_eq!(of("reachable"), (word("reachable", Role::Value), Level::Ok));
    assert_eq!(of("stale"), (word("stale", Role::Muted), Level::Ok));
    assert_eq!(of("failed"), (word("failed", Role::Level(Level::Warning)), Level::Warning));
}

#[test]
fn who_is_a_gateway_and_a_router_of_a_protocol_has_one_place() {
    let mut fake = gateway(&["interface=eth0 address=192.0.2.1 state=failed"]);
    add(&mut fake, OspfNeighborRow::TABLE, &["interface=eth0 router_id=10.0.0.9 address=192.0.2.1 state=Full"]);
    add(&mut fake, IsisAdjacencyRow::TABLE, &["interface=eth1 system=core1 address=198.51.100.7 state=Down"]);
    add(
        &mut fake,
        AddressRow::TABLE,
        &[
            "interface=eth0 address=192.0.2.250 prefix=24 scope=global state=usable",
            "interface=eth1 address=192.0.2.129 prefix=25 scope=global state=usable",
        ],
    );
    let peers = ["peer=192.0.2.1 state=Established", "peer=192.0.2.130 state=Active", "peer=203.0.113.1 state=Idle"];
    add(&mut fake, BgpPeerRow::TABLE, &peers);
    let graphs = made(&fake);
    let graph = &graphs[0];
    assert_eq!(node(graph, "10.0.0.9").about, "OSPF, BGP, gateway");
    assert_eq!(node(graph, "10.0.0.9").level, Level::Ok, "its protocols know better");
    assert_eq!((node(graph, "core1").about.as_str(), node(graph, "core1").level), ("IS-IS", Level::Critical));
    assert!(edges(graph).contains(&"eth1 192.0.2.130".to_owned()), "the smaller network: {:?}", edges(graph));
    assert!(!graph.nodes.iter().any(|node| node.name == "203.0.113.1"), "it is behind no interface by itself");
}

#[test]
fn containers_hang_at_their_bridges_and_what_the_host_uses_leads_to_them() {
    let pair = |name: &str, master: &str, peer: &str| {
        let master = if master.is_empty() { String::new() } else { format!("master={master}") };
        let (netns, peer) = peer.split_once(' ').unwrap();
        format!("name={name} kind=veth {master} peer={peer} peer_netns={netns}")
    };
    let links = [
        pair("v1", "br0", "web eth0"),
        pair("v2", "br0", "db eth0"),
        pair("v3", "", "web eth1"),
        pair("v4", "", "vpn eth0"),
        pair("v5", "br0", "host v6"),
        pair("v6", "", "host v5"),
        pair("v7", "br0", "host v8"),
        pair("v8", "br1", "host v7"),
    ];
    let rest = ["name=br0 kind=bridge", "name=br1 kind=bridge", "name=eth0 kind=ethernet master=br0"];
    let mut fake = host(&links.iter().map(String::as_str).chain(rest).collect::<Vec<_>>());
    let address =
        |name: &str, last: u8| format!("interface={name} address=192.0.2.{last} prefix=24 scope=global state=usable");
    let own = [address("v4", 1), address("v6", 2)];
    add(&mut fake, AddressRow::TABLE, &own.iter().map(String::as_str).collect::<Vec<_>>());
    let graphs = made(&fake);
    let expected = [
        "192.0.2.1 v4",
        "192.0.2.2 v6",
        "br0 eth0",
        "br0 v7",
        "db v2",
        "v1 br0",
        "v2 br0",
        "v4 vpn",
        "v5 br0",
        "v6 v5",
        "v7 v8",
        "v8 br1",
        "web v1",
        "web v3",
    ];
    assert_eq!(edges(&graphs[0]), expected);
    let about = |name: &str| node(&graphs[0], name).about.clone();
    assert_eq!([about("db"), about("web"), about("vpn")], ["eth0", "2 links", "eth0"]);
    let text = drawn(&fake, 200, 30, 0).0.join("\n");
    assert!(graphs[0].nodes.iter().all(|node| text.contains(&node.name)), "{text}");
}

#[test]
fn a_router_of_several_protocols_has_one_place_whatever_each_calls_it() {
    let mut fake = host(&["name=eth0 kind=ethernet", "name=eth1 kind=ethernet"]);
    let own = "interface=eth0 address=192.0.2.2 prefix=24 scope=global state=usable";
    add(&mut fake, AddressRow::TABLE, &[own]);
    add(&mut fake, OspfNeighborRow::TABLE, &["interface=eth0 router_id=10.9.9.2 address=192.0.2.1 state=Full"]);
    let systems = [
        "interface=eth0 system=vm address=192.0.2.1 address6=fe80::1 state=Up",
        // the same link-local address behind another interface is somebody else's
        "interface=eth1 system=other address6=fe80::1 state=Up",
    ];
    add(&mut fake, IsisAdjacencyRow::TABLE, &systems);
    add(&mut fake, BgpPeerRow::TABLE, &["peer=192.0.2.1 state=Active"]);
    let graphs = made(&fake);
    assert_eq!(edges(&graphs[0]), ["192.0.2.2 eth0", "eth0 10.9.9.2", "eth1 other"]);
    let router = node(&graphs[0], "10.9.9.2");
    assert_eq!((router.about.as_str(), router.level), ("OSPF, IS-IS, BGP", Level::Warning), "the worst of all");
}

#[test]
fn neighbors_of_a_router_that_is_asked_over_snmp_stand_on_no_map_of_this_host() {
    let mut fake = host(&["name=eth0 kind=ethernet", "netns=blue name=eth7 kind=ethernet"]);
    let told = "source=snmp instance=core state=Deleted";
    let rows = ["interface=eth0", "interface=eth7", "interface=eth9"].iter().zip(1..);
    let mut rows: Vec<String> = rows.map(|(row, last)| format!("{row} router_id=192.0.2.{last} {told}")).collect();
    rows.push(format!("interface=eth0 router_id=192.0.2.4 expected=yes {told}"));
    // so does one whose network namespace this user may not know
    rows.push("interface=eth0 router_id=192.0.2.5 source=frr instance=ospfd state=Full".to_owned());
    fake.put(OspfNeighborRow::TABLE, &rows);
    for graph in made(&fake) {
        assert!(graph.edges.is_empty() && graph.nodes.len() == 1, "{graph:?}");
        assert_eq!(graph.nodes[0].level, Level::Ok);
    }
}

#[test]
fn who_is_expected_and_was_never_there_stands_behind_its_interface() {
    let mut fake = host(&["name=eth0 kind=ethernet", "netns=blue name=eth7 kind=ethernet", "netns=blue name=eth0"]);
    let expected = "state=Down expected=yes";
    let rows = [
        format!("interface=eth0 router_id=192.0.2.7 {expected}"),
        format!("interface=eth7 router_id=192.0.2.8 {expected}"),
        format!("interface=eth9 router_id=192.0.2.9 {expected}"),
        format!("router_id=10.9.9.9 {expected}"),
    ];
    fake.put(OspfNeighborRow::TABLE, &rows);
    let graphs = made(&fake);
    assert_eq!(edges(&graphs[0]), ["eth0 192.0.2.7", "eth9 192.0.2.9"]);
    assert_eq!(edges(&graphs[1]), ["eth7 192.0.2.8"]);
    for router in ["192.0.2.7", "192.0.2.9", "10.9.9.9"] {
        assert_eq!(node(&graphs[0], router).level, Level::Critical, "{router}");
    }
    assert!(graphs[0].nodes.iter().all(|node| !node.name.is_empty()), "{graphs:?}");
    let text = drawn(&fake, 80, 24, 0).0.join("\n");
    assert!(text.contains("10.9.9.9") && text.contains("192.0.2.7"), "{text}");
}

#[test]
fn no_carrier_is_as_bad_as_what_was_lost_behind_it() {
    let mut fake = host(&[
        "name=eth0 kind=ethernet state=down",
        "name=eth0.7 kind=vlan state=lower_down",
        "name=eth1 kind=ethernet state=down",
        "name=eth2 kind=ethernet",
        "name=eth3 kind=ethernet state=down",
        "name=eth4 kind=ethernet state=disabled",
    ]);
    add(&mut fake, VlanRow::TABLE, &["interface=eth0.7 lower=eth0 vlan=7"]);
    let router =
        |interface: &str, last: u8, state: &str| format!("interface={interface} router_id=192.0.2.{last} {state}");
    let routers = [
        router("eth0.7", 1, "state=Deleted"),
        router("eth2", 2, "state=Deleted"),
        router("eth3", 3, "state=Full"),
        router("eth4", 4, "state=Deleted"),
    ];
    add(&mut fake, OspfNeighborRow::TABLE, &routers.iter().map(String::as_str).collect::<Vec<_>>());
    let graphs = made(&fake);
    let level = |name: &str| node(&graphs[0], name).level;
    assert_eq!(["eth0", "eth0.7"].map(level), [Level::Critical; 2], "the interface below is to blame");
    assert_eq!(["eth1", "eth3"].map(level), [Level::Careful; 2], "nothing is lost behind them");
    assert_eq!(["eth2", "eth4"].map(level), [Level::Ok; 2], "one is up, and one was switched off");
    assert_eq!(node(&graphs[0], "eth0").said, graph::Said::Word("down".to_owned(), Role::Level(Level::Critical)));
}

/// Guests: one with two cards, one whose card the host itself uses, one that stands on an interface, and two elsewhere.
fn guests() -> Fake {
    let mut fake = host(&[
        "name=br0 kind=bridge",
        "name=tap1 kind=tun master=br0",
        "name=tap2 kind=tun",
        "name=tap3 kind=tun master=br0",
        "name=tap4 kind=tun",
        "name=macvtap5 kind=macvtap lower=eth0",
        "name=eth0 kind=ethernet master=br0",
        "netns=blue name=tap1 kind=tun",
        "name=macvlan6 kind=macvlan lower=eth0",
    ]);
    let own = "interface=tap4 address=192.0.2.1 prefix=31 scope=global state=usable";
    add(&mut fake, AddressRow::TABLE, &[own]);
    let vms = [
        "pid=7 start=1 name=web monitor=QEMU state=running",
        "pid=8 start=1 name=mail monitor=QEMU state=stuck",
        "pid=9 start=1 name=mail monitor=Firecracker state=paused",
    ];
    let nics = [
        "pid=7 start=1 tap=tap1 guest=web index=1",
        "pid=7 start=1 tap=tap2 guest=web index=2",
        "pid=8 start=1 tap=tap3 guest=mail index=3",
        "pid=9 start=1 tap=tap4 guest=mail index=4",
        "pid=10 start=1 tap=macvtap5 guest=new index=5",
        // one that has no number here, and one whose number only another namespace has
        "pid=11 start=1 tap=eth0 guest=hidden",
        "pid=12 start=1 tap=tap1 guest=hidden index=7",
    ];
    fake.put(VmRow::TABLE, &vms.map(str::to_owned));
    fake.put(VmNicRow::TABLE, &nics.map(str::to_owned));
    fake
}

#[test]
fn guests_hang_at_their_taps_each_once() {
    let graphs = made(&guests());
    let expected = [
        "192.0.2.1 tap4",
        "br0 eth0",
        "macvlan6 eth0",
        "macvtap5 eth0",
        "mail tap3",
        "new macvtap5",
        "tap1 br0",
        "tap3 br0",
        "tap4 mail",
        "web tap1",
        "web tap2",
    ];
    assert_eq!(edges(&graphs[0]), expected);
    assert_eq!(graphs[0].nodes.iter().filter(|node| node.name == "web").count(), 1);
    assert!(edges(&graphs[1]).is_empty(), "{graphs:?}");
    let mut states: Vec<_> = graphs[0].nodes.iter().filter(|node| node.name == "mail").collect();
    states.sort_by_key(|node| node.level);
    let word = |word: &str, level: Level| (Some((word.to_owned(), level)), level);
    let faults: Vec<_> = states.iter().map(|node| (node.fault.clone(), node.level)).collect();
    assert_eq!(faults, [word("paused", Level::Careful), word("stuck", Level::Critical)]);
    assert_eq!(node(&graphs[0], "web").fault, None, "it runs");
    for (width, height) in [(120, 30), (80, 24), (50, 24)] {
        let text = drawn(&guests(), width, height, 0).0.join("\n");
        assert!(["web", "mail", "new", "tap1", "br0"].iter().all(|name| text.contains(name)), "{text}");
    }
}

#[test]
fn a_guest_at_a_bridge_of_open_vswitch_stands_before_its_tap() {
    for datapath in ["system", "netdev"] {
        let mut fake = vswitch(datapath, "up");
        fake.put(VmRow::TABLE, &["pid=7 start=1 name=web monitor=QEMU state=running".to_owned()]);
        fake.put(VmNicRow::TABLE, &["pid=7 start=1 tap=tap0 guest=web index=3".to_owned()]);
        let edges = edges(&made(&fake)[0]);
        assert!(edges.contains(&"web tap0".to_owned()) && edges.contains(&"tap0 br0".to_owned()), "{edges:?}");
    }
}

/// A bridge of Open vSwitch with a guest, a bond and a tunnel, and one that it is joined with.
fn vswitch(datapath: &str, state: &str) -> Fake {
    let in_kernel = if datapath == "system" { "kind=openvswitch" } else { "kind=tun" };
    let master = if datapath == "system" { "master=ovs-system" } else { "" };
    let extra = if datapath == "system" { "ovs-system" } else { "ovs-netdev" };
    let mut fake = host(&[
        &format!("name={extra} {in_kernel} state=disabled"),
        &format!("name=br0 {in_kernel}"),
        &format!("name=acc {in_kernel}"),
        &format!("name=tap0 kind=tun {master}"),
        &format!("name=v1 kind=veth {master} peer=eth0 peer_netns=web"),
        &format!("name=eth0 kind=ethernet {master}"),
        &format!("name=eth1 kind=ethernet {master}"),
        &format!("name=mgmt {in_kernel}"),
    ]);
    add(&mut fake, AddressRow::TABLE, &["interface=mgmt address=192.0.2.3 prefix=24 scope=global state=usable"]);
    let bridges = [format!("bridge=br0 state={state}"), format!("bridge=int state={state}")];
    add(&mut fake, OvsBridgeRow::TABLE, &bridges.iter().map(String::as_str).collect::<Vec<_>>());
    let port = |bridge: &str, port: &str, interface: &str, rest: &str| {
        format!("socket=db bridge={bridge} port={port} interface={interface} {rest}")
    };
    let ports = [
        port("br0", "br0", "br0", "kind=internal"),
        port("br0", "acc", "acc", "kind=internal tag=30"),
        port("br0", "mgmt", "mgmt", "kind=internal"),
        port("br0", "tap0", "tap0", "kind=system"),
        port("br0", "v1", "v1", "kind=system"),
        port("br0", "bond1", "eth0", "kind=system bond_mode=balance-slb"),
        port("br0", "bond1", "eth1", "kind=system bond_mode=balance-slb"),
        port("br0", "to-int", "to-int", "kind=patch remote=to-br0"),
        port("int", "to-br0", "to-br0", "kind=patch remote=to-int"),
        port("int", "int", "int", "kind=internal"),
        port("int", "tun0", "tun0", "kind=vxlan remote=198.51.100.9 rx_bytes=0+1000 tx_bytes=0+2000"),
        port("int", "gone", "gone", "kind=system link=down error=no~such~device"),
    ];
    add(&mut fake, OvsPortRow::TABLE, &ports.iter().map(String::as_str).collect::<Vec<_>>());
    fake
}

#[test]
fn ports_of_open_vswitch_stand_at_their_bridges_whatever_the_kernel_says() {
    for datapath in ["system", "netdev"] {
        let graphs = made(&vswitch(datapath, "up"));
        let expected = [
            "192.0.2.3 mgmt",
            "acc br0",
            "bond1 eth0",
            "bond1 eth1",
            "br0 bond1",
            "int br0",
            "int gone",
            "int tun0",
            "mgmt br0",
            "tap0 br0",
            "v1 br0",
            "web v1",
        ];
        assert_eq!(edges(&graphs[0]), expected, "{datapath}");
        let about = |name: &str| node(&graphs[0], name).about.clone();
        let abouts = ["br0", "acc", "bond1", "tun0"].map(about);
        assert_eq!(abouts, ["Open vSwitch", "VLAN 30", "balance-slb", "vxlan 198.51.100.9"]);
        assert!(matches!(node(&graphs[0], "tun0").said, graph::Said::Rates { .. }));
        assert_eq!(node(&graphs[0], "gone").level, Level::Warning);
        assert!(!graphs[0].nodes.iter().any(|node| node.name.starts_with("ovs-")), "{graphs:?}");
    }
}

#[test]
fn a_bridge_whose_process_says_nothing_stands_out() {
    let graphs = made(&vswitch("netdev", "silent"));
    for bridge in ["br0", "int"] {
        let node = node(&graphs[0], bridge);
        assert_eq!(
            (node.level, &node.said),
            (Level::Critical, &graph::Said::Word("silent".to_owned(), Role::Level(Level::Critical)))
        );
    }
}

#[test]
fn a_peer_with_the_number_of_a_router_is_that_router() {
    let mut fake = host(&["name=eth0 kind=ethernet"]);
    add(&mut fake, OspfNeighborRow::TABLE, &["interface=eth0 router_id=10.0.0.9 version=3 address=fe80::9 state=Full"]);
    add(&mut fake, AddressRow::TABLE, &["interface=eth0 address=192.0.2.250 prefix=24 scope=global state=usable"]);
    let peers =
        ["peer=192.0.2.1 router_id=10.0.0.9 state=Established", "peer=192.0.2.2 router_id=10.0.0.8 state=Active"];
    add(&mut fake, BgpPeerRow::TABLE, &peers);
    let graphs = made(&fake);
    assert_eq!(edges(&graphs[0]), ["192.0.2.250 eth0", "eth0 10.0.0.9", "eth0 192.0.2.2"]);
    assert_eq!(node(&graphs[0], "10.0.0.9").about, "OSPF, BGP");
}
