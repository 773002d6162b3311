//! What the daemons of FRR answer is understood. The answers of version 8.4 were recorded; those of others are made key by key
//! from the sources of the daemons.

use super::*;
use crate::source::routing::ospf::MOST;
use crate::source::routing::peer::BgpState;

const AT: Timestamp = Timestamp(1_000_000_000_000);

fn answer(version: &str, name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/routing/{version}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn ospf(version: &str) -> Told {
    let answers = ["ospf-neighbor.json", "ospf-interface.json", "ospf.json"].map(|name| answer(version, name));
    read(answers.each_ref().map(Vec::as_slice), AT).unwrap()
}

fn ospf6(version: &str) -> Told {
    let names = ["ospf6-neighbor.json", "ospf6-neighbor-detail.json", "ospf6-interface.json", "ospf6.json"];
    read6(names.map(|name| answer(version, name)).each_ref().map(Vec::as_slice), AT).unwrap()
}

fn neighbor<'a>(told: &'a Told, address: &str) -> &'a Neighbor {
    let address = address.parse().ok();
    told.neighbors.kept().iter().find(|neighbor| neighbor.address == address).unwrap()
}

fn interfaces<'a>(told: &'a Told, name: &str) -> Vec<&'a Interface> {
    told.interfaces.kept().iter().filter(|interface| interface.name.as_str() == name).collect()
}

fn area<'a>(told: &'a Told, id: &str) -> &'a Area {
    told.areas.kept().iter().find(|area| area.id.as_str() == id).unwrap()
}

#[test]
fn an_answer_ends_with_three_zeros_and_a_status() {
    assert_eq!(end(b"", 0), None);
    assert_eq!(end(b"{}\n\0\0\0", 0), None);
    assert_eq!(end(b"{}\n\0\0\0\0", 0), Some(7));
    assert_eq!(end(b"\0\0\0\x02", 0), Some(4));
    // the mark comes in two parts
    assert_eq!(end(b"{}\0\0\0\x01", 4), Some(6));
    assert_eq!(end(b"{}\0\0\0\x01", 5), Some(6));
    // what follows is not of this answer
    assert_eq!(end(b"a\0\0\0\0b\0\0\0\0", 0), Some(5));
}

#[test]
fn a_recorded_daemon_is_understood() {
    let told = ospf("frr-8.4");
    assert_eq!(version_in(&answer("frr-8.4", "version.txt")).as_deref(), Some("FRRouting 8.4.4"));
    let one = neighbor(&told, "10.0.23.3");
    assert_eq!(one.place, Place { instance: None, vrf: Some(Text::from("default")), version: 2 });
    assert_eq!((one.router, one.interface.as_str()), ("10.9.9.3".parse().ok(), "to3"));
    assert_eq!((one.state, one.role), (NeighborState::Full, Some(Role::Backup)));
    assert_eq!((one.area.as_deref(), one.local), (Some("0.0.0.1"), "10.0.23.2".parse().ok()));
    assert_eq!((one.priority, one.changes), (Some(1), Some(10)));
    assert_eq!((one.age, one.regressed), (Some(millis(7488)), Some(millis(8434))));
    assert_eq!(one.reason.as_deref(), Some("1-WayReceived"));
    assert_eq!((one.retransmissions, one.requests, one.summaries, one.bfd), (Some(0), Some(0), Some(0), None));
    let [lo] = interfaces(&told, "lo")[..] else { panic!("one") };
    assert_eq!((lo.state, lo.passive, lo.prefix), (InterfaceState::Loopback, Some(true), Some(32)));
    let [to1] = interfaces(&told, "to1")[..] else { panic!("one") };
    assert_eq!((to1.state, to1.passive, to1.network), (InterfaceState::Dr, Some(false), Some(NetworkType::Broadcast)));
    assert_eq!((to1.dr, to1.backup), ("10.9.9.2".parse().ok(), "10.9.9.1".parse().ok()));
    assert_eq!(
        (to1.hello, to1.dead, to1.neighbors, to1.adjacent),
        (Some(millis(1000)), Some(millis(4000)), Some(1), Some(1))
    );
    let backbone = area(&told, "0.0.0.0");
    assert_eq!((backbone.kind, backbone.abr, backbone.asbr), (Some(AreaKind::Normal), Some(true), Some(false)));
    assert_eq!((backbone.lsas, backbone.router_lsas, backbone.network_lsas), (Some(10), Some(5), Some(3)));
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

#[test]
fn newer_versions_tell_the_same_under_other_keys() {
    let (old, new) = (ospf("frr-8.4"), ospf("made-frr-10.7"));
    assert_eq!((new.neighbors, new.interfaces, new.areas), (old.neighbors.clone(), old.interfaces, old.areas));
    let between = ospf("made-frr-9.1");
    assert_eq!(between.neighbors, old.neighbors);
    // each address of an interface by itself
    let [one, two] = interfaces(&between, "to3")[..] else { panic!("two") };
    assert_eq!((one.address, one.cost, one.neighbors), ("10.0.23.2".parse().ok(), Some(10), Some(1)));
    assert_eq!((two.address, two.cost, two.neighbors), ("10.0.33.2".parse().ok(), Some(33), Some(0)));
    assert_eq!((two.dr, two.backup), (None, None));
}

#[test]
fn version_7_tells_roles_by_addresses() {
    let told = ospf("made-frr-7.5");
    assert_eq!(version_in(&answer("made-frr-7.5", "version.txt")).as_deref(), Some("FRRouting 7.5.1"));
    let backup = neighbor(&told, "10.0.12.1");
    assert_eq!(
        (backup.state, backup.role, backup.bfd),
        (NeighborState::Full, Some(Role::Backup), Some(BfdState::Down))
    );
    assert_eq!((backup.retransmissions, backup.requests, backup.summaries), (Some(1), Some(2), Some(3)));
    assert_eq!((backup.dead, backup.reason.as_deref()), (Some(millis(38_038)), Some("SeqNumberMismatch")));
    let attempt = neighbor(&told, "10.0.25.9");
    assert_eq!((attempt.state, attempt.router, attempt.dead), (NeighborState::Attempt, None, None));
    assert_eq!((attempt.role, attempt.area.as_deref()), (Some(Role::DrOther), Some("0.0.0.2")));
    let blue = neighbor(&told, "10.0.23.3");
    assert_eq!((blue.place.vrf.as_deref(), blue.state), (Some("blue"), NeighborState::ExStart));
    assert_eq!((blue.role, blue.local), (Some(Role::PointToPoint), "10.0.23.2".parse().ok()));
    let [to1] = interfaces(&told, "to1")[..] else { panic!("one") };
    assert_eq!((to1.dr, to1.backup), (None, None), "which of the two it is is not told");
    let [down] = interfaces(&told, "to6")[..] else { panic!("one") };
    assert_eq!((down.state, down.passive, down.cost), (InterfaceState::Down, None, None));
    let kinds = ["0.0.0.0", "0.0.0.2", "0.0.0.3"].map(|id| area(&told, id).kind);
    assert_eq!(kinds, [AreaKind::Normal, AreaKind::Stub, AreaKind::Nssa].map(Some));
    let backbone = area(&told, "0.0.0.0");
    assert_eq!((backbone.abr, backbone.asbr, backbone.external_lsas), (Some(true), Some(true), Some(7)));
    assert_eq!((backbone.summary_lsas, backbone.asbr_summary_lsas, backbone.opaque_lsas), (Some(3), Some(2), Some(1)));
    assert_eq!((backbone.spf_runs, backbone.spf_age), (Some(12), Some(millis(42_926))));
}

#[test]
fn version_3_is_put_together_from_both_lists() {
    for (version, local) in [("frr-8.4", "fe80::cb2:40ff:febf:a952"), ("made-frr-10.7", "fe80::3")] {
        let told = ospf6(version);
        let one = told.neighbors.kept().iter().find(|neighbor| neighbor.interface.as_str() == "to3").unwrap();
        assert_eq!((one.router, one.local), ("10.9.9.3".parse().ok(), local.parse().ok()));
        assert_eq!((one.address, one.area.as_deref()), ("fe80::a47a:6cff:feb5:a5b2".parse().ok(), Some("0.0.0.1")));
        assert_eq!((one.state, one.role, one.priority), (NeighborState::Full, Some(Role::Dr), Some(1)));
        assert_eq!(one.dead.map(|left| left.as_secs()), Some(3));
        assert!(one.age.is_some_and(|age| age.as_secs() > 60), "{:?}", one.age);
        assert!(interfaces(&told, "lo").is_empty());
        let [to3] = interfaces(&told, "to3")[..] else { panic!("one") };
        assert_eq!((to3.state, to3.neighbors, to3.adjacent), (InterfaceState::Backup, Some(1), Some(1)));
        assert_eq!((to3.dr, to3.backup), ("10.9.9.3".parse().ok(), "10.9.9.2".parse().ok()));
        let other = area(&told, "0.0.0.1");
        assert_eq!((other.lsas, other.router_lsas, other.network_lsas), (Some(12), Some(2), Some(1)));
        assert_eq!((other.summary_lsas, other.prefix_lsas, other.router), (Some(8), Some(1), "10.9.9.2".parse().ok()));
    }
}

#[test]
fn a_daemon_that_is_not_configured_tells_nothing() {
    let nothing = Told::new(AT);
    for words in ["", "\n", "{\n}\n\n", "% OSPF instance not found\n", "%% OSPF is not enabled in vrf blue\n"] {
        assert_eq!(read([words.as_bytes(); 3], AT).unwrap(), nothing, "{words}");
        assert_eq!(read6([words.as_bytes(); 4], AT).unwrap(), nothing, "{words}");
    }
    assert!(read([b"Neighbor ID", b"", b""], AT).is_err());
    assert!(read([b"{\"default\":{", b"", b""], AT).is_err());
}

#[test]
fn more_neighbors_than_any_router_has_are_counted() {
    let one = r#"{"ifaceAddress":"10.0.0.1","ifaceName":"eth0:1:10.0.0.9","state":"Full/-","address":"10.0.0.2"}"#;
    let many = vec![one; MOST + 3].join(",");
    let told = read([format!("{{\"neighbors\":{{\"1.1.1.1\":[{many}]}}}}").as_bytes(), b"", b""], AT).unwrap();
    assert_eq!((told.neighbors.kept().len(), told.neighbors.left_out()), (MOST, 3));
    let first = &told.neighbors.kept()[0];
    assert_eq!((first.interface.as_str(), first.local), ("eth0:1", "10.0.0.9".parse().ok()), "of the short list");
    assert_eq!((first.place.vrf.as_deref(), first.address), (None, "10.0.0.1".parse().ok()));
}

#[test]
fn very_many_peers_of_bgp_are_understood() {
    const MANY: usize = 2400;
    let one = String::from_utf8(answer("frr-8.4", "bgp-neighbors.json")).unwrap();
    // the first one, without the spaces in which a long answer would have no room
    let begin = one.find("\"10.0.12.2\":{").unwrap();
    let end = one[begin..].find("\n  },").unwrap() + begin;
    let peer = one[begin..end].lines().map(str::trim).collect::<String>().replacen("\"10.0.12.2\":", "", 1);
    let peers: Vec<String> =
        (0..MANY).map(|number| format!("\"10.{}.{}.2\":{peer}}}", number / 250, number % 250)).collect();
    let all = format!("{{\"default\":{{\"vrfId\":0,\"vrfName\":\"default\",{}}}}}", peers.join(","));
    assert!(all.len() < 8 << 20, "{}", all.len());
    let told = read_bgp(all.as_bytes(), AT).unwrap();
    let last = told.bgp.kept().last().unwrap();
    assert_eq!((told.bgp.kept().len(), last.name.as_deref(), last.accepted), (MANY, Some("r2"), Some(1)));
}

#[test]
fn an_area_that_is_configured_as_a_number_is_written_as_an_address() {
    let names = ["ospf6-neighbor.json", "ospf6-neighbor-detail.json", "ospf6-interface.json", "ospf6.json"];
    let [short, long, interfaces, areas] = names.map(|name| answer("frr-8.4", name));
    // interfaces have addresses all the same
    let [long, areas] = [long, areas].map(|answer| {
        let plain = String::from_utf8(answer).unwrap();
        let plain = plain.replace("\"0.0.0.0\":", "\"0\":").replace("\"0.0.0.1\":", "\"1\":");
        plain.replace("\"area\":\"0.0.0.0\"", "\"area\":\"0\"").replace("\"area\":\"0.0.0.1\"", "\"area\":\"1\"")
    });
    assert!(long.contains("\"area\":\"1\"") && areas.contains("\"1\":{"), "{long} {areas}");
    let plain = read6([&short, long.as_bytes(), &interfaces, areas.as_bytes()], AT).unwrap();
    assert_eq!(plain, ospf6("frr-8.4"));
    let links = |router: Vec<u8>| read6_database([&router, &answer("frr-8.4", "ospf6-database-network.json")]).unwrap();
    let router = answer("frr-8.4", "ospf6-database-router.json");
    let plain = String::from_utf8(router.clone()).unwrap().replace("\"areaId\":\"0.0.0.0\"", "\"areaId\":\"0\"");
    assert_eq!(links(plain.into_bytes()).done(), links(router).done());
}

#[test]
fn sessions_of_bgp_are_understood() {
    let told = read_bgp(&answer("frr-8.4", "bgp-neighbors.json"), AT).unwrap();
    let seen: Vec<_> =
        told.bgp.kept().iter().map(|peer| (peer.peer.as_str(), peer.state, peer.accepted, peer.sent)).collect();
    let established = Some(BgpState::Established);
    assert_eq!(
        seen,
        [
            ("10.0.12.2", established, Some(1), Some(4)),
            ("10.0.15.5", established, Some(2), Some(4)),
            ("10.0.99.9", Some(BgpState::Active), Some(0), None),
            ("2001:db8:12::2", established, Some(1), Some(4)),
        ]
    );
    let [one, _, nobody, six] = told.bgp.kept() else { panic!("four") };
    assert_eq!((one.vrf.as_deref(), one.name.as_deref()), (Some("default"), Some("r2")));
    assert_eq!((one.remote_as, one.local_as, one.router), (Some(65_002), Some(65_001), "10.9.9.2".parse().ok()));
    assert_eq!((one.local, one.hold, one.bfd), ("10.0.12.1".parse().ok(), Some(millis(9000)), Some(BfdState::Up)));
    assert_eq!((one.established, one.dropped), (Some(1), Some(0)));
    assert_eq!(one.reason, None, "it was never lost");
    assert!(nobody.reason.is_some());
    assert!(one.since.is_some_and(|since| since.age(AT) > 10.0) && one.received_messages > Some(20));
    assert_eq!((nobody.router, nobody.local, nobody.established), (None, None, Some(0)));
    assert_eq!(six.families.as_deref(), Some("ipv4Unicast ipv6Unicast"));
}

#[test]
fn sessions_of_bfd_are_understood() {
    let answers = ["bfd-peers.json", "bfd-counters.json"].map(|name| answer("frr-8.4", name));
    let told = read_bfd(answers.each_ref().map(Vec::as_slice), AT).unwrap();
    let one = told.bfd.kept().iter().find(|peer| peer.address == "10.0.12.2".parse().ok()).unwrap();
    assert_eq!(
        (one.state, one.interface.as_deref(), one.vrf.as_deref()),
        (Some(BfdState::Up), Some("to2"), Some("default"))
    );
    assert_eq!((one.local, one.multihop), ("10.0.12.1".parse().ok(), Some(false)));
    assert_eq!((one.transmit, one.receive, one.multiplier), (Some(millis(300)), Some(millis(300)), Some(3)));
    assert_eq!((one.ups, one.downs, one.diagnostic.as_deref()), (Some(1), Some(0), Some("ok")));
    assert!(one.received > Some(100) && one.sent > Some(100));
    let down = told.bfd.kept().iter().find(|peer| peer.address == "10.0.15.5".parse().ok()).unwrap();
    assert_eq!((down.state, down.local, down.ups), (Some(BfdState::Down), None, Some(0)));
    assert!(down.since.is_some_and(|since| since.age(AT) > 10.0));
}

#[test]
fn spans_are_read_as_they_are_written() {
    let seconds = |words| span(words).map(|span| span.as_secs_f64());
    assert_eq!((seconds("40s"), seconds("1w2d"), seconds("-")), (Some(40.0), Some(777_600.0), Some(0.0)));
    assert_eq!(
        (seconds("3.210s"), seconds("17 usecs"), seconds("1h02m03s")),
        (Some(3.21), Some(0.000_017), Some(3723.0))
    );
    for bad in ["", "s", "5", "5x", "1.2.3s", "inactive", "-1s", "1 s"] {
        assert_eq!(seconds(bad), None, "{bad}");
    }
    assert_eq!(span(&"9".repeat(400)), None);
    assert_eq!(span(&format!("{}Y", "9".repeat(400))), None);
}

/// Links as words.
fn links(links: crate::source::routing::database::Links) -> Vec<String> {
    let links = links.done();
    let word = |link: &crate::source::routing::database::Link| {
        let metric = link.metric.map_or("-".to_owned(), |metric| metric.to_string());
        format!("{} {} {} {} {metric}", link.area, link.from, link.kind.name(), link.to)
    };
    links.kept().iter().map(word).collect()
}

#[test]
fn links_are_those_of_routers_and_of_networks() {
    let names = ["ospf-database-router.json", "ospf-database-network.json"].map(|name| answer("frr-8.4", name));
    let all = links(read_database(names.each_ref().map(Vec::as_slice)).unwrap());
    let of_first = [
        "0.0.0.0 10.9.9.1 stub 10.9.9.1/32 0",
        "0.0.0.0 10.9.9.1 transit 10.0.12.0/24 10",
        "0.0.0.0 10.9.9.1 point-to-point 10.9.9.4 10",
        "0.0.0.0 10.9.9.1 stub 10.0.14.0/24 10",
        "0.0.0.0 10.9.9.1 transit 10.0.15.0/24 10",
    ];
    assert_eq!(all[..5], of_first);
    let attached = ["0.0.0.0 10.0.34.0/24 attached 10.9.9.3 -", "0.0.0.0 10.0.34.0/24 attached 10.9.9.4 -"];
    assert_eq!(all[all.len() - 2..], attached);
    let names = ["ospf6-database-router.json", "ospf6-database-network.json"].map(|name| answer("frr-8.4", name));
    let all = links(read6_database(names.each_ref().map(Vec::as_slice)).unwrap());
    let of_first = [
        "0.0.0.0 10.9.9.1 transit 10.9.9.2-2 10",
        "0.0.0.0 10.9.9.1 point-to-point 10.9.9.4 10",
        "0.0.0.0 10.9.9.1 transit 10.9.9.5-2 10",
    ];
    assert_eq!(all[..3], of_first);
    assert!(all.contains(&"0.0.0.0 10.9.9.2-2 attached 10.9.9.1 -".to_owned()), "{all:?}");
}

#[test]
fn a_network_that_nobody_tells_of_is_known_by_its_designated_router() {
    let router = answer("frr-8.4", "ospf-database-router.json");
    let all = links(read_database([&router, b"{}"]).unwrap());
    assert_eq!(all[1], "0.0.0.0 10.9.9.1 transit 10.0.12.2 10");
    let twice = br#"{"routerId":"1.1.1.1","vrfName":"a","x":{"vrfName":"a","routerLinkStates":{"areas":{"0.0.0.0":[
        {"advertisingRouter":"1.1.1.1","routerLinks":{
            "link0":{"linkType":"a Virtual Link","neighborRouterId":"2.2.2.2","tos0Metric":7},
            "link1":{"linkType":"a Virtual Link","neighborRouterId":"2.2.2.2","tos0Metric":8},
            "link2":{"linkType":"Stub Network","networkAddress":"10.0.0.0","networkMask":"x"},
            "link3":{"linkType":"Stub Network","networkAddress":"10.0.0.0","networkMask":33}}}]}}}}"#;
    let all = read_database([twice, b""]).unwrap().done();
    let said: Vec<_> = all.kept().iter().map(|link| (link.kind.name(), link.number, link.metric)).collect();
    assert_eq!(said, [("virtual", 0, Some(7)), ("virtual", 1, Some(8))]);
}

#[test]
fn links_are_the_same_in_all_versions() {
    let of = |version: &str, names: [&str; 2]| names.map(|name| answer(version, name));
    let want = [
        "0.0.0.0 10.9.9.1 transit 10.0.12.0/24 10",
        "0.0.0.0 10.9.9.1 point-to-point 10.9.9.4 20",
        "0.0.0.0 10.9.9.1 stub 10.0.14.0/24 20",
        "0.0.0.0 10.9.9.2 transit 10.0.12.0/24 10",
        "0.0.0.0 10.9.9.2 virtual 10.9.9.3 30",
        "0.0.0.0 10.0.12.0/24 attached 10.9.9.1 -",
        "0.0.0.0 10.0.12.0/24 attached 10.9.9.2 -",
    ];
    let old = of("made-frr-7.5", ["ospf-database-router.txt", "ospf-database-network.txt"]);
    let old = old.map(|answer| String::from_utf8(answer).unwrap());
    assert_eq!(links(read_links(old.each_ref().map(String::as_str))), want);
    let [routers, networks] = old.each_ref().map(|answer| answer.replace("VRF Name: default\n", ""));
    let quagga = read_links([&routers, &networks]).done();
    assert!(quagga.kept().len() == want.len() && quagga.kept().iter().all(|link| link.place.vrf.is_none()));
    assert_eq!(read_links([&routers, ""]).done().kept()[0].to.as_str(), "10.0.12.2", "nobody tells of the network");
    for version in ["made-frr-8.0", "made-frr-9.1", "made-frr-10.7"] {
        let two = of(version, ["ospf-database-router.json", "ospf-database-network.json"]);
        assert_eq!(links(read_database(two.each_ref().map(Vec::as_slice)).unwrap()), want, "{version}");
        let three = of(version, ["ospf6-database-router.json", "ospf6-database-network.json"]);
        let all = links(read6_database(three.each_ref().map(Vec::as_slice)).unwrap());
        let of_routers = ["0.0.0.0 10.9.9.1 transit 10.9.9.2-7 10", "0.0.0.0 10.9.9.1 point-to-point 10.9.9.4 20"];
        assert_eq!(all[..2], of_routers, "{version}");
        // version 8.0 does not tell the number of a network
        let attached = ["0.0.0.0 10.9.9.2-7 attached 10.9.9.2 -", "0.0.0.0 10.9.9.2-7 attached 10.9.9.1 -"];
        assert_eq!(all[2..], attached[..if version == "made-frr-8.0" { 0 } else { 2 }], "{version}");
    }
}

#[test]
fn an_answer_that_tells_no_object_is_none() {
    let read = |neighbors: &str| read([neighbors.as_bytes(), b"{}", b"{}"], Timestamp(0));
    for answer in ["[1,2,3]", "\"x\"", "7", "null", "{} true"] {
        let refused = read(answer).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidData, "{answer}");
    }
    for answer in ["", "{}", "[]", "[{}]", "% OSPF is not running"] {
        assert_eq!(read(answer).unwrap().neighbors.kept(), [], "{answer}");
    }
}

#[test]
fn routers_say_in_their_lsas_what_they_are() {
    let roles = |links: crate::source::routing::database::Links| {
        let links = links.done();
        let said = links.kept().iter().filter_map(|link| Some((link.from.to_string(), link.roles?)));
        let said = said.map(|(from, roles)| format!("{from} {} {}", u8::from(roles.abr), u8::from(roles.asbr)));
        said.collect::<std::collections::BTreeSet<String>>().into_iter().collect::<Vec<String>>()
    };
    let want = ["10.9.9.1 0 0", "10.9.9.2 1 1", "10.9.9.3 1 0", "10.9.9.4 0 0", "10.9.9.5 0 0"];
    let router = String::from_utf8(answer("frr-8.4", "ospf-database-router.json")).unwrap();
    let router = router.replacen("\"flags\": 1", "\"flags\": 3", 1);
    let network = answer("frr-8.4", "ospf-database-network.json");
    assert_eq!(roles(read_database([router.as_bytes(), &network]).unwrap()), want);
    let router = String::from_utf8(answer("frr-8.4", "ospf6-database-router.json")).unwrap();
    let router = router.replacen("-------B", "------EB", 1);
    let network = answer("frr-8.4", "ospf6-database-network.json");
    assert_eq!(roles(read6_database([router.as_bytes(), &network]).unwrap())[..2], want[..2]);
    let router = String::from_utf8(answer("made-frr-7.5", "ospf-database-router.txt")).unwrap();
    let router = router.replacen("Flags: 0x5 : ABR", "Flags: 0x7 : ABR ASBR", 1);
    let network = String::from_utf8(answer("made-frr-7.5", "ospf-database-network.txt")).unwrap();
    assert_eq!(roles(read_links([&router, &network])), want[..2]);
}

#[test]
fn who_tells_nothing_says_why_as_far_as_it_does() {
    let said = |status, answer: &str| excuse(status, answer.as_bytes()).map(|words| words.to_string());
    assert_eq!(said(0, "{}"), None);
    assert_eq!(said(0, "% OSPF is not enabled\nmore"), Some("OSPF is not enabled".to_owned()));
    assert_eq!(said(1, "%% OSPF instance not found"), Some("% OSPF instance not found".to_owned()));
    assert_eq!(said(1, "{}"), Some("it answers with status 1".to_owned()));
    assert_eq!(said(0, &format!("% {}", "x".repeat(9000))).unwrap().len(), EXCUSE);
}

#[test]
fn peers_of_bgp_have_the_names_that_people_gave_them() {
    let answer = String::from_utf8(answer("frr-8.4", "bgp-neighbors.json")).unwrap();
    let named = answer.replacen("\"hostname\"", "\"nbrDesc\":\"Zurich uplink\",\"hostname\"", 1);
    let of = |answer: &str| read_bgp(answer.as_bytes(), AT).unwrap().bgp.kept()[0].description.clone();
    assert_eq!((of(&answer), of(&named).as_deref()), (None, Some("Zurich uplink")));
}
