//! Sockets that are given whole packets: `ss -0` and `/proc/net/packet`.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip};
use super::{file, said};

/// A socket for packets of a protocol on an interface.
fn listen(kind: libc::c_int, protocol: u16, index: i32) -> OwnedFd {
    // SAFETY: the descriptor is new and nobody else's
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, i32::from(protocol.to_be()));
        assert!(fd >= 0, "this test needs root");
        OwnedFd::from_raw_fd(fd)
    };
    if index != 0 {
        // SAFETY: all zeros is such an address
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = index;
        let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the address is as long as is said
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
        assert_eq!(bound, 0);
    }
    socket
}

/// A word of `skmem:(r0,rb212992,...)`.
fn memory(line: &str, name: &str) -> f64 {
    let words = line.split_once("skmem:(").unwrap().1.split(')').next().unwrap();
    let is_digits = |rest: &&str| rest.bytes().all(|byte| byte.is_ascii_digit());
    let value = words.split(',').find_map(|word| word.strip_prefix(name).filter(is_digits));
    value.unwrap_or_else(|| panic!("{name}: {line}")).parse().unwrap()
}

fn packet_facts() -> Facts {
    let mut facts = Facts::default();
    let kernel = file("/proc/thread-self/net/packet");
    for line in said("ss", &["-0", "-n", "-e", "-m", "-p", "-a", "-H", "-O"]).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |start: &str| words.iter().find_map(|word| word.strip_prefix(start));
        let key = word("ino:").unwrap();
        let (protocol, interface) = words[4].rsplit_once(':').unwrap();
        let protocol = match protocol.trim_matches(['[', ']']) {
            "*" => Some("all"),
            "2054" => Some("arp"),
            "0" => None,
            other => panic!("{other}"),
        };
        facts.text(key, "kind", if words[0] == "p_raw" { "raw" } else { "dgram" });
        for (column, value) in [("protocol", protocol), ("interface", Some(interface).filter(|name| *name != "*"))] {
            match value {
                Some(value) => facts.text(key, column, value),
                None => facts.missing(key, column),
            }
        }
        facts.number(key, "cookie", u64::from_str_radix(word("sk:").unwrap(), 16).unwrap() as f64);
        facts.number(key, "pid", f64::from(std::process::id()));
        facts.text(key, "process", file("/proc/self/comm").trim_end());
        facts.number(key, "holders", 1.0);
        facts.number(key, "inode", key.parse().unwrap());
        facts.number(key, "waiting", memory(line, "r"));
        facts.number(key, "buffer", memory(line, "rb"));
        facts.number(key, "drops", memory(line, "d"));
        facts.number(key, "fill", memory(line, "r") / memory(line, "rb"));
        facts.missing(key, "fanout");
        facts.missing(key, "ring");
        // ss leaves out the user 0
        let told = kernel.lines().find(|line| line.split_whitespace().last() == Some(key)).unwrap();
        facts.number(key, "uid", told.split_whitespace().nth(7).unwrap().parse().unwrap());
    }
    facts
}

#[test]
fn root_packet_sockets_and_their_programs_are_what_ss_says() {
    in_own_network(|| {
        let all = listen(libc::SOCK_RAW, libc::ETH_P_ALL as u16, 1);
        let arp = listen(libc::SOCK_DGRAM, libc::ETH_P_ARP as u16, 0);
        let none = listen(libc::SOCK_RAW, 0, 0);
        let size: libc::c_int = 4096;
        // SAFETY: the value is as long as is said
        let set = unsafe {
            let value = (&raw const size).cast();
            libc::setsockopt(all.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, size_of::<libc::c_int>() as u32)
        };
        assert_eq!(set, 0);
        // more than that has room
        ip("addr add 127.0.0.9/8 dev lo");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..40 {
            socket.send_to(&[0; 900], "127.0.0.1:9").unwrap();
        }
        let mut table = Parity::of("packet_socket", &["inode"]).wanting(&[], &[]);
        table.agrees(packet_facts);
        table.left_out(&["netns"]);
        let rows = table.rows();
        let at = |column: &str| rows.table().position(column).unwrap();
        assert_eq!(rows.len(), 3);
        assert!((0..3).any(|row| rows.cell(row, at("drops")).number() > Some(0.0)), "nothing was dropped");
        drop((all, arp, none));
    });
}
