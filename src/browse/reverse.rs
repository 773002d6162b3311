//! What are addresses called, for somebody who has asked for their names?
//!
//! Nobody waits for a name: a thread asks the name servers for PTR records, and who asks for a name gets what is known by
//! then. Whoever answers may lie, so that an answer fits a question, goes through [`Text`], and a name that reads like an
//! address is none. The thread ends with its [`Reverse`].

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::dns::{self, Data, Kind, Name};
use super::source::{KEPT, random, system};
use crate::model::{Text, lock};

/// Names that are remembered, and of addresses that have none.
const MOST: usize = 4096;
/// Addresses that wait to be asked for; others are asked for when they are shown again.
const WAITING: usize = 256;
/// Questions without an answer at once.
const ASKED: usize = 32;
/// Longest wait for an answer, and times that each server is asked.
const ANSWER: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 2;
/// So long nobody is asked again for an address that has no name.
const NONE: Duration = Duration::from_mins(1);
/// Names that came within this time are told together.
const TOLD: Duration = Duration::from_millis(200);
/// How often the thread looks while answers are missing, whether it is to end.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Names of addresses, as far as they are known.
pub struct Reverse {
    known: Arc<Mutex<Known>>,
    wanted: SyncSender<IpAddr>,
}

type Known = HashMap<IpAddr, Entry>;

struct Entry {
    name: Option<Text>,
    /// When it is to be asked for again.
    until: Instant,
    /// Whether it is being asked for.
    asked: bool,
}

/// A question without an answer.
struct Question {
    address: IpAddr,
    name: Name,
    attempt: usize,
    server: usize,
    since: Instant,
}

impl Reverse {
    /// Asks these name servers, those of the system if there are none. `changed` is called when names have come.
    ///
    /// # Errors
    /// There is no name server, or no thread.
    pub fn start(servers: &[SocketAddr], changed: impl Fn() + Send + 'static) -> io::Result<Self> {
        let servers = if servers.is_empty() { system()? } else { servers.to_vec() };
        let mut last = io::Error::other("no name server is known");
        let mut sockets = Vec::new();
        for server in servers {
            match open(server) {
                Ok(socket) => sockets.push(socket),
                Err(cause) => last = io::Error::new(cause.kind(), format!("name server {server}: {cause}")),
            }
        }
        if sockets.is_empty() {
            return Err(last);
        }
        let (wanted, asked) = sync_channel(WAITING);
        let known = Arc::new(Mutex::new(Known::new()));
        let names = Names { known: Arc::clone(&known), sockets, open: HashMap::new(), changed: false };
        std::thread::Builder::new().name("names".to_owned()).spawn(move || names.run(&asked, &changed))?;
        Ok(Self { known, wanted })
    }

    /// The name of an address if it is known; it is asked for otherwise.
    pub fn name(&self, address: IpAddr) -> Option<Text> {
        let now = Instant::now();
        let mut known = lock(&self.known);
        if let Some(entry) = known.get_mut(&address) {
            if entry.until <= now && !entry.asked {
                entry.asked = self.wanted.try_send(address).is_ok();
            }
            return entry.name.clone();
        }
        if known.len() >= MOST {
            known.retain(|_, entry| entry.asked || entry.until > now);
        }
        if known.len() < MOST && self.wanted.try_send(address).is_ok() {
            known.insert(address, Entry { name: None, until: now, asked: true });
        }
        None
    }
}

/// A socket to which nobody but this server gets through.
fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let here: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((here, 0))?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What the thread has.
struct Names {
    known: Arc<Mutex<Known>>,
    sockets: Vec<UdpSocket>,
    open: HashMap<u16, Question>,
    /// Whether names have come that were not told of.
    changed: bool,
}

impl Names {
    fn run(mut self, asked: &Receiver<IpAddr>, changed: &dyn Fn()) {
        let mut told = Instant::now();
        loop {
            if self.open.is_empty() {
                let Ok(address) = asked.recv() else { return };
                self.ask(address);
            }
            while self.open.len() < ASKED {
                match asked.try_recv() {
                    Ok(address) => self.ask(address),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
            }
            self.wait();
            self.listen();
            self.late();
            if self.changed && (self.open.is_empty() || told.elapsed() >= TOLD) {
                (self.changed, told) = (false, Instant::now());
                changed();
            }
        }
    }

    fn ask(&mut self, address: IpAddr) {
        match Name::parse(&arpa(address)) {
            Some(name) => self.send(Question { address, name, attempt: 0, server: 0, since: Instant::now() }),
            None => self.learn(address, None, NONE),
        }
    }

    /// Sends a question under a number that no other has. What cannot be sent is late later.
    fn send(&mut self, question: Question) {
        let mut id = random();
        while self.open.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        if let Some(socket) = self.sockets.get(question.server) {
            let _ = socket.send(&dns::question(id, &question.name, Kind::Ptr, true));
        }
        self.open.insert(id, question);
    }

    /// Waits for answers, and not for long.
    fn wait(&self) {
        let mut fds: Vec<PollFd<'_>> = self.sockets.iter().map(|one| PollFd::new(one, PollFlags::IN)).collect();
        // a signal ends the wait as an answer does
        let _ = poll(&mut fds, Some(&LOOK));
    }

    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        for server in 0..self.sockets.len() {
            // so many answers can be true
            for _ in 0..2 * ASKED {
                let Some(Ok(length)) = self.sockets.get(server).map(|socket| socket.recv(&mut bytes)) else { break };
                self.answer(server, bytes.get(..length).unwrap_or_default());
            }
        }
    }

    fn answer(&mut self, server: usize, message: &[u8]) {
        let Ok(answer) = dns::answer(message) else { return };
        let own = |question: &Question| {
            let fits = |(name, kind): &(Name, u16)| name.is(&question.name) && *kind == Kind::Ptr as u16;
            question.server == server && answer.asked.as_ref().is_some_and(fits)
        };
        if !self.open.get(&answer.id).is_some_and(own) {
            return;
        }
        let Some(question) = self.open.remove(&answer.id) else { return };
        // under another name where a network's names are kept elsewhere (RFC 2317)
        let found = answer.records.iter().find_map(|record| match &record.data {
            Data::Ptr(name) => Some((name.to_string(), record.seconds)),
            _ => None,
        });
        match found.filter(|(name, _)| !name.is_empty() && name.parse::<IpAddr>().is_err()) {
            Some((name, seconds)) => {
                let kept = Duration::from_secs(seconds.into()).clamp(KEPT.0, KEPT.1);
                self.learn(question.address, Some(Text::from(name)), kept);
            }
            None => self.learn(question.address, None, NONE),
        }
    }

    /// Asks again where no answer has come, each server in its turn, and gives up at last.
    fn late(&mut self) {
        let ids: Vec<u16> =
            self.open.iter().filter(|(_, question)| question.since.elapsed() >= ANSWER).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(question) = self.open.remove(&id) else { continue };
            let attempt = question.attempt + 1;
            if attempt < self.sockets.len() * ATTEMPTS {
                let server = attempt % self.sockets.len();
                self.send(Question { attempt, server, since: Instant::now(), ..question });
            } else {
                self.learn(question.address, None, NONE);
            }
        }
    }

    fn learn(&mut self, address: IpAddr, name: Option<Text>, kept: Duration) {
        self.changed |= name.is_some();
        let entry = Entry { name, until: Instant::now() + kept, asked: false };
        lock(&self.known).insert(address, entry);
    }
}

/// The name under which the name of an address is found.
fn arpa(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let mut name = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                for half in [byte & 0xf, byte >> 4] {
                    name.extend(char::from_digit(half.into(), 16));
                    name.push('.');
                }
            }
            name + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Longest that a test waits.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Record of type PTR with this name, for the question that stands in front.
    fn pointer(labels: &[&[u8]]) -> Vec<u8> {
        let mut name: Vec<u8> =
            labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).collect();
        name.push(0);
        [&[0xc0, 12, 0, 12, 0, 1, 0, 0, 1, 44, 0, name.len() as u8], name.as_slice()].concat()
    }

    /// The message of a question as an answer, with so many records.
    fn as_answer(question: &[u8], code: u8, records: u8) -> Vec<u8> {
        // without what stands behind the question
        let mut message = question[..question.len() - 11].to_vec();
        message[2..12].copy_from_slice(&[0x81, 0x80 | code, 0, 1, 0, records, 0, 0, 0, 0]);
        message
    }

    /// What a name server of bad manners answers to the question for the name of `192.0.2.LAST`.
    fn manners(last: u8, question: &[u8]) -> Vec<Vec<u8>> {
        let named = |labels: &[&[u8]]| [as_answer(question, 0, 1), pointer(labels)].concat();
        let www: &[&[u8]] = &[b"www", b"example", b"net"];
        match last {
            1 => vec![named(www)],
            // 2 gets no answer
            3 => vec![vec![0xff; 1000], b"".to_vec(), question[..7].to_vec()],
            4 => vec![named(&[b"\x1b[2Jevil\xff", &[b'a'; 63], "\u{202e}moc".as_bytes()])],
            5 => {
                let mut other = named(www);
                other[0] ^= 1;
                vec![other]
            }
            6 => {
                let mut other = named(www);
                // of 192.0.3.6
                other[15] = b'3';
                vec![other]
            }
            7 => vec![as_answer(question, 3, 0)],
            8 => vec![named(&[b"198", b"51", b"100", b"9"])],
            // with fewer records than it says
            9 => vec![[as_answer(question, 0, 2), pointer(www)].concat()],
            _ => Vec::new(),
        }
    }

    /// A name server that ends when nobody asks it any more; it tells which addresses it was asked for.
    fn server() -> (SocketAddr, Receiver<u8>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (sender, asked) = channel();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let question = &bytes[..length];
                let digits = question[13..13 + usize::from(question[12])].iter();
                let last = digits.fold(0, |number, digit| number * 10 + (digit - b'0'));
                if sender.send(last).is_err() {
                    return;
                }
                for answer in manners(last, question) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        (address, asked)
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn names_come_while_nobody_waits_and_who_answers_badly_gives_none() {
        let (server, asked) = server();
        let (sender, changed) = channel();
        let names = Reverse::start(&[server], move || sender.send(()).unwrap()).unwrap();
        let begun = Instant::now();
        for last in 1..=9 {
            assert_eq!(names.name(address(last)), None);
        }
        let name = |last| names.name(address(last)).map(|name| name.as_str().to_owned());
        while name(1).is_none() || name(4).is_none() {
            changed.recv_timeout(PATIENCE).unwrap();
        }
        assert_eq!(name(1).unwrap(), "www.example.net");
        let evil = name(4).unwrap();
        assert!(evil.starts_with("\\x1b[2Jevil") && !evil.chars().any(crate::model::text::is_hostile), "{evil:?}");
        // all that will not come has been given up
        while lock(&names.known).values().any(|entry| entry.asked) {
            assert!(begun.elapsed() < PATIENCE);
            let _ = changed.recv_timeout(Duration::from_millis(50));
        }
        for last in [2, 3, 5, 6, 7, 8, 9] {
            assert_eq!(name(last), None, "{last}");
        }
        let times = |last| asked.try_iter().filter(|one| *one == last).count();
        assert_eq!(times(2), ATTEMPTS);
    }

    #[test]
    fn its_thread_ends_with_it_though_answers_are_missing() {
        let (server, asked) = server();
        let (sender, ended) = channel::<()>();
        let names = Reverse::start(&[server], move || sender.send(()).unwrap()).unwrap();
        assert_eq!(names.name(address(2)), None);
        asked.recv_timeout(PATIENCE).unwrap();
        drop(names);
        assert_eq!(ended.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn what_is_remembered_and_what_waits_has_a_bound() {
        let (server, _asked) = server();
        let names = Reverse::start(&[server], || ()).unwrap();
        for number in 0..2 * MOST as u32 {
            names.name(Ipv4Addr::from(0x0a00_0000 + number).into());
        }
        let known = lock(&names.known).len();
        assert!((WAITING..=MOST).contains(&known), "{known}");
    }

    #[test]
    fn addresses_are_turned_round() {
        assert_eq!(arpa([192, 0, 2, 7].into()), "7.2.0.192.in-addr.arpa");
        let expected = "8.b.d.0.1.0.0.2.ip6.arpa";
        let name = arpa("2001:db8::567:89ab".parse().unwrap());
        assert!(name.starts_with("b.a.9.8.7.6.5.0.") && name.ends_with(expected) && name.len() == 72, "{name}");
        assert!(Name::parse(&name).is_some());
    }
}
