//! Which addresses did a recorded host have?
//!
//! A live one is asked over a socket. Of a recorded one `/proc/net/if_inet6` has all about IPv6; of IPv4 `fib_trie` has the
//! addresses and `route` the networks of the interfaces, so that an address outside of them all has no known interface.
//!
//! Source: `net/ipv6/addrconf.c`, `net/ipv4/fib_trie.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Error;
use super::file::Root;
use super::netlink::route::{Address, IfIndex};
use crate::model::Text;

/// `RT_SCOPE_HOST`
const HOST: u8 = 254;
/// `RT_SCOPE_LINK`
const LINK: u8 = 253;
/// `RT_SCOPE_SITE`
const SITE: u8 = 200;
/// `RTF_REJECT`
const REJECT: u32 = 0x200;

/// Addresses of a recorded host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The addresses, IPv4 first.
    pub addresses: Vec<Address>,
    /// Names of their interfaces.
    pub names: BTreeMap<IfIndex, Text>,
    /// Addresses whose interface the files do not tell.
    pub homeless: Vec<Ipv4Addr>,
}

/// Reads the files.
///
/// # Errors
/// Neither version's list can be read, or a list is damaged.
pub fn recorded(proc: &Root, sys: &Root) -> Result<Recorded, Error> {
    let mut found = Recorded::default();
    let v4 = proc.text("net/fib_trie").and_then(|trie| Ok((trie, proc.text("net/route")?)));
    let v6 = proc.text("net/if_inet6");
    match (v4, &v6) {
        (Ok((trie, routes)), _) => add_v4(&trie, &routes, sys, &mut found),
        (Err(error), Ok(_)) if error.is_absent() => {}
        (Err(error), _) => return Err(error),
    }
    match v6 {
        Ok(text) => {
            for line in text.lines() {
                let malformed = || Error::malformed(proc.join("net/if_inet6"), "six fields are expected");
                let (address, name) = v6_line(line).ok_or_else(malformed)?;
                found.names.insert(address.index, name);
                found.addresses.push(address);
            }
        }
        // a kernel without IPv6
        Err(error) if error.is_absent() => {}
        Err(error) => return Err(error),
    }
    Ok(found)
}

fn add_v4(trie: &str, routes: &str, sys: &Root, found: &mut Recorded) {
    let networks = networks(routes);
    for local in local_addresses(trie) {
        let home = networks.iter().filter(|network| network.has(local)).max_by_key(|network| network.prefix());
        let loopback = Network { name: "lo", address: 0x7f00_0000, mask: 0xff00_0000 };
        let home = home.or_else(|| Some(&loopback).filter(|network| network.has(local)));
        let index = home.and_then(|home| sys.number(format!("class/net/{}/ifindex", home.name)));
        let (Some(home), Some(index)) = (home, index) else {
            found.homeless.push(local);
            continue;
        };
        found.names.insert(IfIndex(index), Text::from(home.name));
        found.addresses.push(Address {
            index: IfIndex(index),
            address: IpAddr::V4(local),
            prefix: home.prefix(),
            peer: None,
            scope: if local.is_loopback() { HOST } else { 0 },
            flags: 0,
            valid: None,
        });
    }
}

/// The addresses of this host in the tree of routes: leaves with `/32 host LOCAL`.
fn local_addresses(trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found = BTreeSet::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf);
        }
    }
    found
}

/// A network that is reached through an interface without a gateway.
struct Network<'a> {
    name: &'a str,
    address: u32,
    mask: u32,
}

impl Network<'_> {
    fn has(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask == self.address
    }

    fn prefix(&self) -> u8 {
        self.mask.leading_ones() as u8
    }
}

fn networks(routes: &str) -> Vec<Network<'_>> {
    routes.lines().skip(1).filter_map(network).collect()
}

/// A line such as `eth0 0001A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0`: each address a number in the byte order of the host.
fn network(line: &str) -> Option<Network<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let name = fields.next()?;
    let mut hex = |skip: usize| u32::from_str_radix(fields.nth(skip)?, 16).ok();
    let (address, gateway, flags, mask) = (hex(0)?, hex(0)?, hex(0)?, hex(3)?);
    let (address, mask) = (u32::from_be_bytes(address.to_ne_bytes()), u32::from_be_bytes(mask.to_ne_bytes()));
    // a default route and a single host are no network that an address could lie in
    let holds = gateway == 0 && flags & REJECT == 0 && mask != 0 && mask != u32::MAX;
    (holds && !name.contains('/')).then_some(Network { name, address, mask })
}

/// A line such as `fe800000000000000000000000000001 02 40 20 80 eth0`.
fn v6_line(line: &str) -> Option<(Address, Text)> {
    let mut fields = line.split_ascii_whitespace();
    let address = u128::from_str_radix(fields.next().filter(|digits| digits.len() == 32)?, 16).ok()?;
    let mut hex = || u32::from_str_radix(fields.next()?, 16).ok();
    let (index, prefix, scope, flags) = (hex()?, hex()?, hex()?, hex()?);
    let address = Address {
        index: IfIndex(index),
        address: IpAddr::V6(Ipv6Addr::from_bits(address)),
        prefix: u8::try_from(prefix).ok().filter(|prefix| *prefix <= 128)?,
        peer: None,
        // the file has `IPV6_ADDR_*`
        scope: match scope {
            0x00 => 0,
            0x10 => HOST,
            0x20 => LINK,
            0x40 => SITE,
            _ => 1,
        },
        flags,
        valid: None,
    };
    Some((address, Text::from(fields.next()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::{Family, Part, Socket, route};
    use proptest::prelude::*;

    #[test]
    fn the_files_of_this_host_say_what_the_kernel_says_over_a_socket() {
        let told = |found: &mut Vec<_>| {
            let mut socket = Socket::open(Family::Route).unwrap();
            let asked = socket.dump(&route::addresses(), |part| {
                match part {
                    Part::Start => found.clear(),
                    Part::Message(message) => found.extend(route::address(message)?),
                }
                Ok(())
            });
            asked.unwrap();
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        told(&mut before);
        let files = recorded(&Root::new("/proc"), &Root::new("/sys")).unwrap();
        told(&mut after);
        let key = |address: &Address| (address.index, address.address, address.prefix);
        // what others add or remove meanwhile is not compared, nor what has no network of its own
        let has_network =
            |address: &Address| address.peer.is_none() && (address.address.is_ipv6() || address.prefix < 32);
        let steady = before.iter().filter(|address| after.contains(address) && has_network(address));
        let mut compared = 0;
        for address in steady {
            let same = files.addresses.iter().find(|file| key(file) == key(address));
            let same = same.unwrap_or_else(|| panic!("{address:?} is not among {files:?}"));
            if address.address.is_ipv6() {
                assert_eq!((same.scope, same.flags & 0x48), (address.scope, address.flags & 0x48), "{address:?}");
            }
            compared += 1;
        }
        assert!(compared > 0, "a loopback address at least");
    }

    #[test]
    fn an_address_outside_of_all_networks_has_no_known_interface() {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("net/fib_trie", "Main:\n |-- 10.0.0.9\n  /32 host LOCAL\n |-- 192.0.2.5\n  /32 host LOCAL\n");
        let network = u32::from_ne_bytes([10, 0, 0, 0]);
        let mask = u32::from_ne_bytes([255, 255, 0, 0]);
        write("net/route", &format!("Iface\neth0 {network:08X} 00000000 0001 0 0 0 {mask:08X} 0 0 0\n"));
        write("class/net/eth0/ifindex", "7\n");
        let root = Root::new(tree.path());
        let found = recorded(&root, &root).unwrap();
        assert_eq!(found.homeless, [Ipv4Addr::new(192, 0, 2, 5)]);
        let [address] = found.addresses.as_slice() else { panic!("{found:?}") };
        assert_eq!((address.index, address.prefix, address.scope), (IfIndex(7), 16, 0));
    }

    proptest! {
        #[test]
        fn an_ipv6_address_is_read_back(
            bits in any::<u128>(), index in any::<u32>(), prefix in 0_u8..129, flags in any::<u8>(), name in "[a-z0-9]{1,15}",
        ) {
            let line = format!("{bits:032x} {index:02x} {prefix:02x} 20 {flags:02x} {name:>8}");
            let (read, called) = v6_line(&line).unwrap();
            prop_assert_eq!((read.address, read.index.0, read.prefix), (IpAddr::V6(Ipv6Addr::from_bits(bits)), index, prefix));
            prop_assert_eq!((read.scope, read.flags, &*called), (LINK, u32::from(flags), name.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\\n]{0,200}") {
            let _ = (v6_line(&text), networks(&text), local_addresses(&text));
        }
    }
}
