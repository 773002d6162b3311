use super::*;
use crate::source::netlink::testing::{in_own_network, ip, ip_batch};

fn sys() -> Root {
    // the files of /sys belong to the network of the process that mounted them
    Root::new("/nonexistent")
}

fn named<'a>(rows: &'a [LinkRow], name: &str) -> &'a LinkRow {
    rows.iter().find(|row| &*row.name == name).unwrap_or_else(|| panic!("{name} is missing"))
}

#[test]
fn root_an_interface_counts_exactly_the_bytes_it_carried() {
    in_own_network(|| {
        ip("link add left type veth peer name right");
        for line in ["left addrgenmode none", "right addrgenmode none", "left up", "right up", "right arp off"] {
            ip(&format!("link set {line}"));
        }
        ip("addr add 10.9.0.1/24 dev left");
        ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev left");
        let mut live = Live::open().unwrap();
        let before = live.sample(&netns::host(), Some(&sys())).unwrap();
        let socket = std::net::UdpSocket::bind("10.9.0.1:0").unwrap();
        for _ in 0..100 {
            socket.send_to(&[0; 500], "10.9.0.2:9").unwrap();
        }
        let after = live.sample(&netns::host(), Some(&sys())).unwrap();
        // Ethernet, IPv4 and UDP headers
        let carried = 100 * (14 + 20 + 8 + 500);
        assert_eq!(named(&after, "left").tx_bytes - named(&before, "left").tx_bytes, carried);
        assert_eq!(named(&after, "left").tx_packets - named(&before, "left").tx_packets, 100);
        assert_eq!(named(&after, "left").rx_bytes, named(&before, "left").rx_bytes);
        assert_eq!(named(&after, "left").state, LinkState::Up);
    });
}

#[test]
fn root_a_recreated_interface_is_another_row_and_a_renamed_one_the_same() {
    in_own_network(|| {
        let mut live = Live::open().unwrap();
        ip("link add first type bridge");
        let old = named(&live.sample(&netns::host(), Some(&sys())).unwrap(), "first").index;
        ip("link del first");
        ip("link add first type bridge");
        let rows = live.sample(&netns::host(), Some(&sys())).unwrap();
        let new = named(&rows, "first").index;
        assert_ne!(old, new);
        assert!(!rows.iter().any(|row| row.index == old));
        ip("link set first name second");
        let rows = live.sample(&netns::host(), Some(&sys())).unwrap();
        assert_eq!(named(&rows, "second").index, new);
        assert!(!rows.iter().any(|row| &*row.name == "first"));
    });
}

#[test]
fn root_attributes_follow_the_kernel_without_another_dump() {
    in_own_network(|| {
        let mut live = Live::open().unwrap();
        ip("link add br0 type bridge");
        ip("link add port type veth peer name other");
        live.sample(&netns::host(), Some(&sys())).unwrap();
        ip("link set port master br0 alias uplink mtu 1400 address 02:00:00:00:00:2a");
        let rows = live.sample(&netns::host(), Some(&sys())).unwrap();
        let port = named(&rows, "port");
        assert!(!live.stale);
        assert_eq!((port.master.as_deref(), port.alias.as_deref()), (Some("br0"), Some("uplink")));
        assert_eq!((port.mtu, port.kind.as_deref(), port.state), (Some(1400), Some("veth"), LinkState::Disabled));
        assert_eq!(port.mac, "02:00:00:00:00:2a".parse().ok());
        ip("link set port nomaster");
        assert_eq!(named(&live.sample(&netns::host(), Some(&sys())).unwrap(), "port").master, None);
    });
}

#[test]
fn root_lost_notifications_lead_to_a_full_dump() {
    in_own_network(|| {
        let mut live = Live::open().unwrap();
        live.sample(&netns::host(), Some(&sys())).unwrap();
        live.news = Socket::subscribe_with(Family::Route, &[route::GROUP_LINK], 1).unwrap();
        ip_batch((0..200).map(|i| format!("link add tap{i} type bridge")));
        let rows = live.sample(&netns::host(), Some(&sys())).unwrap();
        assert_eq!(rows.iter().filter(|row| row.name.starts_with("tap")).count(), 200);
        ip_batch((0..200).map(|i| format!("link del tap{i}")));
        assert_eq!(live.sample(&netns::host(), Some(&sys())).unwrap().len(), 1);
    });
}

#[test]
fn root_five_hundred_interfaces_agree_with_ip() {
    in_own_network(|| {
        ip_batch((0..250).map(|i| format!("link add a{i} type veth peer name b{i}")));
        let mut live = Live::open().unwrap();
        let rows = live.sample(&netns::host(), Some(&sys())).unwrap();
        let truth: serde_json::Value = serde_json::from_str(&ip("-s -j link")).unwrap();
        let truth = truth.as_array().unwrap();
        assert_eq!((rows.len(), truth.len()), (501, 501));
        for (row, link) in rows.iter().zip(truth) {
            assert_eq!(Some(u64::from(row.index)), link["ifindex"].as_u64());
            assert_eq!(Some(&*row.name), link["ifname"].as_str());
            assert_eq!(row.mtu, link["mtu"].as_u64());
            assert_eq!(row.mac.map(|mac| mac.to_string()).as_deref(), link["address"].as_str());
            let (rx, tx) = (&link["stats64"]["rx"], &link["stats64"]["tx"]);
            assert_eq!((Some(row.rx_bytes), Some(row.rx_packets)), (rx["bytes"].as_u64(), rx["packets"].as_u64()));
            assert_eq!((Some(row.tx_bytes), Some(row.tx_packets)), (tx["bytes"].as_u64(), tx["packets"].as_u64()));
        }
        let started = std::time::Instant::now();
        for _ in 0..50 {
            assert_eq!(live.sample(&netns::host(), Some(&sys())).unwrap().len(), 501);
        }
        println!("a sample of 501 interfaces takes {:?}", started.elapsed() / 50);
    });
}

#[test]
fn states_of_the_kernel_become_words() {
    for (flags, operstate, want) in [
        (1, 6, LinkState::Up),
        (1, 2, LinkState::Down),
        (0, 2, LinkState::Disabled),
        (1, 0, LinkState::Unknown),
        (0, 1, LinkState::Absent),
        (1, 200, LinkState::Unknown),
    ] {
        assert_eq!(LinkState::of(flags, operstate), want);
    }
}

#[test]
fn speeds_that_drivers_invent_or_do_not_know_are_missing() {
    let tree = tempfile::tempdir().unwrap();
    for (name, text) in [("eth0", "10000\n"), ("eth1", "-1\n"), ("tap0", "10\n")] {
        let path = tree.path().join("class/net").join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("speed"), text).unwrap();
    }
    let root = Root::new(tree.path());
    assert_eq!(speed(&root, "eth0", None), Some(1_250_000_000));
    assert_eq!(speed(&root, "eth1", None), None);
    assert_eq!(speed(&root, "tap0", Some("tun")), None);
    assert_eq!(speed(&root, "eth9", None), None);
}
