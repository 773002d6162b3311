//! Which hosts are found by asking others?
//!
//! Name servers are asked for SRV records (RFC 2782), again when these end. Neighbors are asked over multicast DNS
//! (RFC 6762, DNS-SD) on the interfaces that somebody has named, and answer to the one who asks. Whoever answers may lie:
//! hosts that were found speak TLS wherever they are, and are told nothing before a person has accepted their keys.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

use super::dns::{self, Answer, Data, Kind, MAX_MESSAGE, Name, Record};
use super::list::{Entry, Usual};
use super::roll::Roll;
use super::speak::Speak;
use super::table::Link;
use crate::client::Target;
use crate::client::session::jittered;
use crate::model::Text;

/// Where a system's name servers are written down, how much of it is read, and how many count.
const SYSTEM: &str = "/etc/resolv.conf";
const MAX_SYSTEM: usize = 64 << 10;
const MAX_SERVERS: usize = 3;

/// Longest wait for a name server.
const ANSWER: Duration = Duration::from_secs(2);

/// Times that each is asked.
const ATTEMPTS: usize = 2;

/// Shortest and longest pause before records are asked for again.
pub(super) const KEPT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));

/// Shortest and longest pause after a failure, and between two questions to neighbors.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// What agents are called among services.
const SERVICE: &str = "_netglance._tcp.local";

/// Where neighbors listen.
const MULTICAST: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Neighbors that are remembered at most; that there are more is told.
const MAX_NEIGHBORS: usize = 4096;

/// Records of one answer of a neighbor that are looked at: it tells of itself.
const MAX_RECORDS: usize = 64;

/// What neighbors say is told so often at most.
const TOLD: Duration = Duration::from_secs(1);

/// Who is asked for what.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// SRV records of a name, of these name servers or of those of the system.
    Srv {
        /// The name.
        name: String,
        /// Who is asked.
        servers: Vec<SocketAddr>,
    },
    /// Neighbors behind an interface.
    Neighbors {
        /// Its name.
        interface: String,
    },
}

/// Where hosts are found.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Who is asked.
    pub what: What,
    /// What holds for the hosts.
    pub usual: Usual,
}

impl Source {
    /// Finds hosts for ever.
    pub(super) async fn follow(self, place: usize, roll: Arc<Roll>) {
        match &self.what {
            What::Srv { name, servers } => records(name, servers, &self.usual, place, &roll).await,
            What::Neighbors { interface } => {
                let mut found = Neighbors { usual: self.usual.clone(), ..Neighbors::default() };
                loop {
                    let Err(cause) = found.ask(interface, place, &roll).await;
                    found.failed = Some(Text::from(cause.to_string()));
                    roll.tell(place, found.entries(interface));
                    tokio::time::sleep(jittered(AGAIN.1)).await;
                }
            }
        }
    }
}

/// A line of the list that stands for hosts that cannot be found.
fn missing(name: &str, why: Text, usual: &Usual) -> Entry {
    let Usual { interval, speak } = usual.clone();
    let flaw = Some((Link::Unreachable, why));
    Entry { name: Text::from(name), target: None, address: Text::from(name), groups: Vec::new(), interval, speak, flaw }
}

/// Follows the SRV records of a name.
async fn records(name: &str, servers: &[SocketAddr], usual: &Usual, place: usize, roll: &Roll) {
    // a name server may lie about where a host is: its key counts on loopback too
    let usual = Usual { speak: Speak { tls: true, ..usual.speak.clone() }, ..usual.clone() };
    let (mut known, mut pause) = (false, AGAIN.0);
    loop {
        match resolve(name, servers).await {
            Ok((hosts, kept)) => {
                let group = [Text::from(name)];
                roll.tell(place, hosts.iter().map(|(host, port)| served(host, *port, &group, &usual)).collect());
                (known, pause) = (true, AGAIN.0);
                tokio::time::sleep(kept).await;
            }
            Err(cause) => {
                // the hosts that were there before stay
                if !known {
                    roll.tell(place, vec![missing(name, Text::from(cause.to_string()), &usual)]);
                }
                tokio::time::sleep(jittered(pause)).await;
                pause = (pause * 2).min(AGAIN.1);
            }
        }
    }
}

/// A host that a name server has named. It is a name and nothing else, whatever words of ours it looks like.
fn served(host: &str, port: u16, groups: &[Text], usual: &Usual) -> Entry {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() || host.starts_with('-') || port == 0 || !host.bytes().all(word) {
        let at = format!("{host}:{port}");
        let flaw = Some((Link::Wrong, Text::from(format!("`{at}` is no agent: the host is none"))));
        return Entry { groups: groups.to_vec(), flaw, ..missing(&at, Text::default(), usual) };
    }
    let Usual { interval, speak } = usual.clone();
    Entry { groups: groups.to_vec(), interval, speak, ..Entry::of(Target::Tcp { host: host.to_owned(), port }) }
}

/// Hosts and ports of the SRV records of a name, and how long they hold.
async fn resolve(name: &str, servers: &[SocketAddr]) -> io::Result<(Vec<(String, u16)>, Duration)> {
    let asked = Name::parse(name).ok_or_else(|| io::Error::other("that is no name"))?;
    let servers = if servers.is_empty() { system()? } else { servers.to_vec() };
    let mut last = io::Error::other(format!("{SYSTEM} names no name server"));
    for server in servers.iter().cycle().take(servers.len() * ATTEMPTS) {
        match ask(*server, &asked).await {
            Ok(Answer { code: 0, records, .. }) => {
                let mut hosts = Vec::new();
                let mut seconds = u32::MAX;
                for record in records.into_iter().filter(|record| record.name.is(&asked)) {
                    if let Data::Srv { port, host } = record.data {
                        seconds = seconds.min(record.seconds);
                        hosts.push((host.to_string(), port));
                    }
                }
                if hosts.is_empty() {
                    return Err(io::Error::other("there are no SRV records"));
                }
                return Ok((hosts, Duration::from_secs(seconds.into()).clamp(KEPT.0, KEPT.1)));
            }
            Ok(Answer { code: 3, .. }) => return Err(io::Error::other("there is no such name")),
            Ok(Answer { code, .. }) => last = io::Error::other(format!("name server {server} fails with code {code}")),
            Err(cause) => last = io::Error::new(cause.kind(), format!("name server {server}: {cause}")),
        }
    }
    Err(last)
}

/// The name servers of the system.
pub(super) fn system() -> io::Result<Vec<SocketAddr>> {
    use std::io::Read as _;
    let mut text = String::new();
    let file =
        std::fs::File::open(SYSTEM).map_err(|cause| io::Error::new(cause.kind(), format!("{SYSTEM}: {cause}")))?;
    file.take(MAX_SYSTEM as u64).read_to_string(&mut text)?;
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let named = named.filter_map(|address| Some(SocketAddr::new(address.trim().parse().ok()?, 53)));
    Ok(named.take(MAX_SERVERS).collect())
}

/// A number that a stranger cannot foresee.
pub(super) fn random() -> u16 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish() as u16
}

/// Asks one name server; over TCP what is too large for a datagram.
async fn ask(server: SocketAddr, name: &Name) -> io::Result<Answer> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let id = random();
    let question = dns::question(id, name, Kind::Srv, true);
    let fits = |answer: &Answer| {
        answer.id == id && answer.asked.as_ref().is_some_and(|(own, kind)| own.is(name) && *kind == Kind::Srv as u16)
    };
    let datagram = async {
        let here: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((here, 0)).await?;
        // what others send does not arrive then
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut bytes = vec![0; MAX_MESSAGE];
        loop {
            let length = socket.recv(&mut bytes).await?;
            if let Ok(answer) = dns::answer(bytes.get(..length).unwrap_or_default())
                && fits(&answer)
            {
                return io::Result::Ok(answer);
            }
        }
    };
    let answer = tokio::time::timeout(ANSWER, datagram).await.map_err(late)??;
    if !answer.cut {
        return Ok(answer);
    }
    let stream = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = (question.len() as u16).to_be_bytes();
        stream.write_all(&[&length, question.as_slice()].concat()).await?;
        let mut bytes = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut bytes).await?;
        let answer = dns::answer(&bytes).map_err(io::Error::other)?;
        if fits(&answer) { Ok(answer) } else { Err(io::Error::other("that was not asked")) }
    };
    tokio::time::timeout(ANSWER, stream).await.map_err(late)?
}

/// Neighbors that have answered.
#[derive(Default)]
struct Neighbors {
    usual: Usual,
    /// What they call themselves and until when that holds, by where they are.
    known: BTreeMap<SocketAddr, (Text, Instant)>,
    /// Whether there were more than are remembered.
    more: bool,
    /// Whether something is new since it was told.
    changed: bool,
    /// Why nobody can be asked.
    failed: Option<Text>,
}

impl Neighbors {
    /// Asks again and again, ever more seldom, and listens.
    async fn ask(&mut self, interface: &str, place: usize, roll: &Roll) -> io::Result<std::convert::Infallible> {
        let service = Name::parse(SERVICE).ok_or(io::ErrorKind::InvalidInput)?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
        let nowhere = Ipv4Addr::UNSPECIFIED;
        rustix::net::sockopt::set_ip_multicast_if_with_ifindex(&socket, &nowhere, &nowhere, index)?;
        // those behind a router are no neighbors
        socket.set_multicast_ttl_v4(1)?;
        self.failed = None;
        roll.tell(place, self.entries(interface));
        let (mut pause, mut bytes, mut told) = (AGAIN.0, vec![0; MAX_MESSAGE], Instant::now());
        loop {
            socket.send_to(&dns::question(0, &service, Kind::Ptr, false), MULTICAST).await?;
            let until = Instant::now() + jittered(pause);
            while Instant::now() < until {
                if self.changed(Instant::now()) && told.elapsed() >= TOLD {
                    self.changed = false;
                    told = Instant::now();
                    roll.tell(place, self.entries(interface));
                }
                let wake = until.min(Instant::now() + TOLD);
                let Ok(heard) = tokio::time::timeout_at(wake, socket.recv_from(&mut bytes)).await else { continue };
                let (length, from) = heard?;
                let answer = dns::answer(bytes.get(..length).unwrap_or_default());
                // who cannot use that port is no responder
                if let Some(answer) = answer.ok().filter(|_| from.port() == MULTICAST.1) {
                    self.take(&answer, &service, from.ip(), Instant::now());
                }
            }
            pause = (pause * 2).min(AGAIN.1);
        }
    }

    /// Takes an answer. A neighbor speaks for the address that it speaks from and for no other, so that nobody has others
    /// ask strangers.
    fn take(&mut self, answer: &Answer, service: &Name, from: IpAddr, now: Instant) {
        let records = answer.records.get(..MAX_RECORDS).unwrap_or(&answer.records);
        let below = |record: &&Record| record.name.is(service);
        for instance in records.iter().filter(below).filter_map(|record| match &record.data {
            Data::Ptr(instance) if instance.is_below(service) => Some(instance),
            _ => None,
        }) {
            for (seconds, port, host) in records.iter().filter(|one| one.name.is(instance)).filter_map(|one| {
                let Data::Srv { port, host } = &one.data else { return None };
                (*port > 0).then_some((one.seconds, *port, host))
            }) {
                let here = |one: &Record| matches!(one.data, Data::Address(at) if at == from) && one.name.is(host);
                if records.iter().any(here) {
                    self.remember(SocketAddr::new(from, port), Text::from(instance.first()), seconds, now);
                }
            }
        }
    }

    /// Remembers a neighbor until what it said ends; at once, if it says that it goes.
    fn remember(&mut self, at: SocketAddr, name: Text, seconds: u32, now: Instant) {
        if seconds == 0 {
            self.changed |= self.known.remove(&at).is_some();
            return;
        }
        // it is asked again before that, and one answer may be lost
        let end = now + Duration::from_secs(seconds.into()).min(KEPT.1).max(AGAIN.1 * 3);
        if let Some(known) = self.known.get_mut(&at) {
            self.changed |= known.0 != name;
            *known = (name, end);
        } else if self.known.len() < MAX_NEIGHBORS {
            self.known.insert(at, (name, end));
            self.changed = true;
        } else {
            self.changed |= !self.more;
            self.more = true;
        }
    }

    /// Forgets those whose time is over, and says whether anything is new since it was told.
    fn changed(&mut self, now: Instant) -> bool {
        let before = self.known.len();
        self.known.retain(|_, (_, end)| *end > now);
        self.changed |= self.known.len() != before;
        self.changed
    }

    /// Those that were found, as hosts of the list.
    fn entries(&self, interface: &str) -> Vec<Entry> {
        let speak = Speak { tls: true, found: true, ..self.usual.speak.clone() };
        let group = Text::from(format!("neighbor={interface}"));
        let found = self.known.iter().map(|(at, (name, _))| Entry {
            name: name.clone(),
            interval: self.usual.interval,
            speak: speak.clone(),
            groups: vec![group.clone()],
            ..Entry::of(Target::Tcp { host: at.ip().to_string(), port: at.port() })
        });
        let name = format!("neighbors behind {interface}");
        let more = self.more.then(|| Text::from(format!("more than {MAX_NEIGHBORS} have answered")));
        let flaw = self.failed.clone().or(more).map(|why| missing(&name, why, &self.usual));
        found.chain(flaw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(seconds: u32, port: u16, at: [u8; 4]) -> Vec<Record> {
        let name = |text: &str| Name::parse(text).unwrap();
        let (service, instance, host) = (name(SERVICE), name("hv01._netglance._tcp.local"), name("hv01.local"));
        let record = |name: &Name, data| Record { name: name.clone(), seconds, data };
        vec![
            record(&service, Data::Ptr(instance.clone())),
            record(&instance, Data::Srv { port, host: host.clone() }),
            record(&host, Data::Address("fe80::1".parse().unwrap())),
            record(&host, Data::Address(at.into())),
        ]
    }

    fn answer(records: Vec<Record>) -> Answer {
        Answer { id: 0, cut: false, code: 0, asked: None, records }
    }

    #[test]
    fn a_neighbor_speaks_for_itself_and_for_as_long_as_it_says() {
        let (service, now) = (Name::parse(SERVICE).unwrap(), Instant::now());
        let (from, other): (IpAddr, IpAddr) = ([192, 0, 2, 7].into(), [192, 0, 2, 8].into());
        let mut neighbors = Neighbors::default();
        neighbors.take(&answer(said(120, 61208, [192, 0, 2, 7])), &service, other, now);
        assert!(!neighbors.changed(now), "somebody else said so");
        neighbors.take(&answer(said(120, 61208, [192, 0, 2, 7])), &service, from, now);
        assert!(neighbors.changed(now) && neighbors.entries("eth0").len() == 1);
        neighbors.changed = false;
        neighbors.take(&answer(said(120, 61208, [192, 0, 2, 7])), &service, from, now);
        assert!(!neighbors.changed(now + Duration::from_mins(2)));
        assert!(neighbors.changed(now + Duration::from_mins(4)) && neighbors.known.is_empty(), "its time is over");
        neighbors.take(&answer(said(120, 61208, [192, 0, 2, 7])), &service, from, now);
        neighbors.take(&answer(said(0, 61208, [192, 0, 2, 7])), &service, from, now);
        assert!(neighbors.known.is_empty(), "it said that it goes");
    }

    #[test]
    fn an_answer_of_thousands_of_records_costs_no_more_than_one_of_a_neighbor() {
        let (service, now) = (Name::parse(SERVICE).unwrap(), Instant::now());
        let from = [192, 0, 2, 7];
        let mut neighbors = Neighbors::default();
        let records = (1..=900).flat_map(|port| said(120, port, from)).collect();
        neighbors.take(&answer(records), &service, from.into(), now);
        assert!(neighbors.known.len() <= MAX_RECORDS, "{}", neighbors.known.len());
    }

    #[test]
    fn what_a_name_server_names_is_a_host_and_nothing_else() {
        let usual = Usual::default();
        for host in ["unix:/tmp/socket", "-o", "", "a b", "h:1", "[::1]"] {
            let entry = served(host, 61208, &[], &usual);
            assert!(entry.target.is_none() && entry.flaw.is_some(), "{host}");
        }
        let target = Some(Target::Tcp { host: "hv-01.example".to_owned(), port: 7 });
        assert_eq!(served("hv-01.example", 7, &[], &usual).target, target);
    }
}
