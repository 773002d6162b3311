//! Which process of this host has a connection?
//!
//! Only while somebody wants to know, and only for connections that have rows: the sockets of their network namespaces are
//! listed, and those that have an end of one are looked for among the descriptors of all processes. A socket of UDP that is not
//! connected has what comes to its port at an address of its namespace; what is forwarded has no socket here.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::collect::Cx;
use crate::model::Text;
use crate::source::Error;
use crate::source::conntrack::flow::{Flow, Tuple};
use crate::source::holder::holders;
use crate::source::netlink::diag::InetSocket;
use crate::source::netlink::{Family, Part, Socket, route};
use crate::source::netns::{self, Rooms};
use crate::source::socket::{INET, Sockets};

/// All states but `TCP_LISTEN`: who accepts a connection has another socket for it.
const NOT_LISTENING: u32 = !(1 << 10);

/// What is asked in each network namespace.
#[derive(Default)]
pub(super) struct Processes {
    own: Option<Ties>,
    others: Rooms<Ties>,
}

struct Ties {
    sockets: Socket,
    addresses: Socket,
}

/// The processes that were found.
#[derive(Default)]
pub(super) struct Found {
    /// By the place of the connection.
    inodes: Inodes,
    names: HashMap<u32, (u32, Option<Text>)>,
    /// Why some are not known: sockets that could not be listed, or the first process that may not be read.
    pub(super) refused: Option<Error>,
}

type Inodes = HashMap<usize, (Fit, u32)>;

/// Which socket is told of a connection that several have: that of who began it, then the one that names the most of it.
type Fit = (bool, Named);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Port,
    Address,
    BothEnds,
}

/// An end of a connection as a socket may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct End {
    protocol: u8,
    address: IpAddr,
    port: u16,
    peer: Option<(IpAddr, u16)>,
}

impl Processes {
    /// Looks for the processes that have connections of network namespaces with these names.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub(super) fn find(&mut self, cx: &Cx<'_>, names: &[Text], flows: &[(usize, Flow)]) -> Result<Found, Error> {
        let mut by_netns: BTreeMap<&Text, Vec<(usize, &Flow)>> = BTreeMap::new();
        for (at, (place, flow)) in flows.iter().enumerate() {
            if let Some(name) = names.get(*place) {
                by_netns.entry(name).or_default().push((at, flow));
            }
        }
        let (mut inodes, mut refused) = (Inodes::new(), None);
        if let Some(flows) = by_netns.get(&netns::host()) {
            let found = self.own.take().map_or_else(Ties::open, Ok).and_then(|mut ties| {
                ties.find(flows, &mut inodes)?;
                Ok(ties)
            });
            match found {
                Ok(ties) => self.own = Some(ties),
                Err(error) => refused = Some(error),
            }
        }
        let troubles = self.others.read(&cx.roots.netns, Ties::open, |netns, ties| {
            by_netns.get(netns).map_or(Ok(()), |flows| ties.find(flows, &mut inodes))
        });
        // who could not be entered has been told with the connections
        refused = refused.or_else(|| troubles.first().filter(|error| error.op != netns::ENTER).map(Error::again));
        let sockets = || inodes.values().map(|(_, inode)| *inode);
        let mut holders = holders(&cx.roots.proc, sockets())?;
        let (denied, names) = (holders.denied(sockets()), holders.names(&cx.roots.proc));
        Ok(Found { inodes, names, refused: refused.or(denied) })
    }
}

impl Found {
    /// The process that has the connection at a place.
    pub(super) fn of(&self, at: usize) -> (Option<u32>, Option<Text>) {
        let known = self.inodes.get(&at).and_then(|(_, inode)| self.names.get(inode));
        known.map_or((None, None), |(pid, name)| (Some(*pid), name.clone()))
    }
}

impl Ties {
    fn open() -> Result<Self, Error> {
        Ok(Self { sockets: Socket::open(Family::SockDiag)?, addresses: Socket::open(Family::Route)? })
    }

    /// Finds the sockets that have connections, which come with their places.
    fn find(&mut self, flows: &[(usize, &Flow)], inodes: &mut Inodes) -> Result<(), Error> {
        let mut own = HashSet::new();
        self.addresses.dump(&route::addresses(), |part| {
            match part {
                Part::Start => own.clear(),
                Part::Message(message) => own.extend(route::address(message)?.map(|address| address.address)),
            }
            Ok(())
        })?;
        let wanted = wanted(flows, &own);
        for table in INET.into_iter().filter(|table| table.kind.protocol != libc::IPPROTO_RAW as u8) {
            let listed = Sockets::Live(&mut self.sockets).inet(table, NOT_LISTENING, |socket| {
                // a list that begins anew tells the same again
                if let Some(socket) = socket.filter(|socket| socket.inode != 0) {
                    take(table.kind.protocol, &socket, &wanted, inodes);
                }
            });
            match listed {
                // a kernel without IPv6
                Err(error) if error.is_absent() => {}
                listed => listed?,
            }
        }
        Ok(())
    }
}

/// Whose socket has which end, with the place of the connection and whether it is the one that began it.
type Wanted = HashMap<End, Vec<(usize, bool)>>;

/// The ends of connections, and what a socket of UDP must have that names no more than a port of one of the own addresses.
fn wanted(flows: &[(usize, &Flow)], own: &HashSet<IpAddr>) -> Wanted {
    let mut wanted = Wanted::new();
    for (at, flow) in flows {
        // who began it knows the other end as it was before any translation, and who answers knows it as it is after it
        for (Tuple { source, destination, protocol, ports, .. }, began) in [(flow.original, true), (flow.reply, false)]
        {
            let Some((port, peer_port)) = ports else { continue };
            let mut add = |address, peer| {
                wanted.entry(End { protocol, address, port, peer }).or_default().push((*at, began));
            };
            add(source, Some((destination, peer_port)));
            if protocol == libc::IPPROTO_UDP as u8 && (source.is_loopback() || own.contains(&source)) {
                add(source, None);
                add(if source.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }, None);
            }
        }
    }
    wanted
}

/// Gives a socket to the connections that it may have.
fn take(protocol: u8, socket: &InetSocket, wanted: &Wanted, inodes: &mut Inodes) {
    let (address, peer) = (socket.address.to_canonical(), socket.peer.to_canonical());
    let peer = (socket.peer_port != 0).then_some((peer, socket.peer_port));
    let named = match peer {
        Some(_) => Named::BothEnds,
        None if address.is_unspecified() => Named::Port,
        None => Named::Address,
    };
    // a socket of IPv6 at all addresses has those of IPv4, too
    let other = (named == Named::Port && address.is_ipv6()).then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    for address in std::iter::once(address).chain(other) {
        let end = End { protocol, address, port: socket.port, peer };
        for (at, began) in wanted.get(&end).into_iter().flatten() {
            let fit = (*began, named);
            let known = inodes.entry(*at).or_insert((fit, socket.inode));
            if known.0 < fit {
                *known = (fit, socket.inode);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::flow;
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn tuple(source: &str, port: u16, destination: &str, peer_port: u16) -> Tuple {
        let [source, destination] = [source, destination].map(address);
        Tuple { source, destination, protocol: 17, ports: Some((port, peer_port)), icmp: None, zone: None }
    }

    fn socket(end: (&str, u16), peer: (&str, u16), inode: u32) -> InetSocket {
        let ((at, port), (to, peer_port)) = (end, peer);
        let (address, peer) = (address(at), address(to));
        InetSocket { state: 7, address, port, peer, peer_port, rx_queue: 0, tx_queue: 0, uid: 0, inode }
    }

    /// Inode of the socket that has a connection.
    fn found(flow: &Flow, sockets: &[InetSocket]) -> Option<u32> {
        let wanted = wanted(&[(0, flow)], &HashSet::from([address("192.0.2.1")]));
        let mut inodes = Inodes::new();
        for socket in sockets {
            take(17, socket, &wanted, &mut inodes);
        }
        inodes.get(&0).map(|(_, inode)| *inode)
    }

    #[test]
    fn the_socket_that_names_the_most_has_a_connection_and_who_began_it_before_who_answers() {
        let sent = flow(1, tuple("192.0.2.1", 4000, "198.51.100.1", 53), tuple("198.51.100.1", 53, "192.0.2.1", 4000));
        let all = [
            socket(("0.0.0.0", 4000), ("0.0.0.0", 0), 1),
            socket(("192.0.2.1", 4000), ("0.0.0.0", 0), 2),
            socket(("::ffff:192.0.2.1", 4000), ("::ffff:198.51.100.1", 53), 3),
            socket(("192.0.2.1", 4000), ("198.51.100.1", 54), 9),
        ];
        assert_eq!(found(&sent, &all), Some(3));
        assert_eq!(found(&sent, &all[..2]), Some(2));
        assert_eq!(found(&sent, &[socket(("::", 4000), ("::", 0), 7)]), Some(7));
        let here = flow(1, tuple("127.0.0.1", 4000, "127.0.0.1", 53), tuple("127.0.0.1", 53, "127.0.0.1", 4000));
        let (server, client) =
            (socket(("127.0.0.1", 53), ("127.0.0.1", 4000), 5), socket(("0.0.0.0", 4000), ("0.0.0.0", 0), 6));
        assert_eq!((found(&here, &[server, client]), found(&here, &[server])), (Some(6), Some(5)));
    }

    #[test]
    fn an_end_is_known_as_it_is_after_a_translation() {
        let answered =
            flow(1, tuple("203.0.113.9", 999, "192.0.2.1", 80), tuple("192.0.2.1", 8080, "203.0.113.9", 999));
        assert_eq!(found(&answered, &[socket(("192.0.2.1", 8080), ("203.0.113.9", 999), 4)]), Some(4));
        assert_eq!(found(&answered, &[socket(("192.0.2.1", 80), ("203.0.113.9", 999), 4)]), None);
    }

    #[test]
    fn what_is_forwarded_has_no_socket_here_although_one_waits_at_its_port() {
        let forwarded = flow(1, tuple("10.0.0.7", 53, "198.51.100.1", 53), tuple("198.51.100.1", 53, "10.0.0.7", 53));
        assert_eq!(found(&forwarded, &[socket(("0.0.0.0", 53), ("0.0.0.0", 0), 1)]), None);
    }
}
