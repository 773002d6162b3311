//! Which addresses of which neighbors does the kernel know?
//!
//! Entries of ARP and neighbor discovery, and those of the forwarding tables of bridges and tunnels, which are told with the
//! same message.
//!
//! Source: `include/uapi/linux/neighbour.h`, `net/core/neighbour.c`.

use std::net::IpAddr;

use super::attr::{Malformed, u16_at, u32_at};
use super::route::{IfIndex, ip};
use super::{Message, Part, Patience, Request, Socket};
use crate::model::Mac;
use crate::source::Error;
use crate::source::bounded::Bounded;

const NEW_NEIGHBOR: u16 = 28;
const GET_NEIGHBOR: u16 = 30;
/// `sizeof(struct ndmsg)`
const HEADER: usize = 12;

/// `NTF_ROUTER`
pub const FLAG_ROUTER: u32 = 1 << 7;

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// `AF_*`
    pub family: u8,
    /// Interface.
    pub index: IfIndex,
    /// `NUD_*`
    pub state: u16,
    /// `NTF_*`, those of `NTF_EXT_*` from bit 16 on.
    pub flags: u32,
    /// Address of the neighbor; of a forwarding table where the tunnel leads.
    pub address: Option<IpAddr>,
    /// Ethernet address.
    pub mac: Option<Mac>,
    /// When something became of it.
    pub times: Option<Times>,
    /// Probes that were sent and not answered.
    pub probes: Option<u32>,
    /// `RTPROT_*`: who has made it.
    pub protocol: Option<u8>,
    /// VLAN, of a forwarding table.
    pub vlan: Option<u16>,
    /// UDP port where a tunnel leads.
    pub port: Option<u16>,
    /// Network where a tunnel leads.
    pub vni: Option<u32>,
    /// Network from which a tunnel leads there.
    pub source_vni: Option<u32>,
    /// Interface over which a tunnel leads there.
    pub via: Option<IfIndex>,
    /// Bridge whose forwarding table it is in.
    pub master: Option<IfIndex>,
}

/// When something became of an entry, in hundredths of a second before it was told: `struct nda_cacheinfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// It was confirmed that the neighbor can be reached.
    pub confirmed: u32,
    /// It was used.
    pub used: u32,
    /// Its state changed.
    pub updated: u32,
    /// How many hold it.
    pub references: u32,
}

/// Reads the entries of a family, at most so many: those of ARP and neighbor discovery for `AF_UNSPEC`, those of forwarding
/// tables for `AF_BRIDGE`.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn neighbors(socket: &mut Socket, family: i32, most: usize) -> Result<Bounded<Neighbor>, Error> {
    let mut found = Bounded::new(most);
    each(socket, family, |neighbor| match neighbor {
        Some(neighbor) => found.push(neighbor),
        None => found.clear(),
    })?;
    Ok(found)
}

/// Gives each entry of a family to `take`, and `None` where all of them begin (anew).
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn each(socket: &mut Socket, family: i32, mut take: impl FnMut(Option<Neighbor>)) -> Result<(), Error> {
    let mut body = vec![0; HEADER];
    if let (Some(slot), Ok(family)) = (body.first_mut(), u8::try_from(family)) {
        *slot = family;
    }
    socket.dump_within(Patience::FEW, &Request { kind: GET_NEIGHBOR, body, what: "neighbors" }, |part| {
        match part {
            Part::Start => take(None),
            Part::Message(message) => {
                if let Some(neighbor) = neighbor(message)? {
                    take(Some(neighbor));
                }
            }
        }
        Ok(())
    })
}

/// Reads one entry; `None` for another kind of message.
///
/// # Errors
/// The message is malformed.
pub fn neighbor(message: Message<'_>) -> Result<Option<Neighbor>, Malformed> {
    if message.kind != NEW_NEIGHBOR {
        return Ok(None);
    }
    let byte = |at: usize| message.body.get(at).copied().ok_or(Malformed);
    let mut neighbor = Neighbor {
        family: byte(0)?,
        index: IfIndex(u32_at(message.body, 4)?),
        state: u16_at(message.body, 8)?,
        flags: u32::from(byte(10)?),
        address: None,
        mac: None,
        times: None,
        probes: None,
        protocol: None,
        vlan: None,
        port: None,
        vni: None,
        source_vni: None,
        via: None,
        master: None,
    };
    for attribute in message.attributes(HEADER)? {
        let attribute = attribute?;
        match attribute.kind {
            1 => neighbor.address = ip(attribute.bytes),
            2 => neighbor.mac = attribute.bytes.try_into().ok().map(Mac),
            3 => neighbor.times = Some(times(attribute.bytes)?),
            4 => neighbor.probes = Some(attribute.u32()?),
            5 => neighbor.vlan = Some(u16_at(attribute.bytes, 0)?),
            6 => neighbor.port = Some(u16_at(attribute.bytes, 0).map(u16::from_be)?),
            7 => neighbor.vni = Some(attribute.u32()?),
            8 => neighbor.via = Some(IfIndex(attribute.u32()?)),
            9 => neighbor.master = Some(IfIndex(attribute.u32()?)),
            11 => neighbor.source_vni = Some(attribute.u32()?),
            12 => neighbor.protocol = Some(attribute.u8()?),
            15 => neighbor.flags |= attribute.u32()? << 16,
            _ => {}
        }
    }
    Ok(Some(neighbor))
}

fn times(bytes: &[u8]) -> Result<Times, Malformed> {
    let at = |position: usize| u32_at(bytes, position * 4);
    Ok(Times { confirmed: at(0)?, used: at(1)?, updated: at(2)?, references: at(3)? })
}

/// The table of all neighbors of a family, which the kernel has once for all network namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// Entries in it.
    pub entries: u64,
    /// What all CPUs have counted, in the order of [`COUNTERS`].
    pub counters: [Option<u64>; COUNTERS.len()],
}

/// Names of counters in the file.
pub const COUNTERS: [&str; 12] = [
    "allocs",
    "destroys",
    "hash_grows",
    "lookups",
    "hits",
    "res_failed",
    "rcv_probes_mcast",
    "rcv_probes_ucast",
    "periodic_gc_runs",
    "forced_gc_runs",
    "unresolved_discards",
    "table_fulls",
];

/// Reads a file such as `/proc/net/stat/arp_cache`: a line of names, then one of hexadecimal numbers for each CPU. Older
/// kernels lack some counters.
pub fn cache(text: &str) -> Option<Cache> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_whitespace().collect();
    let position = |name: &str| names.iter().position(|known| *known == name);
    let (entries, positions) = (position("entries")?, COUNTERS.map(position));
    let mut cache: Option<Cache> = None;
    for line in lines {
        let numbers: Option<Vec<u64>> =
            line.split_whitespace().map(|word| u64::from_str_radix(word, 16).ok()).collect();
        let numbers = numbers?;
        let before = cache.map_or([Some(0); COUNTERS.len()], |cache| cache.counters);
        let mut sums = before.into_iter().zip(positions);
        let counters = [(); COUNTERS.len()].map(|()| {
            let (sum, position) = sums.next()?;
            Some(sum?.wrapping_add(*numbers.get(position?)?))
        });
        // each line has all entries of the table
        cache = Some(Cache { entries: *numbers.get(entries)?, counters });
    }
    cache
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn counters_of_all_cpus_are_added_and_entries_are_not() {
        let text =
            "entries  allocs   hash_grows table_fulls\n00000022 0000000e 00000001 00000000\n00000022 00000014 2 ff\n";
        let cache = cache(text).unwrap();
        let of = |name: &str| cache.counters[COUNTERS.iter().position(|known| *known == name).unwrap()];
        assert_eq!(
            (cache.entries, of("allocs"), of("hash_grows"), of("table_fulls")),
            (34, Some(34), Some(3), Some(255))
        );
        assert_eq!(of("lookups"), None, "a kernel that does not count it");
    }

    #[test]
    fn a_file_without_a_line_for_a_cpu_is_refused() {
        for text in ["", "entries allocs\n", "entries\nxyz\n", "allocs\n1\n", "entries allocs\n\n"] {
            assert_eq!(cache(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = neighbor(Message { kind: NEW_NEIGHBOR, flags: 0, body: &body });
        }

        #[test]
        fn any_file_is_read_or_refused(text in "[a-f0-9 \n]{0,200}") {
            let _ = cache(&format!("entries allocs\n{text}"));
        }
    }
}
