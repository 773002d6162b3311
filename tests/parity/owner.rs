//! Whose is an address? What `ip`, `bridge` and `ovs-vsctl` say of taps, and whose connections follow from that.
//!
//! A boot sector has no network: the tap of a guest is open here, too, and what is written there the guest has sent.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd as _;

use netglance::model::{Text, Value};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::thread::UnshareFlags;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::support::qemu::{Guest, Work};
use super::support::ring::wait_until;
use super::support::space::within;
use super::support::vswitch::{Vswitch, vsctl};
use super::{said, said_json};

/// `include/uapi/linux/if_tun.h`
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;

/// A tap that a guest may have, too.
struct Tap(File);

impl Tap {
    fn open(name: &str) -> Self {
        let tap = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request = name.as_bytes().to_vec();
        request.resize(libc::IFNAMSIZ, 0);
        request.extend((IFF_TAP | IFF_NO_PI).to_ne_bytes());
        request.resize(size_of::<libc::ifreq>(), 0);
        // SAFETY: the structure is as large as the request says, and the kernel keeps no address of it.
        assert_eq!(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) }, 0);
        ip(&format!("link set {name} up"));
        Self(tap)
    }

    /// Says whether programs that are started from here have it.
    fn hand_on(&self, is_handed_on: bool) {
        let flags = if is_handed_on { FdFlags::empty() } else { FdFlags::CLOEXEC };
        fcntl_setfd(&self.0, flags).unwrap();
    }

    /// A guest with this card asks who has an address.
    fn asks(&self, card: [u8; 6], own: [u8; 4], who: [u8; 4]) {
        let head = [&[0xff; 6][..], &card, &[8, 6]].concat();
        let question = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &card, &own, &[0; 6], &who].concat();
        (&self.0).write_all(&[head, question].concat()).unwrap();
    }
}

fn guest(dir: &std::path::Path, name: &str, tap: &Tap) -> Guest {
    let net = format!("tap,id=n,fd={}", tap.0.as_raw_fd());
    tap.hand_on(true);
    let args = ["-name", name, "-m", "16", "-device", "e1000,netdev=n", "-netdev", &net];
    let guest = Guest::boot(dir, name, Work::Halt, &args);
    tap.hand_on(false);
    guest
}

fn neighbors() -> Vec<(String, String, IpAddr)> {
    let all = said_json("ip", &["-j", "neigh", "show"]);
    let word = |entry: &serde_json::Value, key: &str| entry[key].as_str().map(str::to_owned);
    let one = |entry: &serde_json::Value| {
        Some((word(entry, "dev")?, word(entry, "lladdr")?, word(entry, "dst")?.parse().unwrap()))
    };
    list(&all).iter().filter_map(one).collect()
}

/// Cards and addresses behind the taps of guests.
fn nics(taps: &[(&str, &str)]) -> Facts {
    let mut facts = Facts::default();
    let (forwarded, neighbors) = (said_json("bridge", &["-j", "fdb", "show"]), neighbors());
    for (guest, tap) in taps {
        let row = &format!("{guest} {tap}");
        let learned = list(&forwarded).iter().filter(|entry| entry["ifname"] == *tap && entry["state"] != "permanent");
        let learned: Vec<_> = learned.map(|entry| entry["mac"].as_str().unwrap().to_owned()).collect();
        let routed = neighbors.iter().filter(|(dev, ..)| dev == tap).map(|(_, mac, _)| mac.clone());
        let cards: BTreeSet<String> = learned.into_iter().chain(routed).collect();
        let own = neighbors.iter().filter(|(dev, mac, _)| dev == tap || cards.contains(mac));
        let own: BTreeSet<IpAddr> = own.map(|(.., address)| *address).collect();
        match cards.first() {
            Some(card) => facts.text(row, "mac", card),
            None => facts.missing(row, "mac"),
        }
        let own: Vec<String> = own.iter().map(IpAddr::to_string).collect();
        if own.is_empty() { facts.missing(row, "addresses") } else { facts.text(row, "addresses", &own.join(", ")) }
    }
    facts
}

const WEB: [u8; 6] = [0x52, 0x54, 0, 0, 0, 5];
const DB: [u8; 6] = [0x52, 0x54, 0, 0, 0, 7];

/// Two guests, `web` in a bridge and `db` behind a tap of its own, that have said who they are; `mute` has not.
fn guests(dir: &std::path::Path) -> [(Tap, Guest); 3] {
    ip("link add br0 type bridge");
    ip("address add 10.9.0.1/24 dev br0");
    ip("link set br0 up");
    let all = [("tap-web", "web"), ("tap-db", "db"), ("tap-mute", "mute")].map(|(tap, name)| {
        let tap = Tap::open(tap);
        let guest = guest(dir, name, &tap);
        (tap, guest)
    });
    for tap in ["tap-web", "tap-mute"] {
        ip(&format!("link set {tap} master br0"));
    }
    ip("address add 10.9.1.1/24 dev tap-db");
    ip("neigh add 2001:db8::5 lladdr 52:54:00:00:00:05 dev br0");
    ip("neigh add 10.9.0.99 lladdr 52:54:00:00:00:99 dev br0");
    let knows = |address: Ipv4Addr| neighbors().iter().any(|(.., known)| *known == IpAddr::V4(address));
    wait_until("the guest in the bridge", || {
        all[0].0.asks(WEB, [10, 9, 0, 5], [10, 9, 0, 1]);
        knows(Ipv4Addr::new(10, 9, 0, 5))
    });
    wait_until("the guest behind its own tap", || {
        all[1].0.asks(DB, [10, 9, 1, 7], [10, 9, 1, 1]);
        knows(Ipv4Addr::new(10, 9, 1, 7))
    });
    all
}

fn tracked(source: &str, destination: &str, more: &str) {
    let line = format!("-I -p udp -s {source} -d {destination} --sport 4000 --dport 53 -t 300 {more}");
    said("conntrack", &line.split_whitespace().collect::<Vec<_>>());
}

/// Groups of those connections.
fn groups() {
    for (by, counts) in [
        ("vm", &[("web", Some("web"), 3.0), ("db", Some("db"), 2.0)][..]),
        ("source", &[("10.9.0.5", Some("web"), 2.0), ("2001:db8::5", Some("web"), 1.0), ("198.51.100.2", None, 1.0)]),
        ("destination", &[("10.9.1.7", Some("db"), 2.0), ("192.0.2.1", None, 1.0)]),
    ] {
        let groups = Parity::of("conntrack_group", &["value"]).wanting(&[], &[Value::Text(Text::from(by))]);
        groups.asking().agrees(|| {
            let mut facts = Facts::default();
            for (value, vm, flows) in counts {
                facts.number(value, "flows", *flows);
                match vm {
                    Some(vm) => facts.text(value, "vm", vm),
                    None => facts.missing(value, "vm"),
                }
            }
            facts
        });
    }
}

#[test]
fn root_cards_addresses_and_connections_are_those_of_the_guest_that_has_spoken() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let _guests = guests(dir.path());
        let taps = [("web", "tap-web"), ("db", "tap-db"), ("mute", "tap-mute")];
        Parity::of("vm_nic", &["guest", "tap"]).agrees(|| nics(&taps));

        said("nft", &["add table inet t; add chain inet t c { type filter hook output priority 0; }"]);
        said("nft", &["add rule inet t c ct state invalid counter"]);
        for (source, destination, more) in [
            ("10.9.0.5", "198.51.100.1", ""),
            ("198.51.100.2", "10.9.1.7", ""),
            ("10.9.0.5", "10.9.1.7", ""),
            ("198.51.100.3", "192.0.2.1", "--dst-nat 10.9.1.7"),
            ("198.51.100.4", "10.9.0.99", ""),
            ("2001:db8::5", "2001:db8:1::1", ""),
        ] {
            tracked(source, destination, more);
        }
        let whose = |facts: &mut Facts, flow: &str, guests: [Option<&str>; 2]| {
            for (column, guest) in ["vm", "reply_vm"].into_iter().zip(guests) {
                match guest {
                    Some(guest) => facts.text(flow, column, guest),
                    None => facts.missing(flow, column),
                }
            }
        };
        let mut table = Parity::of("conntrack_flow", &["source", "destination"]).wanting(&[], &[]).asking();
        table.agrees(|| {
            let mut facts = Facts::default();
            whose(&mut facts, "10.9.0.5 198.51.100.1", [Some("web"), None]);
            whose(&mut facts, "198.51.100.2 10.9.1.7", [Some("db"), None]);
            whose(&mut facts, "10.9.0.5 10.9.1.7", [Some("web"), Some("db")]);
            whose(&mut facts, "198.51.100.3 192.0.2.1", [Some("db"), None]);
            whose(&mut facts, "198.51.100.4 10.9.0.99", [None, None]);
            whose(&mut facts, "2001:db8::5 2001:db8:1::1", [Some("web"), None]);
            facts
        });
        let flows = |filter| Parity::of("conntrack_flow", &["destination"]).only(filter).asking().keys();
        assert_eq!(
            flows("vm == \"web\"").into_iter().collect::<Vec<_>>(),
            ["10.9.1.7", "198.51.100.1", "2001:db8:1::1"]
        );
        groups();
    });
}

#[test]
fn root_the_bridge_of_a_tap_in_open_vswitch_is_the_one_that_its_database_says() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let _vswitch = Vswitch::bare();
        let (tap, plain) = (Tap::open("tap-o"), Tap::open("tap-p"));
        let _guests = [guest(dir.path(), "one", &tap), guest(dir.path(), "two", &plain)];
        vsctl("add-br ovs0 -- set bridge ovs0 datapath_type=netdev");
        vsctl("add-port ovs0 tap-o tag=7");
        Parity::of("vm_nic", &["guest", "tap"]).asking().agrees(|| {
            let mut facts = Facts::default();
            facts.text("one tap-o", "bridge", vsctl("port-to-br tap-o").trim());
            facts.number("one tap-o", "vlan", vsctl("get port tap-o tag").trim().parse().unwrap());
            for column in ["bridge", "vlan"] {
                facts.missing("two tap-p", column);
            }
            facts
        });
    });
}
